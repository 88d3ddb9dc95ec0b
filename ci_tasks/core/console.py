"""All that is drawn for people: progress, warnings, errors, questions, tables."""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
import unicodedata
from contextlib import suppress
from itertools import zip_longest
from typing import TYPE_CHECKING, TextIO

from ci_tasks.core.command_line import typed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console, RenderableType

    from ci_tasks.core.errors import CiTasksError

_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb]"
)
_BOLD, _RESET = "\x1b[1m", "\x1b[0m"
_GAP = "  "
_COMMAND = re.compile(r"(?m)^(\s*):(?=:)|#(?=#\[)")
"""How a workflow command begins: `::` first on a line, or `##[` anywhere in it (the older form)."""
_GIT = "add|branch|commit|config|fetch|fsck|log|ls-remote|mv|push|remote|restore|show|status|tag|verify-tag"
"""The git commands in what we say to type: other words after `git` tell what git did."""
_HANG = "  "
_COLUMNS = 80


def plain(text: str) -> str:
    """The text without anything that a terminal or a workflow runner would obey; line ends and tabs stay."""
    text = text.replace("\r\n", "\n")
    text = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", _ESCAPE.sub("", text))
    return _COMMAND.sub(lambda found: f"{found[0]} ", text)


def printable(text: str) -> str:
    """What may go to stdout: plain text, with the bold that `table` makes where colours are seen."""
    if not _colourful(sys.stdout):
        return plain(text)
    kept = (_BOLD, _RESET)
    return "".join(part if part in kept else plain(part) for part in re.split(r"(\x1b\[[01]m)", text))


def one_line(text: str) -> str:
    """The text, plain, with line ends and tabs shown as spaces."""
    return plain(" ".join(text.split()) if re.search(r"[\n\r\t]", text) else text)


def put(stream: TextIO | None, text: str) -> None:
    """Write a line and flush; what the stream's encoding doesn't have is written as an escape."""
    if stream is None:
        return
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()


def _tell(text: str) -> None:
    """Write to stderr; a reader who has gone away is no reason to stop the work."""
    refresh("")
    with suppress(OSError, ValueError):
        put(sys.stderr, text)


_refreshed = False
"""Whether the last line on the terminal is one that the next one takes the place of."""


def refresh(text: str) -> None:
    """Show on a terminal, in the place of the last such line, what is going on; nothing takes it away.

    Where nobody looks at one it is not shown at all.
    """
    global _refreshed  # noqa: PLW0603 - there is one terminal, and its last line is a fact about it
    if not (text or _refreshed) or not is_terminal():
        return
    line = one_line(text)
    window = _window(sys.stderr)
    while width_of(line) >= window and len(line) > 1:
        line = f"{line[:-2]}…"
    with suppress(OSError, ValueError):
        sys.stderr.write(f"\r\x1b[K{line}")
        sys.stderr.flush()
    _refreshed = bool(text)


def _watched(stream: TextIO | None) -> bool:
    """Whether somebody looks at the stream through a terminal that can do more than text."""
    return stream is not None and not stream.closed and stream.isatty() and os.environ.get("TERM") != "dumb"


def _colourful(stream: TextIO | None) -> bool:
    return _watched(stream) and not os.environ.get("NO_COLOR")


def is_terminal() -> bool:
    """Whether a person follows what goes to stderr."""
    return _watched(sys.stderr)


def progress(text: str) -> None:
    """Show one line of what is going on, on stderr."""
    _tell(one_line(text))


def note(text: str) -> None:
    """Show on stderr what somebody should know; on a terminal it wraps."""
    _tell(_wrapped_for(sys.stderr, f"note: {one_line(text)}"))


def warn(text: str) -> None:
    """Show a warning on stderr; on a terminal it wraps."""
    _tell(_marked("warning:", "bold yellow", one_line(text)))


def error(error: CiTasksError) -> None:
    """Show on stderr what happened, what was left as it was, and what to type next, which never wraps."""
    lines = [_marked("error:", "bold red", plain(error.what))]
    details = [f"  {line}" for detail in error.details for line in plain(detail).splitlines()]
    lines += [_wrapped_for(sys.stderr, line) for line in details]
    if error.unchanged:
        lines.append(_wrapped_for(sys.stderr, plain(error.unchanged)))
    if error.next_step:
        lines.append(f"next: {one_line(next_line(error.next_step))}")
    _tell("\n".join(lines))


def next_line(next_step: str) -> str:
    """The next step as it has to be typed here; lines of other programs are left alone."""
    return typed(next_step) if next_step.split(" ", 1)[0] == "inv" else next_step


def ask(question: str) -> bool:
    """Ask a yes-or-no question on a terminal; anything but `y` or `yes` is a no, and so is no terminal."""
    if not (_watched(sys.stderr) and sys.stdin is not None and sys.stdin.isatty()):
        return False
    sys.stderr.write(f"{one_line(question)} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def prose(text: str) -> str:
    """Text for stdout; on a terminal its lines wrap at their spaces where the window ends.

    What follows a line that wrapped is indented by two more. A line to be typed stays whole; one that a
    longer line of text ends with gets a line of its own.
    """
    return _wrapped_for(sys.stdout, text)


def column(text: str, *, indent: int) -> list[str]:
    """The lines of a text for stdout that stands `indent` columns from the left, as `prose` wraps it."""
    if not _watched(sys.stdout):
        return text.splitlines()
    width = max(1, _window(sys.stdout) - indent)
    return [part for line in text.splitlines() for part in _wrapped(line, width)]


def _wrapped_for(stream: TextIO | None, text: str) -> str:
    """The text with its long lines wrapped, if somebody reads the stream on a terminal."""
    if stream is None or not _watched(stream):
        return text
    window = _window(stream)
    return "\n".join(part for line in text.split("\n") for part in _parts(line, window))


def _parts(line: str, window: int) -> Iterator[str]:
    """One line of text in lines that fit the window, as far as its words and the lines to be typed do."""
    program = re.escape(next_line("inv"))
    typing = rf"(?:next: |{program} (?:\S+\.\w|\S*deploy\b|--)|git (?:{_GIT})\b)"
    if width_of(line) <= window or re.match(rf"\s*{typing}", line):
        yield line
        return
    text = line.lstrip()
    indent = line[: -len(text)]
    sentence, command = text, re.search(rf"(?<=: ){typing}", text)
    if command is not None:
        sentence = text[: command.start()].rstrip()
    first, *others = _wrapped(sentence, max(1, window - len(indent + _HANG)))
    yield indent + first
    yield from (indent + _HANG + other for other in others)
    if command is not None:
        yield indent + _HANG + text[command.start() :]


def _window(stream: TextIO) -> int:
    """Columns of the terminal that the stream goes to; 80 where nobody knows."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(stream.fileno()).columns or _COLUMNS
    except OSError:
        return _COLUMNS


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Aligned text, one line per row; on a terminal, cells wrap at their spaces where the window ends.

    A word is never broken: where that is not enough, each row is one line, longer than the window.
    """
    grid = [[one_line(cell) for cell in row] for row in (columns, *rows)]
    widths = [max(map(width_of, cells)) for cells in zip(*grid, strict=True)]
    if _watched(sys.stdout):
        widths = _fitted(grid, widths, window=_window(sys.stdout))
    head, *body = (_aligned(row, widths) for row in grid)
    if _colourful(sys.stdout):
        head = [f"{_BOLD}{line}{_RESET}" for line in head]
    return "\n".join(line for lines in (head, *body) for line in lines)


def _fitted(grid: Sequence[Sequence[str]], widths: list[int], *, window: int) -> list[int]:
    """The widths with which the table fits the window, the widest columns cut most; else as they were."""
    room = window - len(_GAP) * (len(widths) - 1)
    columns = list(zip(*grid, strict=True))
    for may_wrap in (_is_prose, _has_space):
        narrowest = [
            _longest_word(cells) if any(map(may_wrap, cells[1:])) else width
            for cells, width in zip(columns, widths, strict=True)
        ]
        for most in range(room, 0, -1):
            tried = [max(least, min(width, most)) for least, width in zip(narrowest, widths, strict=True)]
            if sum(tried) <= room:
                return tried
    return widths


def _is_prose(cell: str) -> bool:
    """Whether the cell reads as well on two lines: it has words, which a date has not."""
    return _has_space(cell) and any(map(str.isalpha, cell))


def _has_space(cell: str) -> bool:
    return " " in cell


def _longest_word(cells: Sequence[str]) -> int:
    return max(width_of(word) for cell in cells for word in cell.split(" "))


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    """The lines of one row."""
    cells = [_wrapped(cell, width) for cell, width in zip(row, widths, strict=True)]
    return [
        _GAP.join(
            cell + " " * (width - width_of(cell)) for cell, width in zip(parts, widths, strict=True)
        ).rstrip()
        for parts in zip_longest(*cells, fillvalue="")
    ]


def _wrapped(cell: str, width: int) -> list[str]:
    """The cell in lines of at most this width."""
    if width_of(cell) <= width:
        return [cell]
    lines: list[str] = []
    for word in cell.split():
        if lines and width_of(lines[-1]) + 1 + width_of(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def width_of(text: str) -> int:
    """Columns that the text takes: wide characters are two, combining ones none."""
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1
        for one in text
    )


def _marked(mark: str, style: str, text: str) -> str:
    """A mark before the text, coloured where colours are seen; on a terminal it wraps."""
    line = _wrapped_for(sys.stderr, f"{mark} {text}")
    if not _colourful(sys.stderr):
        return line
    from rich.text import Text  # noqa: PLC0415 - for people on a terminal only

    return _drawn(Text(mark, style=style), sys.stderr) + line.removeprefix(mark)


def _drawn(what: RenderableType, stream: TextIO) -> str:
    """What rich makes of it, at the width of the terminal."""
    from rich.console import Console  # noqa: PLC0415 - for people on a terminal only

    paper = io.StringIO()
    console: Console = Console(
        file=paper,
        width=shutil.get_terminal_size().columns,
        force_terminal=_colourful(stream),
        color_system="standard" if _colourful(stream) else None,
        highlight=False,
        legacy_windows=False,
    )
    console.print(what, soft_wrap=False)
    return paper.getvalue().rstrip("\n")
