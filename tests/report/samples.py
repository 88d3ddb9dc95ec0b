"""Reports of every kind, made of the same parts."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from ci_tasks.core.errors import ExitCode
from ci_tasks.report.model import ActionLink, PipelineReport, RegionResult, ScriptLine
from ci_tasks.report.names import LinkType, PipelineType, RegionStatus, ReportStatus

START = datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc)
PROMOTE = ActionLink(
    link_id="promote-production",
    link_type=LinkType.PROMOTE_RELEASE,
    title="Promote v1.2.3 to production",
    url="https://git.example/acme/shop/actions/workflows/promote.yml",
    parameters={"version": "v1.2.3", "environment": "production"},
    description="Deploys the version that is live in staging",
    command="inv deploy.promote --subproject api --to production",
)
ROLLBACK = ActionLink(
    link_id="rollback-staging",
    link_type=LinkType.ROLLBACK,
    title="Roll staging back to v1.2.2",
    url="",
    command="inv deploy.rollback --subproject api --env staging",
    is_available=False,
)
RETRY = "inv deploy --subproject api --env staging --version v1.2.3"


def region(name: str | None, status: RegionStatus, *, script: str | None = "SUCCESS") -> RegionResult:
    """A region that took 42 seconds, with one script."""
    line = ScriptLine(
        name="10-ci-rollout", mode="EXECUTE", decided_by="default", status=script or "", seconds=40.5
    )
    return RegionResult(
        region=name,
        version="v1.2.3",
        status=status,
        started_at=START if script else None,
        completed_at=START + timedelta(seconds=42) if script else None,
        deployment_id=f"c0ffee.{name or 'all'}",
        previous_version="v1.2.2",
        scripts=(line,) if script else (),
    )


def report(code: ExitCode = ExitCode.OK, **changes: object) -> PipelineReport:
    """A report of api v1.2.3 in staging, with a few fields changed."""
    fields: dict[str, object] = {
        "report_id": "20260301-120130-c0ffee",
        "pipeline_run_id": "4711",
        "pipeline_type": PipelineType.RELEASE,
        "status": ReportStatus.of(code),
        "outcome": code.outcome,
        "completed_at": START + timedelta(seconds=90),
        "duration": 90.0,
        "version": "v1.2.3",
        "subproject": "api",
        "environment": "staging",
        "recorded_in": "api/staging",
        "claim_id": "c0ffee",
    }
    return PipelineReport(**{**fields, **changes})  # type: ignore[arg-type]  # the fields are the defaults


LOGS = ("us-east 10-ci-rollout: rolling out", "eu-west 10-ci-rollout: no such cluster")
SUCCESS, FAILED, CANCELLED = RegionStatus.SUCCESS, RegionStatus.FAILED, RegionStatus.CANCELLED
SAMPLES = {
    "success": report(
        regions=(region("us-east", SUCCESS), region("eu-west", SUCCESS)),
        action_links=(PROMOTE, ROLLBACK),
        notices=("scripts/deployment/10-ci-rollout.sh has changes that are not committed.",),
        logs=LOGS[:1],
    ),
    "partial": report(
        ExitCode.PARTIAL,
        summary="The script 10-ci-rollout failed in eu-west with status 3.",
        regions=(
            region("us-east", SUCCESS),
            region("eu-west", FAILED, script="FAILED"),
            region("ap-south", RegionStatus.SKIPPED, script=None),
        ),
        next_steps=(f"{RETRY} --region eu-west --region ap-south",),
        action_links=(ROLLBACK,),
        logs=LOGS,
    ),
    "failed": report(
        ExitCode.FAILED,
        summary="The script 10-ci-rollout failed with status 3.",
        regions=(region(None, FAILED, script="FAILED"),),
        next_steps=(RETRY,),
        logs=LOGS[1:],
    ),
    "refused": report(
        ExitCode.REFUSED,
        summary="v1.2.3 is deprecated since 2026-02-27 (api/v1.2.3-deprecated).\nNothing was changed.",
        recorded_in=None,
        claim_id=None,
        next_steps=("inv tag.list --subproject api",),
    ),
    "cancelled": report(
        ExitCode.TERMINATED,
        regions=(region("us-east", SUCCESS), region("eu-west", CANCELLED, script="CANCELLED")),
        next_steps=(f"{RETRY} --region eu-west",),
        logs=LOGS[:1],
    ),
    "rollback": report(pipeline_type=PipelineType.POST_RELEASE, regions=(region("us-east", SUCCESS),)),
    "rehearsal": report(is_rehearsal=True, recorded_in=None, claim_id=None, subproject=None),
}
