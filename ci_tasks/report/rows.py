"""What a report's tables say, before text or Markdown draws them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ci_tasks.core.columns import REGION, used
from ci_tasks.core.console import next_line
from ci_tasks.report.names import RegionStatus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from ci_tasks.report.model import PipelineReport, RegionResult, ScriptLine

BACK = "back: "
"""What the rows and the last lines of a way back begin with."""
SUMMARY_LINES = 100  # more is in the JSON
_REGION_COLUMNS = (REGION, "Status", "Version", "Before", "Time")
_SCRIPT_COLUMNS = (REGION, "Script", "Mode", "Decided by", "Status", "Time")

Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""Columns and rows."""


def region_table(report: PipelineReport) -> Table:
    """One row for each region, one more for its way back; without regions there is no column for them."""
    rows = [
        (
            result.region or "",
            f"{way}{result.status.value}",
            result.version,
            result.previous_version or "-",
            _took(result),
        )
        for way, result in _ways(report)
    ]
    return used(_REGION_COLUMNS, rows, always=_REGION_COLUMNS[1:])


def script_table(report: PipelineReport, *, is_short: bool = False) -> Table:
    """One row for each script in each region; `is_short` leaves out the regions where all went plainly."""
    rows = [
        (
            result.region or "",
            f"{way}{line.name}",
            line.mode,
            line.decided_by or "-",
            line.status,
            span(line.seconds),
        )
        for way, result in _ways(report)
        if not (is_short and all(map(_went_plainly, result.scripts)))
        for line in result.scripts
    ]
    return used(_SCRIPT_COLUMNS, rows, always=_SCRIPT_COLUMNS[1:])


def unplain_logs(report: PipelineReport) -> list[list[str]]:
    """The kept lines of each script that ran and did not succeed, told by how they begin; oldest first."""
    found = []
    for way, result in _ways(report):
        place = f"{result.region} | " if result.region else ""
        for line in result.scripts:
            begin = f"{way}{place}{line.name.rpartition('/')[2]} | "
            mine = [entry for entry in report.logs if entry.startswith(begin)]
            if mine and line.status not in ("SUCCESS", "SKIPPED"):
                found.append(mine)
    return found


def commands(report: PipelineReport) -> list[str]:
    """The lines to type next, each once, as they are typed here: the report's, then those of its links."""
    lines = [*report.next_steps, *(link.command for link in report.action_links if link.command)]
    return list(dict.fromkeys(map(next_line, lines)))


def claims_back(report: PipelineReport) -> str:
    """The deployments that were the way back, as `deploy.history` names them."""
    ids = [result.deployment_id for result in report.rollbacks if result.deployment_id]
    return ", ".join(dict.fromkeys(deployment_id.partition(".")[0] for deployment_id in ids))


def record(report: PipelineReport, *, tag: str, claim: str, back: str = "") -> str:
    """Where it is recorded, as a sentence; `tag`, `claim` and `back` are the report's, ready to be shown."""
    if not report.recorded_in and claim:
        return f"The result was not recorded in a tag; the deployment is {claim}."
    if not report.recorded_in:
        return "Nothing was recorded." if report.outcome != "UNKNOWN" else "What was recorded is not known."
    way_back = f" The way back is {back}." if back else ""
    return f"Recorded in the tag {tag}{f', deployment {claim}' if claim else ''}.{way_back}"


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


def _ways(report: PipelineReport) -> Iterator[tuple[str, RegionResult]]:
    """What each region came to, then what each way back did, with what tells them apart."""
    yield from (("", result) for result in report.regions)
    yield from ((BACK, result) for result in report.rollbacks)


def _went_plainly(line: ScriptLine) -> bool:
    return (line.mode, line.status) == ("EXECUTE", "SUCCESS")


def _took(result: RegionResult) -> str:
    """How long its scripts took; without scripts, the time between the two moments."""
    if result.status is RegionStatus.SKIPPED:
        return "-"  # it was claimed all the while, and nothing was done
    if result.scripts:
        return span(sum(line.seconds for line in result.scripts))
    if not (result.started_at and result.completed_at):
        return "-"
    return span(max(0.0, (result.completed_at - result.started_at).total_seconds()))
