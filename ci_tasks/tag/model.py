"""The entities of tags: GitTag, Deployment, and the header of an environment tag's ledger."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from ci_tasks.core.entity import Entity
from ci_tasks.tag.names import DeploymentKind, DeploymentStatus, TagType

SCHEMA = 1
"""Version of the annotation's form; a newer one is never touched."""

# `$(?!\n)`: Python's `$` also matches before a last line end; JSON Schema knows no `\Z`.
Moment = Annotated[datetime, Meta(tz=True)]
CommitId = Annotated[str, Meta(pattern=r"^(?:[0-9a-f]{40}|[0-9a-f]{64})$(?!\n)")]
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
RegionName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$(?!\n)")]
RegionKey = Annotated[str, Meta(pattern=r"^(?:[a-z0-9][a-z0-9-]{0,39})?$(?!\n)")]
RecordId = Annotated[
    str, Meta(pattern=r"^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}(?:\.[a-z0-9][a-z0-9-]{0,39})?$(?!\n)")
]


class GitTag(Entity, frozen=True, kw_only=True):
    """A tag as the remote has it. `tagId` is the id of the tag object; `commitSha` what it peels to."""

    tag_id: str
    tag_name: str
    tag_type: TagType
    subproject: str | None
    commit_sha: str
    created_at: datetime | None
    created_by: str | None
    is_movable: bool
    is_protected: bool


class Commits(Entity, frozen=True, kw_only=True):
    """The commits that a deployment used: code and config are the version's, the others the checkout's."""

    code: CommitId
    config: CommitId
    scripts: CommitId | None
    rules: CommitId | None
    secrets: CommitId | None


class Run(Entity, frozen=True, kw_only=True):
    """The CI run that made a record: `id` and `job` identify it, `attempt` counts its re-runs from 1."""

    id: str
    job: str
    attempt: int
    repository: str
    url: str | None


class Override(Entity, frozen=True, kw_only=True):
    """Why a rule was passed over, and who signed for it."""

    reason: str
    signer: str | None


class Deployment(Entity, frozen=True, kw_only=True, dict=True):
    """One attempt to bring a version into one region (null: the environment has no regions).

    Times are UTC. The fields behind `estimatedWaitTime` (seconds) are the ledger's own: `claimId` joins the
    regions of one claim, `nonce` proves who made it, `inputs` is the SHA-256 of the scripts that ran,
    `seq` and `prev` chain the closed records, `digest` is the SHA-256 of a record that was shrunk,
    `uncommitted` names files of the checkout that were used other than committed (20 at most). `reviews` is
    set in a record of kind REVIEW alone: the deployment or claim whose override it has looked at. `labels`
    are those that were given for rules such as `freeze`, which exempt some.
    A record that was read remembers its line (`dict=True`); no copy of it does, nor its JSON.
    """

    deployment_id: RecordId
    version: str
    subproject: str | None
    environment: str
    region: RegionName | None
    status: DeploymentStatus
    started_at: Moment
    completed_at: Moment | None
    triggered_by: str
    commit_sha: CommitId
    concurrency_group: str
    queue_position: int | None = None
    estimated_wait_time: float | None = None
    claim_id: RecordId
    nonce: str | None
    kind: DeploymentKind
    override: Override | None = None
    reason: str | None = None
    run: Run | None = None
    host: str | None = None
    commits: Commits | None = None
    inputs: str | None = None
    scripts_started: bool = False
    lease_end: Moment | None = None
    stop_requested: str | None = None
    ended_by: str | None = None
    seq: int | None = None
    prev: Digest | None = None
    digest: Digest | None = None
    uncommitted: tuple[str, ...] = ()
    reviews: RecordId | None = None
    labels: tuple[str, ...] = ()


class Live(Entity, frozen=True, kw_only=True):
    """What runs in a region: its newest SUCCESS, and `uncertain` if a later attempt broke off half-way.

    All but `uncertain` and `attempted` are null where nothing ever succeeded.
    """

    version: str | None
    commit_sha: CommitId | None
    since: Moment | None
    triggered_by: str | None
    deployment_id: RecordId | None
    inputs: str | None
    uncertain: bool
    attempted: str | None


class Cut(Entity, frozen=True, kw_only=True):
    """What was dropped from the old end of the ledger: up to record `seq`, whose SHA-256 is given."""

    seq: int
    sha256: Digest


class Header(Entity, frozen=True, kw_only=True):
    """First line of the ledger. `live` is keyed by region, with an empty key for an environment without any.

    `target` is the commit that the tag was made to stand on; `replaces` the tag object that it replaced.
    """

    schema: int
    repository: str
    subproject: str | None
    environment: str
    regions: tuple[RegionName, ...]
    live: dict[RegionKey, Live]
    settled: bool
    target: CommitId
    replaces: CommitId | None
    cut: Cut | None


def region_key(region: str | None) -> str:
    """Key of a region in the live map."""
    return region or ""
