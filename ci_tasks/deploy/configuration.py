"""Configuration for a deployment: rules from the pipeline checkout, values from the version's own commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_tasks.core.errors import RefusedError, UsageError
from ci_tasks.core.git_objects import ObjectDatabase
from ci_tasks.environment.configuration import parse_layers
from ci_tasks.environment.tree import gather

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ci_tasks.core.checkout import Checkout
    from ci_tasks.core.git_objects import RawObject, TreeEntry
    from ci_tasks.environment.configuration import Layers
    from ci_tasks.tag.grammar import EnvironmentTag

LINK = "120000"
"""The mode that git gives a symbolic link in a tree."""


def of_checkout(checkout: Checkout, subproject: str) -> Layers:
    """The layers as they stand on disk, uncommitted changes included."""
    return parse_layers(gather(checkout.root, (subproject,)), environments=checkout.settings.environments)


def of_commit(
    checkout: Checkout,
    subproject: str,
    files: Sequence[TreeEntry],
    read: Callable[[Sequence[str]], Iterator[RawObject]],
) -> Layers:
    """The layers of a commit: its files, and how to read their objects. Folders count by what they hold."""
    below = [entry for entry in files if entry.path.startswith(tuple(_homes(subproject)))]
    contents = {f"{parent}/": b"" for entry in below for parent in _parents(entry.path)}
    wanted = [entry for entry in below if entry.path.rpartition("/")[2].startswith("config.")]
    links = [entry.path for entry in wanted if entry.mode == LINK]
    if links:
        raise RefusedError(
            f"{links[0]} is a symbolic link in the version's commit: configuration must be a file.",
            unchanged="Nothing was changed.",
        )
    for entry, blob in zip(wanted, read([entry.object_id for entry in wanted]), strict=True):
        contents[entry.path] = blob.data
    return parse_layers(contents, environments=checkout.settings.environments)


def was_protected(checkout: Checkout, tag: EnvironmentTag, head: str | None) -> bool:
    """True if the rules that are committed here protect the environment: an edit can't take that away."""
    if head is None:
        return False
    database = ObjectDatabase(checkout.repository.git_dir, at=checkout.root)
    files = database.files(head, [home.rstrip("/") for home in _homes(tag.subproject)])
    try:
        return (
            of_commit(checkout, tag.subproject, files, database.read)
            .rules(tag.environment, tag.subproject)
            .protected
        )
    except UsageError:
        return False  # there was no such environment, or its rules could not be read


def _homes(subproject: str) -> list[str]:
    return ["environments/", f"{subproject}/environments/"] if subproject else ["environments/"]


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:length]) for length in range(1, len(parts))]
