"""The report of a deployment: made of its plan and what became of it, saved, and shown to the workflow."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from ci_tasks.core import console
from ci_tasks.core.command_line import typed
from ci_tasks.core.errors import CiTasksError, ExitCode
from ci_tasks.deploy.model import line_of, review_line
from ci_tasks.deploy.run import exit_code
from ci_tasks.report.files import save
from ci_tasks.report.headline import headline
from ci_tasks.report.model import PipelineReport, RegionResult, ScriptLine
from ci_tasks.report.names import PipelineType, RegionStatus, ReportStatus
from ci_tasks.report.publish import publish
from ci_tasks.tag.clock import utc_now
from ci_tasks.tag.names import DeploymentStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ci_tasks.core.checkout import Checkout
    from ci_tasks.deploy.model import Facts, Plan
    from ci_tasks.deploy.region import RegionRun
    from ci_tasks.deploy.run import Course


@dataclass(frozen=True, kw_only=True)
class Conclusion:
    """A report and where it was saved (None: it could not be)."""

    report: PipelineReport
    path: Path | None


class Clock:
    """When a command began: wall clock for people, monotonic clock for the duration."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.stamp = utc_now()

    @property
    def seconds(self) -> float:
        """How long ago that was."""
        return round(time.monotonic() - self.began, 3)


def of_course(facts: Facts, plan: Plan, course: Course | None, clock: Clock) -> PipelineReport:
    """The report of a plan that was carried out, or that had nothing to do (no course)."""
    code = exit_code(course) if course else ExitCode.OK
    notices = list(plan.notices)
    if course is not None and code is not ExitCode.OK:
        notices += _unrecorded(facts, course)
        notices += [line for error in course.errors for line in (error.what, *error.details)]
    is_recorded = course is not None and any(run.deployment_id and run.is_recorded for run in course.regions)
    return _report(
        facts,
        plan,
        code,
        clock,
        regions=tuple(_regions(plan, course)),
        logs=tuple(_logs(course)) if course else (),
        notices=tuple(notices),
        recorded_in=str(facts.tag) if is_recorded else None,
        claim_id=course.claim_id if course else None,
        next_steps=tuple(_next_steps(facts, course, code)),
    )


def _unrecorded(facts: Facts, course: Course) -> Iterator[str]:
    """How the scripts ended where the tag does not say it."""
    for run in course.regions:
        if run.scripts and not run.is_recorded:
            place = run.region or facts.tag.environment
            yield f"{place}: the scripts ended as {run.status.value}, but {facts.tag} does not say so."


def of_error(facts: Facts, plan: Plan, error: CiTasksError, clock: Clock) -> PipelineReport:
    """The report of a plan that was refused, or whose claim failed: no script was run."""
    regions = tuple(
        RegionResult(
            region=region.region,
            version=plan.version,
            status=RegionStatus.SKIPPED,
            previous_version=region.previous_version,
        )
        for region in plan.regions
    )
    return _report(
        facts,
        plan,
        error.exit_code,
        clock,
        regions=regions,
        notices=(*plan.notices, error.what, *error.details),
        next_steps=(error.next_step,) if error.next_step else (),
    )


def _report(facts: Facts, plan: Plan, code: ExitCode, clock: Clock, **fields: object) -> PipelineReport:
    kind = "rehearsal" if plan.is_rehearsal else "deployment"
    name = str(facts.tag).replace("/", "-")
    report = PipelineReport(
        report_id=f"{kind}-{clock.stamp:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}-{name}"[:120],
        pipeline_run_id=facts.run.id if facts.run else "local",
        pipeline_type=PipelineType.RELEASE,
        status=ReportStatus.of(code),
        completed_at=utc_now(),
        duration=clock.seconds,
        version=plan.version,
        subproject=plan.subproject,
        environment=plan.environment,
        outcome=code.outcome,
        is_rehearsal=plan.is_rehearsal,
        **fields,  # type: ignore[arg-type]  # the two callers above name fields of the report
    )
    return msgspec.structs.replace(report, summary=headline(report))


def _regions(plan: Plan, course: Course | None) -> Iterator[RegionResult]:
    runs = {run.region: run for run in course.regions} if course else {}
    records = {record.region: record for record in course.deployments} if course else {}
    for planned in plan.regions:
        run, record = runs.get(planned.region), records.get(planned.region)
        yield RegionResult(
            region=planned.region,
            version=plan.version,
            status=_status(planned.action, run),
            started_at=record.started_at if record else None,
            completed_at=record.completed_at if record else None,
            deployment_id=record.deployment_id if record else None,
            previous_version=planned.previous_version,
            scripts=tuple(_scripts(run)) if run else (),
        )


def _status(action: str, run: RegionRun | None) -> RegionStatus:
    if run is None:
        return RegionStatus.UNCHANGED if action == "skip" else RegionStatus.SKIPPED
    if run.status is DeploymentStatus.CANCELLED and not run.scripts:
        return RegionStatus.SKIPPED
    if not run.is_recorded:
        return RegionStatus.UNKNOWN
    return RegionStatus(run.status.value)


def _scripts(run: RegionRun) -> Iterator[ScriptLine]:
    for result in run.scripts:
        yield ScriptLine(
            name=result.script_id,
            mode=result.mode.value,
            decided_by=result.decided_by or "default",
            status=result.status.value,
            seconds=round(result.seconds, 3),
        )


def _logs(course: Course) -> Iterator[str]:
    for run in course.regions:
        prefix = f"{run.region} | " if run.region else ""
        for result in run.scripts:
            name = result.script_id.rpartition("/")[2]
            yield from (f"{prefix}{name} | {line}" for line in result.tail)


def _next_steps(facts: Facts, course: Course | None, code: ExitCode) -> Iterator[str]:
    lines = [error.next_step for error in course.errors] if course and code is not ExitCode.OK else []
    if code in (ExitCode.FAILED, ExitCode.PARTIAL, ExitCode.TIMEOUT, ExitCode.CANCELLED, ExitCode.TERMINATED):
        lines.append(line_of(facts.request, facts.tag.subproject))
    yield from dict.fromkeys(line for line in (*lines, typed(f"deploy.status {facts.options}")) if line)
    if course is not None and course.claim_id is not None:
        yield facts.show_line
    if course is not None and any(record.override for record in course.deployments):
        yield review_line(facts.tag, course.deployments[0].claim_id)


def keep(checkout: Checkout, report: PipelineReport, environ: Mapping[str, str]) -> Conclusion:
    """Save and publish; what can't be written is a warning, as the deployment has happened all the same."""
    path: Path | None = None
    try:
        path = save(report, checkout.root / checkout.settings.reports, root=checkout.root)
    except CiTasksError as error:
        console.warn(error.what)
    try:
        publish(report, environ, saved=path)
    except CiTasksError as error:
        console.warn(error.what)
    return Conclusion(report=report, path=path)
