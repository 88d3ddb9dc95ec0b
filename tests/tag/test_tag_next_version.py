"""The version after the last one: always greater, never taken, always a name that the grammar reads."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_tasks.core.errors import UsageError
from ci_tasks.tag.grammar import Grammar, Version, VersionTag, parse_version
from ci_tasks.tag.version.next_version import (
    Bump,
    before_one,
    checked_label,
    heaviest,
    newest_of_label,
    next_of_label,
    next_release,
)

GRAMMAR = Grammar(("production", "staging"))
NUMBERS = st.integers(min_value=0, max_value=10**6)
RELEASES = st.builds(
    lambda *numbers: Version(major=numbers[0], minor=numbers[1], patch=numbers[2]), *[NUMBERS] * 3
)
LABELS = st.from_regex(r"[a-z][a-z0-9-]{0,12}", fullmatch=True).filter(
    lambda label: not label.endswith(("stable", "deprecated"))
)
PARTS = st.sampled_from(["alpha", "beta", "beta-2", "rc", "1", "7", "20", "0", "x"])
PRE = st.lists(PARTS, min_size=1, max_size=3).map(".".join)
VERSIONS = st.builds(lambda release, pre: replace(release, pre=pre), RELEASES, st.none() | PRE)


def _reads(version: Version) -> bool:
    tag = VersionTag(subproject="services/auth", version=version)
    return GRAMMAR.parse(str(tag)) == tag


@given(RELEASES, st.sampled_from(Bump))
def test_the_next_release_is_greater_and_parses(last: Version, bump: Bump) -> None:
    found = next_release(last, bump)
    assert found.precedence > last.precedence
    assert found.is_release
    assert _reads(found)


@given(RELEASES, st.sampled_from(Bump), LABELS, st.lists(VERSIONS, max_size=6), st.data())
def test_the_next_of_a_label_is_greater_and_not_taken(
    last: Version, bump: Bump, label: str, others: list[Version], data: st.DataObject
) -> None:
    base = next_release(last, bump)
    numbers = data.draw(st.lists(st.integers(min_value=1, max_value=10**6), max_size=4))
    existing = [*others, *(replace(base, pre=f"{label}.{number}") for number in numbers)]
    found = next_of_label(base, label, existing)
    assert found not in existing
    assert last.precedence < found.precedence < base.precedence
    assert _reads(found)
    newest = newest_of_label(base, label, existing)
    assert (newest is None) == (str(found) == f"{base}-{label}.1")
    assert newest is None or newest.precedence < found.precedence


@pytest.mark.parametrize(
    ("last", "bump", "wanted"),
    [
        ("v1.2.3", Bump.MAJOR, "v2.0.0"),
        ("v1.2.3", Bump.MINOR, "v1.3.0"),
        ("v1.2.3", Bump.PATCH, "v1.2.4"),
        ("v0.2.3", Bump.MAJOR, "v1.0.0"),
        ("v1.9.9", Bump.PATCH, "v1.9.10"),
    ],
)
def test_what_a_bump_does(last: str, bump: Bump, wanted: str) -> None:
    assert str(next_release(parse_version(last), bump)) == wanted


@pytest.mark.parametrize("bump", list(Bump))
def test_the_first_release(bump: Bump) -> None:
    assert str(next_release(None, bump)) == "v0.1.0"
    assert str(next_release(None, bump, begun=parse_version("v0.1.0-beta.4"))) == "v0.1.0"
    assert str(next_release(None, bump, begun=parse_version("v1.0.0-rc.1"))) == "v1.0.0"


def test_what_commits_mean_before_one() -> None:
    last = parse_version("v0.4.0")
    assert [before_one(bump, last) for bump in Bump] == [Bump.PATCH, Bump.MINOR, Bump.MINOR]
    assert before_one(Bump.MAJOR, parse_version("v1.0.0")) is Bump.MAJOR


def test_the_heaviest_decides() -> None:
    assert heaviest([Bump.PATCH, None, Bump.MAJOR, Bump.MINOR]) is Bump.MAJOR
    assert heaviest([None, Bump.PATCH]) is Bump.PATCH
    assert heaviest([None]) is None


def test_only_numbers_of_the_same_label_and_base_count() -> None:
    existing = [
        parse_version(text)
        for text in (
            "v1.3.0-beta.2",
            "v1.3.0-beta.10",
            "v1.3.0-beta",
            "v1.3.0-beta.x",
            "v1.3.0-beta.11.1",
            "v1.3.0-rc.40",
            "v1.4.0-beta.50",
            "v1.3.0-beta-2.60",
        )
    ]
    assert str(next_of_label(parse_version("v1.3.0"), "beta", existing)) == "v1.3.0-beta.11"


@pytest.mark.parametrize("last", ["v0.0.999999999", "v0.999999999.0"])
def test_f13_a_number_that_is_full_is_no_new_version(last: str) -> None:
    bump = Bump.PATCH if last.endswith("9") and last.startswith("v0.0") else Bump.MINOR
    with pytest.raises(UsageError, match="is not a version"):
        next_release(parse_version(last), bump)


@pytest.mark.parametrize("label", ["beta", "rc", "x-1", "a" * 40])
def test_a_label(label: str) -> None:
    assert checked_label(label) == label


@pytest.mark.parametrize(
    "label",
    [
        *("", "Beta", "1beta", "beta.1", "-beta", "be ta", "beta\n", "a" * 41, "ß", "$(id)"),
        *("stable", "unstable", "deprecated", "x-stable"),
    ],
)
def test_f13_no_label(label: str) -> None:
    with pytest.raises(UsageError, match="is not the label of a pre-release"):
        checked_label(label)
