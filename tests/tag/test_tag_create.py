"""`inv tag.create`: create-only, on the remote alone, and the clone stays as it was."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from dulwich.objects import Tag as DulwichTag
from dulwich.refs import Ref
from dulwich.repo import Repo
from jsonschema import Draft202012Validator

from ci_tasks.core.checkout import Checkout
from ci_tasks.core.entity import json_schema
from ci_tasks.core.errors import CiTasksError, ConflictError, RefusedError, UnavailableError, UsageError
from ci_tasks.tag.version.create import NewVersion, create
from ci_tasks.tag.version.created import CreatedTag, created_text
from tests.conftest import ROOT, program
from tests.repositories import build_monorepo, git, write
from tests.tag.remotes import git_wrapper, once_before, put_object, put_ref, put_tag, snapshot, tag_content

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Inv
    from tests.repositories import Monorepo
    from tests.tag.conftest import Run

API = ("--subproject", "api", "--version", "v1.0.0")
REF = "refs/tags/api/v1.0.0"


def _dulwich_tag(remote: Path, ref: str) -> DulwichTag:
    """The tag as a reader sees it that is not git."""
    repository = Repo(str(remote))
    found = repository[repository.refs[Ref(ref.encode())]]
    repository.close()
    assert isinstance(found, DulwichTag)
    return found


def test_a_version_is_an_annotated_tag_on_the_remote_alone(run: Run, monorepo: Monorepo) -> None:
    done = run("tag.create", *API, "--message", "First version")
    head = monorepo.git("rev-parse", "HEAD")
    assert (done.returncode, done.stdout) == (0, f"Created api/v1.0.0 on commit {head[:12]}.\n")
    tag = _dulwich_tag(monorepo.remote, REF)
    assert tag.name == b"api/v1.0.0"
    assert tag.object[1].decode() == head
    assert tag.message == b"First version\n"
    assert tag.tagger == b"Test Person <test@example.invalid>"
    assert monorepo.git("tag") == ""
    git("fsck", "--strict", cwd=monorepo.remote)


def test_f66_the_same_again_changes_nothing(run: Run, monorepo: Monorepo) -> None:
    first = run("tag.create", *API, "--json")
    before = monorepo.remote_refs()
    again = run("tag.create", *API, "--json")
    assert (first.returncode, again.returncode) == (0, 0)
    assert monorepo.remote_refs() == before
    one, other = json.loads(first.stdout), json.loads(again.stdout)
    for document in (one, other):
        Draft202012Validator(json_schema(CreatedTag)).validate(document)
    assert (one["created"], other["created"]) == (True, False)
    assert one["tag"] == other["tag"]
    assert one["tag"]["tagId"] == before[REF]
    assert run("tag.create", *API).stdout.startswith("Nothing to do: there is already api/v1.0.0")


def test_f67_another_commit_is_a_conflict(run: Run, monorepo: Monorepo) -> None:
    run("tag.create", *API)
    before = monorepo.remote_refs()
    old = monorepo.git("rev-parse", "HEAD")
    new = monorepo.commit()
    done = run("tag.create", *API)
    assert done.returncode == 4
    assert f"on {old[:12]}, not on {new[:12]}" in done.stderr
    assert "next: inv tag.create --version v1.0.1 --subproject api\n" in done.stderr
    assert {**before, "refs/heads/main": new} == monorepo.remote_refs()


def test_f50_a_lightweight_tag_of_the_name_is_a_conflict(run: Run, monorepo: Monorepo) -> None:
    put_ref(monorepo.remote, "api/v1.0.0", monorepo.git("rev-parse", "HEAD"))
    done = run("tag.create", *API)
    assert done.returncode == 4
    assert "as a lightweight tag" in done.stderr
    assert "next: inv tag.create --version v1.0.1" in done.stderr


def test_f52_an_existing_tag_with_another_name_inside_is_refused(run: Run, monorepo: Monorepo) -> None:
    head = monorepo.git("rev-parse", "HEAD")
    put_ref(monorepo.remote, "api/v1.0.0", put_object(monorepo.remote, tag_content(head, "web/v6.6.6")))
    before = monorepo.remote_refs()
    done = run("tag.create", *API)
    assert done.returncode == 3
    assert "its object calls itself 'web/v6.6.6'" in done.stderr
    assert monorepo.remote_refs() == before


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("--version", "1.2"), id="F13-two-numbers"),
        pytest.param(("--version", "v1.2.3+b d"), id="F13-build"),
        pytest.param(("--version", "99999999999999999999.0.0"), id="F13-digits"),
        pytest.param(("--version", "v1.0.0-stable"), id="F13-state"),
        pytest.param(("--version", "v1.0.0-x.lock"), id="F11-lock"),
        pytest.param(("--version", f"v1.0.0-{'a' * 110}"), id="F13-121-characters-with-its-subproject"),
        pytest.param(("--version", "production"), id="F82-an-environment"),
        pytest.param(("--version", "$(id)"), id="F2-substitution"),
        pytest.param(("--version=-x",), id="F3-option"),
        pytest.param(("--version", "v1.0.0", "--commit=-x"), id="F3-commit-option"),
        pytest.param(("--version", "v1.0.0", "--commit=--upload-pack=x"), id="F3-commit-long-option"),
        pytest.param(("--version", "v1.0.0", "--commit", "nowhere"), id="F42-unknown-revision"),
        pytest.param(("--version", "v1.0.0", "--commit", "HEAD:api/main.txt"), id="F52-a-blob"),
        pytest.param(("--version", "v1.0.0", "--commit", "HEAD^{tree}"), id="F52-a-tree"),
        pytest.param(("--version", "v1.0.0", "--subproject", "../../etc"), id="F5-out-of-the-tree"),
        pytest.param(("--version", "v1.0.0", "--subproject", "Api"), id="F10-case"),
        pytest.param(("--version", "v1.0.0", "--subproject", "con"), id="F11-con"),
        pytest.param(("--version", "v1.0.0", "--subproject", "nothing"), id="F14-unknown-subproject"),
        pytest.param(("--version", "v1.0.0", "--subproject", "staging"), id="F14-an-environment"),
        pytest.param(("--version", "v1.0.0", "--force"), id="F86-force"),
    ],
)
def test_refused_arguments(run: Run, monorepo: Monorepo, arguments: tuple[str, ...]) -> None:
    before = monorepo.remote_refs()
    subproject = () if "--subproject" in arguments else ("--subproject", "api")
    done = run("tag.create", *arguments, *subproject)
    assert done.returncode == (1 if "--force" in arguments else 2)
    assert done.stdout == ""
    assert monorepo.remote_refs() == before


def test_which_subproject(run: Run, monorepo: Monorepo) -> None:
    nowhere = run("tag.create", "--version", "v1.0.0")
    assert nowhere.returncode == 2
    assert "There are: api, services/auth, web." in nowhere.stderr
    assert "next: inv tag.create --version v1.0.0 --subproject api" in nowhere.stderr
    inside = run("tag.create", "--version", "v1.0.0", cwd=monorepo.clone / "services/auth")
    assert inside.returncode == 0
    put_tag(monorepo.remote, "v0.1.0", monorepo.git("rev-parse", "HEAD"))
    root = run("tag.create", "--version", "v0.2.0")
    assert root.returncode == 0
    assert {"refs/tags/services/auth/v1.0.0", "refs/tags/v0.2.0"} < monorepo.remote_refs().keys()
    message = _dulwich_tag(monorepo.remote, "refs/tags/services/auth/v1.0.0").message
    assert message == b"services/auth v1.0.0\n"


def test_the_text_of_a_tag_without_a_message_is_its_name(run: Run, monorepo: Monorepo) -> None:
    write(monorepo.clone / "ci_tasks.yaml", "subprojects: [lib/vault]\n")
    monorepo.write("lib/vault/main.txt", "vault\n")
    monorepo.commit()
    assert run("tag.create", "--subproject", "lib/vault", "--version", "v1.0.0").returncode == 0
    assert _dulwich_tag(monorepo.remote, "refs/tags/lib/vault/v1.0.0").message == b"lib/vault v1.0.0\n"


def test_f6_a_subproject_behind_a_link_is_refused(run: Run, monorepo: Monorepo, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (monorepo.clone / "services/evil").symlink_to(tmp_path / "outside")
    before = monorepo.remote_refs()
    done = run("tag.create", "--subproject", "services/evil", "--version", "v1.0.0")
    assert done.returncode == 3
    assert "services/evil is a symbolic link" in done.stderr
    assert monorepo.remote_refs() == before


@pytest.mark.parametrize(
    "message",
    [
        "ünï 🚀 'quotes' \"and\" $(id) `id` ;id",
        "one\n---\n{}\n\ntwo",
        "\x1b[2J::add-mask::x\n##[error]y",
        "# not a comment\n-x",
        "-----BEGIN PGP SIGNATURE-----",
    ],
)
def test_the_message_is_kept_as_it_is(run: Run, monorepo: Monorepo, message: str) -> None:
    done = run("tag.create", *API, f"--message={message}")
    assert done.returncode == 0
    found = _dulwich_tag(monorepo.remote, REF)
    assert (found.message or b"").decode() + (found.signature or b"").decode() == f"{message}\n"
    assert run("tag.create", *API, f"--message={message}").stdout.startswith("Nothing to do")


def test_the_message_may_come_by_the_environment(run: Run, monorepo: Monorepo) -> None:
    assert run("tag.create", *API, env={"CI_TASKS_REASON": "by the workflow"}).returncode == 0
    assert _dulwich_tag(monorepo.remote, REF).message == b"by the workflow\n"


def test_f125_a_commit_on_no_branch_of_the_remote_is_refused(run: Run, monorepo: Monorepo) -> None:
    monorepo.git("commit", "--quiet", "--allow-empty", "--message", "Not pushed")
    before = monorepo.remote_refs()
    done = run("tag.create", *API)
    assert done.returncode == 3
    assert "on no branch of the remote" in done.stderr
    assert "next: git push --set-upstream origin main\n" in done.stderr
    assert monorepo.remote_refs() == before
    assert run("tag.create", *API, "--unpublished").returncode == 0
    assert _dulwich_tag(monorepo.remote, REF).object[1].decode() == monorepo.git("rev-parse", "HEAD")


def test_f42_a_commit_on_no_branch_at_all_gets_one_by_the_next_line(run: Run, monorepo: Monorepo) -> None:
    monorepo.git("checkout", "--quiet", "--detach")
    monorepo.git("commit", "--quiet", "--allow-empty", "--message", "Not pushed")
    done = run("tag.create", *API)
    line = shlex.split(done.stderr.splitlines()[-1].removeprefix("next: "))
    assert (done.returncode, line[:2]) == (3, ["git", "push"])
    git(*line[1:], cwd=monorepo.clone)
    assert run("tag.create", *API).returncode == 0


def test_the_root_project_gets_its_first_version_by_a_dot(run: Run, monorepo: Monorepo) -> None:
    assert "The root project is named by: --subproject ." in run("tag.create", "--version", "v1.0.0").stderr
    inside = monorepo.clone / "api"
    assert run("tag.create", "--version", "v1.0.0", "--subproject", ".", cwd=inside).returncode == 0
    assert {name for name in monorepo.remote_refs() if "tags" in name} == {"refs/tags/v1.0.0"}


def test_ctrl_c_during_the_push_says_that_it_may_be_applied(monorepo: Monorepo, tmp_path: Path) -> None:
    there, go_on = tmp_path / "there", tmp_path / "go-on"
    hook = monorepo.remote / "hooks/post-receive"
    write(hook, f"#!/bin/sh\ntouch {there}\nwhile [ ! -e {go_on} ]; do sleep 0.05; done\n", executable=True)
    process = subprocess.Popen(
        [str(program("inv")), "tag.create", *API],
        cwd=monorepo.clone,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    while not there.exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said = process.communicate()[1]
    go_on.touch()
    assert process.returncode == 130
    assert "The push may still be applied" in said
    head = monorepo.git("rev-parse", "HEAD")
    again = f"tag.create --version v1.0.0 --subproject api --commit {head}"
    assert said.splitlines()[-1] == f"next: inv {again}"
    assert REF in monorepo.remote_refs()


@pytest.mark.parametrize(
    ("existing", "wanted"),
    [
        pytest.param("api", "api/v1.0.0", id="F112-a-tag-is-in-the-way"),
        pytest.param("services", "services/auth/v1.0.0", id="F112-above"),
        pytest.param("api/v1.0.0/notes", "api/v1.0.0", id="F112-below"),
        pytest.param("api/v1.0.0/it's;id", "api/v1.0.0", id="F112-with-a-quote"),
    ],
)
def test_names_that_git_cannot_keep_beside_each_other(
    run: Run, monorepo: Monorepo, existing: str, wanted: str
) -> None:
    put_ref(monorepo.remote, existing, monorepo.git("rev-parse", "HEAD"))
    before = monorepo.remote_refs()
    done = run("tag.create", "--subproject", wanted.removesuffix("/v1.0.0"), "--version", "v1.0.0")
    assert done.returncode == 3
    assert f"git can't keep the tags {existing} and {wanted} side by side" in done.stderr
    assert monorepo.remote_refs() == before
    (line,) = (text for text in done.stderr.splitlines() if text.startswith("next: "))
    pasted = ["sh", "-c", line.removeprefix("next: ")]
    typed = subprocess.run(pasted, check=True, capture_output=True, text=True)
    assert typed.stdout.split() == [before[f"refs/tags/{existing}"], f"refs/tags/{existing}"]


def test_f112_a_clash_that_comes_up_during_the_push(run: Run, monorepo: Monorepo, tmp_path: Path) -> None:
    head = monorepo.git("rev-parse", "HEAD")
    env = once_before(tmp_path, "push", f"git -C {monorepo.remote} update-ref refs/tags/api {head}")
    done = run("tag.create", *API, env=env)
    assert done.returncode == 3
    assert "git can't keep a tag beside another that is a folder of its name" in done.stderr
    assert REF not in monorepo.remote_refs()


@pytest.mark.parametrize(
    ("is_same", "code"),
    [pytest.param(False, 4, id="F68-another-commit"), pytest.param(True, 0, id="F66-the-same-commit")],
)
def test_a_tag_that_appears_during_the_push(
    run: Run, monorepo: Monorepo, tmp_path: Path, *, is_same: bool, code: int
) -> None:
    head = monorepo.git("rev-parse", "HEAD")
    commit = head if is_same else monorepo.commit()
    other = put_object(monorepo.remote, tag_content(commit, "api/v1.0.0"))
    monorepo.git("reset", "--quiet", "--hard", head)
    env = once_before(tmp_path, "push", f"git -C {monorepo.remote} update-ref {REF} {other}")
    done = run("tag.create", *API, env=env)
    assert done.returncode == code
    if is_same:
        assert done.stdout.startswith("Nothing to do: there is already api/v1.0.0")
    else:
        assert f"api/v1.0.0 exists already, on {commit[:12]}, not on {head[:12]}." in done.stderr
    assert monorepo.remote_refs()[REF] == other


def test_f68_of_two_at_once_exactly_one_wins(inv: Inv, monorepo: Monorepo, tmp_path: Path) -> None:
    second = tmp_path / "second"
    git("clone", "--quiet", str(monorepo.remote), str(second), cwd=tmp_path)
    git("commit", "--quiet", "--allow-empty", "--message", "Other", cwd=second)
    git("push", "--quiet", "origin", "main", cwd=second)
    clones = (monorepo.clone, second)
    before = [snapshot(clone) for clone in clones]
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda clone: inv("tag.create", *API, cwd=clone), clones))
    assert sorted(one.returncode for one in done) == [0, 4]
    winner = clones[[one.returncode for one in done].index(0)]
    tag = _dulwich_tag(monorepo.remote, REF)
    assert tag.object[1].decode() == git("rev-parse", "HEAD", cwd=winner)
    assert [snapshot(clone) for clone in clones] == before


def test_f47_a_stale_local_tag_is_named_and_left_alone(run: Run, monorepo: Monorepo) -> None:
    head = monorepo.git("rev-parse", "HEAD")
    put_tag(monorepo.remote, "api/v1.0.0", head)
    monorepo.commit()
    monorepo.git("tag", "-a", "-m", "stale", "api/v1.0.0")
    done = run("tag.create", *API, "--commit", head)
    assert done.returncode == 0
    assert "warning: The tag api/v1.0.0 in this clone is on" in done.stderr
    assert f"the remote's is on {head[:12]}" in done.stderr


def test_f47_a_local_tag_is_no_tag_of_the_remote(run: Run, monorepo: Monorepo) -> None:
    old = monorepo.git("rev-parse", "HEAD")
    monorepo.git("tag", "-a", "-m", "only here", "api/v1.0.0")
    new = monorepo.commit()
    assert run("tag.create", *API).returncode == 0
    assert _dulwich_tag(monorepo.remote, REF).object[1].decode() == new
    assert monorepo.git("rev-parse", "api/v1.0.0^{commit}") == old


def test_f48_a_flattened_local_tag_is_not_believed(run: Run, monorepo: Monorepo) -> None:
    head = monorepo.git("rev-parse", "HEAD")
    put_tag(monorepo.remote, "api/v1.0.0", head)
    monorepo.git("tag", "api/v1.0.0", head)
    done = run("tag.create", *API)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Nothing to do")


def test_f49_branches_of_the_same_name_do_not_disturb(run: Run, monorepo: Monorepo) -> None:
    old = monorepo.git("rev-parse", "HEAD")
    for name in ("api/v1.0.0", "api/staging", "tags/api/v1.0.0"):
        monorepo.git("branch", name)
        monorepo.git("push", "--quiet", "origin", f"refs/heads/{name}")
    new = monorepo.commit()
    assert run("tag.create", *API).returncode == 0
    assert _dulwich_tag(monorepo.remote, REF).object[1].decode() == new
    assert monorepo.remote_refs()["refs/heads/api/v1.0.0"] == old


def test_f42_zero_commits(inv: Inv, tmp_path: Path) -> None:
    git("init", "--quiet", str(tmp_path / "new"), cwd=tmp_path)
    write(tmp_path / "new/tasks.py", "from ci_tasks import ns\n")
    done = inv("tag.create", "--version", "v1.0.0", cwd=tmp_path / "new")
    assert done.returncode == 2
    assert "There is no commit 'HEAD' here" in done.stderr
    assert git("for-each-ref", cwd=tmp_path / "new") == ""


def test_f42_a_detached_head(run: Run, monorepo: Monorepo) -> None:
    old = monorepo.git("rev-parse", "HEAD")
    monorepo.commit()
    monorepo.git("checkout", "--quiet", "--detach", old)
    assert run("tag.create", *API).returncode == 0
    assert _dulwich_tag(monorepo.remote, REF).object[1].decode() == old


def test_f37_a_shallow_clone_without_tags(inv: Inv, monorepo: Monorepo, tmp_path: Path) -> None:
    old = monorepo.git("rev-parse", "HEAD")
    monorepo.commit()
    put_tag(monorepo.remote, "api/v0.9.0", old)
    shallow = tmp_path / "shallow"
    git("clone", "--quiet", "--depth=1", "--no-tags", f"file://{monorepo.remote}", str(shallow), cwd=tmp_path)
    before = snapshot(shallow)
    assert inv("tag.create", *API, cwd=shallow).returncode == 0
    assert snapshot(shallow) == before
    assert _dulwich_tag(monorepo.remote, REF).object[1].decode() == monorepo.git("rev-parse", "HEAD")


def test_f124_a_repository_without_a_remote_runs_none_of_its_hooks(inv: Inv, tmp_path: Path) -> None:
    clone = build_monorepo(tmp_path).clone
    git("remote", "remove", "origin", cwd=clone)
    ran = tmp_path / "ran"
    for hook in (
        "pre-push",
        "reference-transaction",
        "post-update",
        "update",
        "pre-receive",
        "post-checkout",
    ):
        write(clone / ".git/hooks" / hook, f"#!/bin/sh\necho {hook} >> {ran}\nexit 1\n", executable=True)
    done = inv("tag.create", *API, cwd=clone)
    assert (done.returncode, done.stderr) == (0, "")
    assert not ran.exists()
    assert git("cat-file", "-t", "api/v1.0.0", cwd=clone) == "tag"
    before = snapshot(clone)
    assert inv("tag.create", *API, cwd=clone).returncode == 0
    assert snapshot(clone) == before
    git("-c", "core.hooksPath=/dev/null", "commit", "--quiet", "--allow-empty", "-m", "Next", cwd=clone)
    before = snapshot(clone)
    assert inv("tag.create", *API, cwd=clone).returncode == 4
    assert snapshot(clone) == before


def test_f34_hooks_of_the_clone_are_not_run(run: Run, monorepo: Monorepo, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    for hook in ("pre-push", "reference-transaction", "post-checkout"):
        write(monorepo.clone / ".git/hooks" / hook, f"#!/bin/sh\ntouch {ran}\nexit 1\n", executable=True)
    assert run("tag.create", *API).returncode == 0
    assert not ran.exists()


def test_f80_what_the_remote_declines(run: Run, monorepo: Monorepo) -> None:
    hook = (
        "#!/bin/sh\necho 'error: GH013: Repository rule violations found for refs/tags/api/v1.0.0.' >&2\n"
        "echo '- Cannot create ref due to creations being restricted.' >&2\nexit 1\n"
    )
    write(monorepo.remote / "hooks/pre-receive", hook, executable=True)
    before = monorepo.remote_refs()
    done = run("tag.create", *API)
    assert done.returncode == 3
    assert (
        "a ruleset on GitHub declines it (Cannot create ref due to creations being restricted)" in done.stderr
    )
    assert "GH013: Repository rule violations found for refs/tags/api/v1.0.0." in done.stderr
    assert "creations being restricted" in done.stderr
    assert monorepo.remote_refs() == before


def test_f81_the_name_of_an_immutable_release(run: Run, monorepo: Monorepo) -> None:
    hook = "#!/bin/sh\necho 'Cannot create ref: api/v1.0.0 was used by an immutable release.' >&2\nexit 1\n"
    write(monorepo.remote / "hooks/pre-receive", hook, executable=True)
    done = run("tag.create", *API)
    assert done.returncode == 3
    assert "was used by an immutable release" in done.stderr
    assert "next: inv tag.create --version v1.0.1 --subproject api\n" in done.stderr


def test_f78_a_stale_lock_on_the_remote(run: Run, monorepo: Monorepo) -> None:
    lock = write(monorepo.remote / "refs/tags/api/v1.0.0.lock", "")
    done = run("tag.create", *API, "--message", "It's time")
    assert done.returncode == 5
    assert "a lock file was left on the remote" in done.stderr
    assert f"rm '{monorepo.remote}/./refs/tags/api/v1.0.0.lock'" in done.stderr
    assert lock.exists()
    head = monorepo.git("rev-parse", "HEAD")
    again = f"inv tag.create --version v1.0.0 --subproject api --commit {head} --message "
    assert f"next: {again}'It'\"'\"'s time'\n" in done.stderr
    assert REF not in monorepo.remote_refs()
    lock.unlink()
    assert run("tag.create", *API).returncode == 0


SSH = """\
#!/bin/sh
for last; do :; done
case "$last" in
  *receive-pack*) echo 'ERROR: Permission to example/project.git denied to reader.' >&2; exit 128 ;;
  *) eval "$last" ;;
esac
"""


def test_f83_a_login_that_may_only_read(run: Run, monorepo: Monorepo, tmp_path: Path) -> None:
    monorepo.git("remote", "set-url", "origin", f"ssh://git@example.invalid{monorepo.remote}")
    ssh = write(tmp_path / "ssh", SSH, executable=True)
    before = monorepo.remote_refs()
    done = run("tag.create", *API, env={"GIT_SSH_COMMAND": str(ssh), "GIT_SSH_VARIANT": "simple"})
    assert done.returncode == 5
    assert "the login was refused" in done.stderr
    assert "denied to reader" in done.stderr
    assert "Nothing was changed." in done.stderr
    assert monorepo.remote_refs() == before


def test_f87_a_remote_that_is_not_there(run: Run, monorepo: Monorepo, tmp_path: Path) -> None:
    monorepo.git("remote", "set-url", "origin", str(tmp_path / "nowhere.git"))
    done = run("tag.create", *API)
    assert done.returncode == 5
    assert "Nothing was changed." in done.stderr


def test_f113_settings_of_the_user_move_no_tag(run: Run, monorepo: Monorepo) -> None:
    monorepo.git("config", "push.followTags", "true")
    monorepo.git("config", "--add", "remote.origin.fetch", "+refs/tags/*:refs/tags/*")
    monorepo.git("tag", "-a", "-m", "mine", "private")
    put_tag(monorepo.remote, "web/v1.0.0", monorepo.git("rev-parse", "HEAD"))
    before = monorepo.remote_refs()
    assert run("tag.create", *API).returncode == 0
    assert monorepo.remote_refs().keys() == {*before, REF}
    assert monorepo.git("tag") == "private"


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param((("remote.origin.pushurl", "/elsewhere.git"),), id="F114-another-push-address"),
        pytest.param((("remote.origin.url", "/second.git"),), id="F114-two-addresses"),
        pytest.param((("url./elsewhere/.pushInsteadOf", "/"),), id="F114-push-instead-of"),
    ],
)
def test_more_than_one_address_is_refused(
    run: Run, monorepo: Monorepo, settings: tuple[tuple[str, str], ...]
) -> None:
    for name, value in settings:
        monorepo.git("config", "--add", name, value)
    done = run("tag.create", *API)
    assert done.returncode == 3
    assert f"from {monorepo.remote}" in done.stderr
    assert "pushes to " in done.stderr
    assert REF not in monorepo.remote_refs()


def test_f3_no_text_of_the_user_is_an_option_of_git(run: Run, monorepo: Monorepo, tmp_path: Path) -> None:
    log = tmp_path / "log"
    env = git_wrapper(tmp_path, f'printf "%s\\n" "$@" >> {log}')
    run("tag.create", *API, "--message=--evil", "--commit=main", env=env)
    said = log.read_text(encoding="utf-8").splitlines()
    assert "push" in said
    assert "--evil" not in said
    assert not [word for word in said if word in {"--force", "-f"} or word.startswith("+refs")]
    assert REF in monorepo.remote_refs()


def _bump(monorepo: Monorepo, bump: str = "auto", *, clone: Path | None = None, **more: Any) -> CreatedTag:
    """What `tag.create --subproject api --bump` answers in a clone."""
    wanted = NewVersion(**{"bump": bump, "subproject": "api", **more})
    return create(Checkout.open(clone or monorepo.clone, {}), wanted)


def _change(monorepo: Monorepo, message: str, path: str = "api/file") -> str:
    """A pushed commit that changes a file."""
    monorepo.write(path, f"{message} {monorepo.git('rev-parse', 'HEAD')}")
    return monorepo.commit(message)


def _versions(monorepo: Monorepo) -> dict[str, str]:
    """The remote's tags with the commits that they lead to."""
    listed = git("for-each-ref", "--format=%(refname:short) %(*objectname)", "refs/tags", cwd=monorepo.remote)
    return dict(line.split(" ") for line in listed.splitlines())


@pytest.mark.parametrize(
    ("messages", "wanted"),
    [
        (("fix: a",), "v1.2.4"),
        (("fix: a", "feat: b", "docs: c"), "v1.3.0"),
        (("feat: a", "chore: b\n\nBREAKING CHANGE: c"), "v2.0.0"),
        (("Something",), None),
        (("docs: a", "chore: b", "Something"), None),
        ((), None),
    ],
)
def test_the_commits_decide(monorepo: Monorepo, messages: tuple[str, ...], wanted: str | None) -> None:
    put_tag(monorepo.remote, "api/v1.2.3", monorepo.commit("Before"))
    _change(monorepo, "feat!: of another", "web/file")
    for message in messages:
        _change(monorepo, message)
    before = monorepo.remote_refs()
    planned = _bump(monorepo, dry_run=True)
    assert monorepo.remote_refs() == before
    done = _bump(monorepo)
    assert (done.version, done.previous_version, done.commits) == (wanted, "v1.2.3", len(messages))
    assert done.created is (wanted is not None)
    assert (done.tag is None) is (wanted is None)
    assert (planned.tag, planned.created, planned.dry_run) == (None, False, True)
    for name in ("version", "tag_name", "commit_sha", "bump", "changes", "commits", "carries"):
        assert getattr(planned, name) == getattr(done, name)
    if wanted:
        assert _versions(monorepo)[f"api/{wanted}"] == monorepo.git("rev-parse", "HEAD")
    else:
        assert monorepo.remote_refs() == before


def test_before_one_a_breaking_change_is_a_minor_step(monorepo: Monorepo) -> None:
    put_tag(monorepo.remote, "api/v0.2.3", monorepo.git("rev-parse", "HEAD"))
    _change(monorepo, "feat!: all is new")
    assert _bump(monorepo, dry_run=True).version == "v0.3.0"
    assert _bump(monorepo, "major").version == "v1.0.0"


@pytest.mark.parametrize("bump", ["major", "minor", "patch", "auto"])
def test_the_first_version(monorepo: Monorepo, bump: str) -> None:
    assert _bump(monorepo, bump, pre="beta").version == "v0.1.0-beta.1"
    again = created_text(_bump(monorepo, bump, pre="beta"), is_bump=True)
    assert (
        again == f"Nothing to release: {monorepo.git('rev-parse', 'HEAD')[:12]} is api/v0.1.0-beta.1 already."
    )
    _change(monorepo, "Something")
    done = _bump(monorepo, bump)
    assert (done.version, done.bump, done.previous_version) == ("v0.1.0", None, None)
    assert "There is no release of api in the commit's history" in created_text(done, is_bump=True)


def test_a_first_version_of_nothing(monorepo: Monorepo) -> None:
    monorepo.write("empty/.gitkeep", "")
    monorepo.write("ci_tasks.yaml", "subprojects: [api, empty]\n")
    done = _bump(monorepo, subproject="empty")
    assert (done.tag, done.version, done.commits) == (None, None, 0)
    assert "No commits to empty so far" in created_text(done, is_bump=True)


def test_pre_releases_are_counted(monorepo: Monorepo) -> None:
    put_tag(monorepo.remote, "api/v1.2.3", monorepo.git("rev-parse", "HEAD"))
    _change(monorepo, "feat: one")
    assert _bump(monorepo, pre="beta").version == "v1.3.0-beta.1"
    again = _bump(monorepo, pre="beta")
    assert (again.tag, again.carries) == (None, "api/v1.3.0-beta.1")
    assert created_text(again, is_bump=True).startswith("Nothing to release: ")
    _change(monorepo, "docs: two")
    assert _bump(monorepo, pre="beta").version == "v1.3.0-beta.2"
    assert _bump(monorepo, pre="rc").version == "v1.3.0-rc.1"
    _change(monorepo, "fix!: three")
    assert _bump(monorepo, pre="beta").version == "v2.0.0-beta.1"
    done = _bump(monorepo)
    assert (done.version, len(done.changes)) == ("v2.0.0", 2)
    assert _bump(monorepo, pre="beta").carries == "api/v2.0.0"


@pytest.mark.parametrize("bump", ["major", "minor", "patch", "auto"])
def test_f66_the_commit_is_released_already(monorepo: Monorepo, bump: str) -> None:
    put_tag(monorepo.remote, "api/v1.2.3", monorepo.git("rev-parse", "HEAD"))
    before = monorepo.remote_refs()
    done = _bump(monorepo, bump)
    assert (done.tag, done.created, done.carries) == (None, False, "api/v1.2.3")
    assert monorepo.remote_refs() == before


def test_names_that_are_no_versions_of_the_subproject(monorepo: Monorepo) -> None:
    head = monorepo.git("rev-parse", "HEAD")
    put_tag(monorepo.remote, "api/v1.2.3", head)
    for name in ("v9.9.9-stable", "api/production", "release-9", "web/v9.0.0", "api/v8.0.0-stable", "v7.0.0"):
        put_tag(monorepo.remote, name, head)
    for name in ("api/v9.0.0", "api/v1.2.4"):
        monorepo.git("tag", "-a", "-m", "only here", name)
    _change(monorepo, "fix: one")
    assert _bump(monorepo).version == "v1.2.4"


def test_the_newest_is_found_by_number_not_by_name_or_date(monorepo: Monorepo) -> None:
    for name in ("api/v1.10.0", "api/v1.9.0", "api/v1.2.0"):
        put_tag(monorepo.remote, name, monorepo.commit())
    _change(monorepo, "fix: one")
    assert _bump(monorepo).version == "v1.10.1"


def test_a_maintenance_branch(monorepo: Monorepo) -> None:
    old = monorepo.git("rev-parse", "HEAD")
    put_tag(monorepo.remote, "api/v1.2.0", old)
    new = _change(monorepo, "feat!: two")
    put_tag(monorepo.remote, "api/v2.0.0", new)
    monorepo.git("checkout", "--quiet", "-b", "maintenance", old)
    monorepo.write("api/fix", "1")
    monorepo.git("add", "--all")
    monorepo.git("commit", "--quiet", "--message", "fix: one")
    monorepo.git("push", "--quiet", "origin", "maintenance")
    done = _bump(monorepo)
    assert (done.version, done.previous_version, done.newer_version) == ("v1.2.1", "v1.2.0", "v2.0.0")
    assert "v2.0.0 is newer, but not in the commit's history." in created_text(done, is_bump=True)
    monorepo.write("api/fix", "2")
    monorepo.git("commit", "--quiet", "--all", "--message", "feat!: three")
    monorepo.git("push", "--quiet", "origin", "maintenance")
    before = monorepo.remote_refs()
    for label in (None, "beta"):
        with pytest.raises(ConflictError, match=rf"api/v2\.0\.0, and that exists already, on {new[:12]}"):
            _bump(monorepo, pre=label)
    assert monorepo.remote_refs() == before


def test_f37_the_history_of_a_shallow_clone_is_fetched(monorepo: Monorepo, tmp_path: Path) -> None:
    put_tag(monorepo.remote, "api/v1.2.3", monorepo.git("rev-parse", "HEAD"))
    _change(monorepo, "feat: one")
    for number in range(3):
        _change(monorepo, f"docs: {number}")
    shallow = tmp_path / "shallow"
    git("clone", "--quiet", "--depth=1", "--no-tags", f"file://{monorepo.remote}", str(shallow), cwd=tmp_path)
    before = snapshot(shallow)
    done = _bump(monorepo, clone=shallow)
    assert (done.version, done.commits) == ("v1.3.0", 4)
    assert snapshot(shallow) == before


def test_f125_a_bump_is_refused_as_a_version_is(monorepo: Monorepo) -> None:
    put_tag(monorepo.remote, "api/v1.2.3", monorepo.git("rev-parse", "HEAD"))
    monorepo.write("api/file", "1")
    monorepo.git("add", "--all")
    monorepo.git("commit", "--quiet", "--message", "fix: not pushed")
    for dry_run in (True, False):
        with pytest.raises(RefusedError, match="on no branch of the remote"):
            _bump(monorepo, dry_run=dry_run)
    assert _bump(monorepo, unpublished=True).version == "v1.2.4"


def test_no_git_cliff(monorepo: Monorepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("git", "sh"):
        (tmp_path / name).symlink_to(shutil.which(name) or "")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    put_tag(monorepo.remote, "api/v1.2.3", monorepo.git("rev-parse", "HEAD"))
    _change(monorepo, "fix: one")
    with pytest.raises(UnavailableError, match="git-cliff is not installed"):
        _bump(monorepo)
    assert _bump(monorepo, "minor").version == "v1.3.0"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "Which version"),
        ({"version": "v1.0.0", "bump": "auto"}, "exclude each other"),
        ({"version": "v1.0.0", "pre": "beta"}, "--pre belongs to --bump"),
        ({"bump": "auto", "pre": "stable"}, "are states of a version"),
        ({"bump": "patch", "pre": "Beta"}, "is not the label"),
    ],
)
def test_what_does_not_go_together(monorepo: Monorepo, given: dict[str, str], text: str) -> None:
    with pytest.raises(UsageError, match=text) as caught:
        create(Checkout.open(monorepo.clone, {}), NewVersion(subproject="api", **given))  # type: ignore[arg-type]  # texts alone
    line = caught.value.next_step
    assert line is None or line.endswith(" --subproject api")


def test_a_bump_on_the_command_line(run: Run, monorepo: Monorepo) -> None:
    put_tag(monorepo.remote, "api/v1.2.3", monorepo.git("rev-parse", "HEAD"))
    _change(monorepo, "feat(core): a new \x1b[31mthing")
    head = monorepo.git("rev-parse", "HEAD")
    before = monorepo.remote_refs()
    line = ("tag.create", "--subproject", "api", "--bump", "auto")
    planned = run(*line, "--dry-run", "--json")
    assert monorepo.remote_refs() == before
    assert run(*line, "--dry-run").stdout.splitlines() == [
        f"Would create api/v1.3.0 on commit {head[:12]}. Nothing was changed.",
        "A minor step from v1.2.3, the newest release in the commit's history.",
        "1 commit since then; these count (1 feat):",
        f"  {head[:7]} feat(core): a new thing",
    ]
    done = run(*line, "--json")
    again = run(*line, "--json")
    assert [each.returncode for each in (planned, done, again)] == [0, 0, 0]
    for each in (planned, done, again):
        Draft202012Validator(json_schema(CreatedTag)).validate(json.loads(each.stdout))
    assert json.loads(done.stdout)["tag"]["tagName"] == "api/v1.3.0"
    assert json.loads(again.stdout)["carries"] == "api/v1.3.0"
    assert run(*line).stdout == f"Nothing to release: {head[:12]} is api/v1.3.0 already.\n"
    assert run("tag.create", "--bump", "huge").returncode == 2


def test_a_dry_run_of_a_version(run: Run, monorepo: Monorepo) -> None:
    before = monorepo.remote_refs()
    done = run("tag.create", *API, "--dry-run")
    assert (done.returncode, done.stdout.split(" on commit")[0]) == (0, "Would create api/v1.0.0")
    assert monorepo.remote_refs() == before


def test_many_changes_are_counted_not_shown(monorepo: Monorepo) -> None:
    put_tag(monorepo.remote, "api/v1.2.3", monorepo.git("rev-parse", "HEAD"))
    for number in range(23):
        monorepo.write("api/file", str(number))
        monorepo.git("add", "--all")
        monorepo.git("commit", "--quiet", "--message", f"fix: {number}")
    monorepo.commit("fix: not api")
    text = created_text(_bump(monorepo), is_bump=True).splitlines()
    assert (len(text), text[-1]) == (24, "  and 3 more")


def _other_clone(monorepo: Monorepo, folder: Path) -> Path:
    git("clone", "--quiet", str(monorepo.remote), str(folder), cwd=folder.parent)
    return folder


@pytest.mark.parametrize("bump", ["auto", "patch"])
def test_f68_two_clones_bump_the_same_commit(inv: Inv, monorepo: Monorepo, tmp_path: Path, bump: str) -> None:
    put_tag(monorepo.remote, "api/v1.2.3", monorepo.git("rev-parse", "HEAD"))
    _change(monorepo, "fix: one")
    clones = (monorepo.clone, _other_clone(monorepo, tmp_path / "second"))
    line = ("tag.create", "--subproject", "api", "--bump", bump, "--json")
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda clone: inv(*line, cwd=clone), clones))
    assert [each.returncode for each in done] == [0, 0]
    assert set(_versions(monorepo)) == {"api/v1.2.3", "api/v1.2.4"}
    # Two that write the same object in the same second have both created it; else one had nothing to do.
    answers = [json.loads(each.stdout) for each in done]
    written = [answer["tag"]["tagId"] for answer in answers if answer["created"]]
    assert set(written) == {monorepo.remote_refs()["refs/tags/api/v1.2.4"]}
    assert all(answer["created"] or answer["carries"] == "api/v1.2.4" for answer in answers)


@pytest.mark.parametrize(
    ("rival", "wanted"),
    [
        pytest.param("HEAD~1", "v1.2.5", id="F68-planned-once-more"),
        pytest.param("side", None, id="F68-conflict"),
    ],
)
def test_a_bump_that_loses_a_race(
    monorepo: Monorepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rival: str, wanted: str | None
) -> None:
    """Somebody else takes v1.2.4, for a commit before ours or for one that is not in our history."""
    old = monorepo.git("rev-parse", "HEAD")
    put_tag(monorepo.remote, "api/v1.2.3", old)
    monorepo.git("branch", "side", monorepo.git("commit-tree", "-m", "fix: side", "-p", old, "HEAD^{tree}"))
    monorepo.git("push", "--quiet", "origin", "side")
    _change(monorepo, "fix: one")
    _change(monorepo, "fix: two")
    other = put_object(monorepo.remote, tag_content(monorepo.git("rev-parse", rival), "api/v1.2.4"))
    command = f"git -C {monorepo.remote} update-ref refs/tags/api/v1.2.4 {other}"
    for name, value in once_before(tmp_path, "push", command).items():
        monkeypatch.setenv(name, value)
    if wanted is None:
        with pytest.raises(ConflictError, match=r"api/v1\.2\.4, and that exists already"):
            _bump(monorepo)
    else:
        done = _bump(monorepo)
        assert (done.version, done.previous_version, done.commits) == (wanted, "v1.2.4", 1)
        assert done.created


def test_f68_a_second_lost_race_is_a_conflict(
    monorepo: Monorepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_tag(monorepo.remote, "api/v1.2.3", monorepo.git("rev-parse", "HEAD"))
    _change(monorepo, "fix: one")
    middle = monorepo.git("rev-parse", "HEAD")
    _change(monorepo, "fix: two")
    for number in (4, 5):
        rival = put_object(monorepo.remote, tag_content(middle, f"api/v1.2.{number}"))
        write(tmp_path / f"rival.{number}", rival)
    script = f"""case " $* " in *" push "*)
n=$(cat {tmp_path}/count 2>/dev/null || echo 3); n=$((n + 1)); echo $n > {tmp_path}/count
{shutil.which("git")} -C {monorepo.remote} update-ref refs/tags/api/v1.2.$n $(cat {tmp_path}/rival.$n);;
esac"""
    env = git_wrapper(tmp_path, script)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(CiTasksError) as caught:
        _bump(monorepo)
    assert isinstance(caught.value, ConflictError)
    assert "api/v1.2.5 exists already" in caught.value.what
    assert set(_versions(monorepo)) == {"api/v1.2.3", "api/v1.2.4", "api/v1.2.5"}


def test_f81_a_bump_to_a_burned_name(monorepo: Monorepo) -> None:
    hook = "#!/bin/sh\necho 'Cannot create ref: api/v1.2.4 was used by an immutable release.' >&2\nexit 1\n"
    put_tag(monorepo.remote, "api/v1.2.3", monorepo.git("rev-parse", "HEAD"))
    _change(monorepo, "fix: one")
    write(monorepo.remote / "hooks/pre-receive", hook, executable=True)
    with pytest.raises(RefusedError) as caught:
        _bump(monorepo)
    assert caught.value.next_step == "inv tag.create --version v1.2.5 --subproject api"


def test_sign_signs_the_tag(monorepo: Monorepo, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    monorepo.git("config", "gpg.format", "ssh")
    monorepo.git("config", "user.signingKey", str(key))
    done = _bump(monorepo, "minor", sign=True)
    assert done.tag is not None
    found = git("cat-file", "tag", done.tag.tag_id, cwd=monorepo.remote)
    assert "-----BEGIN SSH SIGNATURE-----" in found
    _change(monorepo, "fix: one")
    plain = _bump(monorepo, "minor")
    assert plain.tag is not None
    assert "SIGNATURE" not in git("cat-file", "tag", plain.tag.tag_id, cwd=monorepo.remote)


def test_sign_says_that_an_existing_version_stays_unsigned(run: Run, monorepo: Monorepo) -> None:
    run("tag.create", *API)
    before = monorepo.remote_refs()
    plain, signing = run("tag.create", *API), run("tag.create", *API, "--sign")
    assert (plain.stderr, signing.returncode) == ("", 0)
    assert "note: api/v1.0.0 is not signed, and stays so" in signing.stderr
    assert "inv tag.create --version v1.0.1 --subproject api --sign" in signing.stderr
    assert monorepo.remote_refs() == before
