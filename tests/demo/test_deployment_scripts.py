"""The scripts with which this repository, and the demo, deploy: each one run for real."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT, Inv
from tests.repositories import Monorepo, write

if TYPE_CHECKING:
    from pathlib import Path

SCRIPTS = ROOT / "scripts/deployment"
NAMES = ("10-ci-release", "15-ci-check", "20-ci-switch", "30-ci-prune", "40-ci-smoke")


@dataclass
class Place:
    """A source tree, a target with a space in its path, and the variables of a deployment of `api`."""

    folder: Path
    more: dict[str, str] = field(default_factory=dict)

    @property
    def source(self) -> Path:
        return self.folder / "the source"

    @property
    def target(self) -> Path:
        return self.folder / "the target/staging/us-east/api"

    @property
    def current(self) -> str | None:
        """Where the link leads."""
        link = self.target / "current"
        return str(link.readlink()) if link.is_symlink() else None

    def environment(self, version: str) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "DEPLOY_TARGET": "the target",
            "DEPLOYMENT_ID": "20260101T120000Z-1a2b3c.us-east",
            "DEPLOYMENT_ENVIRONMENT": "staging",
            "DEPLOYMENT_REGION": "us-east",
            "DEPLOYMENT_SUBPROJECT": "api",
            "DEPLOYMENT_VERSION": version,
            "DEPLOYMENT_SOURCE": str(self.source),
            **self.more,
        }

    def run(self, name: str, version: str = "v1.0.0") -> subprocess.CompletedProcess[str]:
        """Run one script as a deployment would."""
        return subprocess.run(
            [SCRIPTS / f"{name}.sh"],
            cwd=self.folder,
            env=self.environment(version),
            check=False,
            capture_output=True,
            text=True,
            timeout=30,
        )

    def deploy(self, version: str) -> None:
        """Run all of them; each has to succeed."""
        write(self.source / "api/version.txt", f"{version}\n")
        for name in NAMES:
            done = self.run(name, version)
            assert done.returncode == 0, (name, done.stderr)

    def releases(self) -> list[str]:
        """What lies in `releases/`, hidden things too."""
        return sorted(path.name for path in (self.target / "releases").iterdir())

    def files(self) -> dict[str, str]:
        """Every file below the target, and every link with where it leads."""
        found = {}
        for path in sorted((self.folder / "the target").rglob("*")):
            if path.is_symlink():
                found[str(path)] = str(path.readlink())
            elif path.is_file():
                found[str(path)] = path.read_text(encoding="utf-8")
        return found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    write(place.source / "api/run me.sh", "#!/bin/sh\n", executable=True)
    write(place.source / "api/.hidden/data", "data\n")
    (place.source / "api/link").symlink_to("run me.sh")
    write(place.source / "web/index.html", "not for api\n")
    return place


def test_a_release_holds_exactly_the_subproject(place: Place) -> None:
    place.deploy("v1.0.0")
    release = place.target / "releases/v1.0.0"
    held = sorted(str(path.relative_to(release)) for path in release.rglob("*") if not path.is_dir())
    assert held == [".hidden/data", "link", "run me.sh", "version.txt"]
    assert str((release / "link").readlink()) == "run me.sh"
    assert os.access(release / "run me.sh", os.X_OK)
    assert place.current == "releases/v1.0.0"


def test_the_root_project_is_the_whole_source(place: Place) -> None:
    place.more = {"DEPLOYMENT_SUBPROJECT": "", "DEPLOYMENT_REGION": ""}
    place.source.chmod(0o700)  # as a deployment lays it out: readable by nobody else
    for name in NAMES:
        done = place.run(name)
        assert done.returncode == 0, (name, done.stderr)
    release = place.folder / "the target/staging/current"
    assert (release / "web/index.html").read_text(encoding="utf-8") == "not for api\n"
    assert release.stat().st_mode & 0o055 == 0o055


@pytest.mark.parametrize("name", NAMES)
def test_twice_is_as_good_as_once(place: Place, name: str) -> None:
    place.deploy("v1.0.0")
    place.deploy("v1.1.0")
    before = place.files()
    done = place.run(name, "v1.1.0")
    assert done.returncode == 0, done.stderr
    assert place.files() == before


@pytest.mark.parametrize("name", NAMES)
def test_a_dry_run_says_what_it_would_do_and_does_nothing(place: Place, name: str) -> None:
    place.more["CI_DRY_RUN"] = "1"
    done = place.run(name)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert not (place.folder / "the target").exists()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("variable", ["DEPLOY_TARGET", "DEPLOYMENT_VERSION"])
def test_a_missing_variable_is_named(place: Place, name: str, variable: str) -> None:
    place.more[variable] = ""
    done = place.run(name)
    assert done.returncode != 0
    assert variable in done.stderr
    assert place.files() == {}


def test_a_version_without_the_subprojects_folder_is_an_error(place: Place) -> None:
    place.more["DEPLOYMENT_SUBPROJECT"] = "services/auth"
    done = place.run("10-ci-release")
    assert done.returncode == 1
    assert "v1.0.0 has no folder services/auth" in done.stderr


def test_a_release_with_other_content_is_an_error(place: Place) -> None:
    place.deploy("v1.0.0")
    write(place.target / "releases/v1.0.0/version.txt", "tampered\n")
    before = place.files()
    done = place.run("10-ci-release")
    assert done.returncode == 1
    assert "with other content" in done.stderr
    assert place.files() == before


def test_a_copy_that_is_cut_off_leaves_no_release(place: Place) -> None:
    """TERM takes the script and all that it has started, as a deployment does."""
    programs, started = place.folder / "programs", place.folder / "started"
    # A `cp` that hangs half-way.
    write(
        programs / "cp",
        f'#!/bin/sh\necho half > "$3/half"\n: > "{started}"\nsleep 100\n',
        executable=True,
    )
    place.more["PATH"] = f"{programs}:{os.environ['PATH']}"
    process = subprocess.Popen(
        [SCRIPTS / "10-ci-release.sh"],
        cwd=place.folder,
        env=place.environment("v1.0.0"),
        start_new_session=True,
    )
    until = time.monotonic() + 20
    while not started.exists() and time.monotonic() < until:
        time.sleep(0.01)
    assert any(name.startswith(".new-") for name in place.releases())
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(timeout=20) != 0
    assert place.releases() == []


def test_what_a_killed_copy_leaves_is_taken_away(place: Place) -> None:
    place.deploy("v1.0.0")
    write(place.target / "releases/.new-20250101T000000Z-000000.us-east/half", "half\n")
    write(place.target / "releases/.old-v0.1.0/half", "half\n")
    (place.target / ".current-20250101T000000Z-000000.us-east").symlink_to("releases/v0.1.0")
    place.deploy("v1.1.0")
    assert place.releases() == ["v1.0.0", "v1.1.0"]
    assert sorted(path.name for path in place.target.iterdir()) == ["current", "releases"]


def test_own_leftovers_of_the_same_deployment_do_not_get_into_the_release(place: Place) -> None:
    write(place.target / "releases/.new-20260101T120000Z-1a2b3c.us-east/stray", "stray\n")
    place.deploy("v1.0.0")
    assert not (place.target / "releases/v1.0.0/stray").exists()


@pytest.mark.parametrize("mark", ["<", ">"])
def test_leftovers_of_a_merge_never_go_live(place: Place, mark: str) -> None:
    place.deploy("v1.0.0")
    write(place.source / "api/main.txt", f"a\n{mark * 7} HEAD\nb\n")
    write(place.source / "api/version.txt", "v1.1.0\n")
    assert place.run("10-ci-release", "v1.1.0").returncode == 0
    done = place.run("15-ci-check", "v1.1.0")
    assert done.returncode == 1
    assert f"./main.txt:2:{mark * 7} HEAD" in done.stdout
    assert place.current == "releases/v1.0.0"
    place.more["CI_DRY_RUN"] = "1"
    assert place.run("15-ci-check", "v1.1.0").returncode == 1  # a dry run finds it before it is laid out


def test_a_release_that_is_not_there_does_not_go_live(place: Place) -> None:
    place.deploy("v1.0.0")
    for name in ("15-ci-check", "20-ci-switch"):
        assert place.run(name, "v9.9.9").returncode != 0
    assert place.current == "releases/v1.0.0"


def test_a_folder_in_the_links_place_is_never_replaced(place: Place) -> None:
    assert place.run("10-ci-release").returncode == 0
    write(place.target / "current/precious", "data\n")
    assert place.run("20-ci-switch").returncode != 0
    assert (place.target / "current/precious").read_text(encoding="utf-8") == "data\n"


def test_the_switch_leaves_no_moment_without_a_release(place: Place) -> None:
    """A reader that looks all the time while two versions go live in turn finds one of them every time."""
    place.deploy("v1.0.0")
    place.deploy("v1.1.0")
    reader = subprocess.Popen(
        ["sh", "-c", "while cat current/version.txt; do :; done; echo LOST"],
        cwd=place.target,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    for turn in range(20):
        assert place.run("20-ci-switch", f"v1.{turn % 2}.0").returncode == 0
    os.killpg(reader.pid, signal.SIGTERM)
    seen, _ = reader.communicate(timeout=20)
    assert set(seen.splitlines()) <= {"v1.0.0", "v1.1.0"}
    assert seen


def test_pruning_keeps_the_last_five(place: Place) -> None:
    for number in range(8):
        place.deploy(f"v1.{number}.0")
    assert place.releases() == [f"v1.{number}.0" for number in range(3, 8)]
    assert place.current == "releases/v1.7.0"


def test_pruning_keeps_as_many_as_the_environment_says(place: Place) -> None:
    place.more["DEPLOYMENT_KEEP_RELEASES"] = "2"
    for number in range(4):
        place.deploy(f"v1.{number}.0")
    assert place.releases() == ["v1.2.0", "v1.3.0"]


def test_pruning_keeps_the_live_release_however_old(place: Place) -> None:
    for number in range(8):
        version = f"v1.{number}.0"
        write(place.source / "api/version.txt", f"{version}\n")
        assert place.run("10-ci-release", version).returncode == 0
        if number == 0:
            assert place.run("20-ci-switch", version).returncode == 0
    place.more["CI_DRY_RUN"] = "1"
    assert place.run("30-ci-prune").stdout.splitlines()[:2] == ["would remove v1.2.0", "would remove v1.1.0"]
    assert len(place.releases()) == 8
    del place.more["CI_DRY_RUN"]
    assert place.run("30-ci-prune").returncode == 0
    assert place.releases() == ["v1.0.0", *(f"v1.{number}.0" for number in range(3, 8))]


def test_the_smoke_test_reads_what_is_live(place: Place) -> None:
    place.deploy("v1.0.0")
    other = place.run("40-ci-smoke", "v1.1.0")
    assert other.returncode == 1
    assert "v1.0.0 is live, not v1.1.0" in other.stderr
    (place.target / "releases/v1.0.0/version.txt").unlink()
    torn = place.run("40-ci-smoke")
    assert torn.returncode == 1
    assert "version.txt" in torn.stderr
    (place.target / "current").unlink()
    assert "nothing is live, not v1.0.0" in place.run("40-ci-smoke").stderr


def test_this_repository_deploys_itself(tmp_path: Path, inv: Inv) -> None:
    """Its own files, in a repository with a remote: staging works, production wants a CI job."""
    repository = Monorepo(tmp_path / "clone", tmp_path / "remote.git", tmp_path / "unused")
    for path in (repository.clone, repository.remote):
        path.mkdir()
    subprocess.run(["git", "init", "--quiet", "--bare"], cwd=repository.remote, check=True)
    repository.git("init", "--quiet")
    repository.git("remote", "add", "origin", str(repository.remote))
    for name in ("tasks.py", ".gitignore", "environments", "scripts"):
        subprocess.run(["cp", "-R", str(ROOT / name), str(repository.clone)], check=True)
    repository.commit("Begin")
    for line in ("env.check", "script.check", "tag.create --version v0.1.0", "deploy --env staging"):
        done = inv(*line.split(), cwd=repository.clone)
        assert done.returncode == 0, done.stderr
    current = repository.clone / "build/deployed/staging/current"
    assert str(current.readlink()) == "releases/v0.1.0"
    assert (current / "tasks.py").read_bytes() == (ROOT / "tasks.py").read_bytes()
    laptop = inv("deploy", "--env", "production", cwd=repository.clone)
    assert laptop.returncode == 3, laptop.stderr
    job = inv("deploy", "--env", "production", cwd=repository.clone, env={"CI": "true"})
    assert job.returncode == 0, job.stderr
