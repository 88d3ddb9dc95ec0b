"""The control characters of a program's output: what of them may reach a terminal or a log."""

from __future__ import annotations

import codecs
import re

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


def without_controls(text: str) -> str:
    """The text with plain line ends, and without any control sequence, colours included."""
    return _CONTROLS.sub("", _LINE_ENDS.sub("\n", text))


def without_colours(text: str) -> str:
    """The text without colours; every other control sequence stays."""
    return _COLOURS.sub("", text)


class Scrubber:
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
