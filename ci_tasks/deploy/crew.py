"""The regions of one claim: run one after the other or side by side, each settled as it ends."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ci_tasks.core.errors import CiTasksError
from ci_tasks.core.failpoint import failpoint
from ci_tasks.deploy.region import RegionRun, run_scripts
from ci_tasks.environment.names import OnFailure
from ci_tasks.tag.names import DeploymentStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ci_tasks.core.process.running import StopRequest
    from ci_tasks.deploy.lease import Lease
    from ci_tasks.deploy.model import Plan
    from ci_tasks.deploy.region import Stage
    from ci_tasks.tag.model import Deployment


class Crew:
    """Runs and settles every region; `error` is why a result could not be recorded.

    `gives_up` says whether the time to record anything is over.
    """

    def __init__(
        self, lease: Lease, stage: Stage, plan: Plan, stop: StopRequest, gives_up: Callable[[], bool]
    ) -> None:
        self.lease = lease
        self.stage = stage
        self.plan = plan
        self.stop = stop
        self.runs: list[RegionRun] = []
        self.error: CiTasksError | None = None
        self.gives_up = gives_up

    def work(self, records: Sequence[Deployment]) -> None:
        """Run and settle every record.

        Side by side, all have begun before one fails, so each goes on to its end.
        """
        self.runs = [
            RegionRun(region=record.region, deployment_id=record.deployment_id) for record in records
        ]
        pairs = list(zip(records, self.runs, strict=True))
        if self.plan.is_parallel:
            with ThreadPoolExecutor(max_workers=len(records)) as pool:
                list(pool.map(self._one, records, self.runs))
            return
        for index, (record, run) in enumerate(pairs):
            if run.status is DeploymentStatus.RUNNING:  # and was not ended with the one that failed
                self._one(record, run, pairs[index + 1 :])

    def _one(
        self, record: Deployment, run: RegionRun, rest: Sequence[tuple[Deployment, RegionRun]] = ()
    ) -> None:
        try:
            self._run(record, run)
        except Exception as error:
            # A bug of ours: the claim must not be left behind, and what has started is not known any more.
            run.status, run.scripts_started = DeploymentStatus.FAILED, True
            run.ended_by = f"an error in ci_tasks itself: {type(error).__name__}"
            if rest:
                self.stop.request(run.ended_by)
            raise
        finally:
            self._settle(record, run, rest)

    def _run(self, record: Deployment, run: RegionRun) -> None:
        self.lease.heed(self.stop)
        if self.stop.reason is not None:
            run.status, run.ended_by = DeploymentStatus.CANCELLED, _not_started(self.stop.reason)
            return
        (planned,) = (region for region in self.plan.to_do if region.region == record.region)
        run_scripts(self.stage, self.plan, planned, stop=self.stop, record=record, run=run)

    def _settle(
        self, record: Deployment, run: RegionRun, rest: Sequence[tuple[Deployment, RegionRun]]
    ) -> None:
        results = {record.deployment_id: (run.status, run.scripts_started, run.ended_by)}
        if self._is_the_end(run):
            for other, other_run in rest:
                other_run.status = DeploymentStatus.CANCELLED
                other_run.ended_by = _not_started(self.stop.reason or f"{record.region} did not succeed")
                results[other.deployment_id] = (other_run.status, False, other_run.ended_by)
        outcome = f"{record.region or record.environment}: {record.version} {run.status.value}"
        failpoint("before_settle")
        try:
            self.lease.settle(results, stop=self.gives_up)
        except CiTasksError as error:
            run.is_recorded = False
            self.error = self.error or error
            self.stop.request(error.what)
            self.stage.say(f"{outcome}, but NOT recorded in {self.lease.tag}")
        else:
            failpoint("after_settle")
            self.stage.say(f"{outcome}, recorded in {self.lease.tag}")

    def _is_the_end(self, run: RegionRun) -> bool:
        """True where the regions after this one are not tried any more."""
        if run.status is DeploymentStatus.SUCCESS:
            return False
        return self.plan.on_failure is not OnFailure.KEEP_GOING or self.stop.reason is not None


def _not_started(reason: str) -> str:
    """Why a region was not tried; a sentence becomes a part of one."""
    begin, space, rest = reason.partition(" ")
    return f"not started: {begin.lower() if begin in ('Stopped', 'The') else begin}{space}{rest}"
