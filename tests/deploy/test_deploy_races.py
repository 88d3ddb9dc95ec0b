"""Deployments against each other, against unlockers, and against a remote that goes wrong in the middle."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import program
from tests.core.places import serving
from tests.deploy.faulty_remote import (
    KILL_SERVER,
    before_push,
    declining,
    delete_tag,
    from_the,
    holding,
    hook,
    once,
    remove_hook,
    unreadable,
)
from tests.deploy.running import GATED, REMEMBER, STAGING, Stage, lease_ends, processes_with, until, wait_for
from tests.repositories import git, write

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.deploy.conftest import Site

EAST, WEST = ("--region", "us-east"), ("--region", "eu-west")
SHORT = {"CI_TASKS_LEASE": "10s"}
"""The shortest lease there is: it is renewed every 3 s."""


@pytest.fixture
def stage(site: Site) -> Iterator[Stage]:
    """A site with one script that waits until the test lets it go."""
    stage = Stage(site)
    site.script(GATED)
    site.script("true", name="20-ci-smoke")
    yield stage
    stage.clean()


def claim_of(stage: Stage, tag: str = "api/staging") -> str:
    """The one claim that holds an environment."""
    (claim,) = {record["claimId"] for record in stage.records(tag) if record["status"] == "RUNNING"}
    return str(claim)


# Claims against each other


def test_f69_one_of_six_deploys_and_the_others_name_it(stage: Stage, tmp_path: Path) -> None:
    site = stage.site
    site.commit()
    clones = [tmp_path / f"clone-{number}" for number in range(6)]
    for clone in clones:
        git("clone", "--quiet", str(site.remote), str(clone), cwd=tmp_path)
    racers = [stage.start("deploy", *STAGING, cwd=clone) for clone in clones]
    until(lambda: sum(racer.process.poll() is not None for racer in racers) == 5, "five losers")
    holder = claim_of(stage)
    (lease,) = {record["leaseEnd"] for record in stage.records()}
    stage.go()
    ended = [racer.end() for racer in racers]
    assert sorted(end.code for end in ended) == [0, 4, 4, 4, 4, 4]
    for loser in (end for end in ended if end.code):
        assert "somebody else holds the claim" in loser.stderr
        assert f"Deployment {holder}.eu-west of v1.0.0 in eu-west, by Test Person." in loser.stderr
        assert f"Its lease ends at {lease[:10]} {lease[11:19]} UTC unless it is renewed." in loser.stderr
        assert f"deploy.cancel {' '.join(STAGING)} --deployment {holder} --reason" in loser.stderr
        assert loser.stderr.endswith(f"next: inv deploy {' '.join(STAGING)}\n")
        assert "Nothing was changed and no script was run." in loser.stderr
    assert site.repository.recorded() == ["eu-west", "us-east"]
    assert {record["claimId"] for record in stage.records()} == {holder}
    assert stage.statuses() == [("us-east", "SUCCESS"), ("eu-west", "SUCCESS")]
    stage.check_chain()


def test_f69_two_regions_are_deployed_to_at_once(stage: Stage, tmp_path: Path) -> None:
    """One loses the first swap for sure: its git waits until the other's claim is there."""
    site = stage.site
    tag = site.remote / "refs/tags/api/staging"
    slow = before_push(tmp_path / "slow", f"until [ -e '{tag}' ]; do sleep 0.05; done")
    racers = [
        stage.start("deploy", *STAGING, *WEST, env=slow),
        stage.start("deploy", *STAGING, *EAST),
    ]
    stage.scripts_started(2)
    assert sorted(stage.statuses()) == [("eu-west", "RUNNING"), ("us-east", "RUNNING")]
    stage.go()
    assert [racer.end().code for racer in racers] == [0, 0]
    assert sorted(stage.statuses()) == [("eu-west", "SUCCESS"), ("us-east", "SUCCESS")]
    assert len({record["claimId"] for record in stage.records()}) == 2
    assert site.ledger().header["settled"] is True
    stage.check_chain()


@pytest.mark.parametrize("how", ["moved", "deleted"])
def test_f55_the_version_tag_moves_before_the_claim(stage: Stage, tmp_path: Path, how: str) -> None:
    site = stage.site
    other = site.commit("Not what was planned")
    command = f"git -C '{site.remote}' " + (
        f"tag -f -m moved api/v1.0.0 {other}" if how == "moved" else "update-ref -d refs/tags/api/v1.0.0"
    )
    done = site.run("deploy", *STAGING, env=before_push(tmp_path / "wrapper", command))
    assert done.returncode == 4
    assert "api/v1.0.0 was moved while the deployment was being prepared." in done.stderr
    assert "Nothing was changed and no script was run." in done.stderr
    assert site.repository.recorded() == []
    assert "refs/tags/api/staging" not in site.repository.remote_refs()


# Claims that end while their scripts run


@pytest.mark.parametrize(
    ("options", "unlocked"),
    [
        pytest.param((), "", id="F115-whole-claim"),
        pytest.param((), ".us-east", id="F115-a-region-that-has-not-begun"),
        pytest.param(("--parallel",), ".us-east", id="F56-one-of-two-at-once"),
    ],
)
def test_f115_unlocked_now(stage: Stage, options: tuple[str, ...], unlocked: str) -> None:
    site = stage.site
    site.script(f"{REMEMBER}; setsid sh -c '{REMEMBER}; exec sleep 100' & {GATED}")
    owner = stage.start("deploy", *STAGING, *options, env=SHORT)
    stage.scripts_started(2 if options else 1)
    claim = claim_of(stage)
    line = ("--deployment", f"{claim}{unlocked}", "--reason", "wrong build", "--now")
    said = site.ok("deploy.unlock", *STAGING, *line)
    assert "Its scripts may still be running" in said
    target = site.target()
    ended = owner.end()
    assert ended.code == 4, ended.stderr
    assert "is gone: it was unlocked: wrong build (Test Person)" in ended.report
    assert stage.survivors() == []
    assert site.target() == target
    assert site.ledger().header["settled"] is False
    assert sorted(stage.statuses()) == [("eu-west", "CANCELLED"), ("us-east", "CANCELLED")]
    by_unlocker = {record["region"] for record in stage.records() if record["endedBy"].startswith("unlocked")}
    assert by_unlocker == ({"us-east"} if unlocked else {"eu-west", "us-east"})
    stage.check_chain()


def test_unlocked_politely(stage: Stage) -> None:
    site = stage.site
    owner = stage.start("deploy", *STAGING, env=SHORT)
    stage.scripts_started()
    said = site.ok("deploy.unlock", *STAGING, "--deployment", claim_of(stage), "--reason", "wrong build")
    assert "is asked to stop" in said
    assert sorted(stage.statuses()) == [("eu-west", "RUNNING"), ("us-east", "RUNNING")]
    ended = owner.end()
    assert ended.code == 4, ended.stderr
    assert "asked to: wrong build (Test Person)" in ended.report
    assert ended.report.startswith("The deployment of api v1.0.0 to staging was called off (")
    assert f"Next: inv deploy {' '.join(STAGING)} inv deploy.status " in ended.report
    assert "us-east SKIPPED v1.0.0 - - " in ended.report
    assert stage.survivors() == []
    assert sorted(stage.statuses()) == [("eu-west", "CANCELLED"), ("us-east", "CANCELLED")]
    assert {record["region"]: record["scriptsStarted"] for record in stage.records()} == {
        "eu-west": True,
        "us-east": False,
    }
    assert site.ledger().live() == {"eu-west": "None?"}
    stage.check_chain()


def test_f56_an_unrelated_record_is_no_reason_to_stop(stage: Stage) -> None:
    site = stage.site
    site.script(f'[ "$DEPLOYMENT_REGION" = us-east ] && exit 0; {GATED}')
    owner = stage.start("deploy", *STAGING, *WEST, env=SHORT)
    stage.scripts_started()
    site.ok("deploy", *STAGING, *EAST)

    def lease_end() -> Any:
        return next(record["leaseEnd"] for record in stage.records() if record["region"] == "eu-west")

    before = lease_end()
    until(lambda: lease_end() != before, "a renewal")
    stage.go()
    assert owner.end().code == 0
    assert stage.statuses() == [("eu-west", "SUCCESS"), ("us-east", "SUCCESS")]
    assert site.ledger().header["settled"] is True
    stage.check_chain()


@pytest.mark.parametrize(
    ("how", "when"),
    [
        pytest.param("unreadable", "while scripts run", id="unreadable-while-scripts-run"),
        pytest.param("unreadable", "before the result", id="unreadable-before-the-result"),
        pytest.param("deleted", "before the result", id="deleted-before-the-result"),
    ],
)
def test_f56_the_environment_tag_is_destroyed_by_hand(stage: Stage, how: str, when: str) -> None:
    site = stage.site
    owner = stage.start("deploy", *STAGING, *WEST, env=SHORT)
    stage.scripts_started()
    if how == "deleted":
        delete_tag(site.remote, "api/staging")
    else:
        unreadable(site.remote, "api/staging", site.target("api/v1.0.0"))
    before = site.repository.remote_refs()
    if when == "before the result":
        stage.go()
    ended = owner.end()
    assert ended.code == 4, ended.stderr
    assert (
        "the environment tag was deleted" if how == "deleted" else "can't be read: there is no ledger"
    ) in ended.report
    assert stage.survivors() == []
    assert site.repository.remote_refs() == before
    was_stopped = "deployment/record: was stopped" in ended.stderr
    assert was_stopped == (when == "while scripts run")
    assert len(stage.pids()) == 1


def test_f115_unlocked_just_before_the_result(stage: Stage) -> None:
    site = stage.site
    owner = stage.start("deploy", *STAGING)
    stage.scripts_started()
    site.ok("deploy.unlock", *STAGING, "--deployment", claim_of(stage), "--reason", "mine", "--now")
    before = site.repository.remote_refs()
    stage.go()
    ended = owner.end()
    assert ended.code == 4, ended.stderr
    assert "eu-west: v1.0.0 SUCCESS, but NOT recorded in api/staging" in ended.stderr
    assert "it was unlocked: mine (Test Person)" in ended.report
    assert site.repository.recorded() == ["eu-west"]
    assert site.repository.remote_refs() == before


# Claims that outlive their owner


def run_of(attempt: int, **changed: str) -> Mapping[str, str]:
    """The variables of a CI job."""
    return {
        "GITHUB_RUN_ID": "4711",
        "GITHUB_JOB": "deploy",
        "GITHUB_REPOSITORY": "example/shop",
        "GITHUB_RUN_ATTEMPT": str(attempt),
        **changed,
    }


def test_f70_f116_only_a_re_run_takes_its_own_claim_back(stage: Stage) -> None:
    site = stage.site
    site.version("api/v1.1.0")
    line = ("deploy", *STAGING, *WEST)
    first = stage.start(*line, "--version", "v1.0.0", env=run_of(2))
    stage.scripts_started()
    first.kill()
    claim = claim_of(stage)
    others = {
        "F116-another job": ((*line, "--version", "v1.0.0"), run_of(3, GITHUB_JOB="smoke")),
        "another run": ((*line, "--version", "v1.0.0"), run_of(3, GITHUB_RUN_ID="4712")),
        "another repository": ((*line, "--version", "v1.0.0"), run_of(3, GITHUB_REPOSITORY="example/fork")),
        "the same attempt": ((*line, "--version", "v1.0.0"), run_of(2)),
        "an earlier attempt": ((*line, "--version", "v1.0.0"), run_of(1)),
        "another version": ((*line, "--version", "v1.1.0"), run_of(3)),
        "more regions": (("deploy", *STAGING, "--version", "v1.0.0"), run_of(3)),
        "no run at all": ((*line, "--version", "v1.0.0"), {}),
    }
    for name, (words, env) in others.items():
        done = site.run(*words, env=env)
        assert done.returncode == 4, name
        assert f"Deployment {claim}.eu-west of v1.0.0" in done.stderr, name
        assert "CI run 4711, job deploy, attempt 2." in done.stderr, name
    assert stage.statuses() == [("eu-west", "RUNNING")]

    stage.go()
    site.ok(*line, "--version", "v1.0.0", env=run_of(3))
    assert stage.statuses() == [("eu-west", "SUCCESS"), ("eu-west", "CANCELLED")]
    assert stage.records()[1]["deploymentId"] == f"{claim}.eu-west"
    assert stage.records()[1]["endedBy"] == "attempt 3 of the same CI run took over"
    assert site.ledger().live() == {"eu-west": "v1.0.0"}
    stage.check_chain()


def test_f70_a_re_run_takes_all_regions_of_its_claim_back(stage: Stage) -> None:
    first = stage.start("deploy", *STAGING, env=run_of(2))
    stage.scripts_started()
    first.kill()
    claim = claim_of(stage)
    stage.go()
    stage.site.ok("deploy", *STAGING, env=run_of(3))
    assert sorted(stage.statuses()) == [
        ("eu-west", "CANCELLED"),
        ("eu-west", "SUCCESS"),
        ("us-east", "CANCELLED"),
        ("us-east", "SUCCESS"),
    ]
    cancelled = [record for record in stage.records() if record["status"] == "CANCELLED"]
    assert {record["claimId"] for record in cancelled} == {claim}
    assert {record["endedBy"] for record in cancelled} == {"attempt 3 of the same CI run took over"}


def test_f72_f77_a_claim_stands_until_its_lease_is_long_over(stage: Stage) -> None:
    site = stage.site
    line = ("deploy", *STAGING, *WEST)
    site.script("true")
    site.ok(*line)
    site.version("api/v1.1.0")
    site.script(f"echo $DEPLOYMENT_VERSION >> $RECORD_TO; kill -9 $PPID; {wait_for('go')}", "20-ci-smoke")
    dead = stage.start(*line)
    assert dead.end().code == -signal.SIGKILL
    held, claim = site.target("api/staging"), claim_of(stage)
    for seconds in (-300, 60):
        lease_ends(stage, seconds)
        done = site.run(*line)
        assert done.returncode == 4
        assert f"Deployment {claim}.eu-west of v1.1.0" in done.stderr
    assert site.run("deploy.settle", *STAGING, "--deployment", claim).returncode == 4
    assert (site.target(), stage.statuses()[0]) == (held, ("eu-west", "RUNNING"))

    lease_ends(stage, 121)
    site.script(GATED, "20-ci-smoke")
    heir = stage.start(*line)
    stage.scripts_started(2)
    assert site.ledger().live() == {"eu-west": "v1.0.0?"}
    assert stage.statuses() == [("eu-west", "RUNNING"), ("eu-west", "CANCELLED"), ("eu-west", "SUCCESS")]
    assert stage.records()[1]["endedBy"].startswith("its lease ended at 2")
    assert "an attempt to deploy v1.1.0 broke off half-way" in site.ok("deploy.status", *STAGING)
    stage.go()
    assert heir.end().code == 0
    assert site.ledger().live() == {"eu-west": "v1.1.0"}
    stage.check_chain()


def test_f72_a_claim_whose_lease_is_over_is_settled_by_hand(stage: Stage) -> None:
    site = stage.site
    dead = stage.start("deploy", *STAGING)
    stage.scripts_started()
    dead.kill()
    claim = claim_of(stage)
    lease_ends(stage, 121)
    done = site.run("deploy.settle", *STAGING, "--deployment", claim)
    assert done.returncode == 1
    assert f"{claim} is closed: us-east CANCELLED, eu-west CANCELLED" in done.stdout
    assert sorted(stage.statuses()) == [("eu-west", "CANCELLED"), ("us-east", "CANCELLED")]
    stage.check_chain()


# A remote that goes wrong


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("post-receive", KILL_SERVER, id="F73-after-its-report"),
        pytest.param("reference-transaction", f'test "$1" != committed || {KILL_SERVER}', id="F73-before-it"),
    ],
)
def test_f73_the_answer_of_every_push_is_lost(stage: Stage, name: str, text: str) -> None:
    site = stage.site
    stage.go()
    hook(site.remote, name, text)
    done = site.run("deploy", *STAGING)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("is live in staging") == 1
    assert site.repository.recorded() == ["eu-west", "us-east"]
    assert stage.statuses() == [("us-east", "SUCCESS"), ("eu-west", "SUCCESS")]
    stage.check_chain()


def test_f74_the_server_dies_before_the_claim_is_there(stage: Stage, tmp_path: Path) -> None:
    site = stage.site
    stage.go()
    hook(site.remote, "pre-receive", once(tmp_path / "died", KILL_SERVER))
    site.ok("deploy", *STAGING, *WEST)
    assert (tmp_path / "died").exists()
    assert stage.statuses() == [("eu-west", "SUCCESS")]

    hook(site.remote, "pre-receive", KILL_SERVER)
    before, ran = site.repository.remote_refs(), site.repository.recorded()
    done = site.run("deploy", *STAGING, *EAST)
    assert done.returncode == 6, done.stderr
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("next: inv deploy.settle"))
    assert (site.repository.remote_refs(), site.repository.recorded()) == (before, ran)

    remove_hook(site.remote, "pre-receive")
    found = site.run(*line.removeprefix("next: inv ").split())
    assert found.returncode == 1
    assert "never reached api/staging, and can't any more" in found.stdout
    assert site.repository.remote_refs() != before
    site.ok("deploy", *STAGING, *EAST)
    stage.check_chain()


@pytest.mark.parametrize("which", ["claim", "result"])
def test_f111_the_client_of_a_push_dies_and_the_server_goes_on(
    stage: Stage, tmp_path: Path, which: str
) -> None:
    site = stage.site
    entered, release = tmp_path / "entered", tmp_path / "release"
    slow = once(tmp_path / "first", holding(entered, release))
    if which == "result":
        stage.go()
        slow = f"[ ! -e '{site.repository.record}' ] || {slow}"
    hook(site.remote, "pre-receive", slow)
    stage.go()
    deployment = stage.start("deploy", *STAGING, *WEST)
    until(entered.exists, "the push")
    for pid in processes_with(f"-- {site.remote} "):
        os.kill(pid, signal.SIGKILL)
    release.touch()
    ended = deployment.end()
    assert ended.code == 0, ended.stderr
    assert site.repository.recorded() == ["eu-west"]
    assert stage.statuses() == [("eu-west", "SUCCESS")]
    stage.check_chain()


def test_f111_a_claim_that_arrived_unanswered_and_was_ended(stage: Stage, tmp_path: Path) -> None:
    site = stage.site
    hook(
        site.remote,
        "reference-transaction",
        f'[ "$1" != committed ] || {{ {once(tmp_path / "died", KILL_SERVER)}; }}',
    )
    claim = """| grep -o '"claimId":"[^"]*"' | head -n 1 | cut -d '"' -f 4"""
    shown = f"git -C '{site.remote}' cat-file tag refs/tags/api/staging"
    unlock = (
        f"{program('inv')} deploy.unlock {' '.join(STAGING)} --now --reason 'wrong build'"
        f" --deployment $({shown} {claim})"
    )
    wrapper = before_push(
        tmp_path / "wrapper", from_the(2, tmp_path / "pushes", once(tmp_path / "x", unlock))
    )
    done = site.run("deploy", *STAGING, env=wrapper)
    assert done.returncode == 4, done.stderr
    assert "is gone: it was unlocked: wrong build (Test Person)" in done.stderr
    assert site.repository.recorded() == []
    assert stage.statuses() == [("us-east", "CANCELLED"), ("eu-west", "CANCELLED")]
    stage.check_chain()


def test_f111_a_claim_that_arrived_unanswered_below_another(stage: Stage, tmp_path: Path) -> None:
    """Somebody deploys to the other region before the claim is pushed again: it is known by its nonce."""
    site = stage.site
    died = once(tmp_path / "died", KILL_SERVER)
    hook(site.remote, "reference-transaction", f'[ "$1" != committed ] || {{ {died}; }}')
    other = f"{program('inv')} deploy {' '.join([*STAGING, *EAST])}"
    wrapper = before_push(tmp_path / "wrapper", from_the(2, tmp_path / "pushes", once(tmp_path / "x", other)))
    stage.go()
    done = site.run("deploy", *STAGING, *WEST, env=wrapper)
    assert done.returncode == 0, done.stderr
    assert stage.statuses() == [("eu-west", "SUCCESS"), ("us-east", "SUCCESS")]
    assert site.repository.recorded() == ["us-east", "eu-west"]
    stage.check_chain()


def test_f111_an_unlock_that_arrived_unanswered_below_another(stage: Stage, tmp_path: Path) -> None:
    """Somebody writes before it is pushed again: what it asks for has come, which is no wrong id."""
    site = stage.site
    owner = stage.start("deploy", *STAGING, *WEST)
    stage.scripts_started()
    claim = claim_of(stage)
    died = once(tmp_path / "died", KILL_SERVER)
    hook(site.remote, "reference-transaction", f'[ "$1" != committed ] || {{ {died}; }}')
    line = f"deploy.settle {' '.join(STAGING)} --deployment 20260102T030405Z-1a2b3c"  # it writes the tag once
    other = f"{program('inv')} {line} || :"
    wrapper = before_push(tmp_path / "wrapper", from_the(2, tmp_path / "pushes", once(tmp_path / "x", other)))
    site.ok("deploy.unlock", *STAGING, "--deployment", claim, "--reason", "stuck", "--now", env=wrapper)
    (record,) = stage.records()
    assert (record["status"], record["endedBy"]) == ("CANCELLED", "unlocked: stuck (Test Person)")
    assert (tmp_path / "x").exists()
    owner.kill()
    stage.go()
    stage.check_chain()


def test_f75_the_remote_comes_back_before_the_lease_ends(stage: Stage, tmp_path: Path) -> None:
    site = stage.site
    log, away = tmp_path / "pushes", tmp_path / "away.git"
    env = before_push(tmp_path / "counting", f"echo push >> '{log}'")
    owner = stage.start("deploy", *STAGING, *WEST, env={**env, "CI_TASKS_LEASE": "2m"})
    stage.scripts_started()
    site.remote.rename(away)
    stage.go()
    until(lambda: log.read_text(encoding="ascii").count("push") >= 3, "two tries to record the result")
    away.rename(site.remote)
    assert owner.end().code == 0
    assert stage.statuses() == [("eu-west", "SUCCESS")]
    stage.check_chain()


def test_f75_the_remote_does_not_come_back(stage: Stage, tmp_path: Path) -> None:
    site = stage.site
    away = tmp_path / "away.git"
    owner = stage.start("deploy", *STAGING, *WEST, env=SHORT)
    stage.scripts_started()
    claim = claim_of(stage)
    site.remote.rename(away)
    stage.go()
    ended = owner.end()
    away.rename(site.remote)
    assert ended.code == 5, ended.stderr
    assert "eu-west: v1.0.0 SUCCESS, but NOT recorded in api/staging" in ended.stderr
    assert "eu-west: the scripts ended as SUCCESS, but api/staging does not say so." in ended.report
    assert f"The result could not be recorded in api/staging: the claim {claim} stands" in ended.report
    assert "Recorded in" not in ended.report
    assert f"inv deploy.settle {' '.join(STAGING)} --deployment {claim}" in ended.report
    assert stage.statuses() == [("eu-west", "RUNNING")]
    assert site.run("deploy.settle", *STAGING, "--deployment", claim).returncode == 4


def test_f75_the_remote_goes_away_with_the_answer(stage: Stage, tmp_path: Path) -> None:
    site = stage.site
    away = tmp_path / "away.git"
    gone = f"mv '{site.remote}' '{away}'; {KILL_SERVER}"
    result = """read -r _ new _ && git cat-file tag "$new" 2>/dev/null | grep -q '"status":"SUCCESS"'"""
    # It is the result's push that gets no answer, and not a renewal's.
    hook(
        site.remote, "reference-transaction", f'[ "$1" = committed ] || exit 0\nif {result}; then {gone}; fi'
    )
    stage.go()
    done = site.run("deploy", *STAGING, *WEST, env=SHORT)
    away.rename(site.remote)
    remove_hook(site.remote, "reference-transaction")
    assert done.returncode == 6, done.stderr
    (line,) = (line.strip() for line in done.stdout.splitlines() if "deploy.settle" in line)
    assert "eu-west: v1.0.0 SUCCESS, but NOT recorded" in done.stderr
    found = site.run(*line.removeprefix("inv ").split())
    assert (found.returncode, found.stdout.split(" ", 1)[1]) == (
        0,
        "succeeded and is recorded in api/staging.\n",
    )


def test_f75_scripts_are_stopped_before_the_lease_ends(stage: Stage, tmp_path: Path) -> None:
    """The push that would renew the claim hangs: nothing that waits for it may keep the scripts alive."""
    site = stage.site
    entered, release = tmp_path / "entered", tmp_path / "release"
    hook(site.remote, "pre-receive", from_the(2, tmp_path / "pushes", holding(entered, release)))
    owner = stage.start("deploy", *STAGING, *WEST, env=SHORT)
    stage.scripts_started()
    claim = claim_of(stage)
    until(lambda: not stage.survivors(), "the end of the scripts")
    assert entered.exists()
    assert owner.process.poll() is None
    release.touch()
    ended = owner.end()
    assert ended.code == 5, ended.stderr
    assert "deployment/record: was stopped" in ended.stderr
    assert f"The claim {claim} could not be renewed in time: its scripts were stopped." in ended.report
    assert stage.statuses() == [("eu-west", "CANCELLED")]
    stage.check_chain()


def test_f76_clients_that_are_killed_in_the_middle_of_a_push(stage: Stage, tmp_path: Path) -> None:
    site = stage.site
    site.script("true")
    chance = random.Random(76)  # noqa: S311 - the moments are to be the same in every run
    for number in range(6):
        counted, reached = tmp_path / f"{number}.pushes", tmp_path / f"{number}.reached"
        which = 1 + number % 3  # the claim, the first result, the second
        slow = f"touch '{reached}'; sleep {chance.uniform(0, 0.05)}"
        hook(site.remote, "pre-receive", from_the(which, counted, slow))
        started = stage.start("deploy", *STAGING, "--again")
        until(reached.exists, "a push")
        started.kill()
        until(lambda: not processes_with(str(site.remote)), "the end of what the client left behind")
        remove_hook(site.remote, "pre-receive")
        status = site.answer("deploy.status", *STAGING)
        running = [record for record in stage.records() if record["status"] == "RUNNING"]
        if status["environments"]:
            assert len(status["environments"][0]["running"]) == len(running)
        if stage.records():
            stage.check_chain()
        if running:
            lease_ends(stage, 121)
    done = site.run("deploy", *STAGING, "--again")
    assert done.returncode == 0, done.stderr
    assert {status for _, status in stage.statuses()} == {"SUCCESS", "CANCELLED"}
    assert site.ledger().live() == {"eu-west": "v1.0.0", "us-east": "v1.0.0"}
    stage.check_chain()


def test_f78_a_stale_lock_on_the_remote(stage: Stage) -> None:
    site = stage.site
    lock = site.remote / "refs/tags/api/staging.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    done = site.run("deploy", *STAGING)
    assert done.returncode == 5, done.stderr
    assert "a lock file was left on the remote" in done.stderr
    (repair,) = (line for line in done.stderr.splitlines() if "when no git process runs: rm " in line)
    assert site.repository.recorded() == []
    subprocess.run(["sh", "-c", repair.partition("runs: ")[2]], check=True)
    assert not lock.exists()
    stage.go()
    site.ok("deploy", *STAGING)


def test_f80_the_remote_declines_the_claim(stage: Stage) -> None:
    site = stage.site
    hook(site.remote, "pre-receive", declining("GH013: rule no-deploys-today: ask the release team"))
    done = site.run("deploy", *STAGING)
    assert done.returncode == 3
    assert "GH013: rule no-deploys-today: ask the release team" in done.stderr
    assert site.repository.recorded() == []
    assert "refs/tags/api/staging" not in site.repository.remote_refs()


def test_f80_the_remote_declines_the_result_only(stage: Stage) -> None:
    site = stage.site
    stage.go()
    words = "GH013: rule no-deploys-after-noon"
    hook(site.remote, "pre-receive", declining(words, only_if=site.repository.record))
    done = site.run("deploy", *STAGING)
    claim = claim_of(stage)
    assert done.returncode == 1, done.stderr  # 3 would say that no script was run
    assert site.repository.recorded() == ["eu-west"]
    assert "eu-west: v1.0.0 SUCCESS, but NOT recorded in api/staging" in done.stderr
    assert "us-east | " not in done.stderr
    assert words in done.stdout
    assert "UNKNOWN" in done.stdout
    assert "SKIPPED" in done.stdout
    assert f"inv deploy.settle {' '.join(STAGING)} --deployment {claim}" in done.stdout


@pytest.mark.parametrize(
    "where", [pytest.param("path", id="F87-no-path"), pytest.param("port", id="F87-nobody-listens")]
)
def test_f87_an_unreachable_remote(stage: Stage, tmp_path: Path, where: str) -> None:
    site = stage.site
    url = str(tmp_path / "nowhere.git") if where == "path" else "http://127.0.0.1:9/remote.git"
    site.repository.git("remote", "set-url", "origin", url)
    done = site.run("deploy", *STAGING)
    assert done.returncode == 5
    assert "Nothing was changed." in done.stderr
    assert f"next: git ls-remote {url}" in done.stderr
    assert site.repository.recorded() == []


FLAKY_SSH = """\
#!/bin/sh
# Every second connection is refused. The last argument is what is to be run over there.
echo x >> {count}
[ $(($(wc -l < {count}) % 2)) -eq 0 ] || {{ echo "ssh: connect: Connection refused" >&2; exit 255; }}
for command; do :; done
exec sh -c "$command"
"""


def test_f87_every_second_connection_fails(stage: Stage, tmp_path: Path) -> None:
    """What fails before anything began is tried again, reads and pushes alike: nobody has to see it."""
    site = stage.site
    stage.go()
    ssh = write(tmp_path / "ssh", FLAKY_SSH.format(count=tmp_path / "count"), executable=True)
    site.repository.git("remote", "set-url", "origin", f"git@example.invalid:{site.remote}")
    done = site.run("deploy", *STAGING, *WEST, env={"GIT_SSH_COMMAND": str(ssh), "GIT_SSH_VARIANT": "simple"})
    assert done.returncode == 0, done.stderr
    assert stage.statuses() == [("eu-west", "SUCCESS")]
    assert site.repository.recorded() == ["eu-west"]
    stage.check_chain()


def test_f89_nothing_is_asked_of_a_server_beside_git(stage: Stage) -> None:
    """GitHub's API may be down: what is deployed and reported does not need it."""
    site = stage.site
    stage.go()
    nowhere = {"GITHUB_API_URL": "http://127.0.0.1:9", "GITHUB_SERVER_URL": "http://127.0.0.1:9"}
    site.ok("deploy", *STAGING, *WEST, env={**run_of(1), **nowhere, "GITHUB_ACTIONS": "true", "CI": "true"})
    assert stage.statuses() == [("eu-west", "SUCCESS")]


@pytest.mark.parametrize("what", [pytest.param("login", id="F83-401"), pytest.param("write", id="F83-403")])
def test_f83_a_login_that_may_not_write(stage: Stage, what: str) -> None:
    site = stage.site
    with serving(site.remote.parent) as server:
        site.repository.git("remote", "set-url", "origin", f"http://{server.site}/remote.git")
        if what == "login":
            server.login = "Basic bm9ib2R5Om5vdGhpbmc="
        else:
            git("config", "http.receivepack", "false", cwd=site.remote)
        done = site.run("deploy", *STAGING)
    assert done.returncode == 5, done.stderr
    assert "the login was refused" in done.stderr
    assert site.repository.recorded() == []
    assert "refs/tags/api/staging" not in site.repository.remote_refs()
