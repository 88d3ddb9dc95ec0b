"""What git will keep of a commit's message, as far as a hook can know."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

_AUTO = "#;@!$%^&|:"  # git-config, core.commentChar: what `auto` chooses from
_KEEPING = ("whitespace", "verbatim", "scissors")
_SCISSORS = "------------------------ >8 ------------------------"


@dataclass(frozen=True, kw_only=True)
class Cleanup:
    """How git is set to clean up: `mode` is commit.cleanup, `comment` what begins a comment, or "auto"."""

    mode: str = "default"
    comment: str = "#"
    encoding: str = "utf-8"
    is_edited: bool = True


def kept_lines(data: bytes, cleanup: Cleanup) -> list[str]:
    """The message's lines without comments, what stands below the scissors, and blank lines around.

    Comments go where git takes them out: by mode, and by default only where somebody edited the message
    (git-commit, "--cleanup").
    """
    lines = _decoded(data, cleanup.encoding).split("\n")
    comment = _comment(lines) if cleanup.comment == "auto" else cleanup.comment
    strips = cleanup.mode == "strip" or (cleanup.mode not in _KEEPING and cleanup.is_edited)
    if strips or (cleanup.mode == "scissors" and cleanup.is_edited):
        cut = f"{comment} {_SCISSORS}"
        lines = lines[: lines.index(cut)] if cut in lines else lines
    kept = [line.rstrip() for line in lines if not (strips and line.startswith(comment))]
    while kept and not kept[0]:
        del kept[0]
    while kept and not kept[-1]:
        del kept[-1]
    return kept


def _decoded(data: bytes, encoding: str) -> str:
    """The text, whatever its bytes are."""
    for name in ("utf-8-sig", encoding):
        try:
            return data.decode(codecs.lookup(name).name)
        except (LookupError, UnicodeError):
            continue
    return data.decode("utf-8", "replace")


def _comment(lines: list[str]) -> str:
    """What `auto` has chosen: git's own lines stand at the end, above the scissors' diff."""
    for mark in _AUTO:
        if f"{mark} {_SCISSORS}" in lines:
            return mark
    last = next((line for line in reversed(lines) if line.strip()), "#")
    return last[0] if last[0] in _AUTO else "#"
