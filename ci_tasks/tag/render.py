"""Tags as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_tasks.core import console
from ci_tasks.core.command_line import typed

if TYPE_CHECKING:
    from ci_tasks.tag.catalogue import TagList
    from ci_tasks.tag.names import TagType

SHOWN_FOREIGN = 10


def tag_table(found: TagList, *, subproject: str | None = None, tag_type: TagType | None = None) -> str:
    """The tags as a table, and the foreign ones as a line below it.

    `subproject` and `tag_type` are what was asked for: they are named where there is none.
    """
    blocks = []
    if found.tags:
        rows = [
            (
                tag.tag_name,
                tag.tag_type.value.lower(),
                tag.commit_sha[:12],
                f"{tag.created_at:%Y-%m-%d}" if tag.created_at else "",
                tag.created_by or "nobody: lightweight",
            )
            for tag in found.tags
        ]
        blocks.append(console.table(("Tag", "Type", "Commit", "Created", "By"), rows).rstrip("\n"))
    else:
        blocks.append(_none(subproject, tag_type))
    if found.foreign:
        more = len(found.foreign) - SHOWN_FOREIGN
        names = ", ".join(found.foreign[:SHOWN_FOREIGN]) + (f" and {more} more" if more > 0 else "")
        blocks.append(console.prose(f"Foreign tags, left alone: {names}"))
    return "\n".join(blocks)


def _none(subproject: str | None, tag_type: TagType | None) -> str:
    if subproject is None and tag_type is None:
        return f"No tags of ours yet. Create one: {typed('tag.create --version v0.1.0')}"
    kind = f"{tag_type.value.lower()} tags" if tag_type else "tags"
    if subproject is None:
        return f"No {kind}."
    return f"No {kind} of {subproject or 'the root project'}."
