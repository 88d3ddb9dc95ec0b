"""The user's repository, and how git is started."""

from __future__ import annotations

import os
import signal
import time
import tracemalloc
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ci_tasks.core.errors import ExitCode, RefusedError, UnavailableError, UsageError
from ci_tasks.core.git.failures import spoken
from ci_tasks.core.git.process import Ends, GitFailedError, run_git, stream_git
from ci_tasks.core.git.repository import Identity, Repository
from tests.core.places import counting_git, hook, origin_of, picture, serving
from tests.repositories import Monorepo, git, write

if TYPE_CHECKING:
    from types import FrameType

NOBODY = 65_534


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A repository without a commit."""
    git("init", "--quiet", str(tmp_path / "empty"), cwd=tmp_path)
    return tmp_path / "empty"


def fake_git(folder: Path, text: str) -> str:
    write(folder / "bin" / "git", f"#!/bin/sh\n{text}\n", executable=True)
    return str(folder / "bin")


class TestDiscovery:
    """Where the repository is, and what stands in the way."""

    def test_from_a_folder_below_the_root(self, monorepo: Monorepo) -> None:
        found = Repository.discover(monorepo.clone / "services" / "auth")
        assert (found.root, found.git_dir, found.common_dir) == (
            monorepo.clone,
            monorepo.clone / ".git",
            monorepo.clone / ".git",
        )
        assert (found.is_shallow, found.is_partial, found.object_format) == (False, False, "sha1")

    def test_from_a_linked_work_tree(self, monorepo: Monorepo, tmp_path: Path) -> None:
        monorepo.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"))
        found = Repository.discover(tmp_path / "linked")
        assert found.root == tmp_path / "linked"
        assert found.git_dir == monorepo.clone / ".git/worktrees/linked"
        assert found.common_dir == monorepo.clone / ".git"
        assert found.origin("origin").refs("refs/heads/main")

    @pytest.mark.parametrize(
        "name", [b"new\nline", "u\x85x".encode(), b"a\x1cb", b"caf\xe9"], ids=["LF", "NEL", "FS", "Latin-1"]
    )
    def test_a_path_that_is_no_plain_text(self, tmp_path: Path, name: bytes) -> None:
        folder = tmp_path / os.fsdecode(name)
        folder.mkdir()
        git("init", "--quiet", cwd=folder)
        found = Repository.discover(folder)
        assert (found.root, found.git_dir) == (folder, folder / ".git")
        assert found.object_format == "sha1"
        address = found.origin("origin").address
        assert address.encode() == os.fsencode(folder).replace(b"\xe9", rb"\udce9")

    def test_no_repository(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="not inside a git repository"):
            Repository.discover(tmp_path)
        with pytest.raises(UsageError, match="not a folder"):
            Repository.discover(tmp_path / "nowhere")

    def test_no_work_tree(self, monorepo: Monorepo) -> None:
        for place in (monorepo.remote, monorepo.clone / ".git"):
            with pytest.raises(UsageError, match="no work tree"):
                Repository.discover(place)

    @pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
    def test_f36_another_owner_is_named_with_the_fix(self, monorepo: Monorepo) -> None:
        before = (Path.home() / ".gitconfig").read_bytes()
        os.chown(monorepo.clone, NOBODY, NOBODY)
        os.chown(monorepo.clone / ".git", NOBODY, NOBODY)
        with pytest.raises(UnavailableError) as caught:
            Repository.discover(monorepo.clone)
        assert "another user" in caught.value.what
        assert caught.value.next_step == f"git config --global --add safe.directory {monorepo.clone}"
        assert (Path.home() / ".gitconfig").read_bytes() == before

    @pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
    def test_f36_another_owner_of_the_remote(self, monorepo: Monorepo) -> None:
        os.chown(monorepo.remote, NOBODY, NOBODY)
        with pytest.raises(UnavailableError) as caught:
            origin_of(monorepo.clone).refs("refs/heads/")
        assert "another user" in caught.value.what
        assert caught.value.next_step == f"git config --global --add safe.directory {monorepo.remote}"

    def test_asks_git_once(self, monorepo: Monorepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path, log = counting_git(tmp_path)
        monkeypatch.setenv("PATH", path)
        Repository.discover(monorepo.clone)
        first = log.read_text(encoding="utf-8").splitlines()
        assert len(first) == 1, "where the repository is"
        Repository.discover(monorepo.clone)
        assert len(log.read_text(encoding="utf-8").splitlines()) == 2, "nothing about git itself is asked"


class TestGitItself:
    """A git that is missing, too old or broken."""

    def test_f41_missing(self, monorepo: Monorepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path / "nothing-here"))
        with pytest.raises(UnavailableError, match="git is not installed") as caught:
            Repository.discover(monorepo.clone)
        assert caught.value.exit_code is ExitCode.UNAVAILABLE

    def test_f41_too_old(self, monorepo: Monorepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = fake_git(tmp_path, "echo git version 2.30.9.vendor.1")
        monkeypatch.setenv("PATH", path)
        with pytest.raises(UnavailableError, match=r"git 2\.30 .* is too old: git 2\.31 or newer") as caught:
            Repository.discover(monorepo.clone)
        assert "settings from the environment" in " ".join(caught.value.details)

    @pytest.mark.parametrize(
        "text", ["echo cannot run >&2; exit 1", "echo hello"], ids=["fails", "is no git"]
    )
    def test_f41_broken(
        self, monorepo: Monorepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
    ) -> None:
        monkeypatch.setenv("PATH", fake_git(tmp_path, text))
        with pytest.raises(UnavailableError, match="does not work"):
            Repository.discover(monorepo.clone)


class TestOutput:
    """What is kept of what git says."""

    def test_the_first_and_the_last_of_what_a_server_says(self, tmp_path: Path) -> None:
        text = (
            "echo first >&2; yes remote: 0123456789 | head -c 20000000 >&2; echo >&2; echo last >&2; exit 3"
        )
        tracemalloc.start()
        answer = run_git(["-c", f"alias.x=!{text}", "x"], at=tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        lines = answer.stderr.splitlines()
        assert (answer.status, lines[0], lines[-1]) == (3, "first", "last")
        assert "bytes left out]" in answer.stderr
        # A line that is cut could lose the mark that the server said it: git alone is believed.
        whole = [line for line in lines[1:-1] if not line.endswith("out]")]
        assert all(line.startswith(("remote:", "remote"[: len(line)])) for line in whole)
        assert peak < 8_000_000

    def test_stdout_stays_whole(self, tmp_path: Path) -> None:
        answer = run_git(["-c", "alias.x=!yes 0123456 | head -c 4000000", "x"], at=tmp_path)
        assert answer.stdout == b"0123456\n" * 500_000

    @pytest.mark.parametrize(("size", "whole"), [(131_072, True), (131_073, True), (1_000_000, False)])
    def test_little_is_kept_as_it_is(self, size: int, *, whole: bool) -> None:
        ends, text = Ends(), (b"line of text\n" * size)[:size]
        for start in range(0, size, 50_000):
            ends.add(text[start : start + 50_000])
        assert (ends.text() == text.decode()) is whole
        assert len(ends.text()) < 3 * 65_536 + 100


class TestEnvironment:
    """What git gets from us, and that it always ends."""

    def test_inherited_variables_do_not_reach_git(
        self, monorepo: Monorepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = tmp_path / "other"
        git("init", "--quiet", str(other), cwd=tmp_path)
        for name, value in {
            "GIT_DIR": str(other / ".git"),
            "GIT_WORK_TREE": str(other),
            "GIT_INDEX_FILE": str(tmp_path / "no-index"),
            "GIT_OBJECT_DIRECTORY": str(other / ".git/objects"),
            "GIT_NAMESPACE": "hidden",
            "GIT_CONFIG_COUNT": "2",
            "GIT_CONFIG_KEY_0": "user.name",
            "GIT_CONFIG_VALUE_0": "Somebody Else",
            "GIT_CONFIG_KEY_1": f"url.{other}.insteadOf",
            "GIT_CONFIG_VALUE_1": str(monorepo.remote),
            "GIT_CONFIG_PARAMETERS": "'user.name=Somebody Else'",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_EXTERNAL_DIFF": "false",
            "GIT_TRACE": "1",
        }.items():
            monkeypatch.setenv(name, value)
        found = Repository.discover(monorepo.clone)
        assert found.root == monorepo.clone
        assert found.identity().name == "Test Person"
        assert found.changed_paths([""]) == ()
        (main,) = found.origin("origin").refs("refs/heads/main")
        assert main.object_id == found.head()

    def test_nothing_is_left_in_our_own_environment(self, monorepo: Monorepo) -> None:
        before = dict(os.environ)
        Repository.discover(monorepo.clone).origin("origin").refs("refs/heads/")
        assert dict(os.environ) == before

    def test_who_the_user_is_and_how_he_logs_in_stays(
        self, monorepo: Monorepo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GIT_COMMITTER_NAME", "Somebody Else")
        monkeypatch.setenv("GIT_COMMITTER_EMAIL", "else@example.invalid")
        identity = Repository.discover(monorepo.clone).identity()
        assert identity == Identity(name="Somebody Else", email="else@example.invalid")

    def test_git_speaks_english(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
        monkeypatch.setenv("LANGUAGE", "de")
        said = run_git(
            ["-c", "alias.x=!echo $LC_ALL $LANGUAGE $GIT_TERMINAL_PROMPT", "x"], at=tmp_path
        ).stdout
        assert said == b"C C 0\n"

    def test_a_time_out_ends_the_whole_group(self, tmp_path: Path) -> None:
        pid_file = tmp_path / "pid"
        answer = run_git(
            ["-c", f"alias.x=!sleep 100 & echo $! > {pid_file}; wait", "x"], at=tmp_path, timeout=1.0
        )
        assert answer.timed_out
        assert answer.status != 0
        assert_ends(int(pid_file.read_text(encoding="ascii")))

    def test_what_git_leaves_behind_does_not_hold_us(self, tmp_path: Path) -> None:
        answer = run_git(["-c", "alias.x=!sleep 100 & echo done", "x"], at=tmp_path, timeout=1.0)
        assert (answer.status, answer.stdout, answer.timed_out) == (0, b"done\n", False)

    def test_ctrl_c_ends_git_and_is_passed_on(self, tmp_path: Path) -> None:
        pid_file = tmp_path / "pid"
        before = signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.7)
        try:
            with pytest.raises(KeyboardInterrupt):
                run_git(["-c", f"alias.x=!sleep 100 & echo $! > {pid_file}; wait", "x"], at=tmp_path)
        finally:
            signal.signal(signal.SIGALRM, before)
        assert_ends(int(pid_file.read_text(encoding="ascii")))

    def test_git_has_a_session_of_its_own(self, tmp_path: Path) -> None:
        said = run_git(["-c", "alias.x=!ps -o sid= -p $$", "x"], at=tmp_path).stdout
        assert int(said) != os.getsid(0)

    def test_a_stream_never_waits_for_itself(self, monorepo: Monorepo) -> None:
        head = monorepo.git("rev-parse", "HEAD")
        asked = f"{head}\n".encode() * 50_000
        pieces = stream_git(["cat-file", "--batch-check"], at=monorepo.clone, stdin=asked)
        assert b"".join(pieces).count(b" commit ") == 50_000

    def test_a_stream_that_is_left_early_ends_git(self, monorepo: Monorepo) -> None:
        head = monorepo.git("rev-parse", "HEAD")
        pieces = stream_git(["cat-file", "--batch"], at=monorepo.clone, stdin=f"{head}\n".encode() * 100_000)
        before = children()
        next(pieces)
        assert children() - before
        pieces.close()
        assert not children() - before

    def test_a_stream_tells_a_bad_end(self, monorepo: Monorepo) -> None:
        with pytest.raises(GitFailedError, match="nonsense"):
            list(stream_git(["nonsense"], at=monorepo.clone, stdin=b"x" * 500_000))

    def test_a_stream_that_stalls_is_given_up(self, tmp_path: Path) -> None:
        with pytest.raises(UnavailableError, match="no answer for"):
            list(stream_git(["-c", "alias.x=!sleep 100", "x"], at=tmp_path, stdin=b"", timeout=0.5))


def children() -> set[str]:
    """The processes that this one has started and not yet reaped."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {number for task in tasks for number in task.read_text(encoding="ascii").split()}


def interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def assert_ends(pid: int) -> None:
    """A process that was killed may be waiting for its parent to read its status."""
    for _ in range(100):
        try:
            if Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z":
                return
        except (FileNotFoundError, ProcessLookupError):
            return
        time.sleep(0.05)
    pytest.fail(f"process {pid} is still there")


class TestQuestions:
    """Commits, the identity, changed files."""

    def test_f42_zero_commits(self, empty: Path) -> None:
        found = Repository.discover(empty)
        assert found.head() is None
        assert found.origin("origin").refs("refs/tags/", "refs/heads/") == ()
        write(empty / "api/new.txt", "x")
        assert found.changed_paths(["api"]) == ("api/new.txt",)
        with pytest.raises(UsageError, match="no commit 'HEAD'"):
            found.resolve_commit("HEAD")

    def test_f42_detached_head(self, monorepo: Monorepo) -> None:
        first = monorepo.git("rev-parse", "HEAD")
        monorepo.commit()
        monorepo.git("checkout", "--quiet", "--detach", first)
        assert Repository.discover(monorepo.clone).head() == first

    @pytest.mark.parametrize("revision", ["HEAD", "main", "refs/heads/main", "v1", "HEAD^0"])
    def test_resolves_a_revision(self, monorepo: Monorepo, revision: str) -> None:
        monorepo.git("tag", "-a", "-m", "one", "v1")
        head = monorepo.git("rev-parse", "HEAD")
        found = Repository.discover(monorepo.clone)
        assert found.resolve_commit(revision) == head
        assert found.resolve_commit(head[:10]) == head

    @pytest.mark.parametrize(
        "revision", ["", "-x", "--all", "nope", "HEAD:ci_tasks.yaml", "a\nb", "HEAD^{tree}", "0" * 40]
    )
    def test_refuses_what_is_no_commit(self, monorepo: Monorepo, revision: str) -> None:
        with pytest.raises(UsageError) as caught:
            Repository.discover(monorepo.clone).resolve_commit(revision)
        assert repr(revision) in caught.value.what

    def test_an_unknown_commit_of_a_shallow_clone_names_the_way_out(
        self, monorepo: Monorepo, tmp_path: Path
    ) -> None:
        first = monorepo.git("rev-parse", "HEAD")
        monorepo.commit()
        git("clone", "--quiet", "--depth=1", f"file://{monorepo.remote}", "shallow", cwd=tmp_path)
        with pytest.raises(UsageError, match="shallow") as caught:
            Repository.discover(tmp_path / "shallow").resolve_commit(first)
        assert caught.value.next_step == "git fetch --unshallow"

    def test_identity_from_the_configuration(self, monorepo: Monorepo) -> None:
        identity = Repository.discover(monorepo.clone).identity()
        assert identity == Identity(name="Test Person", email="test@example.invalid")

    @pytest.fixture
    def nobody(self, monorepo: Monorepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.delenv("EMAIL", raising=False)
        return Repository.discover(monorepo.clone)

    def test_identity_from_the_workflow(self, nobody: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GITHUB_ACTOR", "renovate[bot]")
        assert nobody.identity() == Identity(
            name="renovate[bot]", email="renovate[bot]@users.noreply.github.com"
        )

    @pytest.mark.parametrize("actor", [None, "", "a <b>\n", "x;id"])
    def test_no_identity(
        self, nobody: Repository, monkeypatch: pytest.MonkeyPatch, actor: str | None
    ) -> None:
        if actor is not None:
            monkeypatch.setenv("GITHUB_ACTOR", actor)
        with pytest.raises(UsageError, match="who you are") as caught:
            nobody.identity()
        assert "git config --global user.name" in str(caught.value.next_step)

    def test_f43_changed_paths(self, monorepo: Monorepo) -> None:
        git_dir = monorepo.clone / ".git"
        monorepo.write("scripts/deployment/10-ci-record.sh", "changed\n")
        monorepo.write("scripts/with space/ü\n.sh", "new\n")
        monorepo.write("environments/staging/new.yml", "staged: 1\n")
        monorepo.git("add", "environments/staging/new.yml")
        monorepo.git("rm", "--quiet", "environments/production/config.yml")
        monorepo.git("mv", "environments/config.yml", "environments/moved.yml")
        monorepo.write("api/main.txt", "not asked for\n")
        monorepo.write("build/ignored.txt", "ignored\n")
        index = (git_dir / "index").read_bytes()
        found = Repository.discover(monorepo.clone / "api")
        assert found.changed_paths(["scripts", "environments/"]) == (
            "environments/config.yml",
            "environments/moved.yml",
            "environments/production/config.yml",
            "environments/staging/new.yml",
            "scripts/deployment/10-ci-record.sh",
            "scripts/with space/ü\n.sh",
        )
        assert "api/main.txt" in found.changed_paths([""])
        assert found.changed_paths([]) == ()
        assert found.changed_paths(["script*", "nowhere"]) == ()
        assert (git_dir / "index").read_bytes() == index

    def test_no_program_of_the_configuration_runs_for_changes(
        self, monorepo: Monorepo, tmp_path: Path
    ) -> None:
        ran = tmp_path / "ran"
        monitor = write(tmp_path / "monitor", f"#!/bin/sh\ntouch {ran}\n", executable=True)
        monorepo.git("config", "core.fsmonitor", str(monitor))
        hook(monorepo.clone / ".git", "post-index-change", f"touch {ran}")
        Repository.discover(monorepo.clone).changed_paths([""])
        assert not ran.exists()


class TestRemotes:
    """From a name to one address."""

    def test_one_address(self, monorepo: Monorepo) -> None:
        origin = origin_of(monorepo.clone)
        assert (origin.is_self, origin.address) == (False, str(monorepo.remote))

    def test_no_remote_is_the_repository_itself(self, empty: Path) -> None:
        origin = origin_of(empty)
        assert (origin.is_self, origin.address) == (True, str(empty))

    def test_f114_two_push_addresses(self, monorepo: Monorepo) -> None:
        for url in ("https://a.invalid/x.git", "https://me:hidden@b.invalid/x.git"):
            monorepo.git("remote", "set-url", "--add", "--push", "origin", url)
        assert self.refused(monorepo) == [
            f"reads from {monorepo.remote}",
            "pushes to https://a.invalid/x.git",
            "pushes to https://b.invalid/x.git",
        ]

    def test_f114_push_address_differs(self, monorepo: Monorepo) -> None:
        monorepo.git("remote", "set-url", "--push", "origin", "https://a.invalid/x.git")
        assert self.refused(monorepo) == [
            f"reads from {monorepo.remote}",
            "pushes to https://a.invalid/x.git",
        ]

    def test_f114_push_address_differs_by_rewriting(self, monorepo: Monorepo) -> None:
        monorepo.git("remote", "set-url", "origin", "https://a.invalid/x.git")
        monorepo.git("config", "url.ssh://git@a.invalid/.pushInsteadOf", "https://a.invalid/")
        assert self.refused(monorepo) == [
            "reads from https://a.invalid/x.git",
            "pushes to ssh://a.invalid/x.git",
        ]

    def test_f114_two_addresses(self, monorepo: Monorepo) -> None:
        monorepo.git("remote", "set-url", "--add", "origin", "https://a.invalid/x.git")
        assert len(self.refused(monorepo)) == 4

    def refused(self, monorepo: Monorepo) -> list[str]:
        with pytest.raises(RefusedError) as caught:
            origin_of(monorepo.clone)
        return list(caught.value.details)

    def test_f39_an_address_that_is_a_command(self, monorepo: Monorepo, tmp_path: Path) -> None:
        monorepo.git("remote", "set-url", "origin", f"ext::touch {tmp_path}/ran")
        monorepo.git("config", "protocol.ext.allow", "always")
        with pytest.raises(RefusedError, match="never run"):
            origin_of(monorepo.clone)
        assert not (tmp_path / "ran").exists()

    def test_f39_a_command_behind_a_rewriting(self, monorepo: Monorepo, tmp_path: Path) -> None:
        monorepo.git("remote", "set-url", "origin", "a.invalid:x.git")
        monorepo.git("config", f"url.ext::touch {tmp_path}/ran .insteadOf", "a.invalid:")
        monorepo.git("config", "protocol.ext.allow", "always")
        with pytest.raises(RefusedError, match="never run"):
            origin_of(monorepo.clone)
        assert not (tmp_path / "ran").exists()

    def test_an_unknown_remote_shows_the_others(self, monorepo: Monorepo) -> None:
        monorepo.git("remote", "rename", "origin", "upstream")
        with pytest.raises(UsageError, match=r"no remote 'upstraem'\. Did you mean upstream") as caught:
            Repository.discover(monorepo.clone).origin("upstraem")
        assert caught.value.next_step == "export CI_TASKS_REMOTE=upstream"

    @pytest.mark.parametrize("name", ["", "-x", "--upload-pack=x", "a b", "a\n"])
    def test_a_name_that_is_none(self, monorepo: Monorepo, name: str) -> None:
        with pytest.raises(UsageError, match="not the name of a remote"):
            Repository.discover(monorepo.clone).origin(name)

    @pytest.mark.parametrize("url", ["../remote.git", "remote.git"])
    def test_a_path_is_taken_from_the_root(self, monorepo: Monorepo, url: str) -> None:
        if url == "remote.git":
            (monorepo.clone / url).symlink_to(monorepo.remote)
        monorepo.git("remote", "set-url", "origin", url)
        assert Repository.discover(monorepo.clone / "api").origin("origin").refs("refs/heads/main")

    def test_rewriting_is_applied_once(self, monorepo: Monorepo, tmp_path: Path) -> None:
        monorepo.git("remote", "set-url", "origin", "short:remote.git")
        monorepo.git("config", f"url.file://{tmp_path}/.insteadOf", "short:")
        monorepo.git("config", "url.http://127.0.0.1:9/.insteadOf", "file://")
        assert origin_of(monorepo.clone).refs("refs/heads/main")

    def test_scp_address_without_the_user(self, monorepo: Monorepo) -> None:
        monorepo.git("remote", "set-url", "origin", "git@example.invalid:team/x.git")
        assert origin_of(monorepo.clone).address == "example.invalid:team/x.git"


class TestLogin:
    """What the user's repository says about the login reaches the remote, and no argument shows it."""

    def test_the_token_of_a_checkout(self, monorepo: Monorepo, tmp_path: Path) -> None:
        with serving(tmp_path) as server:
            server.get_status = 404
            monorepo.git("remote", "set-url", "origin", f"http://{server.site}/remote.git")
            monorepo.git("config", f"http.http://{server.site}/.extraheader", "X-Token: from-the-checkout")
            included = tmp_path / "included"
            git(
                "config",
                "-f",
                str(included),
                f"http.http://{server.site}/.extraheader",
                "X-Other: included",
                cwd=tmp_path,
            )
            monorepo.git("config", f"includeIf.gitdir:{monorepo.clone}/.git.path", str(included))
            with pytest.raises(UnavailableError):
                origin_of(monorepo.clone).refs("refs/tags/")
            headers = server.seen[0][2]
        assert (headers["X-Token"], headers["X-Other"]) == ("from-the-checkout", "included")

    @pytest.fixture
    def logged(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        path, log = counting_git(tmp_path)
        monkeypatch.setenv("PATH", path)
        monkeypatch.delenv("SSH_ASKPASS", raising=False)
        return log

    def test_f83_a_password_in_the_address(self, monorepo: Monorepo, tmp_path: Path, logged: Path) -> None:
        with serving(tmp_path) as server:
            server.login = "Basic bWU6cCU0MHNz"  # me:p%40ss
            monorepo.git("remote", "set-url", "origin", f"http://me:p%2540ss@{server.site}/remote.git")
            origin = origin_of(monorepo.clone)
            assert origin.address == f"http://{server.site}/remote.git"
            assert origin.refs("refs/heads/main")
            server.login = "Basic other"
            with pytest.raises(UnavailableError, match="the login was refused") as caught:
                origin.refs("refs/heads/main")
        ours = [
            line for line in logged.read_text(encoding="utf-8").splitlines() if "remote set-url" not in line
        ]
        assert not [line for line in ours if "p%2540ss" in line or "p%40ss" in line]
        assert "p%" not in " ".join([caught.value.what, *caught.value.details, str(caught.value.next_step)])

    @pytest.mark.parametrize("password", ["p w", "p@w", "p@w@x"])
    def test_a_password_that_should_be_quoted(
        self, monorepo: Monorepo, tmp_path: Path, logged: Path, password: str
    ) -> None:
        with serving(tmp_path) as server:
            server.login = "Basic " + b64encode(f"me:{password}".encode()).decode()
            monorepo.git("config", "remote.origin.url", f"http://me:{password}@{server.site}/remote.git")
            logged.write_text("", encoding="utf-8")
            origin = origin_of(monorepo.clone)
            assert origin.address == f"http://{server.site}/remote.git"
            assert origin.refs("refs/heads/main")
        assert password not in logged.read_text(encoding="utf-8")

    @pytest.mark.parametrize(
        ("address", "shown"),
        [
            ("https://bob:my sekrit@host/x.git", "https://host/x.git"),
            ("https://bob:pa@sekrit@host/x.git", "https://host/x.git"),
            ("https://bob:pa/sekrit@host/x.git", "https://host/x.git"),
            ("https://my sekrit@host/x.git", "https://host/x.git"),
            ("https://host/x.git?private_token=my sekrit", "https://host/x.git"),
            ("https://bob:se?krit@host/x.git?token=sekrit", "https://host/x.git"),
            ("https://host:8443/@scope/x.git", "https://host:8443/@scope/x.git"),
            ("https://bob:sekrit@host/@scope/x.git", "https://host/@scope/x.git"),
            ("ssh://git@host/x?y.git", "ssh://host/x?y.git"),
        ],
    )
    def test_no_secret_of_an_address_is_shown(self, monorepo: Monorepo, address: str, shown: str) -> None:
        monorepo.git("config", "remote.origin.url", address)
        assert origin_of(monorepo.clone).address == shown
        said = f"fatal: unable to access '{address}/': error"
        assert spoken(said)[0].removesuffix("/': error").removesuffix("': error") == (
            f"fatal: unable to access '{shown}"
        )

    def test_a_login_that_insteadof_puts_in_is_in_no_argument(
        self, monorepo: Monorepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with serving(tmp_path) as server:
            server.login = "Basic bWU6c2VjcmV0"  # me:secret
            monorepo.git("config", "remote.origin.url", f"http://{server.site}/remote.git")
            monorepo.git("config", f"url.http://me:secret@{server.site}/.insteadOf", f"http://{server.site}/")
            trace = tmp_path / "trace"
            write(tmp_path / "home" / ".gitconfig", f"[trace2]\neventTarget = {trace}\n")
            monkeypatch.setenv("HOME", str(tmp_path / "home"))
            assert origin_of(monorepo.clone).refs("refs/heads/main")
        assert "remote-http" in trace.read_text(encoding="utf-8")
        assert "me:secret" not in trace.read_text(encoding="utf-8")

    def test_a_user_without_a_password(
        self, monorepo: Monorepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = write(tmp_path / "askpass", "#!/bin/sh\nprintf 'secret\\n'\n", executable=True)
        monkeypatch.setenv("GIT_ASKPASS", str(asked))
        with serving(tmp_path) as server:
            server.login = "Basic bWU6c2VjcmV0"  # me:secret
            monorepo.git("remote", "set-url", "origin", f"http://me@{server.site}/remote.git")
            assert origin_of(monorepo.clone).refs("refs/heads/main")

    @pytest.mark.usefixtures("logged")
    def test_f83_no_login_is_not_tried_again(self, monorepo: Monorepo, tmp_path: Path) -> None:
        with serving(tmp_path) as server:
            server.get_status = 401
            monorepo.git("remote", "set-url", "origin", f"http://{server.site}/remote.git")
            with pytest.raises(UnavailableError, match="the login was refused"):
                origin_of(monorepo.clone).refs("refs/tags/")
            assert len(server.seen) == 1


class TestNetwork:
    """Failures of the network: tried again, told apart."""

    def fails(self, monorepo: Monorepo, url: str) -> UnavailableError:
        monorepo.git("remote", "set-url", "origin", url)
        with pytest.raises(UnavailableError) as caught:
            origin_of(monorepo.clone).refs("refs/tags/")
        return caught.value

    def test_f87_no_such_host(self, monorepo: Monorepo, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("no_proxy", "*")
        error = self.fails(monorepo, "http://name.invalid/x.git")
        assert "the network failed" in error.what
        assert "name.invalid" in error.what
        assert any("resolve" in line for line in error.details)

    def test_f87_connection_refused(self, monorepo: Monorepo) -> None:
        assert "the network failed" in self.fails(monorepo, "http://127.0.0.1:9/x.git").what

    def test_f87_proxy_wants_a_login(
        self, monorepo: Monorepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with serving(tmp_path) as server:
            server.get_status = 407
            monkeypatch.setenv("https_proxy", f"http://{server.site}")
            assert "the proxy refused" in self.fails(monorepo, "https://name.invalid/x.git").what
            monkeypatch.setenv("http_proxy", f"http://{server.site}")
            assert "the proxy refused" in self.fails(monorepo, "http://name.invalid/x.git").what

    def test_f87_proxy_of_the_remote(self, monorepo: Monorepo, tmp_path: Path) -> None:
        with serving(tmp_path) as server:
            server.get_status = 407
            monorepo.git("config", "remote.origin.proxy", f"http://{server.site}")
            assert "the proxy refused" in self.fails(monorepo, "http://name.invalid/x.git").what

    def test_f87_no_tls(self, monorepo: Monorepo, tmp_path: Path) -> None:
        with serving(tmp_path) as server:
            assert "TLS" in self.fails(monorepo, f"https://{server.site}/x.git").what

    def test_f87_a_failure_that_passes(self, monorepo: Monorepo, tmp_path: Path) -> None:
        monorepo.git("remote", "set-url", "origin", "git@example.invalid:x.git")
        tried = tmp_path / "tried"
        ssh = write(
            tmp_path / "ssh",
            f"#!/bin/sh\nfor last; do :; done\necho x >> {tried}\n"
            f"test $(wc -l < {tried}) -lt 3 && {{ echo 'Connection reset by peer' >&2; exit 255; }}\n"
            f"exec git upload-pack {monorepo.remote}\n",
            executable=True,
        )
        monorepo.git("config", "core.sshCommand", str(ssh))
        assert origin_of(monorepo.clone).refs("refs/heads/main")
        assert tried.read_text(encoding="ascii") == "x\n" * 3

    def test_f87_three_tries_and_no_more(self, monorepo: Monorepo, tmp_path: Path) -> None:
        with serving(tmp_path) as server:
            server.get_status = 503
            assert "the network failed" in self.fails(monorepo, f"http://{server.site}/x.git").what
            assert len(server.seen) == 3

    def test_f87_a_remote_that_never_answers(self, monorepo: Monorepo, tmp_path: Path) -> None:
        ssh = write(tmp_path / "ssh", "#!/bin/sh\nsleep 100\n", executable=True)
        monorepo.git("config", "core.sshCommand", str(ssh))
        monorepo.git("remote", "set-url", "origin", "git@example.invalid:x.git")
        with pytest.raises(UnavailableError, match="the network failed") as caught:
            origin_of(monorepo.clone, timeout=1.0).refs("refs/tags/")
        assert "timed out after 1 seconds" in " ".join(caught.value.details)

    def test_f83_the_address_leads_nowhere(self, monorepo: Monorepo, tmp_path: Path) -> None:
        before = picture(monorepo.clone)
        monorepo_url = str(tmp_path / "nowhere.git")
        error = self.fails(monorepo, monorepo_url)
        assert "the address is wrong" in error.what
        changed = {name for name, data in picture(monorepo.clone).items() if before.get(name) != data}
        assert changed == {".git/config"}, "the test itself has set the address"
