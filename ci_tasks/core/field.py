"""Typed values out of a document: each says what was expected and what was found, never the value."""

from __future__ import annotations

from typing import Any

from ci_tasks.core.duration import parse_duration
from ci_tasks.core.errors import UsageError


class FieldError(ValueError):
    """A value of the wrong kind; the text can stand after "ci_tasks.yaml:3: lease: "."""


def kind_of(value: object) -> str:
    """What a newcomer would call this value."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "a map"


def _wrong(expected: str, value: object) -> FieldError:
    return FieldError(f"{expected} is expected, not {kind_of(value)}")


def as_text(value: object) -> str:
    """Text that is not empty."""
    if isinstance(value, (bool, int, float)):
        raise FieldError(f"text is expected, not {kind_of(value)}: quote it")
    if not isinstance(value, str):
        raise _wrong("text", value)
    if not value:
        raise FieldError("text is expected, and this is empty")
    return value


def as_texts(value: object) -> tuple[str, ...]:
    """A list of different texts, in the order they are written in."""
    if not isinstance(value, list):
        raise _wrong("a list of texts", value)
    found: list[str] = []
    for number, item in enumerate(value, start=1):
        try:
            text = as_text(item)
        except FieldError as error:
            raise FieldError(f"entry {number}: {error}") from None
        if text in found:
            raise FieldError(f"{text[:60]!r} stands twice in the list")
        found.append(text)
    return tuple(found)


def as_flag(value: object) -> bool:
    """`true` or `false`."""
    if not isinstance(value, bool):
        raise _wrong("true or false", value)
    return value


def as_seconds(value: object) -> float:
    """Seconds of a duration such as 10m."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise FieldError("a duration needs a unit: write 90s, 10m, 2h or 7d")
    if not isinstance(value, str):
        raise _wrong("a duration such as 10m", value)
    try:
        return parse_duration(value)
    except UsageError as error:
        raise FieldError(error.what) from None


def as_map(value: object) -> dict[str, Any]:
    """A map; its keys are text."""
    if not isinstance(value, dict):
        raise _wrong("a map", value)
    return value
