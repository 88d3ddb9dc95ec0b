"""Which folders are subprojects, and which of them you stand in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ci_tasks.core.errors import UsageError
from ci_tasks.core.subprojects import known, standing_in, subprojects

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for path in (
        "environments/production",
        "api/environments/production",
        "services/auth/environments",
        "services/mail/scripts/build",
        "web/node_modules/thing/environments",
        ".hidden/environments",
        "a/b/c/d/environments",
        "a/b/c/d/e/environments",
    ):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "services/readme.txt").touch()
    (tmp_path / "linked").symlink_to("api")
    return tmp_path


def test_without_settings_a_subproject_has_environments_of_its_own(tree: Path) -> None:
    assert subprojects(tree, ()) == ("a/b/c/d", "api", "services/auth")


def test_with_settings_the_patterns_count_alone(tree: Path) -> None:
    assert subprojects(tree, ("services/*", "linked", "nowhere")) == ("services/auth", "services/mail")


def test_a_subproject_with_a_typing_error_names_the_nearest() -> None:
    assert known("services/auth/", ["api", "services/auth"]) == "services/auth"
    with pytest.raises(
        UsageError, match=r"'services/aut' is not a subproject\. Did you mean services/auth\?"
    ):
        known("services/aut", ["api", "services/auth"])


def test_the_folder_you_stand_in_tells_the_subproject(tree: Path) -> None:
    among = ["api", "services", "services/auth"]
    assert standing_in(tree / "services/auth/environments", tree, among) == "services/auth"
    assert standing_in(tree / "services/auth", tree, among) == "services/auth"
    assert standing_in(tree / "services/mail", tree, among) == "services"
    assert standing_in(tree / "web", tree, among) is None
    assert standing_in(tree, tree, among) is None
    assert standing_in(tree.parent, tree, among) is None
