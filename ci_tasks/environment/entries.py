"""Rules that are a list of maps, such as `freeze`: their entries, and what is wrong with each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from ci_tasks.core.errors import nearest
from ci_tasks.core.field import FieldError, as_map

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Path: TypeAlias = "tuple[str, ...]"
"""A key inside the rule: ("0", "from") is the key `from` of the first entry."""

Readers: TypeAlias = "Mapping[str, Callable[[Any], Any]]"
"""For each key that an entry may have, what reads its value and raises FieldError."""

MOST = 100
"""Entries of one rule."""


def entries(value: object) -> tuple[tuple[Path, Any], ...]:
    """The entries of a rule with their paths; one map may stand for a list of one."""
    if isinstance(value, list):
        return tuple(((str(number),), item) for number, item in enumerate(value))
    return (((), value),)


def problems(
    value: object, readers: Readers, whole: Callable[[dict[str, Any]], str | None], *, is_list: bool
) -> Iterator[tuple[Path, str]]:
    """What is wrong with a rule: of every key; of an entry as a `whole` only where its keys are right.

    `is_list`: one map does not do.
    """
    if not isinstance(value, list) and (is_list or not isinstance(value, dict)):
        yield (), f"a list of maps{'' if is_list else ', or one map,'} is expected"
        return
    found = entries(value)
    if len(found) > MOST:
        yield (), f"at most {MOST} entries are read"
        return
    for path, entry in found:
        wrong = list(_of_entry(entry, readers))
        yield from (((*path, *key), reason) for key, reason in wrong)
        said = None if wrong else whole({key: readers[key](text) for key, text in entry.items()})
        if said is not None:
            yield path, said


def _of_entry(entry: object, readers: Readers) -> Iterator[tuple[Path, str]]:
    """Each key of one entry that is not known, or whose value is not what it should be."""
    try:
        values = as_map(entry)
    except FieldError as error:
        yield (), str(error)
        return
    for key, value in values.items():
        if key not in readers:
            close = nearest(key, readers)
            hint = f"did you mean {close}?" if close else f"known are {', '.join(readers)}"
            yield (key,), f"this key is not known; {hint}"
            continue
        try:
            readers[key](value)
        except FieldError as error:
            yield (key,), str(error)
