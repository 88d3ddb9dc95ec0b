"""What a script's first comments declare."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_tasks.script.header import KEYS, Header, parse
from ci_tasks.script.source import code_lines

WHOLE = """\
{m} Description: deploys the {m} service: all of it
{m}
{m} Requires: git, rsync  python3.11
{m} Timeout: 10m
{m} Idempotent: yes
{m} Dry-run: supported
{m} Secrets: db.password, API_TOKEN
"""


@pytest.mark.parametrize("marker", ["#", "//", "--", ";"])
@pytest.mark.parametrize("shebang", ["#!/usr/bin/env thing\n", ""])
def test_a_whole_header_in_any_language(marker: str, shebang: str) -> None:
    header = parse(shebang + WHOLE.format(m=marker) + "code()\n")
    assert header == Header(
        description=f"deploys the {marker} service: all of it",
        requires=("git", "rsync", "python3.11"),
        timeout=600.0,
        idempotent=True,
        dry_run=True,
        secrets=("db.password", "API_TOKEN"),
        marker=marker,
    )


def test_without_a_header_nothing_is_declared() -> None:
    assert parse("#!/bin/sh\necho hello\n") == Header()
    assert parse("") == Header()


def test_a_comment_after_the_first_line_of_code_is_no_header() -> None:
    assert parse("#!/bin/sh\nset -e\n# Description: too late\n# Dry-run: supported\n") == Header()


def test_blank_lines_and_rulers_and_windows_line_ends_do_not_end_the_header() -> None:
    text = "#!/bin/sh\r\n\r\n########\r\n#\r\n\r\n## description:   padded  \r\n"
    assert parse(text).description == "padded"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Timeout: soon", "Timeout: 'soon' is not a duration"),
        ("Timeout: 10", "Timeout: '10' is not a duration"),
        ("Timeout: 0s", "Timeout: must be longer than nothing"),
        ("Timeout:", "Timeout: '' is not a duration"),
        ("Idempotent: maybe", "Idempotent: 'maybe' is none of yes, true, no, false"),
        ("Dry-run: suported", "Dry-run: 'suported' is none of supported, unsupported"),
        ("Dry-run: yes", "Dry-run: 'yes' is none of supported, unsupported"),
        ("Requires: git;rm", "Requires: 'git;rm' is not a name"),
        ("Requires: ../tool", "Requires: '../tool' is not a name"),
        ("Requires: -rf", "Requires: '-rf' is not a name"),
        ("Secrets: $(id)", "Secrets: '$(id)' is not a name"),
        ("Description:", "Description: is empty"),
        ("Description: a\x1b[31mred", "Description: has control characters"),
    ],
)
def test_a_bad_value_is_a_problem_with_its_line_and_no_value(line: str, message: str) -> None:
    header = parse(f"#!/bin/sh\n# a word\n# {line}\n")
    (problem,) = header.problems
    assert problem.line == 3
    assert problem.message.startswith(message)
    assert header == Header(problems=header.problems)


def test_a_field_that_stands_twice_is_a_problem_and_the_first_holds() -> None:
    header = parse("# Timeout: 1m\n# timeout: 9m\n")
    assert header.timeout == 60.0
    assert [(p.line, p.message) for p in header.problems] == [(2, "Timeout: stands here for the second time")]


@pytest.mark.parametrize(
    ("key", "meant"),
    [("Desciption", "Description"), ("Require", "Requires"), ("dryrun", "Dry-run"), ("Time-out", "Timeout")],
)
def test_a_typing_error_in_a_key_is_a_hint(key: str, meant: str) -> None:
    (hint,) = parse(f"# {key}: x\n").hints
    assert hint.line == 1
    assert f"did you mean {meant}:?" in hint.message


@pytest.mark.parametrize("key", ["Usage", "Note", "Copyright", "See", "SPDX-License-Identifier", "Example"])
def test_other_words_with_a_colon_are_prose(key: str) -> None:
    assert parse(f"# {key}: x\n") == Header()


def test_a_name_is_declared_once() -> None:
    assert parse("# Requires: git, git rsync\n").requires == ("git", "rsync")


@given(st.text())
def test_no_text_makes_the_reader_fail(text: str) -> None:
    header = parse(text)
    assert header.timeout is None or header.timeout > 0
    assert header.description.isprintable()


@given(
    key=st.sampled_from(KEYS),
    value=st.text(st.characters(blacklist_categories=["C", "Z"]), max_size=20),
    marker=st.sampled_from(["#", "//", "--", ";"]),
)
def test_a_value_is_read_or_reported_never_both(key: str, value: str, marker: str) -> None:
    header = parse(f"{marker} {key}: {value}\n")
    slot = key.lower().replace("-", "_")
    if header.problems:
        assert getattr(header, slot) == getattr(Header(), slot)
    elif key == "Description":
        assert header.description == value
    assert len(header.problems) <= 1


@pytest.mark.parametrize(
    ("text", "marker", "expected"),
    [
        ("", "#", 0),
        ("#!/bin/sh\n", "#", 0),
        ("#!/usr/bin/env node\n// a\n\nx()\n", "//", 1),
        ("#!/bin/sh\n# a\n\n  # b\ncmd \\\n  --flag\ncase x in\n;;\nesac\n", "#", 5),
        ("a\n   \n\t\nb", "#", 2),
    ],
)
def test_lines_of_code_are_those_without_comments_and_blanks(text: str, marker: str, expected: int) -> None:
    assert code_lines(text, marker) == expected


def test_the_marker_is_the_header_s() -> None:
    text = "#!/usr/bin/env node\n// Description: x\nrun()\n#private\n"
    assert code_lines(text, parse(text).marker) == 2
