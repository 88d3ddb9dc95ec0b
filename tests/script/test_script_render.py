"""How a result reads."""

from __future__ import annotations

import pytest

from ci_tasks.core.errors import ExitCode
from ci_tasks.script.model import ScriptResult
from ci_tasks.script.names import Mode, ScriptStatus
from ci_tasks.script.render import EXIT_CODES, result_text


@pytest.mark.parametrize(
    ("status", "exit_status", "text"),
    [
        (ScriptStatus.SUCCESS, 0, "test/unit: succeeded (mode EXECUTE, 1.5 s)"),
        (ScriptStatus.FAILED, 3, "test/unit: FAILED with exit status 3 (mode EXECUTE, 1.5 s)"),
        (ScriptStatus.FAILED, -9, "test/unit: FAILED, ended by signal 9 (mode EXECUTE, 1.5 s)"),
        (ScriptStatus.TIMED_OUT, -15, "test/unit: TIMED OUT (mode EXECUTE, 1.5 s)"),
        (ScriptStatus.CANCELLED, -15, "test/unit: was stopped (mode EXECUTE, 1.5 s)"),
        (ScriptStatus.FAILED, None, "test/unit: FAILED without being run (mode EXECUTE, 1.5 s)"),
    ],
)
def test_a_result_says_how_it_ended(status: ScriptStatus, exit_status: int | None, text: str) -> None:
    result = ScriptResult(
        script_id="test/unit", mode=Mode.EXECUTE, status=status, exit_status=exit_status, seconds=1.5
    )
    assert result_text(result) == text


def test_f91_a_result_says_all_that_went_wrong() -> None:
    result = ScriptResult(
        script_id="test/unit",
        mode=Mode.EXECUTE,
        status=ScriptStatus.FAILED,
        exit_status=1,
        seconds=0.25,
        tail=("one", "two"),
        leftovers=("sleep",),
        truncated=True,
    )
    assert result_text(result).splitlines()[1:] == [
        "It printed more than is shown.",
        "It left running, and these were ended: sleep.",
        "Its last lines:",
        "  one",
        "  two",
    ]


def test_every_ending_has_its_exit_code() -> None:
    assert {status: EXIT_CODES[status] for status in ScriptStatus} == {
        ScriptStatus.SUCCESS: ExitCode.OK,
        ScriptStatus.SKIPPED: ExitCode.OK,
        ScriptStatus.FAILED: ExitCode.FAILED,
        ScriptStatus.TIMED_OUT: ExitCode.TIMEOUT,
        ScriptStatus.CANCELLED: ExitCode.CANCELLED,
    }
