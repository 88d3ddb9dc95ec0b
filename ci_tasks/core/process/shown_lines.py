"""What is shown of a program's output: clean, redacted lines within a limit, and its tail."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING

from ci_tasks.core.control_characters import Scrubber, without_colours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ci_tasks.core.redact import Redactor

LINE_LIMIT = 64 * 1024  # bytes; a longer line is cut into pieces
TAIL_LINES = 20
TAIL_WIDTH = 2000  # characters
_WINDOW = 512 * 1024  # bytes kept of what is dropped, to make the tail of; far more than a tail can need
_CUT_COLOUR = re.compile(rb"\x1b(?:\[[0-9;:]*)?\Z")


class ShownLines:
    """Turns a program's output into clean, redacted lines, within bounded memory.

    Each line goes to `on_line` without its end. Of the output above `limit` bytes nothing is shown but one
    notice; its last lines still make the `tail`: the last 20 lines, without colours, each at most 2,000
    characters.
    """

    def __init__(self, on_line: Callable[[str], None], redactor: Redactor, limit: int) -> None:
        self._on_line = on_line
        self._redactor = redactor
        self._limit = limit
        self._left = limit
        self._scrubber = Scrubber()
        self._stream = redactor.stream()
        self._partial = b""
        self._recent = _Recent()
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self.truncated = False

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines; complete after `close`."""
        return tuple(self._tail)

    def feed(self, data: bytes) -> None:
        """Take the next bytes of output."""
        self._recent.add(data)
        if self.truncated:
            return
        within = data[: self._left]
        self._left -= len(within)
        self._split(self._stream.feed(self._scrubber.feed(within)))
        if len(within) < len(data):
            # What the stream holds back may be half a secret: it is dropped too.
            self._end_line()
            self.truncated = True
            self._on_line(f"[more than {_size(self._limit)} of output: the rest is not shown]")

    def close(self) -> None:
        """The output is at its end: show what is left."""
        if self.truncated:
            self._tail.clear()
            self._tail.extend(self._recent.lines(self._redactor))
            return
        self._split(self._stream.feed(self._scrubber.feed(b"", final=True)) + self._stream.close())
        self._end_line()

    def _split(self, data: bytes) -> None:
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            for piece in _pieces(line):
                self._show(piece)
        *pieces, self._partial = _pieces(self._partial)
        for piece in pieces:
            self._show(piece)

    def _end_line(self) -> None:
        if self._partial:
            self._show(self._partial)
        self._partial = b""

    def _show(self, data: bytes) -> None:
        line = data.decode("utf-8", "replace")
        plain = line
        if "\x1b" in line:
            coloured = without_colours(line)
            plain = self._redactor.text(coloured)
            if plain != coloured:  # colours had kept the parts of a secret apart
                line = plain
        self._tail.append(plain[:TAIL_WIDTH])
        self._on_line(line)


class _Recent:
    """The newest half a MiB of output as it came: what the tail of dropped output is made of."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._whole = True

    def add(self, data: bytes) -> None:
        self._chunks.append(data)
        self._size += len(data)
        while self._size - len(self._chunks[0]) >= _WINDOW:
            self._size -= len(self._chunks.popleft())
            self._whole = False

    def lines(self, redactor: Redactor) -> list[str]:
        """The last lines, clean, redacted and without colours."""
        clean = Scrubber().feed(b"".join(self._chunks), final=True)
        clean = without_colours(clean.decode()).encode()
        finder = redactor.finder()
        shown, _, _ = finder.hide(clean, 0, final=True)
        if not self._whole:
            # The window may begin inside a secret: as much as the longest one is left out.
            shown = shown[finder.longest :]
        first, *others = shown.decode("utf-8", "replace").removesuffix("\n").split("\n")
        begun = first if self._whole else first[-TAIL_WIDTH:]
        return [line[:TAIL_WIDTH] for line in (begun, *others)][-TAIL_LINES:]


def _pieces(line: bytes) -> Iterator[bytes]:
    """The line in pieces of at most LINE_LIMIT bytes, cut neither in a character nor in a colour."""
    while len(line) > LINE_LIMIT:
        end = LINE_LIMIT
        while line[end] & 0xC0 == 0x80:  # noqa: PLR2004 - UTF-8: a byte that continues a character
            end -= 1
        cut = _CUT_COLOUR.search(line, max(0, end - 80), end)
        end = cut.start() if cut and cut.start() else end
        yield line[:end]
        line = line[end:]
    yield line


def _size(count: int) -> str:
    mebibyte = 1024 * 1024
    return f"{count // mebibyte} MiB" if count and count % mebibyte == 0 else f"{count:,} bytes"
