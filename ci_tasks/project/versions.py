"""The newest version of each subproject."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_tasks.tag.grammar import VersionTag

if TYPE_CHECKING:
    from collections.abc import Callable

    from ci_tasks.tag.listing import Listing


def newest_of_each(listing: Listing, counts: Callable[[VersionTag], bool]) -> dict[str, VersionTag]:
    """Subproject -> its newest version of those that count, where there is one.

    The tags are gone through once: once for each subproject would take seconds for 300 of them.
    """
    found: dict[str, VersionTag] = {}
    for tag, _ in listing.tags():
        if isinstance(tag, VersionTag) and counts(tag):
            best = found.get(tag.subproject)
            if best is None or tag.version.precedence > best.version.precedence:
                found[tag.subproject] = tag
    return found
