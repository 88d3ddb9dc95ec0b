"""What a script's bytes must be like before the system can start it, and how many lines it has."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ci_tasks.script.header import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

# execve(2): after "#!" an absolute path; blanks may stand before it
_SHEBANG = re.compile(rb"#![ \t]*/[^\s]")


def start_problems(data: bytes, *, executable: bool, path: str) -> Iterator[Problem]:
    """What keeps the system from starting this file; nothing if it can be started."""
    if not executable:
        yield Problem(line=1, message=f"is not executable; type: chmod +x {path}")
    first = data.split(b"\n", 1)[0]
    if data.startswith(BYTE_ORDER_MARK):
        yield Problem(line=1, message="begins with a byte order mark, so the system does not see its shebang")
    elif not first.startswith(b"#!"):
        yield Problem(line=1, message="has no shebang: its first line must name the interpreter (#!/bin/sh)")
    elif not _SHEBANG.match(first):
        yield Problem(
            line=1, message="has a shebang without an absolute path (#!/bin/sh, #!/usr/bin/env python3)"
        )
    carriage = data.find(b"\r")
    if carriage >= 0:
        line = data.count(b"\n", 0, carriage) + 1
        yield Problem(line=line, message="has Windows line ends (CR LF); it needs LF alone")


def encoding_problem(data: bytes) -> Problem | None:
    """The first line that is not UTF-8, if there is one."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return Problem(line=data.count(b"\n", 0, error.start) + 1, message="is not UTF-8")
    return None


def code_lines(text: str, marker: str) -> int:
    """How many lines are neither blank, nor the shebang, nor a comment that begins with `marker`."""
    lines = text.split("\n")
    if lines[0].startswith("#!"):
        del lines[0]
    return sum(1 for line in map(str.strip, lines) if line and not line.startswith(marker))
