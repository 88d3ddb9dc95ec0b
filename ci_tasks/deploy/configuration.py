"""Configuration for a deployment: rules from the pipeline checkout, values from the version's own commit."""

from __future__ import annotations

import hashlib
import os
from shlex import quote
from typing import TYPE_CHECKING, TypeVar

import msgspec

from ci_tasks.core.errors import RefusedError, UsageError
from ci_tasks.core.git.objects import ObjectDatabase
from ci_tasks.environment.configuration import parse_layers
from ci_tasks.environment.model import Freeze, Requirement, Rules
from ci_tasks.environment.names import Verify
from ci_tasks.environment.tree import gather

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ci_tasks.core.checkout import Checkout
    from ci_tasks.core.git.objects import RawObject, TreeEntry
    from ci_tasks.environment.configuration import Layers
    from ci_tasks.tag.grammar import EnvironmentTag

Entry = TypeVar("Entry", bound=Requirement | Freeze)

ENVIRONMENTS = "environments/"
"""The folder of configuration, of the root project and of each subproject."""

LINK = "120000"
"""The mode that git gives a symbolic link in a tree."""


def of_checkout(checkout: Checkout, files: Mapping[str, bytes]) -> Layers:
    """The layers of files that `files_of_checkout` gave."""
    return parse_layers(files, environments=checkout.settings.environments)


def files_of_checkout(checkout: Checkout, subproject: str) -> dict[str, bytes]:
    """The configuration files as they stand on disk, uncommitted changes included."""
    return gather(checkout.root, (subproject,))


def uncommitted(
    checkout: Checkout,
    subproject: str,
    head: str | None,
    used: Mapping[str, bytes],
    *,
    others: Sequence[str] = (),
) -> tuple[str, ...]:
    """Which of the files that are used differ from their committed bytes, or would be used if they were here.

    `others` are files outside of the folders that are looked at anyway. `git status` alone does not tell: it
    leaves out what is ignored, sparse, or marked as assumed unchanged.
    """
    homes = dict.fromkeys(("", f"{subproject}/" if subproject else ""))
    committed: dict[str, str] = {}
    if head is not None:
        database = ObjectDatabase(checkout.repository.git_dir, at=checkout.root)
        folders = [f"{home}{folder}" for home in homes for folder in ("environments", "scripts/deployment")]
        committed = {entry.path: entry.object_id for entry in database.files(head, [*folders, *others])}
    name = checkout.repository.object_format
    changed = [path for path, data in used.items() if committed.get(path) != blob_id(data, name)]
    # A sparse checkout, or a file that git was told to assume unchanged, takes rules and scripts away unseen.
    missing = [path for path in committed if not os.path.lexists(checkout.root / path)]
    return (*changed, *missing)


def blob_id(data: bytes, object_format: str) -> str:
    """The id that git gives a file's content (gitformat-loose: `blob <size> NUL <content>`)."""
    return hashlib.new(object_format, b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def of_commit(
    checkout: Checkout,
    subproject: str,
    files: Sequence[TreeEntry],
    read: Callable[[Sequence[str]], Iterator[RawObject]],
    *,
    environments: Sequence[str] = (),
) -> Layers:
    """The layers of a commit: its files, and how to read their objects. Folders count by what they hold.

    `environments` are those that there can be, the ones of the settings if none are given.
    """
    below = [entry for entry in files if entry.path.startswith(tuple(_homes(subproject)))]
    contents = {f"{parent}/": b"" for entry in below for parent in _parents(entry.path)}
    wanted = [entry for entry in below if entry.path.rpartition("/")[2].startswith("config.")]
    links = [entry.path for entry in wanted if entry.mode == LINK]
    if links:
        raise RefusedError(
            f"{links[0]} is committed as a symbolic link: configuration must be a file.",
            unchanged="Nothing was changed.",
        )
    for entry, blob in zip(wanted, read([entry.object_id for entry in wanted]), strict=True):
        contents[entry.path] = blob.data
    return parse_layers(contents, environments=environments or checkout.settings.environments)


def committed(checkout: Checkout, subproject: str, head: str | None) -> Layers | None:
    """The layers as they are committed here; None before the first commit.

    Every folder that is committed counts as an environment: a variable, or an uncommitted setting, that does
    not name it any more must not make its rules unreadable.
    """
    if head is None:
        return None
    database = ObjectDatabase(checkout.repository.git_dir, at=checkout.root)
    files = database.files(head, [home.rstrip("/") for home in _homes(subproject)])
    below = [entry.path.partition(ENVIRONMENTS)[2].split("/") for entry in files]
    there = [parts[0] for parts in below if len(parts) > 1 and not parts[0].startswith(".")]
    known = tuple(dict.fromkeys((*checkout.settings.environments, *there)))
    return of_commit(checkout, subproject, files, database.read, environments=known)


def committed_rules(layers: Layers | None, tag: EnvironmentTag) -> Rules:
    """The environment's rules in what is committed; none where it was not there.

    Raises RefusedError where they can't be read: that they are mended here does not say what they were.
    """
    if layers is None or tag.environment not in layers.existing(tag.subproject):
        return Rules()
    try:
        return layers.rules(tag.environment, tag.subproject)
    except UsageError as error:
        raise RefusedError(
            f"The rules of {tag.environment} can't be read as they are committed: {error.what}",
            unchanged="Nothing was changed and no script was run.",
            details=["Uncommitted changes take no rule away: commit what mends it."],
            next_step=f"git add {' '.join(quote(home) for home in _homes(tag.subproject))} && git commit",
        ) from None


def guarded(rules: Rules, committed: Rules) -> Rules:
    """The rules as they stand on disk, but for the guards that an uncommitted edit takes away.

    Regions are a guard, too: a canary goes ahead of all that are there.
    """
    kept = [key for key in ("protected", "branches", "verify") if key in committed.sources]
    return msgspec.structs.replace(
        rules,
        protected=rules.protected or committed.protected,
        branches=committed.branches or rules.branches,
        verify=rules.verify if committed.verify is Verify.NONE else committed.verify,
        requires=_joined(committed.requires, rules.requires),
        freeze=_joined(committed.freeze, rules.freeze),
        regions=tuple(dict.fromkeys((*committed.regions, *rules.regions))),
        sources={**rules.sources, **{key: committed.sources[key] for key in kept}},
    )


def _joined(committed: tuple[Entry, ...], here: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """All that are committed, and those that an edit adds; two that say the same are one."""
    said = [msgspec.structs.replace(entry, source=None) for entry in committed]
    added = [entry for entry in here if msgspec.structs.replace(entry, source=None) not in said]
    return (*committed, *added)


def _homes(subproject: str) -> list[str]:
    return [ENVIRONMENTS, f"{subproject}/{ENVIRONMENTS}"] if subproject else [ENVIRONMENTS]


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:length]) for length in range(1, len(parts))]
