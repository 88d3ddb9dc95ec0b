"""What is wrong with an environment tag: its target, its chain, its live map, the versions it speaks of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_tasks.core.command_line import typed
from ci_tasks.core.duration import format_duration
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag.audit.audit import CLOCKS, commit_of
from ci_tasks.tag.audit.finding import FindingKind, finding
from ci_tasks.tag.grammar import VersionTag, parse_version
from ci_tasks.tag.model import region_key
from ci_tasks.tag.names import DeploymentKind, DeploymentStatus
from ci_tasks.tag.review import debts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

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
        yield finding(tag, FindingKind.DRIFT, f"{fact.drift}.", _assign_line(tag, ledger))
    faults = ledgers.chain_faults(ledger)
    for fault in faults[:MOST_NAMED]:
        yield finding(tag, FindingKind.CHAIN, f"{fault}: somebody edited the ledger.", history_line(tag))
    if len(faults) > MOST_NAMED:
        more = f"{len(faults) - MOST_NAMED} more records do not fit in the chain either."
        yield finding(tag, FindingKind.CHAIN, more, history_line(tag))
    for lie in lies(ledger):
        yield finding(tag, FindingKind.LIVE, lie, history_line(tag))
    yield from _version_findings(tag, ledger, listing)
    yield from _debt_findings(tag, ledger, now, review_within)
    yield from _time_findings(tag, ledger, now)


def options(tag: EnvironmentTag) -> str:
    """The options that name an environment tag on a command line."""
    return f"--env {tag.environment}{_of_subproject(tag)}"


def _of_subproject(tag: EnvironmentTag) -> str:
    return f" --subproject {tag.subproject}" if tag.subproject else ""


def history_line(tag: EnvironmentTag) -> str:
    """The line that shows an environment's ledger."""
    return typed(f"deploy.history {options(tag)}")


def _assign_line(tag: EnvironmentTag, ledger: Ledger) -> str:
    """The line that puts a tag back to where its ledger says, where one version is live everywhere."""
    versions = {live.version for live in ledger.header.live.values()}
    version = versions.pop() if len(versions) == 1 else None
    if version is None:
        return history_line(tag)
    return typed(f'tag.assign {options(tag)} --version {version} --reason "it was moved by hand"')


def lies(ledger: Ledger) -> Iterator[str]:
    """Where the header says something else than the records, as far as those that are kept can tell."""
    header = ledger.header
    if ledgers.settle_target(ledger).header != header:
        yield "Its header contradicts itself: target and settled do not follow from the live map."
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
            line = typed(f"tag.list --type version{_of_subproject(tag)}")
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
        if record.status is DeploymentStatus.RUNNING and ledgers.is_expired(record, now):
            message = (
                f"{record.deployment_id} was left behind: its lease ended at {record.lease_end:%F %T} UTC."
            )
            line = typed(f"deploy.settle {options(tag)} --deployment {record.deployment_id}")
            yield finding(tag, FindingKind.LEFT_BEHIND, message, line)
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
