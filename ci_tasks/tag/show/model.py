"""What `tag.show` prints: everything that is known of one tag."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

from ci_tasks.core.entity import Entity
from ci_tasks.tag.model import Deployment


class ShownKind(Enum):
    """What a tag is by its name."""

    VERSION = "VERSION"
    STATE = "STATE"
    ENVIRONMENT = "ENVIRONMENT"
    FOREIGN = "FOREIGN"


class ShownSignature(Entity, frozen=True, kw_only=True):
    """What a signature is worth (`GOOD`, `UNSIGNED`, ...), who made it and with which key."""

    status: str
    signer: str | None
    key: str | None


class StateMark(Entity, frozen=True, kw_only=True):
    """One state tag of a version: who said it, when and why. `problem` says why nobody may rely on that."""

    tag_name: str
    state: str
    created_at: datetime | None
    created_by: str | None
    reason: str | None
    problem: str | None


class Place(Entity, frozen=True, kw_only=True):
    """What is live in one region (null: the environment has none); null fields: nothing succeeded yet.

    `isUncertain`: an attempt to deploy the version `attempted` broke off half-way after that.
    """

    environment_tag: str
    region: str | None
    version: str | None
    commit_sha: str | None
    since: datetime | None
    triggered_by: str | None
    deployment_id: str | None
    is_uncertain: bool
    attempted: str | None


class ShownVersion(Entity, frozen=True, kw_only=True):
    """`state` is the strongest of `states`, null where there are none; `runsIn` has uncertain places too.

    `unreadable` names the environment tags of which nobody can say what runs there.
    """

    state: str | None
    states: list[StateMark]
    runs_in: list[Place]
    unreadable: list[str]


class ShownState(Entity, frozen=True, kw_only=True):
    """What a state tag says of which version, and the strongest state that counts instead, or as well.

    `isOnVersion` is null where the version has no tag.
    """

    version_tag: str
    version_commit_sha: str | None
    is_on_version: bool | None
    state: str
    strongest: str


class ShownEnvironment(Entity, frozen=True, kw_only=True):
    """The ledger of an environment tag: `closed` are its newest records, `closedCount` how many it has."""

    is_settled: bool
    places: list[Place]
    drift: str | None
    chain_faults: list[str]
    open: list[Deployment]
    closed: list[Deployment]
    closed_count: int


class ShownTag(Entity, frozen=True, kw_only=True):
    """One tag of the remote. The first fields are those of a GitTag, null where a foreign tag has none.

    `objectType` is what the ref points to (`tag`: it is annotated), `targetType` what that leads to; null:
    not known. `problem` says why nobody may rely on the tag, `foreignBecause` why it is none of ours,
    `localNote` where the clone has another tag of that name. `gitLine` shows the tag with plain git.
    """

    tag_id: str
    tag_name: str
    kind: ShownKind
    subproject: str | None
    commit_sha: str
    created_at: datetime | None
    created_by: str | None
    is_movable: bool | None
    is_protected: bool | None
    object_type: str | None
    target_type: str | None
    message: str | None
    signature: ShownSignature | None
    problem: str | None
    foreign_because: str | None
    local_note: str | None
    git_line: str | None
    version: ShownVersion | None = None
    state: ShownState | None = None
    environment: ShownEnvironment | None = None
