"""Tags as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_tasks.core import console
from ci_tasks.core.command_line import typed

if TYPE_CHECKING:
    from ci_tasks.tag.catalogue import TagList

SHOWN_FOREIGN = 10


def tag_table(found: TagList) -> str:
    """The tags as a table, and the foreign ones as a line below it."""
    blocks = []
    if found.tags:
        rows = [
            (
                tag.tag_name,
                tag.tag_type.value.lower(),
                tag.commit_sha[:12],
                f"{tag.created_at:%Y-%m-%d %H:%M}" if tag.created_at else "",
                tag.created_by or "(lightweight: by nobody)",
            )
            for tag in found.tags
        ]
        blocks.append(console.table(("Tag", "Type", "Commit", "Created (UTC)", "By"), rows).rstrip("\n"))
    else:
        blocks.append(f"No tags of ours yet. Create one: {typed('tag.create --version v0.1.0')}")
    if found.foreign:
        more = len(found.foreign) - SHOWN_FOREIGN
        names = ", ".join(found.foreign[:SHOWN_FOREIGN]) + (f" and {more} more" if more > 0 else "")
        blocks.append(f"Foreign tags, left alone: {names}")
    return "\n".join(blocks)
