"""How `tag.show` is laid out on a terminal."""

from __future__ import annotations

import io
import sys
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from ci_tasks.tag.show.model import ShownKind, ShownSignature, ShownTag
from ci_tasks.tag.show.text import shown_text

if TYPE_CHECKING:
    import pytest

LINE = "git fetch --no-tags /srv/git/remote.git refs/tags/api/canary && git show FETCH_HEAD"
SHOWN = ShownTag(
    tag_id="2" * 40,
    tag_name="api/canary",
    kind=ShownKind.ENVIRONMENT,
    subproject="api",
    commit_sha="1" * 40,
    created_at=datetime(2026, 1, 1, 12, tzinfo=timezone.utc),
    created_by="A",
    is_movable=True,
    is_protected=False,
    object_type="tag",
    target_type="commit",
    message=None,
    signature=ShownSignature(status="GOOD", signer="somebody@example.org", key=f"SHA256:{'x' * 30}"),
    problem=None,
    foreign_because=None,
    local_note="Your clone has another tag of that name, which says nothing.",
    git_line=LINE,
)


class Terminal(io.StringIO):
    """A stream that somebody looks at."""

    def isatty(self) -> bool:
        """Yes."""
        return True


def test_what_is_longer_than_the_window_stays_in_its_column(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = shown_text(SHOWN)
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "56")
    monkeypatch.setenv("TERM", "xterm")
    lines = shown_text(SHOWN).splitlines()
    assert lines[:2] == ["api/canary is an environment tag: it says what runs", "  there."]
    assert lines[2:] == [
        "",
        f"Commit      {'1' * 40}",
        f"Tag object  {'2' * 40}",
        "Created     2026-01-01 12:00 UTC by A",
        "Verified    it is annotated, named inside like its ref,",
        "            and on a commit",
        "Signature   good by somebody@example.org (key",
        f"            SHA256:{'x' * 30})",
        "",
        "note: Your clone has another tag of that name, which",
        "  says nothing.",
        "To see it with git:",
        f"  {LINE}",
    ]
    assert " ".join(plain.split()) == " ".join(" ".join(lines).split())
    assert plain.endswith(f"\nTo see it with git: {LINE}")
