"""What a push means: against real bare remotes, their hooks, lock files and races."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from ci_tasks.core.errors import ExitCode, UnavailableError
from ci_tasks.core.git.process import GitAnswer
from ci_tasks.core.git.push import (
    NotApplied,
    NotBegunError,
    PushOutcome,
    PushResult,
    RefUpdate,
    outcome_of,
    parse_porcelain,
    until_known,
)
from tests.core.places import TAG, counting_git, hook, origin_of, picture, serving, tag_content
from tests.repositories import Monorepo, git

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ci_tasks.core.git.origin import Origin

A, B, C = "a" * 40, "b" * 40, "c" * 40
KILL_SERVER = "kill -9 $PPID"


@pytest.fixture
def origin(monorepo: Monorepo) -> Origin:
    return origin_of(monorepo.clone)


@pytest.fixture
def own(tmp_path: Path) -> Origin:
    """A repository without a remote, with one commit."""
    alone = tmp_path / "alone"
    git("init", "--quiet", str(alone), cwd=tmp_path)
    git("commit", "--quiet", "--allow-empty", "-m", "Begin", cwd=alone)
    return origin_of(alone)


def head_of(place: Path) -> str:
    return git("rev-parse", "main", cwd=place)


def make(ref: str, new: str) -> RefUpdate:
    return RefUpdate(ref=ref, new=new, old=None)


def landing(monorepo: Monorepo, object_id: str) -> str:
    """A hook's command that moves the tag, in an environment of its own: git forbids it in the hook's."""
    clean = "env -u GIT_QUARANTINE_PATH -u GIT_OBJECT_DIRECTORY"
    return f"{clean} git -C {monorepo.remote} update-ref {TAG} {object_id}"


def one_tag(origin: Origin, monorepo: Monorepo, text: str = "one") -> str:
    return origin.write_tag(tag_content(head_of(monorepo.remote), text))


def test_creates_moves_and_deletes_one_tag(origin: Origin, monorepo: Monorepo) -> None:
    first, second = one_tag(origin, monorepo), one_tag(origin, monorepo, "two")
    assert origin.push([make(TAG, first)]).result is PushResult.APPLIED
    assert monorepo.remote_refs()[TAG] == first
    assert origin.push([RefUpdate(ref=TAG, new=second, old=first)]).result is PushResult.APPLIED
    assert monorepo.remote_refs()[TAG] == second
    assert origin.push([RefUpdate(ref=TAG, new=None, old=second)]).result is PushResult.APPLIED
    assert TAG not in monorepo.remote_refs()


def test_what_is_there_already_is_applied(origin: Origin, monorepo: Monorepo) -> None:
    update = make(TAG, one_tag(origin, monorepo))
    assert [origin.push([update]).result for _ in range(2)] == [PushResult.APPLIED] * 2


def test_lost_race_seen_by_the_client(origin: Origin, monorepo: Monorepo) -> None:
    theirs, ours = one_tag(origin, monorepo, "theirs"), one_tag(origin, monorepo, "ours")
    origin.push([make(TAG, theirs)])
    for update in (
        make(TAG, ours),
        RefUpdate(ref=TAG, new=ours, old="1" * 40),
        RefUpdate(ref=TAG, new=None, old=ours),
    ):
        outcome = origin.push_until_known([update])
        assert (outcome.result, outcome.reason) == (PushResult.NOT_APPLIED, NotApplied.RACE)
        assert "stale info" in outcome.message
    assert monorepo.remote_refs()[TAG] == theirs


@pytest.mark.parametrize("had", [True, False], ids=["moved", "created"])
def test_lost_race_seen_by_the_server(origin: Origin, monorepo: Monorepo, *, had: bool) -> None:
    """The hook moves the ref after the server has announced it: both texts of a race on the server."""
    before, theirs, ours = (one_tag(origin, monorepo, text) for text in ("before", "theirs", "ours"))
    origin.push([make("refs/tags/carrier", theirs)])
    if had:
        origin.push([make(TAG, before)])
    hook(monorepo.remote, "pre-receive", landing(monorepo, theirs))
    outcome = origin.push([RefUpdate(ref=TAG, new=ours, old=before if had else None)])
    assert (outcome.result, outcome.reason) == (PushResult.NOT_APPLIED, NotApplied.RACE), outcome.message
    assert ("but expected" if had else "already exists") in outcome.message
    assert monorepo.remote_refs()[TAG] == theirs


def test_all_or_none(origin: Origin, monorepo: Monorepo) -> None:
    theirs, ours = one_tag(origin, monorepo, "theirs"), one_tag(origin, monorepo, "ours")
    origin.push([make(TAG, theirs)])
    outcome = origin.push([make("refs/tags/web/production", ours), make(TAG, ours)])
    assert outcome.reason is NotApplied.RACE
    assert "refs/tags/web/production" not in monorepo.remote_refs()


def test_two_writers_on_one_tag_never_lose_an_update(monorepo: Monorepo) -> None:
    base = origin_of(monorepo.clone)
    start = one_tag(base, monorepo, "start")
    base.push([make(TAG, start)])
    won: list[str] = []

    def write(name: str) -> None:
        origin = origin_of(monorepo.clone)
        for number in range(3):
            ours = one_tag(origin, monorepo, f"{name} {number}")
            (now,) = origin.refs(TAG)
            outcome = origin.push_until_known([RefUpdate(ref=TAG, new=ours, old=now.object_id)])
            if outcome.result is PushResult.APPLIED:
                won.append(f"{now.object_id} {ours}")

    threads = [threading.Thread(target=write, args=(name,)) for name in ("left", "right")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    moves = dict(line.split(" ") for line in won)
    assert len(moves) == len(won), "two writers moved the tag from the same value"
    value = start
    for _ in won:
        value = moves[value]
    assert monorepo.remote_refs()[TAG] == value


def test_f73_committed_but_the_answer_is_lost(origin: Origin, monorepo: Monorepo) -> None:
    hook(monorepo.remote, "post-receive", KILL_SERVER)
    update = make(TAG, one_tag(origin, monorepo))
    assert origin.push([update]).result is PushResult.UNKNOWN
    outcome = origin.push_until_known([update])
    assert outcome.result is PushResult.APPLIED
    assert monorepo.remote_refs()[TAG] == update.new


def test_f73_lost_answer_becomes_applied_by_the_same_push_again(origin: Origin, monorepo: Monorepo) -> None:
    hook(monorepo.remote, "post-receive", KILL_SERVER)
    first, second = one_tag(origin, monorepo), one_tag(origin, monorepo, "two")
    made = origin.push_until_known([make(TAG, first)])
    moved = origin.push_until_known([RefUpdate(ref=TAG, new=second, old=first)])
    assert [(o.result, o.retried) for o in (made, moved)] == [(PushResult.APPLIED, True)] * 2


def test_f73_a_deletion_without_an_answer_is_read_back(origin: Origin, monorepo: Monorepo) -> None:
    tag = one_tag(origin, monorepo)
    origin.push([make(TAG, tag)])
    hook(monorepo.remote, "post-receive", KILL_SERVER)
    outcome = origin.push_until_known([RefUpdate(ref=TAG, new=None, old=tag)])
    assert (outcome.result, outcome.retried) == (PushResult.APPLIED, True)
    assert TAG not in monorepo.remote_refs()


def test_f74_dies_before_the_commit_and_is_unknown_after_all_tries(
    origin: Origin, monorepo: Monorepo
) -> None:
    attempts = monorepo.remote / "attempts"
    hook(monorepo.remote, "pre-receive", f"echo x >> {attempts}; {KILL_SERVER}")
    outcome = origin.push_until_known([make(TAG, one_tag(origin, monorepo))], tries=3)
    assert outcome.result is PushResult.UNKNOWN
    assert attempts.read_text(encoding="ascii") == "x\n" * 3
    assert TAG not in monorepo.remote_refs()


def test_f74_dies_once_and_is_applied_by_the_next_try(origin: Origin, monorepo: Monorepo) -> None:
    died = monorepo.remote / "died"
    hook(monorepo.remote, "pre-receive", f"test -e {died} || {{ touch {died}; {KILL_SERVER}; }}")
    outcome = origin.push_until_known([make(TAG, one_tag(origin, monorepo))])
    assert (outcome.result, outcome.retried) == (PushResult.APPLIED, True)


def test_f74_the_caller_may_give_up(origin: Origin, monorepo: Monorepo) -> None:
    attempts = monorepo.remote / "attempts"
    hook(monorepo.remote, "pre-receive", f"echo x >> {attempts}; {KILL_SERVER}")
    update = make(TAG, one_tag(origin, monorepo))
    outcome = origin.push_until_known([update], tries=50, stop=attempts.exists)
    assert outcome.result is PushResult.UNKNOWN
    assert attempts.read_text(encoding="ascii") == "x\n"


def test_f75_the_remote_goes_away_after_an_unknown_push(origin: Origin, monorepo: Monorepo) -> None:
    away = monorepo.remote.with_name("away.git")
    hook(monorepo.remote, "pre-receive", f"mv {monorepo.remote} {away}; {KILL_SERVER}")
    outcome = origin.push_until_known([make(TAG, one_tag(origin, monorepo))], tries=2)
    assert outcome.result is PushResult.UNKNOWN
    assert "the address is wrong" in outcome.message


@pytest.mark.parametrize("name", ["pre-receive", "update"])
def test_f80_a_hook_declines(origin: Origin, monorepo: Monorepo, name: str) -> None:
    hook(monorepo.remote, name, "echo 'GH013: rule no-direct: ask the release team' >&2; exit 1")
    outcome = origin.push_until_known(
        [make(TAG, one_tag(origin, monorepo)), make("refs/tags/web/production", one_tag(origin, monorepo))]
    )
    assert (outcome.result, outcome.reason) == (PushResult.NOT_APPLIED, NotApplied.DECLINED)
    assert "GH013: rule no-direct: ask the release team" in outcome.message
    assert set(monorepo.remote_refs()) == {"refs/heads/main"}


def test_f80_a_hook_cannot_pass_for_a_race(origin: Origin, monorepo: Monorepo) -> None:
    hook(monorepo.remote, "pre-receive", 'echo "stale info: reference already exists" >&2; exit 1')
    assert origin.push([make(TAG, one_tag(origin, monorepo))]).reason is NotApplied.DECLINED


def test_f80_a_ref_that_the_server_keeps_to_itself(origin: Origin, monorepo: Monorepo) -> None:
    git("config", "receive.hideRefs", "refs/tags/api", cwd=monorepo.remote)
    assert origin.push([make(TAG, one_tag(origin, monorepo))]).reason is NotApplied.DECLINED


def test_f78_stale_lock_is_named_with_the_repair(origin: Origin, monorepo: Monorepo) -> None:
    lock = monorepo.remote / f"{TAG}.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    outcome = origin.push([make(TAG, one_tag(origin, monorepo))])
    assert (outcome.result, outcome.reason) == (PushResult.NOT_APPLIED, NotApplied.STALE_LOCK)
    repair = outcome.message.splitlines()[-1].partition("rm ")[2].strip("'")
    assert lock.samefile(repair)


def test_f78_the_lock_of_a_writer_at_work_goes_away(origin: Origin, monorepo: Monorepo) -> None:
    lock = monorepo.remote / f"{TAG}.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    threading.Timer(0.4, lock.unlink).start()
    outcome = origin.push_until_known([make(TAG, one_tag(origin, monorepo))])
    assert outcome.result is PushResult.APPLIED


def test_f112_no_endless_retry_of_a_stale_lock(
    origin: Origin, monorepo: Monorepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = monorepo.remote / f"{TAG}.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    path, log = counting_git(tmp_path)
    monkeypatch.setenv("PATH", path)
    outcome = origin.push_until_known([make(TAG, one_tag(origin, monorepo))], tries=50)
    assert (outcome.result, outcome.reason) == (PushResult.NOT_APPLIED, NotApplied.STALE_LOCK)
    assert sum(" push --atomic " in line for line in log.read_text(encoding="utf-8").splitlines()) == 3


def test_f112_a_tag_in_the_way_of_a_folder(origin: Origin, monorepo: Monorepo) -> None:
    tag = one_tag(origin, monorepo)
    origin.push([make("refs/tags/api", tag)])
    outcome = origin.push_until_known([make(TAG, tag)])
    assert (outcome.result, outcome.reason) == (PushResult.NOT_APPLIED, NotApplied.NAME_CLASH)
    assert "'refs/tags/api' exists" in outcome.message


def test_f112_a_folder_in_the_way_of_a_tag(origin: Origin, monorepo: Monorepo) -> None:
    tag = one_tag(origin, monorepo)
    origin.push([make(TAG, tag)])
    assert origin.push([make("refs/tags/api", tag)]).reason is NotApplied.NAME_CLASH


def test_f112_one_equal_and_one_refused(origin: Origin, monorepo: Monorepo) -> None:
    tag = one_tag(origin, monorepo)
    origin.push([make("refs/tags/web", tag)])
    clash = origin.push([make("refs/tags/web", tag), make("refs/tags/web/production", tag)])
    assert (clash.result, clash.reason) == (PushResult.NOT_APPLIED, NotApplied.NAME_CLASH)
    lock = monorepo.remote / "refs/tags/api.lock"
    lock.touch()
    locked = origin.push([make("refs/tags/web", tag), make("refs/tags/api", tag)])
    assert (locked.result, locked.reason) == (PushResult.NOT_APPLIED, NotApplied.STALE_LOCK)


def test_f111_the_server_applies_after_the_client_gave_up(monorepo: Monorepo, tmp_path: Path) -> None:
    """Every push outlives its client's patience; the server works on and lands the first one later."""
    git("config", "http.receivepack", "true", cwd=monorepo.remote)
    started = monorepo.remote / "started"
    hook(monorepo.remote, "pre-receive", f"echo x >> {started}; sleep 3")
    with serving(tmp_path) as server:
        monorepo.git("remote", "set-url", "origin", f"http://{server.site}/remote.git")
        origin = origin_of(monorepo.clone, timeout=1.5)
        update = make(TAG, one_tag(origin, monorepo))
        while not started.exists():
            assert origin.push([update]).result is PushResult.UNKNOWN
        assert TAG not in monorepo.remote_refs(), "an old value read back proves nothing"
        assert origin.push_until_known([update], tries=20).result is PushResult.APPLIED
    assert monorepo.remote_refs()[TAG] == update.new


def test_f111_a_race_lost_to_our_own_late_push_is_applied(monorepo: Monorepo) -> None:
    """Attempt 1 gets no answer and lands in the middle of attempt 2, which then loses the race to it."""
    count = monorepo.remote / "count"
    origin = origin_of(monorepo.clone)
    tag = origin.write_tag(tag_content(head_of(monorepo.remote)))
    origin.push([make("refs/tags/carrier", tag)])
    hook(
        monorepo.remote,
        "pre-receive",
        f"echo x >> {count}\ncase $(wc -l < {count}) in\n1) {KILL_SERVER};;\n"
        f"2) {landing(monorepo, tag)};;\nesac\ntrue",
    )
    outcome = origin.push_until_known([make(TAG, tag)])
    assert (outcome.result, outcome.retried) == (PushResult.APPLIED, True)
    assert count.read_text(encoding="ascii") == "x\n" * 2


def test_a_race_lost_to_another_after_an_unknown_push(origin: Origin, monorepo: Monorepo) -> None:
    theirs, ours = one_tag(origin, monorepo, "theirs"), one_tag(origin, monorepo, "ours")
    origin.push([make("refs/tags/carrier", theirs)])
    hook(monorepo.remote, "pre-receive", f"{landing(monorepo, theirs)}; {KILL_SERVER}")
    outcome = origin.push_until_known([make(TAG, ours)])
    assert (outcome.result, outcome.reason) == (PushResult.NOT_APPLIED, NotApplied.RACE)
    assert outcome.retried


def test_f113_nothing_but_the_named_ref_is_pushed_and_no_local_ref_moves(monorepo: Monorepo) -> None:
    monorepo.git("tag", "-a", "-m", "private", "private")
    for key, value in (
        ("push.followTags", "true"),
        ("push.gpgSign", "true"),
        ("push.pushOption", "ci.skip"),
        ("push.default", "matching"),
        ("remote.origin.push", "+refs/tags/*:refs/tags/*"),
        ("remote.origin.mirror", "true"),
        ("remote.origin.tagOpt", "--tags"),
    ):
        monorepo.git("config", key, value)
        git("config", "--global", key, value, cwd=monorepo.clone)
    monorepo.git("config", "--add", "remote.origin.fetch", "+refs/tags/*:refs/tags/*")
    try:
        before = picture(monorepo.clone)
        origin = origin_of(monorepo.clone)
        tag = one_tag(origin, monorepo)
        assert origin.push([make(TAG, tag)]).result is PushResult.APPLIED
        assert set(origin.objects(origin.refs("refs/tags/"))) == {tag}
        assert set(monorepo.remote_refs()) == {"refs/heads/main", TAG}
        assert picture(monorepo.clone) == before
    finally:
        for section in ("push", "remote.origin"):
            git("config", "--global", "--remove-section", section, cwd=monorepo.clone)


def test_f34_no_hook_of_the_user_runs(monorepo: Monorepo, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    hostile = f"touch {ran}"
    for name in ("pre-push", "reference-transaction", "post-checkout", "pre-auto-gc", "push-to-checkout"):
        hook(monorepo.clone / ".git", name, hostile)
        hook(tmp_path / "everywhere", name, hostile)
    git("config", "core.hooksPath", "/dev/null", cwd=monorepo.remote)  # the remote's hooks are its own affair
    git("config", "--global", "core.hooksPath", str(tmp_path / "everywhere/hooks"), cwd=tmp_path)
    try:
        origin = origin_of(monorepo.clone)
        assert origin.push([make(TAG, one_tag(origin, monorepo))]).result is PushResult.APPLIED
        origin.objects(origin.refs("refs/"))
    finally:
        git("config", "--global", "--unset", "core.hooksPath", cwd=tmp_path)
    assert not ran.exists()


def test_an_update_needs_full_names_and_ids() -> None:
    for ref, new, old in (
        (TAG, "HEAD", None),
        ("production", A, None),
        (TAG, A, "abc"),
        ("refs/tags/a b", A, None),
    ):
        with pytest.raises(ValueError, match="not a move of a ref"):
            RefUpdate(ref=ref, new=new, old=old)


def test_a_push_of_nothing_is_a_mistake(origin: Origin, monorepo: Monorepo) -> None:
    before = monorepo.remote_refs()
    with pytest.raises(ValueError, match="without updates"):
        origin.push([])
    assert monorepo.remote_refs() == before


class TestOwnRepository:
    """The same outcomes where the repository has no remote."""

    def tag(self, own: Origin, text: str = "one") -> str:
        return own.write_tag(tag_content(own.refs("refs/heads/main")[0].object_id, text))

    def test_creates_moves_and_deletes(self, own: Origin) -> None:
        first, second = self.tag(own), self.tag(own, "two")
        for new, old in ((first, None), (second, first), (None, second)):
            update = RefUpdate(ref=TAG, new=new, old=old)
            assert own.push_until_known([update]).result is PushResult.APPLIED
            assert [ref.object_id for ref in own.refs(TAG)] == ([new] if new else [])

    def test_what_is_there_already_is_applied(self, own: Origin) -> None:
        update = make(TAG, self.tag(own))
        assert [own.push([update]).result for _ in range(2)] == [PushResult.APPLIED] * 2

    def test_race(self, own: Origin) -> None:
        own.push([make(TAG, self.tag(own))])
        for update in (make(TAG, self.tag(own, "2")), RefUpdate(ref=TAG, new=None, old="1" * 40)):
            outcome = own.push([update])
            assert (outcome.result, outcome.reason) == (PushResult.NOT_APPLIED, NotApplied.RACE)

    def test_all_or_none(self, own: Origin) -> None:
        own.push([make(TAG, self.tag(own))])
        outcome = own.push([make("refs/tags/web/production", self.tag(own)), make(TAG, self.tag(own, "2"))])
        assert outcome.reason is NotApplied.RACE
        assert [ref.name for ref in own.refs("refs/tags/")] == [TAG]

    def test_f112_name_clash_and_stale_lock(self, own: Origin, tmp_path: Path) -> None:
        own.push([make("refs/tags/api", self.tag(own))])
        assert own.push([make(TAG, self.tag(own))]).reason is NotApplied.NAME_CLASH
        lock = tmp_path / "alone/.git/refs/tags/web.lock"
        lock.touch()
        outcome = own.push([make("refs/tags/web", self.tag(own))])
        assert outcome.reason is NotApplied.STALE_LOCK
        assert str(lock) in outcome.message

    def test_f124_own_hooks_do_not_run(self, own: Origin, tmp_path: Path) -> None:
        ran = tmp_path / "ran"
        for name in (
            "reference-transaction",
            "pre-receive",
            "update",
            "post-receive",
            "post-update",
            "pre-push",
        ):
            hook(tmp_path / "alone/.git", name, f"touch {ran}; exit 1")
        assert own.push([make(TAG, self.tag(own))]).result is PushResult.APPLIED
        assert not ran.exists()

    def test_an_object_that_is_not_there(self, own: Origin) -> None:
        outcome = own.push([make(TAG, "1" * 40)])
        assert (outcome.result, outcome.reason) == (PushResult.NOT_APPLIED, NotApplied.OTHER)


class TestBeforeThePushBegan:
    """Address, login and network: nothing was sent, so it is UNAVAILABLE and not unknown."""

    def fails(self, monorepo: Monorepo, url: str) -> UnavailableError:
        origin = origin_of(monorepo.clone)
        tag = one_tag(origin, monorepo)
        monorepo.git("remote", "set-url", "origin", url)
        with pytest.raises(UnavailableError) as caught:
            origin_of(monorepo.clone).push_until_known([make(TAG, tag)])
        assert caught.value.exit_code is ExitCode.UNAVAILABLE
        return caught.value

    def test_no_repository_at_the_address(self, monorepo: Monorepo, tmp_path: Path) -> None:
        assert "the address is wrong" in self.fails(monorepo, str(tmp_path / "nowhere.git")).what

    def test_f87_connection_refused(self, monorepo: Monorepo) -> None:
        assert "the network failed" in self.fails(monorepo, "http://127.0.0.1:9/x.git").what

    def test_f87_git_protocol_refused(self, monorepo: Monorepo) -> None:
        assert "the network failed" in self.fails(monorepo, "git://127.0.0.1:9/x.git").what

    def test_ssh_refuses(self, monorepo: Monorepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        ssh = tmp_path / "ssh"
        ssh.write_text(
            "#!/bin/sh\necho 'git@example.invalid: Permission denied (publickey).' >&2; exit 255\n"
        )
        ssh.chmod(0o755)
        monkeypatch.setenv("GIT_SSH_COMMAND", str(ssh))
        assert "the login was refused" in self.fails(monorepo, "git@example.invalid:x.git").what

    @pytest.mark.parametrize(
        ("status", "says"),
        [
            pytest.param(401, "the login was refused", id="F83-401"),
            pytest.param(403, "the login was refused", id="F83-403"),
            pytest.param(404, "the address is wrong", id="F83-404"),
            pytest.param(503, "the network failed", id="F87-503"),
        ],
    )
    def test_http(self, monorepo: Monorepo, tmp_path: Path, status: int, says: str) -> None:
        with serving(tmp_path) as server:
            server.get_status = status
            assert says in self.fails(monorepo, f"http://{server.site}/remote.git").what


def not_begun(times: int, then: PushOutcome) -> Callable[[], PushOutcome]:
    """An attempt that can't begin so many times, and ends like this afterwards."""
    left = iter(range(times))

    def attempt() -> PushOutcome:
        if next(left, None) is None:
            return then
        raise NotBegunError("The network failed.", unchanged="Nothing was changed.")

    return attempt


APPLIED = PushOutcome(result=PushResult.APPLIED)


class TestThatCouldNotBegin:
    """Nothing was sent, so another attempt does no harm."""

    @pytest.mark.parametrize("times", [0, 1, 2])
    def test_f87_is_tried_again(self, times: int) -> None:
        outcome = until_known(not_begun(times, APPLIED), tries=5, stop=lambda: False, landed=lambda: False)
        assert outcome == APPLIED, "no attempt was without an answer, so it is not called retried"

    @pytest.mark.parametrize(("tries", "attempts"), [(5, 3), (2, 2), (1, 1)])
    def test_f87_but_not_for_ever(self, tries: int, attempts: int) -> None:
        attempt, seen = not_begun(99, APPLIED), []

        def counted() -> PushOutcome:
            seen.append(1)
            return attempt()

        with pytest.raises(UnavailableError) as caught:
            until_known(counted, tries=tries, stop=lambda: False, landed=lambda: False)
        assert caught.value.unchanged == "Nothing was changed."
        assert len(seen) == attempts

    def test_f87_nor_after_the_caller_gave_up(self) -> None:
        with pytest.raises(UnavailableError):
            until_known(not_begun(1, APPLIED), tries=5, stop=lambda: True, landed=lambda: False)

    def test_f75_after_a_push_without_an_answer_it_proves_nothing(self) -> None:
        answers = iter([PushOutcome(result=PushResult.UNKNOWN, message="hung up")])
        gone = not_begun(99, APPLIED)
        outcome = until_known(
            lambda: next(answers, None) or gone(), tries=3, stop=lambda: False, landed=lambda: False
        )
        assert (outcome.result, outcome.retried) == (PushResult.UNKNOWN, True)
        assert "The network failed." in outcome.message

    @pytest.mark.parametrize(
        ("said", "kind"),
        [
            pytest.param("fatal: unable to access 'http://x/': Could not resolve host: x", NotBegunError),
            pytest.param("fatal: unable to access 'http://x/': SSL certificate problem", NotBegunError),
            pytest.param("fatal: unable to access 'http://x/': CONNECT tunnel failed, 407", NotBegunError),
            pytest.param("fatal: Authentication failed for 'http://x/'", UnavailableError),
            pytest.param("fatal: repository 'http://x/' not found", UnavailableError),
        ],
        ids=["F87-name", "F87-tls", "F87-proxy", "F83-login", "address"],
    )
    def test_only_what_may_pass_is_tried_again(self, said: str, kind: type[UnavailableError]) -> None:
        with pytest.raises(UnavailableError) as caught:
            outcome_of(answer(128, "", said), [make(TAG, A)], address="x")
        assert type(caught.value) is kind


class TestOverHttp:
    """A failure of the second request comes after the server's announcement: it is unknown."""

    @pytest.fixture
    def over_http(self, monorepo: Monorepo) -> Monorepo:
        git("config", "http.receivepack", "true", cwd=monorepo.remote)
        return monorepo

    def test_pushes(self, over_http: Monorepo, tmp_path: Path) -> None:
        with serving(tmp_path) as server:
            over_http.git("remote", "set-url", "origin", f"http://{server.site}/remote.git")
            origin = origin_of(over_http.clone)
            tag = one_tag(origin, over_http)
            assert origin.push_until_known([make(TAG, tag)]).result is PushResult.APPLIED
            assert over_http.remote_refs()[TAG] == tag
            ours = one_tag(origin, over_http, "other")
            assert origin.push_until_known([make(TAG, ours)]).reason is NotApplied.RACE

    @pytest.mark.parametrize("status", [403, 500])
    def test_f74_the_second_request_fails(self, over_http: Monorepo, tmp_path: Path, status: int) -> None:
        with serving(tmp_path) as server:
            over_http.git("remote", "set-url", "origin", f"http://{server.site}/remote.git")
            origin = origin_of(over_http.clone)
            tag = one_tag(origin, over_http)
            server.post_status = status
            assert origin.push([make(TAG, tag)]).result is PushResult.UNKNOWN
            server.post_status = None
            assert origin.push_until_known([make(TAG, tag)]).result is PushResult.APPLIED


def answer(status: int, porcelain: str = "", stderr: str = "") -> GitAnswer:
    return GitAnswer(status, porcelain.encode(), stderr)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        pytest.param(
            "remote: error: GH006: Protected branch update failed\n", NotApplied.DECLINED, id="F80-gh006"
        ),
        pytest.param(
            f"remote: error: cannot lock ref '{TAG}': is at {A} but expected {B}\n",
            NotApplied.RACE,
            id="race-moved",
        ),
        pytest.param(
            f"remote: error: cannot lock ref '{TAG}': reference already exists\n",
            NotApplied.RACE,
            id="race-made",
        ),
        pytest.param("remote: fatal error in commit_refs\n", NotApplied.OTHER, id="other"),
    ],
)
def test_the_servers_words_tell_a_race_from_the_rest(said: str, reason: NotApplied) -> None:
    lines = f"To x\n!\t{A}:{TAG}\t[remote rejected] (failed to update ref)\nDone\n"
    outcome = outcome_of(answer(1, lines, said), [make(TAG, A)], address="x")
    assert (outcome.result, outcome.reason) == (PushResult.NOT_APPLIED, reason)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(answer(0, "To x\nDone\n"), id="success-without-our-ref"),
        pytest.param(answer(1, f"*\t{A}:{TAG}\t[new tag]\n"), id="F73-line-without-success"),
        pytest.param(
            answer(1, f"!\t{A}:{TAG}\t[remote failure] (remote failed to report status)\nDone\n"),
            id="F73-no-report",
        ),
        pytest.param(answer(128, "", "fatal: the remote end hung up unexpectedly\n"), id="F74-hung-up"),
        pytest.param(answer(-9), id="F76-killed"),
        pytest.param(
            GitAnswer(-15, b"", "fatal: unable to access 'http://x': y", timed_out=True), id="timed-out"
        ),
        pytest.param(
            answer(
                128,
                "",
                "remote: fatal: Could not read from remote repository.\nfatal: the remote end hung up",
            ),
            id="a-hook-that-speaks-like-git",
        ),
    ],
)
def test_any_other_end_is_unknown(case: GitAnswer) -> None:
    assert outcome_of(case, [make(TAG, A)], address="x").result is PushResult.UNKNOWN


def test_porcelain_lines() -> None:
    lines = (
        f"To /x\n*\t{A}:{TAG}\t[new tag]\n"
        "-\t:refs/tags/b\t[deleted]\n"
        "!\t(delete):refs/tags/c\t[rejected] (x)\nDone\n"
    )
    assert [(line.flag, line.ref) for line in parse_porcelain(lines)] == [
        ("*", TAG),
        ("-", "refs/tags/b"),
        ("!", "refs/tags/c"),
    ]


def test_the_message_is_one_screen_without_user_info() -> None:
    noise = "fatal: unable to push to 'https://me:secret@example.invalid/x.git'\n" + "remote: line\n" * 500
    outcome = outcome_of(answer(128, "", noise), [make(TAG, A)], address="x")
    assert "secret" not in outcome.message
    assert "https://example.invalid/x.git" in outcome.message
    assert len(outcome.message.splitlines()) <= 20
