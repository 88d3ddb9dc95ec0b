"""A report as plain text of 80 columns, for a terminal or a job's log."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from ci_tasks.core.console import table
from ci_tasks.report.headline import headline
from ci_tasks.report.names import ReportStatus
from ci_tasks.report.rows import (
    SUMMARY_LINES,
    claims_back,
    commands,
    moment,
    record,
    region_table,
    script_table,
    span,
    unplain_logs,
)
from ci_tasks.report.visible import lines, one_line, without_commands

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci_tasks.report.model import PipelineReport

WIDTH = 80
SHOWN_LOG_LINES = 20  # of a run that went wrong; the JSON has all that were kept


def as_text(report: PipelineReport) -> str:
    """The report as text that ends in a newline; nothing in it steers a terminal or a runner."""
    return without_commands("\n\n".join(_blocks(report)) + "\n")


def _blocks(report: PipelineReport) -> Iterator[str]:
    sentence = headline(report)
    yield _wrapped(sentence)
    if report.summary.strip() and report.summary != sentence:
        yield "\n".join(_wrapped(line) for line in lines(report.summary, most=SUMMARY_LINES))
    if report.regions:
        yield _table(*region_table(report))
    columns, scripts = script_table(report, is_short=True)  # who watched has seen the others
    if scripts:
        yield _table(columns, scripts)
    if report.notices:
        yield "\n".join(_wrapped(f"note: {notice}", indent="  ") for notice in report.notices)
    yield _facts(report)
    if report.status is not ReportStatus.SUCCESS and report.logs:
        yield _last_lines(report)
    if next_lines := [*commands(report), *_places(report)]:
        yield "\n".join(["Next:", *(f"  {one_line(line, limit=2000)}" for line in next_lines)])


def _facts(report: PipelineReport) -> str:
    tag, claim = one_line(report.recorded_in or ""), one_line(report.claim_id or "")
    ended = f"{moment(report.completed_at)}, after {span(report.duration)}"
    run = f"Run {report.pipeline_run_id}, ended {ended}: {report.outcome}."
    back = one_line(claims_back(report))
    return "\n".join([_wrapped(record(report, tag=tag, claim=claim, back=back)), _wrapped(run)])


def _places(report: PipelineReport) -> Iterator[str]:
    """The links that no line to type stands for."""
    for link in report.action_links:
        if not link.command:
            yield f"{link.title}: {link.url if link.is_available and link.url else '(link unavailable)'}"


def _last_lines(report: PipelineReport) -> str:
    """Those of the scripts that did not succeed, where any of them said something; else the last of all."""
    scripts = unplain_logs(report) or [list(report.logs)]
    share = max(SHOWN_LOG_LINES // len(scripts), 1)
    shown = [
        line
        for kept in scripts[:SHOWN_LOG_LINES]
        for line in [line for entry in kept[-share:] for line in lines(entry)][-share:]
    ]
    return "\n".join(["Last lines:", *(f"  | {line}" for line in shown)])


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return table(columns, [[one_line(cell) for cell in row] for row in rows]).rstrip("\n")


def _wrapped(text: str, *, indent: str = "") -> str:
    return textwrap.fill(
        one_line(text, limit=2000),
        WIDTH,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )
