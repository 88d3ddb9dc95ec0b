"""What is wrong with the configuration as a whole: every problem, not only the first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_tasks.core.errors import UsageError, nearest
from ci_tasks.environment.model import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci_tasks.environment.configuration import Layers
    from ci_tasks.environment.layout import Place
    from ci_tasks.environment.model import Rules

_CANARY_REGIONS = 2


def check(layers: Layers) -> tuple[Problem, ...]:
    """All problems: of files and folders, of regions that nobody lists, of requirements nothing can meet."""
    found = [*layers.problems, *_unlisted(layers), *_unknown_providers(layers), *_never_met(layers)]
    unique = dict.fromkeys(found)
    return tuple(sorted(unique, key=lambda problem: (problem.path, problem.line or 0)))


def _regions(layers: Layers, environment: str, subproject: str) -> tuple[str, ...] | None:
    """None where they can't be known, because of a problem that is listed anyway."""
    try:
        return layers.regions(environment, subproject)
    except UsageError:
        return None


def _known_regions(layers: Layers, place: Place) -> set[str] | None:
    """The regions of all environments that the file at this place is read for; None if one can't be known."""
    known: set[str] = set()
    for subproject, environment in _reach(layers, place):
        regions = _regions(layers, environment, subproject)
        if regions is None:
            return None
        known.update(regions)
    return known


def _unlisted(layers: Layers) -> Iterator[Problem]:
    """Folders of regions that `regions:` does not have: nothing would ever read them."""
    for place in layers.places():
        known = _known_regions(layers, place) if place.region else None
        if known is not None and place.region not in known:
            listed = ", ".join(sorted(known)) or "nothing"
            what = f"{place.region} is no region of {place.environment}: `regions:` lists {listed}"
            yield Problem(path=place.path, what=what)


def _unknown_providers(layers: Layers) -> Iterator[Problem]:
    """Entries of `providers:` for a region that none of the environments they reach has."""
    for place, values in layers.documents().items():
        providers = values.get("providers")
        known = _known_regions(layers, place) if isinstance(providers, dict) else None
        if known is None or not isinstance(providers, dict):
            continue
        for region in providers:
            if region not in known:
                close = nearest(region, sorted(known))
                hint = f"; did you mean {close}?" if close else ""
                what = f"providers: {region[:60]!r} is no region here{hint}"
                yield Problem(path=place.path, line=layers.line(place, "providers", region), what=what)


def _never_met(layers: Layers) -> Iterator[Problem]:
    """Requirements that no version can ever meet, and canaries where there is nothing to go ahead of."""
    for subproject, environment in _pairs(layers):
        rules = _rules(layers, environment, subproject)
        for requirement in rules.requires if rules else ():
            required = requirement.environment
            if required is not None:
                what = _why_never(layers, environment, subproject, required)
            elif requirement.is_canary and rules is not None and len(rules.regions) < _CANARY_REGIONS:
                what = "a soak without an environment is for several regions, and here are not as many"
            else:
                what = None
            if what is not None:
                yield _at(requirement.source, f"requires: {what}")


def _why_never(layers: Layers, environment: str, subproject: str, required: str) -> str | None:
    name = subproject or "the root project"
    if required not in layers.existing(subproject):
        return f"{name} has no environment {required}, so nothing can have run there"
    seen: set[str] = set()
    following = [required]
    while following:
        name = following.pop()
        rules = _rules(layers, name, subproject) if name not in seen else None
        seen.add(name)
        following += [one.environment for one in rules.requires if one.environment] if rules else []
    return f"{environment} and {required} wait for each other" if environment in seen else None


def _rules(layers: Layers, environment: str, subproject: str) -> Rules | None:
    """None where they can't be known, because of a problem that is listed anyway."""
    try:
        return layers.rules(environment, subproject)
    except UsageError:
        return None


def _at(source: str | None, what: str) -> Problem:
    path, _, line = (source or "").rpartition(":")
    return Problem(path=path, line=int(line), column=None, what=what)


def _reach(layers: Layers, place: Place) -> Iterator[tuple[str, str]]:
    for subproject, environment in _pairs(layers):
        if place.subproject in {"", subproject} and place.environment in {None, environment}:
            yield subproject, environment


def _pairs(layers: Layers) -> Iterator[tuple[str, str]]:
    for subproject in layers.subprojects():
        for environment in layers.existing(subproject):
            yield subproject, environment
