"""Which version a rollback goes to, and why it goes to no other one: pure functions of a ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ci_tasks.core.entity import Entity
from ci_tasks.tag.names import VersionState
from ci_tasks.tag.past import Past

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci_tasks.tag.ledger import Ledger

CHOSEN = "chosen"
FITS = "fits"
PASSED_OVER = "passed over"

IS_LIVE = "it is the live one"
NEVER_SUCCEEDED = "it never succeeded here"
ROLLED_BACK = "it was rolled back from"
NO_SUCH = "there is no such version"
WENT_PAST = "a rollback went past it"
NOTHING_RAN = "nothing ran there before"
GONE = "its tag is gone"
MOVED = "its tag stands on another commit than it was deployed from"


class Candidate(Entity, frozen=True, kw_only=True):
    """A version that a region (null: the environment has none) could go back to.

    `verdict` is `chosen`, `fits` (a choice that comes after the chosen one) or `passed over`, and `reason`
    says why. `state` is the strongest of the version's states, null where it has none.
    """

    region: str | None
    version: str
    state: str | None
    verdict: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What tags say of a version: its commit (None: its tag is gone), its state, and that state's reason."""

    commit: str | None
    state: VersionState | None = None
    why: str | None = None


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Where each region goes; `stays` are those of which none fits, `untouched` those that are left alone.

    `untouched` says why of each region.
    """

    targets: dict[str | None, str]
    stays: tuple[str | None, ...]
    untouched: dict[str | None, str]
    candidates: list[Candidate]


def weigh(
    ledger: Ledger, region: str | None, standings: Mapping[str, Standing], *, kept: int
) -> list[Candidate]:
    """The versions that this region has seen, the newest first, at most one of them chosen.

    An uncertain region goes back to its last success; else to the newest earlier one, but to one that is
    stable before others among the `kept` newest that fit. `standings` has every version of `versions`.
    """
    past = Past.of(ledger, region)
    versions = past.versions
    against = {version: _against(past, version, standings[version]) for version in versions}
    fitting = [version for version in versions if against[version] is None]
    order = _preferred(past, fitting, standings, kept=kept)
    found = []
    for version in versions:
        state, reason = standings[version].state, against[version]
        verdict = PASSED_OVER
        if reason is None:
            verdict = CHOSEN if version == order[0] else FITS
            reason = (
                _for(past, version, standings)
                if version == order[0]
                else f"it fits too, but {order[0]} goes first"
            )
        name = state.value if state else None
        found.append(Candidate(region=region, version=version, state=name, verdict=verdict, reason=reason))
    return found


def choose(
    ledger: Ledger,
    regions: Sequence[str | None],
    standings: Mapping[str, Standing],
    *,
    named: bool,
    kept: int,
) -> Choice:
    """Where these regions go back to.

    Unless they were `named`, regions are left alone in which the newest version was not tried, or which have
    left it already, and those in which nothing ever succeeded.
    """
    untouched = {} if named else _untouched(ledger, regions)
    weighed = {
        region: weigh(ledger, region, standings, kept=kept) for region in regions if region not in untouched
    }
    targets = {
        region: one.version
        for region, candidates in weighed.items()
        for one in candidates
        if one.verdict == CHOSEN
    }
    none = [region for region in weighed if region not in targets]
    new = [region for region in none if not Past.of(ledger, region).successes]
    if targets and not named:  # nothing ran there before, so nothing can be brought back
        untouched |= dict.fromkeys(new, NOTHING_RAN)
        none = [region for region in none if region not in untouched]
    return Choice(
        targets=targets,
        stays=tuple(none),
        untouched=untouched,
        candidates=[one for candidates in weighed.values() for one in candidates],
    )


def choose_version(
    ledger: Ledger,
    regions: Sequence[str | None],
    standings: Mapping[str, Standing],
    version: str,
    *,
    named: bool,
    kept: int,
) -> Choice:
    """The same for one version that somebody asks for: it must have succeeded here, and its tag be there.

    That it is marked bad is a rule's business, which an override can pass.
    """
    candidates: list[Candidate] = []
    targets: dict[str | None, str] = {}
    stays: list[str | None] = []
    untouched: dict[str | None, str] = {}
    for region in regions:
        past = Past.of(ledger, region)
        if not (named or past.successes):
            untouched[region] = NOTHING_RAN
            continue
        reason = _impossible(past, version, standings.get(version, Standing(commit=None)))
        weighed = weigh(ledger, region, standings, kept=kept)
        if reason is None:
            targets[region] = version
            candidates += [_asked_for(one, version) for one in weighed]
        else:
            stays.append(region)
            candidates += [replace(one, verdict=FITS) if one.verdict == CHOSEN else one for one in weighed]
            if version not in past.versions:
                candidates.append(
                    Candidate(region=region, version=version, state=None, verdict=PASSED_OVER, reason=reason)
                )
    return Choice(targets=targets, stays=tuple(stays), untouched=untouched, candidates=candidates)


def versions(ledger: Ledger, regions: Sequence[str | None]) -> list[str]:
    """Every version that these regions have seen."""
    return list(dict.fromkeys(one for region in regions for one in Past.of(ledger, region).versions))


def _asked_for(candidate: Candidate, version: str) -> Candidate:
    """The candidate as it stands where one version is asked for."""
    if candidate.version == version:
        return replace(candidate, verdict=CHOSEN, reason="it was asked for")
    if candidate.verdict == CHOSEN:
        return replace(candidate, verdict=FITS)
    if candidate.verdict == FITS:
        return replace(candidate, reason=f"{version} was asked for")
    return candidate


def _against(past: Past, version: str, standing: Standing) -> str | None:
    """Why a version is passed over; None where it fits."""
    if version == past.live and not past.is_uncertain:
        return IS_LIVE
    if standing.state is not None and standing.state.is_bad:
        return f"it is {standing.state.value}" + (f": {standing.why}" if standing.why else "")
    left = (WENT_PAST if version in past.passed else ROLLED_BACK) if version in past.left else None
    return _impossible(past, version, standing) or left


def _impossible(past: Past, version: str, standing: Standing) -> str | None:
    """Why nobody can go back to a version, whoever asks for it; None where it can be done."""
    if version not in past.successes:
        return NO_SUCH if standing.commit is None and version not in past.versions else NEVER_SUCCEEDED
    if standing.commit is None:
        return GONE
    return MOVED if standing.commit != past.successes[version] else None


def _preferred(
    past: Past, fitting: Sequence[str], standings: Mapping[str, Standing], *, kept: int
) -> list[str]:
    """The versions that fit, the best first."""
    newest, older = fitting[:kept], fitting[kept:]
    newest = sorted(newest, key=lambda version: standings[version].state is not VersionState.STABLE)
    order = [*newest, *older]
    if past.is_uncertain and past.live in order:
        order.sort(key=lambda version: version != past.live)
    return order


def _for(past: Past, version: str, standings: Mapping[str, Standing]) -> str:
    """Why a version was chosen."""
    if past.is_uncertain and version == past.live:
        return "it is the last one that succeeded"
    if standings[version].state is VersionState.STABLE:
        return "it is the newest stable one that ran before"
    return "it is the newest one that ran before"


def _untouched(ledger: Ledger, regions: Sequence[str | None]) -> dict[str | None, str]:
    """The regions that a rollback of the newest version has no business in, and why.

    One rollback may be several claims, of which some are never begun, so what it is about can't be told from
    the newest record: it is the newest version that is still to be taken back somewhere. A version is as new
    as when it came last, though it be to a region that has left it.
    """
    pasts = {region: Past.of(ledger, region) for region in regions}
    tried = {region: past.tried for region, past in pasts.items() if past.tried is not None}
    if not tried:
        return {}
    came = {attempt.what: 0 for attempt in tried.values()}
    for attempt in (*tried.values(), *(past.undone for past in pasts.values() if past.undone is not None)):
        if attempt.what in came:
            came[attempt.what] = max(came[attempt.what], attempt.number)
    newest = max(came, key=lambda what: came[what])
    return {
        region: _why_untouched(past, newest[0])
        for region, past in pasts.items()
        if region not in tried or tried[region].what != newest
    }


def _why_untouched(past: Past, newest: str) -> str:
    """Why a rollback from the newest version leaves a region alone."""
    if past.tried is None:
        return NOTHING_RAN
    if past.tried.record.version == newest:
        return (
            f"{newest} did not break off there" if not past.tried.is_again else f"{newest} ran there before"
        )
    if newest in past.left:
        return f"it has left {newest} already"
    return (
        f"another one came after {newest} there" if newest in past.begun else f"{newest} was not tried there"
    )
