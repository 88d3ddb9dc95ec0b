"""Words of plain git that show a tag."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_tasks.tag.grammar import EnvironmentTag

if TYPE_CHECKING:
    from ci_tasks.tag.grammar import Tag


def git_show(tag: Tag | None, what: str) -> str:
    """The part of a line that shows `what`, the object of a tag (None: a foreign one).

    Of an environment tag it shows the lines for people, and not the ledger below them.
    """
    if isinstance(tag, EnvironmentTag):
        return f"git show --no-patch --format= {what} | sed '/^---$/q'"
    return f"git show --no-patch {what}"
