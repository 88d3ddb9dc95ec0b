"""What to tell a user whose push was not applied, or got no answer."""

from __future__ import annotations

import re
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ci_tasks.core.errors import (
    CancelledError,
    CiTasksError,
    ConflictError,
    RefusedError,
    UnavailableError,
    UnknownOutcomeError,
)
from ci_tasks.core.git.push import NotApplied, PushOutcome, PushResult
from ci_tasks.core.signals import cancellation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_RULESET = re.compile(r"\bGH013\b|repository rule violations", re.IGNORECASE)
_BROKEN_RULE = re.compile(r"^remote: +- +(?P<rule>.*[^\s.])", re.MULTILINE)
_CREATION = "creations being restricted"
_ACTOR = (
    "An environment tag has one writer: the GitHub App or the deploy key of the setting tagWriter.",
    "Push as that one: check out with its token or its ssh key. GITHUB_TOKEN is neither.",
)
_BURNED = "GitHub also declines a name that an immutable release has had: then take the next version."


@contextmanager
def telling_of_the_push(later: str) -> Iterator[None]:
    """Let whoever cancels during a push know that the remote may do it all the same; `later` finds out."""
    try:
        yield
    except (CancelledError, KeyboardInterrupt) as cancelled:
        error = cancelled if isinstance(cancelled, CancelledError) else cancellation(signal.SIGINT)
        error.unchanged = "The push may still be applied: ask again before anything else is done."
        error.next_step = later
        raise error from None


def push_error(
    outcome: PushOutcome, *, what: str, unchanged: str, later: str, is_environment: bool
) -> CiTasksError:
    """The error for a push that was not applied, or whose answer is unknown.

    `what` was tried ("create api/v1.2.3"); `later` is the line that finds out, or tries again;
    `is_environment`: it was an environment tag, which has one writer.
    """
    details = outcome.message.splitlines()
    if outcome.result is PushResult.UNKNOWN:
        return UnknownOutcomeError(
            f"Could not find out whether the remote did {what}.",
            unchanged="It may still be applied: ask again before anything else is done.",
            next_step=later,
            details=details,
        )
    if outcome.reason is NotApplied.DECLINED and _RULESET.search(outcome.message):
        advice = _ACTOR if is_environment else ()
        return _ruleset_error(outcome.message, what=what, unchanged=unchanged, later=later, advice=advice)
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


def _ruleset_error(
    message: str, *, what: str, unchanged: str, later: str, advice: Sequence[str]
) -> RefusedError:
    """The error for a push that a ruleset of GitHub declines: which rule, and whom it would let through."""
    rules = [found["rule"] for found in _BROKEN_RULE.finditer(message)]
    by = f" ({'; '.join(dict.fromkeys(rules))})" if rules else ""
    burned = [_BURNED] if any(_CREATION in rule for rule in rules) else []
    return RefusedError(
        f"Could not {what}: a ruleset on GitHub declines it{by}.",
        unchanged=unchanged,
        next_step=later,
        details=[*message.splitlines(), *advice, *burned],
    )
