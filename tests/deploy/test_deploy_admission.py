"""Whether a claim may be made: who holds the place, who goes first, and what has become of a place."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from ci_tasks.deploy.claim import ClaimHeldError, ClaimLostError, PlanOutdatedError, Turn
from ci_tasks.deploy.queue.admission import Admission, close_finished
from ci_tasks.deploy.records import at_its_turn
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag import queue
from ci_tasks.tag.clock import utc_now
from ci_tasks.tag.grammar import EnvironmentTag
from ci_tasks.tag.model import Override, Run
from ci_tasks.tag.names import DeploymentKind, DeploymentStatus
from ci_tasks.tag.store import EnvironmentFact
from tests.tag.records import HOUR, deployed, empty, record

if TYPE_CHECKING:
    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.model import Deployment

TAG = EnvironmentTag(subproject="api", environment="staging")
EAST, WEST = "us-east", "eu-west"
REGIONS = (EAST, WEST)
LINE = "inv deploy --env staging --subproject api"


def now_made(number: int, region: str, **fields: Any) -> Deployment:
    """A running record that was made just now."""
    made = record(number, region, at=utc_now())
    return msgspec.structs.replace(made, lease_end=utc_now() + HOUR, **fields)


def waits(number: int, region: str, **fields: Any) -> Deployment:
    """The same, waiting."""
    return now_made(number, region, status=DeploymentStatus.PENDING, **fields)


def claimed(
    state: Ledger | None, *records: Deployment, planned: Ledger | None = None, turn: Turn | None = None
) -> Ledger:
    """The ledger after a claim of these records that was planned with another one."""
    fact = EnvironmentFact(tag=TAG, object_id="1" * 40, target="2" * 40, ledger=planned or state)
    return Admission(fact, records, retry=LINE, turn=turn).claimed(
        state, drift=fact.drift, regions=REGIONS, repository="x", lease=timedelta(minutes=10)
    )


def test_a_claim_is_made_once() -> None:
    ledger = claimed(empty(), now_made(1, EAST))
    assert [one.status.value for one in ledger.open] == ["RUNNING"]
    assert claimed(ledger, now_made(1, EAST)) is ledger


def test_who_is_at_work_is_named_with_the_line_that_waits() -> None:
    ledger = claimed(empty(), now_made(1, EAST))
    with pytest.raises(ClaimHeldError) as held:
        claimed(ledger, now_made(2, EAST))
    assert f"To wait for your turn, 10 minutes at most: {LINE} --wait 10" in held.value.details
    with pytest.raises(ClaimHeldError) as held:
        claimed(ledger, now_made(2, EAST), turn=Turn())
    assert "--wait 10" not in "\n".join(held.value.details)
    with pytest.raises(ClaimHeldError) as held:
        claimed(ledger, now_made(2, EAST, kind=DeploymentKind.ROLLBACK))
    assert "--wait 10" not in "\n".join(held.value.details)


def test_who_waits_goes_first() -> None:
    ledger = queue.join(empty(), (waits(1, EAST), waits(1, WEST)))
    ledger = queue.join(ledger, (waits(2, EAST),))
    with pytest.raises(ClaimHeldError, match="2 deployments wait there, and go first"):
        claimed(ledger, now_made(3, EAST))
    with pytest.raises(ClaimHeldError, match="a deployment waits there, and goes first") as queued:
        claimed(ledger, now_made(3, WEST))
    assert f"To wait for your turn, 10 minutes at most: {LINE} --wait 10" in queued.value.details
    second = Turn(records=(waits(2, EAST),))
    with pytest.raises(ClaimHeldError, match="a deployment waits there"):
        claimed(ledger, now_made(2, EAST), turn=second)
    first = claimed(ledger, now_made(1, EAST), now_made(1, WEST), turn=Turn(records=ledger.open[:2]))
    assert [one.status.value for one in first.open] == ["RUNNING", "RUNNING", "PENDING"]


def test_who_left_his_turn_unused_is_passed() -> None:
    ledger = queue.join(empty(), (waits(1, EAST),))
    ledger = queue.join(ledger, (waits(2, EAST),))
    turn = Turn(records=ledger.open[1:], passed=frozenset({record(1).claim_id}))
    after = claimed(ledger, now_made(2, EAST), turn=turn)
    assert [one.status.value for one in after.open] == ["PENDING", "RUNNING"]


def test_whoever_takes_back_what_he_did_waits_for_nobody() -> None:
    ledger = queue.join(empty(), (waits(1, EAST),))
    assert len(claimed(ledger, now_made(2, EAST), turn=Turn(goes_first=True)).open) == 2


def test_a_wait_that_is_long_over_is_in_nobodys_way() -> None:
    ledger = queue.join(empty(), (waits(1, EAST),))
    over = utc_now() - ledgers.TAKEOVER_GRACE
    ledger = ledgers.change(ledger, ledger.open[0].deployment_id, lease_end=over)
    after = claimed(ledger, now_made(2, EAST))
    assert [one.status.value for one in (*after.open, *after.closed)] == ["RUNNING", "CANCELLED"]
    assert str(after.closed[0].ended_by).startswith("its wait ended at 2")


@pytest.mark.parametrize("how", ["it was cancelled", "it vanished", "the tag is gone"])
def test_a_place_that_was_taken_away(how: str) -> None:
    ledger = queue.join(empty(), (waits(1, EAST), waits(1, WEST)))
    turn = Turn(records=ledger.open)
    if how == "it was cancelled":
        name = ledger.open[1].deployment_id
        ledger = ledgers.close(
            ledger, name, DeploymentStatus.CANCELLED, at=utc_now(), ended_by="cancelled: why"
        )
        said = "it was cancelled: why"
    else:
        vanished = how == "it vanished"
        ledger, said = empty(), "does not hold it any more" if vanished else "the environment tag was deleted"
    with pytest.raises(ClaimLostError, match=said):
        claimed(
            None if how == "the tag is gone" else ledger,
            now_made(1, EAST),
            now_made(1, WEST),
            turn=turn,
        )


def test_a_machine_that_slept_keeps_its_own_place() -> None:
    """By its own clock its wait is long over: others could have closed it, and have not."""
    ledger = queue.join(empty(), (waits(1, EAST),))
    over = utc_now() - ledgers.TAKEOVER_GRACE
    ledger = ledgers.change(ledger, ledger.open[0].deployment_id, lease_end=over)
    after = claimed(ledger, now_made(1, EAST), turn=Turn(records=ledger.open))
    assert [one.status.value for one in (*after.open, *after.closed)] == ["RUNNING"]


def test_regions_that_need_nothing_any_more_are_closed() -> None:
    ledger = queue.join(empty(), (waits(1, EAST), waits(1, WEST)))
    after = claimed(ledger, now_made(1, EAST), turn=Turn(records=ledger.open))
    assert [(one.region, one.status.value) for one in (*after.open, *after.closed)] == [
        (EAST, "RUNNING"),
        (WEST, "CANCELLED"),
    ]


def test_a_plan_that_does_not_hold_any_more() -> None:
    later = deployed(empty(), now_made(1, EAST))
    with pytest.raises(PlanOutdatedError):
        claimed(later, now_made(2, EAST), planned=empty())
    assert len(claimed(later, now_made(2, WEST), planned=empty()).open) == 1


def test_f70_only_a_re_run_takes_its_own_place_back() -> None:
    run = Run(id="17", job="deploy", attempt=1, repository="x", url=None)
    again = msgspec.structs.replace(run, attempt=2)
    ledger = queue.join(empty(), (waits(1, EAST, run=run),))
    mine = now_made(2, EAST, run=again)
    assert [one.ended_by for one in close_finished(ledger, (mine,), utc_now()).closed] == [
        "attempt 2 of the same CI run took over"
    ]
    others = [
        msgspec.structs.replace(mine, run=msgspec.structs.replace(again, job="smoke")),
        msgspec.structs.replace(mine, run=run),
        msgspec.structs.replace(mine, run=None),
        msgspec.structs.replace(mine, version="v9.0.0"),
        msgspec.structs.replace(mine, region=None),
    ]
    for other in others:
        assert close_finished(ledger, (other,), utc_now()) == ledger


def test_f70_a_re_run_goes_first_where_its_earlier_attempt_did() -> None:
    run = Run(id="17", job="deploy", attempt=1, repository="x", url=None)
    ledger = queue.join(empty(), (waits(1, EAST, run=run),))
    ledger = queue.join(ledger, (waits(2, EAST),))
    mine = now_made(3, EAST, run=msgspec.structs.replace(run, attempt=2))
    after = claimed(ledger, mine)
    assert [(one.claim_id, one.status.value) for one in after.open] == [
        (record(2).claim_id, "PENDING"),
        (mine.claim_id, "RUNNING"),
    ]
    behind = queue.join(queue.join(empty(), (waits(2, EAST),)), (waits(1, EAST, run=run),))
    with pytest.raises(ClaimHeldError, match="a deployment waits there, and goes first"):
        claimed(behind, mine)


@pytest.mark.parametrize("is_needed", [True, False])
def test_an_override_that_is_not_needed_at_the_turn_is_not_recorded(is_needed: bool) -> None:  # noqa: FBT001 - pytest passes by name
    why = Override(reason="urgent", signer=None)
    running = now_made(2, EAST, override=why if is_needed else None)
    turned = at_its_turn(waits(1, EAST, override=why), running)
    assert turned.override == (why if is_needed else None)
    assert (turned.claim_id, turned.status.value) == (record(1).claim_id, "RUNNING")
