"""pre-push: tags move by our commands and not by hand."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci_tasks.core import settings as settings_file
from ci_tasks.core.errors import RefusedError, UsageError
from ci_tasks.hook import advice
from ci_tasks.tag.grammar import EnvironmentTag, Grammar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ci_tasks.hook.place import Place
    from ci_tasks.tag.grammar import Tag

_TAGS = "refs/tags/"
_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Update:
    """One ref that a push changes; ids are None where there is no object before or after."""

    local_ref: str
    remote_ref: str
    old: str | None
    new: str | None


def updates(
    stdin: bytes,
    environ: Mapping[str, str] = os.environ,
    kinds: Callable[[Sequence[str]], Mapping[str, str]] = lambda _: {},
) -> tuple[Update, ...]:
    """What is about to be pushed: from stdin (githooks(5)), else as the pre-commit framework says it.

    `kinds` tells the kinds of objects that are here. Raises UsageError for lines of another form.
    """
    lines = stdin.decode("utf-8", "surrogateescape").splitlines()
    return tuple(_update(line) for line in lines if line) or _of_framework(environ, kinds)


def check(place: Place, pushed: Sequence[Update]) -> int:
    """How many tags of ours are pushed. Raises RefusedError with a line for each that moves by hand."""
    grammar = Grammar(settings_file.load(place.root, os.environ).environments)
    named = [(grammar.read(each.remote_ref.removeprefix(_TAGS)), each) for each in pushed]
    ours = [(tag, each) for tag, each in named if tag is not None and each.remote_ref.startswith(_TAGS)]
    refused = [(tag, each) for tag, each in ours if _moves_by_hand(tag, each)]
    if refused:
        raise RefusedError(
            "This push changes tags that are not changed by hand.",
            details=[line for tag, each in refused for line in _explained(tag, each)],
            unchanged="Nothing was pushed.",
        )
    return len(ours)


def _update(line: str) -> Update:
    parts = line.rsplit(" ", 3)  # the local ref is as somebody typed it, and may have blanks
    if len(parts) != 4 or not (_ID.fullmatch(parts[1]) and _ID.fullmatch(parts[3])):  # noqa: PLR2004 - four of them
        raise UsageError(
            f"{line[:200]!r} is not what git tells a pre-push hook.",
            details=["It is: <local ref> <local id> <remote ref> <remote id>"],
        )
    return Update(local_ref=parts[0], remote_ref=parts[2], old=_id(parts[3]), new=_id(parts[1]))


def _of_framework(
    environ: Mapping[str, str], kinds: Callable[[Sequence[str]], Mapping[str, str]]
) -> tuple[Update, ...]:
    """The one ref that the pre-commit framework tells of.

    For a new tag it names a commit to compare with, for one that moves the object that is there: a tag.
    """
    ref, before = environ.get("PRE_COMMIT_REMOTE_BRANCH", ""), environ.get("PRE_COMMIT_FROM_REF", "")
    if not ref:
        return ()
    is_there = bool(_ID.fullmatch(before)) and kinds([before]).get(before) == "tag"
    return (
        Update(
            local_ref=environ.get("PRE_COMMIT_LOCAL_BRANCH", ""),
            remote_ref=ref,
            old=before if is_there else None,
            new=environ.get("PRE_COMMIT_TO_REF", ""),
        ),
    )


def _id(text: str) -> str | None:
    return text if text.strip("0") else None


def _moves_by_hand(tag: Tag, update: Update) -> bool:
    return isinstance(tag, EnvironmentTag) or update.old is not None


def _explained(tag: Tag, update: Update) -> tuple[str, ...]:
    """What is wrong with one tag of the push, and the lines that do what was perhaps meant."""
    reason, lines = advice.for_change(tag, old=update.old, new=update.new)
    if update.new is not None and update.local_ref == update.remote_ref:
        lines = (*lines, f"to drop your own copy of it: git tag --delete {tag}")
    return (f"{reason}.", *(f"  {line}" for line in lines))
