"""The README and the how-to do what they say: their blocks are taken out and run."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT, Inv, program
from tests.repositories import Monorepo, git, write

if TYPE_CHECKING:
    from pathlib import Path

START = "python3 -m venv .venv && .venv/bin/pip install -q -e '.[dev]' && .venv/bin/"


def blocks(document: str, language: str) -> list[str]:
    """The fenced blocks of a document that are in that language."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def fresh(tmp_path: Path) -> Monorepo:
    """A repository with one commit, and a bare remote that has not seen it."""
    repository = Monorepo(tmp_path / "clone", tmp_path / "remote.git", tmp_path / "unused")
    git("init", "--quiet", "--bare", str(repository.remote), cwd=tmp_path)
    git("init", "--quiet", str(repository.clone), cwd=tmp_path)
    repository.git("remote", "add", "origin", str(repository.remote))
    repository.write("index.html", "hello\n")
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--message", "Begin")
    return repository


def test_the_two_lines_of_the_readme() -> None:
    assert blocks("README.md", "sh") == [f"{START}inv demo\n", f"{START}nox -s tests\n"]


def test_the_example_of_the_readme_deploys(fresh: Monorepo, inv: Inv) -> None:
    (example,) = blocks("README.md", "bash")
    assert len(example.splitlines()) == 10
    path = f"{program('inv').parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", example],
        cwd=fresh.clone,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert (fresh.clone / "build/live/index.html").read_text(encoding="utf-8") == "hello\n"
    assert {"refs/tags/v0.1.0", "refs/tags/staging"} <= fresh.remote_refs().keys()
    assert git("rev-parse", "staging^{}", cwd=fresh.remote) == fresh.git("rev-parse", "HEAD")
    status = inv("deploy.status", cwd=fresh.clone)
    assert "v0.1.0" in status.stdout
    assert list((fresh.clone / "build/reports").iterdir())
    assert not fresh.git("status", "--porcelain")


@pytest.mark.parametrize(
    ("number", "own", "ours"),
    [
        pytest.param(0, None, "deploy.status", id="ours-alone"),
        pytest.param(1, "build", "deploy.status", id="theirs-beside-ours"),
        pytest.param(2, "build", "ci.deploy.status", id="ours-under-theirs"),
    ],
)
def test_the_how_to_adds_ours_and_theirs(
    fresh: Monorepo, inv: Inv, number: int, own: str | None, ours: str
) -> None:
    write(fresh.clone / "tasks.py", blocks("docs/how-to/add-to-your-tasks.md", "python")[number])
    listed = inv("--list", cwd=fresh.clone)
    assert listed.returncode == 0, listed.stderr
    assert f" {ours} " in listed.stdout
    answer = inv(ours, cwd=fresh.clone)
    assert answer.returncode == 0, answer.stderr
    assert f"inv {ours.removesuffix('.status')} --env staging" in answer.stdout
    if own:
        assert inv(own, cwd=fresh.clone).stdout == "built\n"


def test_every_link_of_the_documents_leads_somewhere() -> None:
    documents = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
    for document in documents:
        for link in re.findall(r"\]\(([^)#]+)", document.read_text(encoding="utf-8")):
            if "://" not in link:
                assert (document.parent / link).exists(), f"{document.relative_to(ROOT)}: {link}"
