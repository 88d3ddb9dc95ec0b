"""How long a version has run somewhere, by the records of a ledger."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from ci_tasks.deploy.rule.soak import Stay, stays
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag.model import Cut
from ci_tasks.tag.names import DeploymentKind, DeploymentStatus
from tests.tag.records import HOUR, NOON, commit_of, deployed, empty, record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci_tasks.tag.ledger import Ledger

SUCCESS, FAILED, CANCELLED = DeploymentStatus.SUCCESS, DeploymentStatus.FAILED, DeploymentStatus.CANCELLED
V1, V2 = "v1.0.0", "v1.1.0"
TOOK = timedelta(minutes=5)


def history(*steps: tuple[int, str, DeploymentStatus], region: str | None = None, **fields: Any) -> Ledger:
    """A ledger of attempts: at which hour after noon, of what, and how it ended."""
    ledger = empty()
    regions = (region,) if region else ()
    for number, (hour, version, status) in enumerate(steps):
        made = record(number, region, version, NOON + hour * HOUR, **fields)
        ledger = deployed(ledger, made, status, regions, took=TOOK)
    return ledger


def hours(ledger: Ledger, version: str = V1, region: str | None = None) -> list[tuple[float, float | None]]:
    """From when to when the version was there, in hours after noon and the five minutes of a deployment."""
    found = stays(ledger, region, version, commit_of(version))
    return [
        (
            (stay.begins - NOON - TOOK) / HOUR,
            None if stay.ends is None else round((stay.ends - NOON) / HOUR, 3),
        )
        for stay in found
    ]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([(0, V2, SUCCESS)], [], id="another"),
        pytest.param([(0, V1, FAILED)], [], id="failed"),
        pytest.param([(0, V1, SUCCESS)], [(0, None)], id="live"),
        pytest.param([(0, V1, SUCCESS), (3, V2, SUCCESS)], [(0, 3)], id="replaced"),
        pytest.param([(0, V1, SUCCESS), (3, V2, FAILED)], [(0, 3)], id="uncertain"),
        pytest.param([(0, V1, SUCCESS), (3, V1, CANCELLED)], [(0, 3)], id="broken-by-itself"),
        pytest.param([(0, V1, SUCCESS), (3, V1, SUCCESS)], [(0, None)], id="once-more"),
        pytest.param(
            [(0, V1, SUCCESS), (3, V2, FAILED), (4, V1, SUCCESS), (6, V2, SUCCESS), (7, V1, SUCCESS)],
            [(0, 3), (4, 6), (7, None)],
            id="three-times",
        ),
    ],
)
def test_stays(
    steps: Sequence[tuple[int, str, DeploymentStatus]], expected: list[tuple[float, float | None]]
) -> None:
    assert hours(history(*steps)) == expected
    assert hours(history(*steps, region="eu"), region="eu") == expected
    assert hours(history(*steps, region="eu"), region="us") == []


def test_an_attempt_without_a_script_breaks_nothing() -> None:
    ledger = deployed(history((0, V1, SUCCESS)), record(7, None, V2, NOON + HOUR), FAILED, started=False)
    assert hours(ledger) == [(0, None)]


def test_a_review_is_no_deployment() -> None:
    review = record(7, None, V2, NOON + HOUR, kind=DeploymentKind.REVIEW)
    assert hours(deployed(history((0, V1, SUCCESS)), review)) == [(0, None)]


def test_the_same_name_on_another_commit_is_another_version() -> None:
    ledger = history((0, V1, SUCCESS))
    assert stays(ledger, None, V1, "f" * 40) == ()


def test_another_that_is_being_deployed_ends_it() -> None:
    ledger = history((0, V1, SUCCESS))
    again = ledgers.claim(ledger, (record(8, None, V1, NOON + HOUR),), regions=())
    assert hours(again) == [(0, None)]
    other = ledgers.claim(ledger, (record(8, None, V2, NOON + HOUR),), regions=())
    assert hours(other) == [(0, 1)]


def test_what_the_live_map_denies_does_not_last() -> None:
    ledger = history((0, V1, SUCCESS))
    live = {"": msgspec.structs.replace(ledger.header.live[""], uncertain=True)}
    assert (
        hours(msgspec.structs.replace(ledger, header=msgspec.structs.replace(ledger.header, live=live))) == []
    )


def test_what_was_dropped_might_have_broken_it() -> None:
    ledger = history((0, V1, SUCCESS), (1, V2, FAILED), (9, V1, SUCCESS))
    kept = tuple(one for one in ledger.closed if one.version == V1)
    header = msgspec.structs.replace(ledger.header, cut=Cut(seq=2, sha256="0" * 64))
    assert hours(msgspec.structs.replace(ledger, header=header, closed=kept)) == [(9, None)]


def test_a_record_that_was_dropped_is_known_by_the_live_map() -> None:
    ledger = history((0, V1, SUCCESS))
    assert hours(msgspec.structs.replace(ledger, closed=())) == [(0, None)]


def test_a_clock_that_is_behind_makes_no_negative_time() -> None:
    assert Stay(begins=NOON).seconds(NOON - HOUR) == 0.0
    assert Stay(begins=NOON).seconds(NOON + HOUR) == 3600.0
    assert Stay(begins=NOON, ends=NOON + HOUR).seconds(NOON + 9 * HOUR) == 3600.0
