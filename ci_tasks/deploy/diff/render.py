"""The answer of `deploy.diff` as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_tasks.core import console
from ci_tasks.core.columns import REGION, used

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci_tasks.deploy.diff.model import CommitLine, Difference, NamedChange

MOST_COMMITS = 50
"""Commits that are shown; the JSON has all."""

LONGEST_VALUE = 60
"""Characters of a value that are shown."""


def difference_text(difference: Difference) -> str:
    """What would be other, in blocks; those that are empty are left out."""
    where = f", which runs in {difference.source}" if difference.source else ""
    blocks = [f"{difference.version_tag}{where}, against what runs in {difference.environment}."]
    blocks += _commits(difference)
    rows = [
        (each.region or "", value.key, _value(value.before), _value(value.after))
        for each in difference.regions
        for value in each.values
    ]
    if rows:
        blocks.append(_table((REGION, "Value", "Now", "Then"), rows))
    blocks += _named("Secret", difference.secrets)
    blocks += _named("Script", difference.scripts)
    blocks += [console.prose(f"note: {notice}") for notice in difference.notices]
    if difference.is_empty:
        blocks.append("No difference.")
    return "\n\n".join(blocks)


def _commits(difference: Difference) -> Iterator[str]:
    """One block for all regions from which it is the same way."""
    groups: dict[tuple[str | None, tuple[CommitLine, ...]], list[str]] = {}
    for each in difference.regions:
        if each.live_version is not None:
            groups.setdefault((each.live_version, each.commits), []).append(each.region or "")
    for (version, commits), regions in groups.items():
        names = ", ".join(filter(None, regions))
        head = f"{version} -> {difference.version}{f' ({names})' if names else ''}"
        lines = [f"{line.side.value} {line.commit_sha[:12]} {line.description}" for line in commits]
        more = len(lines) - MOST_COMMITS
        lines = [*lines[:MOST_COMMITS], *([f"  and {more} more; --json has them all"] if more > 0 else [])]
        yield "\n".join([f"{head}: {'commits' if lines else 'no commit touches it'}", *lines])


def _named(title: str, changes: Sequence[NamedChange]) -> Iterator[str]:
    if changes:
        rows = [(each.path, each.key or "", each.change.value) for each in changes]
        yield _table((title, "Key", "Is"), rows)


def _value(text: str | None) -> str:
    if text is None:
        return "(not there)"
    shown = " ".join(text.split()) if text else "(empty)"
    return shown if len(shown) <= LONGEST_VALUE else f"{shown[: LONGEST_VALUE - 1]}…"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return console.table(*used(columns, rows)).rstrip("\n")
