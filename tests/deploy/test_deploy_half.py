"""Half a rollout: what becomes of the other regions when one fails, and what the report says of each."""

from __future__ import annotations

import json
import shlex
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.deploy.running import STAGING, Stage, until

if TYPE_CHECKING:
    from tests.deploy.conftest import Site

WRITING = 'echo "$DEPLOYMENT_KIND $DEPLOYMENT_REGION $DEPLOYMENT_VERSION" >> "$RECORD_TO"'
FAILING = '[ "$DEPLOYMENT_REGION $DEPLOYMENT_VERSION" != "{where}" ] || exit 3'


def half(site: Site, where: str, rule: str = "stop") -> None:
    """v1.0.0 runs in both regions, v1.1.0 is there, and the second script fails where it is told to."""
    site.script(WRITING)
    site.script("true", "20-ci-smoke")
    site.ok("deploy", *STAGING)
    site.commit("Something new")
    site.version("api/v1.1.0")
    site.repository.write(
        "environments/staging/config.yml", f"onFailure: {rule}\nregions: [eu-west, us-east]\n"
    )
    site.script(FAILING.format(where=where), "20-ci-smoke")


def every_report(site: Site) -> list[Any]:
    """All reports, the newest last."""
    paths = [path for path in (site.clone / "build/reports").glob("*.json") if path.stem != "last"]
    return [
        json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(paths, key=lambda each: each.stat().st_mtime_ns)
    ]


def report_of(site: Site) -> Any:
    """The newest report."""
    return every_report(site)[-1]


def retold(line: str) -> list[str]:
    """A line that was printed, as words to type after `inv`."""
    words = shlex.split(line)
    assert words[0] == "inv"
    return words[1:]


def test_f90_it_stops_and_says_what_finishes_and_what_undoes_it(site: Site) -> None:
    half(site, "us-east v1.1.0")
    done = site.run("deploy", *STAGING)
    assert done.returncode == 7, done.stderr
    assert site.ledger().live() == {"eu-west": "v1.1.0", "us-east": "v1.0.0?"}
    report = report_of(site)
    (live,) = (notice for notice in report["notices"] if notice.startswith("Live now"))
    doubt = "(uncertain: v1.1.0 broke off half-way)"
    assert live == f"Live now, as api/staging says: eu-west v1.1.0; us-east v1.0.0 {doubt}."
    finish, back = report["nextSteps"][:2]
    assert finish == f"inv deploy {' '.join(STAGING)} --version v1.1.0 --region us-east"
    assert back == (
        "inv deploy.rollback --env staging --subproject api --to v1.0.0 --region eu-west --region us-east"
    )

    site.version("api/v1.2.0")
    site.script("true", "20-ci-smoke")
    site.ok(*retold(finish))
    assert site.ledger().live() == {"eu-west": "v1.1.0", "us-east": "v1.1.0"}
    site.ok(*retold(back))
    assert site.ledger().live() == {"eu-west": "v1.0.0", "us-east": "v1.0.0"}


def test_f90_it_goes_on_where_it_is_told_to(site: Site) -> None:
    half(site, "eu-west v1.1.0", "rollback")
    answer = site.answer("deploy", *STAGING, "--keep-going", code=7)
    assert (answer["plan"]["onFailure"], answer["plan"]["isParallel"]) == ("keep-going", False)
    assert [record["status"] for record in answer["deployments"]] == ["FAILED", "SUCCESS"]
    assert site.ledger().live() == {"eu-west": "v1.0.0?", "us-east": "v1.1.0"}
    assert site.ledger().header["settled"] is False
    assert site.repository.recorded()[2:] == ["deploy eu-west v1.1.0", "deploy us-east v1.1.0"]
    assert report_of(site)["nextSteps"][0].endswith("--version v1.1.0 --region eu-west --keep-going")
    Stage(site).check_chain()


def test_f94_going_on_ends_with_ctrl_c(site: Site) -> None:
    half(site, "eu-west v1.1.0", "keep-going")
    wish = {"CI_TASKS_TESTING": "1", "CI_TASKS_FAILPOINT": "after_settle=int,after_settle=sleep:0.3"}
    done = site.run("deploy", *STAGING, env=wish)
    assert done.returncode == 130, done.stderr
    assert site.repository.recorded()[2:] == ["deploy eu-west v1.1.0"]
    assert Stage(site).statuses()[:2] == [("us-east", "CANCELLED"), ("eu-west", "FAILED")]


def test_the_way_back_of_every_region(site: Site) -> None:
    half(site, "us-east v1.1.0", "rollback")
    answer = site.answer("deploy", *STAGING, code=1)
    assert site.repository.recorded()[2:] == [
        "deploy eu-west v1.1.0",
        "deploy us-east v1.1.0",
        "rollback eu-west v1.0.0",
        "rollback us-east v1.0.0",
    ]
    ledger = site.ledger()
    assert ledger.live() == {"eu-west": "v1.0.0", "us-east": "v1.0.0"}
    assert ledger.header["settled"] is True
    newest = ledger.records[:4]
    assert [(r["kind"], r["region"], r["status"]) for r in newest] == [
        ("rollback", "us-east", "SUCCESS"),
        ("rollback", "eu-west", "SUCCESS"),
        ("deploy", "us-east", "FAILED"),
        ("deploy", "eu-west", "SUCCESS"),
    ]
    assert newest[0]["reason"] == "v1.1.0 failed in us-east (onFailure: rollback)"
    assert [(r["kind"], r["region"]) for r in answer["deployments"]] == [
        ("deploy", "eu-west"),
        ("deploy", "us-east"),
        ("rollback", "eu-west"),
        ("rollback", "us-east"),
    ]
    (report,) = (
        report for report in every_report(site) if report["claimId"] == answer["deployments"][0]["claimId"]
    )
    assert len(every_report(site)) == 2, (
        "the first deployment's and this one: the way back has none of its own"
    )
    assert (report["status"], report["outcome"]) == ("FAILURE", "FAILED")
    assert [(row["region"], row["status"], row["version"]) for row in report["regions"]] == [
        ("eu-west", "SUCCESS", "v1.1.0"),
        ("us-east", "FAILED", "v1.1.0"),
    ]
    assert [(row["region"], row["status"], row["version"]) for row in report["rollbacks"]] == [
        ("eu-west", "SUCCESS", "v1.0.0"),
        ("us-east", "SUCCESS", "v1.0.0"),
    ]
    assert report["summary"] == (
        "The deployment of api v1.1.0 to staging failed"
        " (failed in us-east; back to what ran before in eu-west, us-east)"
    )
    assert "Live now, as api/staging says: eu-west v1.0.0; us-east v1.0.0." in report["notices"]
    assert report["nextSteps"][0] == f"inv deploy.status {' '.join(STAGING)}"
    assert not any("deploy.rollback" in line for line in report["nextSteps"])
    Stage(site).check_chain()


def test_the_way_back_of_one_region_fails(site: Site) -> None:
    half(site, "us-east v1.1.0", "rollback")
    site.script(f'{WRITING}; [ "$DEPLOYMENT_KIND $DEPLOYMENT_REGION" != "rollback eu-west" ] || exit 4')
    done = site.run("deploy", *STAGING)
    assert done.returncode == 7, done.stderr
    assert site.ledger().live() == {"eu-west": "v1.1.0?", "us-east": "v1.0.0"}
    report = report_of(site)
    assert "eu-west: not gone back to v1.0.0. Its scripts did not succeed." in report["notices"]
    assert "eu-west  back: FAILED   v1.0.0   v1.1.0" in done.stdout
    assert "us-east  back: SUCCESS  v1.0.0   v1.0.0" in done.stdout
    assert "the way back did not succeed in eu-west)" in report["summary"]
    claim = report["rollbacks"][0]["deploymentId"].partition(".")[0]
    assert f"The way back is {claim}." in " ".join(done.stdout.split())
    back, finish = report["nextSteps"][:2]
    assert finish == f"inv deploy {' '.join(STAGING)}"
    assert back == f"inv deploy.rollback {' '.join(STAGING)} --to v1.0.0 --region eu-west"
    Stage(site).check_chain()


def test_a_region_where_nothing_ran_before_stays(site: Site) -> None:
    site.script(WRITING)
    site.script("true", "20-ci-smoke")
    site.ok("deploy", *STAGING, "--region", "eu-west")
    site.version("api/v1.1.0")
    site.repository.write("environments/staging/config.yml", "onFailure: rollback\n")
    site.script(FAILING.format(where="us-east v1.1.0"), "20-ci-smoke")
    done = site.run("deploy", *STAGING)
    assert done.returncode == 7, done.stderr
    assert site.ledger().live() == {"eu-west": "v1.0.0", "us-east": "None?"}
    assert "us-east: nothing ran there before v1.1.0" in " ".join(done.stdout.split())


def test_two_ways_that_exclude_each_other(shared_site: Site) -> None:
    done = shared_site.run("deploy", *STAGING, "--parallel", "--sequential")
    assert done.returncode == 2
    assert "--parallel and --sequential exclude each other." in done.stderr


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        pytest.param("before_script:3=int,before_script:3=sleep:0.3", 130, id="before-the-failure"),
        pytest.param("before_undo=term,before_undo=sleep:0.3", 143, id="before-the-way-back"),
    ],
)
def test_f94_a_signal_is_no_failure(site: Site, wish: str, code: int) -> None:
    half(site, "us-east v1.1.0", "rollback")
    done = site.run("deploy", *STAGING, env={"CI_TASKS_TESTING": "1", "CI_TASKS_FAILPOINT": wish})
    assert done.returncode == code, done.stderr
    assert not any(line.startswith("rollback") for line in site.repository.recorded())
    assert report_of(site)["outcome"] == "CANCELLED"
    assert site.ledger().live()["eu-west"] == "v1.1.0"


def test_what_somebody_else_brought_meanwhile_is_not_undone(site: Site) -> None:
    half(site, "us-east v1.1.0", "rollback")
    stage = Stage(site)
    wish = {"CI_TASKS_TESTING": "1", "CI_TASKS_FAILPOINT": "before_undo=sleep:5"}
    deployment = stage.start("deploy", *STAGING, env=wish)
    until(lambda: ("us-east", "FAILED") in stage.statuses(), "the failure")
    site.version("api/v1.2.0")
    site.ok("deploy", *STAGING)
    ended = deployment.end()
    assert ended.code == 7, ended.stderr
    assert site.ledger().live() == {"eu-west": "v1.2.0", "us-east": "v1.2.0"}
    assert (
        "eu-west, us-east: not gone back to v1.0.0. Somebody else has deployed to eu-west, us-east meanwhile."
        in ended.report
    )
    assert "Live now" not in ended.report
    assert not any("rollback" in line for line in report_of(site)["nextSteps"])
    assert not any(line.startswith("rollback") for line in site.repository.recorded())


def test_f76_killed_before_the_way_back(site: Site) -> None:
    half(site, "us-east v1.1.0", "rollback")
    wish = {"CI_TASKS_TESTING": "1", "CI_TASKS_FAILPOINT": "before_undo"}
    assert site.run("deploy", *STAGING, env=wish).returncode == -signal.SIGKILL
    assert site.ledger().live() == {"eu-west": "v1.1.0", "us-east": "v1.0.0?"}
    site.ok("deploy.rollback", *STAGING, "--to", "v1.0.0", "--region", "eu-west", "--region", "us-east")
    assert site.ledger().live() == {"eu-west": "v1.0.0", "us-east": "v1.0.0"}
    Stage(site).check_chain()
