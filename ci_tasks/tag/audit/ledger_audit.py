"""What is wrong with an environment tag: its target, its chain, its live map, the versions it speaks of."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ci_tasks.core.command_line import typed
from ci_tasks.core.duration import format_duration
from ci_tasks.core.setting_values import LONGEST_LEASE
from ci_tasks.tag import chain, fresh
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag.audit.audit import CLOCKS, commit_of
from ci_tasks.tag.audit.finding import FindingKind, finding
from ci_tasks.tag.form import form_faults
from ci_tasks.tag.grammar import VersionTag, parse_version
from ci_tasks.tag.lines import history_line, options, put_back_line
from ci_tasks.tag.model import region_key
from ci_tasks.tag.names import DeploymentKind, DeploymentStatus
from ci_tasks.tag.review import debts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci_tasks.tag.audit.finding import Finding
    from ci_tasks.tag.grammar import EnvironmentTag
    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.listing import Listing
    from ci_tasks.tag.model import Deployment, Live
    from ci_tasks.tag.store import EnvironmentFact

MOST_NAMED = 3
"""Faults of a chain that are told one by one: the first mostly causes the others."""


def environment_findings(
    fact: EnvironmentFact, listing: Listing, *, now: datetime, review_within: float
) -> Iterator[Finding]:
    """What is wrong with an environment tag that can be read; `review_within` is in seconds."""
    tag, ledger = fact.tag, fact.ledger
    if ledger is None:
        return
    if fact.drift is not None:
        versions = (live.version for live in ledger.header.live.values())
        yield finding(tag, FindingKind.DRIFT, f"{fact.drift}.", put_back_line(tag, versions))
    faults = chain.faults(ledger)
    for fault in faults[:MOST_NAMED]:
        yield finding(tag, FindingKind.CHAIN, f"{fault}: somebody edited the ledger.", history_line(tag))
    if len(faults) > MOST_NAMED:
        more = f"{len(faults) - MOST_NAMED} more records do not fit in the chain either."
        yield finding(tag, FindingKind.CHAIN, more, history_line(tag))
    for lie in lies(ledger):
        yield finding(tag, FindingKind.LIVE, lie, history_line(tag))
    for region in _not_live(ledger):
        message = (
            f"{region} is one of its regions, and the newest attempt there was a success, but it is not live:"
            " it was not listed for a while, or somebody took it out."
        )
        yield finding(tag, FindingKind.NOT_LIVE, message, history_line(tag))
    yield from _version_findings(tag, ledger, listing)
    yield from _debt_findings(tag, ledger, now, review_within)
    yield from _time_findings(tag, ledger, now)


def form_findings(tag: EnvironmentTag, message: str, ledger: Ledger) -> Iterator[Finding]:
    """Where a tag's message is not the text of the ledger that was read from it."""
    for fault in form_faults(message, ledger):
        told = f"It is not written as its ledger is: {fault}."
        yield finding(tag, FindingKind.FORM, told, history_line(tag))


def lies(ledger: Ledger) -> Iterator[str]:
    """Where the header says something else than the records, as far as those that are kept can tell."""
    header = ledger.header
    if ledgers.settle_target(ledger).header != header:
        yield "Its header contradicts itself: target and settled do not follow from the live map."
    if not header.live and any(map(_leaves_its_mark, ledger.closed)):
        yield "Its live map is empty, and its records say that something was live."  # it never empties again
    newest: dict[str, Deployment] = {}
    broken: dict[str, Deployment] = {}
    for record in ledger.closed:
        key = region_key(record.region)
        if key in newest or record.kind is DeploymentKind.REVIEW:
            continue
        if record.status is DeploymentStatus.SUCCESS:
            newest[key] = record
        elif record.scripts_started:
            broken.setdefault(key, record)
    for key, live in header.live.items():
        reason = next(_lies(ledger, live, newest.get(key), broken.get(key)), None)
        if reason is not None:
            place = key or header.environment
            yield f"Its live map is not what its records say: in {place} {reason}."


def _leaves_its_mark(record: Deployment) -> bool:
    """True where a closed record gives its region an entry in the live map."""
    if record.kind is DeploymentKind.REVIEW:
        return False
    return record.status is DeploymentStatus.SUCCESS or record.scripts_started


def _not_live(ledger: Ledger) -> Iterator[str]:
    """Regions that ought to be live: no record can say that they were not listed for a while."""
    header = ledger.header
    for region in header.regions:
        attempts = (
            record
            for record in (*ledger.open, *ledger.closed)
            if record.region == region and (record.status.is_open or _leaves_its_mark(record))
        )
        newest = next(attempts, None)
        is_success = newest is not None and newest.status is DeploymentStatus.SUCCESS
        if header.live and region not in header.live and is_success:
            yield region


def _lies(ledger: Ledger, live: Live, success: Deployment | None, broken: Deployment | None) -> Iterator[str]:
    """Why an entry of the live map can't be true; the first reason is the one to tell.

    A region that was not listed for a while begins anew, so an old success may be forgotten; and an attempt
    that made it uncertain may have been dropped since.
    """
    attempted = broken.version if broken else None
    if live.deployment_id is None:
        if live.version is not None or not live.uncertain or attempted not in {None, live.attempted}:
            yield "something is live that no record brought there"
        return
    if success is None or success.deployment_id != live.deployment_id:
        yield f"{live.deployment_id} is not the newest success"
        return
    said = (live.version, live.commit_sha, live.since, live.triggered_by)
    if said != (success.version, success.commit_sha, success.completed_at, success.triggered_by):
        yield f"{success.deployment_id} brought something else there"
    if success.digest is None and live.inputs != success.inputs:
        yield f"{success.deployment_id} ran other scripts"
    if broken is not None and (not live.uncertain or live.attempted != attempted):
        yield f"{broken.deployment_id} broke off half-way after that"
    cut = ledger.header.cut
    may_be_dropped = cut is not None and cut.seq > (success.seq or 0)
    if broken is None and live.uncertain and not may_be_dropped:
        yield "nothing broke off half-way"


def _version_findings(tag: EnvironmentTag, ledger: Ledger, listing: Listing) -> Iterator[Finding]:
    """Records of versions whose tag is gone, or is on another commit: each version is named once."""
    for version, commit in dict.fromkeys(
        (record.version, record.commit_sha) for record in (*ledger.open, *ledger.closed)
    ):
        name = str(VersionTag(subproject=tag.subproject, version=parse_version(version)))
        ref = listing.refs.get(name)
        if ref is None:
            option = f" --subproject {tag.subproject}" if tag.subproject else ""
            line = typed(f"tag.list --type version{option}")
            message = f"It has records of {name}, and there is no such tag any more."
            yield finding(tag, FindingKind.VERSION, message, line)
        elif commit_of(ref) != commit:
            message = f"It has records of {name} on {commit[:12]}, but that stands on {commit_of(ref)[:12]}."
            yield finding(tag, FindingKind.VERSION, message, typed(f"tag.show {name}"))


def _debt_findings(
    tag: EnvironmentTag, ledger: Ledger, now: datetime, review_within: float
) -> Iterator[Finding]:
    """Overrides that nobody has looked at in time: one finding for each claim."""
    old = [one for one in debts(ledger) if (now - one.started_at).total_seconds() > review_within]
    for claim, record in {one.claim_id: one for one in old}.items():
        reason = record.override.reason if record.override else ""
        yield finding(
            tag,
            FindingKind.DEBT,
            f"{claim} of {record.version} passed a rule ({reason!r}), and nobody has reviewed it within"
            f" {format_duration(review_within)}.",
            typed(f'deploy.review {options(tag)} --deployment {claim} --note "what you found"'),
        )


def _time_findings(tag: EnvironmentTag, ledger: Ledger, now: datetime) -> Iterator[Finding]:
    for record in ledger.open:
        if ledgers.is_expired(record, now):
            what = "lease" if record.status is DeploymentStatus.RUNNING else "wait"
            message = (
                f"{record.deployment_id} was left behind: its {what} ended at {record.lease_end:%F %T} UTC."
            )
            line = typed(f"deploy.settle {options(tag)} --deployment {record.deployment_id}")
            yield finding(tag, FindingKind.LEFT_BEHIND, message, line)
    latest = now + timedelta(seconds=LONGEST_LEASE) + fresh.CLOCKS
    for record in ledger.open:
        if record.lease_end is not None and record.lease_end > latest:
            message = (
                f"{record.deployment_id} has a claim until {record.lease_end:%F %T} UTC, longer than a lease:"
                " nobody else can deploy there."
            )
            words = f'deploy.unlock {options(tag)} --deployment {record.deployment_id} --reason "why" --now'
            yield finding(tag, FindingKind.LEASE, message, typed(words))
    late = [
        record
        for record in (*ledger.open, *ledger.closed)
        if max(record.started_at, record.completed_at or record.started_at) > now + CLOCKS
    ]
    if late:
        yield finding(
            tag,
            FindingKind.DATE,
            f"{late[0].deployment_id} is dated in the future: the clock was wrong. The order of the records"
            " does not come from their dates.",
            history_line(tag),
        )
