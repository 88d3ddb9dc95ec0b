"""A real process is killed at each of its fail points, and the next command puts everything right."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT
from tests.deploy.conftest import make_site
from tests.deploy.running import STAGING, Stage, lease_ends
from tests.test_docs import bare, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.conftest import Inv

SLOW = '[ ! -e "$RECORD_TO.slow" ] || sleep 4'
WRITING = f'echo "$DEPLOYMENT_ID" >> "$RECORD_TO"; {SLOW}'

BOTH = [("eu-west", "RUNNING"), ("us-east", "RUNNING")]
HALF = [("us-east", "RUNNING"), ("eu-west", "SUCCESS")]
DONE = [("us-east", "SUCCESS"), ("eu-west", "SUCCESS")]

KILLED = {
    "before_claim": ([], 0),
    "after_object": ([], 0),
    "before_push": ([], 0),
    "after_push": (BOTH, 0),
    "after_claim": (BOTH, 0),
    "before_script": (BOTH, 0),
    "after_script": (BOTH, 1),
    "before_settle": (BOTH, 2),
    "after_object:2": (BOTH, 2),
    "before_push:2": (BOTH, 2),
    "after_push:2": (HALF, 2),
    "after_settle": (HALF, 2),
    "before_script:3": (HALF, 2),
    "after_settle:2": (DONE, 4),
    "before_report": (DONE, 4),
}
"""Place -> region and status of each new record, and how many scripts have run."""
WAITING = {
    "before_join": [],
    "after_join": ["PENDING", "PENDING"],
    "after_join=int,before_leave": ["PENDING", "PENDING"],
}
"""Places of a deployment that waits for another one -> the status of each of its records."""
ELSEWHERE = {"before_renew", "before_undo"}
"""Places with tests of their own, here and in test_deploy_half.py."""


def killed_at(place: str) -> Mapping[str, str]:
    """The variables of a process that dies there."""
    return {"CI_TASKS_TESTING": "1", "CI_TASKS_FAILPOINT": place}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, inv: Inv) -> Iterator[Stage]:
    """A site with v1.0.0 in both regions; every test leaves it without a claim."""
    site = make_site(tmp_path_factory.mktemp("killed"), inv)
    for name in ("10-ci-record", "20-ci-smoke"):
        site.script(WRITING, name)
    site.ok("deploy", *STAGING)
    stage = Stage(site)
    yield stage
    stage.clean()


def new_records(stage: Stage, old: set[str]) -> list[tuple[str | None, str]]:
    """Region and status of the records that were not there before."""
    return [
        (record["region"], record["status"])
        for record in stage.records()
        if record["deploymentId"] not in old
    ]


def repaired(stage: Stage, old: set[str], ran: int) -> None:
    """The next command after the lease deploys, and does nothing twice."""
    site = stage.site
    dead = [r["deploymentId"] for r in stage.records() if r["status"] in {"RUNNING", "PENDING"}]
    if dead:
        lease_ends(stage, 121)
    site.ok("deploy", *STAGING, "--again")
    written = site.repository.recorded()
    assert len(written) == ran + 4, "each of two scripts ran once in each of two regions"
    assert {written.count(deployment) for deployment in set(written[ran:])} == {2}
    assert not set(written[ran:]) & {*old, *dead}, "nothing ran under the name of an older deployment"
    by_id = {record["deploymentId"]: record for record in stage.records()}
    assert {by_id[deployment]["status"] for deployment in dead} <= {"CANCELLED"}
    ends = ("its lease ended at", "its wait ended at")
    assert all(by_id[deployment]["endedBy"].startswith(ends) for deployment in dead)
    assert {record["status"] for record in stage.records()} <= {"SUCCESS", "CANCELLED"}
    assert site.ledger().live() == {"eu-west": "v1.0.0", "us-east": "v1.0.0"}
    assert site.ledger().header["settled"] is True
    stage.check_chain()


@pytest.mark.parametrize("place", KILLED)
def test_f76_f77_killed_in_the_middle_of_a_deployment(stage: Stage, place: str) -> None:
    site = stage.site
    old = {record["deploymentId"] for record in stage.records()}
    before = len(site.repository.recorded())
    done = site.run("deploy", *STAGING, "--again", env=killed_at(place))
    assert done.returncode == -signal.SIGKILL, done.stderr
    records, ran = KILLED[place]
    assert new_records(stage, old) == records
    assert len(site.repository.recorded()) == before + ran
    repaired(stage, old, before + ran)


@pytest.mark.parametrize("places", WAITING)
def test_f76_killed_in_the_queue(stage: Stage, places: str) -> None:
    """The one that it waits for is dead as well: both are cleared away by whoever comes next."""
    site = stage.site
    old = {record["deploymentId"] for record in stage.records()}
    before = len(site.repository.recorded())
    line = ("deploy", *STAGING, "--again")
    assert site.run(*line, env=killed_at("after_claim")).returncode == -signal.SIGKILL
    done = site.run(*line, "--wait", "1", env=killed_at(places))
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [status for _, status in new_records(stage, old)] == ["RUNNING", "RUNNING", *WAITING[places]]
    assert len(site.repository.recorded()) == before
    repaired(stage, old, before)


def test_f77_killed_while_it_renews(stage: Stage) -> None:
    """Its script goes on: nobody is there to end it, and the claim says so until its lease is over."""
    site = stage.site
    old = {record["deploymentId"] for record in stage.records()}
    before = len(site.repository.recorded())
    stage.file("slow").touch()
    done = site.run("deploy", *STAGING, "--again", env={**killed_at("before_renew"), "CI_TASKS_LEASE": "10s"})
    stage.file("slow").unlink()
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert new_records(stage, old) == BOTH
    conflict = site.run("deploy", *STAGING, "--again")
    assert conflict.returncode == 4, conflict.stderr
    assert "somebody else holds the claim" in conflict.stderr
    repaired(stage, old, before + 1)


def test_f76_the_commands_that_ask_understand_what_a_dead_one_left(stage: Stage) -> None:
    site = stage.site
    old = {record["deploymentId"] for record in stage.records()}
    before = len(site.repository.recorded())
    assert (
        site.run("deploy", *STAGING, "--again", env=killed_at("after_push:2")).returncode == -signal.SIGKILL
    )
    running = [record for record in stage.records() if record["status"] == "RUNNING"]
    (status,) = site.answer("deploy.status", *STAGING)["environments"]
    assert [record["deploymentId"] for record in status["running"]] == [running[0]["deploymentId"]]
    assert [region["isUncertain"] for region in status["regions"]] == [False, False]
    asked = site.run("deploy.settle", *STAGING, "--deployment", running[0]["claimId"])
    assert asked.returncode == 4, asked.stdout
    repaired(stage, old, before + 2)


def test_the_document_names_every_fail_point() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "ci_tasks").rglob("*.py"))
    places = set(re.findall(r"\bfailpoint\(\"(\w+)\"\)", code))
    assert {bare(row[0]) for row in table("development/fail-points.md", "place")} == places


def test_a_process_is_killed_at_every_fail_point() -> None:
    places = {bare(row[0]) for row in table("development/fail-points.md", "place")}
    killed = {place.partition(":")[0] for place in (*KILLED, *",".join(WAITING).split(","))}
    assert {place.partition("=")[0] for place in killed} | ELSEWHERE == places


def test_f76_what_a_dead_one_left_counts_as_uncertain_before_anybody_closes_it(stage: Stage) -> None:
    site = stage.site
    done = site.run("deploy", *STAGING, "--again", env=killed_at("before_script"))
    assert done.returncode == -signal.SIGKILL
    lease_ends(stage, 121)
    before = site.remote_state()
    (status,) = site.answer("deploy.status", *STAGING)["environments"]
    assert [region["isUncertain"] for region in status["regions"]] == [True, True]
    assert len(status["running"]) == 2
    plan = site.answer("deploy", *STAGING, "--dry-run")["plan"]
    assert [(region["action"], region["isUncertain"]) for region in plan["regions"]] == [("deploy", True)] * 2
    assert not [notice for notice in plan["notices"] if "holds the claim" in notice]
    (changed,) = (
        one for one in site.answer("deploy.plan", "--env", "staging")["changed"] if one["subproject"] == "api"
    )
    assert "UNCERTAIN" in {reason["kind"] for reason in changed["reasons"]}
    promoted = site.run("deploy.promote", "--from", "staging", "--to", "production", "--subproject", "api")
    assert promoted.returncode == 3, promoted.stdout
    assert site.remote_state() == before
    site.ok("deploy", *STAGING)


def test_f95_a_signal_after_the_last_record_takes_no_report_away(stage: Stage) -> None:
    done = stage.site.run("deploy", *STAGING, "--again", env=killed_at("before_report=int"))
    assert done.returncode == 0, done.stderr
    assert "api v1.0.0 is live in staging" in " ".join(done.stdout.split())
