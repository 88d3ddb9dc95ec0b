"""`inv tag.notes`: what changed in a version, for people and as JSON, whatever the commits say."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator

from ci_tasks.core.checkout import Checkout
from ci_tasks.core.entity import json_schema
from ci_tasks.core.errors import RefusedError, UnavailableError, UsageError
from ci_tasks.tag.version.change import Change
from ci_tasks.tag.version.notes import Group, ReleaseNotes, group_of, grouped, notes
from ci_tasks.tag.version.notes_markdown import as_markdown
from tests.repositories import git
from tests.tag.remotes import put_tag, snapshot

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repositories import Monorepo
    from tests.tag.conftest import Run


def _release(monorepo: Monorepo, version: str, *messages: str, subproject: str = "api") -> None:
    """Commits that touch the subproject, and a version on the last of them."""
    for message in messages:
        monorepo.write(f"{subproject}/file", f"{message} {version}")
        monorepo.commit(message)
    put_tag(monorepo.remote, f"{subproject}/{version}", monorepo.git("rev-parse", "HEAD"))


def _notes(
    monorepo: Monorepo, version: str, since: str | None = None, clone: Path | None = None
) -> ReleaseNotes:
    checkout = Checkout.open(clone or monorepo.clone, {})
    return notes(checkout, version=version, subproject="api", since=since)


def _said(found: ReleaseNotes) -> dict[str, list[str]]:
    return {group.group.value: [change.description for change in group.changes] for group in found.groups}


def _change(description: str, **more: str | bool | None) -> Change:
    """A change as a hostile commit could make it."""
    fields = {"type": "feat", "scope": None, "breaking": False, "breaking_description": None, **more}
    return Change(commit_sha="a" * 40, description=description, releases=None, **fields)  # type: ignore[arg-type]  # the tests give the right kinds


def test_the_notes_of_a_version(run: Run, monorepo: Monorepo) -> None:
    _release(monorepo, "v1.0.0", "feat: old")
    monorepo.write("web/file", "1")
    monorepo.commit("feat: of web")
    messages = (
        "docs: read me",
        "perf: faster",
        "fix(core): mended",
        "feat(core): added",
        "feat!: all is new",
        "fix: x\n\nBREAKING CHANGE: the port\nhas moved",
        "Just so",
    )
    _release(monorepo, "v2.0.0", *messages)
    listed = monorepo.git("log", "--format=%h %s", "--abbrev=10").splitlines()
    ids = {subject: commit for commit, _, subject in (line.partition(" ") for line in listed)}
    line = ("tag.notes", "--subproject", "api", "--version", "v2.0.0")
    done = run(*line)
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        done.stdout
        == f"""\
# api v2.0.0

Changes since v1.0.0.

## Breaking changes

- x: the port has moved ({ids["fix: x"]})
- all is new ({ids["feat!: all is new"]})

## Features

- **core:** added ({ids["feat(core): added"]})

## Fixes

- **core:** mended ({ids["fix(core): mended"]})

## Performance

- faster ({ids["perf: faster"]})

## Other changes

- docs: read me ({ids["docs: read me"]})

## Commits without a type

- Just so ({ids["Just so"]})
"""
    )
    document = json.loads(run(*line, "--json").stdout)
    Draft202012Validator(json_schema(ReleaseNotes)).validate(document)
    assert (document["tagName"], document["previousVersion"]) == ("api/v2.0.0", "v1.0.0")
    assert [group["group"] for group in document["groups"]] == [group.value for group in Group]
    shorter = run(*line, "--from", "v1.0.0", "--json")
    assert json.loads(shorter.stdout) == document


def test_which_version_the_notes_begin_after(monorepo: Monorepo) -> None:
    _release(monorepo, "v1.0.0", "feat: one")
    _release(monorepo, "v1.1.0-beta.1", "feat: two")
    _release(monorepo, "v1.1.0-beta.2", "feat: three")
    _release(monorepo, "v1.1.0", "feat: four")
    found = {
        version: (_notes(monorepo, version).previous_version, _said(_notes(monorepo, version))["FEATURES"])
        for version in ("v1.1.0-beta.1", "v1.1.0-beta.2", "v1.1.0")
    }
    assert found == {
        "v1.1.0-beta.1": ("v1.0.0", ["two"]),
        "v1.1.0-beta.2": ("v1.1.0-beta.1", ["three"]),
        "v1.1.0": ("v1.0.0", ["four", "three", "two"]),
    }
    assert _said(_notes(monorepo, "v1.1.0", "v1.1.0-beta.1"))["FEATURES"] == ["four", "three"]
    first = _notes(monorepo, "v1.0.0")
    assert (first.previous_version, _said(first)) == (None, {"FEATURES": ["one"], "UNTYPED": ["Begin"]})
    assert as_markdown(first).splitlines()[2] == "The first version."


def test_tags_that_are_no_version_before_it(monorepo: Monorepo) -> None:
    _release(monorepo, "v1.0.0", "feat: one")
    head = monorepo.git("rev-parse", "HEAD")
    _release(monorepo, "v1.1.0", "feat: two")
    for name in ("api/v1.0.9-stable", "v1.0.9-stable", "api/production", "release-9", "web/v1.0.9"):
        put_tag(monorepo.remote, name, head)
    monorepo.git("tag", "-a", "-m", "only here", "api/v1.0.9")
    assert _notes(monorepo, "v1.1.0").previous_version == "v1.0.0"
    with pytest.raises(RefusedError, match=r"There is no version api/v1\.0\.9 on the remote") as caught:
        _notes(monorepo, "v1.0.9")
    assert caught.value.next_step == "inv tag.list --type version --subproject api"


def test_versions_that_are_not_behind_each_other(
    monorepo: Monorepo, capsys: pytest.CaptureFixture[str]
) -> None:
    _release(monorepo, "v1.0.0", "feat: one")
    monorepo.git("checkout", "--quiet", "-b", "maintenance")
    monorepo.write("api/other", "1")
    monorepo.git("add", "--all")
    monorepo.git("commit", "--quiet", "--message", "fix: on the side")
    monorepo.git("push", "--quiet", "origin", "maintenance")
    put_tag(monorepo.remote, "api/v1.0.1", monorepo.git("rev-parse", "HEAD"))
    monorepo.git("checkout", "--quiet", "main")
    _release(monorepo, "v2.0.0", "feat!: two")
    assert _notes(monorepo, "v2.0.0").previous_version == "v1.0.0"
    assert _said(_notes(monorepo, "v2.0.0", "v1.0.1")) == {"BREAKING": ["two"]}
    assert "api/v1.0.1 is not in the history of api/v2.0.0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("version", "since"), [("1.x", None), ("v1.0.0", "v1.0.0"), ("v1.0.0", "v2.0.0"), ("v1.0.0-stable", None)]
)
def test_f13_bad_versions(monorepo: Monorepo, version: str, since: str | None) -> None:
    with pytest.raises(UsageError):
        _notes(monorepo, version, since)


def test_f37_a_shallow_clone_and_one_without_the_commit(monorepo: Monorepo, tmp_path: Path) -> None:
    git("clone", "--quiet", str(monorepo.remote), str(tmp_path / "behind"), cwd=tmp_path)
    _release(monorepo, "v1.0.0", "feat: one")
    _release(monorepo, "v1.1.0", "feat: two", "fix: three")
    git(
        *(
            "clone",
            "--quiet",
            "--depth=1",
            "--no-tags",
            f"file://{monorepo.remote}",
            str(tmp_path / "shallow"),
        ),
        cwd=tmp_path,
    )
    for name in ("behind", "shallow"):
        before = snapshot(tmp_path / name)
        for since in (None, "v1.0.0"):
            found = _notes(monorepo, "v1.1.0", since, clone=tmp_path / name)
            assert _said(found) == {"FEATURES": ["two"], "FIXES": ["three"]}
        assert snapshot(tmp_path / name) == before


def test_each_change_stands_in_one_group() -> None:
    kinds = {
        "feat": Group.FEATURES,
        "fix": Group.FIXES,
        "security": Group.FIXES,
        "perf": Group.PERFORMANCE,
        "revert": Group.OTHER,
        "wip": Group.OTHER,
        None: Group.UNTYPED,
    }
    assert {kind: group_of(_change("x", type=kind)) for kind in kinds} == kinds
    assert group_of(_change("x", breaking=True)) is Group.BREAKING
    assert [group.group for group in grouped([_change("x", type="wip"), _change("y")])] == [
        Group.FEATURES,
        Group.OTHER,
    ]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("[x](javascript:y)", "\\[x\\](javascript:y)"),
        ("![x](http://y)", "!\\[x\\](http://y)"),
        ("`x` *y* _z_ ~w~ |v| $u$ #1", "\\`x\\` \\*y\\* \\_z\\_ \\~w\\~ \\|v\\| \\$u\\$ \\#1"),
        ("a & b &lt;", "a &amp; b &amp;lt;"),
        ("@everyone", "@\u200beveryone"),
        ("- [ ] x", "\\- \\[ \\] x"),
        ("1. x", "1\\. x"),
        ("# x", "\\# x"),
        ("--- x", "\\--- x"),
        ("\\[x]", "\\\\\\[x\\]"),
    ],
)
def test_f110_a_commit_can_put_no_mark_into_the_notes(text: str, wanted: str) -> None:
    found = ReleaseNotes(
        tag_name="v1.0.0",
        version="v1.0.0",
        subproject=None,
        commit_sha="a" * 40,
        previous_version=None,
        groups=grouped([_change(text)]),
    )
    assert as_markdown(found).splitlines()[-1] == f"- {wanted} (aaaaaaaaaa)"


def test_f110_hostile_commits(run: Run, monorepo: Monorepo) -> None:
    hostile = (
        "feat(<b>): ::add-mask::x \x1b[2J\u202e ##[error]y <img src=x>\n\nBREAKING CHANGE: ::stop\n::set-x::"
    )
    _release(monorepo, "v1.0.0", hostile, f"fix: {'x' * 100_000}", "::warning::z")
    done = run("tag.notes", "--subproject", "api", "--version", "v1.0.0")
    assert done.returncode == 0
    assert len(done.stdout) < 2000
    assert not any(line.lstrip().startswith("::") for line in done.stdout.splitlines())
    for mark in ("<b>", "<img", "\x1b", "\u202e", "##["):
        assert mark not in done.stdout


@pytest.mark.parametrize("subproject", ["", "api"])
def test_the_lines_for_git_describe(monorepo: Monorepo, pytestconfig: pytest.Config, subproject: str) -> None:
    """The documented lines, in a clone that has the remote's tags."""
    documented = (pytestconfig.rootpath / "docs/reference/tags.md").read_text(encoding="utf-8").splitlines()
    lines = [line for line in documented if line.startswith("git describe ")]
    (command,) = (line for line in lines if ("api/v" in line) is bool(subproject))
    prefix = f"{subproject}/" if subproject else ""
    wanted = f"{prefix}v1.2.3"
    put_tag(monorepo.remote, wanted, monorepo.git("rev-parse", "HEAD"))
    head = monorepo.commit()
    names = (
        *(f"{prefix}v1.2.3-{state}" for state in ("stable", "unstable", "deprecated")),
        *(f"{prefix}production", "release-9", "web/v9.0.0"),
        *(("v9.0.0", "api/v2x/v9.0.0") if subproject else ("api/v9.0.0", "v2x/v9.0.0")),
    )
    for name in names:
        put_tag(monorepo.remote, name, head)
    monorepo.git("fetch", "--quiet", "--tags")
    said = subprocess.run(
        ["sh", "-c", command], cwd=monorepo.clone, check=True, capture_output=True, text=True
    ).stdout.strip()
    assert said == f"{wanted}-1-g{monorepo.git('rev-parse', '--short', 'HEAD')}"


def test_the_lines_that_fetch_versions_do_not_mind_a_moving_tag(
    monorepo: Monorepo, pytestconfig: pytest.Config
) -> None:
    documented = (pytestconfig.rootpath / "docs/reference/tags.md").read_text(encoding="utf-8").splitlines()
    lines = [line for line in documented if line.startswith("git fetch ")]
    assert len(lines) == 2
    put_tag(monorepo.remote, "api/staging", monorepo.git("rev-parse", "HEAD"))
    monorepo.git("fetch", "--quiet", "--tags")
    stale = monorepo.git("rev-parse", "api/staging^{}")
    head = monorepo.commit()
    for name in ("api/staging", "api/production", "api/v1.0.0", "v1.0.0"):
        put_tag(monorepo.remote, name, head)
    for line in lines:
        subprocess.run(["sh", "-c", line], cwd=monorepo.clone, check=True, capture_output=True)
    assert monorepo.git("tag", "--list").split() == ["api/staging", "api/v1.0.0", "v1.0.0"]
    assert monorepo.git("rev-parse", "api/staging^{}") == stale


def test_a_version_that_is_not_there_is_told_before_a_program_that_is_not(
    monorepo: Monorepo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/git").symlink_to(str(shutil.which("git")))
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    _release(monorepo, "v1.0.0", "feat: old")
    with pytest.raises(RefusedError, match=r"There is no version api/v9\.0\.0"):
        _notes(monorepo, "v9.0.0")
    with pytest.raises(UnavailableError, match="git-cliff is not installed"):
        _notes(monorepo, "v1.0.0")
