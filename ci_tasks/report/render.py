"""A report as text, Markdown or JSON: pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_tasks.core.entity import to_json
from ci_tasks.report.markdown import as_markdown
from ci_tasks.report.names import Format
from ci_tasks.report.text import as_text

if TYPE_CHECKING:
    from ci_tasks.report.model import PipelineReport

__all__ = ["as_json", "as_markdown", "as_text", "rendered"]


def as_json(report: PipelineReport) -> bytes:
    """UTF-8 JSON, indented, that ends in a newline.

    `##[` would be a command to a workflow's runner wherever it stands in a line, so its bracket is written
    as an escape; it can only be inside a string, and reads back as it was.
    """
    return to_json(report, indent=2).replace(b"##[", rb"##\u005b") + b"\n"


def rendered(report: PipelineReport, form: Format) -> str:
    """The report in one of the formats; ends in a newline."""
    if form is Format.JSON:
        return as_json(report).decode()
    return as_markdown(report) if form is Format.MARKDOWN else as_text(report)
