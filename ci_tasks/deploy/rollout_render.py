"""Rollbacks and promotions as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_tasks.core import console
from ci_tasks.core.columns import REGION, used
from ci_tasks.deploy.render import ROOT, plan_text, result_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci_tasks.deploy.candidates import Candidate
    from ci_tasks.deploy.model import Plan
    from ci_tasks.deploy.rollout import Failure, Rollout

NOTHING = "Nothing to do: everything that runs there runs here already."


def rollback_plan_text(rollout: Rollout) -> str:
    """The plan of `deploy.rollback --dry-run`: the candidates, then each deployment."""
    blocks = [_candidates(rollout.candidates)]
    blocks += [
        console.prose(f"note: {notice}") for notice in rollout.notices if " stays as it is: " in notice
    ]
    blocks += [plan_text(plan, noun="rollback") for plan in rollout.plans]
    return "\n\n".join(blocks)


def overview_lines(plans: Sequence[Plan]) -> Iterator[str]:
    """Several plans, one line for each, before anything is begun."""
    yield f"Plan: {len(plans)} deployments, one after the other:"
    for number, plan in enumerate(plans, start=1):
        regions = ", ".join(region.region for region in plan.to_do if region.region)
        where = f"{plan.environment}: {regions}" if regions else plan.environment
        before = ", ".join(dict.fromkeys(region.previous_version or "nothing" for region in plan.regions))
        what = f"to {where} (now: {before})" if plan.to_do else f"is live in {plan.environment} already"
        yield f"{number}. {plan.subproject or ROOT} {plan.version} {what}"


def promotion_plan_text(rollout: Rollout) -> str:
    """The plan of `deploy.promote --dry-run`."""
    if not rollout.plans:
        return NOTHING
    blocks = ["\n".join(overview_lines(rollout.plans))] if len(rollout.plans) > 1 else []
    return "\n\n".join([*blocks, *(plan_text(plan, noun="promotion") for plan in rollout.plans)])


def rollout_text(rollout: Rollout) -> str:
    """What a rollback or a promotion prints at its end: the report of each part."""
    if not rollout.plans:
        return NOTHING
    blocks = [result_text(result) for result in rollout.results]
    blocks += ["\n".join(_failed(failure)) for failure in rollout.failures]
    return "\n\n".join(blocks)


def _failed(failure: Failure) -> Iterator[str]:
    yield console.prose(
        f"{failure.version} in {failure.environment_tag}: {failure.code.outcome}: {failure.message}"
    )
    if failure.next_step:
        yield f"  next: {console.next_line(failure.next_step)}"


def _candidates(candidates: Sequence[Candidate]) -> str:
    rows = [(one.region or "", one.version, one.state or "", one.verdict, one.reason) for one in candidates]
    return console.table(*used((REGION, "Version", "State", "Candidate", "Because"), rows)).rstrip("\n")
