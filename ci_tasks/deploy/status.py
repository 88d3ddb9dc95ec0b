"""What runs where: the environment tags of the remote, read and put side by side."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from ci_tasks.core.command_line import typed
from ci_tasks.core.entity import Entity
from ci_tasks.core.errors import ConflictError, RefusedError, UsageError, nearest
from ci_tasks.core.subprojects import standing_in
from ci_tasks.deploy.unlock import RecordsAnswer
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag import queue
from ci_tasks.tag import subproject as subprojects
from ci_tasks.tag.clock import utc_now
from ci_tasks.tag.grammar import EnvironmentTag, Grammar, VersionTag, parse_version
from ci_tasks.tag.lines import put_back_line
from ci_tasks.tag.model import Deployment
from ci_tasks.tag.review import debts
from ci_tasks.tag.store import TagStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ci_tasks.core.checkout import Checkout
    from ci_tasks.core.errors import CiTasksError
    from ci_tasks.tag.listing import Listing
    from ci_tasks.tag.model import Live
    from ci_tasks.tag.store import EnvironmentFact


class RegionStatus(Entity, frozen=True, kw_only=True):
    """What is live in one region (null: the environment has none); null fields: nothing succeeded yet."""

    region: str | None
    version: str | None
    state: str | None
    commit_sha: str | None
    since: datetime | None
    triggered_by: str | None
    deployment_id: str | None
    is_uncertain: bool
    attempted: str | None


class ReviewDebt(Entity, frozen=True, kw_only=True):
    """A deployment that overrode a rule, and that nobody has reviewed: since when, by whom, why.

    `signer` is whose signature allowed it, null where tags are not signed.
    """

    deployment_id: str
    version: str
    region: str | None
    reason: str
    since: datetime
    by: str
    signer: str | None


class EnvironmentStatus(Entity, frozen=True, kw_only=True):
    """One environment tag. `version` is that of all regions, null where they differ.

    `problem` says why a tag can't be read, `drift` what somebody did to it by hand, `nextStep` what to type
    about either; `running` are the open records, those that wait with the place that they have now;
    `reviewDebts` are the overrides that wait for a review, newest first.
    """

    subproject: str | None
    environment: str
    environment_tag: str
    version: str | None
    state: str | None
    is_settled: bool
    regions: list[RegionStatus]
    running: list[Deployment]
    drift: str | None
    problem: str | None
    next_step: str | None
    review_debts: list[ReviewDebt]


class StatusAnswer(Entity, frozen=True, kw_only=True):
    """What `inv deploy.status --json` prints; `none` names tags that were asked for and do not exist."""

    environments: list[EnvironmentStatus]
    none: list[str]


def read(store: TagStore, listing: Listing, tags: Iterable[EnvironmentTag]) -> list[EnvironmentStatus]:
    """The status of these environment tags of a listing, in their order; a fixed number of git processes."""
    wanted = [(tag, listing.refs[str(tag)]) for tag in tags]
    objects = store.objects([ref for _, ref in wanted])
    statuses = []
    for tag, ref in wanted:
        try:
            fact = store.environment_of(tag, ref, objects, is_summary=True, listing=listing)
            if fact.ledger and queue.waiting(fact.ledger):  # how long that takes, the closed records tell
                fact = store.environment_of(tag, ref, objects, listing=listing)
            statuses.append(_status(listing, fact))
        except (ConflictError, RefusedError, UsageError) as error:  # one bad tag hides no other
            statuses.append(_unreadable(tag, error))
    return statuses


def _status(listing: Listing, fact: EnvironmentFact) -> EnvironmentStatus:
    assert fact.ledger is not None  # noqa: S101 - environment_of raises where there is none
    header, now = fact.ledger.header, utc_now()
    live = ledgers.observed(fact.ledger, now).header.live
    keys = list(dict.fromkeys([*header.regions, *live])) or [""]
    regions = [_region(listing, fact.tag, key, live.get(key)) for key in keys]
    versions = {region.version for region in regions}
    version = next(iter(versions)) if len(versions) == 1 else None
    return EnvironmentStatus(
        subproject=fact.tag.subproject or None,
        environment=fact.tag.environment,
        environment_tag=str(fact.tag),
        version=version,
        state=regions[0].state if version else None,
        is_settled=header.settled,
        regions=regions,
        running=list(queue.with_outlooks(fact.ledger, now=now)),
        drift=fact.drift,
        problem=None,
        next_step=put_back_line(fact.tag, versions) if fact.drift else None,
        review_debts=[
            ReviewDebt(
                deployment_id=record.deployment_id,
                version=record.version,
                region=record.region,
                reason=record.override.reason,
                since=record.started_at,
                by=record.triggered_by,
                signer=record.override.signer,
            )
            for record in debts(fact.ledger)
            if record.override is not None
        ],
    )


def _region(listing: Listing, tag: EnvironmentTag, key: str, live: Live | None) -> RegionStatus:
    version = live.version if live else None
    return RegionStatus(
        region=key or None,
        version=version,
        state=_state(listing, tag.subproject, version) if version else None,
        commit_sha=live.commit_sha if live else None,
        since=live.since if live else None,
        triggered_by=live.triggered_by if live else None,
        deployment_id=live.deployment_id if live else None,
        is_uncertain=bool(live and live.uncertain),
        attempted=live.attempted if live else None,
    )


def _state(listing: Listing, subproject: str, version: str) -> str | None:
    states = listing.states(VersionTag(subproject=subproject, version=parse_version(version)))
    return states[0].value if states else None


def _unreadable(tag: EnvironmentTag, error: CiTasksError) -> EnvironmentStatus:
    return EnvironmentStatus(
        subproject=tag.subproject or None,
        environment=tag.environment,
        environment_tag=str(tag),
        version=None,
        state=None,
        is_settled=False,
        regions=[],
        running=[],
        drift=None,
        problem=error.what,
        next_step=error.next_step,
        review_debts=[],
    )


def overview(checkout: Checkout, *, environment: str | None, subproject: str | None) -> StatusAnswer:
    """The status of every environment tag, or of those of one environment or subproject."""
    grammar = Grammar(checkout.settings.environments)
    store = TagStore(checkout.origin, grammar)
    if environment is not None:
        known_environment(grammar, environment, line=lambda name: typed(f"deploy.status --env {name}"))
    listing = store.listing(grammar.subproject(subproject) if subproject else None)
    if subproject is not None:
        subproject = grammar.subproject(subproject)
        if not listing.refs:
            subprojects.checked(subproject, checkout=checkout, grammar=grammar, listing=listing)
    tags = [
        tag
        for tag in listing.environments()
        if environment in (None, tag.environment) and subproject in (None, tag.subproject)
    ]
    missing = []
    if environment is not None and not tags:
        among = (subproject,) if subproject is not None else _places(checkout, grammar, listing)
        missing = [str(EnvironmentTag(subproject=name, environment=environment)) for name in among]
    return StatusAnswer(environments=read(store, listing, tags), none=missing)


def _places(checkout: Checkout, grammar: Grammar, listing: Listing) -> tuple[str, ...]:
    """All subprojects; the root project (empty) where it has versions, or where there is no other."""
    among = subprojects.known(checkout, grammar, listing)
    return among if among and not listing.versions("") else ("", *among)


def known_environment(grammar: Grammar, given: str, *, line: Callable[[str], str]) -> str:
    """The environment of that name; UsageError otherwise, with `line` of the nearest name, if one is near."""
    try:
        return grammar.environment(given)
    except UsageError as error:
        close = nearest(given, grammar.environments)
        error.next_step = line(close) if close else None
        raise


def first_line(checkout: Checkout, subproject: str | None) -> str:
    """The line that makes the first deployment: of the subproject that is meant, else of the first one."""
    grammar = Grammar(checkout.settings.environments)
    among = subprojects.known(checkout, grammar)
    if subproject is None:
        chosen = standing_in(checkout.folder, checkout.root, among) or next(iter(among), "")
    else:
        chosen = grammar.subproject(subproject) or "."
    environment = "staging" if "staging" in grammar.environments else grammar.environments[0]
    return typed(f"deploy --env {environment}" + (f" --subproject {chosen}" if chosen else ""))


def place(
    checkout: Checkout, *, environment: str, subproject: str | None, line: str
) -> tuple[TagStore, EnvironmentTag]:
    """The one environment tag that a command is about; `line` is the command, for the error."""
    grammar = Grammar(checkout.settings.environments)
    option = f" --subproject {subproject}" if subproject else ""
    known_environment(grammar, environment, line=lambda name: typed(f"{line} --env {name}{option}"))
    store = TagStore(checkout.origin, grammar)
    listing = store.listing(grammar.subproject(subproject) if subproject else None)
    chosen = subprojects.choose(
        subproject,
        checkout=checkout,
        grammar=grammar,
        listing=listing,
        line=f"{line} --env {environment}",
    )
    return store, EnvironmentTag(subproject=chosen, environment=environment)


def ledger_of(checkout: Checkout, *, environment: str, subproject: str | None) -> RecordsAnswer:
    """All records that an environment tag holds: the open ones, then the closed ones, newest first."""
    store, tag = place(checkout, environment=environment, subproject=subproject, line="deploy.history")
    ledger = store.environment(tag).ledger
    return RecordsAnswer(deployments=[*ledger.open, *ledger.closed] if ledger else [])
