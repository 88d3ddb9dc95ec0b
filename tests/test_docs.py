"""The tables of the documents say what the code says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from ci_tasks.core.errors import ExitCode
from ci_tasks.core.settings import PREFIX, Settings, load
from ci_tasks.environment.names import ConfigType
from ci_tasks.environment.rules import RESERVED, problems_of
from tests.conftest import ROOT, Inv
from tests.repositories import write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repositories import Monorepo

PRINTING = """\
#!/bin/sh
# Description: prints the names of its variables
env | sed -n 's/^\\(DEPLOYMENT_[A-Z_]*\\)=.*/<\\1>/p'
"""


def table(document: str, first: str) -> list[list[str]]:
    """The cells of the table whose first column has that title, without its head."""
    lines = (ROOT / "docs" / document).read_text(encoding="utf-8").splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rows = []
    for line in lines[begin + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def bare(cell: str) -> str:
    """The cell without the marks of code."""
    return cell.strip("`")


def test_every_exit_code_has_one_row() -> None:
    rows = [(int(row[0]), row[1]) for row in table("exit-codes.md", "code")]
    assert rows == [(int(code), code.outcome) for code in ExitCode]
    assert all(row[2] for row in table("exit-codes.md", "code"))


def test_the_readme_names_every_exit_code() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.partition("## Exit codes\n")[2].partition("\n## ")[0]
    assert [int(number) for number in re.findall(r"\b\d+\b", section)] == [int(code) for code in ExitCode]


def test_every_setting_has_its_row_with_its_default(tmp_path: Path) -> None:
    rows = table("configuration.md", "setting")
    fields = msgspec.structs.fields(Settings)
    assert [(bare(row[0]), bare(row[1])) for row in rows] == [
        (field.encode_name, PREFIX + field.name.upper()) for field in fields
    ]
    for row, field in zip(rows, fields, strict=True):
        assert bool(bare(row[2])) == (field.default is not None), row
        if bare(row[2]):
            write(tmp_path / "ci_tasks.yaml", f"{bare(row[0])}: {bare(row[2])}\n")
            assert load(tmp_path, {}) == Settings(), row


def test_every_reserved_key_has_its_row() -> None:
    assert {bare(row[0]) for row in table("configuration.md", "key")} == RESERVED


def test_the_keys_that_are_kept_for_later_are_refused() -> None:
    text = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    (line,) = (line for line in text.splitlines() if line.startswith("Reserved, and refused"))
    keys = re.findall(r"`(\w+)`", line)
    assert keys
    for key in keys:
        (problem,) = problems_of({key: True}, ConfigType.ENVIRONMENT)
        assert "reserved" in problem[1]


def test_every_variable_of_a_script_has_its_row(monorepo: Monorepo, inv: Inv) -> None:
    monorepo.write("scripts/deployment/15-ci-print.sh", PRINTING, executable=True)
    monorepo.commit()
    created = inv("tag.create", "--version", "v1.0.0", "--subproject", "api", cwd=monorepo.clone)
    assert created.returncode == 0, created.stderr
    done = inv("deploy", "--env", "production", "--subproject", "api", cwd=monorepo.clone)
    assert done.returncode == 0, done.stderr
    given = set(re.findall(r"<(DEPLOYMENT_\w+)>", done.stderr))
    assert given == {bare(row[0]) for row in table("configuration.md", "variable")}


def test_the_promises_name_tests_that_there_are() -> None:
    rows = table("how-it-works.md", "promise")
    for _, test in rows:
        path, _, name = bare(test).partition("::")
        assert f"\ndef {name}(" in (ROOT / path).read_text(encoding="utf-8"), test
    assert len(rows) > 10
