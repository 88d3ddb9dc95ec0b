"""The entities of tags: GitTag, Deployment, and the header of an environment tag's ledger."""

from __future__ import annotations

from datetime import datetime

from ci_tasks.core.entity import Entity
from ci_tasks.tag.names import DeploymentKind, DeploymentStatus, TagType

SCHEMA = 1
"""Version of the annotation's form; a newer one is never touched."""


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

    code: str
    config: str
    scripts: str | None
    rules: str | None
    secrets: str | None


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


class Deployment(Entity, frozen=True, kw_only=True):
    """One attempt to bring a version into one region (null: the environment has no regions).

    Times are UTC. The fields behind `estimatedWaitTime` (seconds) are the ledger's own: `claimId` joins the
    regions of one claim, `nonce` proves who made it, `inputs` is the SHA-256 of the scripts that ran,
    `seq` and `prev` chain the closed records, `digest` is the SHA-256 of a record that was shrunk,
    `uncommitted` names files of the checkout that were used other than committed (20 at most).
    """

    deployment_id: str
    version: str
    subproject: str | None
    environment: str
    region: str | None
    status: DeploymentStatus
    started_at: datetime
    completed_at: datetime | None
    triggered_by: str
    commit_sha: str
    concurrency_group: str
    queue_position: int | None = None
    estimated_wait_time: float | None = None
    claim_id: str
    nonce: str | None
    kind: DeploymentKind
    override: Override | None = None
    reason: str | None = None
    run: Run | None = None
    host: str | None = None
    commits: Commits | None = None
    inputs: str | None = None
    scripts_started: bool = False
    lease_end: datetime | None = None
    stop_requested: str | None = None
    ended_by: str | None = None
    seq: int | None = None
    prev: str | None = None
    digest: str | None = None
    uncommitted: tuple[str, ...] = ()


class Live(Entity, frozen=True, kw_only=True):
    """What runs in a region: its newest SUCCESS, and `uncertain` if a later attempt broke off half-way.

    All but `uncertain` and `attempted` are null where nothing ever succeeded.
    """

    version: str | None
    commit_sha: str | None
    since: datetime | None
    triggered_by: str | None
    deployment_id: str | None
    inputs: str | None
    uncertain: bool
    attempted: str | None


class Cut(Entity, frozen=True, kw_only=True):
    """What was dropped from the old end of the ledger: up to record `seq`, whose SHA-256 is given."""

    seq: int
    sha256: str


class Header(Entity, frozen=True, kw_only=True):
    """First line of the ledger. `live` is keyed by region, with an empty key for an environment without any.

    `target` is the commit that the tag was made to stand on; `replaces` the tag object that it replaced.
    """

    schema: int
    repository: str
    subproject: str | None
    environment: str
    regions: tuple[str, ...]
    live: dict[str, Live]
    settled: bool
    target: str
    replaces: str | None
    cut: Cut | None


def region_key(region: str | None) -> str:
    """Key of a region in the live map."""
    return region or ""
