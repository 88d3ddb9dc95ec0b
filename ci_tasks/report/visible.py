"""Text from outside, made safe to show: nothing moves a cursor, hides, or turns the reading direction."""

from __future__ import annotations

import re

# Colours and titles that programs write for terminals (ECMA-48: CSI and OSC sequences): noise in a report.
_TERMINAL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
# What is left of C0 and C1, and the invisible ones that reorder or hide text (Unicode TR 36).
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_LINE_END = re.compile(r"\r\n|\r|\n")


def one_line(text: str, *, limit: int = 200) -> str:
    """The text as one line of at most `limit` characters, runs of white space as one blank."""
    return _clip(_show(" ".join(_TERMINAL.sub("", text).split())), limit)


def lines(text: str, *, limit: int = 1000, most: int | None = None) -> list[str]:
    """The text's lines, the first `most` of them, each of at most `limit` characters, with indentation."""
    found = _LINE_END.split(_TERMINAL.sub("", text))
    shown = [_clip(_show(line.expandtabs(4).rstrip()), limit) for line in found[:most]]
    return shown if len(shown) == len(found) else [*shown, "…"]


def without_commands(text: str) -> str:
    """The text with no line that a workflow's runner would take for a command.

    It takes `::name` after any white space at a line's start, and the older `##[name` anywhere.
    """
    shown = text.replace("##[", "## [")
    return re.sub(r"^([^\S\n]*)::", r"\1: :", shown, flags=re.MULTILINE)


def _show(text: str) -> str:
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _clip(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
