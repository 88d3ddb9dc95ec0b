"""Several deployments as one plan: refused as a whole, then carried out one after the other."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ci_tasks.core import console
from ci_tasks.core.entity import Entity
from ci_tasks.core.errors import CancelledError, CiTasksError, ConflictError, ExitCode, RefusedError
from ci_tasks.deploy import conclude, deployment
from ci_tasks.deploy.model import Plan, begun_line, line_of
from ci_tasks.deploy.queue.turn import refuse_other
from ci_tasks.deploy.rollout.candidates import Candidate
from ci_tasks.tag.model import Deployment
from ci_tasks.tag.names import DeploymentKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ci_tasks.core.checkout import Checkout
    from ci_tasks.deploy.deployment import Prepared, Result
    from ci_tasks.deploy.model import PlannedRegion, Request

STOPS = (ExitCode.CANCELLED, ExitCode.TERMINATED)
"""How a part ends after which no other one is begun."""


NOT_BEGUN = "Not begun: "
"""How the message of a part begins that was not even tried."""


class Failure(Entity, frozen=True, kw_only=True):
    """A part that was not carried out, or not begun: why, and the line that does it alone."""

    environment_tag: str
    version: str
    code: ExitCode
    message: str
    next_step: str | None


class RolloutAnswer(Entity, frozen=True, kw_only=True):
    """What `deploy.rollback` and `deploy.promote` print with --json.

    One plan for each version and environment tag; `failures` are the parts that raised an error or were not
    begun; the results of the others stand in their deployments. `candidates` are a rollback's.
    """

    plans: list[Plan]
    deployments: list[Deployment]
    report_paths: list[str]
    failures: list[Failure]
    candidates: list[Candidate]


@dataclass(kw_only=True)
class Rollout:
    """What became of several requests; `candidates` and `notices` say how they were made.

    `line` is the one that asks for all that is left, None where each part has its own.
    """

    plans: list[Plan]
    results: list[Result] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    is_preview: bool = False
    line: str | None = None

    @property
    def document(self) -> RolloutAnswer:
        """The JSON document."""
        paths = [result.conclusion.path for result in self.results if result.conclusion]
        return RolloutAnswer(
            plans=self.plans,
            deployments=[record for result in self.results for record in result.deployments],
            report_paths=[str(path) for path in paths if path],
            failures=self.failures,
            candidates=self.candidates,
        )

    @property
    def code(self) -> ExitCode:
        """How the process exits: PARTIAL where something was done, and something was not."""
        codes = [*(result.code for result in self.results), *(failure.code for failure in self.failures)]
        bad = [code for code in codes if code is not ExitCode.OK]
        if not bad:
            return ExitCode.OK
        stopped = [code for code in bad if code in STOPS]
        if stopped or self.is_preview:
            return (stopped or bad)[0]
        is_done = any(
            result.code is ExitCode.PARTIAL or (result.code is ExitCode.OK and result.plan.to_do)
            for result in self.results
        )
        return ExitCode.PARTIAL if is_done else bad[0]


def preview(checkout: Checkout, requests: Sequence[Request], *, environ: Mapping[str, str]) -> Rollout:
    """The plans alone (`--dry-run`); its code says whether they would be refused."""
    results = [deployment.preview(checkout, request, environ=environ) for request in requests]
    return Rollout(plans=[result.plan for result in results], results=results, is_preview=True)


def prepare(checkout: Checkout, requests: Sequence[Request], *, environ: Mapping[str, str]) -> list[Prepared]:
    """Read and plan all of them. Nothing is changed; about a single one somebody may be asked."""
    plans = deployment.prepare if len(requests) == 1 else deployment.planned
    return [plans(checkout, request, environ=environ) for request in requests]


def agreed(parts: Sequence[Prepared]) -> list[Prepared]:
    """The parts; where older versions alone speak against them, somebody at the terminal is asked once."""
    refusals = [refusal for part in parts for refusal in part.plan.refusals]
    if not refusals or any(refusal.rule != "downgrade" for refusal in refusals):
        return list(parts)
    if not console.ask(f"{' '.join(refusal.message for refusal in refusals)} Deploy all the same?"):
        return list(parts)
    return [deployment.agreed(part) if part.plan.refusals else part for part in parts]


def carry_out(
    checkout: Checkout,
    parts: Sequence[Prepared],
    *,
    environ: Mapping[str, str],
    waits_for: Callable[[Plan, Plan], bool],
    telling: Callable[[Prepared], Prepared] = lambda part: part,
    line: str | None = None,
    again: str | None = None,
) -> Rollout:
    """Carry out the parts in their order; all but the first are planned anew at their turn.

    `waits_for` says of a later and an earlier part that the later one must not begin where the earlier one
    did not succeed; `telling` gives a part the notices that its report is to have. A single part raises what
    `deployment.execute` raises; of several, RefusedError is raised before anything is begun where any of them
    is refused. `line` is the one that asks for all of them, `again` that which agrees to older versions.
    """
    rollout = Rollout(plans=[part.plan for part in parts], line=line)
    if len(parts) == 1:
        rollout.results.append(deployment.execute(checkout, telling(parts[0]), environ=environ))
        return rollout
    _refuse(checkout, parts, environ, line=line, again=again)
    failed: list[Plan] = []
    is_stopped = False
    for index, part in enumerate(parts):
        waits = next((each for each in failed if waits_for(part.plan, each)), None)
        if is_stopped or waits is not None:
            why = "it was cancelled" if waits is None else f"{waits.environment_tag} did not succeed"
            rollout.failures.append(_not_begun(part, why, line))
            failed.append(part.plan)
            continue
        try:
            current = part if index == 0 else _anew(checkout, part, environ)
            rollout.plans[index] = current.plan
            result = deployment.execute(checkout, telling(current), environ=environ)
        except CiTasksError as error:
            console.error(error)
            rollout.failures.append(_failure(part, error))
            failed.append(part.plan)
            is_stopped = isinstance(error, CancelledError)
        else:
            rollout.results.append(result)
            failed += [part.plan] if result.code is not ExitCode.OK else []
            is_stopped = result.code in STOPS
    return rollout


def _refuse(
    checkout: Checkout,
    parts: Sequence[Prepared],
    environ: Mapping[str, str],
    *,
    line: str | None,
    again: str | None,
) -> None:
    """Raise RefusedError where a rule speaks against any of the parts; each of those gets its report.

    What can't be started is a UsageError, and is found out here as well.
    """
    refused = [part for part in parts if part.plan.refusals]
    if not refused:
        for part in parts:
            deployment.require_startable_scripts(checkout, part)
        return
    for part in refused:
        first = part.plan.refusals[0]
        error = RefusedError(first.message, next_step=first.next_step)
        conclude.keep(checkout, conclude.of_error(part.reading.facts, part.plan, error, part.clock), environ)
    refusals = [refusal for part in refused for refusal in part.plan.refusals]
    is_older = all(refusal.rule == "downgrade" for refusal in refusals)
    raise RefusedError(
        f"{len(refused)} of {len(parts)} deployments are refused, so none was begun.",
        unchanged="Nothing was changed and no script was run.",
        next_step=(again if is_older else None) or _for_all(refused[0], line),
        details=[
            f"{part.plan.version_tag} to {part.plan.environment_tag}: {refusal.message} Rule: {refusal.name}."
            for part in refused
            for refusal in part.plan.refusals
        ],
    )


def _for_all(part: Prepared, line: str | None) -> str | None:
    """What to type about a part's first refusal; where that asks for this part again, it asks for all."""
    own = part.plan.refusals[0].next_step
    request = part.reading.facts.request
    begin, option = begun_line(request, request.environment), f" --subproject {part.plan.subproject or '.'}"
    if own is None or line is None or begin not in own or option not in own:
        return own
    words = line.removeprefix(line_of(request, None))
    return own.replace(option, "", 1) + words


def _anew(checkout: Checkout, part: Prepared, environ: Mapping[str, str]) -> Prepared:
    """The same, planned with what is true by now; what was agreed to is not asked again.

    Raises RefusedError where it has become something that nobody agreed to, ConflictError where somebody else
    has deployed to regions that were to go back: what they brought is not what was to be left.
    """
    request = replace(part.reading.facts.request, version=part.plan.version)
    current = deployment.prepare(checkout, request, environ=environ)
    if request.yes:  # else somebody was asked about this very plan, or it is refused
        refuse_other(part, current)
    before = {region.region: _live(region) for region in part.plan.regions}
    changed = [region for region in current.plan.to_do if _live(region) != before.get(region.region)]
    if changed and request.kind is DeploymentKind.ROLLBACK:
        raise ConflictError(
            f"{current.plan.environment_tag} was changed by somebody else before its turn to go back to"
            f" {current.plan.version}.",
            unchanged="No script of this part was run.",
            next_step=f"{line_of(request, part.plan.subproject)} --dry-run",
        )
    return current


def _live(region: PlannedRegion) -> tuple[str | None, str | None, bool]:
    return region.previous_version, region.previous_commit_sha, region.is_uncertain


def _failure(part: Prepared, error: CiTasksError) -> Failure:
    return Failure(
        environment_tag=part.plan.environment_tag,
        version=part.plan.version,
        code=error.exit_code,
        message=error.what,
        next_step=error.next_step,
    )


def _not_begun(part: Prepared, why: str, line: str | None) -> Failure:
    request = part.reading.facts.request
    return Failure(
        environment_tag=part.plan.environment_tag,
        version=part.plan.version,
        code=ExitCode.FAILED,
        message=f"{NOT_BEGUN}{why}.",
        next_step=line or line_of(request, part.plan.subproject),
    )
