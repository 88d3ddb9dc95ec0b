"""A report for the workflow that runs us: its summary page and its outputs (GitHub Actions)."""

from __future__ import annotations

import os
import secrets
import stat
from typing import TYPE_CHECKING

from ci_tasks.core.errors import UnavailableError
from ci_tasks.report.markdown import as_markdown, escaped, web_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from ci_tasks.report.model import PipelineReport

# "Job summaries are isolated between steps and restricted to a maximum size of 1MiB" (GitHub's docs).
LIMIT = 1024 * 1024


def publish(report: PipelineReport, environ: Mapping[str, str], *, saved: Path | None = None) -> None:
    """Append to the files that GITHUB_OUTPUT and GITHUB_STEP_SUMMARY name; without them do nothing.

    `saved` is what `files.save` returned. Raises UnavailableError if one of the files can't be written;
    the other one is written all the same.
    """
    writers: tuple[tuple[str, Callable[[int], str]], ...] = (
        ("GITHUB_OUTPUT", lambda _room: _outputs(report, saved)),
        ("GITHUB_STEP_SUMMARY", lambda room: _summary(report, environ, saved, room)),
    )
    reasons = []
    for variable, content in writers:
        if environ.get(variable):
            try:
                _append(environ[variable], content)
            except (OSError, ValueError) as error:
                reasons.append(f"{variable}: {getattr(error, 'strerror', None) or error}.")
    if reasons:
        raise UnavailableError(
            "The report could not be shown on the workflow's page.",
            unchanged="What is reported has happened all the same.",
            next_step="inv report.show",
            details=reasons,
        )


def truncated(markdown: str, limit: int, note: str) -> str:
    """Markdown of at most `limit` bytes: whole lines from the top, then `note`; "" if not even that fits."""
    if len(markdown.encode()) <= limit:
        return markdown
    kept: list[str] = []
    fence = ""  # the marks of the code block that we are in: it must be closed, or the note is inside it
    size = len(note.encode()) + 2
    if size > limit:
        return ""
    for line in markdown.splitlines(keepends=True):
        inside = _fence_after(line, fence)
        size += len(line.encode())
        if size + len(inside) + 1 > limit:
            break
        kept.append(line)
        fence = inside
    closing = f"{fence}\n" if fence else ""
    return f"{''.join(kept)}{closing}\n{note}\n"


def _fence_after(line: str, fence: str) -> str:
    marks = line[: len(line) - len(line.lstrip("`"))]
    if fence:
        return "" if line.rstrip("\n") == fence else fence
    return marks if len(marks) >= 3 else ""  # noqa: PLR2004 - CommonMark: a fence has at least three


def _outputs(report: PipelineReport, saved: Path | None) -> str:
    ids = [result.deployment_id for result in report.regions if result.deployment_id]
    values = {
        "version": report.version,
        "environment": report.environment or "",
        "outcome": report.outcome,
        "deployment-id": report.claim_id or ",".join(ids),
        "report-path": str(saved or ""),
    }
    return "".join(_heredoc(values))


def _heredoc(values: Mapping[str, str]) -> Iterator[str]:
    for name, value in values.items():
        # Nobody can guess the delimiter, so no value can end its own block and set another output.
        delimiter = f"ci-tasks-{secrets.token_hex(16)}"
        yield f"{name}<<{delimiter}\n{value}\n{delimiter}\n"


def _summary(report: PipelineReport, environ: Mapping[str, str], saved: Path | None, room: int) -> str:
    note = "This page has no room for the rest of the report."
    if saved:
        note += f" All of it: {escaped(str(saved.with_suffix('.md')), limit=1000)}"
        note += ", among the artifacts of this run if the workflow uploads them."
    if address := _run_address(environ):
        note += f" [This run]({address})."
    text = truncated(as_markdown(report), room, note)
    if not text:
        raise ValueError("the page is full (1 MiB)")
    return text


def _run_address(environ: Mapping[str, str]) -> str | None:
    names = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
    server, repository, run = (environ.get(name, "") for name in names)
    return web_address(f"{server}/{repository}/actions/runs/{run}") if server and repository and run else None


def _append(name: str, content: Callable[[int], str]) -> None:
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with open(os.open(name, flags, 0o644), "r+b", buffering=0) as opened:  # noqa: PTH123 - a descriptor is not a path
        status = os.fstat(opened.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is not a regular file")
        # What a step wrote without a line end would swallow our first line.
        gap = b"\n" if status.st_size and os.pread(opened.fileno(), 1, status.st_size - 1) != b"\n" else b""
        left = memoryview(gap + content(LIMIT - status.st_size - len(gap)).encode(errors="backslashreplace"))
        while left:
            left = left[opened.write(left) :]
