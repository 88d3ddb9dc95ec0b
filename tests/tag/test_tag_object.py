"""Tag objects: what we write is accepted by git, what we read is what git wrote."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from dulwich.objects import Tag as DulwichTag
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ci_tasks.tag import tag_object
from tests.repositories import git
from tests.tag.remotes import tag_content

if TYPE_CHECKING:
    from tests.repositories import Monorepo

NOON = datetime(2026, 1, 5, 12, 0, 0, tzinfo=timezone.utc)
COMMIT = "1" * 40
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
odd_names = st.one_of(
    texts,
    st.sampled_from(["", ".", "<>", "a\nb", "José <x>", "..,", "O'Neil", "🚀", " x ", "a\x00b", "\x1b"]),
)


def _build(commit: str = COMMIT, name: str = "Test Person", at: datetime = NOON, message: str = "m") -> bytes:
    return tag_object.build(
        commit=commit, name="api/v1.0.0", tagger_name=name, tagger_email="a@b", at=at, message=message
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=odd_names, email=odd_names, message=texts)
def test_git_accepts_every_identity_and_message(
    monorepo: Monorepo, name: str, email: str, message: str
) -> None:
    commit = monorepo.git("rev-parse", "HEAD")
    data = tag_object.build(
        commit=commit, name="api/v1.0.0", tagger_name=name, tagger_email=email, at=NOON, message=message
    )
    object_id = git("mktag", cwd=monorepo.clone, stdin=data.decode())
    read = tag_object.read(data)
    assert read is not None
    assert (read.target, read.kind, read.name, read.tagged_at) == (commit, "commit", "api/v1.0.0", NOON)
    assert read.message == message.rstrip("\n") + "\n"
    assert read.tagger_name
    assert read.tagger_email
    dulwich = DulwichTag.from_string(data)
    assert dulwich.id.decode() == object_id
    assert dulwich.object[1].decode() == commit


@pytest.mark.parametrize(
    ("at", "seconds"),
    [
        pytest.param(datetime(1965, 5, 5, tzinfo=timezone.utc), 0, id="F63-before-1970"),
        pytest.param(datetime(1970, 1, 1, tzinfo=timezone.utc), 0, id="F63-1970"),
        pytest.param(datetime(2300, 1, 1, tzinfo=timezone.utc), 10_413_792_000, id="F63-far-future"),
        pytest.param(datetime(2026, 1, 5, 14, tzinfo=timezone(timedelta(hours=2))), 1_767_614_400, id="zone"),
    ],
)
def test_git_accepts_every_date(monorepo: Monorepo, at: datetime, seconds: int) -> None:
    data = _build(monorepo.git("rev-parse", "HEAD"), at=at)
    git("mktag", cwd=monorepo.clone, stdin=data.decode())
    assert f"> {seconds} +0000\n".encode() in data


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        pytest.param("-86400", datetime(1969, 12, 31, tzinfo=timezone.utc), id="F63-before-1970"),
        pytest.param("0", datetime(1970, 1, 1, tzinfo=timezone.utc), id="F63-1970"),
        pytest.param("99999999999", datetime(5138, 11, 16, 9, 46, 39, tzinfo=timezone.utc), id="F63-5138"),
        pytest.param("999999999999999", None, id="F63-beyond-all-calendars"),
        pytest.param("-99999999999999", None, id="F63-before-all-calendars"),
        pytest.param("9" * 40, None, id="F63-forty-digits"),
        pytest.param("soon", None, id="F63-no-number"),
    ],
)
def test_dates_are_read_or_left_out(seconds: str, expected: datetime | None) -> None:
    content = tag_content(COMMIT, "v1.0.0", tagger=f"A <a@b> {seconds} +0000")
    read = tag_object.read(content)
    assert read is not None
    assert read.tagged_at == expected


def test_what_git_itself_writes_is_read(monorepo: Monorepo) -> None:
    monorepo.git("tag", "-a", "-m", "First\n\nand more", "v1.0.0")
    data = monorepo.git("cat-file", "tag", "v1.0.0").encode() + b"\n"
    read = tag_object.read(data)
    assert read is not None
    assert (read.name, read.kind, read.target) == ("v1.0.0", "commit", monorepo.git("rev-parse", "HEAD"))
    assert (read.tagger_name, read.tagger_email) == ("Test Person", "test@example.invalid")
    assert read.message == "First\n\nand more\n"
    assert read.tagged_at is not None


def test_old_tags_without_a_tagger_or_a_message_are_read() -> None:
    head = f"object {COMMIT}\ntype commit\ntag v1.0.0"
    for ending in ("", "\n", "\n\n"):
        read = tag_object.read((head + ending).encode())
        assert read is not None
        assert (read.name, read.message, read.tagger_name, read.tagged_at) == ("v1.0.0", "", None, None)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="F52-empty"),
        pytest.param(b"\n\n", id="F52-blank"),
        pytest.param(b"tree " + b"1" * 40 + b"\nauthor x\n\nmessage\n", id="F52-a-commit"),
        pytest.param(b"object 123\ntype commit\ntag v1.0.0\n\nx\n", id="F52-short-id"),
        pytest.param(f"type commit\nobject {COMMIT}\ntag v1.0.0\n\nx\n".encode(), id="F52-wrong-order"),
        pytest.param(f"object {COMMIT}\ntype commit\n\ntag v1.0.0\n".encode(), id="F52-name-in-the-message"),
        pytest.param(f"object {COMMIT}\n\ntype commit\n".encode(), id="F52-no-type"),
        pytest.param(b"\xff\xfe", id="F52-binary"),
    ],
)
def test_what_is_no_tag_is_none(data: bytes) -> None:
    assert tag_object.read(data) is None


def test_the_first_of_two_names_counts_as_in_git() -> None:
    data = tag_content(COMMIT, "v6.6.6").replace(b"\ntagger", b"\ntag v1.0.0\ntagger")
    read = tag_object.read(data)
    assert read is not None
    assert read.name == "v6.6.6"


def test_bytes_that_are_not_utf_8_are_replaced() -> None:
    data = tag_content(COMMIT, "v1.0.0", tagger="J\u00f6rg <a@b> 0 +0000").replace(b"\xc3\xb6", b"\xf6")
    read = tag_object.read(data)
    assert read is not None
    assert read.tagger_name == "J\ufffdrg"
