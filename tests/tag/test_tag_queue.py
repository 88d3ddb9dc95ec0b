"""The queue of an environment: order, places, times, and whose turn may be passed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag import queue
from ci_tasks.tag.model import Run
from ci_tasks.tag.names import DeploymentKind, DeploymentStatus
from ci_tasks.tag.queue import Outlook, Patience
from tests.tag.records import HOUR, NOON, deployed, empty, record

if TYPE_CHECKING:
    from datetime import datetime

    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.model import Deployment

EAST, WEST, SOUTH = "us-east", "eu-west", "ap-south"
MINUTE = timedelta(minutes=1)
REGIONS = (EAST, WEST, SOUTH)


def waits(number: int, region: str | None = EAST, **fields: Any) -> Deployment:
    """A record that waits for an hour."""
    made = record(number, region, status=DeploymentStatus.PENDING)
    return msgspec.structs.replace(made, lease_end=NOON + HOUR, **fields)


def claim_id(number: int) -> str:
    """The claim of a record of that number."""
    return record(number).claim_id


def in_line(*places: str | None, running: str | None = None) -> Ledger:
    """A ledger in which claims wait for these places, numbered from 1; number 0 may be at work."""
    ledger = empty()
    if running is not None:
        ledger = ledgers.claim(ledger, (record(0, running, lease_end=NOON + HOUR),), regions=REGIONS)
    for number, place in enumerate(places, 1):
        ledger = queue.join(ledger, (waits(number, place),))
    return ledger


def first(ledger: Ledger, *regions: str | None, **given: Any) -> list[str]:
    """The claims that go first there."""
    return [one.claim_id for one in queue.before(ledger, regions, **given)]


# Who goes first


def test_first_come_first_served_where_regions_overlap() -> None:
    ledger = in_line(EAST, WEST, EAST)
    assert first(ledger, EAST) == [claim_id(1), claim_id(3)]
    assert first(ledger, EAST, claim_id=claim_id(3)) == [claim_id(1)]
    assert first(ledger, WEST, claim_id=claim_id(2)) == []
    assert first(ledger, SOUTH) == []
    assert first(ledger, EAST, passed={claim_id(1)}) == [claim_id(3)]


def test_no_region_overlaps_with_every_region() -> None:
    assert first(in_line(EAST, WEST), None) == [claim_id(1), claim_id(2)]
    assert first(in_line(None), WEST) == [claim_id(1)]


def test_who_is_at_work_or_was_long_ago() -> None:
    ledger = in_line(EAST, running=EAST)

    def found(at: datetime, **given: Any) -> list[int]:
        return [int(one.claim_id[-1]) for one in queue.in_the_way(ledger, (EAST,), now=at, **given)]

    assert found(NOON) == [0, 1]
    assert found(NOON, claim_id=claim_id(1)) == [0]
    assert found(NOON + HOUR + timedelta(seconds=119)) == [0, 1]
    assert found(NOON + HOUR + timedelta(seconds=120)) == []
    assert queue.in_the_way(ledger, (WEST,), now=NOON) == ()


def test_who_leaves_takes_his_records_and_no_others() -> None:
    ledger = in_line(EAST, WEST, running=SOUTH)
    both = queue.join(ledger, (waits(3, EAST), waits(3, WEST)))
    assert queue.leave(both, waits(3).nonce) == ledger
    assert queue.leave(ledger, waits(3).nonce) is ledger
    assert queue.leave(ledger, record(0).nonce) is ledger  # it runs


def test_whose_turn_comes_keeps_his_place_among_the_records() -> None:
    ledger = in_line(EAST, WEST)
    turned = ledgers.claim(ledger, (record(1, EAST),), regions=REGIONS)
    assert [(one.claim_id, one.status.value) for one in turned.open] == [
        (claim_id(1), "RUNNING"),
        (claim_id(2), "PENDING"),
    ]


def test_a_ci_job_that_is_run_again_waits_where_its_earlier_attempt_did() -> None:
    run = Run(id="17", job="deploy", attempt=1, repository="x", url=None)
    ledger = queue.join(in_line(EAST), (waits(2, EAST, run=run), waits(2, WEST, run=run)))
    ledger = queue.join(ledger, (waits(3, EAST),))

    def joined(*regions: str, **other: Any) -> list[int]:
        again = msgspec.structs.replace(run, **{"attempt": 2, **other})
        records = tuple(waits(4, region, run=again) for region in regions)
        return [int(one.claim_id[-1]) for one in queue.waiting(queue.join(ledger, records))]

    assert joined(EAST, WEST) == [1, 4, 4, 2, 2, 3]
    assert joined(EAST) == joined(EAST, WEST, job="x")[:-1] == [1, 2, 2, 3, 4]
    assert joined(EAST, WEST, attempt=1) == [1, 2, 2, 3, 4, 4]


# Places and times


def past(*minutes: int) -> Ledger:
    """A ledger whose successes took so long."""
    ledger = empty()
    for number, took in enumerate(minutes, 100):
        ledger = deployed(ledger, record(number, EAST), took=took * MINUTE)
    return ledger


@pytest.mark.parametrize(
    ("minutes", "usual"),
    [((), None), ((4,), 240.0), ((9, 1, 2), 120.0), ((1, 2, 4, 9), 180.0)],
    ids=["nothing yet", "one", "odd", "even"],
)
def test_the_usual_duration_is_the_median(minutes: tuple[int, ...], usual: float | None) -> None:
    assert queue.usual_duration(past(*minutes)) == usual


def test_what_did_not_run_or_did_not_succeed_says_nothing_about_durations() -> None:
    ledger = past(2)
    ledger = deployed(ledger, record(1, EAST), DeploymentStatus.FAILED, took=9 * MINUTE)
    made = record(2, EAST, kind=DeploymentKind.ASSIGN, lease_end=None)
    ledger = ledgers.assign(ledger, (made,), regions=REGIONS, at=NOON + HOUR)
    assert queue.usual_duration(ledger) == 120.0


def test_all_regions_of_a_claim_are_one_duration() -> None:
    ledger = ledgers.claim(empty(), (record(1, EAST), record(1, WEST)), regions=REGIONS)
    for minutes, region in ((3, EAST), (8, WEST)):
        name = f"{claim_id(1)}.{region}"
        ledger = ledgers.close(
            ledger, name, DeploymentStatus.SUCCESS, at=NOON + minutes * MINUTE, scripts_started=True
        )
    assert queue.usual_duration(ledger) == 480.0


def queued(usual: int | None, *places: str | None, running: str | None = EAST) -> Ledger:
    """The line of `in_line` with a past."""
    line = in_line(*places, running=running)
    ledger = past(usual) if usual else empty()
    return msgspec.structs.replace(ledger, open=line.open)


def test_the_place_and_the_time_until_the_turn() -> None:
    ledger = queued(10, EAST, WEST, EAST)

    def seen(region: str, number: int | None = None, minutes: int = 0) -> Outlook | None:
        name = None if number is None else claim_id(number)
        return queue.outlook(ledger, (region,), now=NOON + minutes * MINUTE, claim_id=name)

    assert seen(EAST, 1) == Outlook(position=1, seconds=600.0)
    assert seen(EAST, 3) == Outlook(position=2, seconds=1200.0)
    assert seen(EAST) == Outlook(position=3, seconds=1800.0)
    assert seen(EAST, 1, minutes=4) == Outlook(position=1, seconds=360.0)
    assert seen(EAST, 1, minutes=40) == Outlook(position=1, seconds=0.0)
    assert seen(EAST, 1, minutes=-5) == Outlook(position=1, seconds=600.0)  # our clock is behind
    assert seen(WEST, 2) is None
    assert seen(SOUTH) is None


def test_no_time_is_told_where_there_is_no_past() -> None:
    assert queue.outlook(queued(None, EAST), (EAST,), now=NOON) == Outlook(position=2, seconds=None)


def test_who_waits_for_a_waiter_is_behind_those_that_he_waits_for() -> None:
    ledger = queued(10, EAST)
    ledger = queue.join(ledger, (waits(2, EAST), waits(2, WEST)))
    ledger = queue.join(ledger, (waits(3, WEST),))
    assert queue.outlook(ledger, (WEST,), now=NOON, claim_id=claim_id(3)) == Outlook(
        position=3, seconds=1800.0
    )


def test_the_places_that_status_shows_are_those_of_now() -> None:
    ledger = queued(10, EAST, WEST, EAST)
    shown = queue.with_outlooks(ledger, now=NOON)
    assert [(one.queue_position, one.estimated_wait_time) for one in shown] == [
        (None, None),
        (1, 600.0),
        (1, 0.0),
        (2, 1200.0),
    ]


# A turn that nobody takes


def look(patience: Patience, ledger: Ledger, *seconds: float) -> list[str]:
    """Whom it lets go by after looks at these times."""
    for at in seconds:
        patience.look(ledger, now=NOON, at=at)
    return sorted(patience.passed)


def test_a_turn_left_unused_for_a_minute_may_be_passed() -> None:
    patience, ledger = Patience(), in_line(EAST, EAST)
    assert look(patience, ledger, 1000, 1015, 1030, 1045, 1059.9) == []
    assert look(patience, ledger, 1060) == [claim_id(1)]
    assert first(ledger, EAST, claim_id=claim_id(2), passed=patience.passed) == []


def test_whose_regions_are_not_free_leaves_nothing_unused() -> None:
    patience, held = Patience(), in_line(EAST, EAST, running=EAST)
    free = ledgers.close(
        held, f"{claim_id(0)}.{EAST}", DeploymentStatus.SUCCESS, at=NOON, scripts_started=True
    )
    assert look(patience, held, 1000, 1015, 1030, 1045, 1060, 1075) == []
    assert look(patience, free, 1090, 1105, 1120, 1135) == []
    assert look(patience, held, 1150) == []
    assert look(patience, free, 1165, 1180, 1195, 1210) == []
    assert look(patience, free, 1225) == [claim_id(1)]
    assert look(patience, held, 1226) == [claim_id(1)]  # who goes first now does not bring it back
    turned = ledgers.claim(free, (record(1, EAST, lease_end=NOON + HOUR),), regions=REGIONS)
    assert look(patience, turned, 1227) == []  # it took its turn in the end


def test_only_what_was_watched_all_the_time_counts() -> None:
    patience, ledger = Patience(), in_line(EAST, EAST)
    assert look(patience, ledger, 1000, 1015, 1100, 1115, 1130, 1145) == []
    assert look(patience, ledger, 1160) == [claim_id(1)]
    assert look(patience, ledger, 1200) == []


def test_the_next_one_has_a_minute_of_his_own() -> None:
    patience, ledger = Patience(), in_line(EAST, EAST, EAST)
    steps = [1000 + 10 * number for number in range(7)]
    assert look(patience, ledger, *steps) == [claim_id(1)]
    assert look(patience, ledger, 1070, 1080, 1090, 1100, 1110, 1120) == [claim_id(1)]
    assert look(patience, ledger, 1130) == [claim_id(1), claim_id(2)]


def test_who_was_passed_costs_nobody_another_minute() -> None:
    patience, ledger = Patience(), in_line(EAST, EAST, EAST)
    steps = [1000 + 10 * number for number in range(7)]
    assert look(patience, ledger, *steps) == [claim_id(1)]
    second = ledgers.claim(ledger, (record(2, EAST, lease_end=NOON + HOUR),), regions=REGIONS)
    assert look(patience, second, 1070, 1080) == [claim_id(1)]
    ended = ledgers.close(second, f"{claim_id(2)}.{EAST}", DeploymentStatus.FAILED, at=NOON)
    assert look(patience, ended, 1090) == [claim_id(1)]
    assert first(ended, EAST, claim_id=claim_id(3), passed=patience.passed) == []


def test_one_that_waits_for_a_held_region_too_is_not_passed() -> None:
    ledger = queue.join(in_line(running=WEST), (waits(1, EAST), waits(1, WEST)))
    ledger = queue.join(ledger, (waits(2, EAST),))
    assert look(Patience(), ledger, *range(1000, 1100, 10)) == []


# Whatever happens


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["join", "claim", "close", "leave"]), st.integers(0, 9), st.integers(0, 4)),
        max_size=40,
    )
)
def test_the_order_is_kept_and_somebody_can_always_go_on(steps: list[tuple[str, int, int]]) -> None:
    """Claims are made by those in whose way nobody is, as the program does; nobody is overtaken."""
    places: list[tuple[str | None, ...]] = [(EAST,), (WEST,), (EAST, WEST), (SOUTH,), REGIONS]
    ledger, came = empty(), dict[str, tuple[int, tuple[str | None, ...]]]()
    for number, (what, which, place) in enumerate(steps):
        waiting = list(dict.fromkeys(one.claim_id for one in queue.waiting(ledger)))
        running = [one for one in ledger.open if one.status is DeploymentStatus.RUNNING]
        if what == "join":
            came[claim_id(number)] = (number, places[place])
            ledger = queue.join(ledger, tuple(waits(number, region) for region in places[place]))
        elif what == "leave" and waiting:
            name = waiting[which % len(waiting)]
            ledger = queue.leave(ledger, waits(came[name][0]).nonce)
        elif what == "close" and running:
            one = running[which % len(running)]
            ledger = ledgers.close(ledger, one.deployment_id, DeploymentStatus.FAILED, at=NOON)
        elif what == "claim" and waiting:
            name = waiting[which % len(waiting)]
            begun, regions = came[name]
            if not queue.in_the_way(ledger, regions, now=NOON, claim_id=name):
                earlier = [other for other in waiting if came[other][0] < begun]
                assert not [other for other in earlier if set(came[other][1]) & set(regions)]
                records = tuple(record(begun, region, lease_end=NOON + HOUR) for region in regions)
                ledger = ledgers.claim(ledger, records, regions=REGIONS)
        waiting = list(dict.fromkeys(one.claim_id for one in queue.waiting(ledger)))
        assert waiting == sorted(waiting)
        if waiting and not any(one.status is DeploymentStatus.RUNNING for one in ledger.open):
            assert waiting[0] in queue.unused(ledger, now=NOON)
        for name in waiting:
            seen = queue.outlook(ledger, came[name][1], now=NOON, claim_id=name)
            is_free = not queue.in_the_way(ledger, came[name][1], now=NOON, claim_id=name)
            assert (seen is None) == is_free
            assert seen is None or 1 <= seen.position <= waiting.index(name) + 1
