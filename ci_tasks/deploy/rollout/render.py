"""Rollbacks and promotions as text for people."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from ci_tasks.core import console
from ci_tasks.core.columns import REGION, used
from ci_tasks.core.errors import ExitCode
from ci_tasks.deploy.render import ROOT, plan_text, result_text
from ci_tasks.deploy.rollout.parts import NOT_BEGUN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci_tasks.deploy.deployment import Result
    from ci_tasks.deploy.model import Plan, PlannedRegion
    from ci_tasks.deploy.rollout.candidates import Candidate
    from ci_tasks.deploy.rollout.parts import Failure, Rollout

NOTHING = "Nothing to do: the one environment has all that runs in the other."


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
        before = ", ".join(dict.fromkeys(_now(region) for region in plan.to_do))
        what = f"to {where} (now: {before})" if plan.to_do else f"is live in {plan.environment} already"
        yield f"{number}. {plan.subproject or ROOT} {plan.version} {what}"


def _now(region: PlannedRegion) -> str:
    if region.is_uncertain:
        return f"{region.previous_version or 'nothing'}, uncertain"
    return region.previous_version or "nothing"


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
    blocks = [result_text(_unsaid(result, rollout)) for result in rollout.results]
    blocks += ["\n".join(_failed(failure, rollout)) for failure in rollout.failures]
    if len(rollout.plans) > 1 and rollout.code is not ExitCode.OK:
        blocks.append("\n".join(_in_part(rollout)))
    return "\n\n".join(blocks)


def _unsaid(result: Result, rollout: Rollout) -> Result:
    """The result without the notes that were printed before it began; in the report's file they are."""
    if result.conclusion is None:
        return result
    report = result.conclusion.report
    left = tuple(notice for notice in report.notices if notice not in rollout.notices)
    report = msgspec.structs.replace(report, notices=left)
    return replace(result, conclusion=replace(result.conclusion, report=report))


def _in_part(rollout: Rollout) -> Iterator[str]:
    """What became of all parts, in a sentence, and the line that does what is left."""
    done = [result.plan for result in rollout.results if result.code is ExitCode.OK]
    ended = [result.plan for result in rollout.results if result.code is not ExitCode.OK]
    untried = [one for one in rollout.failures if one.message.startswith(NOT_BEGUN)]
    failed = [one for one in rollout.failures if one not in untried]
    missed = [(plan.version, plan.environment_tag) for plan in ended]
    missed += [(failure.version, failure.environment_tag) for failure in failed]
    lists = {
        "done": [f"{plan.environment_tag} has {plan.version}" for plan in done],
        "not done": [f"{version} to {tag}" for version, tag in missed],
        "not begun": [f"{one.version} to {one.environment_tag}" for one in untried],
    }
    said = "; ".join(f"{name}: {', '.join(names)}" for name, names in lists.items() if names)
    yield console.prose(f"{rollout.code.outcome}: {said}.")
    if rollout.line is not None:
        yield f"  next: {console.next_line(rollout.line)}"


def _failed(failure: Failure, rollout: Rollout) -> Iterator[str]:
    is_untried = failure.message.startswith(NOT_BEGUN)
    how = failure.message if is_untried else f"{failure.code.outcome}: {failure.message}"
    yield console.prose(f"{failure.version} to {failure.environment_tag}: {how}")
    if failure.next_step and failure.next_step != rollout.line:
        yield f"  next: {console.next_line(failure.next_step)}"


def _candidates(candidates: Sequence[Candidate]) -> str:
    rows = [(one.region or "", one.version, one.state or "", one.verdict, one.reason) for one in candidates]
    return console.table(*used((REGION, "Version", "State", "Candidate", "Because"), rows)).rstrip("\n")
