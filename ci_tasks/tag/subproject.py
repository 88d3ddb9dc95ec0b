"""Which subproject a command is about."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from ci_tasks.core.command_line import typed
from ci_tasks.core.errors import RefusedError, UsageError, nearest
from ci_tasks.core.subprojects import standing_in, subprojects

if TYPE_CHECKING:
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.tag.grammar import Grammar
    from ci_tasks.tag.listing import Listing


def known(checkout: Checkout, grammar: Grammar, listing: Listing | None = None) -> tuple[str, ...]:
    """The subprojects: what the settings name, else folders with `environments/` and those with versions."""
    found = set(subprojects(checkout.root, checkout.settings.subprojects))
    if listing is not None and not checkout.settings.subprojects:
        found |= listing.subprojects() - {""}
    return tuple(sorted(name for name in found if grammar.is_subproject(name)))


def choose(
    given: str | None,
    *,
    checkout: Checkout,
    grammar: Grammar,
    listing: Listing,
    line: str,
    is_new: bool = False,
) -> str:
    """The subproject that a command means; empty for the root project.

    `--subproject`, else the one whose folder we stand in, else the root project if it has versions.
    `is_new`: what the command makes is the first of it, so that versions of a removed one don't count.
    Raises UsageError with the list and `line` completed, RefusedError for a folder that is a link.
    """
    if given is not None:
        return checked(given, checkout=checkout, grammar=grammar, listing=listing, is_new=is_new)
    among = known(checkout, grammar, listing)
    here = standing_in(checkout.folder, checkout.root, among)
    if here is not None:
        return here
    if not among or listing.versions(""):
        return ""
    raise UsageError(
        "Which subproject? You stand in none, and the root project has no versions.",
        details=[f"There are: {', '.join(among)}.", "The root project is named by: --subproject ."],
        next_step=typed(f"{line} --subproject {among[0]}"),
    )


def checked(
    given: str, *, checkout: Checkout, grammar: Grammar, listing: Listing, is_new: bool = False
) -> str:
    """A subproject is one that is known, or any real folder; a link out of the tree is neither.

    Known are also, unless the command makes something new (`is_new`), those that were removed or renamed and
    have versions: these can still be marked, assigned and told of.
    """
    name = grammar.subproject(given)
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
    among = known(checkout, grammar, listing)
    if name in among or (not is_new and name in listing.subprojects()):
        return name
    close = nearest(name, among)
    raise UsageError(
        f"There is no subproject {name}.{f' Did you mean {close}?' if close else ''}",
        details=[f"There are: {', '.join(among)}."] if among else [],
    )
