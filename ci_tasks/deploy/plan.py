"""The plan of a deployment: a pure function of its facts."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from ci_tasks.core.errors import UsageError, bad_choice
from ci_tasks.deploy import left
from ci_tasks.deploy.model import Facts, Plan, PlannedRegion, PlannedScript
from ci_tasks.deploy.rule import override, rules, verification
from ci_tasks.deploy.rule.labels import refuse_unknown
from ci_tasks.deploy.rule.rules import is_assignment, some
from ci_tasks.environment.names import OnFailure, Strategy
from ci_tasks.script.names import Mode
from ci_tasks.tag import chain, queue
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag.grammar import parse_version
from ci_tasks.tag.model import region_key
from ci_tasks.tag.names import DeploymentKind
from ci_tasks.tag.store import next_patch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci_tasks.deploy.model import Request, ScriptFact
    from ci_tasks.environment.model import Resolved, Rules

UNCOMMITTED = "Uncommitted changes"
"""How the notice begins that has to be seen before the first script."""


def plan(facts: Facts, *, is_preview: bool = False) -> Plan:
    """What this deployment would do, and every rule that speaks against it; `is_preview`: it stays a plan.

    Raises UsageError for a region that the environment does not have.
    """
    refuse_unknown(facts)
    rehearsal = any(fact.decision.mode is not Mode.EXECUTE for fact in facts.scripts)
    regions = [_region(facts, region, rehearsal=rehearsal) for region in selected(facts)]
    to_do = [region for region in regions if region.action == "deploy"]
    version = facts.version.tag.version
    coming = [region.region for region in to_do]
    found = [*rules.refusals(facts, coming), *rules.downgrade(facts, to_do)] if to_do else []
    standing, overridden = override.passed(facts, found)
    return Plan(
        environment=facts.tag.environment,
        environment_tag=str(facts.tag),
        subproject=facts.tag.subproject or None,
        version=str(version),
        version_tag=str(facts.version.tag),
        commit_sha=facts.version.commit,
        is_newest=not facts.version_was_given,
        passed_over=[str(tag) for tag in facts.passed_over],
        is_rehearsal=rehearsal,
        is_parallel=is_parallel(facts.request, facts.rules),
        on_failure=on_failure(facts.request, facts.rules),
        regions=regions,
        scripts=[_script(facts, fact, rehearsal=rehearsal) for fact in facts.scripts] if to_do else [],
        concurrency_group=f"deploy-{str(facts.tag).replace('/', '-')}",
        moves_tag=not to_do and not facts.request.regions and moves_tag(facts),
        refusals=standing,
        notices=[
            *notices(facts),
            *left.notices(facts, coming),
            *rules.notices(facts, coming),
            *override.notices(facts, overridden, is_preview=is_preview, is_recorded=not rehearsal),
        ],
        overridden=overridden,
        rules=rules.planned(facts.rules),
        labels=list(facts.request.labels),
    )


def is_parallel(request: Request, rules: Rules) -> bool:
    """True where the regions are deployed to side by side: what was typed wins over the rule `strategy`."""
    if request.parallel or request.sequential:
        return request.parallel
    return rules.strategy is Strategy.PARALLEL


def on_failure(request: Request, rules: Rules) -> OnFailure:
    """What becomes of the other regions when one fails: what was typed wins over the rule `onFailure`.

    A rollback is not rolled back itself: each region that gets there is better off.
    """
    is_rollback = request.kind is DeploymentKind.ROLLBACK
    if request.keep_going or (is_rollback and rules.on_failure is OnFailure.ROLLBACK):
        return OnFailure.KEEP_GOING
    return rules.on_failure


def selected(facts: Facts) -> tuple[str | None, ...]:
    """The regions asked for, in the environment's own order."""
    return selected_of(facts.request, facts.tag.environment, facts.regions)


def selected_of(request: Request, environment: str, regions: tuple[str, ...]) -> tuple[str | None, ...]:
    """The regions that a request names, of all that the environment has; (None,) where it has none."""
    for region in request.regions:
        if not regions:
            raise UsageError(
                f"{environment} has no regions, so --region {region} means nothing.",
                unchanged="Nothing was changed.",
            )
        if region not in regions:
            raise bad_choice("region", region, regions)
    if not regions:
        return (None,)
    return tuple(region for region in regions if not request.regions or region in request.regions)


def _region(facts: Facts, region: str | None, *, rehearsal: bool) -> PlannedRegion:
    ledger = facts.ledger
    live = ledger.header.live.get(region_key(region)) if ledger else None
    version = facts.version.tag.version
    resolved = _resolved(facts, region)
    is_same = (
        live is not None
        and not live.uncertain
        and (live.version, live.commit_sha, live.inputs) == (str(version), facts.version.commit, facts.inputs)
    )
    skip = is_same and not facts.request.again and not rehearsal and facts.environment.drift is None
    previous = live.version if live else None
    return PlannedRegion(
        region=region,
        action="skip" if skip else "deploy",
        previous_version=previous,
        previous_commit_sha=live.commit_sha if live else None,
        is_uncertain=bool(live and live.uncertain),
        is_downgrade=bool(previous) and version.precedence < parse_version(str(previous)).precedence,
        configuration=sorted(resolved.origins),
        variables=sorted(resolved.env),
    )


def _resolved(facts: Facts, region: str | None) -> Resolved:
    """The region's configuration; an error says that the version's commit is meant, not the checkout."""
    try:
        return facts.layers.resolve(facts.tag.environment, region, facts.tag.subproject)
    except UsageError as error:
        raise UsageError(
            f"The commit of {facts.version.tag} can't be deployed: {error.what}",
            unchanged="Nothing was changed.",
            details=[
                *error.details,
                "Configuration comes from the version's own commit: mend it there, and cut a version.",
            ],
            next_step=next_patch(facts.version.tag, facts.tags),
        ) from None


def _script(facts: Facts, fact: ScriptFact, *, rehearsal: bool) -> PlannedScript:
    mode, decided_by = fact.decision.mode, fact.decision.variable
    if rehearsal and mode is Mode.EXECUTE:
        mode, decided_by = Mode.DRY_RUN, "the rehearsal"
    return PlannedScript(
        script_id=fact.script.script_id,
        script_path=fact.script.script_path,
        mode=mode.value,
        decided_by=decided_by,
        timeout=facts.rules.timeout,
    )


def notices(facts: Facts) -> Iterator[str]:
    """What is worth a look before anything is done."""
    if facts.environment.object_id is None:
        what = "record of" if is_assignment(facts) else "deployment to"
        yield f"First {what} {facts.tag.environment}: there was no tag {facts.tag}."
    if facts.unreadable is not None:
        yield f"A new ledger begins, in the place of what can't be read: {facts.unreadable}"
    if facts.changed_paths:
        used = (
            "Rules are used as they stand here."
            if is_assignment(facts)
            else "Scripts and rules are used as they stand here, values as the version's commit has them."
        )
        yield f"{UNCOMMITTED}: {some(facts.changed_paths)}. {used}"
    yield from _ledger_notices(facts)
    yield from _shared_numbers(facts)
    yield from verification.notices(facts)
    if facts.stale_note is not None:
        yield facts.stale_note
    if facts.version.created_at is None:
        yield f"{facts.version.tag} bears no date."


def _shared_numbers(facts: Facts) -> Iterator[str]:
    """Scripts with one number run in the order of their names: nobody may have meant that."""
    scripts = [fact.script for fact in facts.scripts]
    for one, other in itertools.pairwise(scripts):
        if one.order == other.order:
            yield f"{one.script_path} and {other.script_path} have one number: they run by name."


def moves_tag(facts: Facts) -> bool:
    """True where the tag would move although nothing is to be deployed: the list of regions has changed."""
    state = facts.environment.ledger
    if state is None or facts.environment.drift is not None:
        return False
    after = ledgers.settle_target(ledgers.with_regions(state, facts.regions))
    return after.header != state.header


def _ledger_notices(facts: Facts) -> Iterator[str]:
    """What the ledger tells before anything is tried: who is at work, what was tampered with."""
    state = facts.ledger
    if state is None:
        return
    faults = chain.faults(state)
    if faults:
        yield f"The ledger of {facts.tag} was changed by hand: {faults[0]}."
    for record in ledgers.holders(state, selected(facts)):
        where = f" in {record.region}" if record.region else ""
        yield f"{record.deployment_id} of {record.triggered_by} holds the claim{where} just now."
    for record in queue.before(state, selected(facts), claim_id=facts.claim_id):
        where = f" for {record.region}" if record.region else ""
        yield f"{record.deployment_id} of {record.triggered_by} waits in the queue{where}."
    for key, live in state.header.live.items():
        same = (live.version, live.commit_sha) == (str(facts.version.tag.version), facts.version.commit)
        where = f" in {key}" if key else ""
        if not same or live.uncertain or is_assignment(facts):
            continue
        if live.inputs is None:
            yield f"{live.version} was assigned{where} without running scripts: they run now."
        elif live.inputs != facts.inputs:
            yield f"{live.version} is live{where} already, but the scripts have changed since."
