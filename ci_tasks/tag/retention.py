"""What is kept of a ledger's closed records, what goes, and what is left of a record that was shrunk."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from ci_tasks.tag import past
from ci_tasks.tag.ledger import digest, line
from ci_tasks.tag.model import Cut
from ci_tasks.tag.names import DeploymentKind, DeploymentStatus
from ci_tasks.tag.review import debts

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.model import Deployment

KEEP_DAYS = timedelta(days=30)
KEEP_NEWEST = 50

_CUT_BYTES = 200
"""More than the header grows by with a cut."""


def retain(ledger: Ledger, *, now: datetime) -> Ledger:
    """Drop what is old: open records, debts and what a rollback needs stay, then 30 days, then the newest 50.

    A rollback needs each region's two newest successes of different versions, and those of the version that
    it goes back to where others were rolled back from. A review stays as long as a record that it answers.
    """
    needed = _needed_for_rollback(ledger) | {record.deployment_id for record in debts(ledger)}
    stays = {
        record.deployment_id
        for index, record in enumerate(ledger.closed)
        if index < KEEP_NEWEST
        or (record.completed_at is not None and now - record.completed_at <= KEEP_DAYS)
        or record.deployment_id in needed
    }
    stays |= _origins_of(ledger, stays)
    stays |= _reviews_of(ledger, (record for record in ledger.closed if record.deployment_id in stays))
    return _without(ledger, {record.deployment_id for record in ledger.closed} - stays)


def drop_oldest(ledger: Ledger, excess: int) -> Ledger:
    """Drop the oldest closed records that take up `excess` bytes, as far as there are any that may go.

    What a rollback needs stays, and what waits for a review, however large it all is.
    """
    needed = _needed_for_rollback(ledger) | {record.deployment_id for record in debts(ledger)}
    needed |= _reviews_of(ledger, (record for record in ledger.closed if record.deployment_id in needed))
    left = excess + _CUT_BYTES
    gone: set[str] = set()
    for record in reversed(ledger.closed):
        if left <= 0:
            break
        if record.deployment_id not in needed:
            gone.add(record.deployment_id)
            left -= len(line(record)) + 1
    staying = (record for record in ledger.closed if record.deployment_id not in gone)
    return _without(ledger, gone - _reviews_of(ledger, staying))


def _reviews_of(ledger: Ledger, records: Iterable[Deployment]) -> set[str]:
    """The ids of the reviews that answer one of these records, or an open one: they would be debts again."""
    overridden = {
        name
        for record in (*ledger.open, *records)
        if record.override is not None
        for name in (record.deployment_id, record.claim_id)
    }
    return {review.deployment_id for review in ledger.closed if review.reviews in overridden}


def _without(ledger: Ledger, gone: set[str]) -> Ledger:
    """The ledger without these closed records; the newest of them is its cut."""
    if not gone:
        return ledger
    newest = next(record for record in ledger.closed if record.deployment_id in gone)
    cut = ledger.header.cut
    if cut is None or (newest.seq or 0) > cut.seq:
        cut = Cut(seq=newest.seq or 0, sha256=digest(newest))
    header = msgspec.structs.replace(ledger.header, cut=cut)
    kept = tuple(record for record in ledger.closed if record.deployment_id not in gone)
    return msgspec.structs.replace(ledger, header=header, closed=kept)


def _needed_for_rollback(ledger: Ledger) -> set[str]:
    needed = {name for records in _by_region(ledger).values() for name in past.needed(records)}
    versions: dict[str | None, set[str]] = {}
    for record in ledger.closed:
        if record.status is not DeploymentStatus.SUCCESS or record.kind is DeploymentKind.REVIEW:
            continue
        seen = versions.setdefault(record.region, set())
        if len(seen) < 2 and record.version not in seen:  # noqa: PLR2004 - the live one and the one before
            seen.add(record.version)
            needed.add(record.deployment_id)
    return needed | _origins_of(ledger, needed)


def _origins_of(ledger: Ledger, names: set[str]) -> set[str]:
    """The ids of the records that first brought what rollbacks among these went back to."""
    found: dict[str, str] = {}
    for records in _by_region(ledger).values():
        found |= past.origins(records)
    return {found[name] for name in names if name in found}


def _by_region(ledger: Ledger) -> dict[str | None, list[Deployment]]:
    """The closed records that say what ran, newest first."""
    of_regions: dict[str | None, list[Deployment]] = {}
    for record in ledger.closed:
        if record.kind is not DeploymentKind.REVIEW:
            of_regions.setdefault(record.region, []).append(record)
    return of_regions


def shrink(record: Deployment) -> Deployment:
    """A closed record with nothing but id, version, region, status, times and its place in the chain."""
    if record.digest is not None:
        return record
    return msgspec.structs.replace(
        record,
        digest=digest(record),
        nonce=None,
        reason=None,
        run=None,
        host=None,
        commits=None,
        inputs=None,
        stop_requested=None,
        ended_by=None,
        uncommitted=(),
    )
