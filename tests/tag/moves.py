"""Environment tags that move as ci-tasks moves them, without a repository."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import msgspec
from hypothesis import strategies as st

from ci_tasks.tag import annotation, limits, queue, review, transition
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag.grammar import EnvironmentTag
from ci_tasks.tag.model import Override
from ci_tasks.tag.names import DeploymentKind, DeploymentStatus
from ci_tasks.tag.store import EnvironmentFact, TagStore
from tests.tag.names import GRAMMAR
from tests.tag.records import HOUR, NOON, commit_of, empty, record

if TYPE_CHECKING:
    from collections.abc import Callable

    from ci_tasks.core.git.origin import Origin
    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.model import Deployment

REGIONS = ("us-east", "eu-west", "ap-south")
TAG = EnvironmentTag(subproject="api", environment="staging")
STORE = TagStore(cast("Origin", None), GRAMMAR)  # `following` asks no origin


@dataclass(frozen=True)
class Move:
    """One move: everything that a pure function of faults is given."""

    old: Ledger | None
    new: Ledger
    old_id: str | None
    old_target: str | None
    new_target: str
    now: datetime

    def faults(self, **other: Any) -> list[str]:
        """The faults of this move, with some things other than they were."""
        given = {name: getattr(self, name) for name in self.__dataclass_fields__} | other
        return transition.faults(
            given["old"],
            given["new"],
            old_id=given["old_id"],
            old_target=given["old_target"],
            new_target=given["new_target"],
            now=given["now"],
        )


@dataclass
class Tag:
    """An environment tag, moved by the functions that the program moves it with."""

    regions: tuple[str, ...] = REGIONS[:2]
    ledger: Ledger | None = None
    target: str | None = None
    object_id: str | None = None
    now: datetime = NOON
    number: int = 0
    moves: list[Move] = field(default_factory=list)

    def write(self, state: Ledger) -> Move:
        """Write a ledger as the store does, read it again, and remember the move."""
        fact = EnvironmentFact(tag=TAG, object_id=self.object_id, target=self.target, ledger=self.ledger)
        state = STORE.following(state, old=self.object_id, now=self.now)
        text, _ = annotation.write(state)
        new = annotation.read(text, name=str(TAG))
        move = Move(self.ledger, new, self.object_id, self.target, fact.commit_for(state), self.now)
        self.moves.append(move)
        self.ledger, self.target = new, move.new_target
        self.object_id = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        return move

    def state(self, version: str = "v1.0.0") -> Ledger:
        """The ledger, or the one to begin with."""
        return self.ledger or empty(version=version)

    def made(self, region: str | None, version: str, **fields: Any) -> Deployment:
        """A new record, an hour after the one before."""
        self.number += 1
        self.now += HOUR
        return limits.fitted(record(self.number, region, version, self.now, **fields))

    def places(self) -> tuple[str | None, ...]:
        """The regions, or the one place of an environment without any."""
        return self.regions or (None,)

    def claim(self, version: str = "v1.0.0", region: str | None = "us-east", **fields: Any) -> Move:
        """Claim a region; what ran there is taken over after its lease, or broken off before."""
        made = self.made(region, version, **fields)
        state = ledgers.close_expired(self.state(version), (region,), at=self.now)
        for held in ledgers.holders(state, (region,)):
            state = self.closed(state, held, DeploymentStatus.CANCELLED)
        return self.write(ledgers.claim(state, (made,), regions=self.regions))

    def join(self, version: str = "v1.0.0", region: str | None = "us-east") -> Move:
        """Wait in the queue."""
        waiting = self.made(region, version, status=DeploymentStatus.PENDING)
        waiting = msgspec.structs.replace(waiting, lease_end=self.now + 6 * HOUR, queue_position=1)
        state = ledgers.close_expired(self.state(version), (region,), at=self.now)
        return self.write(queue.join(state, (waiting,)))

    def change(self, deployment_id: str, **fields: object) -> Move:
        """Change an open record."""
        return self.write(ledgers.change(self.state(), deployment_id, **fields))

    def closed(
        self, state: Ledger, record: Deployment, status: DeploymentStatus, *, started: bool = True
    ) -> Ledger:
        """The ledger with one record closed; nothing succeeds without a script."""
        is_success = status is DeploymentStatus.SUCCESS
        return ledgers.close(
            state,
            record.deployment_id,
            status,
            at=self.now,
            ended_by=None if is_success else "the test",
            scripts_started=started or is_success,
        )

    def close(
        self,
        status: DeploymentStatus = DeploymentStatus.SUCCESS,
        *,
        started: bool = True,
        all_of_them: bool = True,
    ) -> Move:
        """Close the running records, or the first of them, five minutes later."""
        self.now += timedelta(minutes=5)
        state = self.state()
        running = [one for one in state.open if one.status is DeploymentStatus.RUNNING]
        for one in running if all_of_them else running[:1]:
            state = self.closed(state, one, status, started=started or one.scripts_started)
        return self.write(state)

    def assign(self, version: str, **fields: Any) -> Move:
        """Say that a version runs everywhere."""
        made = tuple(
            self.made(
                region,
                version,
                kind=DeploymentKind.ASSIGN,
                lease_end=None,
                inputs=None,
                **fields,
            )
            for region in self.places()
        )
        made = tuple(msgspec.structs.replace(one, started_at=self.now) for one in made)
        state = self.state(version)
        for held in ledgers.holders(state, self.places()):
            state = self.closed(state, held, DeploymentStatus.CANCELLED)
        return self.write(ledgers.assign(state, made, regions=self.regions, at=self.now))

    def review(self) -> Move | None:
        """Close the newest debt of a claim that has ended, if there is one."""
        state = self.state()
        at_work = {one.claim_id for one in state.open}
        debts = [debt for debt in review.debts(state) if debt.claim_id not in at_work]
        if not debts:
            return None
        debt = debts[0]
        made = self.made(
            debt.region,
            debt.version,
            kind=DeploymentKind.REVIEW,
            reviews=debt.claim_id,
            commit_sha=debt.commit_sha,
            lease_end=None,
            inputs=None,
            commits=None,
            reason="looked at",
        )
        return self.write(review.reviewed(self.state(), made))

    def deploy(
        self, version: str, status: DeploymentStatus = DeploymentStatus.SUCCESS, **fields: Any
    ) -> Move:
        """Claim and close each region in turn; the last move is given back."""
        for region in self.places():
            self.claim(version, region, **fields)
            move = self.close(status)
        return move

    def overridden(self, version: str) -> Move:
        """A deployment that passes a rule."""
        return self.deploy(version, override=Override(reason="it had to be", signer=None))


def moved_by_hand(tag: Tag, version: str) -> None:
    """Let somebody put the tag on another commit."""
    tag.target = commit_of(version)


@dataclass(frozen=True)
class Step:
    """What somebody does next."""

    what: str
    region: int
    version: int
    status: DeploymentStatus
    flag: bool
    days: int


def take(tag: Tag, step: Step) -> None:
    """Let the tag go through one step; without effect where the step makes no sense."""
    tag.now += timedelta(days=step.days)
    version = f"v1.0.{step.version}"
    region = tag.places()[step.region % len(tag.places())]
    at_any_time = {
        "claim": lambda: tag.claim(version, region),
        "deploy": lambda: tag.deploy(version, step.status),
        "assign": lambda: tag.assign(version),
        "override": lambda: tag.overridden(version),
        "join": lambda: tag.join(version, region),
        "review": tag.review,
    }
    if step.what in at_any_time:
        at_any_time[step.what]()
    elif tag.ledger is not None:
        running = [one for one in tag.ledger.open if one.status is DeploymentStatus.RUNNING]
        waiting = [one for one in tag.ledger.open if one.status is DeploymentStatus.PENDING]
        if step.what in _RUNNING and running:
            _RUNNING[step.what](tag, step, running[0])
        elif step.what in _WAITING and waiting and not (running and step.what == "turn"):
            _WAITING[step.what](tag, tag.ledger, waiting[0])
        elif step.what in _EXISTING:
            _EXISTING[step.what](tag, step, tag.ledger)


def _with_regions(tag: Tag, step: Step, ledger: Ledger) -> None:
    tag.regions = REGIONS[: step.region]
    tag.write(ledgers.with_regions(ledger, tag.regions))


def _its_turn(tag: Tag, ledger: Ledger, first: Deployment) -> None:
    """Let the first who waits run, if its region is still there."""
    if first.region in tag.places():
        turned = ledgers.change(
            ledgers.with_regions(ledger, tag.regions),
            first.deployment_id,
            status=DeploymentStatus.RUNNING,
            started_at=tag.now,
            lease_end=tag.now + HOUR / 2,
            inputs="0" * 64,
            queue_position=None,
        )
        tag.write(turned)


def _delete(tag: Tag) -> None:
    tag.ledger = tag.target = tag.object_id = None


_RUNNING: dict[str, Callable[[Tag, Step, Deployment], object]] = {
    "close": lambda tag, step, _: tag.close(step.status, started=step.flag, all_of_them=step.flag),
    "renew": lambda tag, _, one: tag.change(one.deployment_id, lease_end=tag.now + HOUR),
    "stop": lambda tag, _, one: tag.change(one.deployment_id, stop_requested="wrong build (Somebody)"),
    "started": lambda tag, _, one: tag.change(one.deployment_id, scripts_started=True),
}
_WAITING: dict[str, Callable[[Tag, Ledger, Deployment], object]] = {
    "leave": lambda tag, ledger, first: tag.write(queue.leave(ledger, first.nonce)),
    "cancel": lambda tag, ledger, first: tag.write(
        tag.closed(ledger, first, DeploymentStatus.CANCELLED, started=False)
    ),
    "turn": _its_turn,
}
_EXISTING: dict[str, Callable[[Tag, Step, Ledger], object]] = {
    "touch": lambda tag, _, ledger: tag.write(ledgers.touched(ledger)),
    "regions": _with_regions,
    "drift": lambda tag, step, _: moved_by_hand(tag, f"v1.0.{step.version}"),
    "delete": lambda tag, _, __: _delete(tag),
}
_OFTEN = ("claim", "close", "close")

steps = st.builds(
    Step,
    what=st.sampled_from(
        [*_OFTEN, "claim", "deploy", "assign", "override", "review", "join", *_RUNNING, *_WAITING, *_EXISTING]
    ),
    region=st.integers(0, 2),
    version=st.integers(0, 3),
    status=st.sampled_from([DeploymentStatus.SUCCESS, *list(DeploymentStatus)[2:]]),
    flag=st.booleans(),
    days=st.sampled_from([0, 0, 0, 1, 20]),
)
