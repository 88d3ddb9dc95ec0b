"""What a task has to say, and how it reaches stdout."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from ci_tasks.core import console
from ci_tasks.core.errors import ExitCode, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

NOBODY_READS = 128 + 13
"""Exit code where the reader of our output went away: what a shell shows for git in that case (SIGPIPE)."""


@dataclass(frozen=True)
class Answer:
    """What a task has to say: `document` for --json, `text` for people, and how the process exits."""

    document: object
    text: str | Callable[[], str]
    code: ExitCode = ExitCode.OK


def say(answer: Answer, *, as_json: bool) -> None:
    """Print the answer to stdout.

    Where the reader went away, Exit with the answer's own code, or NOBODY_READS if that is OK;
    UnavailableError if it can't be written.
    """
    text = "" if as_json else answer.text if isinstance(answer.text, str) else answer.text()
    try:
        if as_json:
            put_document(answer.document)
        elif text:
            _out(lambda: console.put(sys.stdout, console.printable(text)))
    except BrokenPipeError:
        raise Exit(code=int(answer.code) or NOBODY_READS) from None


def put_document(document: object) -> None:
    """Print one JSON document to stdout, in UTF-8; raises as `_out` does."""
    from ci_tasks.core.entity import to_json  # noqa: PLC0415 - msgspec costs 27 ms

    encoded = to_json(document, indent=2).replace(
        b"##[", b"##\\u005b"
    )  # else a runner takes it for a command

    def write() -> None:
        if sys.stdout is not None:
            sys.stdout.flush()
            sys.stdout.buffer.write(encoded + b"\n")
            sys.stdout.flush()

    _out(write)


def _out(write: Callable[[], None]) -> None:
    """Write to stdout; BrokenPipeError if its reader went away, UnavailableError for a full disk."""
    try:
        write()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UnavailableError(f"The result could not be written: {error.strerror}.") from None
