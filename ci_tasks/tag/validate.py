"""Checking names of tags, by the grammar alone: no network, and no repository needed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ci_tasks.core import console
from ci_tasks.core.command_line import typed
from ci_tasks.core.entity import Entity
from ci_tasks.core.errors import UsageError
from ci_tasks.core.settings import load
from ci_tasks.tag.grammar import EnvironmentTag, Grammar, StateTag
from ci_tasks.tag.names import TagType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class CheckedName(Entity, frozen=True, kw_only=True):
    """One name: what it says, or the reason why it is none of ours. Bytes that are not UTF-8 are escaped."""

    name: str
    is_valid: bool
    tag_type: TagType | None
    subproject: str | None
    version: str | None
    state: str | None
    environment: str | None
    reason: str | None


class CheckedNames(Entity, frozen=True, kw_only=True):
    """What `tag.validate --json` prints, in the order of the line; `isValid`: all of them are good."""

    is_valid: bool
    names: list[CheckedName]
    environments: list[str]


def validate(names: Sequence[str], grammar: Grammar) -> CheckedNames:
    """What each name says. Raises UsageError where there is none to check."""
    if not names:
        raise UsageError(
            "There is no name to check: write the names after --.",
            next_step=typed("tag.validate -- api/v1.2.3"),
        )
    checked = [_checked(name, grammar) for name in names]
    return CheckedNames(
        is_valid=all(each.is_valid for each in checked),
        names=checked,
        environments=list(grammar.environments),
    )


def grammar_of(folder: Path, environ: Mapping[str, str] = os.environ) -> Grammar:
    """The grammar by the settings of the repository around a folder; by the defaults where there is none.

    Git is not asked: a name can be checked where there is no git at all.
    """
    around = (folder, *folder.parents)
    root = next((parent for parent in around if (parent / ".git").exists()), folder)
    return Grammar(load(root, environ).environments)


def _checked(name: str, grammar: Grammar) -> CheckedName:
    tag = grammar.read(name)
    return CheckedName(
        name=name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"),
        is_valid=tag is not None,
        tag_type=tag.tag_type if tag else None,
        subproject=(tag.subproject or None) if tag else None,
        version=None if tag is None or isinstance(tag, EnvironmentTag) else str(tag.version),
        state=tag.state.value if isinstance(tag, StateTag) else None,
        environment=tag.environment if isinstance(tag, EnvironmentTag) else None,
        reason=grammar.reason(name),
    )


def validation_text(answer: CheckedNames) -> str:
    """One line per name, and below them the three forms where one of them has none."""
    rows = [
        ("ok" if each.is_valid else "BAD", escaped(each.name), each.reason or _meaning(each))
        for each in answer.names
    ]
    table = console.table(("", "Name", "What it is, or why not"), rows).rstrip("\n")
    if answer.is_valid:
        return table
    return "\n".join([table, "", *Grammar(answer.environments).forms])


def escaped(name: str) -> str:
    """A name in which nothing is invisible: control characters are written as escapes."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in name)


def _meaning(found: CheckedName) -> str:
    of = f"of {found.subproject}" if found.subproject else "of the root project"
    if found.environment:
        return f"environment {found.environment} {of}"
    if found.state:
        return f"state: {found.version} {of} is {found.state}"
    return f"version {found.version} {of}"
