"""The demo, in real processes: it runs green, it can fail, and nothing around it matters to it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT
from tests.repositories import git, write

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ORIGINALS = ROOT / "scripts/deployment"
COPIES = ROOT / "ci_tasks/demo/monorepo/scripts/deployment"
CI_TASKS = "from ci_tasks.program import main; main()"


def demo(
    *arguments: str, temporary: Path, package: Path = ROOT, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `ci-tasks demo` of the package in a folder, in a place that is no repository."""
    temporary.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-c", CI_TASKS, "demo", *arguments],
        cwd=temporary,
        env={**os.environ, "PYTHONPATH": str(package), "TMPDIR": str(temporary), **(env or {})},
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )


def sabotaged(folder: Path, path: str, old: str, new: str) -> Path:
    """A copy of the package in which one text of one file is another; returns what goes on PYTHONPATH."""
    shutil.copytree(ROOT / "ci_tasks", folder / "ci_tasks")  # compiled modules too: that saves a second
    file = folder / "ci_tasks" / path
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    return folder


def test_the_demo_is_green_whatever_the_users_git_and_job_are_like(tmp_path: Path) -> None:
    home = tmp_path / "home"
    hook = write(home / "hooks/pre-commit", "#!/bin/sh\nexit 1\n", executable=True)
    write(home / "hooks/pre-push", "#!/bin/sh\nexit 1\n", executable=True)
    write(home / "template/description", "\n")
    config = write(
        home / ".gitconfig",
        "[commit]\n gpgSign = true\n[tag]\n gpgSign = true\n[init]\n defaultBranch = trunk\n"
        f" templateDir = {home}/template\n[core]\n hooksPath = {hook.parent}\n[push]\n default = nothing\n",
    )
    summary = tmp_path / "summary.md"
    env = {
        "HOME": str(home),
        "GIT_CONFIG_GLOBAL": str(config),
        "GIT_DIR": str(tmp_path / "elsewhere"),
        "CI": "true",
        "GITHUB_ACTIONS": "true",
        "GITHUB_STEP_SUMMARY": str(summary),
        "CI_TEST_MODE": "SKIP",
        "CI_TASKS_SUBPROJECTS": '["other"]',
    }
    before = sorted(home.rglob("*"))
    temporary = tmp_path / "with a space"
    done = demo("--json", temporary=temporary, env=env)
    assert done.returncode == 0, done.stderr

    answer = json.loads(done.stdout)
    lines = [line for step in answer["steps"] for line in step["lines"]]
    failed = [(line["line"], line["exitCode"]) for line in lines if line["exitCode"]]
    assert failed == [("inv deploy --env staging --subproject api", 1)]
    (live,) = (line for line in lines if line["line"].startswith("inv deploy --env production "))
    assert any("v1.0.0 is live in production" in line for line in live["output"])
    assert answer["folder"] is None
    assert "$ inv deploy --env staging --subproject api" in done.stderr
    assert "(exit code 1: FAILED)" in done.stderr
    assert "python" not in done.stderr  # what is shown can be typed
    assert [path.name for path in temporary.iterdir()] == []
    assert sorted(home.rglob("*")) == before
    assert not summary.exists()


@pytest.mark.usefixtures("measured")
def test_a_kept_demo_is_a_monorepo_with_what_was_shown(tmp_path: Path) -> None:
    done = demo("--keep", temporary=tmp_path / "tmp")
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "tmp").iterdir()
    assert f"Kept: {folder}" in done.stdout
    assert f"cd {folder}/monorepo && inv deploy.status" in done.stdout
    tags = git("tag", "--list", cwd=folder / "remote.git").splitlines()
    assert tags == [
        "api/production",
        "api/staging",
        "api/v1.0.0",
        "api/v1.1.0",
        "services/auth/v0.4.0",
        "web/v2.3.0",
    ]
    for place in ("staging/us-east", "staging/eu-west", "production"):
        current = folder / "monorepo/build/deployed" / place / "api/current"
        assert str(current.readlink()) == "releases/v1.0.0"
        assert (current / "greeting.txt").read_text(encoding="utf-8") == "hello\n"
    assert git("status", "--porcelain", cwd=folder / "monorepo") == ""


@pytest.mark.parametrize(
    ("path", "old", "new", "message"),
    [
        pytest.param(
            "demo/monorepo/scripts/deployment/15-ci-check.sh",
            "exit 1\n        ;;",
            "exit 0\n        ;;",
            "Step 5 of the demo (Deploy a bad version) went wrong: "
            "`inv deploy --env staging --subproject api` ended with exit code 0, not 1.",
            id="check-lets-everything-pass",
        ),
        pytest.param(
            "demo/monorepo/scripts/deployment/20-ci-switch.sh",
            'mv -T "$target/.current',
            'echo mv -T "$target/.current',
            "Step 3 of the demo (Deploy api to staging) went wrong: "
            "`inv deploy --env staging --subproject api` ended with exit code 1, not 0.",
            id="switch-switches-nothing",
        ),
        pytest.param(
            "demo/repository.py",
            'DEPLOYED}\\n"',
            'DEPLOYED}/elsewhere\\n"',
            "Step 3 of the demo (Deploy api to staging) went wrong: "
            "nothing is live in staging/us-east, not v1.0.0.",
            id="deployed-elsewhere",
        ),
        pytest.param(
            "demo/story.py",
            "inv tag.create --subproject {service} --version {version}",
            "git --version",
            "Step 2 of the demo (Create versions) went wrong: "
            "there is no annotated tag api/v1.0.0 on the remote.",
            id="no-version-made",
        ),
    ],
)
def test_a_demo_that_goes_wrong_says_so(tmp_path: Path, path: str, old: str, new: str, message: str) -> None:
    package = sabotaged(tmp_path / "package", path, old, new)
    done = demo(temporary=tmp_path / "tmp", package=package)
    assert done.returncode == 1, done.stderr
    assert message in done.stderr
    (folder,) = (tmp_path / "tmp").iterdir()
    assert f"The demo's folder is kept: {folder}" in done.stderr
    assert (folder / "monorepo/tasks.py").exists()


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", CI_TASKS, "demo"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("$ inv"):
            break
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=30)
    assert process.returncode == 130, rest
    assert "Cancelled by Ctrl-C." in rest
    assert list(tmp_path.iterdir()) == []


def test_without_git_the_demo_cannot_begin(tmp_path: Path) -> None:
    done = demo(temporary=tmp_path / "tmp", env={"PATH": str(tmp_path)})
    assert done.returncode == 5
    assert "git is not installed" in done.stderr
    assert [path.name for path in (tmp_path / "tmp").iterdir()] == []


def test_the_demo_has_the_scripts_of_this_repository() -> None:
    assert sorted(path.name for path in COPIES.iterdir()) == sorted(path.name for path in ORIGINALS.iterdir())
    for original in ORIGINALS.iterdir():
        copy = COPIES / original.name
        assert copy.read_bytes() == original.read_bytes(), f"type: cp -p {original} {copy}"
        assert os.access(copy, os.X_OK)
        assert os.access(original, os.X_OK)
