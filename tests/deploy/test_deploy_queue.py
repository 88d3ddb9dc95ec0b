"""Deployments that wait for their turn: who goes first, what is planned anew, and who leaves how."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ci_tasks.core.checkout import Checkout
from ci_tasks.core.errors import ConflictError, ExitCode, RefusedError, UnavailableError, UsageError
from ci_tasks.deploy import deployment, lease
from ci_tasks.deploy.model import Request
from ci_tasks.deploy.queue import place
from ci_tasks.deploy.queue.wait import spoken, wait_seconds, waiting_line
from ci_tasks.deploy.rollout import parts as rollout
from ci_tasks.tag import annotation, transition
from ci_tasks.tag import queue as queues
from ci_tasks.tag.clock import utc_now
from ci_tasks.tag.grammar import EnvironmentTag
from tests.conftest import program
from tests.deploy.faulty_remote import KILL_SERVER, delete_tag, hook, once
from tests.deploy.running import GATED, STAGING, Stage, until
from tests.repositories import git
from tests.tag.records import record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ci_tasks.deploy.deployment import Result
    from tests.deploy.conftest import Ledger, Site
    from tests.deploy.running import Started

TAG = "refs/tags/api/staging"
EAST, WEST = ("--region", "us-east"), ("--region", "eu-west")
WAIT = ("--wait", "5")
SHORT = {"CI_TASKS_LEASE": "10s"}
"""The shortest lease there is: it is renewed every 3 s."""


def log_moves(site: Site) -> Path:
    """Let the remote write down every move of a tag that is pushed."""
    log = site.temporary / "moves"
    hook(site.remote, "post-receive", f"cat >> '{log}'")
    return log


def check_moves(site: Site, log: Path) -> None:
    """Every push made a move that an observer takes for one of ours."""
    for line in log.read_text(encoding="ascii").splitlines() if log.exists() else []:
        old, new, name = line.split()
        if name == TAG:
            before = None if set(old) == {"0"} else read(site, old)
            ledger, target = read(site, new)
            assert not transition.faults(
                before[0] if before else None,
                ledger,
                old_id=old if before else None,
                old_target=before[1] if before else None,
                new_target=target,
                now=utc_now(),
            )


def read(site: Site, object_id: str) -> tuple[Any, str]:
    """The ledger in a tag object of the remote, and the commit that it stands on."""
    head, _, message = git("cat-file", "tag", object_id, cwd=site.remote).partition("\n\n")
    return annotation.read(f"{message}\n", name="api/staging"), head.split()[1]


@pytest.fixture
def stage(site: Site) -> Iterator[Stage]:
    """A site with one script that waits until the test lets it go; every move of its tag is looked at."""
    stage = Stage(site)
    log = log_moves(site)
    site.script(f'echo "$DEPLOYMENT_VERSION" >> "$RECORD_TO.order"; {GATED}')
    site.script("true", name="20-ci-smoke")
    site.commit()
    site.version("api/v1.1.0", "api/v1.2.0")
    yield stage
    stage.clean()
    check_moves(site, log)


@pytest.fixture
def here(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """The same for waiters in this very process: they look at the tag all the time."""
    monkeypatch.setattr(place, "POLLS", (0.05, 0.1))
    monkeypatch.setenv("TMPDIR", str(stage.site.temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return stage


def waiting(stage: Stage) -> list[dict[str, Any]]:
    """The records that wait, in the tag's own order."""
    return [record for record in stage.records() if record["status"] == "PENDING"]


def queued(stage: Stage, *line: str, count: int = 1, env: Mapping[str, str] | None = None) -> Started:
    """A deployment with `--wait` that has joined; `count` records wait then."""
    started = stage.start("deploy", *STAGING, *WAIT, *line, env=env)
    until(lambda: len(waiting(stage)) == count, "the place in the queue")
    return started


def running(stage: Stage, *line: str, env: Mapping[str, str] | None = None) -> Started:
    """A deployment whose script has started."""
    before = len(stage.site.repository.recorded())
    started = stage.start("deploy", *STAGING, *line, env=env)
    stage.scripts_started(before + 1)
    return started


def order(stage: Stage) -> list[str]:
    """The versions whose scripts ran, one for each region, in their order."""
    return stage.file("order").read_text(encoding="ascii").split()


def deploy_here(stage: Stage, version: str, *regions: str, wait: float | None = 50.0) -> Result:
    """A deployment in this very process."""
    checkout = Checkout.open(stage.site.clone, os.environ)
    request = Request(
        environment="staging", subproject="api", version=version, regions=regions, wait=wait, yes=True
    )
    return deployment.deploy(checkout, request, environ=os.environ)


# First come, first served


def test_first_come_first_served(stage: Stage) -> None:
    site = stage.site
    stage.go()
    site.ok("deploy", *STAGING, *WEST, "--version", "v1.0.0")
    stage.file("go").unlink()
    owner = running(stage, *WEST, "--version", "v1.0.0", "--again")
    second = queued(stage, *WEST, "--version", "v1.1.0")
    third = queued(stage, *WEST, "--version", "v1.2.0", count=2)

    status = site.answer("deploy.status", *STAGING)["environments"][0]["running"]
    assert [(one["version"], one["status"], one["queuePosition"]) for one in status] == [
        ("v1.0.0", "RUNNING", None),
        ("v1.1.0", "PENDING", 1),
        ("v1.2.0", "PENDING", 2),
    ]
    assert status[0]["estimatedWaitTime"] is None
    assert 0 <= status[1]["estimatedWaitTime"] <= status[2]["estimatedWaitTime"]
    assert [one["queuePosition"] for one in waiting(stage)] == [1, 2]
    shown = " ".join(site.ok("deploy.status", *STAGING).split())
    assert "v1.0.0 running, v1.1.0 waiting, v1.2.0 waiting" in shown
    assert "v1.2.0 of Test Person, place 2 in the queue, about" in shown
    plan = site.answer("deploy", *STAGING, *WAIT, "--dry-run")["plan"]
    assert (plan["queuePosition"], plan["estimatedWaitTime"] >= 0) == (3, True)
    preview = site.ok("deploy", *STAGING, *WAIT, "--dry-run")
    assert "It would wait: place 3 in the queue, about" in preview
    assert f"{waiting(stage)[0]['deploymentId']} of Test Person waits in the queue for eu-west." in preview

    stage.go()
    assert [each.end().code for each in (owner, second, third)] == [0, 0, 0]
    assert "waits in the queue" not in third.end().report  # its own place is no news
    assert order(stage) == ["v1.0.0", "v1.0.0", "v1.1.0", "v1.2.0"]
    assert "Waiting for api/staging, next in the queue" in second.said
    assert "v1.0.0 of Test Person is running in eu-west" in second.said
    assert "Waiting for api/staging, place 2 in the queue, about" in third.said
    last = stage.records()[0]
    assert (last["version"], last["queuePosition"], last["estimatedWaitTime"]) == ("v1.2.0", None, None)
    stage.check_chain()


def test_other_regions_do_not_wait_but_all_of_them_do(stage: Stage) -> None:
    site = stage.site
    owner = running(stage, *WEST, "--version", "v1.0.0")
    west = queued(stage, *WEST, "--version", "v1.1.0")
    assert running(stage, *EAST, "--version", "v1.2.0").process.poll() is None
    both = site.run("deploy", *STAGING, "--version", "v1.2.0")
    assert both.returncode == 4
    assert "To wait for your turn, 10 minutes at most: inv deploy --env staging" in both.stderr
    assert "--version v1.2.0 --wait 10" in both.stderr
    stage.go()
    assert (owner.end().code, west.end().code) == (0, 0)
    until(lambda: stage.started[-1].process.poll() is not None, "the other region")
    assert order(stage) == ["v1.0.0", "v1.2.0", "v1.1.0"]
    assert site.ledger().live() == {"eu-west": "v1.1.0", "us-east": "v1.2.0"}
    stage.check_chain()


def test_who_does_not_wait_yields_to_those_who_do(stage: Stage) -> None:
    """The one at work is gone, and the one whose turn it is has not seen it yet: nobody overtakes him."""
    site = stage.site
    owner = running(stage, *WEST, "--version", "v1.0.0", env=SHORT)
    first = queued(stage, *WEST, "--version", "v1.1.0")
    first.signal(signal.SIGSTOP)
    stage.go()
    assert owner.end().code == 0
    claim = waiting(stage)[0]["claimId"]
    late = site.run("deploy", *STAGING, "--version", "v1.2.0")
    assert late.returncode == 4
    assert "api/staging has a queue: a deployment waits there, and goes first." in late.stderr
    assert f"Deployment {claim}.eu-west of v1.1.0 in eu-west, by Test Person, is the first." in late.stderr
    assert "--version v1.2.0 --wait 10" in late.stderr
    assert f"inv deploy.cancel {' '.join(STAGING)} --deployment {claim}" in late.stderr
    first.signal(signal.SIGCONT)
    assert first.end().code == 0
    assert order(stage) == ["v1.0.0", "v1.1.0"]
    stage.check_chain()


# At its turn everything is planned anew


def test_f65_a_plan_that_became_a_downgrade_while_it_waited(here: Stage) -> None:
    owner = running(here, *WEST, "--version", "v1.2.0")
    threading.Timer(0.5, here.go).start()
    with pytest.raises(RefusedError) as refused:
        deploy_here(here, "v1.1.0", "eu-west")  # with --yes, which was typed for another plan
    assert (
        refused.value.what
        == "v1.1.0 is older than v1.2.0, which has come to eu-west while this deployment waited."
    )
    assert str(refused.value.next_step).startswith(
        "inv deploy --env staging --subproject api --version v1.1.0"
    )
    assert owner.end().code == 0
    assert here.statuses() == [("eu-west", "SUCCESS")]


def test_a_version_that_was_marked_bad_while_it_waited(stage: Stage) -> None:
    site = stage.site
    owner = running(stage, *WEST, "--version", "v1.0.0")
    late = queued(stage, *WEST, "--version", "v1.1.0")
    why = ("--state", "deprecated", "--reason", "loses data")
    site.ok("tag.state", "--subproject", "api", "--version", "v1.1.0", *why)
    stage.go()
    ended = late.end()
    assert ended.code == 3, ended.stderr
    assert "api/v1.1.0 is marked deprecated: loses data." in ended.stderr
    assert owner.end().code == 0
    assert stage.statuses() == [("eu-west", "SUCCESS")]
    assert order(stage) == ["v1.0.0"]


def test_what_has_come_by_another_way_is_not_deployed_again(here: Stage) -> None:
    here.site.version("api/v1.3.0")
    owner = running(here, *WEST, "--version", "v1.3.0")
    threading.Timer(0.5, here.go).start()
    result = deploy_here(here, "v1.3.0")
    assert (owner.end().code, result.code) == (0, ExitCode.OK)
    assert order(here) == ["v1.3.0", "v1.3.0"]
    assert [(one.region, one.status.value) for one in result.deployments] == [("us-east", "SUCCESS")]
    needless = here.records()[1]
    assert (needless["region"], needless["status"], needless["scriptsStarted"]) == (
        "eu-west",
        "CANCELLED",
        False,
    )
    assert needless["endedBy"] == "when its turn came, the version was live there already"
    assert here.site.ledger().live() == {"eu-west": "v1.3.0", "us-east": "v1.3.0"}

    here.file("go").unlink()
    owner = running(here, "--version", "v1.2.0", "--yes")
    threading.Timer(0.5, here.go).start()
    result = deploy_here(here, "v1.2.0")
    assert (owner.end().code, result.code, result.deployments) == (0, ExitCode.OK, [])
    assert not waiting(here)
    here.check_chain()


def test_a_failure_is_taken_back_before_the_next_one_begins(stage: Stage) -> None:
    site = stage.site
    site.repository.write("environments/staging/config.yml", "onFailure: rollback\n")
    site.script(
        f'echo "$DEPLOYMENT_VERSION" >> "$RECORD_TO.order"; {GATED}; [ $DEPLOYMENT_VERSION != v1.1.0 ]'
    )
    site.commit()
    stage.go()
    site.ok("deploy", *STAGING, *WEST, "--version", "v1.0.0")
    stage.file("go").unlink()
    owner = running(stage, *WEST, "--version", "v1.1.0")
    waiter = queued(stage, *WEST, "--version", "v1.2.0")
    waiter.signal(signal.SIGSTOP)
    stage.go()
    assert owner.end().code == 1
    waiter.signal(signal.SIGCONT)
    assert waiter.end().code == 0
    assert order(stage) == ["v1.0.0", "v1.1.0", "v1.0.0", "v1.2.0"]
    stage.check_chain()


def test_an_environment_that_got_regions_while_somebody_waited(here: Stage) -> None:
    site = here.site
    production = ("--env", "production", "--subproject", "api")
    owner = here.start("deploy", *production, "--version", "v1.0.0")
    here.scripts_started()
    checkout = Checkout.open(site.clone, os.environ)
    request = Request(environment="production", subproject="api", version="v1.1.0", wait=50.0)

    def add_regions() -> None:
        until(lambda: len(here.records("api/production")) > 1, "the place in the queue")
        site.repository.write("environments/production/config.yml", "regions: [eu, us]\n")
        here.go()

    adding = threading.Thread(target=add_regions)
    adding.start()
    with pytest.raises(RefusedError, match="production has got regions while this deployment waited: eu, us"):
        deployment.deploy(checkout, request, environ=os.environ)
    adding.join()
    assert owner.end().code == 0
    assert here.statuses("api/production") == [(None, "SUCCESS")]


# Leaving


@pytest.mark.parametrize(
    ("number", "code"),
    [pytest.param(signal.SIGINT, 130, id="F94-ctrl-c"), pytest.param(signal.SIGTERM, 143, id="F95-term")],
)
def test_whoever_is_interrupted_leaves(stage: Stage, number: int, code: int) -> None:
    owner = running(stage, *WEST)
    waiter = queued(stage, *WEST)
    waiter.signal(number, group=True)
    ended = waiter.end()
    assert ended.code == code, ended.stderr
    assert "No script was run: the deployment only waited for its turn." in ended.stderr
    assert stage.statuses() == [("eu-west", "RUNNING")]
    assert owner.process.poll() is None


@pytest.mark.parametrize("place", ["before_push", "after_object", "after_push"])
def test_whoever_is_interrupted_while_he_joins_leaves(stage: Stage, place: str) -> None:
    running(stage, *WEST)
    env = {"CI_TASKS_TESTING": "1", "CI_TASKS_FAILPOINT": f"{place}=int"}
    ended = stage.start("deploy", *STAGING, *WEST, *WAIT, env=env).end()
    assert ended.code == 130, ended.stderr
    assert stage.statuses() == [("eu-west", "RUNNING")]


def test_a_second_signal_does_not_keep_anybody_from_leaving(stage: Stage) -> None:
    running(stage, *WEST)
    env = {"CI_TASKS_TESTING": "1", "CI_TASKS_FAILPOINT": "before_leave=term"}
    waiter = queued(stage, *WEST, env=env)
    waiter.signal(signal.SIGINT)
    ended = waiter.end()
    assert ended.code == 130, ended.stderr
    assert "could not be given up" not in ended.stderr
    assert stage.statuses() == [("eu-west", "RUNNING")]


def test_whose_time_is_up_leaves_and_says_who_was_in_the_way(stage: Stage) -> None:
    running(stage, *WEST)
    holder = stage.records()[0]["deploymentId"]
    queued(stage, *WEST)
    done = stage.site.run("deploy", *STAGING, "--wait", "0.03")
    assert done.returncode == 4
    assert "somebody else holds the claim." in done.stderr
    assert f"Deployment {holder} of v1.2.0 in eu-west, by Test Person." in done.stderr
    assert " was place 2 in the queue.\n" in done.stderr
    assert "To wait for your turn" not in done.stderr
    assert done.stderr.endswith(f"next: inv deploy {' '.join(STAGING)} --version v1.2.0 --wait 10\n")
    assert len(waiting(stage)) == 1


@pytest.mark.parametrize(
    ("command", "reason", "why"),
    [
        ("deploy.cancel", (), "cancelled by Test Person"),
        ("deploy.unlock", ("--reason", "wrong build"), "unlocked: wrong build (Test Person)"),
    ],
)
def test_who_waits_is_taken_out_of_the_queue(
    stage: Stage, command: str, reason: tuple[str, ...], why: str
) -> None:
    site = stage.site
    owner = running(stage, *WEST)
    waiter = queued(stage, *WEST)
    claim = waiting(stage)[0]["claimId"]
    settled = site.run("deploy.settle", *STAGING, "--deployment", claim)
    assert (settled.returncode, f"{claim} waits in the queue of api/staging" in settled.stdout) == (4, True)
    said = site.ok(command, *STAGING, "--deployment", claim, *reason)
    assert said == f"{claim} is taken out of the queue of api/staging. Whoever waited is told so.\n"
    ended = waiter.end()
    assert ended.code == 4, ended.stderr
    assert f"{claim}.eu-west does not wait for api/staging any more: it was {why}." in ended.stderr
    assert stage.statuses() == [("eu-west", "RUNNING"), ("eu-west", "CANCELLED")]
    assert owner.process.poll() is None
    again = site.run(command, *STAGING, "--deployment", claim, *reason)
    assert (again.returncode, f"{claim} is neither running nor waiting in" in again.stderr) == (2, True)


def test_a_running_one_sees_soon_that_it_is_called_off(here: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a lease of ten minutes it would renew in three; it looks at the tag in between."""
    monkeypatch.setattr(lease, "LOOK", 0.2)
    line = [str(program("inv")), "deploy.cancel", *STAGING, "--reason", "wrong build", "--deployment"]

    def call_off() -> None:
        here.scripts_started()
        subprocess.run([*line, here.records()[0]["claimId"]], cwd=here.site.clone, check=True)

    caller = threading.Thread(target=call_off)
    caller.start()
    result = deploy_here(here, "v1.1.0", "eu-west", wait=None)
    caller.join()
    assert result.code is ExitCode.CONFLICT
    assert [(one.status.value, one.ended_by) for one in result.deployments] == [
        ("CANCELLED", "Stopped because it was asked to: wrong build (Test Person)")
    ]
    assert here.statuses() == [("eu-west", "CANCELLED")]


def test_f115_a_request_to_stop_is_heeded_before_the_next_region(
    here: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first region ends before anybody looks; the request named that region alone."""
    monkeypatch.setattr(lease, "LOOK", 1000.0)
    line = [str(program("inv")), "deploy.cancel", *STAGING, "--deployment"]

    def call_off() -> None:
        here.scripts_started()
        first = next(one for one in here.records() if one["scriptsStarted"] or one["region"] == "eu-west")
        subprocess.run([*line, first["deploymentId"]], cwd=here.site.clone, check=True)
        here.go()

    caller = threading.Thread(target=call_off)
    caller.start()
    result = deploy_here(here, "v1.1.0", wait=None)
    caller.join()
    assert result.code is ExitCode.PARTIAL
    assert here.statuses() == [("us-east", "CANCELLED"), ("eu-west", "SUCCESS")]
    why = "not started: stopped because it was asked to: Test Person gave no reason"
    assert (here.records()[0]["endedBy"], here.records()[0]["scriptsStarted"]) == (why, False)


def test_what_nobody_agreed_to_is_not_deployed_by_a_later_part(here: Stage) -> None:
    """With --yes, which was typed when it was no step back."""
    checkout = Checkout.open(here.site.clone, os.environ)
    request = Request(environment="staging", subproject="api", version="v1.0.0", yes=True)
    part = deployment.planned(checkout, request, environ=os.environ)
    here.go()
    here.site.ok("deploy", *STAGING, "--version", "v1.1.0")
    with pytest.raises(RefusedError, match=r"v1\.0\.0 is older than v1\.1\.0, which has come to eu-west"):
        rollout._anew(checkout, part, os.environ)


# Those who die, and remotes that do


@pytest.mark.parametrize(("place", "left"), [("before_join", 0), ("after_join", 1), ("before_leave", 1)])
def test_a_waiter_that_is_killed(stage: Stage, place: str, left: int) -> None:
    site = stage.site
    owner = running(stage, *WEST)
    env = {"CI_TASKS_TESTING": "1", "CI_TASKS_FAILPOINT": place}
    dead = stage.start("deploy", *STAGING, *WEST, "--wait", "0.02", env=env)
    assert dead.end().code == -signal.SIGKILL
    assert len(waiting(stage)) == left
    stage.go()
    assert owner.end().code == 0
    done = site.run("deploy", *STAGING, *WEST, "--version", "v1.1.0", "--yes")
    assert done.returncode == (4 if left else 0)
    if left:
        wait_is_over(stage, 60)
        assert site.run("deploy", *STAGING, *WEST, "--version", "v1.1.0", "--yes").returncode == 4
        end = wait_is_over(stage, 121)
        site.ok("deploy", *STAGING, *WEST, "--version", "v1.1.0", "--yes")
        assert [record["status"] for record in stage.records()] == ["SUCCESS", "CANCELLED", "SUCCESS"]
        assert stage.records()[1]["endedBy"] == f"its wait ended at {end}"
    stage.check_chain()


def wait_is_over(stage: Stage, seconds_ago: float) -> str:
    """Let the wait of whoever waits have ended so long ago; when that was."""
    end = utc_now() - timedelta(seconds=seconds_ago)

    def edit(ledger: Ledger) -> None:
        for one in ledger.records:
            if one["status"] == "PENDING":
                one["leaseEnd"] = f"{end:%Y-%m-%dT%H:%M:%SZ}"

    stage.site.rewrite(edit)
    return f"{end:%Y-%m-%d %H:%M:%S} UTC"


def test_a_dead_one_is_passed_after_a_while(here: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "PASSED_AFTER", 1.0)
    owner = running(here, *WEST)
    dead = queued(here, *WEST)
    dead.kill()
    here.go()
    assert owner.end().code == 0
    result = deploy_here(here, "v1.1.0", "eu-west")
    assert result.code is ExitCode.OK
    assert here.statuses() == [("eu-west", "PENDING"), ("eu-west", "SUCCESS"), ("eu-west", "SUCCESS")]


def test_f70_a_re_run_takes_its_own_place_back(here: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    run = {"GITHUB_RUN_ID": "4711", "GITHUB_JOB": "deploy", "GITHUB_REPOSITORY": "example/shop"}
    owner = running(here, *WEST, "--version", "v1.0.0")
    dead = queued(here, *WEST, "--version", "v1.1.0", env={**run, "GITHUB_RUN_ATTEMPT": "1"})
    dead.kill()
    here.go()
    assert owner.end().code == 0
    for name, value in {**run, "GITHUB_RUN_ATTEMPT": "2"}.items():
        monkeypatch.setenv(name, value)
    result = deploy_here(here, "v1.1.0", "eu-west", wait=None)
    assert result.code is ExitCode.OK
    assert here.statuses() == [("eu-west", "SUCCESS"), ("eu-west", "CANCELLED"), ("eu-west", "SUCCESS")]
    assert here.records()[1]["endedBy"] == "attempt 2 of the same CI run took over"
    assert here.records()[1]["scriptsStarted"] is False


def test_f70_a_re_run_joins_where_its_earlier_attempt_stood(here: Stage) -> None:
    run = {"GITHUB_RUN_ID": "4711", "GITHUB_JOB": "deploy", "GITHUB_REPOSITORY": "example/shop"}
    owner = running(here, *WEST, "--version", "v1.0.0")
    dead = queued(here, *WEST, "--version", "v1.1.0", env={**run, "GITHUB_RUN_ATTEMPT": "1"})
    other = queued(here, *WEST, "--version", "v1.2.0", count=2)
    dead.kill()
    first = waiting(here)[0]["claimId"]
    again = here.start(
        "deploy", *STAGING, *WEST, *WAIT, "--version", "v1.1.0", env={**run, "GITHUB_RUN_ATTEMPT": "2"}
    )
    until(lambda: waiting(here)[0]["claimId"] != first, "the place of the earlier attempt")
    assert [(one["version"], one["queuePosition"]) for one in waiting(here)] == [("v1.1.0", 1), ("v1.2.0", 2)]
    here.go()
    assert [each.end().code for each in (owner, again, other)] == [0, 0, 0]
    assert order(here) == ["v1.0.0", "v1.1.0", "v1.2.0"]
    here.check_chain()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("reference-transaction", '[ "$1" != committed ] || {{ {once}; }}', id="F73-it-arrived"),
        pytest.param("pre-receive", "{once}", id="F74-it-did-not"),
    ],
)
def test_the_answer_to_joining_is_lost(here: Stage, tmp_path: Path, name: str, text: str) -> None:
    owner = running(here, *WEST, "--version", "v1.0.0")
    hook(here.site.remote, name, text.format(once=once(tmp_path / "died", KILL_SERVER)))
    threading.Timer(1.5, here.go).start()
    assert deploy_here(here, "v1.1.0", "eu-west").code is ExitCode.OK
    assert (tmp_path / "died").exists()
    assert owner.end().code == 0
    assert order(here) == ["v1.0.0", "v1.1.0"]
    assert here.statuses() == [("eu-west", "SUCCESS"), ("eu-west", "SUCCESS")]
    here.check_chain()


def test_f75_a_remote_that_is_away_while_somebody_waits(here: Stage, tmp_path: Path) -> None:
    site, away = here.site, tmp_path / "away.git"
    owner = running(here, *WEST, "--version", "v1.0.0")

    def go_away() -> None:
        until(lambda: waiting(here), "the place in the queue")
        site.remote.rename(away)
        time.sleep(0.5)
        away.rename(site.remote)
        here.go()

    remote = threading.Thread(target=go_away)
    remote.start()
    assert deploy_here(here, "v1.1.0", "eu-west").code is ExitCode.OK
    remote.join()
    assert owner.end().code == 0
    assert order(here) == ["v1.0.0", "v1.1.0"]


@pytest.mark.parametrize("when", ["while it joins", "at its turn"])
def test_f75_a_remote_that_is_away_for_a_moment_ends_no_wait(
    here: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, when: str
) -> None:
    """As it is away just then, it is waited for, as it is in between."""
    remote, away = here.site.remote, tmp_path / "away.git"
    owner = running(here, *WEST, "--version", "v1.0.0")
    where, name = (place.Place, "_join") if when == "while it joins" else (deployment, "planned")
    real, calls = getattr(where, name), []

    def unlucky(*given: Any, **named: Any) -> Any:
        calls.append(given)
        if len(calls) == (1 if when == "while it joins" else 2):
            remote.rename(away)
            threading.Timer(0.5, lambda: away.rename(remote)).start()
        return real(*given, **named)

    monkeypatch.setattr(where, name, unlucky)
    threading.Timer(1.0, here.go).start()
    assert deploy_here(here, "v1.1.0", "eu-west").code is ExitCode.OK
    assert owner.end().code == 0
    assert len(calls) > (1 if when == "while it joins" else 2)
    assert order(here) == ["v1.0.0", "v1.1.0"]
    here.check_chain()


def test_f75_who_sees_nothing_lets_nobody_go_by(here: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The remote answers none of the looks, so nobody knows that the first one leaves his turn unused."""
    monkeypatch.setattr(queues, "PASSED_AFTER", 0.2)
    owner = running(here, *WEST)
    queued(here, *WEST).kill()
    here.go()
    assert owner.end().code == 0
    monkeypatch.setattr(place.Place, "_look", lambda _: UnavailableError("The remote has not answered."))
    with pytest.raises(UnavailableError, match="has not answered"):
        deploy_here(here, "v1.1.0", "eu-west", wait=4.0)
    assert len(waiting(here)) == 1


def test_a_machine_that_slept_does_not_deploy_when_it_wakes(
    here: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = running(here, *WEST, "--version", "v1.0.0")
    slept, look = [0.0], place.Place._look

    def sleep(mine: place.Place) -> object:
        here.go()
        assert owner.end().code == 0
        slept[0] = 100.0
        return look(mine)

    monkeypatch.setattr(place.Place, "_look", sleep)
    monkeypatch.setattr(place, "clock", lambda: lease.clock() + slept[0])
    with pytest.raises(ConflictError, match="The wait for api/staging was over before anybody saw"):
        deploy_here(here, "v1.1.0", "eu-west")
    assert here.statuses() == [("eu-west", "SUCCESS")]
    assert order(here) == ["v1.0.0"]


def test_f62_the_tag_is_deleted_while_somebody_waits(here: Stage) -> None:
    running(here, *WEST, "--version", "v1.0.0")

    def delete() -> None:
        until(lambda: waiting(here), "the place in the queue")
        delete_tag(here.site.remote, "api/staging")

    deleting = threading.Thread(target=delete)
    deleting.start()
    with pytest.raises(ConflictError) as lost:
        deploy_here(here, "v1.1.0", "eu-west")
    deleting.join()
    assert "does not wait for api/staging any more: the environment tag was deleted." in lost.value.what
    assert TAG not in here.site.repository.remote_refs()


@pytest.mark.parametrize("given", ["0", "-3", "x", "1441", "1e2", "10m"])
def test_minutes_that_are_none(given: str) -> None:
    with pytest.raises(UsageError, match=r"write minutes, such as 10 or 0\.5, at most 1440"):
        wait_seconds(given)


def test_minutes() -> None:
    assert [wait_seconds(given) for given in (None, "10", " 0.5 ", "1440")] == [None, 600.0, 30.0, 86400.0]


@pytest.mark.parametrize(
    ("position", "seconds", "said"),
    [
        (1, 90.0, "Waiting for api/staging, next in the queue, about 2 min: v1.0.0 of A is running in x."),
        (
            1,
            0.0,
            "Waiting for api/staging, next in the queue: v1.0.0 of A is running in x, longer than usual.",
        ),
        (1, None, "Waiting for api/staging, next in the queue: v1.0.0 of A is running in x."),
        (2, 0.0, "Waiting for api/staging, place 2 in the queue, about 1 s: v1.0.0 of A is running in x."),
    ],
)
def test_what_a_waiter_is_told(position: int, seconds: float | None, said: str) -> None:
    tag = EnvironmentTag(subproject="api", environment="staging")
    ahead = record(1, "x", triggered_by="A")
    assert waiting_line(tag, (ahead,), queues.Outlook(position=position, seconds=seconds)) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "1 s"), (40.4, "40 s"), (60, "1 min"), (200, "3 min"), (3600, "1 h"), (7500, "2 h 5 min")],
)
def test_times_that_are_told(seconds: float, said: str) -> None:
    assert spoken(seconds) == said
