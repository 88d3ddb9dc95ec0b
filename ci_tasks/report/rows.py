"""What a report's tables say, before text or Markdown draws them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ci_tasks.core.columns import REGION, used
from ci_tasks.core.console import next_line

if TYPE_CHECKING:
    from datetime import datetime

    from ci_tasks.report.model import PipelineReport, RegionResult

SUMMARY_LINES = 100  # more is in the JSON
_REGION_COLUMNS = (REGION, "Status", "Version", "Before", "Time")
_SCRIPT_COLUMNS = (REGION, "Script", "Mode", "Decided by", "Status", "Time")

Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""Columns and rows."""


def region_table(report: PipelineReport) -> Table:
    """One row for each region, one more for its way back; without regions there is no column for them."""
    ways = [
        *((result, "") for result in report.regions),
        *((result, "back: ") for result in report.rollbacks),
    ]
    rows = [
        (
            result.region or "",
            f"{way}{result.status.value}",
            result.version,
            result.previous_version or "-",
            _took(result),
        )
        for result, way in ways
    ]
    return used(_REGION_COLUMNS, rows, always=_REGION_COLUMNS[1:])


def script_table(report: PipelineReport) -> Table:
    """One row for each script in each region."""
    rows = [
        (result.region or "", line.name, line.mode, line.decided_by or "-", line.status, span(line.seconds))
        for result in (*report.regions, *report.rollbacks)
        for line in result.scripts
    ]
    return used(_SCRIPT_COLUMNS, rows, always=_SCRIPT_COLUMNS[1:])


def commands(report: PipelineReport) -> list[str]:
    """The lines to type next, each once, as they are typed here: the report's, then those of its links."""
    lines = [*report.next_steps, *(link.command for link in report.action_links if link.command)]
    return list(dict.fromkeys(map(next_line, lines)))


def record(report: PipelineReport, *, tag: str, claim: str) -> str:
    """Where it is recorded, as a sentence; `tag` and `claim` are the report's own, ready to be shown."""
    if not report.recorded_in and claim:
        return f"The result was not recorded in a tag; the deployment is {claim}."
    if not report.recorded_in:
        return "Nothing was recorded." if report.outcome != "UNKNOWN" else "What was recorded is not known."
    return f"Recorded in the tag {tag}, deployment {claim}." if claim else f"Recorded in the tag {tag}."


def span(seconds: float) -> str:
    """A length of time, rounded for people: "0.4 s", "63 s", "12 min 5 s", "2 h 3 min"."""
    if seconds < 10:  # noqa: PLR2004 - tenths of a second say something below ten seconds only
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 2:  # noqa: PLR2004 - "63 s" reads better than "1 min 3 s"
        return f"{round(seconds)} s"
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"  # noqa: PLR2004 - minutes of an hour


def moment(time: datetime) -> str:
    """A time in UTC, to the second."""
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"


def _took(result: RegionResult) -> str:
    """How long its scripts took; without scripts, the time between the two moments."""
    if result.scripts:
        return span(sum(line.seconds for line in result.scripts))
    if not (result.started_at and result.completed_at):
        return "-"
    return span(max(0.0, (result.completed_at - result.started_at).total_seconds()))
