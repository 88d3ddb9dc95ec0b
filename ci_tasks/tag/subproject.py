"""Which subproject a command is about."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from ci_tasks.core.command_line import typed
from ci_tasks.core.errors import RefusedError, UnavailableError, UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ci_tasks.core.checkout import Checkout
    from ci_tasks.tag.grammar import Grammar
    from ci_tasks.tag.store import Listing

DEPTH = 4
"""How many folders deep a subproject is looked for where the settings name none."""

_NEVER = frozenset({"environments", "scripts", "node_modules", "build", "dist", "target", "vendor"})


def known(checkout: Checkout, grammar: Grammar, listing: Listing | None = None) -> tuple[str, ...]:
    """The subprojects: the globs of the settings, else folders with `environments/` or with versions."""
    root = checkout.root
    if checkout.settings.subprojects:
        folders = {
            path.relative_to(root).as_posix()
            for pattern in checkout.settings.subprojects
            for path in root.glob(pattern)
            if path.is_dir()
        }
    else:
        folders = set(_with_environments(root, "", DEPTH))
        folders |= listing.subprojects() - {""} if listing else set()
    return tuple(sorted(folder for folder in folders if grammar.is_subproject(folder)))


def _with_environments(folder: Path, path: str, depth: int) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:  # somebody has removed it since we saw it
        return
    except OSError as error:
        raise UnavailableError(
            f"Can't look for subprojects in {path or '.'}: {error.strerror}.",
            unchanged="Nothing was changed.",
        ) from None
    if path and "environments" in names:
        yield path
    if depth > 0:
        for name in names:
            if name not in _NEVER and not name.startswith("."):
                yield from _with_environments(folder / name, f"{path}/{name}" if path else name, depth - 1)


def choose(given: str | None, *, checkout: Checkout, grammar: Grammar, listing: Listing, line: str) -> str:
    """The subproject that a command means; empty for the root project.

    `--subproject`, else the one whose folder we stand in, else the root project if it has versions.
    Raises UsageError with the list and `line` completed, RefusedError for a folder that is a link.
    """
    if given is not None:
        return _check(grammar.subproject(given), checkout, grammar, listing)
    subprojects = known(checkout, grammar, listing)
    here = _around(checkout, subprojects)
    if here is not None:
        return here
    if not subprojects or listing.versions(""):
        return ""
    raise UsageError(
        "Which subproject? You stand in none, and the root project has no versions.",
        details=[f"There are: {', '.join(subprojects)}."],
        next_step=typed(f"{line} --subproject {subprojects[0]}"),
    )


def _around(checkout: Checkout, subprojects: tuple[str, ...]) -> str | None:
    """The innermost subproject whose folder holds the current one."""
    folder, root = checkout.folder.resolve(), checkout.root.resolve()
    if not folder.is_relative_to(root):
        return None
    here = folder.relative_to(root).as_posix()
    around = [name for name in subprojects if here == name or here.startswith(f"{name}/")]
    return max(around, key=len, default=None)


def _check(name: str, checkout: Checkout, grammar: Grammar, listing: Listing) -> str:
    """A subproject is one that is known, or any real folder; a link out of the tree is neither."""
    folder = checkout.root
    for part in name.split("/") if name else []:
        folder /= part
        try:
            mode = folder.lstat().st_mode
        except OSError:
            break
        if stat.S_ISLNK(mode):
            raise RefusedError(
                f"{name} is not a subproject: {folder.relative_to(checkout.root)} is a symbolic link.",
                unchanged="Nothing was changed.",
            )
        if not stat.S_ISDIR(mode):
            raise UsageError(f"{name} is not a subproject: {folder.relative_to(checkout.root)} is no folder.")
    else:
        if not name or not checkout.settings.subprojects:
            return name
    subprojects = known(checkout, grammar, listing)
    if name in subprojects:
        return name
    close = nearest(name, subprojects)
    raise UsageError(
        f"There is no subproject {name}.{f' Did you mean {close}?' if close else ''}",
        details=[f"There are: {', '.join(subprojects)}."] if subprojects else [],
    )
