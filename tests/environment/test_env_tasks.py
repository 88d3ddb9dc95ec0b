"""The collection `env`, as it is typed: real git, the real inv."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from ci_tasks.core.entity import from_json
from ci_tasks.environment.model import CheckedConfiguration, ConfigurationList, ShownConfiguration
from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Inv

    Run = Callable[..., subprocess.CompletedProcess[str]]

TASKS = """
from invoke import Collection
from ci_tasks.environment import tasks
ns = Collection()
ns.add_collection(Collection.from_module(tasks, name="env"))
"""
FILES = {
    "environments/config.yml": "name: shop\nlimits: {cpu: 1}\nenv: {LOG: info}\n",
    "environments/staging/config.yml": "regions: [us-east]\nlimits: {memory: 2}\n",
    "environments/staging/us-east/config.yml": "limits: {cpu: 2}\nproviders: {us-east: {aws: us-east-1}}\n",
    "environments/production/config.yml": 'protected: true\ntimeout: 10m\nbranches: [main, "release/*"]\n',
    "services/auth/environments/staging/config.yml": "env: {LOG: debug}\n",
}


def write(root: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with the task file and nothing else."""
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    write(tmp_path, {"tasks.py": TASKS})
    return tmp_path


@pytest.fixture
def inv(inv: Inv, root: Path) -> Run:
    """The real inv in that repository; `folder` is where it is typed."""

    def run(*line: str, folder: str = ".") -> subprocess.CompletedProcess[str]:
        return inv(*line, cwd=root / folder)

    return run


def document(done: subprocess.CompletedProcess[str], kind: type) -> dict[str, Any]:
    """The one JSON document on stdout, which has all fields of the entity and no other."""
    from_json(done.stdout, kind, what="stdout")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def lines(text: str) -> list[str]:
    """The lines with single spaces: how wide a column is, is not looked at."""
    return [" ".join(line.split()) for line in text.splitlines()]


def test_list(root: Path, inv: Run) -> None:
    write(root, FILES)
    done = inv("env.list")
    assert done.returncode == 0, done.stderr
    assert lines(done.stdout)[1:] == [
        "environments/config.yml *",
        "environments/production/config.yml production",
        "environments/staging/config.yml staging",
        "environments/staging/us-east/config.yml staging us-east",
        "services/auth/environments/staging/config.yml staging services/auth",
    ]
    found = document(inv("env.list", "--subproject", "services/auth", "--json"), ConfigurationList)
    assert len(found["configurations"]) == 5
    assert found["configurations"][3] == {
        "configId": "environments/staging/us-east/config.yml",
        "environment": "staging",
        "region": "us-east",
        "subproject": None,
        "configType": "REGION",
        "path": "environments/staging/us-east/config.yml",
        "isEncrypted": False,
    }


def test_show(root: Path, inv: Run) -> None:
    write(root, FILES)
    found = document(inv("env.show", "--env", "staging", "--region", "us-east", "--json"), ShownConfiguration)
    assert found == {
        "environment": "staging",
        "region": "us-east",
        "subproject": None,
        "values": {"name": "shop", "limits": {"cpu": 2, "memory": 2}},
        "env": {"LOG": "info"},
        "providers": {"us-east": {"aws": "us-east-1"}},
        "rules": {
            "protected": False,
            "branches": [],
            "timeout": None,
            "regions": ["us-east"],
            "verify": "none",
            "requires": [],
            "freeze": [],
            "strategy": "sequential",
            "onFailure": "stop",
            "keepReleases": 5,
            "sources": {"regions": "environments/staging/config.yml:1"},
        },
        "origins": None,
    }
    done = inv("env.show", "--env", "staging")
    assert done.returncode == 0
    assert lines(done.stdout) == [
        "staging, the root project",
        "",
        "Key Value",
        "limits.cpu 1",
        "limits.memory 2",
        "name shop",
        "env.LOG info",
        "regions us-east",
    ]


def test_show_says_where_each_key_is_from(root: Path, inv: Run) -> None:
    write(root, FILES)
    done = inv("env.show", "--env", "production", "--origins")
    path, rule = "environments/production/config.yml", "(rule, from the pipeline checkout)"
    assert lines(done.stdout)[3:] == [
        "limits.cpu 1 environments/config.yml",
        "name shop environments/config.yml",
        "env.LOG info environments/config.yml",
        f"protected true {path}:1 {rule}",
        f"branches main, release/* {path}:3 {rule}",
        f"timeout 10m {path}:2 {rule}",
    ]
    found = document(inv("env.show", "--env", "production", "--origins", "--json"), ShownConfiguration)
    assert found["origins"]["protected"] == "environments/production/config.yml"
    assert found["origins"]["env.LOG"] == "environments/config.yml"
    assert found["rules"]["timeout"] == 600.0


def test_show_means_the_subproject_that_one_stands_in(root: Path, inv: Run) -> None:
    write(root, FILES)
    here = document(inv("env.show", "--env", "staging", "--json", folder="services/auth"), ShownConfiguration)
    named = document(
        inv("env.show", "--env", "staging", "--subproject", "services/auth", "--json"), ShownConfiguration
    )
    assert here == named
    assert here["subproject"] == "services/auth"
    assert here["env"] == {"LOG": "debug"}


def test_show_of_an_empty_environment(root: Path, inv: Run) -> None:
    write(root, {"environments/staging/config.yml": ""})
    assert inv("env.show", "--env", "staging").stdout == "staging, the root project: nothing is set.\n"


@pytest.mark.parametrize(
    ("line", "part"),
    [
        pytest.param(["--env", "stagng"], "Did you mean staging?", id="F14-environment"),
        pytest.param(["--env", "prod;rm -rf ."], "is not an environment", id="F1-environment"),
        pytest.param(["--env", "$(id)"], "'$(id)'", id="F2-environment"),
        pytest.param(["--env", "staging", "--region", "us-esat"], "Did you mean us-east?", id="F14-region"),
        pytest.param(
            ["--env", "staging", "--region", "us-east/../../secrets"], "can't be a region", id="F7-region"
        ),
        pytest.param(["--env", "staging", "--subproject", "../../etc"], "is no subproject", id="F5-up"),
        pytest.param(["--env", "staging", "--subproject", "/etc"], "is no subproject", id="F5-absolute"),
        pytest.param(
            ["--env", "staging", "--subproject", "services/../x"], "is no subproject", id="F5-later"
        ),
        pytest.param(
            ["--env", "staging", "--subproject", "services/auht"], "Did you mean", id="F14-subproject"
        ),
        (["--env", "production", "--region", "us-east"], "production has no regions"),
        (["--env", "sandbox"], "Environments that have a folder: production, staging."),
        ([], "--env"),
    ],
)
def test_what_show_refuses(root: Path, inv: Run, line: list[str], part: str) -> None:
    write(root, FILES)
    done = inv("env.show", *line)
    assert done.returncode == 2
    assert part in done.stderr
    assert not done.stdout


def test_f6_a_subproject_that_is_a_link_is_refused(root: Path, inv: Run) -> None:
    write(root, FILES)
    (root / "link").symlink_to("/etc")
    done = inv("env.show", "--env", "staging", "--subproject", "link")
    assert done.returncode == 3
    assert "link is a symbolic link" in done.stderr


def test_a_folder_without_environments_has_those_of_the_root(root: Path, inv: Run) -> None:
    write(root, {**FILES, "web/main.txt": ""})
    line = ("env.show", "--env", "staging", "--subproject", "web", "--json")
    assert document(inv(*line), ShownConfiguration)["env"] == {"LOG": "info"}
    write(root, {"ci_tasks.yaml": 'subprojects: ["services/*"]\n'})
    assert inv(*line).returncode == 2


@pytest.mark.parametrize(
    "line", ["env.list", "env.check", "env.show --env staging"], ids=["F30-list", "F30-check", "F30-show"]
)
def test_the_first_run(root: Path, inv: Run, line: str) -> None:
    done = inv(*line.split())
    assert done.returncode == 2
    assert "There are no environments yet" in done.stderr
    [typed] = [line.removeprefix("next: ") for line in done.stderr.splitlines() if line.startswith("next: ")]
    subprocess.run(["sh", "-c", typed], cwd=root, check=True)
    assert inv(*line.split()).returncode == 0


def test_check(root: Path, inv: Run) -> None:
    write(root, FILES)
    done = inv("env.check")
    assert (done.returncode, done.stdout) == (0, "5 configuration files checked, no problems\n")
    write(
        root,
        {
            "environments/staging/config.yml": "regions: [us-east]\nlimits: NO\n",
            "environments/canary/config.json": "{}",
            "services/auth/environments/staging/eu/config.yml": "timeout: 5m\n",
        },
    )
    (root / "environments/sandbox").symlink_to("staging")
    os.mkfifo(root / "environments/production/eu")
    done = inv("env.check")
    assert done.returncode == 2
    assert [line.partition(": ")[0] for line in done.stdout.splitlines()] == [
        "environments/canary/config.json",
        "environments/sandbox/",
        "environments/staging/config.yml:2:9",
        "services/auth/environments/staging/eu/config.yml:1:1",
        "6 configuration files checked, 4 problems",
    ]
    found = inv("env.check", "--json")
    assert found.returncode == 2
    assert document(found, CheckedConfiguration)["problems"][2] == {
        "path": "environments/staging/config.yml",
        "line": 2,
        "column": 9,
        "what": (
            "limits: some readers of YAML take this word for true or false: write true or false, or quote it"
        ),
    }


def test_f25_list_does_not_pass_over_a_folder_with_a_typing_error(root: Path, inv: Run) -> None:
    write(root, {**FILES, "environments/stagging/config.yml": ""})
    done = inv("env.list")
    assert done.returncode == 2
    assert "did you mean staging?" in done.stderr


def test_nothing_is_changed(root: Path, inv: Run) -> None:
    write(root, FILES)

    def everything() -> dict[str, bytes]:
        return {
            str(path): path.read_bytes()
            for path in root.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }

    before = everything()
    for line in ("env.list", "env.check", "env.show --env staging --origins"):
        assert inv(*line.split()).returncode == 0
    assert everything() == before


def test_the_face_starts_without_heavy_modules() -> None:
    code = "import sys, ci_tasks.environment.tasks; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    assert not {"msgspec", "git", "rich", "semver"} & set(loaded)
