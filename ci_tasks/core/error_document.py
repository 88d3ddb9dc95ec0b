"""What a task prints with --json where it fails: the error as people see it, for programs."""

from __future__ import annotations

from ci_tasks.core.entity import Entity


class ErrorFields(Entity, frozen=True, kw_only=True):
    """`code`: the exit code, `name` its name; `unchanged`: what was left as it was; `next`: what to type."""

    code: int
    name: str
    message: str
    details: tuple[str, ...]
    unchanged: str | None
    next: str | None


class Error(Entity, frozen=True, kw_only=True):
    """All that stdout holds after a failure, whichever task it was."""

    error: ErrorFields
