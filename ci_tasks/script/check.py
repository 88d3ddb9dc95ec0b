"""The rules for scripts: everything that is wrong, with file and line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_tasks.core.errors import nearest
from ci_tasks.script.discovery import finding, survey
from ci_tasks.script.folder import FOLDER, entries, file_name, place
from ci_tasks.script.mode import category_variable
from ci_tasks.script.model import CheckReport
from ci_tasks.script.names import Category, Severity
from ci_tasks.script.source import encoding_problem, start_problems

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from ci_tasks.script.discovery import Found
    from ci_tasks.script.model import Finding

LINE_LIMIT = 50
"""A script has fewer lines of code than this."""


def check(root: Path, subprojects: Iterable[str | None]) -> CheckReport:
    """Look at all scripts of these subprojects (None: the root's); findings by path and line.

    Raises UsageError only if a folder can't be looked into at all.
    """
    checked = 0
    findings: list[Finding] = []
    for subproject in subprojects:
        findings += _strays(root, subproject)
        for category in Category:
            seen = survey(root, category, subproject)
            checked += len(seen.scripts)
            findings += seen.findings
            for found in seen.scripts:
                findings += _findings(found)
    findings.sort(key=lambda each: (each.path, each.line, each.message))
    return CheckReport(checked=checked, findings=tuple(findings))


def has_errors(findings: Sequence[Finding]) -> bool:
    """True if one of them is more than a warning."""
    return any(each.severity is Severity.ERROR for each in findings)


def _findings(found: Found) -> Iterator[Finding]:
    script = found.script
    path = script.script_path
    for problem in start_problems(found.data, executable=found.executable, path=path):
        yield finding(path, problem.line, problem.message)
    encoding = encoding_problem(found.data)
    if encoding:
        yield finding(path, encoding.line, encoding.message)
    if not script.description:
        yield finding(path, 1, "has no header comment Description:")
    if script.line_count >= LINE_LIMIT:
        message = (
            f"has {script.line_count} lines without comments and blanks; fewer than {LINE_LIMIT} are allowed"
        )
        yield finding(path, 1, message)
    for hint in found.header.hints:
        yield finding(path, hint.line, hint.message, Severity.WARNING)
    own = script.testability.variables.script_specific
    if own in map(category_variable, Category):
        message = f"is named so that {own} means this script and a whole category; rename it"
        yield finding(path, 1, message, Severity.WARNING)


def _strays(root: Path, subproject: str | None) -> Iterator[Finding]:
    """Scripts that no category would ever find: in `scripts/` itself, or in a folder with a typing error."""
    top = place(root, subproject)
    known = [category.folder for category in Category]
    for entry in sorted(top.iterdir()) if top else ():
        path = entry.relative_to(root).as_posix()
        if entry.is_symlink() or not entry.is_dir():
            if file_name(entry.name):
                yield finding(path, 1, f"is in no category; move it to {FOLDER}/<category>/")
        elif entry.name not in known and any(file_name(each.name) for each in entries(entry)):
            close = nearest(entry.name, known)
            hint = f"did you mean {close}?" if close else f"categories are {', '.join(known)}"
            yield finding(path, 1, f"holds scripts but is no category; {hint}")
