"""Running a plan: the claim, the scripts of each region, the settlement of each result."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime  # noqa: TC003 - a field's type, kept for readers of the dataclass
from typing import TYPE_CHECKING

from ci_tasks.core import signals
from ci_tasks.core.errors import CiTasksError, ExitCode, RefusedError
from ci_tasks.core.process.running import StopRequest
from ci_tasks.deploy.ci import triggered_by
from ci_tasks.deploy.lease import Lease
from ci_tasks.deploy.records import new_records
from ci_tasks.deploy.region import RegionRun, run_scripts
from ci_tasks.tag.clock import utc_now
from ci_tasks.tag.grammar import StateTag, ref_of
from ci_tasks.tag.listing import Listing
from ci_tasks.tag.model import Commits, Deployment
from ci_tasks.tag.names import DeploymentStatus, VersionState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ci_tasks.core.checkout import Checkout
    from ci_tasks.deploy.facts import Reading
    from ci_tasks.deploy.model import Plan
    from ci_tasks.deploy.region import Stage

WIND_DOWN = 6.5
"""Seconds after the first signal within which the result has to be recorded."""


@dataclass(kw_only=True)
class Course:
    """What became of a plan."""

    plan: Plan
    started_at: datetime
    claim_id: str | None = None
    regions: list[RegionRun] = field(default_factory=list)
    deployments: list[Deployment] = field(default_factory=list)
    errors: list[CiTasksError] = field(default_factory=list)

    @property
    def error(self) -> CiTasksError | None:
        """What broke it off; the others came of that, or beside it."""
        return self.errors[0] if self.errors else None


def rehearse(plan: Plan, stage: Stage) -> Course:
    """Go through every region with the scripts in their modes: nothing claimed, nothing recorded."""
    course = Course(plan=plan, started_at=utc_now())
    stop = StopRequest()
    with signals.deferred(_asks(stop)) as interruption:
        for region in plan.to_do:
            course.regions.append(run_scripts(stage, plan, region, stop=stop, record=None))
            if course.regions[-1].status is not DeploymentStatus.SUCCESS:
                break
    course.errors = [interruption.error] if interruption.error else []
    return course


def carry_out(checkout: Checkout, reading: Reading, plan: Plan, stage: Stage, *, retry: str) -> Course:
    """Claim, run, settle. What went wrong stands in the course; only a claim that failed is raised."""
    facts = reading.facts
    identity = checkout.repository.identity()
    course = Course(plan=plan, started_at=utc_now())
    who = triggered_by(os.environ, identity)
    code, head = facts.version.commit, facts.head
    records = new_records(
        facts,
        [region.region for region in plan.to_do],
        concurrency_group=plan.concurrency_group,
        commits=Commits(code=code, config=code, scripts=head, rules=head, secrets=head),
        inputs=facts.inputs,
        is_overridden=bool(plan.overridden),
        by=who,
        now=course.started_at,
    )
    course.claim_id = records[0].claim_id
    winding_down = _WindingDown()
    lease = Lease(
        reading.store,
        facts.environment,
        records,
        seconds=checkout.settings.lease,
        identity=identity,
        retry=retry,
        abandon=winding_down.is_over,
        hurry=winding_down.has_begun,
    )
    stop = StopRequest()
    with signals.deferred(_asks(stop)) as interruption:
        interruption.listen(winding_down.begin)
        if interruption.error is not None:
            raise interruption.error
        lease.acquire(
            regions=facts.regions,
            repository=facts.repository,
            pinned=[facts.version.ref],
            stop=lambda: interruption.signal is not None,
        )
        crew = _Crew(lease, stage, plan, stop, winding_down)
        crew.error = _late_refusal(reading, lease)
        if crew.error is not None:
            stop.request(crew.error.what)
        with lease.renewed(stop):
            crew.work(records)
    course.regions = crew.runs
    course.deployments = _recorded(lease, records)
    found = (interruption.error, lease.trouble, crew.error)
    course.errors = list(dict.fromkeys(error for error in found if error is not None))
    return course


def _late_refusal(reading: Reading, lease: Lease) -> CiTasksError | None:
    """What speaks against the first script, now that the claim is made: the version's state, the time."""
    tag, known = reading.facts.version.tag, reading.facts.states
    names = [
        ref_of(StateTag(subproject=tag.subproject, version=tag.version, state=state))
        for state in VersionState
    ]
    try:
        for state in Listing(reading.store.origin.refs(*names), reading.store.grammar).states(tag):
            if state.is_bad and state not in known:
                return RefusedError(
                    f"{tag} was marked {state.value} while the deployment was being prepared.",
                    unchanged="No script was run.",
                )
        lease.start_anew_if_late()
    except CiTasksError as error:
        return error
    return None


def _asks(stop: StopRequest) -> Callable[[int], None]:
    def asked(count: int) -> None:
        stop.request("it was cancelled", now=count > 1)

    return asked


class _WindingDown:
    """The time that is left after the first signal."""

    def __init__(self) -> None:
        self._told_at: float | None = None

    def begin(self, _count: int) -> None:
        """Note when the first signal came."""
        self._told_at = self._told_at or time.monotonic()

    def has_begun(self) -> bool:
        """True from the first signal on."""
        return self._told_at is not None

    def is_over(self) -> bool:
        """True once the time to record anything is used up; never without a signal."""
        return self._told_at is not None and time.monotonic() - self._told_at > WIND_DOWN


class _Crew:
    """Runs the regions of one claim, one after the other or side by side."""

    def __init__(
        self, lease: Lease, stage: Stage, plan: Plan, stop: StopRequest, winding_down: _WindingDown
    ) -> None:
        self.lease = lease
        self.stage = stage
        self.plan = plan
        self.stop = stop
        self.runs: list[RegionRun] = []
        self.error: CiTasksError | None = None
        self.winding_down = winding_down

    def work(self, records: Sequence[Deployment]) -> None:
        """Run and settle every record."""
        self.runs = [
            RegionRun(region=record.region, deployment_id=record.deployment_id) for record in records
        ]
        if self.plan.is_parallel:
            with ThreadPoolExecutor(max_workers=len(records)) as pool:
                list(pool.map(self._one, records, self.runs))
            return
        for index, (record, run) in enumerate(zip(records, self.runs, strict=True)):
            rest = list(zip(records, self.runs, strict=True))[index + 1 :]
            self._one(record, run, rest)
            if run.status is not DeploymentStatus.SUCCESS:
                return

    def _one(
        self, record: Deployment, run: RegionRun, rest: Sequence[tuple[Deployment, RegionRun]] = ()
    ) -> None:
        try:
            self._run(record, run)
        except Exception as error:
            # A bug of ours: the claim must not be left behind, and what has started is not known any more.
            run.status, run.scripts_started = DeploymentStatus.FAILED, True
            run.ended_by = f"an error in ci_tasks itself: {type(error).__name__}"
            raise
        finally:
            self._settle(record, run, rest)

    def _run(self, record: Deployment, run: RegionRun) -> None:
        if self.stop.reason is not None:
            run.status, run.ended_by = DeploymentStatus.CANCELLED, f"not started: {self.stop.reason}"
            return
        (planned,) = (region for region in self.plan.to_do if region.region == record.region)
        run_scripts(self.stage, self.plan, planned, stop=self.stop, record=record, run=run)

    def _settle(
        self, record: Deployment, run: RegionRun, rest: Sequence[tuple[Deployment, RegionRun]]
    ) -> None:
        results = {record.deployment_id: (run.status, run.scripts_started, run.ended_by)}
        if run.status is not DeploymentStatus.SUCCESS:
            for other, other_run in rest:
                other_run.status = DeploymentStatus.CANCELLED
                other_run.ended_by = f"not started: {self.stop.reason or f'{record.region} did not succeed'}"
                results[other.deployment_id] = (other_run.status, False, other_run.ended_by)
        outcome = f"{record.region or record.environment}: {record.version} {run.status.value}"
        try:
            self.lease.settle(results, stop=self.winding_down.is_over)
        except CiTasksError as error:
            run.is_recorded = False
            self.error = self.error or error
            self.stop.request(error.what)
            self.stage.say(f"{outcome}, but NOT recorded in {self.lease.tag}")
        else:
            self.stage.say(f"{outcome}, recorded in {self.lease.tag}")


def _recorded(lease: Lease, records: Sequence[Deployment]) -> list[Deployment]:
    """Our records as the ledger has them now."""
    ledger = lease.ledger
    found = {record.deployment_id: record for record in ledger.find(records[0].claim_id)} if ledger else {}
    return [found.get(record.deployment_id, record) for record in records]


def exit_code(course: Course) -> ExitCode:
    """The code of an outcome: what broke off the whole, then how many regions have what they should."""
    done = [run.status is DeploymentStatus.SUCCESS and run.is_recorded for run in course.regions]
    if all(done) and len(done) == len(course.plan.to_do):
        return ExitCode.OK
    if course.error is not None:
        return course.error.exit_code
    if any(done):
        return ExitCode.PARTIAL
    return ExitCode.TIMEOUT if any(run.timed_out for run in course.regions) else ExitCode.FAILED
