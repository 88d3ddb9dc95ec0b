"""Going back to what ran before: where each region goes, and the deployments that bring it there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from ci_tasks.core import console
from ci_tasks.core.command_line import typed
from ci_tasks.core.errors import ConflictError, RefusedError
from ci_tasks.deploy import configuration, facts
from ci_tasks.deploy.claim import held_error
from ci_tasks.deploy.model import line_of
from ci_tasks.deploy.plan import selected_of
from ci_tasks.deploy.rollout import candidates
from ci_tasks.deploy.rollout import parts as rollout
from ci_tasks.deploy.rollout.candidates import CHOSEN, FITS, IS_LIVE, PASSED_OVER, Choice, Standing
from ci_tasks.environment.names import OnFailure
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag.clock import utc_now
from ci_tasks.tag.grammar import Grammar, VersionTag, parse_version
from ci_tasks.tag.lines import history_line, options
from ci_tasks.tag.past import Past
from ci_tasks.tag.store import TagStore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci_tasks.core.checkout import Checkout
    from ci_tasks.deploy.deployment import Prepared
    from ci_tasks.deploy.model import Request
    from ci_tasks.deploy.rollout.parts import Rollout
    from ci_tasks.tag.grammar import EnvironmentTag
    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.listing import Listing
    from ci_tasks.tag.model import Deployment

READINGS = 5
"""How often a rollback is thought over anew because the environment tag moved meanwhile."""

MOST_NAMED = 10
"""Candidates that a report names as passed over; `--dry-run` shows all."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """Where a rollback leads: the choice, the requests that it comes to, and the reading it was made of.

    `running` are the records that bring what is to be taken back to regions which are left alone.
    """

    tag: EnvironmentTag
    object_id: str | None
    choice: Choice
    running: tuple[Deployment, ...]
    requests: list[Request]


def rollback(checkout: Checkout, request: Request, *, environ: Mapping[str, str]) -> Rollout:
    """Choose, plan, claim, run, settle, report.

    Raises RefusedError where a region has nothing to go back to; as `rollout.carry_out` does besides.
    """
    first = way = find(checkout, request)
    for _ in range(READINGS):
        parts = rollout.prepare(checkout, way.requests, environ=environ)
        if all(part.reading.facts.environment.object_id == way.object_id for part in parts):
            break
        way = find(checkout, request)
        if way.choice.targets != first.choice.targets:  # two who go back at once must not go back twice
            raise _changed(first, request)
    else:
        raise _changed(first, request)
    _refuse_running(way, request)
    for line in told(way.choice):
        console.note(line)
    done = rollout.carry_out(
        checkout,
        parts,
        environ=environ,
        waits_for=lambda _later, earlier: earlier.on_failure is OnFailure.STOP,
        telling=lambda part: _telling(part, way.choice),
        line=line_of(request, way.tag.subproject) if len(parts) > 1 else None,
    )
    done.candidates, done.notices = way.choice.candidates, told(way.choice)
    return done


def preview(checkout: Checkout, request: Request, *, environ: Mapping[str, str]) -> Rollout:
    """The plan alone (`--dry-run`)."""
    way = find(checkout, request)
    made = rollout.preview(checkout, way.requests, environ=environ)
    made.candidates, made.notices = way.choice.candidates, told(way.choice)
    return made


def find(checkout: Checkout, request: Request) -> Way:
    """Where this rollback leads, one request for each version. Nothing is changed.

    Raises RefusedError, with all candidates, where a region has nothing to go back to.
    """
    store = TagStore(checkout.origin, Grammar(checkout.settings.environments))
    tag, listing = facts.place(checkout, store, request)
    layers = configuration.of_checkout(checkout, configuration.files_of_checkout(checkout, tag.subproject))
    everywhere = layers.regions(tag.environment, tag.subproject)
    regions = selected_of(request, tag.environment, everywhere)
    fact = store.environment(tag)
    if fact.ledger is None:
        raise RefusedError(
            f"Nothing was ever deployed to {tag.environment}: there is no tag {tag}.",
            unchanged="Nothing was changed.",
            next_step=typed(f"deploy {options(tag)}"),
        )
    ledger = ledgers.observed(fact.ledger, utc_now())
    kept = layers.rules(tag.environment, tag.subproject).keep_releases
    seen = candidates.versions(ledger, regions)
    seen += [str(parse_version(request.version))] if request.version else []
    standings = standings_of(store, listing, tag, seen)
    choice = _choice(ledger, standings, request, regions, kept=kept)
    if choice.stays:
        raise _nothing_fits(tag, request, choice)
    running = on_its_way(ledger, choice)
    coming = {record.region: f"{record.version} is being deployed there just now" for record in running}
    choice = replace(choice, untouched={**choice.untouched, **coming})
    return Way(
        tag=tag,
        object_id=fact.object_id,
        choice=choice,
        running=running,
        requests=_requests(tag, request, choice, everywhere or (None,)),
    )


def told(choice: Choice) -> list[str]:
    """Why which version is chosen, why others are passed over, and which regions stay, as sentences."""
    lines = []
    for region, version in choice.targets.items():
        mine = [one for one in choice.candidates if one.region == region]
        (why,) = (one.reason for one in mine if one.verdict == CHOSEN)
        place = f"{region}: " if region else ""
        lines.append(f"{place}{version} is chosen: {why}.")
        newer = [one for one in mine[: [one.verdict for one in mine].index(CHOSEN)] if one.verdict == FITS]
        lines += [f"{place}{one.version} ran after it, and is not marked stable." for one in newer]
        passed = [one for one in mine if one.verdict == PASSED_OVER and one.reason != IS_LIVE]
        lines += [f"{place}{one.version} is passed over: {one.reason}." for one in passed[:MOST_NAMED]]
        if passed[MOST_NAMED:]:
            lines.append(f"{place}{len(passed) - MOST_NAMED} more are passed over; --dry-run shows all.")
    lines += [f"{region} stays as it is: {why}." for region, why in choice.untouched.items()]
    return lines


def on_its_way(ledger: Ledger, choice: Choice) -> tuple[Deployment, ...]:
    """The running records that bring what is to be taken back to regions which are left alone."""
    pasts = (Past.of(ledger, region) for region in choice.targets)
    leaving = {past.tried.record.version for past in pasts if past.tried is not None}
    there = ledgers.holders(ledger, tuple(choice.untouched)) if choice.untouched else ()
    return tuple(record for record in there if record.version in leaving)


def _refuse_running(way: Way, request: Request) -> None:
    """Raise ConflictError where what is to be taken back is still on its way to other regions."""
    if way.running:
        raise held_error(way.tag, way.running[0], retry=line_of(request, way.tag.subproject))


def _choice(
    ledger: Ledger,
    standings: Mapping[str, Standing],
    request: Request,
    regions: Sequence[str | None],
    *,
    kept: int,
) -> Choice:
    named = bool(request.regions) or list(regions) == [None]
    if request.version:
        asked = str(parse_version(request.version))
        return candidates.choose_version(ledger, regions, standings, asked, named=named, kept=kept)
    return candidates.choose(ledger, regions, standings, named=named, kept=kept)


def standings_of(
    store: TagStore, listing: Listing, tag: EnvironmentTag, names: Sequence[str]
) -> dict[str, Standing]:
    """What the tags say of these versions; the reasons of all that are marked bad are read in one go."""
    versions = {name: VersionTag(subproject=tag.subproject, version=parse_version(name)) for name in names}
    bad = {name: facts.bad_state(listing, version) for name, version in versions.items()}
    refs = {name: listing.refs[str(state)] for name, state in bad.items() if state}
    objects = store.objects(list(refs.values())) if refs else {}
    found = {}
    for name, version in versions.items():
        ref, state, states = listing.refs.get(str(version)), bad[name], listing.states(version)
        why = facts.reason_of(state, refs[name], objects.get(refs[name].object_id)) if state else None
        found[name] = Standing(
            commit=(ref.peeled or ref.object_id) if ref else None,
            state=states[0] if states else None,
            why=why,
        )
    return found


def _requests(
    tag: EnvironmentTag, request: Request, choice: Choice, everywhere: Sequence[str | None]
) -> list[Request]:
    """One deployment for each version, in the order of the regions; none is named where it is all of them."""
    by_version: dict[str, list[str | None]] = {}
    for region, version in choice.targets.items():
        by_version.setdefault(version, []).append(region)
    return [
        replace(
            request,
            subproject=tag.subproject or ".",
            environment=tag.environment,
            version=version,
            is_picked=request.version is None,
            regions=()
            if regions == list(everywhere)
            else tuple(region for region in regions if region is not None),
        )
        for version, regions in by_version.items()
    ]


def _changed(way: Way, request: Request) -> ConflictError:
    return ConflictError(
        f"{way.tag} was changed while the rollback was being planned.",
        unchanged="Nothing was changed and no script was run.",
        details=[f"See what runs there now: {typed(f'deploy.status {options(way.tag)}')}"],
        next_step=f"{line_of(request, way.tag.subproject)} --dry-run",
    )


def _telling(part: Prepared, choice: Choice) -> Prepared:
    """The same, with a plan (and so a report) that says why its version was chosen and no other."""
    regions = {region.region for region in part.plan.regions}
    mine = replace(
        choice,
        targets={region: version for region, version in choice.targets.items() if region in regions},
    )
    plan = msgspec.structs.replace(part.plan, notices=[*told(mine), *part.plan.notices])
    return replace(part, plan=plan)


def _nothing_fits(tag: EnvironmentTag, request: Request, choice: Choice) -> RefusedError:
    """The refusal that lists each candidate of the regions that have nothing to go back to."""
    places = ", ".join(region for region in choice.stays if region)
    what = f"go back to {request.version}" if request.version else "go back to anything"
    lines = [
        f"{f'{one.region}: ' if one.region else ''}{one.version}: {one.reason}."
        for one in choice.candidates
        if one.region in choice.stays and one.verdict == PASSED_OVER
    ]
    empty = [region for region in choice.stays if not any(one.region == region for one in choice.candidates)]
    lines += [f"{region or tag.environment}: {candidates.NOTHING_RAN}." for region in empty]
    line = history_line(tag)
    if choice.targets:
        rest = tuple(region for region in choice.targets if region is not None)
        line = line_of(replace(request, regions=rest), tag.subproject)
        lines.append(f"The others can go back alone: {', '.join(rest)}.")
    return RefusedError(
        f"{tag} can't {what}{f' in {places}' if places else ''}: no version fits.",
        unchanged="Nothing was changed and no script was run.",
        details=lines,
        next_step=line,
    )
