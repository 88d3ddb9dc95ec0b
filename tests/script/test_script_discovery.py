"""Which files of a checkout are scripts, and in which order they run."""

from __future__ import annotations

import json
import os
import random
from typing import TYPE_CHECKING

import pytest

from ci_tasks.core.entity import canonical_json, from_json
from ci_tasks.core.errors import UsageError
from ci_tasks.script.discovery import discover, find
from ci_tasks.script.model import CIScript
from ci_tasks.script.names import Category

if TYPE_CHECKING:
    from pathlib import Path

    from tests.script.samples import WriteScript

DEPLOY = "scripts/deployment"


def paths(root: Path, subproject: str | None = None) -> list[str]:
    return [script.script_path for script in discover(root, Category.DEPLOYMENT, subproject)]


def refusal(root: Path, subproject: str | None = None) -> UsageError:
    with pytest.raises(UsageError) as caught:
        discover(root, Category.DEPLOYMENT, subproject)
    assert caught.value.unchanged == "Nothing was run."
    return caught.value


def test_a_script_is_known_by_its_name_its_header_and_its_lines(root: Path, write: WriteScript) -> None:
    write(
        f"{DEPLOY}/20-ci-smoke-test.py",
        "#!/usr/bin/env python3\n# Description: asks the service\n# Requires: curl, git\n# Timeout: 90s\n"
        "# Idempotent: no\n# Dry-run: supported\n# Secrets: api.token\n\nimport sys\nprint(sys.argv)\n",
    )
    (script,) = discover(root, Category.DEPLOYMENT, None)
    assert json.loads(canonical_json(script)) == {
        "scriptId": "deployment/smoke-test",
        "scriptName": "ci-smoke-test",
        "scriptPath": "scripts/deployment/20-ci-smoke-test.py",
        "category": "DEPLOYMENT",
        "order": 20,
        "description": "asks the service",
        "testability": {
            "modes": ["PASS", "FAIL", "SKIP", "TIMEOUT", "DRY_RUN", "EXECUTE"],
            "variables": {
                "hierarchical": ["CI_TEST_DEPLOYMENT_BEHAVIOR", "CI_TEST_MODE"],
                "pattern": "CI_TEST_<PIPELINE>_SMOKE_TEST_BEHAVIOR",
                "scriptSpecific": "CI_SMOKE_TEST_BEHAVIOR",
            },
            "timeoutOverride": "CI_JOB_TIMEOUT_MINUTES",
        },
        "dependencies": ["curl", "git"],
        "lineCount": 2,
        "secrets": ["api.token"],
        "timeout": 90.0,
        "idempotent": False,
        "dryRun": True,
        "subproject": None,
    }
    assert from_json(canonical_json(script), CIScript, what="a script") == script


def test_no_folder_or_an_empty_one_has_no_scripts(root: Path) -> None:
    assert paths(root) == []
    (root / DEPLOY).mkdir(parents=True)
    assert paths(root) == []


@pytest.mark.parametrize("category", Category)
def test_each_category_has_a_folder_of_its_own(root: Path, write: WriteScript, category: Category) -> None:
    for each in Category:
        write(f"scripts/{each.folder}/10-ci-a.sh")
    (script,) = discover(root, category, None)
    assert (script.script_id, script.category) == (f"{category.folder}/a", category)


def test_f98_scripts_run_by_number_then_by_name_however_the_disk_lists_them(
    root: Path, write: WriteScript
) -> None:
    names = ["00-ci-z.sh", "10-ci-a.sh", "10-ci-b.py", "10-ci-b-c.sh", "99-ci-a0.sh"]
    for name in random.Random(7).sample(names, len(names)):  # noqa: S311 - an order, not a secret
        write(f"{DEPLOY}/{name}")
    expected = ["00-ci-z.sh", "10-ci-a.sh", "10-ci-b.py", "10-ci-b-c.sh", "99-ci-a0.sh"]
    assert paths(root) == [f"{DEPLOY}/{name}" for name in expected]


def test_a_subproject_s_script_wins_whatever_its_number_and_language(root: Path, write: WriteScript) -> None:
    write(f"{DEPLOY}/10-ci-push.sh")
    write(f"{DEPLOY}/20-ci-smoke.sh")
    write(f"services/auth/{DEPLOY}/30-ci-push.py", "#!/usr/bin/env python3\n")
    write(f"services/auth/{DEPLOY}/05-ci-own.sh")
    write(f"web/{DEPLOY}/01-ci-other.sh")

    assert paths(root) == [f"{DEPLOY}/10-ci-push.sh", f"{DEPLOY}/20-ci-smoke.sh"]
    assert paths(root, "services/auth") == [
        f"services/auth/{DEPLOY}/05-ci-own.sh",
        f"{DEPLOY}/20-ci-smoke.sh",
        f"services/auth/{DEPLOY}/30-ci-push.py",
    ]
    assert [s.subproject for s in discover(root, Category.DEPLOYMENT, "services/auth")] == [
        "services/auth",
        None,
        "services/auth",
    ]
    assert paths(root, "no/such/folder") == paths(root)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("README", 0o755),
        ("README.txt", 0o644),
        ("README.sh", 0o755),
        ("notes.md", 0o755),
        ("10-ci-notes.md", 0o644),
        (".hidden.sh", 0o755),
        (".10-ci-a.sh.swp", 0o644),
        ("lib/functions.sh", 0o755),
        ("__pycache__/x.pyc", 0o644),
        ("hosts.txt", 0o644),
        ("config.json", 0o644),
    ],
)
def test_what_is_plainly_no_script_is_ignored(root: Path, write: WriteScript, name: str, mode: int) -> None:
    write(f"{DEPLOY}/10-ci-a.sh")
    write(f"{DEPLOY}/{name}", "data\n", mode=mode)
    assert paths(root) == [f"{DEPLOY}/10-ci-a.sh"]


@pytest.mark.parametrize(
    ("name", "text", "mode"),
    [
        pytest.param("deploy.sh", "", 0o644, id="F98-no-number"),
        pytest.param("deploy", "x", 0o755, id="F98-executable"),
        pytest.param("deploy", "#!/bin/sh\n", 0o644, id="F98-shebang"),
        pytest.param("1-ci-a.sh", "", 0o644, id="F98-one-digit"),
        pytest.param("100-ci-a.sh", "", 0o644, id="F98-three-digits"),
        pytest.param("10-a.sh", "", 0o644, id="F98-no-ci"),
        pytest.param("10-ci-a", "", 0o644, id="F98-no-extension"),
        pytest.param("10-ci-A.sh", "", 0o644, id="F98-upper-case"),
        pytest.param("10-ci-a_b.sh", "", 0o644, id="F98-underscore"),
        pytest.param("10-ci-a--b.sh", "", 0o644, id="F98-two-hyphens"),
        pytest.param("10-ci-.sh", "", 0o644, id="F98-no-name"),
        pytest.param("10-ci-ci-a.sh", "", 0o644, id="F98-ci-twice"),
        pytest.param("10-ci-a.sh~", "", 0o644, id="F98-backup"),
        pytest.param("10-ci-a.sh\n", "", 0o644, id="F98-line-break"),
        pytest.param("\u0661\u0660-ci-a.sh", "", 0o644, id="F98-other-digits"),
        pytest.param("10_ci_a.txt", "", 0o644, id="F98-underscores-for-hyphens"),
        pytest.param("10-ci-\x1b[31m.sh", "", 0o644, id="F98-terminal-codes"),
    ],
)
def test_a_file_that_could_be_meant_as_a_script_is_refused(
    root: Path, write: WriteScript, name: str, text: str, mode: int
) -> None:
    write(f"{DEPLOY}/20-ci-good.sh")
    write(f"{DEPLOY}/{name}", text, mode=mode)
    what = refusal(root).what
    assert "NN-ci-<name>.<ext>" in what
    assert what.isprintable()
    assert (name if name.isprintable() else ascii(name)[1:-1]) in what


def test_f98_a_name_that_is_not_utf_8_is_refused(root: Path) -> None:
    folder = root / DEPLOY
    folder.mkdir(parents=True)
    (folder / os.fsdecode(b"10-ci-\xff.sh")).touch()
    assert refusal(root).what.isascii()


def test_f98_one_name_twice_in_one_folder_is_refused(root: Path, write: WriteScript) -> None:
    write(f"{DEPLOY}/10-ci-a.sh")
    write(f"{DEPLOY}/20-ci-a.py")
    error = refusal(root)
    assert error.what == f"{DEPLOY}/20-ci-a.py:1: has the same category and name as 10-ci-a.sh"


@pytest.mark.parametrize("target", ["real.txt", "/etc/passwd", "missing"])
def test_a_link_is_refused(root: Path, write: WriteScript, target: str) -> None:
    write(f"{DEPLOY}/real.txt", "data\n", mode=0o644)
    (root / DEPLOY / "10-ci-a.sh").symlink_to(target)
    assert "10-ci-a.sh:1: is a link" in refusal(root).what


def test_a_fifo_and_a_folder_with_a_script_s_name_are_refused(root: Path, write: WriteScript) -> None:
    write(f"{DEPLOY}/20-ci-dir.sh/inside.txt", "", mode=0o644)
    os.mkfifo(root / DEPLOY / "10-ci-fifo.sh")
    error = refusal(root)
    assert "10-ci-fifo.sh:1: is not a regular file" in error.what
    assert "20-ci-dir.sh:1: is not a regular file" in error.details[0]


@pytest.mark.parametrize("linked", ["scripts", DEPLOY, "api", "api/scripts"])
def test_a_linked_folder_on_the_way_is_refused(
    root: Path, tmp_path: Path, write: WriteScript, linked: str
) -> None:
    write(f"api/{DEPLOY}/10-ci-a.sh")
    write(f"{DEPLOY}/10-ci-a.sh")
    outside = tmp_path / "outside"
    (root / linked).rename(outside)
    (root / linked).symlink_to(outside)
    assert refusal(root, "api").what.startswith(f"{linked} is a link")


def test_a_file_where_the_folder_should_be_is_refused(root: Path, write: WriteScript) -> None:
    write("scripts", "", mode=0o644)
    assert refusal(root).what.startswith("scripts is not a folder")


@pytest.mark.parametrize(
    "subproject", ["..", "../other", "/etc", "a/../..", "-x", "a//b", ".git", "a/", "a\nb"]
)
def test_a_subproject_that_leaves_the_repository_is_refused(root: Path, subproject: str) -> None:
    assert "can't be the path of a subproject" in refusal(root, subproject).what


def test_a_header_that_can_t_be_read_is_refused_with_its_line(root: Path, write: WriteScript) -> None:
    write(f"{DEPLOY}/10-ci-a.sh", "#!/bin/sh\n# Timeout: soon\n# Dry-run: maybe\n")
    error = refusal(root)
    assert error.what.startswith(f"{DEPLOY}/10-ci-a.sh:2: Timeout: 'soon' is not a duration")
    assert error.details[0].startswith(f"{DEPLOY}/10-ci-a.sh:3: Dry-run: 'maybe'")
    assert error.next_step == "inv script.check"


def test_a_script_of_more_than_a_mebibyte_is_refused(root: Path, write: WriteScript) -> None:
    write(f"{DEPLOY}/10-ci-a.sh", "#!/bin/sh\n" + "# x\n" * 300_000)
    assert "too large" in refusal(root).what


@pytest.mark.parametrize("wanted", ["deployment/smoke", "deployment/ci-smoke", "Deployment/smoke"])
def test_a_script_is_found_by_category_and_name(root: Path, write: WriteScript, wanted: str) -> None:
    write(f"{DEPLOY}/10-ci-smoke.sh")
    write(f"api/{DEPLOY}/10-ci-smoke.sh")
    assert find(root, wanted).script_path == f"{DEPLOY}/10-ci-smoke.sh"
    assert find(root, wanted, "api").script_path == f"api/{DEPLOY}/10-ci-smoke.sh"


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [
        ("deployment/smok", "Did you mean deployment/smoke?"),
        ("deploymnt/smoke", "Did you mean deployment?"),
        ("smoke", "Did you mean deployment/smoke?"),
        ("test/smoke", "Did you mean deployment/smoke?"),
        ("deployment/", "Did you mean deployment/smoke?"),
        ("deployment/20-ci-smoke.sh", "Did you mean deployment/smoke?"),
        ("", "There is no script ''."),
        ("../etc/passwd", "'..' is not a script category."),
    ],
)
def test_a_typing_error_names_the_nearest_script(
    root: Path, write: WriteScript, wanted: str, hint: str
) -> None:
    write(f"{DEPLOY}/20-ci-smoke.sh")
    with pytest.raises(UsageError) as caught:
        find(root, wanted)
    assert hint in caught.value.what
