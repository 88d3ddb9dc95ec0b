"""pre-push: which pushes of tags are refused, and what is said instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_tasks.core.errors import RefusedError, UsageError
from ci_tasks.hook import pre_push
from ci_tasks.hook.place import here
from ci_tasks.hook.pre_push import Update, updates

if TYPE_CHECKING:
    from tests.hook.conftest import Hooked

ZERO, OLD, NEW = "0" * 40, "a" * 40, "b" * 40


def line(name: str, *, old: str | None = None, new: str | None = NEW, local: str = "HEAD") -> bytes:
    """What git writes for one tag."""
    return f"{local} {new or ZERO} refs/tags/{name} {old or ZERO}\n".encode()


@pytest.mark.parametrize(
    ("pushed", "reason", "instead"),
    [
        (line("production"), "creates production", "inv deploy --env production"),
        (line("api/staging", old=OLD), "moves api/staging", "inv deploy --env staging --subproject api"),
        (
            line("api/staging", old=OLD, new=None),
            "deletes api/staging",
            "inv tag.assign --env staging --version VERSION --subproject api",
        ),
        (line("v1.2.3", old=OLD), "moves v1.2.3", "inv tag.create --version v1.2.4"),
        (
            line("services/auth/v1.2.3", old=OLD, new=None),
            "deletes services/auth/v1.2.3",
            "inv tag.state --version v1.2.3 --state deprecated --subproject services/auth",
        ),
        (
            line("v1.2.3-beta.1", old=OLD, new=None),
            "deletes v1.2.3-beta.1",
            "inv tag.create --version v1.2.4",
        ),
        (
            line("api/v1.2.3-stable", old=OLD),
            "moves api/v1.2.3-stable",
            "inv tag.state --version v1.2.3 --state deprecated --subproject api",
        ),
        (
            line("production", local="refs/tags/production"),
            "creates production",
            "git tag --delete production",
        ),
    ],
)
def test_what_is_refused(
    installed: Hooked, monkeypatch: pytest.MonkeyPatch, pushed: bytes, reason: str, instead: str
) -> None:
    monkeypatch.chdir(installed.clone)
    others = b"refs/heads/main %b refs/heads/main %b\n" % (NEW.encode(), OLD.encode())
    with pytest.raises(RefusedError) as refused:
        pre_push.check(here(), updates(others + pushed))
    details = refused.value.details
    assert details[0].startswith(f"{reason}: ")
    assert any(one.endswith(f": {instead}") for one in details)


@pytest.mark.parametrize(
    "pushed",
    [
        b"",
        line("v1.2.3"),
        line("api/v1.2.3-stable"),
        line("nightly", old=OLD),
        line("Production", old=OLD),
        line("production/x", old=OLD),
        b"refs/heads/production %b refs/heads/production %b\n" % (NEW.encode(), OLD.encode()),
        b"HEAD^{/ refs/tags/production %b} %b refs/heads/x %b\n" % ((NEW.encode(),) * 3),
    ],
)
def test_what_passes(installed: Hooked, monkeypatch: pytest.MonkeyPatch, pushed: bytes) -> None:
    monkeypatch.chdir(installed.clone)
    pre_push.check(here(), updates(pushed))


def test_the_environments_are_those_of_the_settings(hooked: Hooked, monkeypatch: pytest.MonkeyPatch) -> None:
    hooked.repository.write("ci_tasks.yaml", "environments: [live]\n")
    monkeypatch.chdir(hooked.clone)
    assert pre_push.check(here(), updates(line("production", old=OLD))) == 0
    with pytest.raises(RefusedError, match="not changed by hand"):
        pre_push.check(here(), updates(line("api/live")))


@pytest.mark.parametrize("said", [b"x\n", b"a b c\n", b"HEAD abc refs/tags/x def\n", b"\xff\xfe\n"])
def test_what_git_does_not_say_is_usage(said: bytes) -> None:
    with pytest.raises(UsageError, match="is not what git tells"):
        updates(said)


@given(st.lists(st.tuples(st.text("ab /^{}~\u00e9", min_size=1), st.sampled_from([ZERO, NEW, "c" * 64]))))
def test_every_line_of_git_is_read(pairs: list[tuple[str, str]]) -> None:
    lines = [f"{local} {new} refs/tags/x {OLD}\n" for local, new in pairs if local.strip()]
    read = updates("".join(lines).encode(), {})
    assert [(one.local_ref, one.new) for one in read] == [
        (local, None if new == ZERO else new) for local, new in pairs if local.strip()
    ]


@pytest.mark.parametrize(("kind", "old"), [("tag", OLD), ("commit", None), (None, None)])
def test_what_the_framework_says(kind: str | None, old: str | None) -> None:
    environ = {
        "PRE_COMMIT_REMOTE_BRANCH": "refs/tags/v1.0.0",
        "PRE_COMMIT_LOCAL_BRANCH": "refs/tags/v1.0.0",
        "PRE_COMMIT_FROM_REF": OLD,
        "PRE_COMMIT_TO_REF": NEW,
    }
    expected = Update(local_ref="refs/tags/v1.0.0", remote_ref="refs/tags/v1.0.0", old=old, new=NEW)
    assert updates(b"", environ, lambda _: {OLD: kind} if kind else {}) == (expected,)
    assert updates(b"", {}) == ()
    assert updates(b"", {"PRE_COMMIT_REMOTE_BRANCH": "refs/heads/x"})[0].old is None


@pytest.mark.usefixtures("measured")
def test_real_pushes(hooked: Hooked) -> None:
    hooked.install()
    for name in ("api/v1.0.0", "api/staging", "nightly"):
        hooked.git("tag", "--annotate", name, "--message", "x")
    done = hooked.git("push", "origin", "refs/tags/api/v1.0.0", "refs/tags/nightly", "main")
    assert done.returncode == 0, done.stderr
    before = hooked.repository.remote_refs()
    hooked.git("tag", "--force", "--annotate", "api/v1.0.0", "--message", "y")
    for words in (
        ["refs/tags/api/staging"],
        ["--tags"],
        ["--mirror"],
        ["main:refs/tags/api/staging"],
        ["--force", "refs/tags/api/v1.0.0"],
        ["--delete", "api/v1.0.0"],
        ["--dry-run", "refs/tags/api/staging"],
    ):
        done = hooked.git("push", "origin", *words)
        assert done.returncode == 1, words
        assert "This push changes tags that are not changed by hand." in done.stderr
        assert "Nothing was pushed." in done.stderr
        assert hooked.repository.remote_refs() == before
    done = hooked.git("push", "--no-verify", "origin", "refs/tags/api/staging")
    assert done.returncode == 0, "git's own way around a hook stays"


def test_f113_tags_that_follow_a_branch_are_looked_at(hooked: Hooked) -> None:
    hooked.install()
    hooked.git("tag", "--annotate", "production", "--message", "x")
    hooked.git("config", "push.followTags", "true")
    done = hooked.git("push", "origin", "main")
    assert (done.returncode, "creates production" in done.stderr) == (1, True)
    assert set(hooked.repository.remote_refs()) == {"refs/heads/main"}


def test_branches_and_new_versions_never_start_python(hooked: Hooked) -> None:
    hooked.install()
    script = hooked.folder / "pre-push"
    text = script.read_text(encoding="utf-8")
    mark = hooked.clone.parent / "started"
    lines = [f"python={mark}" if line.startswith("python=") else line for line in text.splitlines()]
    script.write_text("\n".join([*lines, ""]), encoding="utf-8")
    mark.write_text(f"#!/bin/sh\ntouch {mark}.ran\n", encoding="utf-8")
    mark.chmod(0o755)
    hooked.git("branch", "other")
    for new in ("api/v1.0.0", "release-1.2"):
        hooked.git("tag", new)
    assert hooked.git("push", "origin", "main", "other", "api/v1.0.0", "release-1.2").returncode == 0
    assert not mark.with_name("started.ran").exists()
    hooked.git("tag", "nightly")
    assert hooked.git("push", "origin", "nightly").returncode == 0
    assert mark.with_name("started.ran").exists()


def test_our_lines_are_named_as_they_are_typed_here(hooked: Hooked) -> None:
    text = "from invoke import Collection\n\nimport ci_tasks\n\nns = Collection(ci=ci_tasks.ns)\n"
    hooked.repository.write("tasks.py", text)
    done = hooked.inv("ci.hook.install", cwd=hooked.clone)
    assert done.returncode == 0, done.stderr
    hooked.git("tag", "production")
    done = hooked.git("push", "origin", "production")
    assert "to deploy: inv ci.deploy --env production\n" in done.stderr


def test_f126_a_linked_worktree(hooked: Hooked) -> None:
    hooked.install()
    tree = hooked.clone.parent / "tree"
    hooked.git("worktree", "add", "--quiet", str(tree))
    hooked.git("tag", "production")
    done = hooked.git("push", "origin", "production", cwd=tree)
    assert (done.returncode, "creates production" in done.stderr) == (1, True)


def test_our_own_pushes_are_not_asked(hooked: Hooked) -> None:
    hooked.install()
    hooked.git("commit", "--allow-empty", "--message", "feat: it")
    hooked.git("push", "origin", "main")
    for line_ in (
        ("tag.create", "--version", "v1.0.0", "--subproject", "api"),
        ("deploy", "--env", "production", "--subproject", "api"),
    ):
        done = hooked.inv(*line_, cwd=hooked.clone)
        assert done.returncode == 0, done.stderr
    assert "refs/tags/api/production" in hooked.repository.remote_refs()
