"""`inv report.show`, typed for real."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ci_tasks.report.files import save
from ci_tasks.report.render import as_json, as_markdown, as_text
from tests.report.samples import SAMPLES, report

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Inv
    from tests.repositories import Monorepo

TASKS = """\
from invoke import Collection
from ci_tasks.report import tasks

ns = Collection(report=Collection.from_module(tasks, name="report"))
"""


@pytest.fixture
def clone(monorepo: Monorepo) -> Path:
    """A clone whose tasks are the collection alone."""
    monorepo.write("tasks.py", TASKS)
    return monorepo.clone


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["report.show"], as_text(SAMPLES["partial"])),
        (["report.show", "--format", "text"], as_text(SAMPLES["partial"])),
        (["report.show", "--format", "markdown"], as_markdown(SAMPLES["partial"])),
        (["report.show", "--format", "json"], as_json(SAMPLES["partial"]).decode()),
    ],
)
def test_the_last_report_in_every_format(inv: Inv, clone: Path, arguments: list[str], shown: str) -> None:
    save(SAMPLES["partial"], clone / "build/reports")
    done = inv(*arguments, cwd=clone)
    assert (done.returncode, done.stdout.rstrip("\n"), done.stderr) == (0, shown.rstrip("\n"), "")


def test_json_is_one_document(inv: Inv, clone: Path) -> None:
    save(SAMPLES["success"], clone / "build/reports")
    done = inv("report.show", "--json", cwd=clone)
    assert json.loads(done.stdout) == json.loads(as_json(SAMPLES["success"]))


def test_without_a_report_the_next_step_is_a_deployment(inv: Inv, clone: Path) -> None:
    done = inv("report.show", cwd=clone)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "inv deploy --env ENV" in done.stderr


def test_f110_odd_characters_reach_no_terminal(inv: Inv, clone: Path) -> None:
    odd = report(version="v1\x1b[2J\udcff", summary="::add-mask::x\n##[error]y", notices=("\u202e", "\x00"))
    save(odd, clone / "build/reports")
    for form in ("text", "markdown", "json"):
        done = inv("report.show", "--format", form, cwd=clone)
        assert done.returncode == 0
        assert not [sign for sign in ("\x1b", "\x00", "##[") if sign in done.stdout]
        assert not [line for line in done.stdout.splitlines() if line.lstrip().startswith("::")]
