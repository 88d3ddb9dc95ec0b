"""A tag that is not on the remote: which ones look like it."""

from __future__ import annotations

import difflib
from shlex import quote
from typing import TYPE_CHECKING

from ci_tasks.core.command_line import typed
from ci_tasks.core.errors import RefusedError, UsageError
from ci_tasks.tag.grammar import MAX_LENGTH, ref_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ci_tasks.core.checkout import Checkout
    from ci_tasks.tag.listing import Listing

_COMPARED = 2000
"""Names that are compared letter by letter: more of them would take seconds."""
_SHOWN = 3


def missing_tag(checkout: Checkout, listing: Listing, name: str) -> RefusedError:
    """The error for a tag that the remote does not have, with the names that look most like it."""
    close = nearest_names(name, listing.refs)
    hint = f" Did you mean {', '.join(close[:-1])}{' or ' if close[:-1] else ''}{close[-1]}?" if close else ""
    line = "tag.list"
    if close:
        line = f"tag.show {quote(ref_of(close[0]) if close[0].startswith('-') else close[0])}"
    return RefusedError(
        f"There is no tag {_shown(name)} on the remote.{hint}",
        unchanged="Nothing was changed.",
        details=["This clone has one: it was never pushed, or it was deleted there."]
        if _is_here(checkout, listing, name)
        else [],
        next_step=typed(line),
    )


def nearest_names(name: str, names: Iterable[str]) -> list[str]:
    """The names that look most like a given one, the best first, at most three."""
    given = name[:MAX_LENGTH].lower()
    start = given[: given.rfind("/") + 3]  # of many tags, those of the subproject that begin alike
    folded = {other.lower(): other for other in names}
    if len(folded) > _COMPARED:
        folded = {key: other for key, other in folded.items() if key.startswith(start)}
    likely = sorted(folded, key=lambda key: abs(len(key) - len(given)))[:_COMPARED]
    return [folded[key] for key in difflib.get_close_matches(given, likely, n=_SHOWN, cutoff=0.7)]


def _shown(name: str) -> str:
    text = name if len(name) <= MAX_LENGTH else f"{name[:MAX_LENGTH]}…"
    return text if text.isprintable() else repr(text)


def _is_here(checkout: Checkout, listing: Listing, name: str) -> bool:
    """True where the clone has such a tag, of a name that is one of ours and so no revision of git's."""
    if checkout.origin.is_self or listing.grammar.read(name) is None:
        return False
    try:
        checkout.repository.resolve_commit(ref_of(name))
    except UsageError:
        return False
    return True
