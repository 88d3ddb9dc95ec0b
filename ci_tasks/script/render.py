"""The collection's answers as text for people."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ci_tasks.core.console import table
from ci_tasks.core.errors import ExitCode
from ci_tasks.script.check import has_errors
from ci_tasks.script.folder import FOLDER, file_name
from ci_tasks.script.names import Mode, ScriptStatus, Severity

if TYPE_CHECKING:
    from ci_tasks.script.model import CheckReport, Finding, ScriptList, ScriptResult

EXIT_CODES = {
    ScriptStatus.SUCCESS: ExitCode.OK,
    ScriptStatus.SKIPPED: ExitCode.OK,
    ScriptStatus.FAILED: ExitCode.FAILED,
    ScriptStatus.TIMED_OUT: ExitCode.TIMEOUT,
    ScriptStatus.CANCELLED: ExitCode.CANCELLED,
}


def scripts_text(answer: ScriptList) -> str:
    """One row per script in the order in which they run."""
    if not answer.scripts:
        return "No scripts. A script is a file scripts/<category>/NN-ci-<name>.<ext>."
    rows = [
        (script.script_id, f"{script.order:02}", script.script_path, script.description)
        for script in answer.scripts
    ]
    return table(("Script", "Order", "Path", "Description"), rows)


def check_text(report: CheckReport) -> str:
    """One line per finding, then the sum."""
    lines = [
        f"{_place(one)}: {'warning: ' if one.severity is Severity.WARNING else ''}{one.message}"
        for one in report.findings
    ]
    errors = sum(one.severity is Severity.ERROR for one in report.findings)
    problems = _count(errors, "problem") if errors else "no problems"
    total = f"{_count(report.checked, 'script')} checked, {problems}"
    warnings = len(report.findings) - errors
    return "\n".join([*lines, total + (f", {_count(warnings, 'warning')}" if warnings else "")])


def _place(finding: Finding) -> str:
    """Where it is. A folder has no lines: it lies in `scripts/` and has no script's name."""
    path = PurePosixPath(finding.path)
    if path.parent.name == FOLDER and file_name(path.name) is None:
        return f"{finding.path}/"
    return f"{finding.path}:{finding.line}"


def check_code(report: CheckReport) -> ExitCode:
    """FAILED if there is more than warnings."""
    return ExitCode.FAILED if has_errors(report.findings) else ExitCode.OK


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def result_text(result: ScriptResult) -> str:
    """How the script ended; after a failure with its last lines."""
    lines = [f"{result.script_id}: {_ending(result)} (mode {result.mode.value}, {result.seconds:.1f} s)"]
    if result.truncated:
        lines.append("It printed more than is shown.")
    if result.leftovers:
        lines.append(f"It left running, and these were ended: {', '.join(result.leftovers)}.")
    if result.status in (ScriptStatus.FAILED, ScriptStatus.TIMED_OUT) and result.tail:
        lines += ["Its last lines:", *(f"  {line}" for line in result.tail)]
    return "\n".join(lines)


def _ending(result: ScriptResult) -> str:
    if result.exit_status is None:
        started = "was not run" if result.mode is not Mode.SKIP else "skipped"
        return started if result.status is not ScriptStatus.FAILED else "FAILED without being run"
    if result.status is ScriptStatus.FAILED:
        status = result.exit_status
        return f"FAILED, ended by signal {-status}" if status < 0 else f"FAILED with exit status {status}"
    return {
        ScriptStatus.SUCCESS: "succeeded",
        ScriptStatus.SKIPPED: "skipped",
        ScriptStatus.TIMED_OUT: "TIMED OUT",
        ScriptStatus.CANCELLED: "was stopped",
    }[result.status]
