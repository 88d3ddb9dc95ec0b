"""Who waits for an environment, in which order, and for how long: pure functions of a ledger.

A waiting record says PENDING; its `leaseEnd` is when its wait is over. The order is that of the open records.
First come, first served, where regions overlap; claims on other regions do not wait for each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag.names import DeploymentKind, DeploymentStatus

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence
    from datetime import datetime

    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.model import Deployment

PASSED_AFTER = 60.0
"""Seconds for which a claim may leave its turn unused, by the clock of those who watch it."""

UNWATCHED = 20.0
"""Seconds without a look after which nothing is known of what was seen before."""

LONGEST_WAIT = timedelta(days=1)

WAIT = frozenset({DeploymentKind.DEPLOY, DeploymentKind.PROMOTE})
"""The kinds of deployments that may wait."""

_RAN_NOTHING = frozenset({DeploymentKind.ASSIGN, DeploymentKind.REVIEW})
_NEWEST = 50
"""Past deployments from which the usual duration is taken."""


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """A place in the queue: `position` 1 is next; `seconds` is None where nothing succeeded there before."""

    position: int
    seconds: float | None


NEXT = Outlook(position=1, seconds=0.0)
"""The place of one whose turn has come."""


def waiting(ledger: Ledger) -> tuple[Deployment, ...]:
    """The waiting records, in the order in which they came."""
    return tuple(record for record in ledger.open if record.status is DeploymentStatus.PENDING)


def join(ledger: Ledger, records: tuple[Deployment, ...]) -> Ledger:
    """The ledger in which these records wait behind all others, or before an earlier attempt of their own."""
    earlier = earlier_attempt(ledger, records)
    place = ledger.open.index(earlier) if earlier else len(ledger.open)
    return msgspec.structs.replace(ledger, open=(*ledger.open[:place], *records, *ledger.open[place:]))


def is_rerun(ledger: Ledger, held: Deployment, records: Sequence[Deployment]) -> bool:
    """Only an equal repository, run, job, version and regions with a higher attempt is a re-run of `held`."""
    mine = records[0]
    if held.run is None or mine.run is None or held.run.attempt >= mine.run.attempt:
        return False
    theirs = {record.region for record in ledger.open if record.claim_id == held.claim_id}
    ours = {record.region for record in records}
    return (held.run.repository, held.run.id, held.run.job, held.version, theirs) == (
        mine.run.repository,
        mine.run.id,
        mine.run.job,
        mine.version,
        ours,
    )


def earlier_attempt(ledger: Ledger, records: Sequence[Deployment]) -> Deployment | None:
    """The first waiting record of an earlier attempt of these records' CI job: its place is theirs."""
    return next((held for held in waiting(ledger) if is_rerun(ledger, held, records)), None)


def leave(ledger: Ledger, nonce: str | None) -> Ledger:
    """The ledger without the waiting records of this nonce; the very same one where there are none."""
    staying = tuple(
        record
        for record in ledger.open
        if record.status is not DeploymentStatus.PENDING or record.nonce != nonce
    )
    return ledger if len(staying) == len(ledger.open) else msgspec.structs.replace(ledger, open=staying)


def before(
    ledger: Ledger,
    regions: Iterable[str | None],
    *,
    claim_id: str | None = None,
    passed: Container[str] = (),
) -> tuple[Deployment, ...]:
    """The waiting records that go first on these regions: those that came before `claim_id`, else all.

    `passed` are claims that have left their turn unused.
    """
    wanted = tuple(regions)
    return tuple(record for record in _earlier(ledger, claim_id, passed) if _overlap(record.region, wanted))


def unused(ledger: Ledger, *, now: datetime, passed: Container[str] = ()) -> frozenset[str]:
    """The waiting claims whose turn it is: nobody is at work in their regions, nobody goes first there."""
    return frozenset(
        claim_id
        for claim_id, regions in _places(waiting(ledger)).items()
        if not _at_work(ledger, regions, now)
        and not before(ledger, regions, claim_id=claim_id, passed=passed)
    )


class Patience:
    """Which waiting claims have been seen to leave their turn unused, so that others may go before them."""

    def __init__(self) -> None:
        self.passed: frozenset[str] = frozenset()
        self._since: dict[str, float] = {}
        self._seen = 0.0

    def look(self, ledger: Ledger, *, now: datetime, at: float) -> None:
        """Take note of what the ledger says; `at` are seconds of a clock that is never set."""
        if at - self._seen > UNWATCHED:
            self._since, self.passed = {}, frozenset()
        self._seen = at
        idle = unused(ledger, now=now, passed=self.passed)
        self._since = {claim_id: self._since.get(claim_id, at) for claim_id in idle}
        there = {record.claim_id for record in waiting(ledger)}
        late = {claim_id for claim_id, began in self._since.items() if at - began >= PASSED_AFTER}
        # Who was passed once costs nobody another minute, though the place be taken by now.
        self.passed = frozenset(late | (self.passed & there))


def in_the_way(
    ledger: Ledger,
    regions: tuple[str | None, ...],
    *,
    now: datetime,
    claim_id: str | None = None,
    passed: Container[str] = (),
) -> tuple[Deployment, ...]:
    """Why a claim on these regions has to wait: who is at work there, then who goes first.

    A claim whose lease is long over is in nobody's way, nor is a wait that is.
    """
    earlier = before(ledger, regions, claim_id=claim_id, passed=passed)
    return (
        *_at_work(ledger, regions, now),
        *(record for record in earlier if not ledgers.is_expired(record, now)),
    )


def outlook(
    ledger: Ledger,
    regions: tuple[str | None, ...],
    *,
    now: datetime,
    claim_id: str | None = None,
    passed: Container[str] = (),
) -> Outlook | None:
    """The place that a claim on these regions has, or would have (no `claim_id`); None: it need not wait.

    Who waits for somebody goes behind those that he waits for, though their regions be others. The time is
    the usual duration for each of them, and what is left of it for whoever is at work.
    """
    if not in_the_way(ledger, regions, now=now, claim_id=claim_id, passed=passed):
        return None
    wanted, ahead = list(regions), 0
    earlier = _places(
        record for record in _earlier(ledger, claim_id, passed) if not ledgers.is_expired(record, now)
    )
    for places in reversed(earlier.values()):
        if any(_overlap(place, wanted) for place in places):
            wanted += places
            ahead += 1
    usual = usual_duration(ledger)
    if usual is None:
        return Outlook(position=ahead + 1, seconds=None)
    used = [(now - record.started_at).total_seconds() for record in _at_work(ledger, tuple(wanted), now)]
    left = max((max(0.0, usual - max(0.0, seconds)) for seconds in used), default=0.0)
    return Outlook(position=ahead + 1, seconds=left + usual * ahead)


def with_outlooks(ledger: Ledger, *, now: datetime) -> tuple[Deployment, ...]:
    """The open records, those that wait with the place that they have now."""
    regions = _places(waiting(ledger))
    shown = []
    for record in ledger.open:
        if record.status is not DeploymentStatus.PENDING:
            shown.append(record)
            continue
        place = outlook(ledger, regions[record.claim_id], now=now, claim_id=record.claim_id)
        shown.append(placed(record, place or NEXT))
    return tuple(shown)


def placed(record: Deployment, place: Outlook | None) -> Deployment:
    """The record with this place in the queue; None: it does not wait."""
    return msgspec.structs.replace(
        record,
        queue_position=place.position if place else None,
        estimated_wait_time=place.seconds if place else None,
    )


def usual_duration(ledger: Ledger) -> float | None:
    """The median of what past deployments took, in seconds, all regions of a claim as one; None: no past."""
    spans: dict[str, tuple[datetime, datetime]] = {}
    for record in ledger.closed:
        ended = record.completed_at
        if record.status is not DeploymentStatus.SUCCESS or record.kind in _RAN_NOTHING or ended is None:
            continue
        begun, last = spans.get(record.claim_id, (record.started_at, ended))
        spans[record.claim_id] = (min(begun, record.started_at), max(last, ended))
    took = sorted((last - begun).total_seconds() for begun, last in list(spans.values())[:_NEWEST])
    if not took:
        return None
    half = len(took) // 2
    return took[half] if len(took) % 2 else (took[half - 1] + took[half]) / 2


def _earlier(ledger: Ledger, claim_id: str | None, passed: Container[str]) -> Iterator[Deployment]:
    for record in waiting(ledger):
        if record.claim_id == claim_id:
            return
        if record.claim_id not in passed:
            yield record


def _overlap(region: str | None, wanted: Iterable[str | None]) -> bool:
    return any(ledgers.overlaps(region, other) for other in wanted)


def _places(records: Iterable[Deployment]) -> dict[str, tuple[str | None, ...]]:
    """The regions of each claim, in the order of the claims."""
    found: dict[str, tuple[str | None, ...]] = {}
    for record in records:
        found[record.claim_id] = (*found.get(record.claim_id, ()), record.region)
    return found


def _at_work(ledger: Ledger, regions: tuple[str | None, ...], now: datetime) -> tuple[Deployment, ...]:
    held = ledgers.holders(ledger, regions)
    return tuple(record for record in held if not ledgers.is_expired(record, now))
