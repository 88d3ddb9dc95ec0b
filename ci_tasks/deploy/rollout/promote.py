"""Promotion: what runs in one environment goes to another one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ci_tasks.core import console
from ci_tasks.core.command_line import typed
from ci_tasks.core.errors import RefusedError, UsageError
from ci_tasks.core.git.origin import MovedError
from ci_tasks.deploy.changed.live_changes import read_places
from ci_tasks.deploy.model import begun_line, line_of
from ci_tasks.deploy.rollout import parts as rollout
from ci_tasks.deploy.rollout.render import overview_lines
from ci_tasks.deploy.status import known_environment
from ci_tasks.project.dependencies import read_projects
from ci_tasks.project.graph import ordered, routes
from ci_tasks.tag import subproject as subprojects
from ci_tasks.tag.grammar import Grammar, VersionTag, parse_version
from ci_tasks.tag.lines import options
from ci_tasks.tag.store import TagStore
from ci_tasks.tag.version.changes import commit_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci_tasks.core.checkout import Checkout
    from ci_tasks.deploy.changed.live_changes import Place
    from ci_tasks.deploy.model import Plan, Request
    from ci_tasks.deploy.rollout.parts import Rollout
    from ci_tasks.tag.listing import Listing

READINGS = 5
"""How often everything is read again because a tag moved between its listing and its reading."""


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """What was typed: a request of kind PROMOTE, and which subprojects; none: the one that you stand in."""

    request: Request
    subprojects: tuple[str, ...] = ()
    everything: bool = False

    @property
    def line(self) -> str:
        """The line that asks for the same again."""
        words = [word for name in self.subprojects for word in ("--subproject", name)]
        words += ["--all"] if self.everything else []
        return " ".join([line_of(self.request, None), *words])


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The requests that a promotion comes to, dependencies first, and what depends on what."""

    requests: list[Request]
    depends_on: Mapping[str, Sequence[str]]

    def waits_for(self, later: Plan, earlier: Plan) -> bool:
        """True where the later one depends on the earlier one, directly or not."""
        return (earlier.subproject or "") in routes(later.subproject or "", self.depends_on)


def promote(checkout: Checkout, promotion: Promotion, *, environ: Mapping[str, str]) -> Rollout:
    """Find out what runs in the source, plan, and deploy it.

    Raises RefusedError where what runs there is uncertain, differs from region to region, or is not what its
    tag says any more; as `rollout.carry_out` does besides.
    """
    found = find(checkout, promotion)
    parts = rollout.prepare(checkout, found.requests, environ=environ)
    if len(parts) > 1:
        for line in overview_lines([part.plan for part in parts]):
            console.progress(line)
        parts = rollout.agreed(parts)
    return rollout.carry_out(
        checkout,
        parts,
        environ=environ,
        waits_for=found.waits_for,
        line=promotion.line if len(parts) > 1 else None,
        again=replace(promotion, request=replace(promotion.request, yes=True)).line,
    )


def preview(checkout: Checkout, promotion: Promotion, *, environ: Mapping[str, str]) -> Rollout:
    """The plan alone (`--dry-run`)."""
    return rollout.preview(checkout, find(checkout, promotion).requests, environ=environ)


def find(checkout: Checkout, promotion: Promotion) -> Parts:
    """What there is to promote, as requests with their versions. Nothing is changed."""
    grammar = Grammar(checkout.settings.environments)
    request = _known(grammar, promotion)
    for _ in range(READINGS - 1):
        try:
            return _found(checkout, grammar, replace(promotion, request=request))
        except MovedError:
            continue
    return _found(checkout, grammar, replace(promotion, request=request))


def _known(grammar: Grammar, promotion: Promotion) -> Request:
    """The request, whose environments are two that exist."""
    request = promotion.request
    if promotion.everything and promotion.subprojects:
        raise UsageError(
            "--all and --subproject exclude each other.",
            unchanged="Nothing was changed.",
            next_step=replace(promotion, subprojects=()).line,
        )
    source = known_environment(
        grammar,
        request.source or "",
        line=lambda name: replace(promotion, request=replace(request, source=name)).line,
    )
    target = known_environment(
        grammar,
        request.environment,
        line=lambda name: replace(promotion, request=replace(request, environment=name)).line,
    )
    if source == target:
        raise UsageError(
            f"--from and --to are both {source}: a promotion goes from one environment to another.",
            unchanged="Nothing was changed.",
        )
    return replace(request, source=source, environment=target)


def _found(checkout: Checkout, grammar: Grammar, promotion: Promotion) -> Parts:
    store, request = TagStore(checkout.origin, grammar), promotion.request
    listing = store.listing()
    projects = read_projects(checkout, listing)
    names = projects.present if promotion.everything else _named(checkout, grammar, listing, promotion)
    among = replace(projects, present=tuple(names))
    places = read_places(checkout, store, listing, among, request.source or "")
    if promotion.everything:
        places = {name: place for name, place in places.items() if place.problem or _runs(place)}
        there = read_places(
            checkout, store, listing, replace(among, present=tuple(places)), request.environment
        )
        places = {
            name: place
            for name, place in places.items()
            if not there[name].is_absent
            and (request.again or fault_of(place, listing) or _differs(place, there[name], request))
        }
        absent = [name or "the root project" for name, place in there.items() if place.is_absent]
        if absent:
            console.note(f"Passed over, as they have no {request.environment}: {', '.join(absent)}.")
    _refuse(places, listing)
    for place in places.values():
        for version in place.coming:
            console.note(f"{place.tag}: {version} is on its way there; {place.regions[0].version} is taken.")
    order = ordered(places, projects.depends_on)
    return Parts(
        requests=[
            replace(request, subproject=name or ".", version=places[name].regions[0].version)
            for name in order
        ],
        depends_on=projects.depends_on,
    )


def _named(checkout: Checkout, grammar: Grammar, listing: Listing, promotion: Promotion) -> tuple[str, ...]:
    """The subprojects that were named, each once; else the one that we stand in."""
    line = begun_line(promotion.request, promotion.request.environment)
    given: Sequence[str | None] = promotion.subprojects or (None,)
    chosen = [
        subprojects.choose(name, checkout=checkout, grammar=grammar, listing=listing, line=line)
        for name in given
    ]
    return tuple(dict.fromkeys(chosen))


def fault_of(place: Place, listing: Listing) -> str | None:
    """Why what runs in a place can't be promoted, as a part of a sentence; None where it can."""
    if place.problem is not None:
        return f"what runs there is not known: {place.problem.rstrip('.')}"
    if not _runs(place):
        return "nothing runs there"
    unfit = [
        f"{_in(each.region)}{'nothing runs' if each.version is None else f'{each.version} is uncertain'}"
        for each in place.regions
        if each.live is None or each.version is None or each.live.uncertain
    ]
    if unfit:
        return ", ".join(unfit)
    if len({(each.version, each.commit) for each in place.regions}) > 1:
        return "it differs: " + ", ".join(
            f"{each.region} has {each.version} of {str(each.commit)[:12]}" for each in place.regions
        )
    return _fault_of_tag(place, listing)


def _fault_of_tag(place: Place, listing: Listing) -> str | None:
    """What is wrong with the tag of the version that runs everywhere in a place."""
    live = place.regions[0]
    tag = VersionTag(subproject=place.tag.subproject, version=parse_version(str(live.version)))
    if str(tag) not in listing.refs:
        return f"{live.version} runs there, and its tag {tag} is gone"
    if commit_of(listing, tag) != live.commit:
        return f"{live.version} runs there of the commit {str(live.commit)[:12]}, and {tag} has moved since"
    return None


def _in(region: str) -> str:
    return f"{region}: " if region else ""


def _runs(place: Place) -> bool:
    """True where something runs, or may run, in some region."""
    return any(each.live is not None for each in place.regions)


def _differs(place: Place, there: Place, request: Request) -> bool:
    """True where some region of the target has something else for certain, or may have."""
    live = place.regions[0]
    return there.problem is not None or any(
        each.live is None or each.live.uncertain or (each.version, each.commit) != (live.version, live.commit)
        for each in there.regions
        if not request.regions or each.region in request.regions
    )


def _refuse(places: Mapping[str, Place], listing: Listing) -> None:
    """Raise RefusedError for the places whose version can't be promoted, all of them in one go."""
    faults = {place: fault for place in places.values() if (fault := fault_of(place, listing)) is not None}
    if not faults:
        return
    first = next(iter(faults))
    raise RefusedError(
        f"{_told(first, faults[first])}." if len(faults) == 1 else "Not every one has a version to take.",
        unchanged="Nothing was changed and no script was run.",
        details=[f"{_told(place, fault)}." for place, fault in faults.items()] if len(faults) > 1 else [],
        next_step=typed(f"deploy.status {options(first.tag)}"),
    )


def _told(place: Place, fault: str) -> str:
    return f"{place.tag} has no version to take: {fault}"
