"""The lines to type after a deployment: what finishes it, what undoes it, where to look."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ci_tasks.core.command_line import typed
from ci_tasks.core.errors import ExitCode
from ci_tasks.deploy.model import Request, line_of, review_line
from ci_tasks.deploy.undo import courses_of, touched, ways_back
from ci_tasks.tag.names import DeploymentKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci_tasks.deploy.model import Facts, Plan
    from ci_tasks.deploy.run import Course
    from ci_tasks.deploy.undo import Undone
    from ci_tasks.tag.model import Live

_UNFINISHED = (
    ExitCode.FAILED,
    ExitCode.PARTIAL,
    ExitCode.TIMEOUT,
    ExitCode.CANCELLED,
    ExitCode.TERMINATED,
)


def next_lines(
    facts: Facts, plan: Plan, course: Course | None, undone: Undone | None, code: ExitCode
) -> Iterator[str]:
    """The lines after a course that ended with this code (None: nothing was to do)."""
    lines: list[str | None] = []
    if course is not None and code is not ExitCode.OK:
        errors = [*course.errors, *(undone.errors if undone else [])]
        lines = [error.next_step for error in errors]
    if course is not None and code in _UNFINISHED:
        lines += [_finishing(facts, plan, course, undone), _undoing(facts, plan, course, undone)]
    yield from dict.fromkeys(line for line in (*lines, typed(f"deploy.status {facts.options}")) if line)
    if course is not None and course.claim_id is not None:
        yield facts.show_line
    for each in courses_of(course, undone):
        if any(record.override for record in each.deployments):
            yield review_line(facts.tag, each.deployments[0].claim_id)


def _finishing(facts: Facts, plan: Plan, course: Course, undone: Undone | None) -> str:
    """The line that does what is left: this version and no newer one, where a part of the regions has it."""
    live = courses_of(course, undone)[-1].live
    regions = [region.region for region in plan.to_do if region.region]
    left = tuple(region for region in regions if not _has(live.get(region), plan.version))
    if len(left) in (0, len(regions)):
        return line_of(facts.request, facts.tag.subproject)
    return line_of(replace(facts.request, regions=left), facts.tag.subproject, version=plan.version)


def _has(live: Live | None, version: str) -> bool:
    return live is not None and live.version == version and not live.uncertain


def _undoing(facts: Facts, plan: Plan, course: Course, undone: Undone | None) -> str | None:
    """The line that brings back what ran before; None where nothing is to be undone, or can be.

    Where the regions had several versions, it leaves the choice to the rollback.
    """
    back = undone.regions if undone else set()
    regions = [region for region in touched(plan, course) if region.region not in back]
    ways = ways_back(plan, regions)
    is_old = undone is not None and undone.is_overtaken
    if not ways or is_old or facts.request.kind is DeploymentKind.ROLLBACK:
        return None
    request = Request(
        environment=plan.environment,
        kind=DeploymentKind.ROLLBACK,
        regions=tuple(region for way in ways for region in way.regions if region),
    )
    version = ways[0].version if len(ways) == 1 else None
    return line_of(request, facts.tag.subproject, version=version)
