"""The rule `requires`: where else a version must have run, for how long, and how it must be marked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ci_tasks.core.command_line import typed
from ci_tasks.core.duration import format_duration
from ci_tasks.core.errors import UsageError
from ci_tasks.deploy.model import Refusal, line_of
from ci_tasks.deploy.rule import lack as lacks
from ci_tasks.environment.names import RequiredState
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag.annotation import UnreadableLedgerError
from ci_tasks.tag.grammar import EnvironmentTag
from ci_tasks.tag.lines import options
from ci_tasks.tag.model import region_key
from ci_tasks.tag.names import VersionState
from ci_tasks.tag.past import Past

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci_tasks.core.git.origin import RawObject, RemoteRef
    from ci_tasks.deploy.model import Facts
    from ci_tasks.deploy.pipeline import Pipeline
    from ci_tasks.environment.model import Requirement, Rules
    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.listing import Listing
    from ci_tasks.tag.store import TagStore


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """Another environment that a rule asks about: its regions, and its ledger (None: no tag).

    Its regions are those of today and those that are committed: an edit takes none away.
    `problem` says why it can't be told what ran there, and `repair` is the line that helps.
    """

    tag: EnvironmentTag
    regions: tuple[str, ...]
    ledger: Ledger | None = None
    problem: str | None = None
    repair: str | None = None


def refs(listing: Listing, tag: EnvironmentTag, rules: Rules) -> list[RemoteRef]:
    """The tags of the environments that the rules ask about, those that there are."""
    names = [str(_beside(tag, name)) for name in _environments(rules)]
    return [listing.refs[name] for name in names if name in listing.refs]


def read(
    store: TagStore,
    listing: Listing,
    tag: EnvironmentTag,
    *,
    pipeline: Pipeline,
    objects: Mapping[str, RawObject],
) -> dict[str, Elsewhere]:
    """What is known of those environments, by name; `objects` are those of `refs`.

    One that the checkout does not have, or can't read, is a problem of the rule and raises nothing: a
    rollback does not ask.
    """
    found: dict[str, Elsewhere] = {}
    for name in _environments(pipeline.rules):
        there = _beside(tag, name)
        ref = listing.refs.get(str(there))
        here = Elsewhere(tag=there, regions=())
        try:
            here = replace(here, regions=_regions(pipeline, there))
            fact = store.environment_of(there, ref, objects) if ref is not None else None
        except (UnreadableLedgerError, UsageError) as error:  # of the tag, or of the configuration
            found[name] = replace(here, problem=error.what, repair=error.next_step)
            continue
        if fact is not None and fact.drift:
            line = typed(f"deploy.status {options(there)}")
            found[name] = replace(here, problem=f"{fact.drift}.", repair=line)
        else:
            found[name] = replace(here, ledger=fact.ledger if fact else None)
    return found


def _regions(pipeline: Pipeline, there: EnvironmentTag) -> tuple[str, ...]:
    """The regions of that environment, on disk and as committed; UsageError where neither has it."""
    name, subproject = there.environment, there.subproject
    layers = [each for each in (pipeline.committed, pipeline.layers) if each is not None]
    having = [each for each in layers if name in each.existing(subproject)]
    if not having:
        folder = f"environments/{name}"
        raise UsageError(
            f"there is no folder {folder}/.", next_step=f"mkdir -p {folder} && touch {folder}/config.yml"
        )
    return tuple(dict.fromkeys(region for each in having for region in each.regions(name, subproject)))


def refusals(facts: Facts, regions: Sequence[str | None]) -> Iterator[Refusal]:
    """What the rule says against bringing the version to these regions; those that have it are not asked."""
    new = coming(facts, regions)
    for requirement in facts.rules.requires if new else ():
        if requirement.state is RequiredState.STABLE and facts.states[:1] != (VersionState.STABLE,):
            yield _not_stable(facts, requirement)
        if requirement.environment is not None:
            yield from _elsewhere(facts, requirement, facts.elsewhere[requirement.environment])
        elif requirement.is_canary:
            yield from _canary(facts, requirement, new)


def coming(facts: Facts, regions: Sequence[str | None]) -> list[str | None]:
    """Those of the regions in which the version is not live yet."""
    return [region for region in regions if not _is_live(facts, region)]


def _environments(rules: Rules) -> list[str]:
    return list(dict.fromkeys(one.environment for one in rules.requires if one.environment is not None))


def _beside(tag: EnvironmentTag, environment: str) -> EnvironmentTag:
    return EnvironmentTag(subproject=tag.subproject, environment=environment)


def _is_live(facts: Facts, region: str | None) -> bool:
    """True where the version is the newest success there already, so that it does not come any more."""
    ledger = facts.ledger
    live = ledger.header.live.get(region_key(region)) if ledger else None
    wanted = (str(facts.version.tag.version), facts.version.commit)
    return live is not None and (live.version, live.commit_sha) == wanted


def _refusal(requirement: Requirement, message: str, next_step: str) -> Refusal:
    return Refusal(rule="requires", message=message, next_step=next_step, source=requirement.source)


def _not_stable(facts: Facts, requirement: Requirement) -> Refusal:
    tag, environment = facts.version.tag, facts.tag.environment
    if not tag.version.is_release:
        said = f"{tag} is a pre-release, which has no state, and {environment} takes stable versions."
        option = f" --subproject {tag.subproject}" if tag.subproject else ""
        return _refusal(requirement, said, typed(f"tag.list{option} --type version"))
    option = f"--subproject {tag.subproject} " if tag.subproject else ""
    line = typed(f'tag.state {option}--version {tag.version} --state stable --reason "why"')
    said = f"{tag} is not marked stable, and {environment} takes stable versions."
    return _refusal(requirement, said, line)


def _elsewhere(facts: Facts, requirement: Requirement, there: Elsewhere) -> Iterator[Refusal]:
    """The version must have run in each region that the other environment has today."""
    here, name, soak = facts.tag.environment, there.tag.environment, requirement.soak
    if there.problem is not None:
        said = f"{here} asks what ran in {name}: {there.problem}"
        yield _refusal(requirement, said, there.repair or typed(f"tag.show {there.tag}"))
        return
    ledger = ledgers.observed(there.ledger, facts.now) if there.ledger else None
    found = (lacks.find(facts, ledger, region, soak) for region in there.regions or (None,))
    missing = lacks.worst([lack for lack in found if lack is not None])
    if not missing:
        return
    version = str(facts.version.tag.version)
    named = [str(lack.region) for lack in missing] if len(missing) < len(there.regions) else []
    if lacks.is_running(missing):
        line = line_of(facts.request, facts.tag.subproject, version=version)
    else:
        regions = "".join(f" --region {region}" for region in named)
        line = typed(f"deploy {options(there.tag)} --version {version}{regions}")
    wanted = f"{here} takes what has run in {name}{f' for {format_duration(soak)}' if soak else ''}"
    place = f"in {', '.join(named)} of {name}" if named else "there"
    yield _refusal(requirement, f"{wanted}, and {lacks.told(facts, missing, soak, place=place)}.", line)


def _canary(facts: Facts, requirement: Requirement, regions: Sequence[str | None]) -> Iterator[Refusal]:
    """The version must have run in one region before it comes to others.

    Where to begin is free, unless it has run somewhere before: that stays its canary.
    """
    everywhere = tuple(dict.fromkeys((*facts.rules.regions, *facts.regions)))
    found = {region: lacks.find(facts, facts.ledger, region, requirement.soak) for region in everywhere}
    missing = {region: lack for region, lack in found.items() if lack is not None}
    if len(everywhere) < 2 or len(missing) < len(found):  # noqa: PLR2004 - with one region there are no others
        return
    there = [region for region in everywhere if _is_begun(facts, region)]
    others = [region for region in regions if region not in there]
    begun = there or [region for region in everywhere if _has_run(facts, region)]
    if not others or (not there and len(others) == 1 and (not begun or others[0] in begun)):
        return
    version, soak = str(facts.version.tag.version), requirement.soak
    lasting = format_duration(soak) if soak else ""
    wanted = (
        f"{facts.tag.environment} takes a version in one region first, and in others after {lasting} there"
    )
    running = [region for region in begun if lacks.is_running([missing[region]])]
    first = max(running or begun, key=lambda region: missing[region].seconds(facts.now), default=None)
    request = facts.request
    if not running:
        request = replace(request, regions=(str(others[0]) if first is None else first,))
    line = line_of(request, facts.tag.subproject, version=version)
    if first is None:
        yield _refusal(requirement, f"{wanted}.", line)
        return
    said = lacks.told(facts, [missing[first]], soak, place=f"in {first}")
    yield _refusal(requirement, f"{wanted}: {said}.", line)


def _has_run(facts: Facts, region: str) -> bool:
    """True where the version has succeeded in the region once: it could come back there by a rollback."""
    ledger = facts.ledger
    return ledger is not None and str(facts.version.tag.version) in Past.of(ledger, region).successes


def _is_begun(facts: Facts, region: str) -> bool:
    """True where the version is live in the region, was tried last, or is being deployed just now."""
    ledger, version = facts.ledger, str(facts.version.tag.version)
    if ledger is None:
        return False
    live = ledger.header.live.get(region_key(region))
    is_tried = live is not None and live.uncertain and live.attempted == version
    is_running = any(record.version == version for record in ledgers.holders(ledger, (region,)))
    return is_tried or is_running or _is_live(facts, region)
