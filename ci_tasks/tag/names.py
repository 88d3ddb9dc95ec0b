"""The closed sets of tags and their ledgers."""

from __future__ import annotations

from enum import Enum


class TagType(Enum):
    """What a tag's name says that it is; everything else is foreign."""

    VERSION = "VERSION"
    ENVIRONMENT = "ENVIRONMENT"
    STATE = "STATE"


class TagTypeFilter(Enum):
    """The words of `--type`."""

    VERSION = "version"
    ENVIRONMENT = "environment"
    STATE = "state"


class VersionState(Enum):
    """What a state tag says of its version, weakest first: the strongest one holds."""

    STABLE = "stable"
    UNSTABLE = "unstable"
    DEPRECATED = "deprecated"

    @property
    def is_bad(self) -> bool:
        """A version marked so is deployed by nobody."""
        return self is not VersionState.STABLE


class DeploymentStatus(Enum):
    """Where a deployment stands; the last three are the closed ones."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_open(self) -> bool:
        """A record of this status may still change."""
        return self in (DeploymentStatus.PENDING, DeploymentStatus.RUNNING)


class DeploymentKind(Enum):
    """Which command made a record."""

    DEPLOY = "deploy"
    ROLLBACK = "rollback"
    PROMOTE = "promote"
    ASSIGN = "assign"
    REVIEW = "review"
