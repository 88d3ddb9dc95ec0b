"""Text for terminals and logs."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_tasks.core.command_line import Line, speaking
from ci_tasks.core.errors import ExitCode
from ci_tasks.report.model import RegionResult, ScriptLine
from ci_tasks.report.names import PipelineType, RegionStatus
from ci_tasks.report.render import as_text
from ci_tasks.report.rows import span
from ci_tasks.report.visible import lines, one_line, without_commands
from tests.report.samples import PROMOTE, ROLLBACK, SAMPLES, region, report

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("name", SAMPLES)
def test_golden_text(name: str) -> None:
    assert as_text(SAMPLES[name]) == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SAMPLES)
def test_text_fits_on_80_columns_but_for_lines_to_type(name: str) -> None:
    assert not [line for line in as_text(SAMPLES[name]).splitlines() if len(line) > 80 and "inv " not in line]


@pytest.mark.parametrize("code", [code for code in ExitCode if code is not ExitCode.OK])
@pytest.mark.parametrize("kind", list(PipelineType))
def test_every_other_outcome_has_a_sentence_that_claims_no_success(
    code: ExitCode, kind: PipelineType
) -> None:
    first = as_text(report(code, pipeline_type=kind)).split("\n\n")[0]
    assert first.startswith("The ")
    assert " is live" not in first


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "api v1.2.3 is live in staging"),
        ({"subproject": None}, "v1.2.3 is live in staging"),
        ({"environment": None}, "api v1.2.3 is released"),
        ({"pipeline_type": PipelineType.MAINTENANCE}, "The maintenance of api v1.2.3 in staging is done"),
        (
            {"regions": (region("eu", RegionStatus.UNCHANGED, script=None),)},
            "api v1.2.3 is live already in staging: eu; nothing was to be done",
        ),
        (
            {"regions": tuple(region(f"r{n}", RegionStatus.SUCCESS) for n in range(10))},
            "api v1.2.3 is live in staging: r0, r1, r2, r3, r4, r5, r6, r7 and 2 more",
        ),
    ],
)
def test_first_line(changes: dict[str, object], sentence: str) -> None:
    assert as_text(report(ExitCode.OK, **changes)).splitlines()[0] == sentence


def test_a_failed_run_shows_its_last_lines_and_a_good_one_does_not() -> None:
    logs = tuple(f"line {n}" for n in range(30))
    failed = as_text(report(ExitCode.FAILED, logs=logs))
    assert "  | line 29\n" in failed
    assert "line 9\n" not in failed
    assert "line 29" not in as_text(report(logs=logs))


def test_the_way_back_is_told_from_the_way_there() -> None:
    def line(name: str, status: str) -> ScriptLine:
        return ScriptLine(name=f"deployment/{name}", mode="EXECUTE", decided_by="", status=status, seconds=1)

    def one(name: str, status: RegionStatus, claim: str, *scripts: ScriptLine) -> RegionResult:
        result = region(name, status, script=None)
        return msgspec.structs.replace(result, deployment_id=f"{claim}.{name}", scripts=scripts)

    good, bad = line("10-ci-a", "SUCCESS"), line("20-ci-b", "FAILED")
    shown = as_text(
        report(
            ExitCode.PARTIAL,
            regions=(
                one("us", RegionStatus.SUCCESS, "there", good),
                one("eu", RegionStatus.FAILED, "there", good, bad),
                region("ap", RegionStatus.SKIPPED),
            ),
            rollbacks=(
                one("us", RegionStatus.SUCCESS, "again", good),
                one("eu", RegionStatus.FAILED, "again", bad),
            ),
            logs=(
                *(f"us | 10-ci-a | there {number}" for number in range(30)),
                "eu | 20-ci-b | no disk left",
                *(f"back: us | 10-ci-a | back {number}" for number in range(30)),
                *(f"back: eu | 20-ci-b | still {number}" for number in range(30)),
            ),
        )
    )
    blocks = [block.splitlines() for block in shown.split("\n\n")]
    assert [row.split()[:2] for row in blocks[2][1:]] == [
        ["eu", "deployment/10-ci-a"],
        ["eu", "deployment/20-ci-b"],
        ["eu", "back:"],
    ]
    assert "The way back is again." in shown
    last = blocks[-1]
    assert last[:2] == ["Last lines:", "  | eu | 20-ci-b | no disk left"]
    assert last[2:] == [f"  | back: eu | 20-ci-b | still {number}" for number in range(20, 30)]
    assert next(row for row in blocks[1] if row.startswith("ap ")).endswith(" -")


@pytest.mark.parametrize(
    ("status", "ending"),
    [
        (RegionStatus.CANCELLED, "was called off (cancelled in eu)"),
        (RegionStatus.UNKNOWN, "was stopped: its claim is gone (not known in eu)"),
    ],
)
def test_who_lost_its_claim_is_told_from_who_was_called_off(status: RegionStatus, ending: str) -> None:
    stopped = report(ExitCode.CONFLICT, regions=(region("eu", status),))
    assert (
        " ".join(as_text(stopped).partition("\n\n")[0].split())
        == f"The deployment of api v1.2.3 to staging {ending}"
    )


def test_a_link_without_a_line_to_type_shows_its_address() -> None:
    link = msgspec.structs.replace(PROMOTE, command=None)
    assert f"  {PROMOTE.title}: {PROMOTE.url}\n" in as_text(report(action_links=(link,)))
    down = msgspec.structs.replace(ROLLBACK, command=None)
    assert f"  {ROLLBACK.title}: (link unavailable)\n" in as_text(report(action_links=(down,)))


@pytest.mark.parametrize(
    ("given_text", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07name", "name"),
        ("\x1b[2J\x1bc", r"\x1bc"),
        ("a\tb\r\nc", "a b c"),
        ("\u202eabc\u2066", r"\u202eabc\u2066"),
        ("a\x00\x9bb", r"a\x00\x9bb"),
        ("x" * 300, "x" * 199 + "…"),
    ],
)
def test_f110_nothing_steers_a_terminal(given_text: str, shown: str) -> None:
    assert one_line(given_text) == shown


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_f110_shown_text_has_no_controls(text: str) -> None:
    for line in (one_line(text), *lines(text)):
        assert not [sign for sign in line if unicodedata.category(sign) == "Cc"]


@given(st.text(alphabet=" :#[a\n\t\u00a0", max_size=40))
def test_f110_text_holds_no_workflow_command(text: str) -> None:
    shown = without_commands(text)
    assert "##[" not in shown
    assert not [line for line in shown.split("\n") if line.strip().startswith("::")]


def test_f110_no_line_of_text_is_a_workflow_command() -> None:
    odd = ("::set-output name=version::v6.6.6", "##[set-output name=version]v6.6.6")
    text = as_text(report(ExitCode.FAILED, summary="\n".join(odd), logs=odd, next_steps=odd, notices=odd))
    assert "##[" not in text
    assert not [line for line in text.splitlines() if line.lstrip().startswith("::")]


def test_lines_to_type_begin_with_the_users_name_for_our_tasks() -> None:
    with speaking(Line(program="inv", mount="ci.")):
        assert "\n  inv ci.deploy --env staging\n" in as_text(
            report(next_steps=("inv deploy --env staging",))
        )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (9.9, "9.9 s"), (63, "63 s"), (125, "2 min 5 s"), (7380, "2 h 3 min")],
)
def test_spans(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_f110_a_huge_report_is_still_readable() -> None:
    results = tuple(region(f"region-{n}", RegionStatus.SUCCESS) for n in range(500))
    text = as_text(report(ExitCode.FAILED, regions=results, logs=("x" * 1_500_000,), summary="y" * 1_500_000))
    assert "region-499" in text
    assert len(text) < 400_000


def test_f110_lines_without_end_are_cut() -> None:
    text = as_text(report(ExitCode.FAILED, summary="\n" * 500_000, logs=("\n" * 500_000, " " * 500_000)))
    assert text.count("\n") < 200
