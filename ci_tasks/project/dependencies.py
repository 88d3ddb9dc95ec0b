"""What the settings of a checkout say of its subprojects: which there are, and what each depends on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci_tasks.core import settings
from ci_tasks.core.errors import UsageError
from ci_tasks.project.graph import GraphError, resolve
from ci_tasks.tag import subproject as subprojects

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from ci_tasks.core.checkout import Checkout
    from ci_tasks.tag.listing import Listing


@dataclass(frozen=True, kw_only=True)
class Projects:
    """The subprojects of a checkout, and the graph of what depends on what.

    `known` are all but the root project, removed ones that have versions included; `present` are those that
    are there now, with the root project ("") where it has versions or there is no other.
    """

    known: tuple[str, ...]
    present: tuple[str, ...]
    depends_on: Mapping[str, tuple[str, ...]]


def read_projects(checkout: Checkout, listing: Listing) -> Projects:
    """Read them once. Raises UsageError with the line of a dependency that can't be so."""
    known = subprojects.known(checkout, listing.grammar, listing)
    present = tuple(name for name in known if _is_folder(checkout.root, name))
    with_root = not present or bool(listing.versions(""))
    return Projects(
        known=known,
        present=("", *present) if with_root else present,
        depends_on=graph_of(checkout, known),
    )


def graph_of(checkout: Checkout, known: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The graph of the setting `dependsOn`, see `graph`; `known` are the subprojects that there are."""
    declared = checkout.settings.depends_on
    try:
        return resolve(declared, tuple(known), exists=lambda path: _is_there(checkout.root, path))
    except GraphError as error:
        path = (error.key,) if error.index is None else (error.key, str(error.index))
        where = settings.place(checkout.root, os.environ, "depends_on", *path)
        said = f"{where}: {error.key}: {error}"
        said += "" if said.endswith("?") else "."
        raise UsageError(said, unchanged="Nothing was changed.") from None


def _is_folder(root: Path, name: str) -> bool:
    return _is_there(root, name) and (root / name).is_dir()


def _is_there(root: Path, path: str) -> bool:
    """Whether the repository has such a folder or file; what lies behind a link is not in it."""
    here = root
    for part in path.split("/"):
        here /= part
        if here.is_symlink():
            return False
    return here.exists()
