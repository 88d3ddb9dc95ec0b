"""The comments of a YAML file, which no reader of values sees."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci_tasks.core.document import read_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci_tasks.core.document import Document

_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # whatever a reader takes for the end of a line (YAML 1.1)
_MARK = re.compile("#([0-9]+);")


@dataclass(frozen=True, kw_only=True)
class Comment:
    """A comment without its `#`; `line` counts from 1, `above` are the keys of the maps that it stands in."""

    text: str
    line: int
    above: tuple[str, ...]


def comments(document: Document, data: bytes) -> Iterator[Comment]:
    """All comments of the file that this document was read from."""
    text = data.decode("utf-8-sig")
    if "#" not in text:
        return
    in_values = _in_values(text, document.name)
    lines = _BREAK.split(text)
    keys = list(document.lines)
    starts = [document.lines[key] for key in keys]  # as they come, so in order
    number = 0
    for line, content in enumerate(lines, 1):
        parts = content.split("#")
        for place in range(1, len(parts)):
            if number + place - 1 not in in_values:  # the rest of the line is this comment
                after = bisect_right(starts, line)
                last = keys[after - 1] if after else ()
                above = _above(document, lines, line, last, before="#".join(parts[:place]))
                yield Comment(text="#".join(parts[place:]), line=line, above=above)
                break
        number += len(parts) - 1


def _in_values(text: str, name: str) -> set[int]:
    """Which `#` of a text belong to keys and values: a change behind any other one changes nothing."""
    first, *others = text.split("#")
    marked = first + "".join(f"#{number};{part}" for number, part in enumerate(others))
    tree = read_yaml(marked.encode(), name=name).value
    return {int(found) for value in _texts(tree) for found in _MARK.findall(value)}


def _texts(tree: object) -> Iterator[str]:
    """Every key and every text."""
    waiting = [tree]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, str):
            yield one


def _above(
    document: Document, lines: list[str], line: int, path: tuple[str, ...], *, before: str
) -> tuple[str, ...]:
    """The map of the value that a comment stands behind, else the one whose key is further to the left.

    `path` is that of the last key or list's entry that begins above the comment, or in its line.
    """
    if document.line(*path) == line and before.strip():
        return _keys(document, path[:-1])
    column = len(before)
    opened = [path[:depth] for depth in range(1, len(path) + 1)]
    outer = [each for each in opened if _column(lines[document.lines[each] - 1]) < column]
    return _keys(document, outer[-1] if outer else ())


def _column(line: str) -> int:
    """Where the first key of a line begins."""
    return len(line) - len(line.lstrip(" -?\ufeff"))


def _keys(document: Document, path: tuple[str, ...]) -> tuple[str, ...]:
    """A path without its places in lists."""
    found: list[str] = []
    tree: object = document.value
    for part in path:
        if isinstance(tree, dict):
            found.append(part)
            tree = tree[part]
        elif isinstance(tree, list):
            tree = tree[int(part)]
    return tuple(found)
