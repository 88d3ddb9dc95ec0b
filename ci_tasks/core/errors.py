"""Exit codes, and the errors that a user can meet.

Everything below the task layer raises one of these; `core/task.py` alone turns them into a message and
an exit code.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class ExitCode(IntEnum):
    """What a process tells its caller; one row each in docs/exit-codes.md."""

    OK = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    CONFLICT = 4
    UNAVAILABLE = 5
    UNKNOWN = 6
    PARTIAL = 7
    INTERNAL = 70
    TIMEOUT = 124
    CANCELLED = 130
    TERMINATED = 143

    @property
    def outcome(self) -> str:
        """The name that reports and JSON use: Ctrl-C and SIGTERM are both CANCELLED."""
        return "CANCELLED" if self is ExitCode.TERMINATED else self.name


class CiTasksError(Exception):
    """A failure with a message for the user.

    `what` happened; what was left `unchanged` ("Nothing was changed." where that is so); the
    `next_step`: one command line that the user can type; `details`: further lines, shown indented.
    None of them may hold a secret.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.FAILED

    def __init__(
        self,
        what: str,
        *,
        unchanged: str | None = None,
        next_step: str | None = None,
        details: Sequence[str] = (),
    ) -> None:
        super().__init__(what)
        self.what = what
        self.unchanged = unchanged
        self.next_step = next_step
        self.details = tuple(details)


class FailedError(CiTasksError):
    """What was run has failed."""

    exit_code = ExitCode.FAILED


class UsageError(CiTasksError):
    """A bad value, option or configuration; nothing was run."""

    exit_code = ExitCode.USAGE


class RefusedError(CiTasksError):
    """A rule says no."""

    exit_code = ExitCode.REFUSED


class ConflictError(CiTasksError):
    """Somebody else holds it, was faster, or the immutable tag exists with other content."""

    exit_code = ExitCode.CONFLICT


class UnavailableError(CiTasksError):
    """Network, login or a missing tool: a retry may work."""

    exit_code = ExitCode.UNAVAILABLE


class UnknownOutcomeError(CiTasksError):
    """The remote's answer can't be established."""

    exit_code = ExitCode.UNKNOWN


class PartialError(CiTasksError):
    """Some regions or subprojects are done, some are not."""

    exit_code = ExitCode.PARTIAL


class TimedOutError(CiTasksError):
    """Something ran longer than it may."""

    exit_code = ExitCode.TIMEOUT


class CancelledError(CiTasksError):
    """Ctrl-C (exit code 130)."""

    exit_code = ExitCode.CANCELLED


class TerminatedError(CancelledError):
    """SIGTERM (exit code 143)."""

    exit_code = ExitCode.TERMINATED


def nearest(given: str, allowed: Iterable[str]) -> str | None:
    """The allowed name that looks most like the given one, or None if none does."""
    import difflib  # noqa: PLC0415 - 4 ms that only a typing error costs

    names = list(allowed)
    folded = {name.lower(): name for name in reversed(names)}
    close = difflib.get_close_matches(given.lower(), folded, n=1, cutoff=0.5)
    return folded[close[0]] if close else None


def bad_choice(kind: str, given: str, allowed: Iterable[str]) -> UsageError:
    """The error for a value that is none of a closed set: shows the set and the nearest name."""
    names = list(allowed)
    close = nearest(given, names)
    hint = f" Did you mean {close}?" if close else ""
    return UsageError(
        f"{given!r} is not {'an' if kind[0] in 'aeiou' else 'a'} {kind}.{hint}",
        details=[f"Allowed: {', '.join(names)}."] if names else [],
    )
