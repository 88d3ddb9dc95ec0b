"""What `tag.list` shows, above all where there is nothing."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from ci_tasks.tag.catalogue import TagList
from ci_tasks.tag.model import GitTag
from ci_tasks.tag.names import TagType
from ci_tasks.tag.render import tag_table

NONE = TagList(tags=[], foreign=[])


def tag(name: str, *, by: str | None) -> GitTag:
    return GitTag(
        tag_id="1" * 40,
        tag_name=name,
        tag_type=TagType.VERSION,
        subproject=None,
        commit_sha="2" * 40,
        created_at=datetime(2026, 1, 5, 12, 30, tzinfo=timezone.utc) if by else None,
        created_by=by,
        is_movable=False,
        is_protected=True,
    )


@pytest.mark.parametrize(
    ("subproject", "tag_type", "text"),
    [
        (None, None, "No tags of ours yet. Create one: inv tag.create --version v0.1.0"),
        (None, TagType.STATE, "No state tags."),
        ("api", None, "No tags of api."),
        ("", None, "No tags of the root project."),
        ("api", TagType.VERSION, "No version tags of api."),
    ],
)
def test_what_is_missing_is_named(subproject: str | None, tag_type: TagType | None, text: str) -> None:
    assert tag_table(NONE, subproject=subproject, tag_type=tag_type) == text


def test_foreign_tags_are_named_below() -> None:
    many = TagList(tags=[], foreign=[f"x{number}" for number in range(12)])
    first, second = tag_table(many, tag_type=TagType.STATE).splitlines()
    assert first == "No state tags."
    assert second == "Foreign tags, left alone: x0, x1, x2, x3, x4, x5, x6, x7, x8, x9 and 2 more"


def test_a_row_has_the_day_and_the_person() -> None:
    text = tag_table(TagList(tags=[tag("v1.1.0", by="Test Person"), tag("v1.0.0", by=None)], foreign=[]))
    assert text.splitlines() == [
        "Tag     Type     Commit        Created     By",
        "v1.1.0  version  222222222222  2026-01-05  Test Person",
        "v1.0.0  version  222222222222              nobody: lightweight",
    ]
