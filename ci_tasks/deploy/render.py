"""Deployments as text for people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ci_tasks.core import console
from ci_tasks.core.columns import NO_REGION, REGION, used
from ci_tasks.core.command_line import typed
from ci_tasks.deploy.model import review_line
from ci_tasks.deploy.queue.wait import place_text
from ci_tasks.report.render import as_text
from ci_tasks.tag.clock import utc_now
from ci_tasks.tag.grammar import EnvironmentTag
from ci_tasks.tag.ledger import is_expired
from ci_tasks.tag.lines import options
from ci_tasks.tag.names import DeploymentStatus
from ci_tasks.tag.records import minute, records_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ci_tasks.deploy.assign import AssignedRegion, Assignment, AssignmentAnswer
    from ci_tasks.deploy.deployment import Result
    from ci_tasks.deploy.model import Plan, PlannedRegion, Refusal
    from ci_tasks.deploy.review import ReviewAnswer
    from ci_tasks.deploy.status import EnvironmentStatus, RegionStatus, StatusAnswer
    from ci_tasks.deploy.unlock import RecordsAnswer
    from ci_tasks.report.model import PipelineReport
    from ci_tasks.tag.model import Deployment

ROOT = "(root)"
"""How the root project is shown in a table."""


def plan_text(plan: Plan, *, noun: str = "deployment") -> str:
    """The plan of `--dry-run`; `noun` is what it is a plan of, where it is no rehearsal."""
    blocks = ["\n".join(_plan_head(plan, noun))]
    rows = [
        (
            region.region or "",
            region.previous_version or "nothing",
            plan.version,
            _action(region),
        )
        for region in plan.regions
    ]
    blocks.append(_table((REGION, "Live now", "Then", "What happens"), rows))
    scripts = [(script.script_path, script.mode, script.decided_by or "default") for script in plan.scripts]
    if scripts:
        blocks.append(console.table(("Script", "Mode", "Decided by"), scripts).rstrip("\n"))
    if plan.rules:
        rules = [(rule.rule, rule.value, rule.source or "") for rule in plan.rules]
        blocks.append(_table(("Rule", "Value", "From"), rules))
    if plan.labels:
        blocks.append(console.prose(f"Labels: {', '.join(plan.labels)}"))
    if plan.queue_position is not None:
        place = place_text(plan.queue_position, plan.estimated_wait_time)
        blocks.append(console.prose(f"It would wait: {place}."))
    names = sorted({name for region in plan.regions for name in region.configuration})
    if names:
        blocks.append(console.prose(f"Configuration: {', '.join(names)}"))
    blocks += [console.prose(f"note: {notice}") for notice in plan.notices]
    blocks += map(_refused, plan.refusals)
    return "\n\n".join(blocks)


def _refused(refusal: Refusal) -> str:
    """A rule that says no, and what to type about that one."""
    said = console.prose(f"REFUSED by the rule {refusal.name}: {refusal.message}")
    if refusal.next_step is None or refusal.next_step.endswith("--dry-run"):
        return said
    return f"{said}\n  next: {console.next_line(refusal.next_step)}"


def _plan_head(plan: Plan, noun: str) -> Iterator[str]:
    newest = f", {plan.newest}" if plan.newest else ""
    kind = "rehearsal" if plan.is_rehearsal else noun
    yield f"Plan of a {kind}; nothing is done yet."
    yield f"{plan.version_tag} (commit {plan.commit_sha[:12]}{newest}) to {plan.environment_tag}"


def _action(region: PlannedRegion) -> str:
    words = "nothing: it is live already" if region.action == "skip" else "deploy"
    if region.is_downgrade:
        words += " an OLDER version"
    if region.is_uncertain:
        words += " (what runs now is uncertain)"
    return words


def result_text(result: Result) -> str:
    """What a deployment prints at its end: the report."""
    if result.conclusion is None:
        return plan_text(result.plan)
    if not result.plan.to_do:
        made = result.plan
        newest = f" ({made.newest})" if made.newest else ""
        live = f"{made.version_tag}{newest} is live in {made.environment} already."
        if made.moves_tag:
            now = f"{made.environment_tag} now follows the new list of regions."
            return console.prose(f"Nothing to deploy: {live} {now}")
        return console.prose(f"Nothing to do: {live}")
    text = as_text(_unsaid(result.conclusion.report)).rstrip("\n")
    path = result.conclusion.path
    return f"{text}\n\nReport: {_from_here(path)}" if path else text


def _unsaid(report: PipelineReport) -> PipelineReport:
    """The report without the notes that were printed before the first script; in its file they are."""
    from ci_tasks.deploy.deployment import SAID_FIRST  # noqa: PLC0415 - what only prints a table needs none

    left = tuple(notice for notice in report.notices if not notice.startswith(SAID_FIRST))
    return replace(report, notices=left)


def _from_here(path: Path) -> Path:
    """A path as it is shortest to type from the current folder."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def status_text(answer: StatusAnswer, first_line: str) -> str:
    """What runs where, one line per region; `first_line` deploys something where there is nothing yet."""
    blocks = []
    if answer.environments:
        columns = ("Subproject", "Environment", REGION, "Version", "Since (UTC)", "By", "Note")
        blocks.append(_table(columns, [row for one in answer.environments for row in _status_rows(one)]))
    if len(answer.none) > 1:
        environment = answer.none[0].rpartition("/")[2]
        blocks.append(f"none: no subproject has a tag for {environment}.")
    elif answer.none:
        blocks.append(f"none: there is no tag {answer.none[0]}.")
    for status in answer.environments:
        blocks += map(console.prose, _remarks(status))
    return "\n".join(blocks) or f"Nothing is deployed yet. Begin with: {first_line}"


def _status_rows(status: EnvironmentStatus) -> Iterator[tuple[str, ...]]:
    head = (status.subproject or ROOT, status.environment)
    if not status.regions:
        yield (*head, "", "?", "", "", "UNREADABLE")
    for region in status.regions:
        yield (
            *head,
            region.region or "",
            f"{region.version or 'none'} {region.state or ''}".rstrip(),
            minute(region.since),
            region.triggered_by or "",
            ", ".join(_notes(status, region)),
        )


def _way_out(status: EnvironmentStatus) -> str:
    """The line that brings back what ran before, where it is uncertain what runs; else one that deploys."""
    tag = EnvironmentTag(subproject=status.subproject or "", environment=status.environment)
    doubtful = [region for region in status.regions if region.is_uncertain]
    task = "deploy.rollback" if all(region.version for region in doubtful) else "deploy"
    where = "".join(f" --region {region.region}" for region in doubtful if region.region)
    return typed(f"{task} {options(tag)}{where}")


def _has_old_row(status: EnvironmentStatus) -> bool:
    """True where the environment has got regions since something was deployed to it as a whole."""
    return len(status.regions) > 1 and any(region.region is None for region in status.regions)


def _notes(status: EnvironmentStatus, region: RegionStatus) -> Iterator[str]:
    if region.region is None and _has_old_row(status):
        yield "OLD"
    if region.is_uncertain:
        yield "UNCERTAIN"
    for record in status.running:
        if record.region in (None, region.region):
            state = "running" if record.status is DeploymentStatus.RUNNING else "waiting"
            left = is_expired(record, utc_now())
            yield f"{record.version} {'was left behind' if left else state}"
    if any(debt.region in (None, region.region) for debt in status.review_debts):
        yield "REVIEW DUE"
    if status.drift:
        yield "DRIFT"


def _remarks(status: EnvironmentStatus) -> Iterator[str]:
    for region in status.regions:
        if region.is_uncertain:
            place = f"{status.environment_tag} {region.region}" if region.region else status.environment_tag
            yield f"UNCERTAIN: {place}: an attempt to deploy {region.attempted} broke off half-way."
    if any(region.is_uncertain for region in status.regions) and not status.running:
        yield f"  next: {console.next_line(_way_out(status))}"
    if _has_old_row(status):
        yield (
            f"OLD: {status.environment_tag} {NO_REGION}: what ran there before {status.environment} had"
            " regions. The row goes when all regions have one version."
        )
    waiting = {one.claim_id: one for one in status.running if one.status is DeploymentStatus.PENDING}
    for record in waiting.values():
        place = place_text(record.queue_position or 1, record.estimated_wait_time)
        yield (
            f"WAITING: {status.environment_tag}: {record.version} of {record.triggered_by}, {place}"
            f" ({record.claim_id})"
        )
    if status.drift:
        yield f"DRIFT: {status.drift}."
    if status.problem:
        yield f"UNREADABLE: {status.problem}"
    if status.next_step:
        yield f"  next: {console.next_line(status.next_step)}"
    tag = EnvironmentTag(subproject=status.subproject or "", environment=status.environment)
    claims = {debt.deployment_id.partition(".")[0]: debt for debt in status.review_debts}
    for claim_id, debt in claims.items():
        yield (
            f"REVIEW DUE: {status.environment_tag}: {debt.by} overrode a rule for {debt.version} at"
            f" {minute(debt.since)} UTC: {debt.reason}"
        )
        yield f"  When you have looked at it: {review_line(tag, claim_id)}"


def history_text(answer: RecordsAnswer) -> str:
    """The ledger as a table, newest first, open records on top."""
    if not answer.deployments:
        return "Nothing was deployed there yet."
    return records_text(_newest_first(answer.deployments))


def _newest_first(records: Iterable[Deployment]) -> list[Deployment]:
    """Open records by their beginning, then closed ones in the ledger's own order: by their end."""
    both = list(records)
    open_ones = [record for record in both if record.status.is_open]
    open_ones.sort(key=lambda record: record.started_at, reverse=True)
    return open_ones + [record for record in both if not record.status.is_open]


def stopped_text(tag: EnvironmentTag, identifier: str, records: Sequence[Deployment], *, broken: bool) -> str:
    """What `deploy.unlock` and `deploy.cancel` did."""
    if not any(record.status.is_open or record.scripts_started for record in records):
        return f"{identifier} is taken out of the queue of {tag}. Whoever waited is told so."
    if broken:
        return (
            f"The claim {identifier} on {tag} is broken. Its scripts may still be running where they were "
            "started: nobody ends them, so what runs there is uncertain until the next deployment."
        )
    return (
        f"{identifier} is asked to stop. Its owner sees it within 15 seconds, ends its scripts and records "
        f"CANCELLED. To see it: {typed(f'deploy.status {options(tag)}')}"
    )


def assignment_plan_text(plan: Assignment) -> str:
    """The plan of `tag.assign --dry-run`."""
    head = [
        "Plan of an assignment; nothing is done yet, and no script is run.",
        f"{plan.version_tag} (commit {plan.commit_sha[:12]}) in {plan.environment_tag}",
    ]
    rows = [
        (
            region.region or "",
            region.previous_version or "nothing",
            plan.version,
            _what_is_said(region),
        )
        for region in plan.regions
    ]
    blocks = [
        "\n".join(head),
        _table((REGION, "Tag says", "Then", "What happens"), rows),
    ]
    blocks += [console.prose(f"note: {notice}") for notice in plan.notices]
    blocks += map(_refused, plan.refusals)
    return "\n\n".join(blocks)


def _what_is_said(region: AssignedRegion) -> str:
    words = "nothing: the tag says so already" if region.action == "skip" else "assign"
    return f"{words} (what runs now is uncertain)" if region.is_uncertain else words


def assigned_text(answer: AssignmentAnswer) -> str:
    """What `tag.assign` did."""
    made = answer.plan
    tag = EnvironmentTag(subproject=made.subproject or "", environment=made.environment)
    if not (made.to_do or made.moves_tag or made.signs_tag):
        return f"Nothing to do: {made.environment_tag} says already that {made.version} is live."
    if made.signs_tag and not made.moves_tag:
        return f"Nothing to assign. {made.environment_tag} was written anew, and signed."
    if not made.to_do:
        return f"Nothing to assign. {made.environment_tag} now follows the new list of regions."
    if not answer.deployments:
        return f"Nothing to do: somebody else has just assigned {made.version} in {made.environment_tag}."
    written = {record.region for record in answer.deployments}
    where = ", ".join(one.region for one in made.to_do if one.region and one.region in written)
    place = f" in {where}" if where else ""
    lines = [f"{made.environment_tag} now says that {made.version} is live{place}. No script was run."]
    if not answer.is_settled:
        lines.append("Its regions have different versions, or none: the tag moves when all have one.")
    if made.replaces:
        lines.append(f"It replaces {made.replaces}, which could not be read.")
    if made.overridden:
        line = review_line(tag, answer.deployments[0].claim_id)
        lines.append(f"The override waits for a review: {line}")
    return "\n".join(lines)


def reviewed_text(tag: EnvironmentTag, answer: ReviewAnswer) -> str:
    """What `deploy.review` did."""
    review = answer.review
    if not answer.closed:
        return f"Nothing to do: {review.triggered_by} has reviewed {review.reviews} already, in {tag}."
    own = " It was your own override: let somebody else look, too, where you can." if answer.is_own else ""
    return f"The review of {review.reviews} is recorded in {tag}.{own}"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table without the columns that have nothing in them."""
    return console.table(*used(columns, rows)).rstrip("\n")
