"""Merging layers: maps go into one another, the rightmost layer wins everywhere else."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Layer: TypeAlias = "tuple[str, Mapping[str, Any]]"
"""The path of a file, and the map in it."""


@dataclass(frozen=True)
class Merged:
    """One map, and for each leaf (a scalar, a list, an empty map) the path of the layer it is from."""

    values: dict[str, Any]
    origins: dict[tuple[str, ...], str]


@dataclass
class _Leaf:
    value: object
    origin: str


@dataclass
class _Map:
    origin: str  # the last layer that had it; asked for only if the map stays empty
    children: dict[str, _Leaf | _Map] = field(default_factory=dict)


def merge(layers: Iterable[Layer]) -> Merged:
    """Merge maps deeply, the rightmost wins; lists and scalars replace, and so does null. Shares nothing.

    Keys are sorted: the result does not depend on the order in which a file has them.
    """
    top = _Map("")
    for path, values in layers:
        _lay_over(top, values, path)
    return Merged(_values(top), dict(_origins(top, ())))


def _lay_over(below: _Map, values: Mapping[str, Any], path: str) -> None:
    below.origin = path
    for key, value in values.items():
        if not isinstance(value, dict):
            below.children[key] = _Leaf(copy.deepcopy(value), path)
            continue
        child = below.children.get(key)
        if not isinstance(child, _Map):
            child = below.children[key] = _Map(path)
        _lay_over(child, value, path)


def _values(node: _Map) -> dict[str, Any]:
    return {
        key: child.value if isinstance(child, _Leaf) else _values(child)
        for key, child in sorted(node.children.items())
    }


def _origins(node: _Map, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    for key, child in sorted(node.children.items()):
        path = (*above, key)
        if isinstance(child, _Map) and child.children:
            yield from _origins(child, path)
        else:
            yield path, child.origin
