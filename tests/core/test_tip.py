"""Asking again and again what one ref holds: cheaply, whatever else the remote has."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from ci_tasks.core.errors import UnavailableError
from ci_tasks.core.git.repository import Repository
from tests.core.places import TAG, fill_with_tags, origin_of, picture
from tests.repositories import Monorepo, git, write

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def tagged(monorepo: Monorepo) -> Monorepo:
    """A remote with one environment tag, which the clone does not have."""
    git("tag", "-a", "-m", "live", "api/production", "main", cwd=monorepo.remote)
    return monorepo


def move(monorepo: Monorepo, text: str) -> str:
    """Let the tag of the remote be another object; its id."""
    git("tag", "-f", "-a", "-m", text, "api/production", "main", cwd=monorepo.remote)
    return git("rev-parse", TAG, cwd=monorepo.remote)


@pytest.mark.parametrize("depth", [(), ("--depth=1", "--no-tags")], ids=["whole", "shallow"])
def test_it_follows_the_tag(tagged: Monorepo, tmp_path: Path, depth: tuple[str, ...]) -> None:
    git("clone", "--quiet", *depth, f"file://{tagged.remote}", "other", cwd=tmp_path)
    origin = origin_of(tmp_path / "other")
    before = picture(tmp_path / "other")
    assert origin.tip(TAG) == tagged.remote_refs()[TAG]
    assert origin.tip(TAG) == tagged.remote_refs()[TAG]
    moved = move(tagged, "two")
    assert origin.tip(TAG) == moved
    git("update-ref", "-d", TAG, cwd=tagged.remote)
    assert origin.tip(TAG) is None
    assert origin.tip("refs/tags/production") is None  # no tail of a name
    assert picture(tmp_path / "other") == before


def test_the_remote_lists_no_other_tag(
    tagged: Monorepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = git("rev-parse", "main", cwd=tagged.remote)
    fill_with_tags(tagged.remote, [f"other/v1.{number}.0" for number in range(200)], commit)
    trace = tmp_path / "trace"
    real = shutil.which("git")
    tracing = f'#!/bin/sh\nGIT_TRACE_PACKET={trace} exec {real} "$@"\n'
    path = write(tmp_path / "tracing/git", tracing, executable=True)
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")
    origin = origin_of(tagged.clone)
    assert origin.tip(TAG) is not None
    said = trace.read_text(encoding="utf-8", errors="replace")
    assert TAG in said
    assert "refs/tags/other/" not in said


def test_without_a_remote_the_repository_itself_is_asked(tmp_path: Path) -> None:
    git("init", "--quiet", "--initial-branch=main", str(tmp_path / "own"), cwd=tmp_path)
    git("commit", "--quiet", "--allow-empty", "--message", "x", cwd=tmp_path / "own")
    origin = Repository.discover(tmp_path / "own").origin("origin")
    assert origin.tip(TAG) is None
    git("tag", "-a", "-m", "live", "api/production", cwd=tmp_path / "own")
    assert origin.tip(TAG) == git("rev-parse", TAG, cwd=tmp_path / "own")


def test_a_remote_that_is_away_is_no_missing_tag(tagged: Monorepo) -> None:
    origin = origin_of(tagged.clone)
    tagged.remote.rename(tagged.remote.with_name("away.git"))
    with pytest.raises(UnavailableError):
        origin.tip(TAG)
