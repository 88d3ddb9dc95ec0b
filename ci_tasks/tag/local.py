"""The checkout's own tags: never believed, but a reader should know where they tell another story."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_tasks.core.errors import UsageError
from ci_tasks.tag.grammar import ref_of

if TYPE_CHECKING:
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.core.git.origin import RemoteRef
    from ci_tasks.tag.grammar import Tag


def stale_note(checkout: Checkout, tag: Tag, ref: RemoteRef) -> str | None:
    """A sentence where the local tag of this name leads to another commit than the remote's; else None."""
    if checkout.origin.is_self:
        return None
    try:
        here = checkout.repository.resolve_commit(ref_of(tag))
    except UsageError:  # there is none here, which is as good
        return None
    there = ref.peeled or ref.object_id
    if here == there:
        return None
    return (
        f"The tag {tag} in this clone is on {here[:12]}, the remote's is on {there[:12]}:"
        " the remote's counts, and yours stays as it is."
    )
