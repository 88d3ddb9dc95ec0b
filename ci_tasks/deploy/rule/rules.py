"""The rules of an environment: what speaks against a version there, and what to type instead."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from ci_tasks.core.command_line import typed
from ci_tasks.core.console import next_line
from ci_tasks.core.errors import RefusedError
from ci_tasks.deploy.model import PlannedRule, Refusal, line_of
from ci_tasks.deploy.rule import frozen, requirements, verification
from ci_tasks.environment.render import shown_rules
from ci_tasks.tag.grammar import parse_version
from ci_tasks.tag.lines import BY_HAND
from ci_tasks.tag.names import DeploymentKind
from ci_tasks.tag.past import Past
from ci_tasks.tag.store import next_patch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci_tasks.deploy.model import Facts, PlannedRegion
    from ci_tasks.environment.model import Rules


def refusals(facts: Facts, regions: Sequence[str | None]) -> Iterator[Refusal]:
    """The rules that speak against this version there, for a deployment and for an assignment.

    `regions` are those in which something would be done.
    """
    environment, tag = facts.tag.environment, facts.version.tag
    for state in facts.states:
        if state.is_bad:
            why = f": {facts.state_reason}" if facts.state_reason else ""
            yield Refusal(
                rule="state",
                message=f"{tag} is marked {state.value}{why}.",
                next_step=_another_version(facts),
            )
            break
    if facts.environment.drift and not is_assignment(facts):  # which is the repair
        yield Refusal(rule="drift", message=f"{facts.environment.drift}.", next_step=_repair(facts))
    moved_from = _moved_from(facts)
    if moved_from:
        yield Refusal(
            rule="immutable",
            message=(
                f"{tag} was deployed here from the commit {moved_from[:12]}, and stands on "
                f"{facts.version.commit[:12]} now: somebody moved or made it anew."
            ),
            next_step=next_patch(tag, facts.tags),
        )
    yield from verification.refusals(facts)
    if not facts.on_branch:
        yield Refusal(
            rule="branches",
            message=(
                f"The commit of {tag} is on none of the branches that {environment} takes: "
                f"{', '.join(facts.rules.branches)}."
            ),
            next_step=f"git branch --remotes --contains {facts.version.commit[:12]}",
            source=facts.rules.sources.get("branches"),
        )
    if facts.request.kind is not DeploymentKind.ROLLBACK:
        yield from _of_the_team(facts, regions)
    else:
        yield from _of_no_way_back(facts, regions)
    yield from _protected(facts)


def _protected(facts: Facts) -> Iterator[Refusal]:
    """What a protected environment asks for: a CI job, and nothing uncommitted."""
    environment, tag, source = (
        facts.tag.environment,
        facts.version.tag,
        facts.rules.sources.get("protected"),
    )
    if facts.rules.protected and facts.changed_paths:
        yield Refusal(
            rule="protected",
            message=(
                f"{environment} is protected, and there are uncommitted changes: {some(facts.changed_paths)}."
            ),
            next_step="git status --short -- scripts environments",
            source=source,
        )
    if facts.rules.protected and not facts.in_ci:
        yield Refusal(
            rule="protected",
            message=(
                f"{environment} is protected: only CI jobs"
                f" {'assign versions' if is_assignment(facts) else 'deploy'} there. Let one type the line."
            ),
            next_step=line_of(facts.request, tag.subproject, version=str(tag.version)),
            source=source,
        )


def _of_the_team(facts: Facts, regions: Sequence[str | None]) -> Iterator[Refusal]:
    """What `requires` and `freeze` say; an assignment of what is live already brings nothing new."""
    if is_assignment(facts) and not requirements.coming(facts, regions):
        return
    yield from requirements.refusals(facts, regions)
    yield from frozen.refusals(facts)


def _of_no_way_back(facts: Facts, regions: Sequence[str | None]) -> Iterator[Refusal]:
    """The same for a rollback to a newer version than the live one, which is none."""
    forward = _forward(facts, regions)
    where = f" in {', '.join(str(region) for region in forward)}" if None not in forward else ""
    for refusal in _of_the_team(facts, forward) if forward else ():
        said = (
            f"{facts.version.tag.version} is newer than what runs there{where}, so this is no way back:"
            ' it takes --override "why".'
        )
        yield msgspec.structs.replace(refusal, message=f"{refusal.message} {said}")


def _forward(facts: Facts, regions: Sequence[str | None]) -> list[str | None]:
    """The regions in which the version is newer than the live one, and is not what ran right before that.

    After a deployment of an older version, going back leads to a newer one. What was rolled back from does
    not count as what ran before.
    """
    ledger, version = facts.ledger, facts.version.tag.version
    if ledger is None:
        return []
    found = []
    for region in regions:
        past = Past.of(ledger, region)
        if past.live is None or version.precedence <= parse_version(past.live).precedence:
            continue
        earlier = (name for name in past.versions if name != past.live and name not in past.left)
        if str(version) != next((name for name in earlier if name in past.successes), None):
            found.append(region)
    return found


def notices(facts: Facts, regions: Sequence[str | None]) -> Iterator[str]:
    """Which rules let this pass, and why, and whose they are."""
    if facts.is_unpushed and facts.head is not None:
        yield (
            f"Rules and scripts are those of your commit {facts.head[:12]}, which is on no branch of the"
            " remote that this clone knows."
        )
    if facts.request.kind is DeploymentKind.ROLLBACK and not _forward(facts, regions):
        for refusal in _of_the_team(facts, regions):
            yield f"A rollback is not held up by the rule {refusal.name}: {refusal.message}"
    yield from frozen.notices(facts)


def planned(rules: Rules) -> list[PlannedRule]:
    """The rules that hold, as a plan shows them; its regions stand there anyway."""
    return [
        PlannedRule(rule=rule, value=value, source=source or rules.sources.get(rule))
        for rule, value, source in shown_rules(rules)
        if rule != "regions"
    ]


def downgrade(facts: Facts, to_do: Sequence[PlannedRegion]) -> Iterator[Refusal]:
    """An older version than the live one is asked for, or takes `--yes`."""
    tag = facts.version.tag
    downgraded = [region for region in to_do if region.is_downgrade]
    if downgraded and not facts.request.yes and facts.request.kind is not DeploymentKind.ROLLBACK:
        yield Refusal(
            rule="downgrade",
            message=(
                f"{tag.version} is older than {downgraded[0].previous_version}, which is live in "
                f"{_places(downgraded)}."
            ),
            next_step=line_of(replace(facts.request, yes=True), tag.subproject, version=str(tag.version)),
        )


def refuse(found: Sequence[Refusal]) -> None:
    """Raise RefusedError for the first of these refusals; the others are its details."""
    if not found:
        return
    first, *others = found
    raise RefusedError(
        first.message,
        unchanged="Nothing was changed and no script was run.",
        next_step=first.next_step,
        details=[
            f"Rule: {first.name}.",
            *(
                f"Also: {other.message} Rule: {other.name}.{_remedy(other, first.next_step)}"
                for other in others
            ),
        ],
    )


def _remedy(refusal: Refusal, said: str | None) -> str:
    """What to type about one rule among several, where it is not said of another."""
    line = refusal.next_step
    return (
        "" if line is None or line == said or line.endswith("--dry-run") else f" For that: {next_line(line)}"
    )


def is_assignment(facts: Facts) -> bool:
    """True for `tag.assign`, which runs nothing."""
    return facts.request.kind is DeploymentKind.ASSIGN


def _another_version(facts: Facts) -> str:
    """The line that takes a good version; an assignment says what runs, so it takes an override."""
    if is_assignment(facts):
        return f'{line_of(facts.request, facts.tag.subproject)} --override "why"'
    if facts.request.kind is DeploymentKind.ROLLBACK:  # the newest one is what somebody wants to leave
        return line_of(replace(facts.request, version=None), facts.tag.subproject)
    return typed(f"deploy {facts.options}")


def _repair(facts: Facts) -> str:
    """The line that puts a tag which was moved by hand where its ledger says, for what is live by that."""
    assert facts.environment.ledger is not None  # noqa: S101 - without a ledger there is no drift
    header = facts.environment.ledger.header
    versions = {key: header.live[key].version for key in facts.regions or ("",) if key in header.live}
    key, version = next(((key, live) for key, live in versions.items() if live), ("", None))
    if version is None:
        version = str(facts.version.tag.version)
        return f'{line_of(facts.request, facts.tag.subproject, version=version)} --override "why"'
    is_everywhere = set(versions.values()) == {version} and len(versions) == len(facts.regions or ("",))
    region = "" if is_everywhere else f" --region {key}"
    return typed(f"tag.assign {facts.options} --version {version}{region} {BY_HAND}")


def _moved_from(facts: Facts) -> str | None:
    """The commit that this version had in an earlier deployment here, where it was another one."""
    state, version = facts.environment.ledger, str(facts.version.tag.version)
    for record in (*state.open, *state.closed) if state else ():
        if record.version == version and record.commit_sha != facts.version.commit:
            return record.commit_sha
    return None


def _places(regions: list[PlannedRegion]) -> str:
    return ", ".join(region.region for region in regions if region.region) or "the environment"


def some(paths: Sequence[str]) -> str:
    """As many paths as fit a line."""
    shown = ", ".join(paths[:5])
    return shown if len(paths) <= 5 else f"{shown} and {len(paths) - 5} more"  # noqa: PLR2004 - as many as fit a line
