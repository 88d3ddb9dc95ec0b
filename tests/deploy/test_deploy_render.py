"""The tables of deployments."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from msgspec.structs import replace

from ci_tasks.deploy.queue.wait import waiting_line
from ci_tasks.deploy.render import history_text, status_text, stopped_text
from ci_tasks.deploy.status import EnvironmentStatus, RegionStatus, StatusAnswer
from ci_tasks.deploy.unlock import RecordsAnswer
from ci_tasks.tag.grammar import EnvironmentTag
from ci_tasks.tag.model import Deployment, Override
from ci_tasks.tag.names import DeploymentKind, DeploymentStatus
from ci_tasks.tag.queue import Outlook

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


def record(
    hours: int,
    status: DeploymentStatus,
    region: str = "us-east",
    *,
    kind: DeploymentKind = DeploymentKind.DEPLOY,
    **fields: Any,
) -> Deployment:
    """A record of a claim that began so many hours after noon."""
    begun = NOON + timedelta(hours=hours)
    claim = f"{begun:%Y%m%dT%H%M%SZ}-00000{hours}"
    return Deployment(
        deployment_id=f"{claim}.{region}",
        claim_id=claim,
        version="v1.0.0",
        subproject="api",
        environment="staging",
        region=region,
        status=status,
        started_at=begun,
        completed_at=None if status.is_open else begun,
        triggered_by="Anna Schmidt",
        commit_sha="1" * 40,
        concurrency_group="x",
        nonce=None,
        kind=kind,
        **fields,
    )


def test_the_ledger_is_newest_first_and_open_claims_stand_on_top() -> None:
    success, failed = DeploymentStatus.SUCCESS, DeploymentStatus.FAILED
    answer = RecordsAnswer(
        deployments=[
            record(1, DeploymentStatus.RUNNING, "eu-west"),
            record(1, DeploymentStatus.RUNNING),
            record(2, DeploymentStatus.RUNNING),
            record(3, failed, ended_by="its lease was over"),
            record(0, success),
        ]
    )
    assert history_text(answer).splitlines() == [
        "Deployment               When (UTC)        Region   Version  Status   By",
        "20260101T140000Z-000002  2026-01-01 14:00  us-east  v1.0.0   RUNNING  Anna Schmidt",
        "20260101T130000Z-000001  2026-01-01 13:00  eu-west  v1.0.0   RUNNING  Anna Schmidt",
        "20260101T130000Z-000001  2026-01-01 13:00  us-east  v1.0.0   RUNNING  Anna Schmidt",
        "20260101T150000Z-000003  2026-01-01 15:00  us-east  v1.0.0   FAILED   Anna Schmidt",
        "20260101T120000Z-000000  2026-01-01 12:00  us-east  v1.0.0   SUCCESS  Anna Schmidt",
        "",
        "Deployment               Note",
        "20260101T150000Z-000003  its lease was over",
    ]


def test_what_the_ledger_says_besides() -> None:
    success, cancelled = DeploymentStatus.SUCCESS, DeploymentStatus.CANCELLED
    rollback, promote, review = DeploymentKind.ROLLBACK, DeploymentKind.PROMOTE, DeploymentKind.REVIEW
    late = record(5, success, override=Override(reason="it burns", signer=None), labels=("hotfix",))
    answer = RecordsAnswer(
        deployments=[
            record(7, DeploymentStatus.RUNNING, stop_requested="wrong (Grace)"),
            record(6, success, kind=review, reviews=late.claim_id, reason="looks good"),
            late,
            record(4, success, kind=promote, reason="from staging"),
            record(3, success, kind=rollback, reason="it loses orders"),
            record(3, success, "eu-west", kind=rollback, reason="it loses orders"),
            record(2, cancelled, ended_by="not started: eu-west did not succeed"),
            record(2, DeploymentStatus.FAILED, "eu-west"),
            record(1, success, kind=rollback),
            record(0, success, override=Override(reason="nobody looked", signer=None)),
        ]
    )
    assert history_text(answer).partition("\n\n")[2].splitlines() == [
        "Deployment               Region   Note",
        "20260101T190000Z-000007           is asked to stop: wrong (Grace)",
        "20260101T180000Z-000006           of 20260101T170000Z-000005; looks good",
        "20260101T170000Z-000005           label hotfix; override (reviewed): it burns",
        "20260101T160000Z-000004           promotion from staging",
        "20260101T150000Z-000003           rollback: it loses orders",
        "20260101T140000Z-000002  us-east  not started: eu-west did not succeed",
        "20260101T130000Z-000001           rollback",
        "20260101T120000Z-000000           override: nobody looked",
    ]


def test_the_state_of_a_version_stands_beside_it() -> None:
    region = RegionStatus(
        region="us-east",
        version="v1.0.0",
        state="stable",
        commit_sha="1" * 40,
        since=NOON,
        triggered_by="Anna Schmidt",
        deployment_id="x",
        is_uncertain=True,
        attempted="v1.1.0",
    )
    status = EnvironmentStatus(
        subproject="api",
        environment="staging",
        environment_tag="api/staging",
        version="v1.0.0",
        state="stable",
        is_settled=False,
        regions=[region],
        running=[],
        drift=None,
        problem=None,
        next_step=None,
        review_debts=[],
    )
    head, row, remark, line = status_text(StatusAnswer(environments=[status], none=[]), "").splitlines()
    assert head == ("Subproject  Environment  Region   Version        Since (UTC)       By            Note")
    assert row == (
        "api         staging      us-east  v1.0.0 stable  2026-01-01 12:00  Anna Schmidt  UNCERTAIN"
    )
    assert remark.startswith("UNCERTAIN: api/staging us-east")
    assert line == "  next: inv deploy.rollback --env staging --subproject api --region us-east"

    old = replace(region, region=None, is_uncertain=False)
    two = replace(status, regions=[replace(region, version=None, state=None), old])
    shown = status_text(StatusAnswer(environments=[two], none=[]), "").splitlines()
    assert shown[2].endswith("  OLD")
    assert shown[4] == "  next: inv deploy --env staging --subproject api --region us-east"
    assert shown[5].startswith("OLD: api/staging -: what ran there before staging had regions.")


@pytest.mark.parametrize(
    ("position", "seconds", "said"),
    [
        (
            1,
            None,
            "Waiting for api/staging, next in the queue: v1.0.0 of Anna Schmidt is running in us-east.",
        ),
        (3, 130.0, "Waiting for api/staging, place 3 in the queue, about 2 min: v1.0.0 of"),
    ],
)
def test_what_a_waiter_says(position: int, seconds: float | None, said: str) -> None:
    tag = EnvironmentTag(subproject="api", environment="staging")
    place = Outlook(position=position, seconds=seconds)
    assert waiting_line(tag, [record(1, DeploymentStatus.RUNNING)], place).startswith(said)
    first = waiting_line(tag, [record(1, DeploymentStatus.PENDING)], None)
    assert first == "Waiting for api/staging: v1.0.0 of Anna Schmidt goes first in us-east."


def test_what_calling_off_says() -> None:
    tag = EnvironmentTag(subproject="api", environment="staging")
    asked = record(1, DeploymentStatus.RUNNING, scripts_started=True, stop_requested="why")
    assert "is asked to stop. Its owner" in stopped_text(tag, "X", [asked], broken=False)
    gone = record(1, DeploymentStatus.CANCELLED, ended_by="cancelled: why")
    assert "X is taken out of the queue of api/staging." in stopped_text(tag, "X", [gone], broken=False)
    broken = record(1, DeploymentStatus.CANCELLED, scripts_started=True)
    assert "is broken. Its scripts may still be running" in stopped_text(tag, "X", [broken], broken=True)
