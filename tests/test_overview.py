"""What somebody sees who types `inv`, or `inv --list`, on a plain terminal."""

from __future__ import annotations

import os
import pty
import subprocess
from typing import TYPE_CHECKING

import pytest

import ci_tasks
from ci_tasks.overview import COLLECTIONS, EVERYDAY
from tests.conftest import ROOT, program
from tests.test_program import read

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with all tasks."""
    (tmp_path / "tasks.py").write_text("from ci_tasks import ns\n", encoding="utf-8")
    return tmp_path


def on_terminal(*words: str, cwd: Path) -> str:
    """What `inv` shows on a terminal of 80 columns and 24 lines, without colours."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80", "LINES": "24", "NO_COLOR": "1"}
    running = subprocess.Popen(
        [program("inv"), *words],
        cwd=cwd,
        env={**environment, "TERM": "xterm"},
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    shown = b""
    try:
        while part := os.read(leader, 4096):
            shown += part
    except OSError:  # Linux says so when the other end is closed
        pass
    os.close(leader)
    assert running.wait(60) == 0, shown
    return shown.decode().replace("\r\n", "\n")


def test_the_overview_fits_on_a_screen(folder: Path) -> None:
    lines = on_terminal(cwd=folder).splitlines()
    assert len(lines) <= 23, "the prompt needs a line too"
    assert max(map(len, lines)) <= 80
    for line, does in EVERYDAY:
        assert any(shown.startswith(f"inv {line} ") and shown.endswith(does) for shown in lines)
    for name, about in COLLECTIONS.items():
        assert any(shown.split() == [name, *about.split()] for shown in lines)


@pytest.mark.parametrize("line", [line for line, _ in EVERYDAY])
def test_everyday_lines_can_be_typed(line: str) -> None:
    name = line.split(" ", 1)[0]
    names = {one: primary for primary, aliases in ci_tasks.ns.task_names.items() for one in aliases}
    read(f"inv {line}", names.get(name, name))


def test_everything_listed_is_in_the_overview() -> None:
    assert list(ci_tasks.ns.collections) == list(COLLECTIONS)


def test_the_list_wraps_nothing(folder: Path) -> None:
    shown = on_terminal("--list", cwd=folder)
    listed = [line for line in shown.splitlines() if line.startswith("  ")]
    assert len(listed) == len(ci_tasks.ns.task_names)
    assert max(map(len, listed)) <= 80
    for name in ci_tasks.ns.task_names:
        first = (ci_tasks.ns[name].__doc__ or "").strip().splitlines()[0]
        assert any(line.split()[0] == name and line.endswith(first) for line in listed)
