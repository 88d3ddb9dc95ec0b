"""What waiting does to a plan: the place that it would get, and what it may not have become at its turn."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from ci_tasks.core.errors import RefusedError
from ci_tasks.deploy.model import line_of
from ci_tasks.tag import queue
from ci_tasks.tag.names import DeploymentKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci_tasks.deploy.deployment import Prepared
    from ci_tasks.deploy.model import Facts, Plan


def foreseen(facts: Facts, made: Plan) -> Plan:
    """The plan with the place in the queue that it would get now, where it would have to wait."""
    state, regions = facts.environment.ledger, tuple(region.region for region in made.to_do)
    if facts.request.wait is None or state is None or not regions or made.is_rehearsal:
        return made
    place = queue.outlook(state, regions, now=facts.now)
    if place is None:
        return made
    return msgspec.structs.replace(made, queue_position=place.position, estimated_wait_time=place.seconds)


def refuse_elsewhere(waited: Sequence[str | None], now: Prepared) -> None:
    """Raise RefusedError where the deployment would go where it did not wait: its regions are others now."""
    new = [region.region for region in now.plan.to_do if region.region not in waited]
    if not new:
        return
    names = ", ".join(region for region in new if region)
    raise RefusedError(
        f"{now.plan.environment} has got regions while this deployment waited: {names}.",
        unchanged="Nothing was changed and no script was run.",
        details=["It waited for an environment without any."],
        next_step=line_of(now.reading.facts.request, now.plan.subproject),
    )


def refuse_other(first: Prepared, now: Prepared) -> None:
    """Raise RefusedError where the plan has become a downgrade, or passes a rule that it did not before."""
    known = {(region.region, region.is_downgrade) for region in first.plan.to_do}
    version, facts = now.plan.version, now.reading.facts
    again = line_of(facts.request, now.plan.subproject)
    for region in now.plan.to_do:
        is_new = region.is_downgrade and (region.region, True) not in known
        if is_new and facts.request.kind is not DeploymentKind.ROLLBACK:
            raise RefusedError(
                f"{version} is older than {region.previous_version}, which has come to"
                f" {region.region or now.plan.environment} while this deployment waited.",
                unchanged="Nothing was changed and no script was run.",
                next_step=line_of(replace(facts.request, yes=True), now.plan.subproject),
                details=["Rule: downgrade."],
            )
    passed = {refusal.rule for refusal in first.plan.overridden}
    for refusal in now.plan.overridden:
        if refusal.rule not in passed:
            raise RefusedError(
                f"{refusal.message} That was not so when the override was typed.",
                unchanged="Nothing was changed and no script was run.",
                next_step=again,
                details=[f"Rule: {refusal.name}."],
            )
