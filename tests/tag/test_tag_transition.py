"""Moves of an environment tag: every one of ours is legal, and every lie about one is found."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_tasks.core.errors import RefusedError
from ci_tasks.tag import annotation, queue, retention, review
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag.model import Cut, Override
from ci_tasks.tag.names import DeploymentKind, DeploymentStatus
from tests.examples import examples
from tests.tag.moves import REGIONS, STORE, Move, Step, Tag, moved_by_hand, steps, take
from tests.tag.records import HOUR, NOON, commit_of, deployed, empty, record

if TYPE_CHECKING:
    from collections.abc import Callable

    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.model import Deployment

SUCCESS, FAILED, CANCELLED = DeploymentStatus.SUCCESS, DeploymentStatus.FAILED, DeploymentStatus.CANCELLED
DAY = timedelta(days=1)
OTHER = "f" * 40
WHY = Override(reason="it had to be", signer=None)
LONG_PATHS = tuple(f"scripts/{number:02d}-" + "x" * 90 for number in range(20))
OLD = "20260101T000000Z-0000ff"


@examples(150)
@given(
    st.lists(steps, max_size=25),
    st.sampled_from([(), REGIONS[:1], REGIONS[:2], REGIONS]),
    st.sampled_from([-20 * HOUR, timedelta(), 20 * HOUR]),
)
def test_whatever_we_do_is_legal(todo: list[Step], regions: tuple[str, ...], skew: timedelta) -> None:
    tag = Tag(regions=regions)
    for step in todo:
        take(tag, step)
    for move in tag.moves:
        assert move.faults(now=move.now + skew) == []


@examples(15)
@given(st.lists(steps, min_size=60, max_size=90))
def test_so_it_is_when_old_records_go(todo: list[Step]) -> None:
    tag = Tag()
    for step in todo:
        take(tag, replace(step, days=9, what=step.what if step.what not in {"drift", "delete"} else "deploy"))
    assert [found for move in tag.moves for found in move.faults()] == []
    for _ in range(55):
        tag.deploy("v2.0.0", FAILED)
    assert tag.ledger is not None
    assert tag.ledger.header.cut is not None
    assert [found for move in tag.moves for found in move.faults()] == []


def _many(count: int, **fields: Any) -> Tag:
    """A tag with that many large records."""
    tag = Tag(regions=())
    for number in range(count):
        tag.deploy(f"v1.0.{number}", FAILED, **fields)
    return tag


def test_a_large_ledger_shrinks_legally() -> None:
    tag = _many(90, uncommitted=LONG_PATHS)
    assert tag.ledger is not None
    short = [one.digest is not None for one in tag.ledger.closed]
    assert short == sorted(short)
    assert 0 < sum(short) < 90
    assert [found for move in tag.moves for found in move.faults()] == []


def _full(**fields: Any) -> Tag:
    """A tag with as many closed records as there is room for."""
    tag = Tag(regions=())
    state = empty()
    for number in range(1100):
        made = record(100_000 + number, None, "v0.1.0", tag.now, triggered_by="x" * 500, **fields)
        state = deployed(state, made, FAILED)
    tag.ledger = annotation.fit(ledgers.settle_target(state))
    tag.target, tag.object_id = tag.ledger.header.target, OTHER
    tag.now += timedelta(minutes=10)
    return tag


def test_a_ledger_of_more_than_one_mebibyte_drops_its_oldest_legally() -> None:
    tag = _full()
    for number in range(4):
        tag.deploy(f"v1.0.{number}", FAILED, uncommitted=LONG_PATHS)
    assert tag.ledger is not None
    assert len(tag.ledger.closed) < 1104
    assert tag.ledger.header.cut == Cut(
        seq=1104 - len(tag.ledger.closed), sha256=tag.ledger.closed[-1].prev or ""
    )
    assert [found for move in tag.moves for found in move.faults()] == []


def test_what_waits_for_a_review_is_never_dropped() -> None:
    tag = _full(override=WHY)
    assert tag.ledger is not None
    assert len(tag.ledger.closed) == 1100
    assert tag.ledger.header.cut is None
    with pytest.raises(RefusedError, match="larger than 1 MiB"):
        annotation.write(tag.ledger)


def test_a_record_may_be_shortened_as_soon_as_it_is_closed() -> None:
    """Where all older ones are as short as they get, only its own length counts."""
    tag = _full()
    small = tag.ledger
    assert small is not None
    while annotation.size(small) > annotation.SHRINK_ABOVE - 2000:
        small = msgspec.structs.replace(small, closed=small.closed[: len(small.closed) - 1])
    last = small.closed[-1]
    cut = Cut(seq=(last.seq or 0) - 1, sha256=last.prev or "")
    tag.ledger = _header(cut=cut)(small)
    tag.claim("v1.0.0", None, uncommitted=LONG_PATHS)
    move = tag.close()
    assert move.new.closed[0].digest is not None
    assert annotation.size(move.new) < annotation.SHRINK_ABOVE - 1000
    assert move.faults() == []


def _dropped(new: Ledger, *which: int) -> Ledger:
    """The ledger without some closed records, with a cut for the newest of them that is right."""
    gone = [new.closed[index] for index in which]
    cut = Cut(seq=gone[0].seq or 0, sha256=retention.shrink(gone[0]).digest or "")
    kept = tuple(one for one in new.closed if one not in gone)
    return msgspec.structs.replace(new, header=msgspec.structs.replace(new.header, cut=cut), closed=kept)


def test_more_than_has_to_go_must_not_go() -> None:
    move = _full().deploy("v1.0.0", FAILED, uncommitted=LONG_PATHS)
    assert move.faults() == []
    assert "although the ledger is not large" in "".join(
        move.faults(new=_dropped(move.new, *range(10, len(move.new.closed))))
    )
    assert "must stay" in "".join(move.faults(new=_dropped(move.new, 3)))


def test_no_record_is_shortened_without_need() -> None:
    move = _many(5).moves[-1]
    short = tuple(retention.shrink(one) if index == 4 else one for index, one in enumerate(move.new.closed))
    (fault,) = move.faults(new=msgspec.structs.replace(move.new, closed=short))
    assert "shortened although the ledger is not large" in fault


def _last() -> Move:
    """A move that has everything: one record closed, one that goes on, old ones, an override, a review."""
    tag = Tag(regions=REGIONS)
    tag.deploy("v1.0.0")
    tag.overridden("v1.1.0")
    tag.review()
    tag.join("v1.3.0", "ap-south")
    tag.claim("v1.2.0", "us-east")
    tag.claim("v1.2.0", "eu-west")
    running = tag.state().open[1:]
    tag.change(running[1].deployment_id, scripts_started=True, stop_requested="why not")
    return tag.close(all_of_them=False)


LAST = _last()


def test_the_move_that_is_spoilt_below_is_legal() -> None:
    assert LAST.faults() == []
    assert LAST.old is not None
    assert (len(LAST.old.open), len(LAST.new.open)) == (3, 2)
    assert len(LAST.new.closed) == len(LAST.old.closed) + 1 == 8
    assert len(review.debts(LAST.new)) == 2


def _header(**fields: object) -> Callable[[Ledger], Ledger]:
    return lambda new: msgspec.structs.replace(new, header=msgspec.structs.replace(new.header, **fields))


def _live(key: str, /, **fields: object) -> Callable[[Ledger], Ledger]:
    def lie(new: Ledger) -> Ledger:
        live = {**new.header.live, key: msgspec.structs.replace(new.header.live[key], **fields)}
        return _header(live=live)(new)

    return lie


def _closed(index: int, /, **fields: object) -> Callable[[Ledger], Ledger]:
    def edit(new: Ledger) -> Ledger:
        closed = list(new.closed)
        closed[index] = msgspec.structs.replace(closed[index], **fields)
        return msgspec.structs.replace(new, closed=tuple(closed))

    return edit


def _open(where: str, /, **fields: object) -> Callable[[Ledger], Ledger]:
    return lambda new: msgspec.structs.replace(
        new,
        open=tuple(
            msgspec.structs.replace(one, **fields) if one.region == where else one for one in new.open
        ),
    )


def _order(*which: int) -> Callable[[Ledger], Ledger]:
    """The closed records in this order, the others after them."""
    return lambda new: msgspec.structs.replace(
        new, closed=(*(new.closed[index] for index in which), *new.closed[max(which) + 1 :])
    )


def _without_open(region: str) -> Callable[[Ledger], Ledger]:
    return lambda new: msgspec.structs.replace(
        new, open=tuple(one for one in new.open if one.region != region)
    )


def _with(*made: Deployment, at: str = "open") -> Callable[[Ledger], Ledger]:
    return lambda new: msgspec.structs.replace(new, **{at: (*made, *getattr(new, at))})


def _next(number: int, **fields: Any) -> Deployment:
    """A closed record that fits in the chain, as far as its number goes."""
    made = record(number, None, "v1.0.0", NOON, status=SUCCESS, completed_at=NOON, lease_end=None)
    return msgspec.structs.replace(made, seq=9, **fields)


def _waits(number: int, region: str = "us-east", **fields: Any) -> Deployment:
    """Somebody else who waits."""
    made = record(number, region, at=LAST.now, status=DeploymentStatus.PENDING, queue_position=1)
    return msgspec.structs.replace(made, **fields)


LEDGERS: dict[str, Callable[[Ledger], Ledger]] = {
    "another schema": _header(schema=2),
    "another repository": _header(repository="somewhere else"),
    "another subproject": _header(subproject="web"),
    "another environment": _header(environment="production"),
    "replaces nothing": _header(replaces=None),
    "replaces another": _header(replaces=OTHER),
    "a cut is invented": _header(cut=Cut(seq=1, sha256="0" * 64)),
    "settled is a lie": _header(settled=True),
    "the target is a lie": _header(target=OTHER),
    "live: version": _live("eu-west", version="v9.0.0"),
    "live: commit": _live("eu-west", commit_sha=OTHER),
    "live: since": _live("eu-west", since=NOON - DAY),
    "live: certain": _live("us-east", uncertain=True, attempted="v1.1.0"),
    "live: a region is gone": lambda new: _header(
        live={key: live for key, live in new.header.live.items() if key != "eu-west"}
    )(new),
    "live: a region too many": lambda new: _header(
        live={**new.header.live, "mars": new.header.live["eu-west"]}
    )(new),
    "the newest closed record is left out": _order(*range(1, 8)),
    "the oldest closed record is left out": lambda new: msgspec.structs.replace(new, closed=new.closed[:-1]),
    "a record in the middle is left out": _order(0, 1, 2, 4),
    "a record is left out, with a right cut": lambda new: _dropped(new, 5),
    "what a rollback needs is left out": lambda new: _dropped(new, 7),
    "a debt is left out": lambda new: _dropped(new, 3),
    "two closed records change places": _order(0, 2, 1),
    "the new record is not the first": _order(1, 0),
    "an old record stands twice": _order(0, 1, 1),
    "one letter of an old record": _closed(4, triggered_by="Test person"),
    "an old override is taken away": _closed(3, override=None),
    "an old review is of something else": _closed(1, reviews="20260105T120000Z-000001"),
    "the new record: number": _closed(0, seq=77),
    "the new record: link": _closed(0, prev="0" * 64),
    "the new record: no link": _closed(0, prev=None),
    "the new record: version": _closed(0, version="v9.0.0"),
    "the new record: commit": _closed(0, commit_sha=OTHER),
    "the new record: region": _closed(0, region="ap-south"),
    "the new record: nonce": _closed(0, nonce="0" * 32),
    "the new record: person": _closed(0, triggered_by="Somebody Else"),
    "the new record: began": _closed(0, started_at=NOON - DAY),
    "the new record: ended before it began": _closed(0, completed_at=NOON - DAY),
    "the new record: never ended": _closed(0, completed_at=None),
    "the new record: still a lease": _closed(0, lease_end=NOON),
    "the new record: another end": _closed(0, status=FAILED),
    "the new record: claim": _closed(0, claim_id="20260105T120000Z-00ffff"),
    "the new record: an override": _closed(0, override=Override(reason="late", signer=None)),
    "the new record: not closed": _closed(0, status=DeploymentStatus.RUNNING),
    "the new record: shortened": lambda new: msgspec.structs.replace(
        new, closed=(retention.shrink(new.closed[0]), *new.closed[1:])
    ),
    "a closed record out of nothing": _with(_next(50), at="closed"),
    "a review of nothing": _with(
        _next(51, kind=DeploymentKind.REVIEW, reviews="20260105T120000Z-00ffff"), at="closed"
    ),
    "an assignment where somebody is at work": _with(_next(52, kind=DeploymentKind.ASSIGN), at="closed"),
    "a running record is gone": _without_open("eu-west"),
    "running: nonce": _open("eu-west", nonce="0" * 32),
    "running: version": _open("eu-west", version="v9.0.0"),
    "running: commit": _open("eu-west", commit_sha=OTHER),
    "running: person": _open("eu-west", triggered_by="Somebody Else"),
    "running: region": _open("eu-west", region="us-east"),
    "running: an override": _open("eu-west", override=Override(reason="late", signer=None)),
    "running: waits again": _open("eu-west", status=DeploymentStatus.PENDING),
    "running: not started after all": _open("eu-west", scripts_started=False),
    "running: not asked to stop": _open("eu-west", stop_requested=None),
    "running: no lease": _open("eu-west", lease_end=None),
    "running: a lease for ever": _open("eu-west", lease_end=NOON + 900 * DAY),
    "running: has ended": _open("eu-west", completed_at=NOON),
    "running: ended by": _open("eu-west", ended_by="me"),
    "running: a number": _open("eu-west", seq=9),
    "running: of another environment": _open("eu-west", environment="production"),
    "running: closed in its place": _open("eu-west", status=SUCCESS),
    "waiting: nonce": _open("ap-south", nonce="0" * 32),
    "waiting: an override": _open("ap-south", override=Override(reason="late", signer=None)),
    "waiting: runs without a lease": _open("ap-south", status=DeploymentStatus.RUNNING, lease_end=None),
    "waiting: began at another time": _open("ap-south", started_at=LAST.now),
    "waiting: waits longer": _open("ap-south", lease_end=LAST.now + 5 * HOUR),
    "waiting: waits for ever": _open("ap-south", lease_end=None),
    "a waiting record is gone, and another has ended": _without_open("ap-south"),
    "who came last waits in front": lambda new: msgspec.structs.replace(
        new, open=(_waits(59, "eu-west"), *new.open)
    ),
    "a new wait without an end": lambda new: queue.join(new, (_waits(60, lease_end=None),)),
    "a new wait of weeks": lambda new: queue.join(new, (_waits(61, lease_end=NOON + 20 * DAY),)),
    "a claim on a place that is not there": _with(record(58, "mars", at=LAST.now)),
    "a second claim on the same place": _with(record(53, "eu-west")),
    "a claim on every place": _with(record(54)),
    "a claim that has begun already": _with(record(55, "us-east", at=LAST.now, scripts_started=True)),
    "a claim without a lease": _with(record(56, "us-east", lease_end=None)),
    "an open assignment": _with(record(57, "us-east", kind=DeploymentKind.ASSIGN)),
    "a closed record is open again": lambda new: msgspec.structs.replace(
        new,
        closed=new.closed[1:],
        open=(*new.open, msgspec.structs.replace(new.closed[4], status=DeploymentStatus.PENDING)),
    ),
}
"""Lies about a legal move: what was written instead."""


@pytest.mark.parametrize("lie", LEDGERS.values(), ids=LEDGERS)
def test_a_lie_in_the_ledger_is_found(lie: Callable[[Ledger], Ledger]) -> None:
    assert LAST.faults(new=lie(LAST.new)) != []


@pytest.mark.parametrize(
    "given",
    [
        {"new_target": OTHER},
        {"old_id": OTHER},
        {"old_id": None},
        {"old": None},
        {"old": None, "old_id": None},
    ],
    ids=["target", "another tag is replaced", "no tag is replaced", "unreadable before", "nothing before"],
)
def test_a_lie_about_the_tag_is_found(given: dict[str, Any]) -> None:
    assert LAST.faults(**given) != []


@given(st.data())
@examples(150)
def test_any_other_byte_in_what_is_closed_is_found(data: st.DataObject) -> None:
    text, _ = annotation.write(LAST.new)
    begin = text.index(ledgers.line(LAST.new.closed[0]).decode())
    at = data.draw(st.integers(begin, len(text) - 2))
    other = data.draw(st.sampled_from('ab01 ",:{}'))
    if text[at] in {other, "\n"}:
        return
    spoilt = f"{text[:at]}{other}{text[at + 1 :]}"
    try:
        new = annotation.read(spoilt, name="api/staging")
    except annotation.UnreadableLedgerError:
        return
    assert LAST.faults(new=new) != []


def test_f61_a_tag_that_was_moved_by_hand_stays_until_something_is_settled_or_assigned() -> None:
    tag = Tag(regions=())
    tag.deploy("v1.0.0")
    moved_by_hand(tag, "v6.6.6")
    move = tag.claim("v1.1.0", None)
    assert (move.new_target, move.faults()) == (commit_of("v6.6.6"), [])
    assert move.faults(new_target=OTHER) != []
    assert move.faults(old_target=commit_of("v1.0.0")) != []
    move = tag.close()
    assert (move.new_target, move.faults()) == (commit_of("v1.1.0"), [])
    assert move.faults(new_target=commit_of("v6.6.6")) != []
    moved_by_hand(tag, "v6.6.6")
    move = tag.assign("v1.1.0")
    assert (move.new_target, move.faults()) == (commit_of("v1.1.0"), [])


def test_f71_an_unreadable_tag_is_adopted_by_assignments_with_a_reason() -> None:
    tag = Tag()
    tag.object_id = OTHER
    move = tag.assign("v1.0.0", reason="the tag was broken")
    assert move.faults() == []
    assert move.new.header.replaces == OTHER
    silent = Tag()
    silent.object_id = OTHER
    assert silent.assign("v1.0.0").faults() != []
    claimed = Tag()
    claimed.object_id = OTHER
    assert claimed.claim().faults() != []


def test_f62_a_ledger_begins_with_claims_or_assignments() -> None:
    for move in (Tag().claim(), Tag().join(), Tag().assign("v1.0.0")):
        assert move.faults() == []
        assert move.faults(new=_header(cut=Cut(seq=3, sha256="0" * 64))(move.new)) != []
        assert move.faults(new=_header(target=OTHER)(move.new), new_target=OTHER) != []
    nothing = msgspec.structs.replace(empty(), open=())
    begun = Move(None, nothing, None, None, nothing.header.target, NOON)
    assert begun.faults() == ["it begins without any record"]
    deployed = LAST.new
    fresh = Move(None, msgspec.structs.replace(deployed, open=()), None, None, LAST.new_target, NOON)
    assert fresh.faults() != []


def _queue() -> tuple[Tag, Ledger]:
    """A tag where one is at work and three wait."""
    tag = Tag(regions=REGIONS[:2])
    tag.claim("v1.0.0", "us-east", lease_end=NOON + 12 * HOUR)
    for region in ("us-east", "eu-west", "us-east"):
        tag.join("v1.1.0", region)
    return tag, tag.state()


def test_what_is_done_in_a_queue_is_legal() -> None:
    tag, state = _queue()
    first, second, third = queue.waiting(state)
    for move in (
        tag.write(queue.leave(state, second.nonce)),
        tag.write(queue.join(tag.state(), (second,))),
        tag.close(),
        tag.change(
            first.deployment_id,
            status=DeploymentStatus.RUNNING,
            started_at=tag.now,
            lease_end=tag.now + HOUR / 6,
            queue_position=None,
        ),
        tag.write(tag.closed(tag.state(), third, CANCELLED, started=False)),
    ):
        assert move.faults() == []
    assert [one.region for one in queue.waiting(tag.state())] == ["eu-west"]
    assert tag.close().faults() == []


def test_a_wait_that_is_long_over_is_closed_by_anybody() -> None:
    tag, state = _queue()
    first = queue.waiting(state)[0]
    assert first.lease_end is not None
    for seconds, faults in ((119, 1), (120, 0)):
        tag.now = first.lease_end + timedelta(seconds=seconds)
        closed = ledgers.close(
            state,
            first.deployment_id,
            CANCELLED,
            at=tag.now,
            ended_by=f"its wait ended at {first.lease_end:%Y-%m-%d %H:%M:%S} UTC",
        )
        assert len(_forged(tag, closed)) == faults
    assert ledgers.close_expired(state, ("us-east",), at=tag.now).closed[0] == closed.closed[0]


def _run_again(state: Ledger, **fields: Any) -> Ledger:
    """The ledger in which a CI job that waited is run again, and takes the place of its earlier attempt."""
    held = state.open[1]
    run = msgspec.structs.replace(held.run, attempt=2) if held.run else None
    again = _waits(90, version=held.version, commit_sha=held.commit_sha, commits=held.commits, run=run)
    again = msgspec.structs.replace(again, started_at=held.started_at, lease_end=held.lease_end, **fields)
    state = msgspec.structs.replace(state, open=(state.open[0], again, *state.open[1:]))
    return ledgers.close(
        state, held.deployment_id, CANCELLED, at=held.started_at, ended_by="attempt 2 took over"
    )


def test_f70_a_re_run_takes_the_place_of_its_earlier_attempt() -> None:
    tag, state = _queue()
    again = _run_again(state)
    assert [one.claim_id[-2:] for one in queue.waiting(again)] == ["5a", "03", "04"]
    assert tag.write(again).faults() == []


def test_a_turn_is_taken_whole() -> None:
    tag, state = _queue()
    both = tuple(_waits(91, region, lease_end=NOON + 8 * HOUR) for region in REGIONS[:2])
    assert tag.write(queue.join(state, both)).faults() == []
    half = ledgers.change(
        tag.state(),
        both[1].deployment_id,
        status=DeploymentStatus.RUNNING,
        started_at=tag.now + HOUR,
        lease_end=tag.now + 9 * HOUR,
    )
    assert "the rest of its claim goes on waiting" in "\n".join(_forged(tag, half))


@pytest.mark.parametrize("override", [WHY, None, msgspec.structs.replace(WHY, reason="another")])
def test_an_override_that_is_not_needed_any_more_may_go_at_its_turn(override: Override | None) -> None:
    tag, state = _queue()
    waits = _waits(93, "eu-west", lease_end=NOON + 8 * HOUR, override=WHY)
    state = queue.join(queue.leave(state, state.open[2].nonce), (waits,))
    tag.write(queue.leave(tag.state(), tag.state().open[2].nonce))
    assert tag.write(state).faults() == []

    def turned(**fields: object) -> str:
        changed = ledgers.change(
            tag.state(), waits.deployment_id, lease_end=tag.now + HOUR, started_at=tag.now + HOUR, **fields
        )
        return "\n".join(_forged(tag, changed))

    at_its_turn = turned(status=DeploymentStatus.RUNNING, override=override)
    assert ("another override" in at_its_turn) == (override not in (None, WHY))
    assert ("another override" in turned(override=override)) == (override is not WHY)


def _assigned(state: Ledger) -> Ledger:
    made = record(92, "eu-west", at=LAST.now, kind=DeploymentKind.ASSIGN, lease_end=None, inputs=None)
    return ledgers.assign(state, (made,), regions=REGIONS[:2], at=LAST.now)


QUEUES: dict[str, tuple[Callable[[Ledger], Ledger], str]] = {
    "one takes the place of a job that is not his": (
        lambda state: _run_again(state, version="v1.0.9"),
        "the order in which",
    ),
    "one leaves where something is assigned": (
        lambda state: _assigned(queue.leave(state, state.open[1].nonce)),
        "beside other changes",
    ),
    "one leaves where the regions change": (
        lambda state: ledgers.with_regions(queue.leave(state, state.open[1].nonce), REGIONS),
        "beside other changes",
    ),
    "one goes on waiting elsewhere": (
        lambda state: ledgers.change(state, state.open[1].deployment_id, host="another"),
        "has another host",
    ),
    "a rollback that waits": (
        lambda state: queue.join(state, (_waits(71, kind=DeploymentKind.ROLLBACK),)),
        "which never waits",
    ),
    "a wait of more than a day": (
        lambda state: queue.join(state, (_waits(72, lease_end=LAST.now + 25 * HOUR),)),
        "a wait that is longer than any",
    ),
    "a place before the first": (
        lambda state: queue.join(state, (_waits(73, queue_position=0),)),
        "a place that there is not",
    ),
    "a time that is over": (
        lambda state: queue.join(state, (_waits(74, estimated_wait_time=-1.0),)),
        "a place that there is not",
    ),
    "two with one nonce": (
        lambda state: queue.join(state, (_waits(75, nonce=state.open[1].nonce),)),
        "its nonce is somebody else's",
    ),
    "two leave at once": (
        lambda state: queue.leave(queue.leave(state, state.open[1].nonce), state.open[2].nonce),
        "beside other changes",
    ),
    "one leaves where another joins": (
        lambda state: queue.join(queue.leave(state, state.open[1].nonce), (_waits(70),)),
        "beside other changes",
    ),
    "one leaves where another is cancelled": (
        lambda state: ledgers.close(
            queue.leave(state, state.open[1].nonce),
            state.open[2].deployment_id,
            CANCELLED,
            at=state.open[2].started_at,
            ended_by="because",
        ),
        "beside other changes",
    ),
    "two change places": (
        lambda state: msgspec.structs.replace(
            state, open=(state.open[0], state.open[2], state.open[1], state.open[3])
        ),
        "the order in which",
    ),
    "one is cancelled, and nobody says why": (
        lambda state: ledgers.close(
            state, state.open[1].deployment_id, CANCELLED, at=state.open[1].started_at
        ),
        "nothing says why it does not any more",
    ),
    "one failed by waiting": (
        lambda state: ledgers.close(
            state, state.open[1].deployment_id, FAILED, at=state.open[1].started_at, ended_by="because"
        ),
        "recorded as one that failed",
    ),
    "a turn that came before it was waited for": (
        lambda state: ledgers.change(
            state, state.open[2].deployment_id, status=DeploymentStatus.RUNNING, started_at=NOON
        ),
        "its turn can't have come then",
    ),
}


@pytest.mark.parametrize(("forge", "reason"), QUEUES.values(), ids=QUEUES)
def test_what_is_not_done_in_a_queue_is_found(forge: Callable[[Ledger], Ledger], reason: str) -> None:
    tag, state = _queue()
    assert reason in "\n".join(_forged(tag, forge(state)))


def test_a_claim_and_the_one_that_it_takes_over_go_in_one_move() -> None:
    tag = Tag(regions=())
    tag.claim("v1.0.0", None)
    move = tag.claim("v1.1.0", None)
    assert move.faults() == []
    assert move.new.closed[0].status is CANCELLED
    assert move.old is not None
    forgotten = _header(live={})(msgspec.structs.replace(move.new, closed=()))
    assert "nothing says how it ended" in "".join(move.faults(new=forgotten))


def _forged(tag: Tag, state: Ledger, **given: Any) -> list[str]:
    """The faults of a move that was made with care: everything else follows from the lie by our own rules."""
    new = STORE.following(state, old=tag.object_id, now=tag.now)
    target = new.header.target
    return Move(tag.ledger, new, tag.object_id, tag.target, target, tag.now).faults(**given)


def _at_work() -> tuple[Tag, Ledger]:
    """A tag with a past, a claim whose scripts have started, and somebody who waits."""
    tag = Tag(regions=REGIONS[:2])
    tag.overridden("v1.0.0")
    tag.join("v1.2.0", "eu-west")
    tag.claim("v1.1.0", "us-east")
    tag.change(tag.state().open[1].deployment_id, scripts_started=True)
    return tag, tag.state()


def _reclosed(state: Ledger, made: Deployment, status: DeploymentStatus = SUCCESS) -> Ledger:
    state = msgspec.structs.replace(state, open=(*state.open, made))
    return ledgers.close(state, made.deployment_id, status, at=made.started_at)


AT_ONCE = {"lease_end": None, "inputs": None}
NEW = "20260105T120000Z-00ffff"


def _assignment(tag: Tag, **fields: Any) -> Deployment:
    """An assignment of a version to the one region where nobody is at work."""
    made = tag.made("eu-west", "v1.3.0", kind=DeploymentKind.ASSIGN, **AT_ONCE)
    return msgspec.structs.replace(made, **fields)


def _waiting(tag: Tag, **fields: Any) -> Deployment:
    made = tag.made("eu-west", "v1.3.0", status=DeploymentStatus.PENDING, queue_position=2)
    return msgspec.structs.replace(made, **fields)


def _of_claim(made: Deployment, claim: str, region: str | None = None) -> Deployment:
    region = region or made.region
    return msgspec.structs.replace(made, claim_id=claim, deployment_id=f"{claim}.{region}", region=region)


def _reviewed(tag: Tag, state: Ledger) -> Ledger:
    """The ledger with a review of its newest debt."""
    debt = review.debts(state)[0]
    made = tag.made(
        None,
        debt.version,
        kind=DeploymentKind.REVIEW,
        reviews=debt.claim_id,
        commit_sha=debt.commit_sha,
        **AT_ONCE,
    )
    return review.reviewed(state, made)


def _turned(tag: Tag, state: Ledger, **fields: object) -> Ledger:
    """The ledger in which the turn of the one who waits has come, with other fields than before."""
    turn = {"status": DeploymentStatus.RUNNING, "lease_end": tag.now + HOUR, **fields}
    return ledgers.change(state, state.open[0].deployment_id, **turn)


def _rewritten(state: Ledger, old: str, new: str) -> Ledger:
    """The ledger whose newest record has another line that says the same."""
    first, *others = state.closed
    line = ledgers.line(first).decode()
    line = line.replace(old, new, 1) if old else line + new
    return msgspec.structs.replace(state, closed=(ledgers.with_line(first, line.encode()), *others))


def _long_ago(tag: Tag, state: Ledger) -> Ledger:
    """The ledger in which the claim ended as soon as it began, days ago."""
    tag.now += 3 * DAY
    running = state.open[1]
    return ledgers.close(state, running.deployment_id, FAILED, at=running.started_at, scripts_started=True)


def _first_shrunk(state: Ledger) -> Ledger:
    first, *others = state.closed
    return msgspec.structs.replace(state, closed=(retention.shrink(first), *others))


@pytest.mark.parametrize(
    "made",
    [
        lambda tag, state: ledgers.assign(state, (_assignment(tag),), regions=REGIONS[:2], at=tag.now),
        lambda tag, state: msgspec.structs.replace(state, open=(*state.open, _waiting(tag))),
        _turned,
        _reviewed,
    ],
    ids=["assignment", "waiting", "turn", "review"],
)
def test_what_is_forged_below_is_legal_without_the_lie(made: Callable[[Tag, Ledger], Ledger]) -> None:
    tag, state = _at_work()
    assert _forged(tag, made(tag, state)) == []


def test_a_forgery_without_a_lie_is_a_legal_move() -> None:
    tag, state = _at_work()
    assert _forged(tag, msgspec.structs.replace(state)) == []


FORGERIES: dict[str, tuple[Callable[[Tag, Ledger], Ledger], str]] = {
    "a deployment out of nothing": (
        lambda tag, state: _reclosed(state, tag.made("eu-west", "v9.0.0")),
        "is closed, but was never open",
    ),
    "an assignment that failed": (
        lambda tag, state: _reclosed(
            state, tag.made("eu-west", "v9.0.0", kind=DeploymentKind.ASSIGN, **AT_ONCE), FAILED
        ),
        "ran nothing, and is recorded as if it had",
    ),
    "an assignment in the place of another's claim": (
        lambda tag, state: _reclosed(
            state, tag.made("us-east", "v9.0.0", kind=DeploymentKind.ASSIGN, **AT_ONCE)
        ),
        "is assigned where",
    ),
    "a review of what was no override": (
        lambda tag, state: _reclosed(
            state,
            tag.made(
                None,
                "v1.1.0",
                kind=DeploymentKind.REVIEW,
                reviews=state.open[1].claim_id,
                commits=None,
                **AT_ONCE,
            ),
        ),
        "which is no record with an override",
    ),
    "a script that was never started after all": (
        lambda _, state: ledgers.close(
            state, state.open[1].deployment_id, FAILED, at=NOON, scripts_started=False
        ),
        "as if none of its scripts had started",
    ),
    "a success of one who only waited": (
        lambda tag, state: ledgers.close(state, state.open[0].deployment_id, SUCCESS, at=tag.now),
        "only waited, and is recorded as a success",
    ),
    "a claim that came with an end": (
        lambda tag, state: ledgers.claim(
            state, (tag.made("eu-west", "v1.3.0", ended_by="me"),), regions=REGIONS[:2]
        ),
        "is open, and has endedBy",
    ),
    "a waiter that got an end": (
        lambda _, state: ledgers.change(state, state.open[0].deployment_id, seq=4),
        "is open, and has seq",
    ),
    "an assignment that is open": (
        lambda tag, state: ledgers.claim(
            state, (tag.made("eu-west", "v1.3.0", kind=DeploymentKind.ASSIGN),), regions=REGIONS[:2]
        ),
        "which is never open",
    ),
    "another environment's claim": (
        lambda tag, state: ledgers.claim(
            state, (tag.made("eu-west", "v1.3.0", environment="production"),), regions=REGIONS[:2]
        ),
        "is of another subproject or environment",
    ),
    "a debt that was dropped": (lambda _, state: _dropped(state, 1), "must stay were dropped"),
    "one more old record": (
        lambda _, state: msgspec.structs.replace(
            state,
            closed=(
                *state.closed,
                msgspec.structs.replace(state.closed[1], deployment_id=OLD, override=None),
            ),
        ),
        "neither new nor where it was before",
    ),
    "a record that is open again": (
        lambda tag, state: msgspec.structs.replace(
            _dropped(state, 1),
            open=(
                *state.open,
                tag.made("eu-west", "v1.0.0", deployment_id=state.closed[1].deployment_id),
            ),
        ),
        "was closed, and is open again",
    ),
    "a closed record among the open ones": (
        lambda _, state: ledgers.change(state, state.open[0].deployment_id, status=CANCELLED),
        "stands among the open records",
    ),
    "an open record among the closed ones": (
        lambda tag, state: _with(tag.made("eu-west", "v1.4.0"), at="closed")(state),
        "stands among the closed records",
    ),
    "a claim of yesterday": (
        lambda tag, state: ledgers.claim(
            state, (tag.made("eu-west", "v1.3.0", started_at=tag.now - 2 * DAY),), regions=REGIONS[:2]
        ),
        "began at 2026-01-03",
    ),
    "an assignment of long ago": (
        lambda tag, state: ledgers.assign(
            state, (_assignment(tag, started_at=NOON - 40 * DAY),), regions=REGIONS[:2], at=NOON - 40 * DAY
        ),
        "began at 2025-11-26 12:00:00 UTC, and that is not now",
    ),
    "an assignment of the future": (
        lambda tag, state: ledgers.assign(
            state, (_assignment(tag, started_at=NOON + 40 * DAY),), regions=REGIONS[:2], at=NOON + 40 * DAY
        ),
        "began at 2026-02-14",
    ),
    "a result of long ago": (
        _long_ago,
        "and that is not now",
    ),
    "a result of the future": (
        lambda tag, state: ledgers.close(
            state, state.open[1].deployment_id, FAILED, at=tag.now + 2 * DAY, scripts_started=True
        ),
        "and that is not now",
    ),
    "a name that is not the claim's and the region's": (
        lambda tag, state: ledgers.assign(
            state,
            (_assignment(tag, deployment_id="20260105T120000Z-0000ff.us-east"),),
            regions=REGIONS[:2],
            at=tag.now,
        ),
        "is not named after its claim",
    ),
    "a claim with a region in its name": (
        lambda tag, state: ledgers.claim(
            state,
            (
                tag.made(
                    "eu-west",
                    "v1.3.0",
                    claim_id="20260105T120000Z-0000ff.a",
                    deployment_id="20260105T120000Z-0000ff.a.eu-west",
                ),
            ),
            regions=REGIONS[:2],
        ),
        "is not named after its claim",
    ),
    "one more region of an old claim": (
        lambda tag, state: ledgers.claim(
            state, (_of_claim(tag.made("eu-west", "v1.3.0"), state.closed[-1].claim_id),), regions=REGIONS[:2]
        ),
        "its claim is an older one",
    ),
    "a new override under a review that is there": (
        lambda tag, state: ledgers.assign(
            _reviewed(tag, state),
            (_of_claim(_assignment(tag, override=WHY), state.closed[0].claim_id, "ap-south"),),
            regions=REGIONS,
            at=tag.now,
        ),
        "there is a review of it already",
    ),
    "a review of what is at work": (
        lambda tag, _: _reviewed(tag, tag.claim("v1.3.0", "eu-west", override=WHY).new),
        "which has not ended",
    ),
    "a waiter whose turn is another version's": (
        lambda tag, state: _turned(tag, state, version="v9.0.0", commit_sha=commit_of("v9.0.0")),
        "another version, another commitSha",
    ),
    "a waiter whose turn has another reason": (
        lambda tag, state: _turned(tag, state, reason="mine"),
        "another reason",
    ),
    "a waiter whose turn began earlier": (
        lambda tag, state: _turned(tag, state, started_at=NOON),
        "another startedAt",
    ),
    "a waiter whose turn is over already": (
        lambda tag, state: _turned(tag, state, scripts_started=True),
        "its scripts have started already",
    ),
    "a waiter that broke off half-way": (
        lambda tag, state: ledgers.close(
            state, state.open[0].deployment_id, FAILED, at=tag.now, scripts_started=True
        ),
        "only waited, and is closed as if its scripts had started",
    ),
    "a success without a script": (
        lambda tag, _: ledgers.close(
            tag.claim("v1.3.0", "eu-west").new,
            tag.state().open[-1].deployment_id,
            SUCCESS,
            at=tag.now,
            scripts_started=False,
        ),
        "ran no script, and is recorded as a success",
    ),
    "a lease that is cut": (
        lambda _, state: ledgers.change(state, state.open[1].deployment_id, lease_end=NOON - 900 * DAY),
        "has a lease that ends earlier than before",
    ),
    "a lease that is said to be over": (
        lambda tag, state: ledgers.close(
            state,
            state.open[1].deployment_id,
            CANCELLED,
            at=tag.now,
            ended_by=f"its lease ended at {tag.now:%Y-%m-%d %H:%M:%S} UTC",
            scripts_started=True,
        ),
        "because its lease was over, but it was not",
    ),
    "a lease that is settled too early": (
        lambda tag, state: ledgers.close(
            state,
            state.open[1].deployment_id,
            CANCELLED,
            at=tag.now,
            ended_by="settled by me: its lease was over",
            scripts_started=True,
        ),
        "because its lease was over, but it was not",
    ),
    "a lease that ended at another time": (
        lambda tag, state: ledgers.close(
            state,
            state.open[1].deployment_id,
            CANCELLED,
            at=tag.now + HOUR,
            ended_by="its lease ended at 2026-01-01 00:00:00 UTC",
            scripts_started=True,
        ),
        "with another end of its lease",
    ),
    "a region twice": (
        lambda _, state: _header(regions=("us-east", "us-east"))(state),
        "a region twice",
    ),
    "thousands of regions": (
        lambda _, state: _header(regions=tuple(f"r{number}" for number in range(101)))(state),
        "it has 101 regions",
    ),
    "thousands of records": (
        lambda tag, state: ledgers.assign(
            state,
            tuple(_of_claim(_assignment(tag), NEW, f"r{number}") for number in range(101)),
            regions=REGIONS,
            at=tag.now,
        ),
        "101 of its records are new",
    ),
    "a long line": (
        lambda tag, state: ledgers.assign(
            state, (_assignment(tag, uncommitted=("x" * 900,) * 9),), regions=REGIONS[:2], at=tag.now
        ),
        "is a line of ",
    ),
    "a long reason to wait": (
        lambda tag, state: msgspec.structs.replace(
            state, open=(*state.open, _waiting(tag, reason="x" * 1001))
        ),
        "a text of more than 1000 characters",
    ),
    "a claim that grew": (
        lambda _, state: ledgers.change(state, state.open[1].deployment_id, stop_requested="x" * 1001),
        "a text of more than 1000 characters",
    ),
    "a line with blanks": (
        lambda tag, state: _rewritten(
            ledgers.assign(state, (_assignment(tag),), regions=REGIONS[:2], at=tag.now), "", " "
        ),
        "is not written as ci-tasks writes a record",
    ),
    "a line that says it twice": (
        lambda tag, state: _rewritten(
            ledgers.assign(state, (_assignment(tag),), regions=REGIONS[:2], at=tag.now),
            "{",
            '{"version":"v6.6.6",',
        ),
        "is not written as ci-tasks writes a record",
    ),
    "a new record that is shortened at once": (
        lambda tag, state: _first_shrunk(
            ledgers.assign(state, (_assignment(tag),), regions=REGIONS[:2], at=tag.now)
        ),
        "was shortened although the ledger is not large",
    ),
}
"""Lies that fit: made with the ledger's own functions, or told alike everywhere."""


@pytest.mark.parametrize(("forge", "reason"), FORGERIES.values(), ids=FORGERIES)
def test_a_forgery_made_with_care_is_found(forge: Callable[[Tag, Ledger], Ledger], reason: str) -> None:
    tag, state = _at_work()
    assert reason in "\n".join(_forged(tag, forge(tag, state)))


def test_a_forged_beginning_is_found() -> None:
    tag = Tag(regions=())
    begun = ledgers.claim(empty(), (tag.made(None, "v1.0.0"),), regions=())
    assert _forged(tag, begun) == []
    cut = _header(cut=Cut(seq=3, sha256="0" * 64))(begun)
    assert "it begins, and says that older records were dropped" in _forged(tag, cut)
    closed = ledgers.close(begun, begun.open[0].deployment_id, SUCCESS, at=tag.now)
    assert "it begins with a closed record that is no assignment" in _forged(tag, closed)


def test_a_target_of_its_own_is_found_though_tag_and_header_agree() -> None:
    (fault,) = LAST.faults(new=_header(target=OTHER)(LAST.new), new_target=OTHER)
    assert fault.startswith(f"its target is {OTHER[:12]}, but ")
