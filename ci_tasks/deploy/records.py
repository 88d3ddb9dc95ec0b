"""The records of a new claim, or of an assignment: one for each region, made from the facts of the plan."""

from __future__ import annotations

import secrets
import socket
from typing import TYPE_CHECKING

import msgspec

from ci_tasks.tag.limits import fitted
from ci_tasks.tag.model import Deployment
from ci_tasks.tag.names import DeploymentKind, DeploymentStatus

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from ci_tasks.deploy.claim import Turn
    from ci_tasks.deploy.model import Facts
    from ci_tasks.tag.model import Commits

MOST_NAMED = 20
"""Uncommitted files that a record names: it has to stay small."""


def new_claim_id(now: datetime) -> str:
    """An id that nobody else has; it begins with the time, so that people find their way."""
    return f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def new_records(
    facts: Facts,
    regions: Iterable[str | None],
    *,
    concurrency_group: str,
    commits: Commits,
    inputs: str | None,
    is_overridden: bool,
    by: str,
    now: datetime,
    turn: Turn | None = None,
) -> tuple[Deployment, ...]:
    """One running record for each of these regions, under one claim id and one nonce.

    `inputs` is None where no script is run; `is_overridden` where the plan passes a rule by the override.
    Those that waited for their `turn` stay what they are, but for what is found out when they run.
    """
    claim_id, nonce = new_claim_id(now), secrets.token_hex(16)
    made = tuple(
        fitted(
            Deployment(
                deployment_id=f"{claim_id}.{region}" if region else claim_id,
                version=str(facts.version.tag.version),
                subproject=facts.tag.subproject or None,
                environment=facts.tag.environment,
                region=region,
                status=DeploymentStatus.RUNNING,
                started_at=now,
                completed_at=None,
                triggered_by=by,
                commit_sha=facts.version.commit,
                concurrency_group=concurrency_group,
                claim_id=claim_id,
                nonce=nonce,
                kind=facts.request.kind,
                override=facts.override if is_overridden else None,
                reason=facts.request.reason or _origin(facts),
                run=facts.run,
                host=socket.gethostname(),
                commits=commits,
                inputs=inputs,
                uncommitted=facts.changed_paths[:MOST_NAMED],
                labels=facts.request.labels,
            )
        )
        for region in regions
    )
    waited = {record.region: record for record in turn.records} if turn else {}
    return tuple(at_its_turn(waited[each.region], each) if waited else each for each in made)


def _origin(facts: Facts) -> str | None:
    """Where a promotion took its version from: a record has no other place for it."""
    is_promotion = facts.request.kind is DeploymentKind.PROMOTE
    return f"from {facts.request.source}" if is_promotion else None


def at_its_turn(waiting: Deployment, running: Deployment) -> Deployment:
    """The record that waited, as it runs: `running` is what a new one would be."""
    return msgspec.structs.replace(
        waiting,
        status=DeploymentStatus.RUNNING,
        started_at=max(running.started_at, waiting.started_at),
        host=running.host,
        commits=running.commits,
        inputs=running.inputs,
        uncommitted=running.uncommitted,
        override=waiting.override if running.override else None,  # it may not be needed any more
        queue_position=None,
        estimated_wait_time=None,
    )
