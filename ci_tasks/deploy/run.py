"""Running a plan: the claim, the scripts of each region, the settlement of each result."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from datetime import datetime  # noqa: TC003 - a field's type, kept for readers of the dataclass
from typing import TYPE_CHECKING

from ci_tasks.core import signals
from ci_tasks.core.errors import CiTasksError, ExitCode, RefusedError
from ci_tasks.core.failpoint import failpoint
from ci_tasks.core.process.running import StopRequest
from ci_tasks.deploy.ci import triggered_by
from ci_tasks.deploy.crew import Crew
from ci_tasks.deploy.lease import Lease
from ci_tasks.deploy.records import new_records
from ci_tasks.deploy.region import RegionRun, run_scripts
from ci_tasks.environment.names import OnFailure
from ci_tasks.tag.clock import utc_now
from ci_tasks.tag.grammar import StateTag, ref_of
from ci_tasks.tag.listing import Listing
from ci_tasks.tag.model import Commits, Deployment
from ci_tasks.tag.names import DeploymentStatus, VersionState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ci_tasks.core.checkout import Checkout
    from ci_tasks.deploy.facts import Reading
    from ci_tasks.deploy.model import Plan
    from ci_tasks.deploy.region import Stage
    from ci_tasks.tag.model import Live

WIND_DOWN = 6.5
"""Seconds after the first signal within which the result has to be recorded."""


@dataclass(kw_only=True)
class Course:
    """What became of a plan; `live` is what each region has by the ledger as we last read or wrote it."""

    plan: Plan
    started_at: datetime
    claim_id: str | None = None
    regions: list[RegionRun] = field(default_factory=list)
    deployments: list[Deployment] = field(default_factory=list)
    errors: list[CiTasksError] = field(default_factory=list)
    live: Mapping[str, Live] = field(default_factory=dict)

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
            went_well = course.regions[-1].status is DeploymentStatus.SUCCESS
            if not went_well and plan.on_failure is not OnFailure.KEEP_GOING:
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
        turn=reading.turn,
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
        turn=reading.turn,
    )
    stop = StopRequest()
    with signals.deferred(_asks(stop)) as interruption:
        interruption.listen(winding_down.begin)
        if interruption.error is not None:
            raise interruption.error
        failpoint("before_claim")
        lease.acquire(
            regions=facts.regions,
            repository=facts.repository,
            pinned=[facts.version.ref],
            stop=lambda: interruption.signal is not None,
        )
        failpoint("after_claim")
        crew = Crew(lease, stage, plan, stop, winding_down.is_over)
        crew.error = _late_refusal(reading, lease)
        if crew.error is not None:
            stop.request(crew.error.what)
        with lease.renewed(stop):
            crew.work(records)
    course.regions = crew.runs
    course.deployments = _recorded(lease, records)
    course.live = lease.ledger.header.live if lease.ledger else {}
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


def _recorded(lease: Lease, records: Sequence[Deployment]) -> list[Deployment]:
    """Our records as the ledger has them now."""
    ledger = lease.ledger
    found = {record.deployment_id: record for record in ledger.find(records[0].claim_id)} if ledger else {}
    return [found.get(record.deployment_id, record) for record in records]


def done_in(course: Course) -> set[str | None]:
    """The regions that succeeded, and of which that is recorded."""
    return {
        run.region for run in course.regions if run.status is DeploymentStatus.SUCCESS and run.is_recorded
    }


_TELLS_MORE = (ExitCode.CANCELLED, ExitCode.TERMINATED, ExitCode.UNKNOWN)
"""Ends that say more than how many regions are done, whatever else went wrong beside them."""


def exit_code(course: Course) -> ExitCode:
    """The code of an outcome: how many regions have what they should, and what broke off the whole.

    REFUSED would say that no script was run: where one was, and only its result was refused, it is FAILED.
    """
    done, error = done_in(course), course.error
    if len(done) == len(course.plan.to_do):
        return ExitCode.OK
    ends = {error.exit_code for error in course.errors}
    for code in _TELLS_MORE:
        if code in ends:
            return code
    if done:
        return ExitCode.PARTIAL
    if error is not None:
        has_run = any(run.scripts_started for run in course.regions)
        return ExitCode.FAILED if has_run and error.exit_code is ExitCode.REFUSED else error.exit_code
    return ExitCode.TIMEOUT if any(run.timed_out for run in course.regions) else ExitCode.FAILED
