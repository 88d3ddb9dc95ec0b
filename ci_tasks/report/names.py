"""The closed sets of reports."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ci_tasks.core.errors import ExitCode


class PipelineType(Enum):
    """Which kind of pipeline is reported: deploy and promote are RELEASE, rollback is POST_RELEASE."""

    PRE_RELEASE = "PRE_RELEASE"
    RELEASE = "RELEASE"
    POST_RELEASE = "POST_RELEASE"
    MAINTENANCE = "MAINTENANCE"
    SELF_HEALING = "SELF_HEALING"


class ReportStatus(Enum):
    """How it ended, in the data model's words; `outcome` beside it is finer."""

    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    CANCELLED = "CANCELLED"
    TIMEOUT = "TIMEOUT"

    @classmethod
    def of(cls, code: ExitCode) -> ReportStatus:
        """The status of an exit code; those that the data model has no word for are FAILURE."""
        return {"OK": cls.SUCCESS, "CANCELLED": cls.CANCELLED, "TIMEOUT": cls.TIMEOUT}.get(
            code.outcome, cls.FAILURE
        )


class RegionStatus(Enum):
    """Where one region stands: a deployment's statuses, and three that no deployment has."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    UNCHANGED = "UNCHANGED"  # it was live already
    SKIPPED = "SKIPPED"  # not tried, because something before it went wrong
    UNKNOWN = "UNKNOWN"  # the remote did not say whether it was recorded


class LinkType(Enum):
    """What an action link does."""

    PROMOTE_RELEASE = "PROMOTE_RELEASE"
    ROLLBACK = "ROLLBACK"
    ASSIGN_STATE = "ASSIGN_STATE"
    MAINTENANCE = "MAINTENANCE"
    SELF_HEALING = "SELF_HEALING"
    WEBHOOK = "WEBHOOK"


class Format(Enum):
    """How a report is shown."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"
