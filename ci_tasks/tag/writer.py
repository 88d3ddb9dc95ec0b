"""Changing an environment tag's ledger: read, step, compare-and-swap, and again after a lost race."""

from __future__ import annotations

import itertools
import random
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from ci_tasks.core import console
from ci_tasks.core.errors import ConflictError, UnavailableError
from ci_tasks.core.failpoint import failpoint
from ci_tasks.core.git.push import NotApplied, PushOutcome, PushResult
from ci_tasks.tag.clock import utc_now
from ci_tasks.tag.push_error import push_error, telling_of_the_push
from ci_tasks.tag.store import EnvironmentFact

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from ci_tasks.core.git.origin import RemoteRef
    from ci_tasks.core.git.repository import Identity
    from ci_tasks.tag.grammar import EnvironmentTag
    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.store import TagStore

RACING = 60.0
"""Seconds after which we give up losing races."""
ROUNDS = 12
"""Lost races in a row after which we give up where somebody wants us to stop."""
LONGEST_PAUSE = 1.5
"""Seconds between two attempts, at most: as long as a push takes, so that many writers spread."""

_PASSING = frozenset({NotApplied.STALE_LOCK, NotApplied.OTHER})
"""What may be over in a moment: another writer's lock, a full disk."""


def _never() -> bool:
    return False


class LedgerWriter:
    """Writes one environment tag; `fact` is what we last read or wrote."""

    def __init__(
        self, store: TagStore, tag: EnvironmentTag, *, identity: Identity, fact: EnvironmentFact | None = None
    ) -> None:
        self.store = store
        self.tag = tag
        self.identity = identity
        self.abandon: Callable[[], bool] | None = None
        """Asked while a push is under way: a yes ends it, with an unknown outcome."""
        self.fact = fact or store.environment(tag)

    def update(
        self,
        step: Callable[[Ledger | None], Ledger],
        *,
        what: str,
        later: str,
        retry: str,
        pinned: Sequence[RemoteRef] = (),
        stop: Callable[[], bool] = _never,
        patience: Callable[[], bool] = _never,
    ) -> None:
        """Apply a step to the newest ledger (None: there is no tag), whoever else writes meanwhile.

        `step` is called anew after every lost race; a step that answers with the ledger it was given is done
        already. `what` was tried ("claim api/staging"), `later` is the line that finds out what became of it,
        `retry` the line that tries again. `pinned` refs must not have moved. `stop` ends the asking after an
        unknown answer, and the racing after 12 rounds. While `patience` is true, a remote that is away, full
        or locked is waited for, and no race is the last one.
        Raises what the step raises, ConflictError, RefusedError, UnavailableError or UnknownOutcomeError.
        """
        deadline = time.monotonic() + RACING
        in_doubt = False
        for attempt in itertools.count(1):
            state = step(self.fact.ledger)
            if state is self.fact.ledger:
                return
            now = utc_now()
            state = self._following(state, now)
            new = self._build(state, now, patience)
            failpoint("after_object")
            with telling_of_the_push(later):
                outcome = self._push(new, pinned=pinned, stop=stop, patience=patience)
            if outcome.result is PushResult.APPLIED:
                commit = self.fact.commit_for(state)
                self.fact = EnvironmentFact(tag=self.tag, object_id=new, target=commit, ledger=state)
                return
            in_doubt = in_doubt or outcome.retried
            is_in_time = attempt < ROUNDS or (time.monotonic() < deadline and not stop())
            if not _goes_on(outcome, is_in_time=is_in_time, patience=patience):
                break
            time.sleep(random.uniform(0.02, min(LONGEST_PAUSE, 0.15 * attempt)))  # noqa: S311 - jitter, no secret
            self._refuse_moved(pinned, retry)
            old = self.fact.object_id
            try:
                self.fact = self._read(patience)
            except UnavailableError:
                if not in_doubt:
                    raise
                break
            in_doubt = in_doubt and self.fact.object_id == old  # an old push of ours can't arrive any more
        if in_doubt:  # whatever was said of the last push, an earlier one may still arrive
            outcome = replace(outcome, result=PushResult.UNKNOWN)
        is_known = outcome.result is not PushResult.UNKNOWN
        raise push_error(
            outcome,
            what=what,
            unchanged=f"{self.tag} was not moved by this.",
            later=retry if is_known else later,
            is_environment=True,
        )

    def _following(self, state: Ledger, now: datetime) -> Ledger:
        """The ledger exactly as it will be written, so that what we remember is what the tag says."""
        old = self.fact.object_id
        fitting = self.store.following(state, old=old, now=now)
        shortened = sum(record.digest is not None for record in fitting.closed)
        if shortened > sum(record.digest is not None for record in state.closed):
            console.warn(
                f"The ledger of {self.tag} has grown above 256 KiB: {shortened} of its oldest records"
                " were shortened."
            )
        return fitting

    def _build(self, state: Ledger, now: datetime, patience: Callable[[], bool]) -> str:
        """Write the tag object; a signer that fails for a moment (a locked agent) is asked again."""
        while True:
            is_last = not patience()
            try:
                return self.store.build_environment(self.fact, state, by=self.identity, now=now)
            except UnavailableError:
                if is_last:
                    raise
            time.sleep(1)

    def _swap(self, new: str, *, pinned: Sequence[RemoteRef], stop: Callable[[], bool]) -> PushOutcome:
        old = self.fact.object_id
        return self.store.swap(self.tag, new, old=old, pinned=pinned, stop=stop, abandon=self.abandon)

    def _push(
        self,
        new: str,
        *,
        pinned: Sequence[RemoteRef],
        stop: Callable[[], bool],
        patience: Callable[[], bool],
    ) -> PushOutcome:
        unanswered: PushOutcome | None = None
        while True:
            is_last = not patience()
            try:
                outcome = self._swap(new, pinned=pinned, stop=stop)
            except UnavailableError:
                if is_last and unanswered is not None:
                    return unanswered  # that push may still arrive: it is not known that nothing happened
                if is_last:
                    raise
            else:
                unanswered = outcome if outcome.result is PushResult.UNKNOWN else unanswered
                if is_last or outcome.result is not PushResult.UNKNOWN:
                    return replace(outcome, retried=outcome.retried or unanswered is not None)
            time.sleep(1)

    def _read(self, patience: Callable[[], bool]) -> EnvironmentFact:
        while True:
            is_last = not patience()
            try:
                return self.store.environment(self.tag)
            except UnavailableError:
                if is_last:
                    raise
            time.sleep(1)

    def _refuse_moved(self, pinned: Sequence[RemoteRef], retry: str) -> None:
        for ref in pinned:
            now = self.store.origin.refs(ref.name)
            if not now or now[0].object_id != ref.object_id:
                name = ref.name.removeprefix("refs/tags/")
                raise ConflictError(
                    f"{name} was moved while the deployment was being prepared.",
                    unchanged="Nothing was changed and no script was run.",
                    next_step=retry,
                )


def _goes_on(outcome: PushOutcome, *, is_in_time: bool, patience: Callable[[], bool]) -> bool:
    """True where a push that was not applied is worth another attempt."""
    if outcome.reason is NotApplied.RACE:
        return is_in_time or patience()
    return outcome.reason in _PASSING and patience()
