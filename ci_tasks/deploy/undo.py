"""Going back after a failure (`onFailure: rollback`): which regions, to what, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ci_tasks.core.command_line import typed
from ci_tasks.core.errors import CancelledError, CiTasksError, ConflictError, ExitCode
from ci_tasks.core.failpoint import failpoint
from ci_tasks.deploy import run as runs
from ci_tasks.deploy.model import Request
from ci_tasks.environment.names import OnFailure
from ci_tasks.tag.lines import options
from ci_tasks.tag.names import DeploymentKind, DeploymentStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ci_tasks.deploy.model import Plan, PlannedRegion
    from ci_tasks.deploy.run import Course
    from ci_tasks.tag.store import EnvironmentFact

    Carry = Callable[[Request], tuple[Plan, Course | None]]

_FINAL = (ExitCode.CANCELLED, ExitCode.TERMINATED, ExitCode.UNKNOWN)
"""What a caller has to know of first, whatever else is as before."""


class OvertakenError(ConflictError):
    """Somebody else has deployed there after the failure: what we know of it is old."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """Regions that go back to one version, in one deployment."""

    version: str
    regions: tuple[str | None, ...]

    @property
    def place(self) -> str:
        """The regions, as a part of a sentence."""
        return ", ".join(region for region in self.regions if region) or "the environment"


@dataclass(kw_only=True)
class Undone:
    """What became of the ways back: `parts` are plans and their courses (None: nothing was to do).

    `stays` says of each region that is not as before, why.
    """

    parts: list[tuple[Plan, Course | None]] = field(default_factory=list)
    stays: list[str] = field(default_factory=list)
    errors: list[CiTasksError] = field(default_factory=list)

    @property
    def courses(self) -> list[Course]:
        """The deployments that were begun."""
        return [course for _, course in self.parts if course is not None]

    @property
    def is_overtaken(self) -> bool:
        """True where what runs now is another's business."""
        return any(isinstance(error, OvertakenError) for error in self.errors)

    @property
    def regions(self) -> set[str | None]:
        """Those that have again what ran there before."""
        return {
            region.region
            for plan, course in self.parts
            for region in plan.regions
            if region.action == "skip" or (course is not None and region.region in runs.done_in(course))
        }


def is_due(plan: Plan, course: Course) -> bool:
    """True where the rule wants the way back and a region failed, which is not one that was stopped."""
    failed = any(run.status is DeploymentStatus.FAILED for run in course.regions)
    return plan.on_failure is OnFailure.ROLLBACK and not plan.is_rehearsal and failed and not course.errors


def touched(plan: Plan, course: Course) -> list[PlannedRegion]:
    """The regions that have something else than before, or may have: their scripts have begun."""
    begun = {
        run.region for run in course.regions if run.status is DeploymentStatus.SUCCESS or run.scripts_started
    }
    return [region for region in plan.to_do if region.region in begun]


def ways_back(plan: Plan, regions: Sequence[PlannedRegion]) -> list[Way]:
    """Each version that ran in some of these regions before, with those regions; others have no way back."""
    found: dict[str, list[str | None]] = {}
    for region in regions:
        if region.previous_version is not None and region.previous_version != plan.version:
            found.setdefault(region.previous_version, []).append(region.region)
    return [Way(version=version, regions=tuple(regions)) for version, regions in found.items()]


def go_back(request: Request, plan: Plan, course: Course, *, carry: Carry) -> Undone:
    """Bring every region that was touched back to what ran there before; `carry` plans and carries out.

    Errors are kept and not raised. The first signal ends it.
    """
    undone = Undone()
    ways = ways_back(plan, touched(plan, course))
    why: dict[str, str] = {}
    try:
        failpoint("before_undo")
        for way in ways:
            why[way.version] = _one_way(undone, _request_for(way, request, plan, course), carry)
            if any(isinstance(error, CancelledError) for error in undone.errors):
                break
    except CancelledError as error:  # between two deployments
        undone.errors.append(error)
    undone.stays = list(_without_way(plan, touched(plan, course)))
    for way in ways:
        left = Way(version=way.version, regions=tuple(r for r in way.regions if r not in undone.regions))
        if left.regions:
            because = why.get(way.version) or "It was cancelled before that."
            undone.stays.append(f"{left.place}: not gone back to {way.version}. {because}")
    return undone


def refuse_changed(fact: EnvironmentFact, course: Course, regions: Sequence[str]) -> None:
    """Raise OvertakenError where somebody else has deployed after the failure: that is not ours to undo.

    `fact` is the environment as the way back was planned for it; no `regions`: it has none.
    """
    live = fact.ledger.header.live if fact.ledger else {}
    changed = [key for key in regions or ("",) if live.get(key) != course.live.get(key)]
    if changed:
        where = ", ".join(key for key in changed if key) or fact.tag.environment
        raise OvertakenError(
            f"Somebody else has deployed to {where} meanwhile.",
            unchanged="What they brought stays.",
            next_step=typed(f"deploy.status {options(fact.tag)}"),
        )


def _request_for(way: Way, request: Request, plan: Plan, course: Course) -> Request:
    failed = [run.region for run in course.regions if run.status is DeploymentStatus.FAILED]
    where = ", ".join(region for region in failed if region) or plan.environment
    return Request(
        environment=plan.environment,
        subproject=request.subproject or plan.subproject,
        version=way.version,
        regions=tuple(region for region in way.regions if region),
        kind=DeploymentKind.ROLLBACK,
        override=request.override,
        parallel=request.parallel,
        sequential=request.sequential,
        reason=f"{plan.version} failed in {where} (onFailure: rollback)",
    )


def _one_way(undone: Undone, request: Request, carry: Carry) -> str:
    """Go one way, and say why a region that is not back is not."""
    try:
        part = carry(request)
    except CiTasksError as error:
        undone.errors.append(error)
        return error.what
    undone.parts.append(part)
    errors = part[1].errors if part[1] else []
    undone.errors += errors
    return errors[0].what if errors else "Its scripts did not succeed."


def _without_way(plan: Plan, regions: Sequence[PlannedRegion]) -> Iterator[str]:
    for region in regions:
        place = region.region or plan.environment
        if region.previous_version is None:
            yield f"{place}: nothing ran there before {plan.version}, so there is nothing to go back to."
        elif region.previous_version == plan.version:
            yield f"{place}: {plan.version} ran there before, too, so there is nothing to go back to."


def courses_of(course: Course | None, undone: Undone | None) -> list[Course]:
    """All deployments of a command that were begun, in their order."""
    return [*([course] if course else []), *(undone.courses if undone else [])]


def exit_code(course: Course, undone: Undone | None) -> ExitCode:
    """The code of a deployment and of the way back after it: FAILED where all is as before, else PARTIAL."""
    if undone is None or not (undone.parts or undone.errors or undone.stays):
        return runs.exit_code(course)
    codes = {error.exit_code for error in undone.errors}
    first = next((code for code in _FINAL if code in codes), None)
    if first is not None:
        return first
    return ExitCode.PARTIAL if undone.stays else ExitCode.FAILED
