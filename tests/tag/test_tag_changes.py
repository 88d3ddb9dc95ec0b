"""Which commits belong to a release, and what git-cliff reads in them."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ci_tasks.core.checkout import Checkout
from ci_tasks.core.errors import UnavailableError
from ci_tasks.core.git.history import Paths, whole_history
from ci_tasks.tag.version import cliff as cliff_module
from ci_tasks.tag.version.change import LONGEST, Change
from ci_tasks.tag.version.changes import changes, paths_of
from ci_tasks.tag.version.cliff import Cliff
from ci_tasks.tag.version.next_version import Bump
from tests.repositories import git, write
from tests.tag.remotes import put_object, snapshot

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repositories import Monorepo

ID = "a" * 40


def _read(*messages: str) -> list[Change]:
    return list(Cliff.find().changes((f"{number:040x}", text) for number, text in enumerate(messages)))


def _found(monorepo: Monorepo, paths: Paths, *, since: str | None = None) -> list[str]:
    """The descriptions of the changes behind HEAD."""
    checkout = Checkout.open(monorepo.clone, {})
    history = whole_history(checkout.repository, checkout.origin, monorepo.git("rev-parse", "HEAD"), ())
    return [change.description for change in changes(history, paths, since=since, cliff=Cliff.find())]


@pytest.mark.parametrize(
    ("message", "kind", "releases"),
    [
        ("feat: x", "feat", Bump.MINOR),
        ("Feat(API): x", "feat", Bump.MINOR),
        ("fix: x", "fix", Bump.PATCH),
        ("perf: x", "perf", Bump.PATCH),
        ("revert: x", "revert", Bump.PATCH),
        ('Revert "feat: x"\n\nThis reverts commit abc.', "revert", Bump.PATCH),
        ("deps: x", "deps", Bump.PATCH),
        ("security: x", "security", Bump.PATCH),
        *(
            (f"{kind}: x", kind, None)
            for kind in ("docs", "chore", "ci", "style", "test", "build", "refactor", "wip")
        ),
        ("docs!: x", "docs", Bump.MAJOR),
        ("feat(a)!: x", "feat", Bump.MAJOR),
        ("fix: x\n\nBREAKING CHANGE: y", "fix", Bump.MAJOR),
        ("fix: x\n\nBREAKING-CHANGE: y", "fix", Bump.MAJOR),
        ("fix: x\r\n\r\nBREAKING CHANGE: y\r\n", "fix", Bump.MAJOR),
        ("fix: x\n\nWhy.\nBREAKING CHANGE: y", "fix", Bump.MAJOR),
        ("fix: x\nBREAKING CHANGE: y", "fix", Bump.MAJOR),
        ("\n\nfix: x\n", "fix", Bump.PATCH),
        ("fix: x\n\nThe BREAKING CHANGE: of yesterday", "fix", Bump.PATCH),
        ("fix: x\n\nCloses #\n", "fix", Bump.PATCH),
        ("fix: x\n\nBody.\n\nSigned-off-by:\n", "fix", Bump.PATCH),
        ("feat(a)!: x\n\nReviewed-by:\n", "feat", Bump.MAJOR),
        ("fix: x\n\nBREAKING CHANGE: y\n\nChange-Id:\n", "fix", Bump.MAJOR),
        ("feat : x\n\nCloses: #1", None, None),
        ("fix: x\n\nbreaking change: y", "fix", Bump.PATCH),
        ("Add x", None, None),
        ("feat : x", None, None),
        ("Merge branch 'feat: x'", None, None),
        ("BREAKING CHANGE: x", None, None),
        ("fixup! feat: x", None, None),
        ("", None, None),
        ("\x00\x1b[31mfeat: x", "feat", Bump.MINOR),
    ],
)
def test_what_a_message_releases(message: str, kind: str | None, releases: Bump | None) -> None:
    (found,) = _read(message)
    assert (found.type, found.releases) == (kind, releases)
    assert found.breaking is (releases is Bump.MAJOR)


def test_what_is_read_of_a_message() -> None:
    plain, footer, mark = _read(
        "fix(core api): one thing\n\nbody", "feat: two\n\nBREAKING CHANGE: all\n of it", "feat!: three"
    )
    assert (plain.scope, plain.description, plain.breaking_description) == ("core api", "one thing", None)
    assert (footer.scope, footer.description, footer.breaking_description) == (None, "two", "all of it")
    assert (mark.description, mark.breaking, mark.breaking_description) == ("three", True, None)


def test_hostile_messages_are_one_short_line_each() -> None:
    hostile = [
        f"feat: {'x' * 5_000_000}",
        "feat: a\x1b[2J\x1b]0;title\x07b\x00c\u202ed\u2028e",
        "feat: x\n\nBREAKING CHANGE: y\x1b[1A\u2066z",
        "author\ncommitter x\ndata 3\nreset refs/heads/main\n",
        "(" * 60_000,
    ]
    found = _read(*hostile)
    assert [change.commit_sha for change in found] == [f"{number:040x}" for number in range(5)]
    for change in found:
        for text in (change.description, change.breaking_description or "", change.scope or ""):
            assert len(text) <= LONGEST
            assert text.isprintable()
    assert found[1].description == "abcde"
    assert found[2].breaking_description == "yz"


def test_more_commits_than_one_batch_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cliff_module, "_BATCH_COMMITS", 2)
    monkeypatch.setattr(cliff_module, "_BATCH_CHARACTERS", 40)
    messages = [f"fix: number {number}" for number in range(5)] + ["feat: " + "x" * 50, "fix: last"]
    assert [change.description for change in _read(*messages)] == [
        text.partition(": ")[2] for text in messages
    ]


def test_no_configuration_of_the_repository_or_the_user_is_read(
    monorepo: Monorepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    evil = f"""[git]
conventional_commits = false
commit_preprocessors = [{{ pattern = ".*", replace_command = "touch {ran}" }}]
commit_parsers = [{{ message = ".*", skip = true }}]
"""
    for folder in (monorepo.clone, tmp_path, tmp_path / "git-cliff", tmp_path / ".config/git-cliff"):
        write(folder / "cliff.toml", evil)
    monorepo.write("api/cliff.toml", evil)
    monorepo.commit("feat: x")
    monkeypatch.chdir(monorepo.clone)
    for name, value in (
        ("GIT_CLIFF_CONFIG", str(monorepo.clone / "cliff.toml")),
        ("GIT_CLIFF_WORKDIR", str(monorepo.clone)),
        ("GITHUB_REPO", "example/project"),
        ("HOME", str(tmp_path)),
        ("XDG_CONFIG_HOME", str(tmp_path)),
    ):
        monkeypatch.setenv(name, value)
    assert _found(monorepo, Paths(under="api")) == ["x", "Begin"]
    assert not ran.exists()


def test_the_program_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnavailableError, match="git-cliff is not installed") as caught:
        Cliff.find()
    assert caught.value.next_step == "pip install 'git-cliff>=2.14,<3'"
    there = write(tmp_path / "git-cliff", "#!/bin/sh\necho '[]'\n", executable=True)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    with pytest.raises(UnavailableError, match="left commits out"):
        list(Cliff.find().changes([(ID, "feat: x")]))
    write(there, "#!/bin/sh\necho no\n", executable=True)
    with pytest.raises(UnavailableError, match="its answer can't be read"):
        list(Cliff.find().changes([(ID, "feat: x")]))
    write(there, "#!/bin/sh\nprintf 'bad \\033[31mthing' >&2; exit 3\n", executable=True)
    with pytest.raises(UnavailableError, match="ended with status 3") as caught:
        list(Cliff.find().changes([(ID, "feat: x")]))
    assert caught.value.details == ("bad thing",)


def test_only_commits_that_touch_the_paths(monorepo: Monorepo) -> None:
    base = monorepo.git("rev-parse", "HEAD")
    for path, message in (
        ("api/a", "feat: api"),
        ("web/a", "feat: web"),
        ("README", "feat: root"),
        ("apisix/a", "feat: like api"),
        ("services/auth/a", "feat: auth"),
        ("services/common", "feat: services"),
    ):
        monorepo.write(path, message)
        monorepo.commit(message)
    monorepo.write("api/a", "2")
    monorepo.write("web/a", "2")
    monorepo.commit("feat: both")
    monorepo.commit("feat: nothing in it")
    known = ("api", "services", "services/auth", "web")
    wanted = {
        "api": ["both", "api"],
        "web": ["both", "web"],
        "services": ["services"],
        "services/auth": ["auth"],
        "": ["like api", "root"],
    }
    assert {name: _found(monorepo, paths_of(name, known), since=base) for name in wanted} == wanted
    assert _found(monorepo, paths_of("", ()), since=base)[0] == "nothing in it"


def test_a_path_means_itself_alone(monorepo: Monorepo) -> None:
    for name in ("a*", "ab"):
        monorepo.write(f"{name}/x", name)
        monorepo.commit(f"feat: {name}")
    assert _found(monorepo, Paths(under="a*")) == ["a*"]


def test_merges(monorepo: Monorepo) -> None:
    base = monorepo.git("rev-parse", "HEAD")

    def branch(path: str, message: str, merge: str) -> None:
        monorepo.git("checkout", "--quiet", "-b", "side", base)
        monorepo.write(path, message)
        monorepo.git("add", "--all")
        monorepo.git("commit", "--quiet", "--message", message)
        monorepo.git("checkout", "--quiet", "main")
        monorepo.git("merge", "--quiet", "--no-ff", "--message", merge, "side")
        monorepo.git("branch", "--quiet", "-D", "side")

    branch("api/a", "fix: on a branch", "Merge branch 'side'")
    branch("api/b", "wip", "feat: told by the merge")
    branch("web/b", "feat: other", "feat: merge of another")
    assert sorted(_found(monorepo, Paths(under="api"), since=base)) == [
        "on a branch",
        "told by the merge",
        "wip",
    ]


def test_a_change_that_a_merge_dropped_still_counts(monorepo: Monorepo) -> None:
    base = monorepo.git("rev-parse", "HEAD")
    monorepo.git("checkout", "--quiet", "-b", "side")
    monorepo.write("api/a", "1")
    monorepo.git("add", "--all")
    monorepo.git("commit", "--quiet", "--message", "feat: dropped")
    monorepo.git("checkout", "--quiet", "main")
    monorepo.git("merge", "--quiet", "--no-ff", "--strategy=ours", "--message", "Merge", "side")
    assert _found(monorepo, Paths(under="api"), since=base) == ["dropped"]


def test_a_message_of_another_encoding(monorepo: Monorepo) -> None:
    tree, parent = monorepo.git("rev-parse", "HEAD^{tree}"), monorepo.git("rev-parse", "HEAD")
    who = "A <a@example.invalid> 1 +0000"
    texts = [
        b"encoding ISO-8859-1\n\nfeat: gr\xfc\xdfe\n",
        b"encoding rot13\n\nfeat: rot\n",
        b"encoding x-nothing\n\nfeat: \xff\n",
    ]
    for text in texts:
        head = f"tree {tree}\nparent {parent}\nauthor {who}\ncommitter {who}\n".encode()
        parent = put_object(monorepo.clone, head + text, "commit")
    monorepo.git("reset", "--quiet", "--hard", parent)
    assert _found(monorepo, Paths())[:3] == ["\ufffd", "rot", "grüße"]


def test_a_graft_does_not_cut_the_history(monorepo: Monorepo) -> None:
    monorepo.commit("fix: before")
    head = monorepo.commit("fix: here")
    (monorepo.clone / ".git/info/grafts").write_text(f"{head}\n", encoding="ascii")
    assert _found(monorepo, Paths()) == ["here", "before", "Begin"]


def test_a_replaced_commit_is_not_believed(monorepo: Monorepo) -> None:
    real = monorepo.commit("fix: real")
    other = monorepo.git("commit-tree", "-m", "feat!: other", "HEAD^{tree}")
    monorepo.git("replace", real, other)
    assert _found(monorepo, Paths())[0] == "real"


@pytest.mark.parametrize("depth", [1, 2])
def test_f37_a_shallow_clone_has_its_history_fetched(monorepo: Monorepo, tmp_path: Path, depth: int) -> None:
    for number in range(4):
        monorepo.write("api/a", str(number))
        monorepo.commit(f"fix: {number}")
    shallow = tmp_path / "shallow"
    git("clone", "--quiet", f"--depth={depth}", f"file://{monorepo.remote}", str(shallow), cwd=tmp_path)
    before = snapshot(shallow)
    checkout = Checkout.open(shallow, {})
    heads = checkout.origin.refs("refs/heads/")
    history = whole_history(
        checkout.repository, checkout.origin, git("rev-parse", "HEAD", cwd=shallow), heads
    )
    listed = monorepo.git("rev-list", "HEAD").split()
    assert history.ancestors() == set(listed)
    assert list(history.changing(Paths(under="api"), since=listed[2])) == listed[:2]
    assert snapshot(shallow) == before


def test_f37_an_unpublished_commit_of_a_shallow_clone(monorepo: Monorepo, tmp_path: Path) -> None:
    monorepo.commit()
    shallow = tmp_path / "shallow"
    git("clone", "--quiet", "--depth=1", f"file://{monorepo.remote}", str(shallow), cwd=tmp_path)
    git("commit", "--quiet", "--allow-empty", "--message", "feat: here alone", cwd=shallow)
    checkout = Checkout.open(shallow, {})
    head = git("rev-parse", "HEAD", cwd=shallow)
    with pytest.raises(UnavailableError, match="is cut in this clone") as caught:
        whole_history(checkout.repository, checkout.origin, head, checkout.origin.refs("refs/heads/"))
    assert caught.value.next_step == "git fetch --unshallow"


def test_f37_a_shallow_repository_without_a_remote(monorepo: Monorepo, tmp_path: Path) -> None:
    monorepo.commit()
    shallow = tmp_path / "shallow"
    git("clone", "--quiet", "--depth=1", f"file://{monorepo.remote}", str(shallow), cwd=tmp_path)
    git("remote", "remove", "origin", cwd=shallow)
    checkout = Checkout.open(shallow, {})
    head = git("rev-parse", "HEAD", cwd=shallow)
    with pytest.raises(UnavailableError, match="this clone is shallow"):
        whole_history(checkout.repository, checkout.origin, head, checkout.origin.refs("refs/heads/"))


def test_sha256(tmp_path: Path) -> None:
    made = subprocess.run(
        ["git", "init", "--quiet", "--object-format=sha256", str(tmp_path / "new")], check=False
    )
    assert made.returncode == 0
    git("commit", "--quiet", "--allow-empty", "--message", "feat: long ids", cwd=tmp_path / "new")
    checkout = Checkout.open(tmp_path / "new", {})
    head = git("rev-parse", "HEAD", cwd=tmp_path / "new")
    history = whole_history(checkout.repository, checkout.origin, head, ())
    (found,) = changes(history, Paths(), since=None, cliff=Cliff.find())
    assert (found.commit_sha, found.description) == (head, "long ids")
