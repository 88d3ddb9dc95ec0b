"""What the environment tag says after good and bad ends, and the commands that show and mend it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.repositories import git

if TYPE_CHECKING:
    from tests.deploy.conftest import Ledger, Site

STAGING = ("--env", "staging", "--subproject", "api")
FAILING = """\
[ "$DEPLOYMENT_REGION" = us-east ] || exit 0
n=0; while [ $n -lt 25 ]; do n=$((n + 1)); echo "line $n"; done
echo "no such bucket" >&2
exit 3
"""


def regions(site: Site, *options: str) -> dict[str | None, tuple[str | None, bool]]:
    """Region -> version and whether it is uncertain, of the one environment that is shown."""
    (environment,) = site.answer("deploy.status", *options)["environments"]
    return {region["region"]: (region["version"], region["isUncertain"]) for region in environment["regions"]}


def test_f91_f90_a_script_that_fails(site: Site) -> None:
    site.ok("deploy", *STAGING)
    begun = site.target()
    smoke = site.clone / "scripts/deployment/20-ci-smoke.sh"
    good = smoke.read_text()
    site.script(FAILING, name="20-ci-smoke")
    site.commit()
    site.version("api/v1.1.0")

    partial = site.run("deploy", *STAGING)

    assert partial.returncode == 7
    assert "us-east | deployment/smoke: FAILED with exit status 3" in partial.stderr
    assert "us-east | smoke | no such bucket" in partial.stderr
    assert "is done in part (live in eu-west; failed in us-east)" in " ".join(partial.stdout.split())
    report = site.answer("report.show")
    assert next(line for line in report["logs"] if "smoke | line" in line) == "us-east | smoke | line 7"
    assert report["logs"][-1] == "us-east | smoke | no such bucket"
    ledger = site.ledger()
    assert ledger.live() == {"eu-west": "v1.1.0", "us-east": "v1.0.0?"}
    assert ledger.results()[:2] == [("us-east", "v1.1.0", "FAILED"), ("eu-west", "v1.1.0", "SUCCESS")]
    assert (ledger.target, ledger.header["settled"]) == (begun, False)
    assert "us-east  v1.0.0" in ledger.prose
    assert "UNCERTAIN: v1.1.0 broke off half-way" in ledger.prose
    status = site.ok("deploy.status")
    assert "us-east  v1.0.0" in status
    assert "UNCERTAIN: api/staging us-east: an attempt to deploy v1.1.0 broke off half-way.\n" in status
    assert regions(site) == {"eu-west": ("v1.1.0", False), "us-east": ("v1.0.0", True)}

    only = site.run("deploy", *STAGING)
    assert only.returncode == 1
    assert "The deployment of api v1.1.0 to staging failed" in only.stdout
    assert "eu-west" not in only.stderr
    assert site.target() == begun

    smoke.write_text(good)
    site.ok("deploy", *STAGING, "--region", "us-east")
    ledger = site.ledger()
    assert ledger.live() == {"eu-west": "v1.1.0", "us-east": "v1.1.0"}
    assert (ledger.target, ledger.header["settled"]) == (site.target("api/v1.1.0"), True)
    assert "UNCERTAIN" not in site.ok("deploy.status")
    history = site.answer("deploy.history", *STAGING)["deployments"]
    assert [(one["region"], one["status"]) for one in history] == [
        ("us-east", "SUCCESS"),
        ("us-east", "FAILED"),
        ("us-east", "FAILED"),
        ("eu-west", "SUCCESS"),
        ("us-east", "SUCCESS"),
        ("eu-west", "SUCCESS"),
    ]
    shown = site.ok("deploy.history", *STAGING).splitlines()
    assert shown[0].split() == ["Deployment", "When", "(UTC)", "Region", "Version", "Status", "By"]
    assert [line.split()[5] for line in shown[1:]] == [one["status"] for one in history]


def test_f90_the_first_deployment_ever_fails_in_its_first_region(site: Site) -> None:
    site.script("exit 3")
    done = site.run("deploy", *STAGING)
    assert done.returncode == 1
    ledger = site.ledger()
    assert ledger.results() == [("us-east", "v1.0.0", "CANCELLED"), ("eu-west", "v1.0.0", "FAILED")]
    assert [record["endedBy"] for record in ledger.records] == ["not started: eu-west did not succeed", None]
    assert ledger.live() == {"eu-west": "None?"}
    assert (ledger.target, ledger.header["settled"]) == (site.target("api/v1.0.0"), False)
    assert regions(site) == {"eu-west": (None, True), "us-east": (None, False)}
    status = site.ok("deploy.status")
    assert "eu-west  none     UNCERTAIN\n" in status
    (site.clone / "scripts/deployment/10-ci-record.sh").write_text("#!/bin/sh\n# Description: x\nexit 0\n")
    site.ok("deploy", *STAGING, "--parallel")
    assert site.ledger().live() == {"eu-west": "v1.0.0", "us-east": "v1.0.0"}


def test_f90_side_by_side_each_region_has_its_own_end(site: Site) -> None:
    site.script('[ "$DEPLOYMENT_REGION" = us-east ]')
    done = site.run("deploy", *STAGING, "--parallel")
    assert done.returncode == 7
    assert sorted(site.ledger().results()) == [
        ("eu-west", "v1.0.0", "FAILED"),
        ("us-east", "v1.0.0", "SUCCESS"),
    ]
    assert site.ledger().header["settled"] is False


def running(ledger: Ledger, *, region: str, claim: str = "20260101T000000Z-aaaaaa", **fields: Any) -> None:
    """Add a claim that somebody else holds: a copy of the newest record, open again."""
    record = {
        **ledger.records[0],
        "claimId": claim,
        "deploymentId": f"{claim}.{region}",
        "region": region,
        "nonce": "0" * 32,
        "status": "RUNNING",
        "triggeredBy": "Somebody",
        "completedAt": None,
        "leaseEnd": "2100-01-01T00:00:00Z",
        "scriptsStarted": True,
        "seq": None,
        "prev": None,
    }
    ledger.records.insert(0, {**record, **fields})


def test_status_of_good_and_bad_tags_side_by_side(site: Site) -> None:
    nothing = site.ok("deploy.status")
    assert nothing == "Nothing is deployed yet. Begin with: inv deploy --env staging --subproject api\n"
    assert site.answer("deploy.status") == {"environments": [], "none": []}
    none = site.ok("deploy.status", *STAGING)
    assert none == "none: there is no tag api/staging.\n"
    assert site.ok("deploy.history", *STAGING) == "Nothing was deployed there yet.\n"

    head = site.repository.git("rev-parse", "HEAD")
    site.version("v1.0.0", "web/v1.0.0", "api/v1.0.0-stable")
    site.ok("deploy", *STAGING)
    site.ok("deploy", "--env", "production", "--subproject", "api")
    site.ok("deploy", "--env", "production", "--subproject", "web")
    site.rewrite(lambda ledger: running(ledger, region="us-east", version="v1.1.0"))
    site.put("services/auth/staging", f"object {head}\ntype commit\ntag services/auth/staging\n\nby hand\n")
    git("update-ref", "refs/tags/canary", head, cwd=site.remote)
    moved = site.commit()
    drifted = git("cat-file", "tag", "refs/tags/web/production", cwd=site.remote)
    site.put("web/production", drifted.replace(head, moved, 1) + "\n")
    before = site.remote_state()

    shown = site.ok("deploy.status").splitlines()
    table, remarks = shown[1:7], shown[7:]
    assert [line.split()[:4] for line in table] == [
        ["(root)", "canary", "-", "?"],
        ["api", "production", "-", "v1.0.0"],
        ["api", "staging", "eu-west", "v1.0.0"],
        ["api", "staging", "us-east", "v1.0.0"],
        ["services/auth", "staging", "-", "?"],
        ["web", "production", "-", "v1.0.0"],
    ]
    assert [("v1.1.0 running" in line, "DRIFT" in line) for line in table] == [
        *((False, False),) * 3,
        (True, False),
        (False, False),
        (False, True),
    ]
    assert [line.endswith("UNREADABLE") for line in table] == [True, *(False,) * 3, True, False]
    assert len(remarks) == 6
    assert remarks[0].startswith("UNREADABLE: canary has no ledger: it is a lightweight tag")
    assert remarks[2].startswith("UNREADABLE: The ledger in services/auth/staging can't be read")
    assert remarks[4].startswith(f"DRIFT: web/production stands on {moved[:12]}, but its ledger says")
    audited = site.run("tag.verify").stdout
    assert all(line.startswith("  next: inv ") and line in audited for line in remarks[1::2])
    assert '--version v1.0.0 --reason "it was moved by hand"' in remarks[5]
    assert site.remote_state() == before

    def names(*options: str) -> list[str]:
        answer = site.answer("deploy.status", *options)
        return [*(one["environmentTag"] for one in answer["environments"]), *answer["none"]]

    assert names("--env", "production") == ["api/production", "web/production"]
    assert names("--subproject", "api") == ["api/production", "api/staging"]
    assert names("--subproject", "web", "--env", "staging") == ["web/staging"]
    assert "api/sandbox" in names("--env", "sandbox")
    assert site.ok("deploy.status", "--env", "sandbox") == "none: no subproject has a tag for sandbox.\n"
    typo = site.run("deploy.status", "--env", "stagng")
    assert (typo.returncode, "next: inv deploy.status --env staging\n" in typo.stderr) == (2, True)
    assert site.run("deploy.status", "--subproject", "-x").returncode == 2
    (staging,) = site.answer("deploy.status", *STAGING)["environments"]
    assert [record["deploymentId"] for record in staging["running"]] == ["20260101T000000Z-aaaaaa.us-east"]
    assert (staging["version"], staging["state"], staging["isSettled"]) == ("v1.0.0", "stable", True)


def test_f62_a_tag_that_was_deleted_by_hand(site: Site) -> None:
    site.ok("deploy", *STAGING)
    git("update-ref", "-d", "refs/tags/api/staging", cwd=site.remote)
    assert site.answer("deploy.status", *STAGING)["none"] == ["api/staging"]
    again = site.ok("deploy", *STAGING)
    assert "note: First deployment to staging: there was no tag api/staging." in again
    ledger = site.ledger()
    assert (len(ledger.records), ledger.header["cut"], ledger.header["settled"]) == (2, None, True)
    assert [record["seq"] for record in ledger.records] == [2, 1]
    assert ledger.records[1]["prev"] is None


def test_settle_says_how_it_ended(site: Site) -> None:
    nothing = site.run("deploy.settle", *STAGING, "--deployment", "20260101T000000Z-000000")
    assert nothing.returncode == 6
    assert "There is no tag api/staging: nothing of 20260101T000000Z-000000 was recorded" in nothing.stderr
    again = "deploy.settle --env staging --subproject api --deployment 20260101T000000Z-000000"
    assert nothing.stderr.splitlines()[-1] == f"next: inv {again}"

    good = site.answer("deploy", *STAGING)["deployments"]
    claim, one = good[0]["claimId"], good[0]["deploymentId"]
    before = site.remote_state()
    settled = site.answer("deploy.settle", *STAGING, "--deployment", claim)
    assert settled["verdict"] == f"{claim} succeeded and is recorded in api/staging."
    assert len(settled["deployments"]) == 2
    only = site.answer("deploy.settle", *STAGING, "--deployment", one)
    assert [record["deploymentId"] for record in only["deployments"]] == [one]
    assert site.remote_state() == before

    site.version("api/v1.1.0")
    site.script('[ "$DEPLOYMENT_REGION" = eu-west ]')
    site.run("deploy", *STAGING)
    partial = site.ledger().records[0]["claimId"]
    before = site.remote_state()
    done = site.run("deploy.settle", *STAGING, "--deployment", partial)
    assert done.returncode == 7
    assert done.stdout == f"{partial} is closed: us-east FAILED, eu-west SUCCESS\n"
    assert site.run("deploy.settle", *STAGING, "--deployment", f"{partial}.us-east").returncode == 1
    assert site.remote_state() == before

    site.rewrite(lambda ledger: running(ledger, region="us-east"))
    before = site.remote_state()
    held = site.run("deploy.settle", *STAGING, "--deployment", "20260101T000000Z-aaaaaa")
    assert (held.returncode, site.remote_state()) == (4, before)
    assert "still holds its claim on api/staging. Its lease ends at 2100-01-01 00:00:00 UTC" in held.stdout

    site.rewrite(lambda ledger: ledger.records[0].update(leaseEnd="2026-01-01T00:00:00Z", region="eu-west"))
    over = site.run("deploy.settle", *STAGING, "--deployment", "20260101T000000Z-aaaaaa")
    assert over.returncode == 1
    record = site.ledger().records[0]
    assert (record["status"], record["scriptsStarted"]) == ("CANCELLED", True)
    assert record["endedBy"] == "settled by Test Person: its lease was over"
    assert site.ledger().live()["eu-west"] == "v1.1.0?"


def test_settle_locks_a_late_push_out(site: Site) -> None:
    site.ok("deploy", *STAGING)
    ref = "refs/tags/api/staging"
    old = site.repository.remote_refs()[ref]
    late = site.repository.remote_refs()["refs/tags/api/v1.0.0"]  # any object that is there

    def push() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", "push", "--porcelain", f"--force-with-lease={ref}:{old}", "origin", f"{late}:{ref}"],
            cwd=site.clone,
            check=False,
            capture_output=True,
            text=True,
        )

    site.repository.git("fetch", "--quiet", "origin", "refs/tags/api/v1.0.0")
    before = site.ledger()
    done = site.run("deploy.settle", *STAGING, "--deployment", "20260101T000000Z-bbbbbb")
    assert done.returncode == 1
    assert "never reached api/staging, and can't any more: nothing of it was recorded" in done.stdout
    after = site.ledger()
    assert (after.target, after.records, after.header["live"]) == (
        *(before.target, before.records, before.header["live"]),
    )
    assert site.repository.remote_refs()[ref] != old
    assert after.header["replaces"] == old
    refused = push()
    assert refused.returncode == 1
    assert "(stale info)" in refused.stdout
    # The same push would have gone through before.
    git("update-ref", ref, old, cwd=site.remote)
    assert push().returncode == 0


def test_unlock(site: Site) -> None:
    site.ok("deploy", *STAGING)
    finished = site.ledger().records[0]["deploymentId"]
    line = ("deploy.unlock", *STAGING, "--reason", "wrong build")
    before = site.remote_state()
    for unknown in ("20260101T000000Z-cccccc", finished):
        done = site.run(*line, "--deployment", unknown)
        assert done.returncode == 2
        assert done.stderr == (
            f"error: {unknown} is neither running nor waiting in api/staging.\n"
            "  Nothing is running there, and nobody waits.\n"
            "Nothing was changed.\nnext: inv deploy.history --env staging --subproject api\n"
        )
    assert site.run("deploy.unlock", *STAGING, "--deployment", finished).returncode == 2
    assert site.remote_state() == before

    site.rewrite(lambda ledger: running(ledger, region="us-east", version="v1.1.0"))
    site.version("api/v1.1.0")
    held = site.run("deploy", *STAGING)
    assert held.returncode == 4
    assert "api/staging is being deployed to in us-east: somebody else holds the claim." in held.stderr
    assert "Deployment 20260101T000000Z-aaaaaa.us-east of v1.1.0 in us-east, by Somebody." in held.stderr
    assert "next: inv deploy --env staging --subproject api\n" in held.stderr
    assert len(site.repository.recorded()) == 4
    wrong = site.run(*line, "--deployment", "20260101T000000Z-cccccc")
    assert "  There: 20260101T000000Z-aaaaaa.us-east is running.\n" in wrong.stderr

    asked = site.ok(*line, "--deployment", "20260101T000000Z-aaaaaa.us-east")
    assert "is asked to stop" in asked
    record = site.ledger().records[0]
    assert (record["status"], record["stopRequested"]) == ("RUNNING", "wrong build (Test Person)")
    broken = site.answer(*line, "--deployment", "20260101T000000Z-aaaaaa", "--now")
    assert [record["status"] for record in broken["deployments"]] == ["CANCELLED"]
    ledger = site.ledger()
    assert ledger.records[0]["endedBy"] == "unlocked: wrong build (Test Person)"
    assert ledger.live() == {"eu-west": "v1.0.0", "us-east": "v1.0.0?"}
    site.ok("deploy", *STAGING)


@pytest.mark.parametrize(
    "line",
    [
        ("deploy.history", *STAGING),
        ("deploy.settle", *STAGING, "--deployment", "20260101T000000Z-000000"),
        ("deploy.unlock", *STAGING, "--deployment", "20260101T000000Z-000000", "--reason", "y", "--now"),
    ],
)
def test_f71_no_command_touches_what_it_can_not_read(shared_site: Site, line: tuple[str, ...]) -> None:
    head = shared_site.repository.git("rev-parse", "HEAD")
    shared_site.put("api/staging", f"object {head}\ntype commit\ntag api/staging\n\nby hand\n")
    before = shared_site.remote_state()
    done = shared_site.run(*line)
    assert (done.returncode, shared_site.remote_state()) == (4, before)
    assert "The ledger in api/staging can't be read" in done.stderr
