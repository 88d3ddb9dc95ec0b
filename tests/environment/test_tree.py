"""Gathering configuration from a folder on disk."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ci_tasks.core.errors import UsageError
from ci_tasks.environment.tree import gather, survey

if TYPE_CHECKING:
    from pathlib import Path


def write(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(path.encode())


def test_files_and_folders(tmp_path: Path) -> None:
    write(
        tmp_path,
        "environments/config.yml",
        "environments/staging/config.yml",
        "environments/staging/secrets.yml",
        "environments/staging/us/config.yaml",
        "environments/staging/us/deep/config.yml",
        "environments/staging/us/deep/deeper/config.yml",
        "environments/.hidden/config.yml",
        "api/environments/production/us/config.yml",
        "web/environments/config.yml",
    )
    assert gather(tmp_path, ("api", "gone")) == {
        "environments/": b"",
        "environments/config.yml": b"environments/config.yml",
        "environments/staging/": b"",
        "environments/staging/config.yml": b"environments/staging/config.yml",
        "environments/staging/us/": b"",
        "environments/staging/us/config.yaml": b"environments/staging/us/config.yaml",
        "environments/staging/us/deep/": b"",
        "environments/staging/us/deep/config.yml": b"environments/staging/us/deep/config.yml",
        "api/environments/": b"",
        "api/environments/production/": b"",
        "api/environments/production/us/": b"",
        "api/environments/production/us/config.yml": b"api/environments/production/us/config.yml",
    }


def test_f30_nothing_is_there(tmp_path: Path) -> None:
    assert gather(tmp_path) == {}


@pytest.mark.parametrize(
    ("link", "target", "path"),
    [
        pytest.param(
            "environments/staging/config.yml", "/dev/zero", "environments/staging/config.yml", id="F27-device"
        ),
        pytest.param(
            "environments/staging/config.yml", "elsewhere", "environments/staging/config.yml", id="F27-link"
        ),
        pytest.param("environments/staging/us", "/", "environments/staging/us/", id="F6-region"),
        pytest.param("environments/staging", "/", "environments/staging/", id="F6-environment"),
        pytest.param("environments", "/", "environments", id="F6-environments"),
        pytest.param("api/environments", "/", "api/environments", id="F6-of-a-subproject"),
        pytest.param("api", "/", "api", id="F6-subproject"),
    ],
)
def test_a_link_is_refused(tmp_path: Path, link: str, target: str, path: str) -> None:
    (tmp_path / link).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / link).symlink_to(target)
    with pytest.raises(UsageError, match="symbolic link") as caught:
        gather(tmp_path, ("api",))
    assert caught.value.what.startswith(f"{path}: ")


def test_a_linked_file_of_another_name_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path, "environments/staging/config.yml")
    (tmp_path / "environments/staging/notes").symlink_to("/dev/zero")
    assert "environments/staging/config.yml" in gather(tmp_path)


def test_f27_every_strange_file_is_told_and_the_others_are_read(tmp_path: Path) -> None:
    write(tmp_path, "environments/staging/config.yml", "environments/canary/x", "environments/production/x")
    os.mkfifo(tmp_path / "environments/canary/config.yml")
    with (tmp_path / "environments/production/config.yml").open("wb") as opened:
        opened.truncate(200 * 1024 * 1024)
    found = survey(tmp_path)
    assert "environments/staging/config.yml" in found.files
    assert [str(problem) for problem in found.problems] == [
        "environments/canary/config.yml: is a FIFO; a regular file is expected",
        "environments/production/config.yml: is too large: 1024 KiB is the limit",
    ]
    with pytest.raises(UsageError) as caught:
        gather(tmp_path)
    assert len(caught.value.details) == 1


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    write(tmp_path, "environments")
    with pytest.raises(UsageError, match="environments: this is no folder"):
        gather(tmp_path)
