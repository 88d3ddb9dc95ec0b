"""Base of the entities: frozen keyword-only values, camelCase JSON, JSON Schema."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from ci_tasks.core.errors import UsageError

T = TypeVar("T")


class Entity(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A value of the data model; its JSON has every field, named in camelCase.

    A subclass says `frozen=True, kw_only=True` itself: the one for mypy, the other for msgspec.
    """


def to_json(value: object, *, indent: int = 0) -> bytes:
    """UTF-8 JSON of entities, enums, maps and lists; `indent` in spaces, 0 for one line."""
    encoded = msgspec.json.encode(value)
    return msgspec.json.format(encoded, indent=indent) if indent else encoded


def canonical_json(value: object) -> bytes:
    """One-line UTF-8 JSON with sorted keys: equal values have equal bytes, so it can be hashed."""
    return msgspec.json.encode(value, order="sorted")


def from_json(data: bytes | str, kind: type[T], *, what: str) -> T:
    """Decode and check JSON.

    Raises UsageError with `what` ("build/reports/last.json") and the path in the document, never the value.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{what} is not what it should be: {error}") from None


def to_builtins(value: object) -> Any:
    """The value as dicts, lists, strings and numbers, named as in its JSON."""
    return msgspec.to_builtins(value)


def json_schema(kind: object) -> dict[str, Any]:
    """JSON Schema (2020-12) of an entity."""
    return msgspec.json.schema(kind)
