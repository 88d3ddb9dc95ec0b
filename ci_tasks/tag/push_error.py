"""What to tell a user whose push was not applied, or got no answer."""

from __future__ import annotations

from ci_tasks.core.errors import (
    CiTasksError,
    ConflictError,
    RefusedError,
    UnavailableError,
    UnknownOutcomeError,
)
from ci_tasks.core.push import NotApplied, PushOutcome, PushResult


def push_error(outcome: PushOutcome, *, what: str, unchanged: str, later: str) -> CiTasksError:
    """The error for a push that was not applied, or whose answer is unknown.

    `what` was tried ("create api/v1.2.3"); `later` is the line that finds out, or tries again.
    """
    details = outcome.message.splitlines()
    if outcome.result is PushResult.UNKNOWN:
        return UnknownOutcomeError(
            f"Could not find out whether the remote did {what}.",
            unchanged="It may still be applied: ask again before anything else is done.",
            next_step=later,
            details=details,
        )
    kinds: dict[NotApplied | None, tuple[type[CiTasksError], str]] = {
        NotApplied.RACE: (ConflictError, f"Could not {what}: somebody else was faster."),
        NotApplied.STALE_LOCK: (UnavailableError, f"Could not {what}: a lock file was left on the remote."),
        NotApplied.NAME_CLASH: (
            RefusedError,
            f"Could not {what}: git can't keep a tag beside another that is a folder of its name.",
        ),
        NotApplied.DECLINED: (RefusedError, f"Could not {what}: the remote's rules decline it."),
        NotApplied.OTHER: (UnavailableError, f"Could not {what}: the remote refused the push."),
    }
    kind, text = kinds[outcome.reason]
    return kind(text, unchanged=unchanged, next_step=later, details=details)
