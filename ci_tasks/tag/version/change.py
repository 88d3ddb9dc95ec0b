"""A commit as a change to a subproject, and what it releases."""

from __future__ import annotations

import re

from ci_tasks.core.control_characters import without_controls
from ci_tasks.core.entity import Entity
from ci_tasks.tag.version.change_types import RELEASES
from ci_tasks.tag.version.next_version import Bump

LONGEST = 300
"""Characters of a description; a commit may say as much as it likes."""

_BREAKING = re.compile(r"^BREAKING[ -]CHANGE: *(?P<text>.*)$", re.MULTILINE)
_REVERT = re.compile(r'(?:Revert|Reapply) ".+"')
# What hides or reorders text where it is shown (Unicode TR 36), left over by `without_controls`.
_UNSEEN = re.compile("[\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]")


class Change(Entity, frozen=True, kw_only=True):
    """One commit. `type` is null where it is not written as a Conventional Commit.

    `releases` is what it alone would release, null for nothing. All text is one line, 300 characters at
    most, without control characters.
    """

    commit_sha: str
    type: str | None
    scope: str | None
    description: str
    breaking: bool
    breaking_description: str | None
    releases: Bump | None


def change(
    commit: str, message: str, *, kind: str | None, scope: str | None, description: str, breaking: str | None
) -> Change:
    """A change from what the message was read as; `kind` is None where it is no Conventional Commit.

    `breaking` is the text of what breaks, empty where the header alone says so. A line `BREAKING CHANGE: …`
    below the header counts wherever it stands: one that is missed breaks somebody's build.
    """
    if kind is None and _REVERT.fullmatch(message.partition("\n")[0]):
        kind = "revert"  # what `git revert` writes by itself
    said = _BREAKING.search(message.partition("\n")[2]) if kind is not None else None
    if said and not breaking:
        breaking = said["text"]
    kind = kind.lower() if kind is not None else None
    return Change(
        commit_sha=commit,
        type=_line(kind) if kind else None,
        scope=_line(scope or "") or None,
        description=_line(description) or "(no message)",
        breaking=breaking is not None,
        breaking_description=_line(breaking or "") or None,
        releases=Bump.MAJOR if breaking is not None else RELEASES.get(kind or ""),
    )


def _line(text: str) -> str:
    shown = _UNSEEN.sub("", " ".join(without_controls(text[: 8 * LONGEST]).split()))
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"
