"""Which folders of a checkout are subprojects."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ci_tasks.core.errors import bad_choice

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

ENVIRONMENTS = "environments"
_DEEPEST = 4
_NEVER = frozenset({ENVIRONMENTS, "scripts", "node_modules", "vendor", "build", "dist", "target"})


def subprojects(root: Path, patterns: Sequence[str]) -> tuple[str, ...]:
    """Paths of subprojects: what the setting `subprojects` matches, else folders with an `environments/`.

    In the second case no deeper than four levels, and not in hidden, linked, built or third-party folders.
    """
    if patterns:
        found = {match for pattern in patterns for match in root.glob(pattern)}
    else:
        found = set(_with_environments(root))
    folders = (path for path in found if path.is_dir() and not path.is_symlink() and path != root)
    return tuple(sorted(path.relative_to(root).as_posix() for path in folders))


def _with_environments(root: Path) -> Iterator[Path]:
    for folder, below, _ in os.walk(root):
        here = Path(folder)
        if ENVIRONMENTS in below and not (here / ENVIRONMENTS).is_symlink():
            yield here
        depth = len(here.relative_to(root).parts)
        below[:] = [
            name for name in below if depth < _DEEPEST and not name.startswith(".") and name not in _NEVER
        ]


def known(given: str, among: Sequence[str]) -> str:
    """The given subproject if there is one of this path, empty for `.`; UsageError with the nearest."""
    path = given.strip("/")
    if path == ".":
        return ""
    if path not in among:
        raise bad_choice("subproject", given, among)
    return path


def standing_in(folder: Path, root: Path, among: Sequence[str]) -> str | None:
    """The innermost subproject whose folder `folder` is, or lies in; None for the root project."""
    try:
        here = folder.resolve().relative_to(root.resolve())
    except ValueError:
        return None
    around = [path.as_posix() for path in (here, *here.parents)]
    return next((path for path in around if path in among), None)


def nodes_of(path: str, nodes: Collection[str], among: Collection[str]) -> tuple[str, ...]:
    """The nodes that a file or folder of the repository belongs to: no further up than to its subproject.

    A node is a subproject of `among`, or a folder or file of its own; what is in no subproject belongs to the
    root project, which is the empty node.
    """
    found = []
    here = path
    while here:
        if here in nodes or here in among:
            found.append(here)
        if here in among:
            return tuple(found)
        here = here.rpartition("/")[0]
    return (*found, "")
