"""A report as Markdown, for a workflow's summary page; what came from outside stays plain text in it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from ci_tasks.report.headline import headline
from ci_tasks.report.rows import (
    SUMMARY_LINES,
    claims_back,
    commands,
    moment,
    record,
    region_table,
    script_table,
    span,
)
from ci_tasks.report.visible import lines, one_line, without_commands

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ci_tasks.report.model import ActionLink, PipelineReport

# Marks of GitHub Flavored Markdown that mean something anywhere in a line; HTML's own become entities.
_MARKS = {mark: f"\\{mark}" for mark in "\\`*_{}[]#|~$"}
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# A mention is found after rendering, so no escape of Markdown or HTML stops it: an invisible blank does.
_ESCAPES = str.maketrans({**_MARKS, **_ENTITIES, "@": "@\u200b"})
# Marks that mean something only where a line begins: lists, numbered lists, rules, underlines of headings.
_LINE_START = re.compile(r"^(\d*)([-+=:.)])")
_URL_SAFE = "/:?#[]@!$',;=%~+&"  # RFC 3986, without the parentheses and the star, which Markdown reads


def as_markdown(report: PipelineReport) -> str:
    """The report as Markdown; titles, names, versions and logs can't become marks, HTML or mentions."""
    return without_commands("\n\n".join(_blocks(report)) + "\n")


def escaped(text: str, *, limit: int = 200) -> str:
    """One line of text, to stand anywhere in a line of Markdown, also in a table's cell."""
    return one_line(text, limit=limit).translate(_ESCAPES)


def fence(content: Iterable[str], *, kind: str = "text") -> str:
    """The lines as a code block whose fence is longer than any run of backticks in them."""
    body = "\n".join(content)
    longest = max((len(run) for run in re.findall("`+", body)), default=0)
    marks = "`" * max(3, longest + 1)
    return f"{marks}{kind}\n{body}\n{marks}"


def web_address(url: str) -> str | None:
    """The URL as a link's target in Markdown; None for a script, a user name, all but a web address."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme not in ("https", "http") or not parts.hostname or "@" in parts.netloc:
        return None
    return quote(url, safe=_URL_SAFE).replace("&", "&amp;")


def _blocks(report: PipelineReport) -> Iterator[str]:
    sentence = headline(report)
    yield f"### {escaped(sentence, limit=1000)}"
    if report.summary != sentence:
        yield from (_opening(line) for line in lines(report.summary, most=SUMMARY_LINES) if line)
    if report.regions:
        yield _table(*region_table(report))
    columns, scripts = script_table(report)
    if scripts:
        yield _table(columns, scripts)
    if report.notices:
        yield "\n".join(f"- **Warning:** {escaped(notice, limit=1000)}" for notice in report.notices)
    yield _facts(report)
    if report.action_links:
        yield "\n".join(f"- {_link(link)}" for link in report.action_links)
    if next_lines := commands(report):
        yield fence((one_line(line, limit=2000) for line in next_lines), kind="sh")
    if report.logs:
        yield "Last lines of the scripts:"
        yield fence(line for entry in report.logs for line in lines(entry))


def _facts(report: PipelineReport) -> str:
    tag, claim = escaped(report.recorded_in or ""), escaped(report.claim_id or "")
    ended = f"{moment(report.completed_at)}, after {span(report.duration)}"
    run = f"Run {escaped(report.pipeline_run_id)}, ended {ended}: {report.outcome}."
    back = escaped(claims_back(report), limit=1000)
    return f"{record(report, tag=tag, claim=claim, back=back)} {run}"


def _link(link: ActionLink) -> str:
    target = web_address(link.url) if link.is_available else None
    pieces = [
        f"[{escaped(link.title)}]({target})" if target else f"{_opening(link.title)} (link unavailable)"
    ]
    if link.description:
        pieces.append(f": {escaped(link.description, limit=1000)}")
    if link.parameters:
        values = ", ".join(f"{escaped(name)} = {escaped(value)}" for name, value in link.parameters.items())
        pieces.append(f" ({values})")
    return "".join(pieces)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    drawn = [columns, ["---"] * len(columns), *([escaped(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in drawn)


def _opening(text: str) -> str:
    """Escaped text that a line, or an item of a list, begins with."""
    return _LINE_START.sub(r"\1\\\2", escaped(text, limit=1000))
