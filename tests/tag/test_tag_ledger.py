"""The ledger: the chain, the live map, the target, what is kept and what is dropped."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_tasks.core.errors import ConflictError
from ci_tasks.tag import annotation, retention
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag.model import Deployment, Live, Override
from ci_tasks.tag.names import DeploymentStatus
from tests.examples import examples
from tests.tag.records import HOUR, NOON, commit_of, deployed, empty, filled, record

if TYPE_CHECKING:
    from ci_tasks.tag.ledger import Ledger

SUCCESS, FAILED, CANCELLED = DeploymentStatus.SUCCESS, DeploymentStatus.FAILED, DeploymentStatus.CANCELLED
REGIONS = ("us-east", "eu-west", "ap-south")
MONTH = timedelta(days=30)


@dataclass(frozen=True)
class Attempt:
    """One deployment: where, what, how it ended, and how long after the one before."""

    region: int
    version: int
    status: DeploymentStatus
    started: bool
    hours: int
    override: bool
    renewals: int


attempts = st.builds(
    Attempt,
    region=st.integers(0, 2),
    version=st.integers(0, 3),
    status=st.sampled_from([SUCCESS, SUCCESS, FAILED, CANCELLED]),
    started=st.booleans(),
    hours=st.integers(0, 60),
    override=st.sampled_from([False] * 9 + [True]),
    renewals=st.integers(0, 2),
)
histories = st.one_of(st.lists(attempts, max_size=12), st.lists(attempts, min_size=50, max_size=110))
region_sets = st.sampled_from([(), REGIONS[:1], REGIONS[:2], REGIONS])


@dataclass
class Story:
    """What happened, told without a ledger."""

    target: str
    settled: bool = False
    ended: list[Deployment] = field(default_factory=list)
    """Oldest first, as they were before they were closed but with their status."""
    since: dict[str, int] = field(default_factory=dict)
    """How much of `ended` a region has forgotten: it was not listed at a settlement."""

    def _of(self, key: str) -> list[Deployment]:
        return [one for one in self.ended[self.since.get(key, 0) :] if (one.region or "") == key]

    def newest_success(self, key: str) -> Deployment | None:
        return next((one for one in reversed(self._of(key)) if one.status is SUCCESS), None)

    def attempted(self, key: str) -> str | None:
        """The version of the newest attempt that broke off half-way after the newest success."""
        later: list[Deployment] = []
        for one in reversed(self._of(key)):
            if one.status is SUCCESS:
                break
            later.append(one)
        return next((one.version for one in later if one.scripts_started), None)

    def settle(self, regions: tuple[str, ...]) -> None:
        found = [self.newest_success(key) for key in regions or ("",)]
        commits = {one.commit_sha if one else None for one in found}
        self.settled = len(commits) == 1 and None not in commits
        if self.settled:
            (self.target,) = (commit for commit in commits if commit)
            for key in ("", *REGIONS):
                if key not in (regions or ("",)):
                    self.since[key] = len(self.ended)


def _play(history: list[Attempt], regions: tuple[str, ...], story: Story) -> tuple[Ledger, datetime]:
    ledger, now = empty(), NOON
    for number, attempt in enumerate(history):
        now += attempt.hours * HOUR
        region = regions[attempt.region % len(regions)] if regions else None
        made = record(
            number,
            region,
            f"v1.0.{attempt.version}",
            now,
            override=Override(reason="it had to be", signer=None) if attempt.override else None,
        )
        ledger = ledgers.claim(ledger, (made,), regions=regions)
        for renewal in range(attempt.renewals):
            ledger = ledgers.change(ledger, made.deployment_id, lease_end=now + renewal * HOUR)
        ledger = ledgers.close(
            ledger, made.deployment_id, attempt.status, at=now, scripts_started=attempt.started
        )
        story.ended.append(
            msgspec.structs.replace(made, status=attempt.status, scripts_started=attempt.started)
        )
        ledger = ledgers.settle_target(ledger)
        story.settle(regions)
    return ledger, now


@examples(80)
@given(histories, region_sets)
def test_the_chain_live_map_and_target_after_any_history(
    history: list[Attempt], regions: tuple[str, ...]
) -> None:
    story = Story(target=commit_of("v1.0.0"))
    ledger, _ = _play(history, regions, story)
    assert ledgers.chain_faults(ledger) == []
    assert ledger.open == ()
    assert [one.deployment_id for one in reversed(ledger.closed)] == [
        one.deployment_id for one in story.ended
    ]
    assert (ledger.header.target, ledger.header.settled) == (story.target, story.settled)
    for key in regions or ("",):
        live, success = ledger.header.live.get(key), story.newest_success(key)
        attempted = story.attempted(key)
        if live is None:
            assert success is None
            assert attempted is None
            continue
        assert (live.version, live.commit_sha, live.deployment_id, live.inputs) == (
            (success.version, success.commit_sha, success.deployment_id, success.inputs)
            if success
            else (None, None, None, None)
        )
        assert (live.uncertain, live.attempted) == (attempted is not None, attempted)


MOST_FOR_A_ROLLBACK = 6
"""Records of a region, besides its two newest successes, without which a rollback would find another past."""


def _rollback_needs(ledger: Ledger) -> set[str]:
    """Each region's two newest successes of different versions."""
    needed = set()
    for region in {one.region for one in ledger.closed}:
        seen: list[str] = []
        for one in ledger.closed:
            if one.region == region and one.status is SUCCESS and one.version not in seen and len(seen) < 2:
                seen.append(one.version)
                needed.add(one.deployment_id)
    return needed


@examples(60)
@given(histories, region_sets, st.integers(0, 60))
def test_what_is_kept_and_what_is_dropped(
    history: list[Attempt], regions: tuple[str, ...], days: int
) -> None:
    before, now = _play(history, regions, Story(target=""))
    running = record(999_999, regions[0] if regions else None, at=now)
    before = ledgers.claim(before, (running,), regions=regions)
    now += timedelta(days=days)
    after = retention.retain(before, now=now)
    assert retention.retain(after, now=now) == after
    assert after.open == (running,)
    needed = _rollback_needs(before)
    due = [
        one
        for index, one in enumerate(before.closed)
        if index < 50
        or (one.override is not None and (one.status is not CANCELLED or one.scripts_started))
        or one.deployment_id in needed
        or now - (one.completed_at or NOON) <= MONTH
    ]
    kept = [one for one in before.closed if one in after.closed]
    assert list(after.closed) == kept
    assert [one for one in due if one not in kept] == []
    # A rollback needs a few more: which ones, the tests of its candidates say.
    assert len(kept) - len(due) <= MOST_FOR_A_ROLLBACK * len(regions or ("",))
    assert after.header.live == before.header.live
    assert ledgers.chain_faults(after) == []
    assert (after.header.cut is None) is (len(kept) == len(before.closed))
    if after.header.cut:
        dropped = [one for one in before.closed if one not in kept]
        assert after.header.cut.seq == dropped[0].seq
        assert after.header.cut.sha256 == ledgers.digest(dropped[0])


def test_f119_what_a_rollback_needs_outlives_everything() -> None:
    ledger, regions, number = empty(), REGIONS[:2], 0
    for region in regions:
        for version in ("v1.0.0", "v2.0.0", "v3.0.0", "v3.0.0"):
            number += 1
            ledger = deployed(ledger, record(number, region, version), regions=regions)
    for later in range(60):
        made = record(1000 + later, regions[later % 2], "v4.0.0", NOON + later * HOUR)
        ledger = deployed(ledger, made, FAILED, regions)
    kept = retention.retain(ledger, now=NOON + 3 * MONTH).closed
    assert [(one.region, one.version) for one in kept[50:]] == [
        (region, version)
        for region in reversed(regions)
        for version in ("v3.0.0", "v3.0.0", "v2.0.0")  # the live one from when it came to when it came again
    ]


@examples(40)
@given(st.lists(attempts, min_size=52, max_size=70), st.lists(attempts, min_size=1, max_size=20))
def test_a_ledger_goes_on_after_a_cut(first: list[Attempt], then: list[Attempt]) -> None:
    ledger, now = _play(first, REGIONS[:2], Story(target=""))
    ledger = retention.retain(ledger, now=now + 2 * MONTH)
    number = (ledger.closed[0].seq or 0) + 1
    for index, attempt in enumerate(then):
        made = record(1000 + index, REGIONS[attempt.region % 2], at=now + 2 * MONTH)
        ledger = deployed(ledger, made, attempt.status, REGIONS[:2])
        assert ledger.closed[0].seq == number + index
        ledger = retention.retain(ledger, now=now + (4 + index) * MONTH)
        assert ledgers.chain_faults(ledger) == []
    ledger = annotation.read(annotation.write(ledger)[0], name="api/staging")
    assert ledgers.chain_faults(ledger) == []


@examples(60)
@given(histories, region_sets)
def test_what_is_written_is_read_again(history: list[Attempt], regions: tuple[str, ...]) -> None:
    ledger, now = _play(history, regions, Story(target=""))
    ledger = ledgers.claim(
        ledger, (record(999_999, regions[0] if regions else None, at=now),), regions=regions
    )
    text, shrunk = annotation.write(ledger)
    assert not shrunk
    assert annotation.read(text, name="api/staging") == ledger
    summary = annotation.read(text, name="api/staging", is_summary=True)
    overridden = tuple(one for one in ledger.closed if one.override is not None)
    assert summary == msgspec.structs.replace(ledger, closed=overridden)


CHANGES = {
    "version": "v6.6.6",
    "status": SUCCESS,
    "commit_sha": "0" * 40,
    "triggered_by": "Somebody Else",
    "completed_at": NOON - HOUR,
    "reason": "another",
    "seq": 77,
    "prev": "0" * 64,
    "digest": "0" * 64,
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("index", [1, 5, 9])
def test_a_changed_record_is_found(name: str, index: int) -> None:
    ledger = empty()
    for number in range(10):
        ledger = deployed(ledger, record(number, at=NOON + number * HOUR), FAILED)
    assert ledgers.chain_faults(ledger) == []
    closed = list(ledger.closed)
    closed[index] = msgspec.structs.replace(closed[index], **{name: CHANGES[name]})
    faults = ledgers.chain_faults(msgspec.structs.replace(ledger, closed=tuple(closed)))
    about = closed[index - 1].deployment_id
    assert any(about in fault or closed[index].deployment_id in fault for fault in faults)


def test_a_removed_a_moved_and_an_added_record_are_found() -> None:
    ledger = filled(6)
    closed = ledger.closed
    for wrong in (
        closed[:2] + closed[3:],
        closed[:-1],
        (closed[1], closed[0], *closed[2:]),
        (closed[0], *closed),
    ):
        assert ledgers.chain_faults(msgspec.structs.replace(ledger, closed=wrong)) != []


@pytest.mark.parametrize(
    ("held", "wanted", "clash"),
    [
        ("us-east", "us-east", "clash"),
        ("us-east", "eu-west", ""),
        (None, "us-east", "clash"),
        ("us-east", None, "clash"),
        (None, None, "clash"),
    ],
)
def test_claims_on_one_place_exclude_each_other(held: str | None, wanted: str | None, clash: str) -> None:
    ledger = ledgers.claim(empty(), (record(1, held),), regions=REGIONS)
    if clash:
        with pytest.raises(ConflictError, match=record(1, held).deployment_id):
            ledgers.claim(ledger, (record(2, wanted),), regions=REGIONS)
    else:
        both = ledgers.claim(ledger, (record(2, wanted),), regions=REGIONS)
        assert [one.region for one in both.open] == [held, wanted]
    assert len(ledgers.holders(ledger, (wanted,))) == bool(clash)


def test_who_only_waits_holds_nothing() -> None:
    waiting = record(1, "us-east", status=DeploymentStatus.PENDING)
    ledger = msgspec.structs.replace(empty(), open=(waiting,))
    assert ledgers.holders(ledger, ("us-east",)) == ()


def test_f72_a_claim_may_be_taken_over_120_seconds_after_its_end() -> None:
    held = record(1)
    assert held.lease_end is not None
    end = held.lease_end + timedelta(seconds=120)
    assert ledgers.is_expired(held, end)
    assert not ledgers.is_expired(held, end - timedelta(seconds=1))
    assert not ledgers.is_expired(msgspec.structs.replace(held, lease_end=None), end + MONTH)


def _live(ledger: Ledger, key: str = "") -> Live:
    return ledger.header.live[key]


def test_a_failure_before_any_script_leaves_certainty() -> None:
    ledger = deployed(empty(), record(1, version="v1.0.0"))
    ledger = deployed(ledger, record(2, version="v2.0.0"), FAILED, started=False)
    assert (_live(ledger).version, _live(ledger).uncertain, _live(ledger).attempted) == (
        "v1.0.0",
        False,
        None,
    )


@pytest.mark.parametrize("status", [FAILED, CANCELLED])
def test_f119_a_failure_after_a_script_makes_uncertain_until_the_next_success(
    status: DeploymentStatus,
) -> None:
    ledger = deployed(empty(), record(1, version="v1.0.0"))
    ledger = deployed(ledger, record(2, version="v2.0.0"), status)
    assert (_live(ledger).version, _live(ledger).uncertain) == ("v1.0.0", True)
    assert _live(ledger).attempted == "v2.0.0"
    ledger = deployed(ledger, record(3, version="v2.0.0"), status, started=False)
    assert _live(ledger).uncertain
    ledger = deployed(ledger, record(4, version="v1.0.0"))
    assert (_live(ledger).version, _live(ledger).uncertain, _live(ledger).attempted) == (
        "v1.0.0",
        False,
        None,
    )


def test_nothing_is_live_after_a_first_failure_and_that_is_uncertain() -> None:
    ledger = deployed(empty(), record(1), FAILED)
    assert (_live(ledger).version, _live(ledger).commit_sha, _live(ledger).uncertain) == (None, None, True)
    ledger = ledgers.settle_target(ledger)
    assert (ledger.header.settled, ledger.header.target) == (False, commit_of("v1.0.0"))


def test_f90_the_target_waits_for_every_region() -> None:
    ledger = empty(version="v1.0.0")
    for number, region in enumerate(REGIONS[:2]):
        ledger = deployed(ledger, record(number, region, "v1.0.0"), regions=REGIONS[:2])
    ledger = ledgers.settle_target(ledger)
    assert (ledger.header.settled, ledger.header.target) == (True, commit_of("v1.0.0"))
    ledger = ledgers.settle_target(deployed(ledger, record(3, "us-east", "v2.0.0"), regions=REGIONS[:2]))
    assert (ledger.header.settled, ledger.header.target) == (False, commit_of("v1.0.0"))
    ledger = ledgers.settle_target(deployed(ledger, record(4, "eu-west", "v2.0.0"), regions=REGIONS[:2]))
    assert (ledger.header.settled, ledger.header.target) == (True, commit_of("v2.0.0"))


def test_regions_that_come_and_go() -> None:
    two, three = REGIONS[:2], REGIONS
    ledger = empty()
    for number, region in enumerate(two):
        ledger = ledgers.settle_target(deployed(ledger, record(number, region), regions=two))
    assert ledger.header.settled
    ledger = ledgers.settle_target(deployed(ledger, record(3, "us-east"), regions=three))
    assert not ledger.header.settled, "ap-south has nothing yet"
    assert set(ledger.header.live) == set(two)
    ledger = ledgers.settle_target(deployed(ledger, record(4, "ap-south"), regions=three))
    assert ledger.header.settled
    ledger = ledgers.settle_target(deployed(ledger, record(5, "us-east"), regions=REGIONS[:1]))
    assert ledger.header.settled
    assert set(ledger.header.live) == {"us-east"}
    assert ledgers.chain_faults(ledger) == []


def test_an_environment_that_gets_its_first_regions() -> None:
    ledger = ledgers.settle_target(deployed(empty(), record(1)))
    assert (ledger.header.settled, set(ledger.header.live)) == (True, {""})
    ledger = ledgers.settle_target(deployed(ledger, record(2, "us-east"), regions=REGIONS[:1]))
    assert (ledger.header.settled, set(ledger.header.live)) == (True, {"us-east"})


def test_f63_the_order_is_that_of_the_ledger_whatever_the_dates() -> None:
    future, past = NOON + 9999 * MONTH, datetime(1970, 1, 1, tzinfo=NOON.tzinfo)
    ledger = deployed(empty(), record(1, version="v1.0.0", at=future))
    ledger = deployed(ledger, record(2, version="v2.0.0", at=past))
    assert [one.version for one in ledger.closed] == ["v2.0.0", "v1.0.0"]
    assert _live(ledger).version == "v2.0.0"
    backwards = deployed(ledger, record(3, at=NOON), took=-HOUR)
    assert backwards.closed[0].completed_at == NOON, "no deployment ends before it began"
    assert ledgers.chain_faults(backwards) == []


def test_a_record_is_found_by_its_own_id_and_by_its_claim() -> None:
    one, other = record(1, "us-east"), record(1, "eu-west")
    ledger = ledgers.claim(empty(), (one, other), regions=REGIONS)
    assert ledger.find(one.claim_id) == (one, other)
    assert ledger.find(other.deployment_id) == (other,)
    assert ledger.find("nothing") == ()


def test_a_touched_ledger_is_equal_and_another() -> None:
    ledger = filled(2)
    assert ledgers.touched(ledger) == ledger
    assert ledgers.touched(ledger) is not ledger


@examples(40)
@given(st.sets(st.integers(0, 9)))
def test_shrinking_keeps_the_chain(which: set[int]) -> None:
    ledger = filled(10, reason="because it was time")
    closed = tuple(
        retention.shrink(one) if index in which else one for index, one in enumerate(ledger.closed)
    )
    shrunk = msgspec.structs.replace(ledger, closed=closed)
    assert ledgers.chain_faults(shrunk) == []
    for index, (one, before) in enumerate(zip(closed, ledger.closed, strict=True)):
        assert (one.digest is not None) is (index in which)
        assert (one.deployment_id, one.version, one.region, one.status) == (
            before.deployment_id,
            before.version,
            before.region,
            before.status,
        )
        assert (one.started_at, one.completed_at) == (before.started_at, before.completed_at)
        assert retention.shrink(retention.shrink(one)) == retention.shrink(one)
    again = retention.retain(deployed(shrunk, record(11)), now=NOON)
    assert ledgers.chain_faults(again) == []


def test_f76_a_claim_that_is_long_over_counts_as_closed_for_whoever_reads() -> None:
    ledger = deployed(empty(), record(1, "us-east"), regions=("us-east", "eu-west"))
    dead, alive = record(2, "us-east", "v1.1.0"), record(3, "eu-west", "v1.1.0", lease_end=NOON + 9 * HOUR)
    ledger = ledgers.claim(ledger, (dead, alive), regions=("us-east", "eu-west"))
    assert dead.lease_end is not None
    over = dead.lease_end + ledgers.TAKEOVER_GRACE
    assert ledgers.observed(ledger, over - timedelta(seconds=1)) is ledger
    seen = ledgers.observed(ledger, over)
    live = seen.header.live["us-east"]
    assert (live.version, live.uncertain, live.attempted) == ("v1.0.0", True, "v1.1.0")
    assert seen.open == (alive,)
    assert (seen.closed[0].deployment_id, seen.closed[0].scripts_started) == (dead.deployment_id, True)
    assert ledgers.chain_faults(seen) == []
