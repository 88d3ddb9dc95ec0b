"""`inv tag.validate`: the grammar on the command line, with no network and no repository."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ci_tasks.core.entity import json_schema, to_builtins
from ci_tasks.tag.validate import CheckedNames, validate, validation_text
from tests.conftest import ROOT, program
from tests.examples import examples
from tests.repositories import git, write
from tests.tag.names import FOREIGN, GRAMMAR, IMPOSSIBLE, LEGAL, listed, tags
from tests.tag.remotes import git_wrapper

if TYPE_CHECKING:
    from pathlib import Path

    from ci_tasks.tag.grammar import Tag
    from tests.conftest import Inv


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with all tasks and without a git repository."""
    return write(tmp_path / "nowhere/tasks.py", "from ci_tasks import ns\n").parent


def _checked(inv: Inv, folder: Path, *names: str, **options: Any) -> tuple[int, dict[str, Any]]:
    done = inv("tag.validate", "--json", "--", *names, cwd=folder, **options)
    document: dict[str, Any] = json.loads(done.stdout)
    Draft202012Validator(json_schema(CheckedNames)).validate(document)
    return done.returncode, document


def test_good_names(inv: Inv, folder: Path) -> None:
    done = inv(
        "tag.validate", "--", "api/v1.2.3", "v1.0.0-rc.1", "v1.0.0-stable", "services/auth/canary", cwd=folder
    )
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split(maxsplit=2) for line in done.stdout.splitlines()[1:]]
    assert rows == [
        ["ok", "api/v1.2.3", "version v1.2.3 of api"],
        ["ok", "v1.0.0-rc.1", "version v1.0.0-rc.1 of the root project"],
        ["ok", "v1.0.0-stable", "state: v1.0.0 of the root project is stable"],
        ["ok", "services/auth/canary", "environment canary of services/auth"],
    ]


def test_what_the_json_says(inv: Inv, folder: Path) -> None:
    code, document = _checked(inv, folder, "api/v1.2.3-deprecated", "api/canary", "v1.2")
    assert (code, document["isValid"]) == (2, False)
    state, environment, bad = document["names"]
    assert state == {
        "name": "api/v1.2.3-deprecated",
        "isValid": True,
        "tagType": "STATE",
        "subproject": "api",
        "version": "v1.2.3",
        "state": "deprecated",
        "environment": None,
        "reason": None,
    }
    assert (environment["tagType"], environment["environment"]) == ("ENVIRONMENT", "canary")
    assert bad["reason"] == "'v1.2' is not a version: a version has three numbers, as in v1.2.3."
    assert _checked(inv, folder, "api/canary")[0] == 0


@pytest.mark.parametrize(
    ("name", "says"),
    [
        pytest.param("Api/production", "Did you mean api?", id="F10-case"),
        pytest.param("HEAD/v1.0.0", "is not a subproject", id="F11-head"),
        pytest.param("@/v1.0.0", "is not a subproject", id="F11-at"),
        pytest.param("refs/v1.0.0", "refs is a reserved name", id="F11-refs"),
        pytest.param("con/v1.0.0", "con is a reserved name", id="F11-con"),
        pytest.param("aux/production", "aux is a reserved name", id="F11-aux"),
        pytest.param("x.lock/v1.0.0", "end in '.' or '.lock'", id="F11-lock"),
        pytest.param("a..b/v1.0.0", "git has no names with '..'", id="F11-dots"),
        pytest.param("v1.2", "three numbers", id="F13-two-numbers"),
        pytest.param("v01.2.3", "01 begins with a zero", id="F13-zero"),
        pytest.param("v1.2.3-", "is empty", id="F13-empty-pre-release"),
        pytest.param("v1.2.3+b d", "build metadata", id="F13-build"),
        pytest.param("v99999999999999999999.0.0", "9 digits at most", id="F13-digits"),
    ],
)
def test_bad_names(inv: Inv, folder: Path, name: str, says: str) -> None:
    done = inv("tag.validate", "--", "v1.0.0", name, cwd=folder)
    assert (done.returncode, done.stderr) == (2, "")
    good, bad = done.stdout.splitlines()[1:3]
    assert good.startswith("ok   v1.0.0")
    assert bad.startswith("BAD  ")
    assert says in bad
    assert "A tag is a version (api/v1.2.3, api/v1.2.3-beta.1), a state" in done.stdout


def test_f8_no_names(inv: Inv, folder: Path) -> None:
    for words in ((), ("--",)):
        done = inv("tag.validate", *words, cwd=folder)
        assert (done.returncode, done.stdout) == (2, "")
        assert "There is no name to check: write the names after --." in done.stderr
        assert "next: inv tag.validate -- api/v1.2.3\n" in done.stderr


@pytest.mark.parametrize("name", ["--help", "-h", "--json", "--force", "--", "-x", "tag.list", "--dry"])
def test_f121_what_follows_the_dashes_is_a_name(inv: Inv, folder: Path, name: str) -> None:
    code, document = _checked(inv, folder, name)
    assert code == 2
    assert [each["name"] for each in document["names"]] == [name]


def test_names_that_are_not_utf_8_or_not_seen_are_shown_escaped(folder: Path) -> None:
    names = [b"caf\xe9/v1.0.0", b"a\x1b[31mred", b"two\nlines", "\u202egnp".encode(), b"::add-mask::x"]
    line: list[bytes | str] = [str(program("inv")), "tag.validate", "--json", "--", *names]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, check=False)
    assert done.returncode == 2
    assert [each["name"] for each in json.loads(done.stdout)["names"]] == [
        "caf\\xe9/v1.0.0",
        "a\x1b[31mred",
        "two\nlines",
        "\u202egnp",
        "::add-mask::x",
    ]
    line.remove("--json")
    done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, check=False)
    assert done.returncode == 2
    text = done.stdout.decode()
    for shown in ("caf\\xe9/v1.0.0", "a\\x1b[31mred", "two\\nlines", "\\u202egnp"):
        assert f"BAD  {shown}" in text
    assert not {"\x1b", "\u202e"} & set(text)
    assert not any(row.startswith("::") for row in text.splitlines())


def test_it_asks_no_git_and_no_network(inv: Inv, folder: Path, tmp_path: Path) -> None:
    git("init", "--quiet", str(folder), cwd=tmp_path)
    git("remote", "add", "origin", "http://127.0.0.1:9/nobody.git", cwd=folder)
    env = git_wrapper(tmp_path / "bin", f"touch {tmp_path / 'asked'}")
    assert _checked(inv, folder, "v1.0.0", env=env)[0] == 0
    assert not (tmp_path / "asked").exists()


def test_the_environments_are_those_of_the_repository_around(inv: Inv, folder: Path) -> None:
    write(folder / "ci_tasks.yaml", "environments: [prod, qa]\n")
    below = write(folder / "deep/below/file", "").parent
    git("init", "--quiet", cwd=folder)
    for here in (folder, below):
        code, document = _checked(inv, here, "api/prod", "prod", "production")
        assert (code, [each["isValid"] for each in document["names"]]) == (2, [True, True, False])
        assert document["environments"] == ["prod", "qa"]
    code, _ = _checked(inv, folder, "live", env={"CI_TASKS_ENVIRONMENTS": '["live"]'})
    assert code == 0
    write(folder / "ci_tasks.yaml", "environment: [prod]\n")
    done = inv("tag.validate", "--", "v1.0.0", cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert "ci_tasks.yaml" in done.stderr


def test_without_a_repository_no_settings_of_a_folder_above_count(inv: Inv, folder: Path) -> None:
    write(folder.parent / "ci_tasks.yaml", "environments: [prod]\n")
    assert _checked(inv, folder, "production")[0] == 0


def test_names_of_other_schemes(inv: Inv, folder: Path) -> None:
    names = [name for name in (*FOREIGN, *LEGAL, *IMPOSSIBLE) if "\0" not in name]
    code, document = _checked(inv, folder, *names)
    assert code == 2
    assert [each["name"] for each in document["names"]] == [listed(name) for name in names]
    for name, each in zip(names, document["names"], strict=True):
        kind = LEGAL.get(name)
        assert each["tagType"] == (kind.value if kind else None)
        assert (each["reason"] is None) is each["isValid"] is (kind is not None)
    assert inv("tag.validate", "--", *names, cwd=folder).returncode == 2


@examples(200)
@given(tags)
def test_every_tag_is_taken_apart_as_it_was_put_together(tag: Tag) -> None:
    answer = validate([str(tag)], GRAMMAR)
    (found,) = answer.names
    assert answer.is_valid
    assert found.tag_type is tag.tag_type
    leaf = found.environment or f"{found.version}{f'-{found.state}' if found.state else ''}"
    assert str(tag) == (f"{found.subproject}/{leaf}" if found.subproject else leaf)


@examples(200)
@given(st.lists(st.text(max_size=150), min_size=1, max_size=4))
def test_whatever_is_typed_gets_one_line_each(names: list[str]) -> None:
    answer = validate(names, GRAMMAR)
    to_builtins(answer)
    lines = validation_text(answer).splitlines()
    assert len([line for line in lines if line.startswith(("ok ", "BAD"))]) == len(names)
    assert len(lines) == 1 + len(names) + (0 if answer.is_valid else 3)
