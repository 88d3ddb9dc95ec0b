"""The lines to type after a deployment: what finishes it, what undoes it, where to look."""

from __future__ import annotations

from dataclasses import replace
from shlex import quote
from typing import TYPE_CHECKING

from ci_tasks.core.command_line import typed
from ci_tasks.core.errors import ExitCode, RefusedError
from ci_tasks.deploy.claim import StopAskedError
from ci_tasks.deploy.model import Request, line_of, review_line
from ci_tasks.deploy.undo import courses_of, touched, ways_back
from ci_tasks.tag.grammar import StateTag, parse_version
from ci_tasks.tag.model import region_key
from ci_tasks.tag.names import DeploymentKind, VersionState

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
    status = typed(f"deploy.status {facts.options}")
    if course is not None and code is not ExitCode.OK:
        errors = [*course.errors, *(undone.errors if undone else [])]
        lines = [error.next_step for error in errors if error.next_step != status]
    if course is not None and (code in _UNFINISHED or _was_called_off(course)):
        ways = [_undoing(facts, plan, course, undone), _finishing(facts, plan, course, undone)]
        is_bad = undone is not None or _was_called_off(course)  # then it is not to come once more as it is
        lines += ways if is_bad else reversed(ways)
    if undone is not None and code is ExitCode.FAILED:  # all is as before: the other lines have time
        lines.insert(0, status)
    if facts.request.kind is DeploymentKind.ROLLBACK and course is not None:
        lines += _marking(facts, plan, course)
    yield from dict.fromkeys(line for line in (*lines, status) if line)
    if course is not None and course.claim_id is not None:
        yield facts.show_line
    for each in courses_of(course, undone):
        if any(record.override for record in each.deployments):
            yield review_line(facts.tag, each.deployments[0].claim_id)


def _was_called_off(course: Course) -> bool:
    """True where somebody asked it to stop: the claim was ours to the end."""
    return any(isinstance(error, StopAskedError) for error in course.errors)


def _marking(facts: Facts, plan: Plan, course: Course) -> Iterator[str]:
    """The line that marks what was rolled back from: until then `inv deploy` would bring it once more."""
    done, ledger = {region.region for region in touched(plan, course)}, facts.ledger
    live = ledger.header.live if ledger else {}
    before = [live[region_key(region)] for region in done if region_key(region) in live]
    left = {parse_version(one.attempted or one.version or plan.version) for one in before}
    option = f"--subproject {facts.tag.subproject} " if facts.tag.subproject else ""
    reason = facts.request.reason or ""
    words = f"{'=' if reason.startswith('-') else ' '}{quote(reason)}" if reason else ' "why"'
    for version in sorted(left, key=lambda version: version.precedence):
        marks = (
            StateTag(subproject=facts.tag.subproject, version=version, state=state)
            for state in VersionState
            if state.is_bad
        )
        is_newer = version.precedence > parse_version(plan.version).precedence
        if is_newer and version.is_release and not any(str(mark) in facts.tags for mark in marks):
            yield typed(f"tag.state {option}--version {version} --state unstable --reason{words}")


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
    is_refused = undone is not None and any(isinstance(error, RefusedError) for error in undone.errors)
    version = ways[0].version if len(ways) == 1 and not is_refused else None
    return line_of(request, facts.tag.subproject, version=version)
