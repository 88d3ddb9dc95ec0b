"""What may be shown of a program's output: lines without secrets and without control characters."""

from __future__ import annotations

import base64
import codecs
import json
import re
import threading
import urllib.parse
from collections import deque
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

STARS = b"***"
SHORTEST = 4  # characters: hiding every "a" or "yes" would make the output unreadable and hide nothing
LINE_LIMIT = 64 * 1024  # bytes; a longer line is cut into pieces
TAIL_LINES = 20
TAIL_WIDTH = 2000  # characters
_WINDOW = 512 * 1024  # bytes kept of what is dropped, to make the tail of; far more than a tail can need

# SGR (colours) stays; every other escape sequence goes whole; then lone control characters go. An escape
# sequence that is never ended hides at most 4,096 characters and never a line end.
_CONTROLS = re.compile(
    r"(?P<keep>\x1b\[[0-9;:]{0,64}m)"
    r"|\x1b\[[0-?]{0,64}[ -/]{0,16}[@-~]"
    r"|\x1b[\]PX^_][^\x07\x1b\n]{0,4096}(?:\x07|\x1b\\)?"
    r"|\x1b[ -/]{0,16}[0-~]"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]"
)
_UNFINISHED = re.compile(r"\x1b(?:\[[0-?]{0,64}[ -/]{0,16}|[\]PX^_][^\x07\x1b\n]{0,4096}\x1b?|[ -/]{0,16})\Z")
_SEQUENCE_LIMIT = 4200  # characters: no unfinished sequence is longer
_LINE_ENDS = re.compile(r"\r+\n?")
_COLOURS = re.compile(r"\x1b\[[0-9;:]*m")
_CUT_COLOUR = re.compile(rb"\x1b(?:\[[0-9;:]*)?\Z")


def _base64_forms(secret: bytes) -> Iterator[bytes]:
    """Standard and URL-safe, at the three places where a secret can begin in a group of three bytes.

    Of a secret inside a longer text only the characters that no neighbour changes are known. Of a secret
    that stands alone all are, and the wrapped lines that `base64` (76) and `openssl` (64) print.
    """
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        alone = encode(secret)
        yield alone
        yield alone.rstrip(b"=")
        for shift in range(3):
            bits = 8 * (shift + len(secret))
            inner = encode(bytes(shift) + secret)[-(-8 * shift // 6) : bits // 6]
            yield inner
            if shift == 0:
                yield from _wrapped(alone)
                yield from _wrapped(inner)


def _wrapped(text: bytes) -> Iterator[bytes]:
    for width in (64, 76):
        yield from (text[start : start + width] for start in range(0, len(text), width))


def _percent_forms(secret: bytes) -> Iterator[bytes]:
    """Percent-encoded as in a path, in a parameter and in a form, with either case of the hex digits."""
    quoted = (
        urllib.parse.quote(secret),
        urllib.parse.quote(secret, safe=""),
        urllib.parse.quote_plus(secret),
    )
    for text in quoted:
        yield text.encode()
        yield re.sub(r"%..", lambda match: match.group().lower(), text).encode()


def _json_forms(secret: str) -> Iterator[bytes]:
    """As the inside of a JSON string, with what some writers escape beyond need (`/`, `<`, `>`, `&`)."""
    for ascii_only in (True, False):
        text = json.dumps(secret, ensure_ascii=ascii_only)[1:-1]
        yield text.encode("utf-8", "surrogatepass")
        yield text.replace("/", "\\/").encode("utf-8", "surrogatepass")
        for mark in "<>&":
            text = text.replace(mark, f"\\u{ord(mark):04x}")
        yield text.encode("utf-8", "surrogatepass")


def _variants(secret: str) -> set[str]:
    """The secret, the same as our own output shows it, and each of its lines."""
    shown = _CONTROLS.sub("", _LINE_ENDS.sub("\n", secret))
    lines = shown.split("\n")
    every = {secret, shown, *lines, *(line.strip() for line in lines)}
    return {text for text in every if len(text) >= SHORTEST and not text.isspace()}


def _forms(secret: str) -> set[bytes]:
    """Every spelling of a secret that is looked for."""
    if len(secret) < SHORTEST:
        return set()
    found: set[bytes] = set()
    for text in _variants(secret):
        data = text.encode("utf-8", "surrogatepass")
        found.add(data)
        found.add(data.replace(b"'", b"'\\''"))  # as `set -x` prints it
        found.update(_base64_forms(data), _percent_forms(data), _json_forms(text))
    return {form for form in found if len(form) >= SHORTEST}


class _Finder:
    """An unchangeable set of forms, made ready to be found in bytes."""

    def __init__(self, forms: set[bytes]) -> None:
        by_length = sorted(forms, key=len, reverse=True)
        self._by_head: dict[bytes, list[bytes]] = {}
        for form in by_length:
            self._by_head.setdefault(form[:SHORTEST], []).append(form)
        self._starts = {form[:size] for form in forms for size in range(1, SHORTEST)}
        self.longest = len(by_length[0]) if by_length else 0
        # Grouped by the first byte, so that most bytes of the output cost one look into a small set.
        groups = groupby(sorted(self._by_head), key=lambda head: head[:1])
        self._heads = re.compile(
            b"|".join(
                re.escape(first) + b"(?:" + b"|".join(re.escape(head[1:]) for head in heads) + b")"
                for first, heads in groups
            )
        )

    def _at(self, data: bytes, start: int, *, final: bool) -> int | None:
        """Length of the longest form at `start`; 0 for none; None if more data must decide."""
        for form in self._by_head[data[start : start + SHORTEST]]:
            if data.startswith(form, start):
                return len(form)
            if not final and len(form) > len(data) - start and form.startswith(data[start:]):
                return None
        return 0

    def hide(self, data: bytes, hidden: int, *, final: bool) -> tuple[bytes, int, int]:
        """Put stars in place of every form; overlapping forms share their stars.

        The first `hidden` bytes have their stars already. Returns what may be shown, the number of bytes
        that are dealt with, and how many of those that follow have their stars already. `final`: no data
        will follow, so nothing is held back.
        """
        if not self._by_head:
            return data, len(data), 0
        shown: list[bytes] = []
        done, end = hidden, len(data)
        hit = self._heads.search(data)
        while hit:
            start = hit.start()
            length = self._at(data, start, final=final)
            if length is None:
                end = start
                break
            if length:
                if start >= done:
                    shown += (data[done:start], STARS)
                done = max(done, start + length)
            hit = self._heads.search(data, start + 1)
        else:
            if not final:
                last = range(max(0, end - SHORTEST + 1), end)
                end = next((start for start in last if data[start:] in self._starts), end)
        shown.append(data[done:end])
        return b"".join(shown), end, max(0, done - end)


class Redactor:
    """Knows secrets, and puts `***` in the place of each in whatever is shown. Thread-safe.

    A secret is found as it is, line by line if it has several, in base64 (standard, URL-safe, wherever it
    begins), percent-encoded, JSON-escaped and quoted for a shell. The longest form wins. Secrets of less
    than 4 characters and blank ones are ignored.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._known: set[bytes] = set()
        self._ready: _Finder | None = None
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Hide this one too from now on, in streams that are open as well."""
        forms = _forms(secret)
        with self._lock:
            self._known |= forms
            self._ready = None

    def finder(self) -> _Finder:
        """The forms as they are known now, made ready once."""
        with self._lock:
            if self._ready is None:
                self._ready = _Finder(self._known)
            return self._ready

    def text(self, value: str) -> str:
        """The value without secrets."""
        data = value.encode("utf-8", "surrogatepass")
        return self.finder().hide(data, 0, final=True)[0].decode("utf-8", "surrogatepass")

    def stream(self) -> RedactingStream:
        """A filter for text that comes in pieces (UTF-8)."""
        return RedactingStream(self)


class RedactingStream:
    """Redacts bytes as they come; holds back no more than what may be the beginning of a secret."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = b""
        self._hidden = 0

    def feed(self, data: bytes) -> bytes:
        """What can be shown after these bytes."""
        data = self._held + data
        shown, end, self._hidden = self._redactor.finder().hide(data, self._hidden, final=False)
        self._held = data[end:]
        return shown

    def close(self) -> bytes:
        """The rest. The stream is empty afterwards."""
        shown, _, _ = self._redactor.finder().hide(self._held, self._hidden, final=True)
        self._held, self._hidden = b"", 0
        return shown


class _Scrubber:
    """Takes control characters out of text that comes in pieces; tab, line ends and colours stay.

    A carriage return ends a line: progress bars that overwrite themselves become lines.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._after_return = False

    def feed(self, data: bytes, *, final: bool = False) -> bytes:
        """Bytes of any kind in, clean UTF-8 out."""
        text = self._held + self._decoder.decode(data, final)
        self._held = ""
        if not final and (unfinished := _UNFINISHED.search(text, max(0, len(text) - _SEQUENCE_LIMIT))):
            self._held = text[unfinished.start() :]
            text = text[: unfinished.start()]
        return _CONTROLS.sub(_kept, self._line_ends(text)).encode()

    def _line_ends(self, text: str) -> str:
        if self._after_return and text:
            rest = text.lstrip("\r")
            self._after_return = not rest
            text = rest.removeprefix("\n")
        if "\r" not in text:
            return text
        self._after_return = text.endswith("\r")
        return _LINE_ENDS.sub("\n", text)


def _kept(match: re.Match[str]) -> str:
    return match["keep"] or ""


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
        self._scrubber = _Scrubber()
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
            coloured = _COLOURS.sub("", line)
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
        clean = _Scrubber().feed(b"".join(self._chunks), final=True)
        clean = _COLOURS.sub("", clean.decode()).encode()
        finder = redactor.finder()
        shown, _, _ = finder.hide(clean, 0, final=True)
        if not self._whole:
            # The window may begin inside a secret: as much as the longest one is left out.
            shown = shown[finder.longest :]
        first, *others = shown.decode("utf-8", "replace").removesuffix("\n").split("\n")
        begun = first if self._whole else first[-TAIL_WIDTH:]
        return [line[:TAIL_WIDTH] for line in (begun, *others)][-TAIL_LINES:]


def _size(count: int) -> str:
    mebibyte = 1024 * 1024
    return f"{count // mebibyte} MiB" if count and count % mebibyte == 0 else f"{count:,} bytes"
