"""How large a record is: our own program stays within what it accepts of others."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_tasks.core.entity import canonical_json
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag import limits
from ci_tasks.tag.model import Override, Run
from ci_tasks.tag.names import DeploymentStatus
from tests.examples import examples
from tests.tag.records import NOON, empty, record

LONG = "\x01" * 4096
texts = st.one_of(st.just(LONG), st.just("x" * 600), st.text(st.characters(exclude_categories=["Cs"])))


@examples(60)
@given(texts, texts, texts, st.lists(texts, max_size=20))
def test_a_record_of_ours_stays_small_until_it_is_closed(
    who: str, why: str, ended_by: str, paths: list[str]
) -> None:
    made = limits.fitted(
        record(
            1,
            triggered_by=who,
            reason=why,
            host=who,
            override=Override(reason=why, signer="alice@example.invalid"),
            run=Run(id=who, job=why, attempt=1, repository=who, url=why),
            uncommitted=tuple(paths),
        )
    )
    state = ledgers.claim(empty(), (made,), regions=())
    state = ledgers.change(state, made.deployment_id, stop_requested=limits.shortened(ended_by))
    assert list(limits.record_faults(state.open[0])) == []
    failed = DeploymentStatus.FAILED
    state = ledgers.close(state, made.deployment_id, failed, at=NOON, ended_by=limits.shortened(ended_by))
    assert list(limits.record_faults(state.closed[0])) == []


def test_what_is_short_enough_stays_as_it_is() -> None:
    made = record(1, reason="r" * 500, uncommitted=("scripts/deploy.sh",))
    assert limits.fitted(made) == made


def test_of_a_long_path_the_end_stays() -> None:
    made = limits.fitted(record(1, uncommitted=("a/" * 2000 + "deploy.sh",) * 20))
    assert len(made.uncommitted) == 10
    assert all(path.startswith("…") and path.endswith("/deploy.sh") for path in made.uncommitted)
    assert {len(path) for path in made.uncommitted} == {150}


def test_a_signer_is_never_cut() -> None:
    signer = "x" * 900
    made = limits.fitted(record(1, reason="y" * 5000, override=Override(reason=LONG, signer=signer)))
    assert made.override is not None
    assert made.override.signer == signer


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"uncommitted": ("x" * 900,) * 9}, "is a line of"),
        ({"reason": "x" * 1001}, "a text of more"),
        ({"run": Run(id="1", job="x" * 1001, attempt=1, repository="", url=None)}, "a text of more"),
        ({"uncommitted": ("x" * 1001,)}, "a text of more"),
    ],
    ids=["line", "text", "text within", "text in a list"],
)
def test_a_record_that_is_too_large_is_found(fields: dict[str, Any], reason: str) -> None:
    (fault,) = limits.record_faults(record(1, **fields))
    assert reason in fault
    assert not list(limits.record_faults(record(1, reason="x" * 1000)))
    blown_up = ledgers.with_line(record(2), canonical_json(record(2)) + b" " * limits.LONGEST_LINE)
    assert any("is a line of" in each for each in limits.record_faults(blown_up))


def test_what_was_there_before_is_not_counted() -> None:
    many = tuple(f"r{number}" for number in range(101))
    before = ledgers.with_regions(empty(), many)
    assert list(limits.number_faults(before, before)) == []
    assert len(list(limits.number_faults(empty(), before))) == 1
    grown = msgspec.structs.replace(empty(), open=tuple(record(1, region) for region in many))
    grown = msgspec.structs.replace(
        grown,
        open=tuple(
            msgspec.structs.replace(one, deployment_id=f"{one.claim_id}.{one.region}") for one in grown.open
        ),
    )
    assert len(list(limits.number_faults(empty(), grown))) == 1
    assert list(limits.number_faults(grown, grown)) == []
