"""Assignments, overrides and reviews in the ledger: what they change, and what stays."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_tasks.core.errors import ConflictError
from ci_tasks.tag import annotation, queue, retention
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag import review as reviews
from ci_tasks.tag.annotation import UnreadableLedgerError
from ci_tasks.tag.model import Deployment, Live, Override
from ci_tasks.tag.names import DeploymentKind, DeploymentStatus
from tests.examples import examples
from tests.tag.records import HOUR, NOON, commit_of, deployed, empty, record

if TYPE_CHECKING:
    from datetime import datetime

    from ci_tasks.tag.ledger import Ledger

SUCCESS, FAILED, CANCELLED = DeploymentStatus.SUCCESS, DeploymentStatus.FAILED, DeploymentStatus.CANCELLED
REGIONS = ("eu-west", "us-east")
MONTH = timedelta(days=30)
WHY = Override(reason="it had to be", signer=None)


def assignment(number: int, region: str | None, version: str, at: datetime, **fields: Any) -> Deployment:
    """A record as `tag.assign` makes it."""
    made = record(number, region, version, at, **fields)
    return msgspec.structs.replace(made, kind=DeploymentKind.ASSIGN, inputs=None, lease_end=None)


def review_of(number: int, reviewed: Deployment, identifier: str, at: datetime) -> Deployment:
    """A record as `deploy.review` makes it."""
    made = record(number, None, reviewed.version, at)
    return msgspec.structs.replace(
        made,
        kind=DeploymentKind.REVIEW,
        reviews=identifier,
        reason="looked at it",
        inputs=None,
        lease_end=None,
        commits=None,
    )


@dataclass(frozen=True)
class Step:
    """One thing that somebody does; `pick` chooses among what there is."""

    what: str
    region: int
    version: int
    override: bool
    status: DeploymentStatus
    started: bool
    pick: int
    days: int


steps = st.builds(
    Step,
    what=st.sampled_from(["claim", "claim", "close", "close", "assign", "review", "review claim"]),
    region=st.integers(0, 2),
    version=st.integers(0, 3),
    override=st.booleans(),
    status=st.sampled_from([SUCCESS, SUCCESS, FAILED, CANCELLED]),
    started=st.booleans(),
    pick=st.integers(0, 5),
    days=st.integers(0, 9),
)


class Teller:
    """Plays steps on a ledger, and remembers by itself what should be true of it."""

    def __init__(self) -> None:
        self.ledger = empty()
        self.now = NOON
        self.number = 0
        self.success: dict[str, tuple[str, str]] = {}
        """Region -> version and id of the newest SUCCESS that is no review."""
        self.waiting: dict[str, Deployment] = {}
        """Overrides without a review, by id."""

    def play(self, step: Step) -> None:
        self.now += step.days * 24 * HOUR
        self.number += 1
        regions = REGIONS if step.region == 2 else (REGIONS[step.region],)
        override = WHY if step.override else None
        version = f"v1.0.{step.version}"
        if step.what in {"claim", "assign"} and not ledgers.holders(self.ledger, regions):
            make = record if step.what == "claim" else assignment
            made = tuple(
                make(self.number, region, version, self.now, override=override) for region in regions
            )
            if step.what == "claim":
                self.ledger = ledgers.claim(self.ledger, made, regions=REGIONS)
            else:
                self.ledger = ledgers.assign(self.ledger, made, regions=REGIONS, at=self.now)
                self.success |= {str(one.region): (one.version, one.deployment_id) for one in made}
            self.waiting |= {one.deployment_id: one for one in made if step.override}
        elif step.what == "close" and self.ledger.open:
            one = self.ledger.open[step.pick % len(self.ledger.open)]
            self.ledger = ledgers.close(
                self.ledger, one.deployment_id, step.status, at=self.now, scripts_started=step.started
            )
            if step.status is CANCELLED and not step.started:
                self.waiting.pop(one.deployment_id, None)  # it passed nothing
            if step.status is SUCCESS:
                self.success[str(one.region)] = (one.version, one.deployment_id)
        elif step.what.startswith("review") and self.waiting:
            one = list(self.waiting.values())[step.pick % len(self.waiting)]
            whole = step.what == "review claim"
            identifier = one.claim_id if whole else one.deployment_id
            self.ledger = reviews.reviewed(self.ledger, review_of(self.number, one, identifier, self.now))
            self.waiting = {
                name: other
                for name, other in self.waiting.items()
                if name != one.deployment_id and not (whole and other.claim_id == one.claim_id)
            }
        self.ledger = ledgers.settle_target(self.ledger)


@examples(120)
@given(st.lists(steps, max_size=40))
def test_after_any_sequence_chain_live_map_and_debts_are_right(played: list[Step]) -> None:
    teller = Teller()
    for step in played:
        teller.play(step)
        ledger = teller.ledger
        assert ledgers.chain_faults(ledger) == []
        live = {
            key: (live.version, live.deployment_id)
            for key, live in ledger.header.live.items()
            if live.version
        }
        assert live == teller.success
        assert {one.deployment_id for one in reviews.debts(ledger)} == set(teller.waiting)
    text, _ = annotation.write(ledger := teller.ledger)
    read = annotation.read(text, name="api/staging")
    assert read == ledger
    summary = annotation.read(text, name="api/staging", is_summary=True)
    assert reviews.debts(summary) == reviews.debts(ledger)
    assert {one.kind for one in summary.closed if one.override is None} <= {DeploymentKind.REVIEW}
    kept = retention.retain(ledger, now=teller.now + 3 * MONTH)
    assert ledgers.chain_faults(kept) == []
    assert [one.deployment_id for one in reviews.debts(kept)] == [
        one.deployment_id for one in reviews.debts(ledger)
    ]


@examples(40)
@given(st.lists(steps, max_size=40), st.integers(0, 20_000))
def test_what_is_dropped_for_its_size_never_opens_a_debt_again(played: list[Step], excess: int) -> None:
    teller = Teller()
    for step in played:
        teller.play(step)
    left = retention.drop_oldest(teller.ledger, excess)
    assert ledgers.chain_faults(left) == []
    assert {one.deployment_id for one in reviews.debts(left)} <= set(teller.waiting)


def test_a_review_changes_nothing_that_is_live() -> None:
    before = empty()
    for number, region in enumerate(REGIONS):
        before = deployed(before, record(number, region, override=WHY), regions=REGIONS)
    before = ledgers.settle_target(before)
    (first, second) = reviews.debts(before)
    after = ledgers.settle_target(
        reviews.reviewed(before, review_of(7, first, first.deployment_id, NOON + HOUR))
    )
    assert after.header == before.header
    assert after.closed[1:] == before.closed
    assert (after.closed[0].kind, after.closed[0].status, after.closed[0].seq) == (
        DeploymentKind.REVIEW,
        SUCCESS,
        3,
    )
    assert reviews.debts(after) == (second,)
    assert reviews.answers(after.closed[0], first)
    assert not reviews.answers(after.closed[0], second)


def test_an_uncertain_region_stays_uncertain_when_the_override_is_reviewed() -> None:
    ledger = deployed(empty(), record(1, override=WHY), FAILED)
    ledger = reviews.reviewed(ledger, review_of(2, ledger.closed[0], ledger.closed[0].claim_id, NOON))
    assert ledger.header.live[""].uncertain
    assert ledger.header.live[""].version is None


def test_an_assignment_says_what_is_live_and_makes_it_certain() -> None:
    ledger = deployed(empty(), record(1, "us-east", "v2.0.0"), FAILED, REGIONS)
    records = tuple(assignment(2, region, "v1.0.0", NOON) for region in REGIONS)
    ledger = ledgers.settle_target(ledgers.assign(ledger, records, regions=REGIONS, at=NOON + HOUR))
    assert ledger.open == ()
    assert [(one.kind, one.status, one.scripts_started, one.seq) for one in ledger.closed[:2]] == [
        (DeploymentKind.ASSIGN, SUCCESS, False, 3),
        (DeploymentKind.ASSIGN, SUCCESS, False, 2),
    ]
    live = ledger.header.live["us-east"]
    assert live == Live(
        version="v1.0.0",
        commit_sha=commit_of("v1.0.0"),
        since=NOON + HOUR,
        triggered_by="Test Person",
        deployment_id=records[1].deployment_id,
        inputs=None,
        uncertain=False,
        attempted=None,
    )
    assert (ledger.header.settled, ledger.header.target) == (True, commit_of("v1.0.0"))


def test_an_assignment_does_not_pass_a_claim_unless_its_lease_is_long_over() -> None:
    held = record(1, "us-east")
    ledger = ledgers.claim(empty(), (held,), regions=REGIONS)
    wanted = (assignment(2, "us-east", "v1.0.0", NOON),)
    with pytest.raises(ConflictError, match=held.deployment_id):
        ledgers.assign(ledger, wanted, regions=REGIONS, at=NOON)
    assert held.lease_end is not None
    over = held.lease_end + ledgers.TAKEOVER_GRACE
    assert ledgers.close_expired(ledger, ("us-east",), at=over - timedelta(seconds=1)) == ledger
    assert ledgers.close_expired(ledger, ("eu-west",), at=over) == ledger
    closed = ledgers.close_expired(ledger, ("us-east",), at=over)
    assert [(one.status, one.scripts_started) for one in closed.closed] == [(CANCELLED, True)]
    assert ledgers.assign(closed, wanted, regions=REGIONS, at=over).header.live["us-east"].version == "v1.0.0"


def _aged(reviewed: bool) -> Ledger:  # noqa: FBT001 - the one thing that differs
    """An override that no rollback needs, under 60 later deployments."""
    ledger = deployed(empty(), record(0, version="v1.0.0", override=WHY), FAILED)
    if reviewed:
        ledger = reviews.reviewed(ledger, review_of(1, ledger.closed[0], ledger.closed[0].claim_id, NOON))
    for number in range(2, 62):
        ledger = deployed(ledger, record(number, version=f"v1.0.{number}"))
    return ledger


def test_what_was_called_off_before_it_began_waits_for_no_review() -> None:
    waiting = record(1, "us-east", status=DeploymentStatus.PENDING, override=WHY)
    ledger = queue.join(empty(), (waiting,))
    assert reviews.debts(ledger) == ()
    running = ledgers.change(ledger, waiting.deployment_id, status=DeploymentStatus.RUNNING)
    assert len(reviews.debts(running)) == 1
    for state, started, debts in ((ledger, False, 0), (running, False, 0), (running, True, 1)):
        ended = ledgers.close(state, waiting.deployment_id, CANCELLED, at=NOON, scripts_started=started)
        assert len(reviews.debts(ended)) == debts


def test_an_override_stays_until_it_is_reviewed_and_then_goes_by_age() -> None:
    kept = retention.retain(_aged(reviewed=False), now=NOON + 2 * MONTH)
    assert kept.closed[-1].override == WHY
    assert len(kept.closed) == 51
    gone = retention.retain(_aged(reviewed=True), now=NOON + 2 * MONTH)
    assert len(gone.closed) == 50
    assert all(one.override is None and one.kind is DeploymentKind.DEPLOY for one in gone.closed)


def test_a_review_outlives_what_it_answers() -> None:
    """The override is the version before the live one: a rollback needs it for ever, and so its review."""
    ledger = deployed(empty(), record(0, version="v1.0.0", override=WHY))
    ledger = reviews.reviewed(ledger, review_of(1, ledger.closed[0], ledger.closed[0].deployment_id, NOON))
    for number in range(2, 62):
        ledger = deployed(ledger, record(number, version="v2.0.0"))
    kept = retention.retain(ledger, now=NOON + 2 * MONTH)
    assert [one.kind for one in kept.closed[-2:]] == [DeploymentKind.REVIEW, DeploymentKind.DEPLOY]
    assert reviews.debts(kept) == ()
    small = retention.drop_oldest(ledger, 1_000_000)
    assert [one.kind for one in small.closed] == [
        DeploymentKind.DEPLOY,
        DeploymentKind.DEPLOY,  # when the live version came, and when it came last
        DeploymentKind.REVIEW,
        DeploymentKind.DEPLOY,
    ]
    assert reviews.debts(small) == ()


def test_a_review_is_no_success_that_a_rollback_could_go_to() -> None:
    """It bears the version of what it reviews, which failed: the two newest successes stay those."""
    ledger = deployed(empty(), record(0, version="v1.0.0"))
    ledger = deployed(ledger, record(1, version="v2.0.0"))
    ledger = deployed(ledger, record(2, version="v3.0.0", override=WHY), FAILED)
    ledger = reviews.reviewed(ledger, review_of(3, ledger.closed[0], ledger.closed[0].claim_id, NOON))
    ledger = deployed(ledger, record(4, version="v2.0.0"))
    small = retention.drop_oldest(ledger, 1_000_000)
    assert [one.version for one in small.closed] == ["v2.0.0", "v2.0.0", "v1.0.0"]


def test_a_shrunk_review_still_answers() -> None:
    ledger = deployed(empty(), record(0, override=WHY))
    ledger = reviews.reviewed(ledger, review_of(1, ledger.closed[0], ledger.closed[0].claim_id, NOON))
    short = msgspec.structs.replace(ledger, closed=tuple(map(retention.shrink, ledger.closed)))
    assert reviews.debts(short) == ()
    assert ledgers.chain_faults(short) == []


NONSENSE: dict[str, dict[str, Any]] = {
    "open assignment": {"kind": DeploymentKind.ASSIGN},
    "open review": {"kind": DeploymentKind.REVIEW, "reviews": "20260105T120000Z-000001"},
    "review of nothing": {"kind": DeploymentKind.REVIEW, "status": SUCCESS},
    "deployment that reviews": {"reviews": "20260105T120000Z-000001"},
    "review that overrides": {
        "kind": DeploymentKind.REVIEW,
        "status": SUCCESS,
        "reviews": "20260105T120000Z-000001",
        "override": WHY,
    },
    "assignment with scripts": {"kind": DeploymentKind.ASSIGN, "status": SUCCESS, "scripts_started": True},
}


@pytest.mark.parametrize("name", NONSENSE)
def test_what_no_command_writes_is_unreadable(name: str) -> None:
    made = msgspec.structs.replace(record(2), **NONSENSE[name])
    where = "open" if made.status.is_open else "closed"
    text, _ = annotation.write(msgspec.structs.replace(empty(), **{where: (made,)}))
    with pytest.raises(UnreadableLedgerError):
        annotation.read(text, name="api/staging")
