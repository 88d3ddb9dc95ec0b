"""An audit as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_tasks.core import console
from ci_tasks.tag.render import SHOWN_FOREIGN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci_tasks.tag.audit.finding import Audit

MOST_SHOWN = 100
"""Findings that are shown in full: where there are more, one cause has made many of them."""


def audit_text(audit: Audit) -> str:
    """What was found, errors first, each with the line to type; then what was looked at."""
    return "\n".join(_lines(audit))


def _lines(audit: Audit) -> Iterator[str]:
    for found in audit.findings[:MOST_SHOWN]:
        tag = console.one_line(found.tag_name)
        yield f"{found.severity.value} {tag}: {found.kind.value}: {console.one_line(found.message)}"
        yield f"  next: {console.one_line(found.next_step)}"
    if len(audit.findings) > MOST_SHOWN:
        yield f"... and {len(audit.findings) - MOST_SHOWN} more: --json has all of them."
    if audit.foreign:
        more = len(audit.foreign) - SHOWN_FOREIGN
        names = ", ".join(audit.foreign[:SHOWN_FOREIGN]) + (f" and {more} more" if more > 0 else "")
        yield f"Foreign tags, left alone: {names}"
    yield _summary(audit)
    if audit.against is not None:
        yield f"Compared with {audit.against}."
    if audit.exported is not None:
        yield f"Written: {audit.exported}"


def _summary(audit: Audit) -> str:
    looked = ", ".join(
        f"{number} {word}{'' if number == 1 else 's'}"
        for number, word in (
            (audit.versions, "version"),
            (audit.states, "state"),
            (audit.environments, "environment"),
        )
    )
    wrong = sum(found.severity.value == "ERROR" for found in audit.findings)
    warnings = len(audit.findings) - wrong
    end = f"{wrong} error{'' if wrong == 1 else 's'}" if wrong else "nothing is wrong"
    if warnings:
        end += f", {warnings} warning{'' if warnings == 1 else 's'}"
    return f"Looked at {looked}: {end}."
