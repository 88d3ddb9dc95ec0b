"""Values of a configuration as they may be shown: with stars for all that looks like a secret."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ci_tasks.core.redact import Redactor
from ci_tasks.core.secret_looks import HIDDEN, is_secret_name, may_be_secret_name, without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_NAMES = ("name", "key", "variable")
"""Keys beside a `value` that say what it is, as in `- {name: DB_PASSWORD, value: …}`."""

_PLAIN = frozenset({"true", "false", "none", "null", "default"})
"""Texts that are no secret, whatever key they stand at: they are not looked for elsewhere."""


class Shown:
    """Knows the secrets of some configurations, and shows values of them without these."""

    def __init__(self, *trees: Mapping[str, Any]) -> None:
        self._trees = trees
        self._redactor = Redactor(secret for tree in trees for secret in _secrets(tree))

    def text(self, path: Sequence[str], value: object) -> str:
        """The value that stands at the end of these keys, as text; JSON where it is none."""
        if any(map(may_be_secret_name, path)) or any(_is_named(tree, path) for tree in self._trees):
            return HIDDEN
        return as_text(self._without(value))

    def _without(self, value: object) -> object:
        if isinstance(value, str):
            return self._redactor.text(without_secrets(value))
        if isinstance(value, dict):
            return {
                key: HIDDEN
                if may_be_secret_name(str(key)) or (key == "value" and _named(value, may_be_secret_name))
                else self._without(inner)
                for key, inner in value.items()
            }
        if isinstance(value, list):
            return [
                HIDDEN if _is_option(before) else self._without(inner)
                for before, inner in zip([None, *value], value, strict=False)
            ]
        return value


def as_text(value: object) -> str:
    """A value as text; JSON where it is none."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _secrets(value: object, *, is_secret: bool = False) -> Iterator[str]:
    """The texts that stand at keys which say that they are secrets."""
    if isinstance(value, dict):
        named = _named(value, is_secret_name)
        for key, inner in value.items():
            is_one = is_secret or is_secret_name(str(key)) or (named and key == "value")
            yield from _secrets(inner, is_secret=is_one)
    elif isinstance(value, list):
        for inner in value:
            yield from _secrets(inner, is_secret=is_secret)
    elif is_secret and isinstance(value, str) and value.lower() not in _PLAIN:
        yield value


def _named(value: Mapping[Any, Any], is_one: Callable[[str], bool]) -> bool:
    return any(isinstance(value.get(name), str) and is_one(value[name]) for name in _NAMES)


def _is_named(tree: Mapping[str, Any], path: Sequence[str]) -> bool:
    """True for the end of the keys where it is a `value` beside a name that looks like a secret's."""
    *above, last = path
    if last != "value":
        return False
    found: Any = tree
    for key in above:
        found = found.get(key) if isinstance(found, dict) else None
    return isinstance(found, dict) and _named(found, may_be_secret_name)


def _is_option(value: object) -> bool:
    """True for an option of a command line that a secret follows: `--password`."""
    return isinstance(value, str) and value.startswith("-") and "=" not in value and may_be_secret_name(value)
