"""The text of an environment tag: readable by people, and never misread."""

from __future__ import annotations

import json
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_tasks.core.errors import ExitCode, RefusedError
from ci_tasks.tag import annotation
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag.annotation import UnreadableLedgerError
from ci_tasks.tag.model import Live
from ci_tasks.tag.names import DeploymentStatus
from tests.examples import examples
from tests.tag.records import HOUR, NOON, deployed, empty, filled, record

NAME = "api/staging"


def _text() -> str:
    ledger = deployed(empty(), record(1, "us-east", "v1.2.3"), regions=("us-east", "eu-west"))
    ledger = ledgers.claim(ledger, (record(2, "eu-west", "v1.2.4"),), regions=("us-east", "eu-west"))
    return annotation.write(ledgers.settle_target(ledger))[0]


def _changed(**fields: object) -> str:
    """A ledger whose header has other fields."""
    prose, _, body = _text().partition("\n---\n")
    header, _, records = body.partition("\n")
    document = {**json.loads(header), **fields}
    kept = {name: value for name, value in document.items() if value != "away"}
    return f"{prose}\n---\n{json.dumps(kept)}\n{records}"


def test_the_first_lines_are_for_people() -> None:
    assert _text().split("\n---\n")[0].splitlines() == [
        "api/staging: v1.2.3 (not settled)",
        "",
        "us-east  v1.2.3  since 2026-01-05 12:05:00 UTC  by Test Person",
        "running: v1.2.4 in eu-west, by Test Person, 20260105T120000Z-000002.eu-west",
    ]


def test_the_first_lines_of_a_settled_and_of_an_empty_environment() -> None:
    assert annotation.write(filled(1))[0].splitlines()[:3] == [
        "api/staging: v1.0.0",
        "",
        "v1.0.0  since 2026-01-05 12:05:00 UTC  by Test Person",
    ]
    first = ledgers.claim(empty(subproject=""), (record(1),), regions=())
    assert annotation.write(first)[0].startswith(
        "staging: nothing is live yet (not settled)\n\nrunning: v1.0.0"
    )


def test_uncertainty_is_said() -> None:
    ledger = deployed(filled(1), record(7, version="v9.0.0"), DeploymentStatus.FAILED)
    assert (
        "UNCERTAIN: v9.0.0 broke off half-way" in annotation.write(ledger)[0].split("\n---\n", maxsplit=1)[0]
    )
    nothing = deployed(empty(), record(7, version="v9.0.0"), DeploymentStatus.FAILED)
    assert "nothing succeeded yet  UNCERTAIN: v9.0.0" in annotation.write(nothing)[0]


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        pytest.param("", "there is no ledger in its message", id="F71-empty"),
        pytest.param("\n", "there is no ledger in its message", id="F71-blank"),
        pytest.param("Moved by hand\n", "there is no ledger in its message", id="F71-by-hand"),
        pytest.param("x\n--- \n{}", "there is no ledger in its message", id="F71-no-separator"),
        pytest.param("x\n---\n", "there is no ledger in its message", id="F71-nothing-after-it"),
        pytest.param("x\n---\n{", "truncated", id="F71-broken-json"),
        pytest.param("x\n---\nhello", "malformed", id="F71-no-json"),
        pytest.param("x\n---\n[1]", "Expected `object`, got `array`", id="F71-a-list"),
        pytest.param('x\n---\n"text"', "Expected `object`, got `str`", id="F71-a-string"),
        pytest.param("x\n---\nnull", "Expected `object`, got `null`", id="F71-null"),
        pytest.param("x\n---\n{}", "missing required field `schema`", id="F71-no-fields"),
        pytest.param("x\n---\n" + "[" * 200_000, "malformed|array|nested", id="F71-deep-list"),
        pytest.param(
            'x\n---\n{"schema": 1, "x": ' + '{"x":' * 200_000, "nested too deeply|unknown", id="F71-deep"
        ),
        pytest.param(_changed(extra=1), "unknown field `extra`", id="F71-unknown-field"),
        pytest.param(_changed(target="away"), "missing required field `target`", id="F71-missing-field"),
        pytest.param(_changed(regions="x"), r"Expected `array`.*regions", id="F71-wrong-type"),
        pytest.param(_changed(schema="1"), r"Expected `int`", id="F71-schema-text"),
        pytest.param(_changed(schema=True), r"Expected `int`", id="F71-schema-bool"),
        pytest.param(_changed(schema=0), "there is no form 0", id="F71-schema-0"),
        pytest.param(_changed(schema=-5), "there is no form -5", id="F71-schema-negative"),
        pytest.param(_text() + '{"deploymentId": 1}\n', "deploymentId", id="F71-wrong-record"),
        pytest.param(_text().replace('"RUNNING"', '"GOING"'), "status", id="F71-wrong-status"),
        pytest.param(_text().replace('"startedAt":"2026', '"startedAt":"20x6'), "startedAt", id="F71-time"),
        pytest.param(_text()[:-40], "truncated", id="F71-cut-off"),
        pytest.param(
            _changed(environment="production"), "that of api/production: somebody copied", id="F71-copied"
        ),
        pytest.param(
            _changed(subproject=None), "that of staging: somebody copied", id="F71-copied-from-root"
        ),
        pytest.param(_changed(schema=2), r"newer ci-tasks \(form 2, this one knows 1\)", id="F71-newer"),
        pytest.param(
            _changed(schema=9, surprise={"a": 1}, target="away"),
            "newer ci-tasks",
            id="F71-newer-with-other-fields",
        ),
    ],
)
def test_unreadable(message: str, cause: str) -> None:
    with pytest.raises(UnreadableLedgerError, match=cause) as caught:
        annotation.read(message, name=NAME)
    assert caught.value.exit_code is ExitCode.CONFLICT
    assert NAME in caught.value.what
    assert caught.value.unchanged
    assert len(caught.value.what) < 400


def test_f71_a_newer_form_asks_for_an_upgrade() -> None:
    with pytest.raises(UnreadableLedgerError) as caught:
        annotation.read(_changed(schema=2), name=NAME)
    assert caught.value.next_step == "pip install --upgrade ci-tasks"


@pytest.mark.parametrize(
    "signature",
    [
        "-----BEGIN PGP SIGNATURE-----\n\niQEzBAABCAAdFiEE\n=abcd\n-----END PGP SIGNATURE-----\n",
        "-----BEGIN SSH SIGNATURE-----\nU1NIU0lHAAAAAQ\n-----END SSH SIGNATURE-----\n",
        "-----BEGIN SIGNED MESSAGE-----\nMIIE\n-----END SIGNED MESSAGE-----\n",
    ],
)
def test_a_signature_does_not_disturb(signature: str) -> None:
    assert annotation.read(_text() + signature, name=NAME) == annotation.read(_text(), name=NAME)


NASTY = '\n---\n{}\n-----BEGIN PGP SIGNATURE-----\n\x1b[2J\u2028\u202e\x00\t"\\'
texts = st.one_of(st.just(NASTY), st.text(st.characters(exclude_categories=["Cs"]), max_size=40))


@examples(100)
@given(name=texts, reason=texts, stop=texts, ended_by=texts)
def test_no_words_of_a_user_break_the_form(name: str, reason: str, stop: str, ended_by: str) -> None:
    ledger = deployed(filled(2), record(6, triggered_by=name, reason=reason, host=reason))
    ledger = ledgers.claim(ledger, (record(7, triggered_by=name),), regions=())
    ledger = ledgers.close(
        ledger, record(7).deployment_id, DeploymentStatus.CANCELLED, at=NOON, ended_by=ended_by
    )
    ledger = ledgers.claim(ledger, (record(8, triggered_by=name, stop_requested=stop),), regions=())
    text, _ = annotation.write(ledger)
    assert annotation.read(text, name=NAME) == ledger
    prose = text.split("\n---\n", maxsplit=1)[0]
    assert len(prose.split("\n")) == len(prose.splitlines()) == 4
    assert all(char.isprintable() for char in prose.replace("\n", ""))


def test_not_even_a_region_of_a_crafted_ledger_breaks_the_form() -> None:
    ledger = filled(1)
    live = Live(
        version="v1\n---\n{}",
        commit_sha=None,
        since=None,
        triggered_by=None,
        deployment_id=None,
        inputs=None,
        uncertain=True,
        attempted="\n---\n",
    )
    header = msgspec.structs.replace(ledger.header, live={"\n---\n": live})
    crafted = msgspec.structs.replace(ledger, header=header)
    text = annotation.write(crafted)[0]
    assert len(text.split("\n---\n")) == 2
    with pytest.raises(UnreadableLedgerError, match="live"):
        annotation.read(text, name=NAME)


def test_above_256_kib_the_oldest_records_shrink() -> None:
    ledger = filled(300, gap=timedelta(minutes=1), reason="r" * 1000)
    text, shrunk = annotation.write(ledger)
    assert shrunk
    assert len(text.encode()) <= annotation.SHRINK_ABOVE == 256 * 1024
    found = annotation.read(text, name=NAME)
    assert ledgers.chain_faults(found) == []
    short = [one.digest is not None for one in found.closed]
    assert short == sorted(short), "the newest stay whole"
    assert 0 < sum(short) < 300
    last = found.closed[-1]
    assert (last.reason, last.nonce, last.run, last.commits, last.inputs) == (None, None, None, None, None)
    assert (last.version, last.status.value) == ("v1.0.0", "SUCCESS")
    assert annotation.write(found) == (text, False), "what fits is left alone"
    grown = deployed(found, record(900, version="v9.9.9", at=NOON + 900 * HOUR, reason="r" * 5000))
    again, more = annotation.write(grown)
    assert more
    assert ledgers.chain_faults(annotation.read(again, name=NAME)) == []


def test_a_record_that_would_only_grow_is_left_alone() -> None:
    ledger = filled(600, nonce=None, run=None, host=None, commits=None, inputs=None)
    text, shrunk = annotation.write(ledger)
    assert not shrunk
    assert len(text) > annotation.SHRINK_ABOVE
    assert annotation.read(text, name=NAME) == ledger


def test_above_1_mib_nothing_is_written() -> None:
    huge = filled(12, reason="r")
    claimed = ledgers.claim(huge, (record(99, reason="x" * annotation.REFUSE_ABOVE),), regions=())
    with pytest.raises(RefusedError, match="larger than 1 MiB") as caught:
        annotation.write(claimed)
    assert caught.value.exit_code is ExitCode.REFUSED
    assert caught.value.unchanged == "Nothing was written."
    assert caught.value.next_step == "inv deploy.history --env staging --subproject api"
