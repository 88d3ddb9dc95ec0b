"""A deployment's place in the queue: joined, watched until its turn has come, and left.

A waiter writes only to join, to claim and to leave; in between it reads one ref every few seconds.
"""

from __future__ import annotations

import os
import random
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import msgspec

from ci_tasks.core import console, signals
from ci_tasks.core.errors import (
    CancelledError,
    CiTasksError,
    ConflictError,
    UnavailableError,
    UnknownOutcomeError,
)
from ci_tasks.core.failpoint import failpoint
from ci_tasks.core.git.origin import MovedError
from ci_tasks.deploy.ci import triggered_by
from ci_tasks.deploy.claim import Turn, held_error, left_error, queued_error
from ci_tasks.deploy.lease import clock
from ci_tasks.deploy.model import line_of
from ci_tasks.deploy.queue.admission import close_finished
from ci_tasks.deploy.queue.turn import refuse_elsewhere, refuse_other
from ci_tasks.deploy.queue.wait import place_text, waiting_line
from ci_tasks.deploy.records import new_records
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag import queue
from ci_tasks.tag.clock import utc_now
from ci_tasks.tag.grammar import ref_of
from ci_tasks.tag.lines import history_line
from ci_tasks.tag.model import Commits
from ci_tasks.tag.names import DeploymentStatus
from ci_tasks.tag.queue import LONGEST_WAIT
from ci_tasks.tag.writer import LedgerWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from ci_tasks.core.checkout import Checkout
    from ci_tasks.deploy.deployment import Prepared
    from ci_tasks.deploy.model import Request
    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.model import Deployment

POLLS = (2.0, 4.0)
"""Seconds between two looks, at random between these, so that waiters spread."""
TOLD_AGAIN = 30.0
"""Seconds after which a waiter says once more what has not changed."""
WORTH_TYPING = 600.0
"""Seconds of a wait that is offered to whom a shorter one was not enough; else it is twice as long."""
LEAVING = 5.0
"""Seconds that leaving may take: what is left behind counts as over when the wait is."""


@contextmanager
def left_at_the_end(place: Place) -> Iterator[Place]:
    """Whatever happens, the place does not stay behind."""
    try:
        yield place
    except CancelledError as error:
        if error.unchanged is None:
            error.unchanged = "No script was run: the deployment only waited for its turn."
        raise
    finally:
        with signals.deferred():  # a second Ctrl-C would leave the place behind
            console.refresh("")
            place.end()


class Place:
    """One deployment's place: nothing is written before it is found out that there is somebody to wait for.

    `again` reads and plans anew what a request asks for; it is told the claim that waits, if there is one.
    `seconds` are those that may be spent waiting.
    """

    def __init__(
        self,
        checkout: Checkout,
        prepared: Prepared,
        *,
        again: Callable[[Request, str | None], Prepared],
        seconds: float,
    ) -> None:
        self._store = prepared.reading.store
        self._tag = prepared.reading.facts.tag
        self._identity = checkout.repository.identity()
        self._first = prepared
        self._again = again
        self._ends = clock() + seconds
        self._fact = prepared.reading.facts.environment
        self._records: tuple[Deployment, ...] = ()
        self._nonce: str | None = None
        self._is_taken = False
        self._beaten: CiTasksError | None = None
        self._patience = queue.Patience()
        self._told: tuple[object, float] = (None, 0.0)
        request = replace(prepared.reading.facts.request, version=prepared.plan.version)
        # Whoever was asked, or typed it, agreed to this plan; a plan that is older still is none of it.
        is_agreed = request.yes or any(region.is_downgrade for region in prepared.plan.to_do)
        self._request = replace(request, yes=is_agreed)
        longer = min(LONGEST_WAIT.total_seconds(), max(WORTH_TYPING, 2 * seconds))
        self._retry = line_of(replace(request, wait=longer), prepared.plan.subproject)

    def end(self) -> None:
        """Leave, if there is a place and the claim was not made; a remote that is away is a warning."""
        if self._is_taken or self._nonce is None:
            return
        try:
            self._leave()
        except CiTasksError as failure:
            console.warn(
                f"The place in the queue of {self._tag} could not be given up: {failure.what}"
                " It counts as left when its wait is over."
            )

    @property
    def _claim_id(self) -> str | None:
        return self._records[0].claim_id if self._records else None

    @property
    def _regions(self) -> tuple[str | None, ...]:
        return tuple(record.region for record in self._records)

    def taken(self) -> None:
        """The claim was made: there is no place any more that could be left."""
        self._is_taken = True

    def beaten(self, error: CiTasksError) -> None:
        """Somebody was faster, or the remote is away: wait on. Raises the error where no time is left."""
        self._beaten = error
        if isinstance(error, UnavailableError):
            self._pause(error)
        elif clock() >= self._ends:
            raise error

    def turn(self, prepared: Prepared) -> Prepared:
        """The deployment that may claim now: as it was planned, or planned anew once its turn had come.

        What was planned anew may be refused by a rule, or have nothing to do: that is for the caller to see.
        Raises ConflictError where the time is up or the place was taken away, RefusedError where the plan has
        become another one than was agreed to.
        """
        if self._beaten is not None:
            prepared = self._anew()
        while self._has_to_wait(prepared):
            if self._records or self._has_joined(prepared):
                self._wait()
            prepared = self._anew()
        turn = Turn(records=self._records, passed=self._patience.passed)
        return replace(prepared, reading=replace(prepared.reading, turn=turn))

    def _has_to_wait(self, prepared: Prepared) -> bool:
        made, state = prepared.plan, prepared.reading.facts.environment.ledger
        if made.refusals or not made.to_do or state is None:
            return False
        regions = tuple(region.region for region in made.to_do)
        return bool(self._in_the_way(state, regions))

    def _in_the_way(self, state: Ledger, regions: tuple[str | None, ...]) -> tuple[Deployment, ...]:
        passed = self._patience.passed
        return queue.in_the_way(state, regions, now=utc_now(), claim_id=self._claim_id, passed=passed)

    def _anew(self) -> Prepared:
        """The same version, to the same regions, as it has to be planned by now."""
        regions = tuple(region for region in self._regions if region is not None)
        request = replace(self._request, regions=regions) if regions else self._request
        while True:
            began = clock()
            try:
                prepared = replace(self._again(request, self._claim_id), clock=self._first.clock)
            except (UnavailableError, MovedError) as error:
                self._pause(error)
            else:
                break
        refuse_other(self._first, prepared)
        if self._records:
            refuse_elsewhere(self._regions, prepared)
        self._fact = prepared.reading.facts.environment
        if self._fact.ledger is not None:  # a gap in the looks counts here too
            self._patience.look(self._fact.ledger, now=utc_now(), at=began)
        return prepared

    def _pause(self, error: CiTasksError) -> None:
        """Wait a moment for a remote that is away; raises the error where no time is left."""
        left = self._ends - clock()
        if left <= 0:
            raise error
        self._say(f"Waiting for {self._tag}: the remote does not answer.", news=type(error))
        time.sleep(min(left, random.uniform(*POLLS)))  # noqa: S311 - jitter, no secret

    def _has_joined(self, prepared: Prepared) -> bool:
        """Join; False where the remote was away, so that everything has to be read again."""
        try:
            self._join(prepared)
        except UnavailableError as error:
            self._pause(error)
            return False
        return True

    def _join(self, prepared: Prepared) -> None:
        """Add our waiting records behind all others, in one push."""
        records = self._new_records(prepared)
        self._nonce = records[0].nonce

        def joined(state: Ledger | None) -> Ledger:
            facts = prepared.reading.facts
            base = state or ledgers.empty(
                repository=facts.repository,
                subproject=self._tag.subproject,
                environment=self._tag.environment,
                target=facts.version.commit,
            )
            if any(record.nonce == self._nonce for record in base.open):
                return base
            if any(record.nonce == self._nonce for record in base.closed):
                raise left_error(self._tag, base, records[0].deployment_id)
            now = utc_now()
            base = close_finished(queue.join(base, records), records, now)
            return self._placed(base, records, now)

        writer = LedgerWriter(self._store, self._tag, identity=self._identity, fact=self._fact)
        failpoint("before_join")
        with signals.deferred() as interruption:
            writer.abandon = lambda: interruption.signal is not None
            try:
                writer.update(
                    joined,
                    what=f"join the queue of {self._tag}",
                    later=history_line(self._tag),
                    retry=self._retry,
                    stop=writer.abandon,
                )
            except CiTasksError as error:
                if not isinstance(error, UnknownOutcomeError):
                    self._nonce = None  # nothing was written for certain, so there is nothing to leave
                raise interruption.error or error from None
        self._fact = writer.fact
        waiting = queue.waiting(self._fact.ledger) if self._fact.ledger else ()
        self._records = tuple(record for record in waiting if record.nonce == self._nonce)
        failpoint("after_join")
        if interruption.error is not None:
            raise interruption.error

    def _new_records(self, prepared: Prepared) -> tuple[Deployment, ...]:
        """Our records; which scripts they run, and from where, is found out at their turn."""
        facts, made = prepared.reading.facts, prepared.plan
        code = facts.version.commit
        records = new_records(
            facts,
            [region.region for region in made.to_do],
            concurrency_group=made.concurrency_group,
            commits=Commits(code=code, config=code, scripts=None, rules=None, secrets=None),
            inputs=None,
            is_overridden=bool(made.overridden),
            by=triggered_by(os.environ, self._identity),
            now=utc_now(),
        )
        return tuple(
            msgspec.structs.replace(record, status=DeploymentStatus.PENDING, uncommitted=())
            for record in records
        )

    def _placed(self, state: Ledger, records: Sequence[Deployment], now: datetime) -> Ledger:
        """Our records with their place, and with the time at which they do not wait any more."""
        regions = tuple(record.region for record in records)
        place = queue.outlook(state, regions, now=now, claim_id=records[0].claim_id) or queue.NEXT
        end = now + timedelta(seconds=1 + int(max(0.0, self._ends - clock())))
        for record in records:
            state = ledgers.change(
                state,
                record.deployment_id,
                lease_end=end,
                queue_position=place.position,
                estimated_wait_time=place.seconds,
            )
        return state

    def _wait(self) -> None:
        """Look until nobody is in the way."""
        while True:
            trouble = self._look()
            state = self._fact.ledger
            self._refuse_lost(state)
            assert state is not None  # noqa: S101 - _refuse_lost raises for None
            if trouble is None:  # what was not seen does not count
                self._patience.look(state, now=utc_now(), at=clock())
            ahead = self._in_the_way(state, self._regions)
            left = self._ends - clock()
            if not ahead and left > -queue.UNWATCHED:  # a machine that slept does not deploy hours later
                return
            if left <= 0:
                raise trouble or self._over(state, ahead)
            self._tell(state, ahead)
            time.sleep(min(left, random.uniform(*POLLS)))  # noqa: S311 - jitter, no secret

    def _look(self) -> CiTasksError | None:
        """Read the tag if it has moved; a remote that is away for a while is waited for, and the answer."""
        try:
            if self._store.origin.tip(ref_of(self._tag)) != self._fact.object_id:
                self._fact = self._store.environment(self._tag)
        except (UnavailableError, MovedError) as error:
            return error
        return None

    def _refuse_lost(self, state: Ledger | None) -> None:
        """Raise ClaimLostError where one of our records does not wait any more."""
        there = {record.deployment_id for record in (queue.waiting(state) if state else ())}
        for record in self._records:
            if record.deployment_id not in there:
                raise left_error(self._tag, state, record.deployment_id)

    def _over(self, state: Ledger, ahead: Sequence[Deployment]) -> ConflictError:
        """The error for a wait that was too short: who is in the way, and which place it was."""
        if not ahead:
            return ConflictError(
                f"The wait for {self._tag} was over before anybody saw that its turn had come:"
                " the machine slept, or the process was stopped.",
                unchanged="Nothing was changed and no script was run.",
                next_step=self._retry,
            )
        is_held = ahead[0].status is DeploymentStatus.RUNNING
        error = (
            held_error(self._tag, ahead[0], retry=self._retry)
            if is_held
            else queued_error(self._tag, ahead, retry=self._retry)
        )
        place = self._outlook(state)
        where = place_text(place.position if place else 1, None)
        error.details = (f"The wait is over; {self._claim_id} was {where}.", *error.details)
        return error

    def _outlook(self, state: Ledger) -> queue.Outlook | None:
        passed = self._patience.passed
        return queue.outlook(state, self._regions, now=utc_now(), claim_id=self._claim_id, passed=passed)

    def _tell(self, state: Ledger, ahead: Sequence[Deployment]) -> None:
        """Say who is in the way: on a terminal in one line that changes, else when it is worth a line."""
        place = self._outlook(state)
        news = (ahead[0].deployment_id, ahead[0].status, place and place.position)
        self._say(waiting_line(self._tag, ahead, place), news=news)

    def _say(self, line: str, *, news: object) -> None:
        if console.is_terminal():
            console.refresh(line)
        elif news != self._told[0] or clock() - self._told[1] >= TOLD_AGAIN:
            self._told = (news, clock())
            console.progress(line)

    def _leave(self) -> None:
        """Take our waiting records away, in one push; one that was never answered can't arrive after it."""
        failpoint("before_leave")
        began = clock()

        def left(state: Ledger | None) -> Ledger:
            if state is None:
                return cast("Ledger", state)  # there is nothing to leave, so nothing is written
            without = queue.leave(state, self._nonce)
            return ledgers.touched(state) if without is state and not self._records else without

        writer = LedgerWriter(self._store, self._tag, identity=self._identity, fact=self._fact)
        writer.abandon = lambda: clock() - began > LEAVING
        writer.update(
            left,
            what=f"leave the queue of {self._tag}",
            later=history_line(self._tag),
            retry=history_line(self._tag),
            stop=writer.abandon,
        )
