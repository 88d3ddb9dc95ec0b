"""One deployment from the line that was typed to its report."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ci_tasks.core import console, signals
from ci_tasks.core.command_line import typed
from ci_tasks.core.entity import Entity
from ci_tasks.core.errors import CiTasksError, ConflictError, ExitCode, UnavailableError, UsageError
from ci_tasks.core.failpoint import failpoint
from ci_tasks.core.process.environment import check_first_line, child_environment
from ci_tasks.core.redact import Redactor, secrets_in
from ci_tasks.deploy import conclude, facts, source, undo
from ci_tasks.deploy.claim import ClaimHeldError, PlanOutdatedError, Turn
from ci_tasks.deploy.left import LEFT
from ci_tasks.deploy.model import Plan, Request, line_of
from ci_tasks.deploy.plan import UNCOMMITTED, plan
from ci_tasks.deploy.queue.place import Place, left_at_the_end
from ci_tasks.deploy.queue.turn import foreseen
from ci_tasks.deploy.region import Stage, source_of
from ci_tasks.deploy.rule.override import OVERRIDDEN
from ci_tasks.deploy.rule.rules import refuse
from ci_tasks.deploy.run import Course, carry_out, rehearse
from ci_tasks.report.model import redacted
from ci_tasks.script.names import Mode
from ci_tasks.script.runner import require_startable
from ci_tasks.script.timelimit import time_limit
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag.model import Deployment
from ci_tasks.tag.names import DeploymentKind
from ci_tasks.tag.writer import LedgerWriter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ci_tasks.core.checkout import Checkout
    from ci_tasks.deploy.conclude import Conclusion
    from ci_tasks.deploy.facts import Reading
    from ci_tasks.deploy.undo import Undone
    from ci_tasks.tag.ledger import Ledger


LONGEST_VARIABLE = 128 * 1024


class DeploymentAnswer(Entity, frozen=True, kw_only=True):
    """What `inv deploy --json` prints; `reportPath` is null where there is no report."""

    deployments: list[Deployment]
    plan: Plan
    report_path: str | None


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a deployment ended."""

    plan: Plan
    deployments: list[Deployment]
    conclusion: Conclusion | None
    code: ExitCode

    @property
    def document(self) -> DeploymentAnswer:
        """The JSON document."""
        path = self.conclusion.path if self.conclusion else None
        return DeploymentAnswer(
            deployments=self.deployments, plan=self.plan, report_path=str(path) if path else None
        )


def preview(checkout: Checkout, request: Request, *, environ: Mapping[str, str]) -> Result:
    """The plan alone (`--dry-run`); its code says whether it would be refused."""
    reading = facts.gather(checkout, request, environ=environ)
    made = foreseen(reading.facts, plan(reading.facts, is_preview=True))
    _require_startable(checkout, reading, made)
    code = made.refusals[0].exit_code if made.refusals else ExitCode.OK
    return Result(plan=made, deployments=[], conclusion=None, code=code)


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A deployment that was planned and not begun; `clock` says when its planning began."""

    reading: Reading
    plan: Plan
    clock: conclude.Clock


def planned(
    checkout: Checkout, request: Request, *, environ: Mapping[str, str], claim_id: str | None = None
) -> Prepared:
    """Read and plan. Nothing is changed, and nobody is asked; `claim_id` waits for its turn with it."""
    clock = conclude.Clock()
    reading = facts.gather(checkout, request, environ=environ)
    reading = replace(reading, facts=replace(reading.facts, claim_id=claim_id))
    return Prepared(reading=reading, plan=plan(reading.facts), clock=clock)


def prepare(checkout: Checkout, request: Request, *, environ: Mapping[str, str]) -> Prepared:
    """Read and plan; somebody at the terminal is asked about a downgrade. Nothing is changed."""
    made = planned(checkout, request, environ=environ)
    return replace(made, plan=_agreed(made.reading, made.plan))


def agreed(prepared: Prepared) -> Prepared:
    """The same, once somebody has agreed to what `--yes` agrees to."""
    known = prepared.reading.facts
    known = replace(known, request=replace(known.request, yes=True))
    return replace(prepared, reading=replace(prepared.reading, facts=known), plan=plan(known))


def deploy(checkout: Checkout, request: Request, *, environ: Mapping[str, str]) -> Result:
    """Plan, claim, run, settle, report: what `prepare` and `execute` do."""
    return execute(checkout, prepare(checkout, request, environ=environ), environ=environ)


def execute(checkout: Checkout, prepared: Prepared, *, environ: Mapping[str, str]) -> Result:
    """Claim, run, settle, report.

    Raises CiTasksError where the plan is refused or the claim fails; a report of that is saved as well.
    """
    reading, made, clock = prepared.reading, prepared.plan, prepared.clock
    redactor = Redactor()
    try:
        prepared, course = _in_turn(checkout, prepared, redactor, environ=environ)
        reading, made = prepared.reading, prepared.plan
        if made.moves_tag:
            _move_tag(checkout, reading)
    except CiTasksError as error:
        report = conclude.of_error(reading.facts, made, error, clock)
        conclude.keep(checkout, redacted(report, redactor.text), environ)
        raise
    undone = _undone(checkout, prepared, course, redactor, environ=environ) if course else None
    with signals.deferred():  # what is recorded is done: a signal does not take its report away
        failpoint("before_report")
        report = conclude.of_course(reading.facts, made, course, clock, undone=undone)
        conclusion = conclude.keep(checkout, redacted(report, redactor.text), environ)
    return Result(
        plan=made,
        deployments=[record for each in undo.courses_of(course, undone) for record in each.deployments],
        conclusion=conclusion,
        code=undo.exit_code(course, undone) if course else ExitCode.OK,
    )


def _in_turn(
    checkout: Checkout, prepared: Prepared, redactor: Redactor, *, environ: Mapping[str, str]
) -> tuple[Prepared, Course | None]:
    """Carry out at once, or with `--wait` at its turn: as it is planned by then."""
    made, wait = prepared.plan, prepared.reading.facts.request.wait
    if wait is None or made.refusals or made.is_rehearsal or not made.to_do:
        return prepared, _carried_out(checkout, prepared, redactor)

    def again(request: Request, claim_id: str | None) -> Prepared:
        return planned(checkout, request, environ=environ, claim_id=claim_id)

    _require_startable(checkout, prepared.reading, made)
    with left_at_the_end(Place(checkout, prepared, again=again, seconds=wait)) as place:
        while True:
            prepared = place.turn(prepared)
            try:
                course = _carried_out(checkout, prepared, redactor)
            except (ClaimHeldError, PlanOutdatedError, UnavailableError) as error:
                place.beaten(error)
                continue
            if course is not None:
                place.taken()
            return prepared, course


def _carried_out(checkout: Checkout, prepared: Prepared, redactor: Redactor) -> Course | None:
    """Refuse or carry out; None where nothing is to be done."""
    reading, made = prepared.reading, prepared.plan
    refuse(made.refusals)
    _require_startable(checkout, reading, made)
    _say_plan(made, reading.facts.request.kind)
    return _run(checkout, reading, made, redactor) if made.to_do else None


def _undone(
    checkout: Checkout, prepared: Prepared, course: Course, redactor: Redactor, *, environ: Mapping[str, str]
) -> Undone | None:
    """Go back to what ran before, where the rule `onFailure` says so; None where it does not."""
    if not undo.is_due(prepared.plan, course):
        return None

    def carry(request: Request) -> tuple[Plan, Course | None]:
        back = prepare(checkout, request, environ=environ)
        undo.refuse_changed(back.reading.facts.environment, course, request.regions)
        reading = replace(back.reading, turn=Turn(goes_first=True))  # its turn is not over before that
        return back.plan, _carried_out(checkout, replace(back, reading=reading), redactor)

    return undo.go_back(prepared.reading.facts.request, prepared.plan, course, carry=carry)


def _agreed(reading: Reading, made: Plan) -> Plan:
    """The plan, once more if somebody at the terminal agrees to a downgrade."""
    if [refusal.rule for refusal in made.refusals] != ["downgrade"]:
        return made
    if not console.ask(f"{made.refusals[0].message} Deploy it all the same?"):
        return made
    agreed = replace(reading.facts.request, yes=True)
    return plan(replace(reading.facts, request=agreed))


def _run(checkout: Checkout, reading: Reading, made: Plan, redactor: Redactor) -> Course:
    with source.private_folder() as private:
        for region in made.to_do:  # each its own: what one region's scripts write there is not the next one's
            source.lay_out(checkout.origin, reading.files, source_of(private, region.region))
        for environment in _environments(checkout, reading, made):
            for secret in secrets_in(environment):
                redactor.add(secret)
        stage = Stage(
            facts=reading.facts,
            root=checkout.root,
            private=private,
            pass_environment=checkout.settings.pass_environment,
            redactor=redactor,
            say=console.progress,
        )
        if made.is_rehearsal:
            return rehearse(made, stage)
        retry = line_of(reading.facts.request, made.subproject)
        return carry_out(checkout, reading, made, stage, retry=retry)


def _move_tag(checkout: Checkout, reading: Reading) -> None:
    """Let the tag follow a changed list of regions: all of them have the version already."""
    gathered = reading.facts

    def moved(state: Ledger | None) -> Ledger:
        if state is None:
            raise ConflictError(f"{gathered.tag} was deleted meanwhile.", unchanged="Nothing was changed.")
        return ledgers.with_regions(state, gathered.regions)

    line = line_of(gathered.request, gathered.tag.subproject)
    writer = LedgerWriter(
        reading.store, gathered.tag, identity=checkout.repository.identity(), fact=gathered.environment
    )
    writer.update(moved, what=f"move {gathered.tag}", later=line, retry=line)


def _environments(checkout: Checkout, reading: Reading, made: Plan) -> Iterator[dict[str, str]]:
    """What the scripts of each region get, but for what the deployment itself adds."""
    resolve, tag = reading.facts.layers.resolve, reading.facts.tag
    for region in made.to_do:
        values = resolve(tag.environment, region.region, tag.subproject).env
        yield child_environment(values, pass_patterns=checkout.settings.pass_environment)


def require_startable_scripts(checkout: Checkout, prepared: Prepared) -> None:
    """Raise UsageError for what would fail half-way: each script, with the PATH that it will have."""
    _require_startable(checkout, prepared.reading, prepared.plan)


def _require_startable(checkout: Checkout, reading: Reading, made: Plan) -> None:
    """Refuse before the claim what would fail half-way: each script, with the PATH that it will have."""
    for environment in _environments(checkout, reading, made):
        for fact, planned in zip(reading.facts.scripts, made.scripts, strict=True):
            if planned.mode == Mode.EXECUTE.value:
                require_startable(fact.script, checkout.root, environment)
                check_first_line(f"./{fact.script.script_path}", cwd=checkout.root, env=environment)
                time_limit(fact.script, planned.timeout, os.environ)
        _refuse_long(environment)


def _refuse_long(environment: Mapping[str, str]) -> None:
    """The system starts no program with a variable of 128 KiB or more (execve(2), MAX_ARG_STRLEN)."""
    for name, value in environment.items():
        if len(name) + len(os.fsencode(value)) + 2 > LONGEST_VARIABLE:
            raise UsageError(
                f"The variable {name} is longer than 128 KiB: no program can be started with it.",
                unchanged="Nothing was changed and no script was run.",
                next_step=typed("env.check"),
            )


SAID_FIRST = (UNCOMMITTED, OVERRIDDEN, LEFT)
"""How notices begin that are said before the first script."""

_DOING = {
    DeploymentKind.DEPLOY: "Deploying",
    DeploymentKind.PROMOTE: "Promoting",
    DeploymentKind.ROLLBACK: "Going back: deploying",
}


def _say_plan(made: Plan, kind: DeploymentKind) -> None:
    """One line that says what is about to happen."""
    name = f"{made.subproject} " if made.subproject else ""
    newest = f" ({made.newest})" if made.newest else ""
    where = ", ".join(region.region for region in made.to_do if region.region)
    place = f"{made.environment}: {where}" if where else made.environment
    if not made.to_do:
        return
    if made.is_rehearsal:
        console.progress(
            f"Rehearsing {name}{made.version}{newest} for {place}: "
            "nothing is executed for real, claimed or recorded."
        )
    else:
        console.progress(f"{_DOING[kind]} {name}{made.version}{newest} to {place}")
    for notice in made.notices:
        if notice.startswith(SAID_FIRST):
            console.note(notice)
