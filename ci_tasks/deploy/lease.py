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

from ci_tasks.core.command_line import typed
from ci_tasks.core.errors import CiTasksError, UnavailableError, UnknownOutcomeError
from ci_tasks.core.failpoint import failpoint
from ci_tasks.deploy.claim import ClaimLostError, StopAskedError, lost_error
from ci_tasks.deploy.queue.admission import Admission
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag.annotation import UnreadableLedgerError
from ci_tasks.tag.clock import utc_now
from ci_tasks.tag.grammar import ref_of
from ci_tasks.tag.limits import shortened
from ci_tasks.tag.lines import options
from ci_tasks.tag.names import DeploymentStatus
from ci_tasks.tag.writer import LedgerWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Sequence

    from ci_tasks.core.git.origin import RemoteRef
    from ci_tasks.core.git.repository import Identity
    from ci_tasks.core.process.running import StopRequest
    from ci_tasks.deploy.claim import Turn
    from ci_tasks.tag.model import Deployment
    from ci_tasks.tag.store import EnvironmentFact, TagStore

LAST_TRY = 5.0
"""Seconds before the end of the lease after which a result is not pushed again."""
LOOK = 12.0
"""Seconds between two looks at whether somebody wants us to stop, where renewals are further apart."""


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
        turn: Turn | None = None,
    ) -> None:
        self.tag = fact.tag
        self.seconds = seconds
        self.retry = retry
        self.records = {record.deployment_id: record for record in records}
        self.nonce = records[0].nonce
        self.claim_id = records[0].claim_id
        self._writer = LedgerWriter(store, fact.tag, identity=identity, fact=fact)
        self._abandon, self._hurry = abandon, hurry
        self._store = store
        self._admission = Admission(fact, tuple(records), retry=retry, turn=turn)
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
        """Add our running records in one push, or let those run that waited.

        Raises ClaimHeldError at once where somebody holds them or goes first, PlanOutdatedError where what is
        live has changed, ClaimLostError where our place in the queue is gone, ConflictError where the version
        tag moved or every race was lost, UnknownOutcomeError where the remote's answer can't be found out.
        """

        def claimed(state: ledgers.Ledger | None) -> ledgers.Ledger:
            return self._admission.claimed(
                state,
                drift=self._writer.fact.drift,
                regions=regions,
                repository=repository,
                lease=timedelta(seconds=self.seconds),
            )

        self._update(claimed, what=f"claim {self.tag}", pinned=pinned, stop=stop)

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
        every = self.seconds * 0.3
        due = clock() + every
        while not done.wait(max(0.0, min(due - clock(), LOOK))):
            is_due = clock() >= due
            try:
                if is_due or self._is_unwanted():
                    self.renew(stop=done.is_set)
                    due = clock() + every
            except (ClaimLostError, UnreadableLedgerError) as error:
                self._give_up(error, stop)
                return
            except CiTasksError as error:
                if is_due:
                    due = clock() + min(every, 5.0)
                    self._not_renewed = error

    def _is_unwanted(self) -> bool:
        """Whether the claim seems to be broken, or asked to stop; a renewal finds out whether it is.

        A push of ours may have carried a request along, so that the tag stands where we left it.
        """
        fact = self._writer.fact
        is_ours = self._store.origin.tip(ref_of(self.tag)) == fact.object_id
        state = fact.ledger if is_ours else self._store.environment(self.tag).ledger
        with self._lock:
            found = {record.deployment_id: record for record in (state.open if state else ())}
            mine = [found.get(deployment_id) for deployment_id in self.records]
            return any(record is None or record.stop_requested is not None for record in mine)

    def _watch_until(self, done: threading.Event, stop: StopRequest) -> None:
        """End the scripts in time, also while a push hangs or waits for another one's end."""
        margin = min(60.0, self.seconds * 0.2)
        while not done.wait(max(0.05, self._expires - margin - clock())):
            if clock() >= self._expires - margin:
                error = self._not_renewed or UnavailableError("The remote has not answered.")
                what = f"The claim {self.claim_id} could not be renewed in time: its scripts were stopped."
                self._give_up(self._explained(error, what), stop)
                return

    def heed(self, stop: StopRequest) -> None:
        """Ask `stop` to end what we do where the ledger, as we last saw it, asks us to; nothing is read."""
        with self._lock:
            mine = [record for record in self._open() if record.deployment_id in self.records]
        asked = self._asked(mine)
        if asked is not None:
            self._give_up(asked, stop)

    def _open(self) -> tuple[Deployment, ...]:
        return self.ledger.open if self.ledger else ()

    def _asked(self, mine: Sequence[Deployment]) -> StopAskedError | None:
        """The error where somebody has asked one of these records to stop."""
        asked = next((record.stop_requested for record in mine if record.stop_requested), None)
        if asked is None:
            return None
        return StopAskedError(
            f"Stopped because it was asked to: {asked}",
            unchanged=f"{self.tag} keeps its target.",
            next_step=typed(f"deploy.status {options(self.tag)}"),
        )

    def _give_up(self, error: CiTasksError, stop: StopRequest) -> None:
        self.trouble = self.trouble or error
        stop.request(error.what)

    def renew(self, *, stop: Callable[[], bool] = lambda: False) -> None:
        """Push the end of the lease back; StopAskedError where somebody wants us to stop."""
        failpoint("before_renew")

        def extended(state: ledgers.Ledger | None) -> ledgers.Ledger:
            mine = self._still_running(state)
            asked = self._asked(mine)
            if asked is not None:
                raise asked
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
            with self._lock:
                self._update(settled, what=f"record the result in {self.tag}", stop=stop, patient=True)
                for deployment_id in results:
                    self.records.pop(deployment_id, None)
        except (ClaimLostError, UnreadableLedgerError, UnknownOutcomeError):
            raise
        except CiTasksError as error:
            what = f"The result could not be recorded in {self.tag}"
            what += f": the claim {self.claim_id} stands until its lease ends."
            raise self._explained(error, what) from None

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


def _is_closed_as(
    state: ledgers.Ledger | None, deployment_id: str, nonce: str | None, status: DeploymentStatus
) -> bool:
    return any(
        record.deployment_id == deployment_id and record.nonce == nonce and record.status is status
        for record in (state.closed if state else ())
    )
