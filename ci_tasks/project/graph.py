"""What depends on what: the setting `dependsOn` as a graph, and its orders.

A node is a subproject ("" is the root project), or a folder or file that none of them is. A graph is a
`Mapping[str, tuple[str, ...]]`: node -> what it depends on. `dependencies.graph_of` reads that of a checkout.
"""

from __future__ import annotations

import fnmatch
from collections import deque
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import TYPE_CHECKING

from ci_tasks.core.errors import nearest
from ci_tasks.core.subprojects import nodes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

ROOT = "."
"""How the root project is written; within a graph it is empty."""


class GraphError(ValueError):
    """What can't be so; `key` and `index` (of the list behind it, or None) say where in `dependsOn`."""

    def __init__(self, reason: str, key: str, index: int | None = None) -> None:
        super().__init__(reason)
        self.key = key
        self.index = index


def ordered(paths: Iterable[str], depends_on: Mapping[str, Sequence[str]]) -> list[str]:
    """The subprojects with their dependencies first, else by name; also where one only leads to another."""
    wanted = sorted(set(paths))
    sorter = TopologicalSorter({path: routes(path, depends_on).keys() & set(wanted) for path in wanted})
    sorter.prepare()
    found: list[str] = []
    while sorter.is_active():
        level = sorted(sorter.get_ready())
        found += level
        sorter.done(*level)
    return found


def routes(start: str, depends_on: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """All that `start` depends on, nearest first, each with the shortest way to it: its own name is last."""
    found: dict[str, tuple[str, ...]] = {}
    waiting: deque[tuple[str, tuple[str, ...]]] = deque([(start, ())])
    while waiting:
        node, way = waiting.popleft()
        for below in depends_on.get(node, ()):
            if below not in found and below != start:
                found[below] = (*way, below)
                waiting.append((below, found[below]))
    return found


def dependents(depends_on: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """The graph turned round: node -> what depends on it directly, by name."""
    found: dict[str, list[str]] = {}
    for node, below in depends_on.items():
        for each in below:
            found.setdefault(each, []).append(node)
    return {node: tuple(sorted(above)) for node, above in found.items()}


def resolve(
    declared: Mapping[str, Sequence[str]],
    subprojects: Collection[str],
    *,
    exists: Callable[[str], bool],
) -> dict[str, tuple[str, ...]]:
    """The graph that `dependsOn` declares; a folder also depends on the subprojects inside it.

    What a part of something depends on, that depends on, too; a file is a part of its own subproject alone.

    `exists` says whether there is a folder or file of that path. Raises GraphError for what is not there, for
    what depends on itself or a part of itself, and for a cycle.
    """
    among = {*subprojects, ""}
    edges: dict[str, dict[str, tuple[str, int]]] = {}
    for key, below in declared.items():
        for node in _nodes(key, among, exists):
            for index, dependency in enumerate(_targets(key, below, among, exists)):
                if not _is_within(dependency, node, among):
                    edges.setdefault(node, {}).setdefault(dependency, (key, index))
                elif "*" not in key:  # of a pattern, everything that it means but itself
                    reason = "depends on itself" if dependency == node else "is a part of it"
                    raise GraphError(f"{shown(dependency)} {reason}", key, index)
    _inherit(edges, among)
    graph = {node: tuple(below) for node, below in edges.items()}
    parts = sorted(edges.keys() | (among - {""}))
    for folder in sorted({each for below in graph.values() for each in below} | set(graph)):
        inside = [part for part in parts if part.startswith(f"{folder}/")]
        if folder not in among and inside:
            graph[folder] = tuple(dict.fromkeys([*graph.get(folder, ()), *inside]))
    _refuse_cycle(graph, edges)
    return graph


def shown(node: str) -> str:
    """A node as it is written in the settings."""
    return node or ROOT


def _nodes(key: str, among: Collection[str], exists: Callable[[str], bool]) -> list[str]:
    """What a key means: one node, or the subprojects that its pattern matches."""
    if "*" in key:
        found = [name for name in sorted(among) if name and _matches(name, key)]
        if found:
            return found
    elif _node(key) in among or exists(key):
        return [_node(key)]
    raise GraphError(_unknown(key, among), key)


def _targets(
    key: str, below: Sequence[str], among: Collection[str], exists: Callable[[str], bool]
) -> Iterator[str]:
    for index, name in enumerate(below):
        if _node(name) not in among and not exists(name):
            raise GraphError(_unknown(name, among), key, index)
        yield _node(name)


def _unknown(name: str, among: Collection[str]) -> str:
    close = nearest(name, [each for each in sorted(among) if each])
    hint = f". Did you mean {close}?" if close else ""
    return f"there is no subproject, folder or file {name[:120]}{hint}"


def _node(name: str) -> str:
    return "" if name == ROOT else name


def _matches(name: str, pattern: str) -> bool:
    parts, patterns = name.split("/"), pattern.split("/")
    return len(parts) == len(patterns) and all(map(fnmatch.fnmatchcase, parts, patterns))


def _is_within(path: str, node: str, among: Collection[str]) -> bool:
    """Whether it is the node, or a part of it that belongs to no subproject inside it."""
    return path == node or (path not in among and node in nodes_of(path, {node}, among))


def _inherit(edges: dict[str, dict[str, tuple[str, int]]], among: Collection[str]) -> None:
    """Give each subproject what the folders and files in it depend on."""
    for part in sorted(edges.keys() - set(among)):
        owner = nodes_of(part, (), among)[-1]
        for dependency, place in edges[part].items():
            if not _is_within(dependency, owner, among):
                edges.setdefault(owner, {}).setdefault(dependency, place)


def _refuse_cycle(
    graph: Mapping[str, Sequence[str]], edges: Mapping[str, Mapping[str, tuple[str, int]]]
) -> None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        cycle: list[str] = error.args[1][::-1]  # each depends on the next one
        places = [edges.get(node, {}).get(below) for node, below in pairwise(cycle)]
        key, index = next(place for place in places if place is not None)
        way = " -> ".join(map(shown, cycle))
        raise GraphError(f"a cycle: {way}", key, index) from None
