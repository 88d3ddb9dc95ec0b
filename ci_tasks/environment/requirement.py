"""The rule `requires`: what must be true of a version before it may come to an environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ci_tasks.core.errors import nearest
from ci_tasks.core.field import FieldError, as_seconds, as_text
from ci_tasks.environment import entries
from ci_tasks.environment.model import Requirement
from ci_tasks.environment.names import RequiredState

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LONGEST_SOAK = 30 * 86400.0  # seconds; older records of a busy environment may have gone


def _state(value: object) -> RequiredState:
    if not isinstance(value, str) or value not in {each.value for each in RequiredState}:
        raise FieldError("stable is expected")
    return RequiredState(value)


def _soak(value: object) -> float:
    seconds = as_seconds(value)
    if not 1 <= seconds <= LONGEST_SOAK:
        raise FieldError("a soak is at least 1s and at most 30d")
    return seconds


_READERS: entries.Readers = {"environment": as_text, "state": _state, "soak": _soak}


def problems(
    value: object, *, environment: str | None, environments: Sequence[str]
) -> Iterator[tuple[entries.Path, str]]:
    """What is wrong with the rule: the path of a key in it, and the reason.

    `environment` is the one whose file it stands in, None in a file for all of them.
    """

    def required(value: object) -> str:
        name = as_text(value)
        if environments and name not in environments:
            close = nearest(name, environments)
            hint = f"did you mean {close}?" if close else f"there are {', '.join(environments)}"
            raise FieldError(f"{name[:60]!r} is no environment; {hint}")
        if name == environment:
            raise FieldError("this is the environment itself: leave the key out, and a soak is a canary's")
        if environment is None:
            raise FieldError("this file is for every environment, and none can wait for itself")
        return name

    readers = {**_READERS, "environment": required}
    return entries.problems(value, readers, _nothing, is_list=False)


def _nothing(entry: dict[str, Any]) -> str | None:
    return None if entry else "at least one of environment, state and soak is expected"


def read(value: object) -> tuple[Requirement, ...]:
    """The requirements of a value that has no problems."""
    return tuple(
        Requirement(**{key: _READERS[key](text) for key, text in entry.items()})
        for _, entry in entries.entries(value)
    )
