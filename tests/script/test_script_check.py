"""The rules for scripts, and where they are broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ci_tasks.script.check import check, has_errors
from ci_tasks.script.names import Severity

if TYPE_CHECKING:
    from pathlib import Path

    from tests.script.samples import WriteScript

GOOD = "#!/bin/sh\n# Description: says something\necho hello\n"
PATH = "scripts/build/10-ci-a.sh"


def problems(root: Path, *subprojects: str) -> list[str]:
    report = check(root, [None, *subprojects])
    return [f"{each.path}:{each.line}: {each.message}" for each in report.findings]


def test_good_scripts_in_several_languages_have_no_findings(root: Path, write: WriteScript) -> None:
    write("scripts/build/10-ci-a.sh", GOOD)
    write("scripts/test/00-ci-b.py", "#!/usr/bin/env python3\n# Description: x\nprint('é')\n")
    write("scripts/ci/99-ci-c.js", "#! /usr/bin/env node\n// Description: x\nconsole.log(1)\n")
    write("scripts/hooks/50-ci-d.lua", "#!/usr/bin/lua\n-- Description: x\nprint(1)\n")
    write("scripts/lib/functions.sh", "hello() { echo hello; }\n", mode=0o644)
    report = check(root, [None])
    assert report.checked == 4
    assert report.findings == ()


def test_no_scripts_are_no_findings(root: Path) -> None:
    assert check(root, [None]).checked == 0


@pytest.mark.parametrize(
    ("text", "mode", "expected"),
    [
        pytest.param(GOOD, 0o644, "1: is not executable; type: chmod +x " + PATH, id="F97-not-executable"),
        pytest.param("# Description: x\n", 0o755, "1: has no shebang", id="F97-no-shebang"),
        pytest.param("", 0o755, "1: has no shebang", id="F97-empty"),
        pytest.param(
            GOOD.replace("/bin/", ""), 0o755, "1: has a shebang without an absolute", id="F97-relative"
        ),
        pytest.param(GOOD.replace("/bin/sh", ""), 0o755, "1: has a shebang without", id="F97-nothing-after"),
        pytest.param("\ufeff" + GOOD, 0o755, "1: begins with a byte order mark", id="F97-byte-order-mark"),
        pytest.param(GOOD.replace("\n", "\r\n"), 0o755, "1: has Windows line ends", id="F97-crlf-shebang"),
        pytest.param(GOOD + "echo\r\n", 0o755, "4: has Windows line ends", id="F97-crlf-later"),
        pytest.param(
            "#!/bin/sh\necho\n", 0o755, "1: has no header comment Description:", id="no-description"
        ),
        pytest.param(GOOD + "# Timeout: x\n", 0o755, None, id="a-late-comment-is-no-header"),
        pytest.param(
            "#!/bin/sh\n# Description: x\n# Timeout: x\n", 0o755, "3: Timeout: 'x'", id="header-value"
        ),
    ],
)
def test_each_rule_names_file_and_line(
    root: Path, write: WriteScript, text: str, mode: int, expected: str | None
) -> None:
    write(PATH, text, mode=mode)
    found = problems(root)
    if expected is None:
        assert found == []
    else:
        assert [line for line in found if line.startswith(f"{PATH}:{expected}")]
        assert has_errors(check(root, [None]).findings)


def test_bytes_that_are_not_utf_8_are_found_with_their_line(root: Path, write: WriteScript) -> None:
    write(PATH).write_bytes(GOOD.encode() + b"# \xe9\n")
    assert problems(root) == [f"{PATH}:4: is not UTF-8"]


@pytest.mark.parametrize(("lines", "is_allowed"), [(49, True), (50, False)])
def test_fewer_than_fifty_lines_of_code_are_allowed(
    root: Path,
    write: WriteScript,
    lines: int,
    is_allowed: bool,  # noqa: FBT001 - a table's column
) -> None:
    head = "#!/bin/sh\n# Description: x\n\n# a comment\n\n"
    write(PATH, head + "echo\n" * lines)
    expected = f"{PATH}:1: has 50 lines without comments and blanks; fewer than 50 are allowed"
    assert problems(root) == ([] if is_allowed else [expected])


def test_everything_wrong_is_listed_at_once_by_path_and_line(root: Path, write: WriteScript) -> None:
    write("scripts/test/10-ci-b.sh", "x\n# Timeout: y\n", mode=0o644)
    write("scripts/build/deploy.sh", GOOD)
    write("api/scripts/build/10-ci-a.sh", GOOD, mode=0o644)
    found = problems(root, "api")
    assert [line.split(";")[0].split(" (")[0] for line in found] == [
        "api/scripts/build/10-ci-a.sh:1: is not executable",
        "scripts/build/deploy.sh:1: looks like a script, but its name is not NN-ci-<name>.<ext>",
        "scripts/test/10-ci-b.sh:1: has no header comment Description:",
        "scripts/test/10-ci-b.sh:1: has no shebang: its first line must name the interpreter",
        "scripts/test/10-ci-b.sh:1: is not executable",
    ]
    assert len(problems(root)) == 4


def test_f98_one_number_twice_is_a_warning_only(root: Path, write: WriteScript) -> None:
    write("scripts/build/10-ci-a.sh", GOOD)
    write("scripts/build/10-ci-b.sh", GOOD)
    report = check(root, [None])
    (finding,) = report.findings
    assert finding.severity is Severity.WARNING
    assert finding.path == "scripts/build/10-ci-b.sh"
    assert "the same number as 10-ci-a.sh" in finding.message
    assert not has_errors(report.findings)


def test_a_typing_error_in_a_header_field_is_a_warning(root: Path, write: WriteScript) -> None:
    write(PATH, "#!/bin/sh\n# Description: x\n# Time-out: 5m\n")
    assert problems(root) == [f"{PATH}:3: Time-out: is not read; did you mean Timeout:?"]
    assert not has_errors(check(root, [None]).findings)


def test_a_name_that_a_category_s_variable_has_too_is_a_warning(root: Path, write: WriteScript) -> None:
    write("scripts/test/10-ci-test-build.sh", GOOD)
    (line,) = problems(root)
    assert "CI_TEST_BUILD_BEHAVIOR means this script and a whole category" in line


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("scripts/10-ci-a.sh", "scripts/10-ci-a.sh:1: is in no category"),
        (
            "scripts/deploymnt/10-ci-a.sh",
            "scripts/deploymnt:1: holds scripts but is no category; did you mean depl",
        ),
        (
            "scripts/Build/10-ci-a.sh",
            "scripts/Build:1: holds scripts but is no category; did you mean build?",
        ),
        ("scripts/zzz/10-ci-a.sh", "scripts/zzz:1: holds scripts but is no category; categories are setup,"),
    ],
)
def test_scripts_that_would_never_be_found_are_found(
    root: Path, write: WriteScript, path: str, expected: str
) -> None:
    write(path, GOOD)
    (line,) = problems(root)
    assert line.startswith(expected)
    assert has_errors(check(root, [None]).findings)
