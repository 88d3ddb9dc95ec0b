"""Whether a tag is what it should be: annotated, named like its ref, on a commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_tasks.tag import tag_object

if TYPE_CHECKING:
    from ci_tasks.core.git.origin import RawObject, RemoteRef


def fault(name: str, ref: RemoteRef, obj: RawObject | None) -> str | None:
    """Why a tag can't be trusted, as a clause; None where nothing is wrong.

    `obj` is what the ref points to; None where it was not read, because no tag object is that large.
    """
    content = tag_object.read(obj.data) if obj and ref.peeled else None
    if ref.peeled is None:
        reason = "it is a lightweight tag: it does not say who made it, or when"
    elif obj is None:
        reason = "its object is too large for a tag"
    elif content is None:
        reason = "its object can't be read"
    elif content.name != name:
        reason = f"its object calls itself {content.name!r}"
    elif content.kind != "commit":
        reason = f"it points to a {content.kind}, not to a commit"
    elif content.target != ref.peeled:
        reason = "it leads to another object than the remote says"
    else:
        return None
    return reason
