"""The header of a script: what its first comments declare."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ci_tasks.core.duration import parse_duration
from ci_tasks.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEFAULT_MARKER = "#"
KEYS = ("Description", "Requires", "Timeout", "Idempotent", "Dry-run", "Secrets")

_COMMENT = re.compile(r"\s*(?P<marker>#|//|--|;)[#/;-]*(?P<text>.*)")
_FIELD = re.compile(r"(?P<key>[A-Za-z][A-Za-z-]*)\s*:(?P<value>.*)")
_PROGRAM = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_SECRET = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_YES_NO = {"yes": True, "true": True, "no": False, "false": False}
_SUPPORT = {"supported": True, "unsupported": False}


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something wrong in a file; `line` counts from 1."""

    line: int
    message: str


@dataclass(frozen=True, kw_only=True)
class Header:
    """What the header says; a value with a problem is left at its default."""

    description: str = ""
    requires: tuple[str, ...] = ()
    timeout: float | None = None
    """Seconds."""
    idempotent: bool | None = None
    dry_run: bool = False
    secrets: tuple[str, ...] = ()
    marker: str = DEFAULT_MARKER
    """What begins a comment in this file's language."""
    problems: tuple[Problem, ...] = ()
    hints: tuple[Problem, ...] = ()
    """Lines that look like a field with a typing error in its name."""


def parse(text: str) -> Header:
    """Read the comments before the first line of code; never raises."""
    reader = _Reader()
    marker = None
    for number, mark, comment in _comments(text):
        marker = marker or mark
        field = _FIELD.fullmatch(comment.strip())
        if field:
            reader.field(number, field["key"], field["value"].strip())
    return Header(
        **reader.values,
        marker=marker or DEFAULT_MARKER,
        problems=tuple(reader.problems),
        hints=tuple(reader.hints),
    )


def _comments(text: str) -> Iterator[tuple[int, str, str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if (number == 1 and line.startswith("#!")) or not line.strip():
            continue
        comment = _COMMENT.fullmatch(line)
        if comment is None:
            return
        yield number, comment["marker"], comment["text"]


class _Reader:
    """Collects fields, and what is wrong with them."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.problems: list[Problem] = []
        self.hints: list[Problem] = []

    def field(self, line: int, key: str, value: str) -> None:
        name = _known(key)
        if name is None:
            self._hint(line, key)
            return
        slot = name.lower().replace("-", "_")
        if slot in self.values:
            self._problem(line, f"{name}: stands here for the second time")
        elif not value.isprintable():
            self._problem(line, f"{name}: has control characters")
        else:
            try:
                self.values[slot] = _READERS[slot](value)
            except UsageError as error:
                self._problem(line, f"{name}: {error.what}")

    def _problem(self, line: int, message: str) -> None:
        self.problems.append(Problem(line=line, message=message))

    def _hint(self, line: int, key: str) -> None:
        close = difflib.get_close_matches(key.capitalize(), KEYS, n=1, cutoff=0.8)
        if close:
            self.hints.append(Problem(line=line, message=f"{key}: is not read; did you mean {close[0]}:?"))


def _known(key: str) -> str | None:
    return next((name for name in KEYS if name.lower() == key.lower()), None)


def _description(value: str) -> str:
    if not value:
        raise UsageError("is empty")
    return value


def _names(value: str, pattern: re.Pattern[str]) -> tuple[str, ...]:
    names = [name for name in re.split(r"[,\s]+", value) if name]
    bad = next((name for name in names if not pattern.fullmatch(name)), None)
    if bad is not None:
        raise UsageError(f"{bad!r} is not a name")
    return tuple(dict.fromkeys(names))


def _one_of(value: str, meanings: dict[str, bool]) -> bool:
    if value.lower() not in meanings:
        raise UsageError(f"{value!r} is none of {', '.join(meanings)}")
    return meanings[value.lower()]


def _timeout(value: str) -> float:
    seconds = parse_duration(value)
    if seconds <= 0:
        raise UsageError("must be longer than nothing")
    return seconds


_READERS: dict[str, Callable[[str], object]] = {
    "description": _description,
    "requires": lambda value: _names(value, _PROGRAM),
    "timeout": _timeout,
    "idempotent": lambda value: _one_of(value, _YES_NO),
    "dry_run": lambda value: _one_of(value, _SUPPORT),
    "secrets": lambda value: _names(value, _SECRET),
}
