"""The report of a deployment: made of its plan and what became of it, saved, and shown to the workflow."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from ci_tasks.core import console
from ci_tasks.core.errors import CiTasksError, ExitCode
from ci_tasks.deploy.next_lines import next_lines
from ci_tasks.deploy.undo import courses_of, exit_code, touched
from ci_tasks.report.files import save
from ci_tasks.report.headline import headline
from ci_tasks.report.model import PipelineReport, RegionResult, ScriptLine
from ci_tasks.report.names import PipelineType, RegionStatus, ReportStatus
from ci_tasks.report.publish import publish
from ci_tasks.report.rows import BACK
from ci_tasks.tag.clock import utc_now
from ci_tasks.tag.model import region_key
from ci_tasks.tag.names import DeploymentKind, DeploymentStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ci_tasks.core.checkout import Checkout
    from ci_tasks.deploy.model import Facts, Plan
    from ci_tasks.deploy.region import RegionRun
    from ci_tasks.deploy.run import Course
    from ci_tasks.deploy.undo import Undone
    from ci_tasks.tag.model import Live


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


def of_course(
    facts: Facts, plan: Plan, course: Course | None, clock: Clock, *, undone: Undone | None = None
) -> PipelineReport:
    """The report of a plan that was carried out, or that had nothing to do (no course).

    `undone` is what became of the way back, where one was tried.
    """
    code = exit_code(course, undone) if course else ExitCode.OK
    notices = list(plan.notices)
    if course is not None and code is not ExitCode.OK:
        notices += _unrecorded(facts, course)
        notices += [line for error in course.errors for line in (error.what, *error.details)]
        notices += _way_back(facts, undone)
        notices += _live_now(facts, plan, course, undone)
    is_recorded = course is not None and any(run.deployment_id and run.is_recorded for run in course.regions)
    return _report(
        facts,
        plan,
        code,
        clock,
        regions=tuple(_regions(plan, course)),
        logs=(
            *(_logs(course) if course else ()),
            *(f"{BACK}{line}" for each in (undone.courses if undone else ()) for line in _logs(each)),
        ),
        notices=tuple(notices),
        recorded_in=str(facts.tag) if is_recorded else None,
        claim_id=course.claim_id if course else None,
        next_steps=tuple(next_lines(facts, plan, course, undone, code)),
        rollbacks=tuple(
            row for part in (undone.parts if undone else []) for row in _regions(part[0], part[1])
        ),
    )


def _unrecorded(facts: Facts, course: Course) -> Iterator[str]:
    """How the scripts ended where the tag does not say it."""
    for run in course.regions:
        if run.scripts and not run.is_recorded:
            place = run.region or facts.tag.environment
            yield f"{place}: the scripts ended as {run.status.value}, but {facts.tag} does not say so."


def _way_back(facts: Facts, undone: Undone | None) -> Iterator[str]:
    """What the rule `onFailure: rollback` could not do, and whatever else is worth a look there."""
    if undone is None:
        return
    yield from undone.stays
    for course in undone.courses:
        yield from _unrecorded(facts, course)
    for error in undone.errors:
        if not any(error.what in line for line in undone.stays):
            yield error.what
        yield from error.details


def _live_now(facts: Facts, plan: Plan, course: Course, undone: Undone | None) -> Iterator[str]:
    """What each region has now, where a part of the deployment was done or may have been."""
    live = courses_of(course, undone)[-1].live
    is_old = undone is not None and undone.is_overtaken
    if touched(plan, course) and live and not is_old:
        said = [_live_in(region, live.get(region_key(region))) for region in facts.regions or (None,)]
        yield f"Live now, as {facts.tag} says: {'; '.join(said)}."


def _live_in(region: str | None, live: Live | None) -> str:
    version = live.version if live and live.version else "nothing"
    doubt = f" (uncertain: {live.attempted} broke off half-way)" if live and live.uncertain else ""
    return f"{f'{region} ' if region else ''}{version}{doubt}"


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
    is_rollback = facts.request.kind is DeploymentKind.ROLLBACK
    kind = "rehearsal" if plan.is_rehearsal else "rollback" if is_rollback else "deployment"
    name = str(facts.tag).replace("/", "-")
    report = PipelineReport(
        report_id=f"{kind}-{clock.stamp:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}-{name}"[:120],
        pipeline_run_id=facts.run.id if facts.run else "local",
        pipeline_type=PipelineType.POST_RELEASE if is_rollback else PipelineType.RELEASE,
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
