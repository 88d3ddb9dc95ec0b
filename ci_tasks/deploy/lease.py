"""The claim on an environment: made, renewed, settled, and noticed when it is lost.

Every change is one compare-and-swap of the environment tag. The owner counts its lease on the monotonic
clock from before the push that made or renewed it, and stops its scripts before the end if no renewal
went through; others wait for `TAKEOVER_GRACE` after the end by their own clock.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from ci_tasks.core.command_line import typed
from ci_tasks.core.errors import CiTasksError, ConflictError, UnavailableError, UnknownOutcomeError
from ci_tasks.deploy.claim import ClaimLostError, StopAskedError, held_error, lost_error
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag.annotation import UnreadableLedgerError
from ci_tasks.tag.clock import utc_now
from ci_tasks.tag.limits import shortened
from ci_tasks.tag.lines import options
from ci_tasks.tag.model import region_key
from ci_tasks.tag.names import DeploymentStatus
from ci_tasks.tag.writer import LedgerWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Sequence
    from datetime import datetime

    from ci_tasks.core.git.origin import RemoteRef
    from ci_tasks.core.git.repository import Identity
    from ci_tasks.core.process.running import StopRequest
    from ci_tasks.tag.model import Deployment, Live
    from ci_tasks.tag.store import EnvironmentFact, TagStore

LAST_TRY = 5.0
"""Seconds before the end of the lease after which a result is not pushed again."""


class Lease:
    """One claim's records on one environment tag. Methods may be called from several threads."""

    def __init__(
        self,
        store: TagStore,
        fact: EnvironmentFact,
        records: Sequence[Deployment],
        *,
        seconds: float,
        identity: Identity,
        retry: str,
        abandon: Callable[[], bool],
        hurry: Callable[[], bool],
    ) -> None:
        self.tag = fact.tag
        self.seconds = seconds
        self.retry = retry
        self.records = {record.deployment_id: record for record in records}
        self.nonce = records[0].nonce
        self.claim_id = records[0].claim_id
        self._writer = LedgerWriter(store, fact.tag, identity=identity, fact=fact)
        self._abandon, self._hurry = abandon, hurry
        self._planned_live = {
            key: _live_in(fact.ledger, key) for key in (region_key(record.region) for record in records)
        }
        self._planned_drift = fact.drift
        self.trouble: CiTasksError | None = None
        """Why the scripts had to be stopped, where the claim was the reason."""
        self._not_renewed: CiTasksError | None = None
        self._expires = 0.0
        self._lock = threading.RLock()

    @property
    def ledger(self) -> ledgers.Ledger | None:
        """The ledger as we last read or wrote it."""
        return self._writer.fact.ledger

    def acquire(
        self,
        *,
        regions: tuple[str, ...],
        repository: str,
        pinned: Sequence[RemoteRef],
        stop: Callable[[], bool],
    ) -> None:
        """Add our running records in one push.

        Raises ClaimHeldError at once where somebody holds them, ConflictError where the version tag moved
        or every race was lost, UnknownOutcomeError where the remote's answer can't be found out.
        """

        def claimed(state: ledgers.Ledger | None) -> ledgers.Ledger:
            base = state or ledgers.empty(
                repository=repository,
                subproject=self.tag.subproject,
                environment=self.tag.environment,
                target=next(iter(self.records.values())).commit_sha,
            )
            if state is not None and self._ours(state):
                return state
            if state is not None and any(record.nonce == self.nonce for record in state.closed):
                # It arrived, and was ended at once.
                raise lost_error(self.tag, state, next(iter(self.records)))
            now = utc_now()
            base = self._close_finished(base, now)
            self._refuse_held(base)
            self._refuse_changed(state)
            end = now + timedelta(seconds=self.seconds)
            fresh = tuple(_with_lease(record, end) for record in self.records.values())
            return ledgers.claim(base, fresh, regions=regions)

        self._update(claimed, what=f"claim {self.tag}", pinned=pinned, stop=stop)

    def _close_finished(self, state: ledgers.Ledger, now: datetime) -> ledgers.Ledger:
        """Close the records in our way whose lease is over, or that are ours from an earlier attempt."""
        mine = next(iter(self.records.values()))
        regions = tuple(record.region for record in self.records.values())
        held = state = ledgers.close_expired(state, regions, at=now)
        for record in ledgers.holders(state, regions):
            if self._is_rerun_of(record, mine, held):
                # The owner may have died between a script's start and the record of it: think the worst.
                state = ledgers.close(
                    state,
                    record.deployment_id,
                    DeploymentStatus.CANCELLED,
                    at=now,
                    ended_by=f"attempt {mine.run.attempt if mine.run else '?'} of the same CI run took over",
                    scripts_started=True,
                )
        return state

    def _is_rerun_of(self, held: Deployment, mine: Deployment, state: ledgers.Ledger) -> bool:
        """Only an equal repository, run, job, version and regions with a higher attempt is a re-run."""
        if held.run is None or mine.run is None or held.run.attempt >= mine.run.attempt:
            return False
        theirs = {record.region for record in state.open if record.claim_id == held.claim_id}
        ours = {record.region for record in self.records.values()}
        return (held.run.repository, held.run.id, held.run.job, held.version, theirs) == (
            mine.run.repository,
            mine.run.id,
            mine.run.job,
            mine.version,
            ours,
        )

    def _refuse_held(self, state: ledgers.Ledger) -> None:
        held = ledgers.holders(state, tuple(record.region for record in self.records.values()))
        if not held:
            return
        raise held_error(self.tag, held[0], retry=self.retry)

    def _refuse_changed(self, state: ledgers.Ledger | None) -> None:
        """The plan was made for what was live then: after a lost race it may be a downgrade."""
        same = {key: _live_in(state, key) for key in self._planned_live} == self._planned_live
        if same and self._writer.fact.drift in (None, self._planned_drift):  # which was overridden
            return
        raise ConflictError(
            f"{self.tag} changed while this deployment was being prepared: its plan does not hold any more.",
            unchanged="Nothing was changed and no script was run.",
            next_step=self.retry,
        )

    def start_anew_if_late(self) -> None:
        """Renew at once where the claim's push has used up much of the lease: scripts need time to work."""
        if self._expires - clock() < self.seconds * 2 / 3:
            self.renew()

    @contextmanager
    def renewed(self, stop: StopRequest) -> Iterator[None]:
        """Renew in the background; ask `stop` to end the scripts when the claim is lost or about to be."""
        done = threading.Event()
        threads = [
            threading.Thread(target=work, args=(done, stop), name=work.__name__, daemon=True)
            for work in (self._renew_until, self._watch_until)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            done.set()
            for thread in threads:
                thread.join()

    def _renew_until(self, done: threading.Event, stop: StopRequest) -> None:
        pause = every = self.seconds * 0.3
        while not done.wait(pause):
            try:
                self.renew(stop=done.is_set)
                pause = every
            except (ClaimLostError, UnreadableLedgerError) as error:
                self._give_up(error, stop)
                return
            except CiTasksError as error:
                pause = min(every, 5.0)
                self._not_renewed = error

    def _watch_until(self, done: threading.Event, stop: StopRequest) -> None:
        """End the scripts in time, also while a push hangs or waits for another one's end."""
        margin = min(60.0, self.seconds * 0.2)
        while not done.wait(max(0.05, self._expires - margin - clock())):
            if clock() >= self._expires - margin:
                error = self._not_renewed or UnavailableError("The remote has not answered.")
                what = f"The claim {self.claim_id} could not be renewed in time: its scripts were stopped."
                self._give_up(self._explained(error, what), stop)
                return

    def _give_up(self, error: CiTasksError, stop: StopRequest) -> None:
        self.trouble = self.trouble or error
        stop.request(error.what)

    def renew(self, *, stop: Callable[[], bool] = lambda: False) -> None:
        """Push the end of the lease back; StopAskedError where somebody wants us to stop."""

        def extended(state: ledgers.Ledger | None) -> ledgers.Ledger:
            mine = self._still_running(state)
            asked = next((record.stop_requested for record in mine if record.stop_requested), None)
            if asked is not None:
                raise StopAskedError(
                    f"Stopped because it was asked to: {asked}",
                    unchanged=f"{self.tag} keeps its target.",
                    next_step=typed(f"deploy.status {options(self.tag)}"),
                )
            assert state is not None  # noqa: S101 - _still_running raises for None
            return self._extend(state)

        self._update(extended, what=f"renew the claim on {self.tag}", stop=stop, abandon=self._hurry)

    def _extend(self, state: ledgers.Ledger, *, except_for: Container[str] = ()) -> ledgers.Ledger:
        """Every push of ours renews the records that we keep, so that the clock may start anew."""
        end = utc_now() + timedelta(seconds=self.seconds)
        for record in state.open:
            if record.nonce == self.nonce and record.deployment_id not in except_for:
                # A clock that was put back takes nothing from a lease.
                state = ledgers.change(
                    state, record.deployment_id, lease_end=max(end, record.lease_end or end)
                )
        return state

    def settle(
        self,
        results: dict[str, tuple[DeploymentStatus, bool, str | None]],
        *,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Close records: deployment id -> status, whether scripts had started, who or what ended it.

        Raises ClaimLostError where one is no longer ours, UnknownOutcomeError where no answer comes.
        """

        def settled(state: ledgers.Ledger | None) -> ledgers.Ledger:
            for deployment_id, (status, started, ended_by) in results.items():
                if _is_closed_as(state, deployment_id, self.nonce, status):
                    continue
                self._still_running(state, only=deployment_id)
                assert state is not None  # noqa: S101 - _still_running raises for None
                state = ledgers.close(
                    state,
                    deployment_id,
                    status,
                    at=utc_now(),
                    ended_by=None if ended_by is None else shortened(ended_by),
                    scripts_started=started,
                )
            assert state is not None  # noqa: S101 - there is at least one result
            return self._extend(state, except_for=results)

        try:
            self._update(settled, what=f"record the result in {self.tag}", stop=stop, patient=True)
        except (ClaimLostError, UnreadableLedgerError, UnknownOutcomeError):
            raise
        except CiTasksError as error:
            what = f"The result could not be recorded in {self.tag}"
            what += f": the claim {self.claim_id} stands until its lease ends."
            raise self._explained(error, what) from None
        for deployment_id in results:
            self.records.pop(deployment_id, None)

    def _update(
        self,
        step: Callable[[ledgers.Ledger | None], ledgers.Ledger],
        *,
        what: str,
        pinned: Sequence[RemoteRef] = (),
        stop: Callable[[], bool] = lambda: False,
        patient: bool = False,
        abandon: Callable[[], bool] | None = None,
    ) -> None:
        """One change of the ledger; every one of them starts the lease anew."""
        with self._lock:
            self._writer.abandon = abandon or self._abandon
            began = clock()
            self._writer.update(
                step,
                what=what,
                later=self._later,
                retry=self.retry,
                pinned=pinned,
                stop=stop,
                patience=lambda: patient and not stop() and clock() < self._expires - LAST_TRY,
            )
            self._expires = began + self.seconds

    @property
    def _later(self) -> str:
        """The line that finds out what became of this deployment."""
        return typed(f"deploy.settle {options(self.tag)} --deployment {self.claim_id}")

    def _explained(self, error: CiTasksError, what: str) -> CiTasksError:
        """The same error, told from the deployment's side, with the line that finds out later."""
        error.details = (error.what, *error.details)
        error.what = what
        error.unchanged = f"{self.tag} was not moved by this."
        error.next_step = self._later
        return error

    def _ours(self, state: ledgers.Ledger) -> bool:
        return any(record.nonce == self.nonce for record in state.open)

    def _still_running(self, state: ledgers.Ledger | None, *, only: str | None = None) -> list[Deployment]:
        """Our open records; ClaimLostError where one that we still hold is not among them."""
        found = {record.deployment_id: record for record in (state.open if state else ())}
        mine: list[Deployment] = []
        for deployment_id in [only] if only else list(self.records):
            record = found.get(deployment_id)
            if record is None or record.nonce != self.nonce or record.status is not DeploymentStatus.RUNNING:
                raise lost_error(self.tag, state, deployment_id)
            mine.append(record)
        return mine


def clock() -> float:
    """Seconds that go on while the machine sleeps, as those of a lease do for everybody else."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def _live_in(state: ledgers.Ledger | None, key: str) -> Live | None:
    return state.header.live.get(key) if state else None


def _with_lease(record: Deployment, end: datetime) -> Deployment:
    return msgspec.structs.replace(record, lease_end=end, status=DeploymentStatus.RUNNING)


def _is_closed_as(
    state: ledgers.Ledger | None, deployment_id: str, nonce: str | None, status: DeploymentStatus
) -> bool:
    return any(
        record.deployment_id == deployment_id and record.nonce == nonce and record.status is status
        for record in (state.closed if state else ())
    )
