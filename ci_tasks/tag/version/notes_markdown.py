"""Release notes as Markdown; what a commit says stays plain text in it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ci_tasks.tag.version.notes import Group

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci_tasks.tag.version.change import Change
    from ci_tasks.tag.version.notes import ReleaseNotes

_TITLES = {
    Group.BREAKING: "Breaking changes",
    Group.FEATURES: "Features",
    Group.FIXES: "Fixes",
    Group.PERFORMANCE: "Performance",
    Group.OTHER: "Other changes",
    Group.UNTYPED: "Commits without a type",
}
# Marks of GitHub Flavored Markdown that mean something anywhere in a line; HTML's own become entities. A
# mention is found after rendering, so no escape stops it: an invisible blank does.
_ESCAPES = str.maketrans(
    {
        **{mark: f"\\{mark}" for mark in "\\`*_{}[]|~$#"},
        "&": "&amp;",
        "<": "&lt;",
        ">": "&gt;",
        "@": "@\u200b",
    }
)
# Marks that mean something only where a line begins: lists, numbered lists, rules, quotes.
_LINE_START = re.compile(r"^(\d*)([-+=:.)])")


def as_markdown(notes: ReleaseNotes) -> str:
    """The notes; no commit can put a mark, HTML, a link's target or a mention into them."""
    return "\n".join(_lines(notes))


def _lines(notes: ReleaseNotes) -> Iterator[str]:
    name = f"{notes.subproject} {notes.version}" if notes.subproject else notes.version
    yield f"# {escaped(name)}"
    yield ""
    since = f"Changes since {notes.previous_version}." if notes.previous_version else "The first version."
    yield since if notes.groups else f"{since} No commit touches it."
    for group in notes.groups:
        yield ""
        yield f"## {_TITLES[group.group]}"
        yield ""
        yield from (f"- {_item(change, group.group)}" for change in group.changes)


def _item(change: Change, group: Group) -> str:
    scope = f"**{escaped(change.scope)}:** " if change.scope else ""
    kind = f"{change.type}: " if group is Group.OTHER else ""
    text = escaped(f"{kind}{change.description}")
    if not scope:
        text = _LINE_START.sub(r"\1\\\2", text)
    breaks = f": {escaped(change.breaking_description)}" if change.breaking_description else ""
    return f"{scope}{text}{breaks} ({change.commit_sha[:10]})"


def escaped(text: str) -> str:
    """One line of text, to stand anywhere in a line of Markdown."""
    return text.translate(_ESCAPES)
