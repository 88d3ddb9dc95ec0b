"""Whether a claim may be made, judged anew on each state of the ledger that its push meets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ci_tasks.deploy.claim import PlanOutdatedError, Turn, held_error, left_error, lost_error, queued_error
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag import queue
from ci_tasks.tag.clock import utc_now
from ci_tasks.tag.model import region_key
from ci_tasks.tag.names import DeploymentStatus

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.model import Deployment, Live
    from ci_tasks.tag.store import EnvironmentFact


class Admission:
    """What a claim is made with: its records, what was live when it was planned, and its place in the queue.

    `turn` None: `--wait` was not typed. `retry` is the line that was.
    """

    def __init__(
        self, fact: EnvironmentFact, records: tuple[Deployment, ...], *, retry: str, turn: Turn | None
    ) -> None:
        self._tag = fact.tag
        self._records = records
        self._regions = tuple(record.region for record in records)
        self._turn = turn or Turn()
        self._retry = retry
        may_wait = turn is None and records[0].kind in queue.WAIT
        self._waiting = f"{retry} --wait 10" if may_wait else None
        self._live = {key: _live_in(fact.ledger, key) for key in map(region_key, self._regions)}
        self._drift = fact.drift

    def claimed(
        self,
        state: Ledger | None,
        *,
        drift: str | None,
        regions: tuple[str, ...],
        repository: str,
        lease: timedelta,
    ) -> Ledger:
        """The ledger with our running records; the same one where they are there already.

        Raises ClaimHeldError where somebody holds them or goes first, ClaimLostError where our records were
        ended, PlanOutdatedError where what is live, or the `drift` of the tag, is not what was planned for.
        """
        if state is not None and self._is_ours(state):
            return state
        self._refuse_lost(state)
        now = utc_now()
        base = state or ledgers.empty(
            repository=repository,
            subproject=self._tag.subproject,
            environment=self._tag.environment,
            target=self._records[0].commit_sha,
        )
        earlier = self._earlier(base)
        base = close_finished(base, self._records, now)
        self._refuse_held(base, earlier)
        self._refuse_changed(state, drift)
        base = self._without_needless(base, now)
        fresh = tuple(
            msgspec.structs.replace(record, lease_end=now + lease, status=DeploymentStatus.RUNNING)
            for record in self._records
        )
        return ledgers.claim(base, fresh, regions=regions)

    def _is_ours(self, state: Ledger) -> bool:
        nonce = self._records[0].nonce
        return any(
            record.nonce == nonce and record.status is DeploymentStatus.RUNNING for record in state.open
        )

    def _refuse_lost(self, state: Ledger | None) -> None:
        """Our claim arrived and was ended at once, or our place in the queue was taken away."""
        nonce, waited = self._records[0].nonce, self._turn.records
        ended = [record.deployment_id for record in (state.closed if state else ()) if record.nonce == nonce]
        there = {record.deployment_id for record in (queue.waiting(state) if state else ())}
        gone = ended + [record.deployment_id for record in waited if record.deployment_id not in there]
        if gone:
            raise (left_error if waited else lost_error)(self._tag, state, gone[0])

    def _earlier(self, state: Ledger) -> tuple[Deployment, ...]:
        """Who waits and goes first; a CI job that is run again goes first where its earlier attempt did."""
        attempt = queue.earlier_attempt(state, self._records)
        claim_id = (attempt or self._records[0]).claim_id
        return queue.before(state, self._regions, claim_id=claim_id, passed=self._turn.passed)

    def _refuse_held(self, state: Ledger, earlier: tuple[Deployment, ...]) -> None:
        held = ledgers.holders(state, self._regions)
        if held:
            raise held_error(self._tag, held[0], retry=self._retry, waiting=self._waiting)
        there = {record.deployment_id for record in state.open}
        first = [record for record in earlier if record.deployment_id in there]
        if first and not self._turn.goes_first:
            raise queued_error(self._tag, first, retry=self._retry, waiting=self._waiting)

    def _refuse_changed(self, state: Ledger | None, drift: str | None) -> None:
        """The plan was made for what was live then: after a lost race it may be a downgrade."""
        same = {key: _live_in(state, key) for key in self._live} == self._live
        if same and drift in (None, self._drift):  # which was overridden
            return
        raise PlanOutdatedError(
            f"{self._tag} changed while this deployment was being prepared: its plan does not hold any more.",
            unchanged="Nothing was changed and no script was run.",
            next_step=self._retry,
        )

    def _without_needless(self, state: Ledger, now: datetime) -> Ledger:
        """Close those that waited for a region in which, by now, nothing is to be done."""
        names = {record.deployment_id for record in self._records}
        for record in self._turn.records:
            if record.deployment_id not in names:
                state = ledgers.close(
                    state,
                    record.deployment_id,
                    DeploymentStatus.CANCELLED,
                    at=now,
                    ended_by="when its turn came, the version was live there already",
                )
        return state


def close_finished(state: Ledger, records: tuple[Deployment, ...], now: datetime) -> Ledger:
    """Close what is in the way of these records and long over, or an earlier attempt of their own CI run."""
    regions = tuple(record.region for record in records)
    held = state = ledgers.close_expired(state, regions, at=now, except_for=records[0].claim_id)
    for record in (*ledgers.holders(state, regions), *queue.before(state, regions)):
        if queue.is_rerun(held, record, records):
            # The owner may have died between a script's start and the record of it: think the worst.
            state = ledgers.close(
                state,
                record.deployment_id,
                DeploymentStatus.CANCELLED,
                at=now,
                ended_by=f"attempt {_attempt(records[0])} of the same CI run took over",
                scripts_started=record.status is DeploymentStatus.RUNNING,
            )
    return state


def _attempt(record: Deployment) -> int | str:
    return record.run.attempt if record.run else "?"


def _live_in(state: Ledger | None, key: str) -> Live | None:
    return state.header.live.get(key) if state else None
