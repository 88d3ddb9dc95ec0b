"""`inv tag.state`: an immutable mark on exactly the version's commit."""

from __future__ import annotations

import json
import shlex
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from dulwich.objects import Tag as DulwichTag
from dulwich.refs import Ref
from dulwich.repo import Repo
from jsonschema import Draft202012Validator

import ci_tasks
from ci_tasks.core.entity import json_schema
from ci_tasks.tag.state import MarkedVersion
from tests.repositories import git, write
from tests.tag.remotes import git_wrapper, once_before, put_object, put_ref, put_tag, snapshot, tag_content

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Inv
    from tests.repositories import Monorepo
    from tests.tag.conftest import Run

VERSION = "api/v1.0.0"
STABLE = f"refs/tags/{VERSION}-stable"


def _line(state: str, version: str = "v1.0.0") -> tuple[str, ...]:
    return ("tag.state", "--subproject", "api", "--version", version, "--state", state)


@pytest.fixture
def head(monorepo: Monorepo) -> str:
    """The version's commit: the remote has the tag, and the clone has gone on to another commit."""
    head = monorepo.git("rev-parse", "HEAD")
    put_tag(monorepo.remote, VERSION, head)
    monorepo.commit()
    return head


def _dulwich_tag(remote: Path, ref: str) -> DulwichTag:
    """The tag as a reader sees it that is not git."""
    repository = Repo(str(remote))
    found = repository[repository.refs[Ref(ref.encode())]]
    repository.close()
    assert isinstance(found, DulwichTag)
    return found


@pytest.mark.parametrize("state", ["stable", "unstable", "deprecated"])
def test_a_state_is_an_annotated_tag_on_the_versions_commit(
    run: Run, monorepo: Monorepo, head: str, state: str
) -> None:
    before = monorepo.remote_refs()
    done = run(*_line(state), "--reason", "Because it is so")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"Created {VERSION}-{state} on commit {head[:12]}.\n"
    ref = f"refs/tags/{VERSION}-{state}"
    tag = _dulwich_tag(monorepo.remote, ref)
    assert tag.name == f"{VERSION}-{state}".encode()
    assert tag.object[1].decode() == head
    assert tag.message == b"Because it is so\n"
    assert tag.tagger == b"Test Person <test@example.invalid>"
    after = monorepo.remote_refs()
    assert after.pop(ref)
    assert after == before
    assert monorepo.git("tag") == ""
    git("fsck", "--strict", cwd=monorepo.remote)


def test_the_reason_may_come_by_the_environment_or_be_a_sentence(
    run: Run, monorepo: Monorepo, head: str
) -> None:
    assert head
    assert run(*_line("stable"), env={"CI_TASKS_REASON": "by the workflow"}).returncode == 0
    assert _dulwich_tag(monorepo.remote, STABLE).message == b"by the workflow\n"
    assert run(*_line("unstable"), "--reason", "").returncode == 0
    assert _dulwich_tag(monorepo.remote, f"refs/tags/{VERSION}-unstable").message == (
        b"api/v1.0.0 is unstable.\n"
    )


def test_f66_the_same_again_changes_nothing(run: Run, monorepo: Monorepo, head: str) -> None:
    first = run(*_line("stable"), "--json")
    before = monorepo.remote_refs()
    again = run(*_line("stable", "1.0.0"), "--reason", "Another reason", "--json")
    assert (first.returncode, again.returncode) == (0, 0)
    assert monorepo.remote_refs() == before
    one, other = json.loads(first.stdout), json.loads(again.stdout)
    for document in (one, other):
        Draft202012Validator(json_schema(MarkedVersion)).validate(document)
    assert (one["created"], other["created"]) == (True, False)
    assert one["tag"] == other["tag"]
    assert (one["tag"]["tagId"], one["tag"]["commitSha"]) == (before[STABLE], head)
    assert (one["tag"]["tagType"], one["tag"]["isMovable"], one["state"]) == ("STATE", False, "stable")
    assert run(*_line("stable")).stdout == (
        f"Nothing to do: there is already {VERSION}-stable on commit {head[:12]}.\n"
    )


def test_f67_a_state_on_another_commit_is_a_conflict(run: Run, monorepo: Monorepo, head: str) -> None:
    other = monorepo.git("rev-parse", "HEAD")
    put_tag(monorepo.remote, f"{VERSION}-stable", other)
    before = monorepo.remote_refs()
    done = run(*_line("stable"))
    assert done.returncode == 4
    assert f"{VERSION}-stable exists already, on {other[:12]}, not on {head[:12]}." in done.stderr
    assert "Nothing was changed: a state tag is immutable." in done.stderr
    assert f"next: inv tag.show {VERSION}-stable\n" in done.stderr
    assert monorepo.remote_refs() == before


def test_f50_a_lightweight_state_is_a_conflict(run: Run, monorepo: Monorepo, head: str) -> None:
    put_ref(monorepo.remote, f"{VERSION}-stable", head)
    before = monorepo.remote_refs()
    done = run(*_line("stable"))
    assert done.returncode == 4
    assert "exists already, as a lightweight tag" in done.stderr
    assert monorepo.remote_refs() == before


def test_f52_a_state_with_another_name_inside_is_refused(run: Run, monorepo: Monorepo, head: str) -> None:
    put_ref(
        monorepo.remote,
        f"{VERSION}-stable",
        put_object(monorepo.remote, tag_content(head, f"{VERSION}-deprecated")),
    )
    done = run(*_line("stable"))
    assert done.returncode == 3
    assert "its object calls itself 'api/v1.0.0-deprecated'" in done.stderr


@pytest.mark.parametrize("state", ["stable", "deprecated"])
def test_a_pre_release_has_no_state(run: Run, monorepo: Monorepo, head: str, state: str) -> None:
    put_tag(monorepo.remote, "api/v1.1.0-beta.1", head)
    before = monorepo.remote_refs()
    done = run(*_line(state, "v1.1.0-beta.1"))
    assert done.returncode == 3
    assert "v1.1.0-beta.1 is a pre-release, and states are for releases." in done.stderr
    assert f"v1.1.0-beta.1-{state} is no state tag's name" in done.stderr
    assert "next: inv tag.create --version v1.1.0 --subproject api\n" in done.stderr
    assert monorepo.remote_refs() == before


def test_f58_a_version_that_is_not_there(run: Run, monorepo: Monorepo, head: str) -> None:
    assert head
    monorepo.git("tag", "-a", "-m", "only here", "api/v1.1.0")
    before = monorepo.remote_refs()
    done = run(*_line("stable", "v1.1.0"))
    assert done.returncode == 3
    assert "There is no version api/v1.1.0 on the remote." in done.stderr
    assert "The newest are: v1.0.0." in done.stderr
    assert "next: inv tag.list --subproject api --type version\n" in done.stderr
    assert monorepo.remote_refs() == before


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        pytest.param("lightweight", "it is a lightweight tag", id="F50-lightweight"),
        pytest.param("nested", "it points to a tag, not to a commit", id="F52-nested"),
        pytest.param("tree", "it points to a tree, not to a commit", id="F52-tree"),
        pytest.param("blob", "it is a lightweight tag", id="F52-blob"),
        pytest.param("renamed", "its object calls itself 'web/v6.6.6'", id="F52-renamed"),
    ],
)
def test_a_version_that_can_not_be_trusted(
    run: Run, monorepo: Monorepo, head: str, kind: str, says: str
) -> None:
    remote = monorepo.remote
    name = "api/v2.0.0"
    objects = {
        "lightweight": lambda: head,
        "nested": lambda: put_object(remote, tag_content(put_tag(remote, "inner", head), name, kind="tag")),
        "tree": lambda: put_object(
            remote, tag_content(git("rev-parse", f"{head}^{{tree}}", cwd=remote), name, kind="tree")
        ),
        "blob": lambda: put_object(remote, b"x", "blob"),
        "renamed": lambda: put_object(remote, tag_content(head, "web/v6.6.6")),
    }
    put_ref(remote, name, objects[kind]())
    before = monorepo.remote_refs()
    done = run(*_line("stable", "v2.0.0"))
    assert done.returncode == 3
    assert says in done.stderr
    assert "next: inv tag.create --version v2.0.1 --subproject api\n" in done.stderr
    assert monorepo.remote_refs() == before


@pytest.mark.parametrize("bad", ["unstable", "deprecated"])
def test_a_version_that_was_marked_bad_stays_bad(run: Run, monorepo: Monorepo, head: str, bad: str) -> None:
    put_tag(monorepo.remote, "api/v1.0.1", head)
    assert run(*_line(bad)).returncode == 0
    before = monorepo.remote_refs()
    done = run(*_line("stable"))
    assert done.returncode == 3
    assert f"{VERSION} is {bad}, and a version that was marked bad stays bad." in done.stderr
    assert f"inv tag.show {VERSION}-{bad}" in done.stderr
    assert "next: inv tag.create --version v1.0.2 --subproject api\n" in done.stderr
    assert monorepo.remote_refs() == before


def test_f60_the_strongest_state_stays(run: Run, monorepo: Monorepo, head: str) -> None:
    assert head
    states = ["stable", "deprecated", "unstable", "stable"]
    done = [run(*_line(state), "--json") for state in states]
    assert [json.loads(one.stdout)["state"] for one in done] == ["stable", *["deprecated"] * 3]
    assert [json.loads(one.stdout)["created"] for one in done] == [True, True, True, False]
    assert "api/v1.0.0 stays deprecated: deprecated is stronger" in run(*_line("stable")).stdout
    assert len(monorepo.remote_refs()) == 5


def test_the_state_is_that_after_the_push(run: Run, monorepo: Monorepo, head: str, tmp_path: Path) -> None:
    other = put_object(monorepo.remote, tag_content(head, f"{VERSION}-deprecated"))
    bad = f"git -C {monorepo.remote} update-ref refs/tags/{VERSION}-deprecated {other}"
    done = run(*_line("stable"), "--json", env=once_before(tmp_path, "push", bad))
    assert done.returncode == 0
    assert json.loads(done.stdout)["state"] == "deprecated"


def test_f73_the_mark_is_made_though_nothing_can_be_read_after_it(
    run: Run, monorepo: Monorepo, head: str, tmp_path: Path
) -> None:
    pushed = tmp_path / "pushed"
    script = (
        f'case " $* " in *" push "*) : > {pushed} ;;\n*" ls-remote "*) if test -e {pushed}; then\n'
        "echo 'fatal: the remote end hung up unexpectedly' >&2; exit 128; fi;; esac"
    )
    done = run(*_line("stable"), env=git_wrapper(tmp_path, script))
    assert done.returncode == 0
    assert done.stdout == f"Created {VERSION}-stable on commit {head[:12]}.\n"
    assert f"warning: Could not read the other states of {VERSION}" in done.stderr
    assert STABLE in monorepo.remote_refs()


@pytest.mark.parametrize(
    ("is_same", "code"),
    [pytest.param(True, 0, id="F66-the-same-commit"), pytest.param(False, 4, id="F67-another-commit")],
)
def test_a_state_that_appears_during_the_push(
    run: Run, monorepo: Monorepo, head: str, tmp_path: Path, *, is_same: bool, code: int
) -> None:
    commit = head if is_same else monorepo.git("rev-parse", "HEAD")
    other = put_object(monorepo.remote, tag_content(commit, f"{VERSION}-stable"))
    env = once_before(tmp_path, "push", f"git -C {monorepo.remote} update-ref {STABLE} {other}")
    done = run(*_line("stable"), env=env)
    assert done.returncode == code
    if is_same:
        assert done.stdout.startswith(f"Nothing to do: there is already {VERSION}-stable")
    else:
        assert f"exists already, on {commit[:12]}, not on {head[:12]}." in done.stderr
    assert monorepo.remote_refs()[STABLE] == other


def test_f66_two_at_once_agree(inv: Inv, monorepo: Monorepo, head: str, tmp_path: Path) -> None:
    second = tmp_path / "second"
    git("clone", "--quiet", str(monorepo.remote), str(second), cwd=tmp_path)
    clones = (monorepo.clone, second)
    before = [snapshot(clone) for clone in clones]
    lines = [(*_line("stable"), "--json", "--reason", f"says {number}") for number in range(2)]
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda line, clone: inv(*line, cwd=clone), lines, clones))
    documents = [json.loads(one.stdout) for one in done]
    assert [one.returncode for one in done] == [0, 0]
    assert sorted(document["created"] for document in documents) == [False, True]
    assert documents[0]["tag"] == documents[1]["tag"]
    assert documents[0]["tag"]["commitSha"] == head
    winner = [document["created"] for document in documents].index(True)
    assert _dulwich_tag(monorepo.remote, STABLE).message == f"says {winner}\n".encode()
    assert [snapshot(clone) for clone in clones] == before


def test_f73_an_answer_that_is_lost_once(run: Run, monorepo: Monorepo, head: str, tmp_path: Path) -> None:
    done = tmp_path / "lost"
    real = shutil.which("git")
    script = (
        f'case " $* " in *" push "*) if test ! -e {done}; then : > {done}; {real} "$@" >/dev/null 2>&1\n'
        "echo 'fatal: the remote end hung up unexpectedly' >&2; exit 128; fi;; esac"
    )
    answer = run(*_line("stable"), "--json", env=git_wrapper(tmp_path, script))
    assert answer.returncode == 0
    assert json.loads(answer.stdout)["created"] is True
    assert _dulwich_tag(monorepo.remote, STABLE).object[1].decode() == head


def test_f74_an_answer_that_never_comes(run: Run, monorepo: Monorepo, head: str, tmp_path: Path) -> None:
    assert head
    script = (
        'case " $* " in *" push "*)\necho \'error: the remote end hung up unexpectedly\' >&2; exit 128;; esac'
    )
    done = run(*_line("stable"), "--reason", "It's good", env=git_wrapper(tmp_path, script))
    assert done.returncode == 6
    assert f"Could not find out whether the remote did create {VERSION}-stable." in done.stderr
    (line,) = (text for text in done.stderr.splitlines() if text.startswith("next: "))
    assert STABLE not in monorepo.remote_refs()
    typed = shlex.split(line.removeprefix("next: inv "))
    assert run(*typed).returncode == 0
    assert _dulwich_tag(monorepo.remote, STABLE).message == b"It's good\n"


def test_f49_a_branch_of_the_same_name_does_not_disturb(run: Run, monorepo: Monorepo, head: str) -> None:
    for name in (VERSION, f"{VERSION}-stable", f"tags/{VERSION}-stable"):
        monorepo.git("branch", name)
        monorepo.git("push", "--quiet", "origin", f"refs/heads/{name}")
    done = run(*_line("stable"))
    assert (done.returncode, done.stderr) == (0, "")
    assert _dulwich_tag(monorepo.remote, STABLE).object[1].decode() == head


def test_f47_local_tags_are_neither_believed_nor_touched(run: Run, monorepo: Monorepo, head: str) -> None:
    monorepo.git("tag", "-a", "-m", "stale", VERSION)
    monorepo.git("tag", "-a", "-m", "only here", f"{VERSION}-deprecated")
    done = run(*_line("stable"))
    assert done.returncode == 0
    assert f"warning: The tag {VERSION} in this clone is on" in done.stderr
    assert _dulwich_tag(monorepo.remote, STABLE).object[1].decode() == head


def test_f37_a_shallow_clone_without_tags(inv: Inv, monorepo: Monorepo, head: str, tmp_path: Path) -> None:
    shallow = tmp_path / "shallow"
    git("clone", "--quiet", "--depth=1", "--no-tags", f"file://{monorepo.remote}", str(shallow), cwd=tmp_path)
    before = snapshot(shallow)
    assert inv(*_line("stable"), cwd=shallow).returncode == 0
    assert snapshot(shallow) == before
    assert _dulwich_tag(monorepo.remote, STABLE).object[1].decode() == head


def test_f124_a_repository_without_a_remote(inv: Inv, monorepo: Monorepo) -> None:
    monorepo.git("remote", "remove", "origin")
    assert inv("tag.create", *_line("stable")[1:5], cwd=monorepo.clone).returncode == 0
    assert inv(*_line("stable"), cwd=monorepo.clone).returncode == 0
    assert monorepo.git("cat-file", "-t", f"{VERSION}-stable") == "tag"
    assert inv(*_line("stable"), cwd=monorepo.clone).stdout.startswith("Nothing to do")
    assert inv(*_line("deprecated"), cwd=monorepo.clone).returncode == 0


def test_f112_a_tag_below_is_in_the_way(run: Run, monorepo: Monorepo, head: str) -> None:
    put_ref(monorepo.remote, f"{VERSION}-stable/notes", head)
    before = monorepo.remote_refs()
    done = run(*_line("stable"))
    assert done.returncode == 3
    assert f"git can't keep the tags {VERSION}-stable/notes and {VERSION}-stable side by side" in done.stderr
    assert monorepo.remote_refs() == before


def test_f112_a_tag_comes_in_the_way_during_the_push(
    run: Run, monorepo: Monorepo, head: str, tmp_path: Path
) -> None:
    env = once_before(tmp_path, "push", f"git -C {monorepo.remote} update-ref {STABLE}/x {head}")
    done = run(*_line("stable"), env=env)
    assert done.returncode == 3
    assert "git can't keep a tag beside another" in done.stderr


def test_f80_what_the_remote_declines(run: Run, monorepo: Monorepo, head: str) -> None:
    assert head
    hook = "#!/bin/sh\necho 'error: GH013: Repository rule violations found.' >&2\nexit 1\n"
    write(monorepo.remote / "hooks/pre-receive", hook, executable=True)
    done = run(*_line("stable"))
    assert done.returncode == 3
    assert "GH013: Repository rule violations found." in done.stderr
    assert STABLE not in monorepo.remote_refs()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        pytest.param(("--version", "v1.0", "--state", "stable"), 2, id="F13-two-numbers"),
        pytest.param(("--version", "v1.0.0-stable", "--state", "stable"), 2, id="F13-a-state"),
        pytest.param(("--version", "v1.0.0", "--state", "good"), 2, id="F14-state"),
        pytest.param(("--version", "v1.0.0", "--state", "Stable"), 2, id="F10-case"),
        pytest.param(("--version", "v1.0.0"), 2, id="F8-no-state"),
        pytest.param(("--state", "stable"), 2, id="F8-no-version"),
        pytest.param(("--version", "v1.0.0", "--state", "stable", "--force"), 1, id="F86-force"),
        pytest.param(("--version", "v1.0.0", "--state", "stable", "--dry-run"), 1, id="F121-no-dry-run"),
    ],
)
def test_refused_arguments(
    run: Run, monorepo: Monorepo, head: str, arguments: tuple[str, ...], code: int
) -> None:
    assert head
    before = monorepo.remote_refs()
    done = run("tag.state", "--subproject", "api", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert monorepo.remote_refs() == before


@pytest.mark.parametrize("name", sorted(ci_tasks.ns.task_names))
def test_f86_force_is_offered_nowhere(name: str) -> None:
    task = ci_tasks.ns[name]
    offered = {flag for argument in task.get_arguments() for flag in argument.names}
    assert not {one for one in offered if "force" in one}
    assert "-f" not in task.grammar.options
    assert "--force" not in task.grammar.options
    assert "--force" not in f"{task.__doc__} {' '.join(task.help.values())}"


def test_it_is_a_task_that_changes_something() -> None:
    assert ci_tasks.ns["tag.state"].grammar.changes
