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


def typed(repository: Monorepo, lines: str) -> subprocess.CompletedProcess[str]:
    """Type shell lines in the clone; they stop at the first that fails."""
    path = f"{program('inv').parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", lines],
        cwd=repository.clone,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


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
    done = typed(fresh, example)
    assert done.returncode == 0, done.stderr
    assert (fresh.clone / "build/live/index.html").read_text(encoding="utf-8") == "hello\n"
    assert {"refs/tags/v0.1.0", "refs/tags/staging"} <= fresh.remote_refs().keys()
    assert git("rev-parse", "staging^{}", cwd=fresh.remote) == fresh.git("rev-parse", "HEAD")
    status = inv("deploy.status", cwd=fresh.clone)
    assert "v0.1.0" in status.stdout
    assert list((fresh.clone / "build/reports").iterdir())
    assert not fresh.git("status", "--porcelain")


def test_getting_started_can_be_typed_from_its_first_line_to_its_last(fresh: Monorepo) -> None:
    """All but the installation, in a repository with a folder `api`."""
    fresh.write("api/index.html", "hello\n")
    install, *rest = blocks("docs/getting-started.md", "sh")
    assert "pip install /path/to/ci_tasks" in install
    done = typed(fresh, "".join(rest).replace("/path/to/ci_tasks", str(ROOT)))
    assert done.returncode == 0, done.stderr
    assert {"refs/tags/api/v1.0.0", "refs/tags/api/staging"} <= fresh.remote_refs().keys()
    for region in ("us-east", "eu-west"):
        live = fresh.clone / f"build/deployed/staging/{region}/api/current/index.html"
        assert live.read_text(encoding="utf-8") == "hello\n"
    record = done.stdout.rpartition("tag api/staging\n")[2]
    assert "us-east  v1.0.0  since " in record
    assert record.endswith("\n---\n")
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


def test_every_link_into_a_document_leads_to_a_heading() -> None:
    documents = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
    seen = 0
    for document in documents:
        for link, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", document.read_text(encoding="utf-8")):
            text = (document.parent / link if link else document).read_text(encoding="utf-8")
            headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
            slugs = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert anchor in slugs, f"{document.relative_to(ROOT)}: {link}#{anchor}"
            seen += 1
    assert seen > 10
