"""Ledgers and records for the tests of tags."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import msgspec

from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag.model import Commits, Deployment, Run
from ci_tasks.tag.names import DeploymentKind, DeploymentStatus

if TYPE_CHECKING:
    from ci_tasks.tag.ledger import Ledger

NOON = datetime(2026, 1, 5, 12, 0, 0, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)


def commit_of(version: str) -> str:
    """A commit id that belongs to a version."""
    return hashlib.sha1(version.encode(), usedforsecurity=False).hexdigest()


def record(
    number: int,
    region: str | None = None,
    version: str = "v1.0.0",
    at: datetime = NOON,
    *,
    environment: str = "staging",
    **fields: Any,
) -> Deployment:
    """A running record as a deployment makes it."""
    claim_id = f"20260105T120000Z-{number:06x}"
    commit = commit_of(version)
    made = Deployment(
        deployment_id=f"{claim_id}.{region}" if region else claim_id,
        version=version,
        subproject="api",
        environment=environment,
        region=region,
        status=DeploymentStatus.RUNNING,
        started_at=at,
        completed_at=None,
        triggered_by="Test Person",
        commit_sha=commit,
        concurrency_group=f"deploy-api-{environment}",
        claim_id=claim_id,
        nonce=hashlib.md5(claim_id.encode(), usedforsecurity=False).hexdigest(),
        kind=DeploymentKind.DEPLOY,
        run=Run(id="17", job="deploy", attempt=1, repository="git@example.invalid:x", url=None),
        host="runner",
        commits=Commits(code=commit, config=commit, scripts=commit, rules=commit, secrets=commit),
        inputs=hashlib.sha256(version.encode()).hexdigest(),
        lease_end=at + timedelta(minutes=10),
    )
    return msgspec.structs.replace(made, **fields)


def empty(environment: str = "staging", subproject: str = "api", version: str = "v1.0.0") -> Ledger:
    """The ledger before the first claim."""
    return ledgers.empty(
        repository="git@example.invalid:x",
        subproject=subproject,
        environment=environment,
        target=commit_of(version),
    )


def deployed(
    ledger: Ledger,
    made: Deployment,
    status: DeploymentStatus = DeploymentStatus.SUCCESS,
    regions: tuple[str, ...] = (),
    *,
    started: bool = True,
    took: timedelta = timedelta(minutes=5),
) -> Ledger:
    """The ledger after a claim and its end."""
    claimed = ledgers.claim(ledger, (made,), regions=regions)
    return ledgers.close(
        claimed, made.deployment_id, status, at=made.started_at + took, scripts_started=started
    )


def filled(count: int, *, start: datetime = NOON, gap: timedelta = HOUR, **fields: Any) -> Ledger:
    """A ledger of that many successes of different versions, the oldest at `start`."""
    ledger = empty()
    for number in range(count):
        made = record(number, version=f"v1.0.{number}", at=start + number * gap, **fields)
        ledger = deployed(ledger, made)
    return ledgers.settle_target(ledger)
