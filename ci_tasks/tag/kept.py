"""Whether a ledger still has the closed records that it must: byte for byte, shrunk, or rightly dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ci_tasks.tag import annotation, limits, retention
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag.form import is_canonical
from ci_tasks.tag.fresh import CLOCKS
from ci_tasks.tag.model import Cut

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.model import Deployment

SLACK = 4096
"""Bytes by which another version of the program may count a ledger's size differently."""


def faults(full: Ledger, new: Ledger, *, now: datetime) -> Iterator[str]:
    """What was done to closed records that may not be done to them.

    `full` is the ledger with every record of before and those closed since; `new` is what was written of it.
    """
    places = {record.deployment_id: place for place, record in enumerate(full.closed)}
    dropped: list[Deployment] = []
    shrunk: list[tuple[Deployment, int]] = []
    due = 0
    for record in new.closed:
        place = places.get(record.deployment_id, -1)
        if place < due:
            yield f"{record.deployment_id} is closed, but is neither new nor where it was before"
            continue
        dropped += full.closed[due:place]
        due = place + 1
        saved = _saved(full.closed[place], record)
        if saved is None:
            yield f"{record.deployment_id} is closed, and is not what it was before"
        elif saved:
            shrunk.append((record, saved))
    dropped += full.closed[due:]
    if shrunk:
        yield from _shrink_faults(new, *shrunk[0])
    yield from _drop_faults(full, new, dropped, now)
    if new.header.cut != _cut(full, dropped):
        yield "its cut is not that of the newest record that was dropped"


def _saved(before: Deployment, record: Deployment) -> int | None:
    """Bytes that were saved when a record was shrunk; 0 where it was not, None where it is another one."""
    is_new = before is record
    if is_new and record.digest is not None:  # what it was before nobody knows: it was a line of ours
        return limits.LONGEST_LINE - len(ledgers.line(record))
    if is_new or ledgers.line(before) == ledgers.line(record):
        return 0
    if before.digest is None and retention.shrink(before) == record and is_canonical(ledgers.line(record)):
        return len(ledgers.line(before)) - len(ledgers.line(record))
    return None


def _shrink_faults(new: Ledger, newest: Deployment, saved: int) -> Iterator[str]:
    """Whether records had to be shortened, the oldest first; `saved` are the bytes of the newest of them."""
    # Without it the ledger was above 256 KiB still.
    if annotation.size(new) + saved <= annotation.SHRINK_ABOVE - SLACK:
        yield f"{newest.deployment_id} was shortened although the ledger is not large"
    for record in new.closed[new.closed.index(newest) :]:
        if len(ledgers.line(retention.shrink(record))) < len(ledgers.line(record)):
            yield f"{newest.deployment_id} was shortened before older ones"
            return


def _drop_faults(full: Ledger, new: Ledger, dropped: list[Deployment], now: datetime) -> Iterator[str]:
    stays = {record.deployment_id for record in retention.retain(full, now=now + CLOCKS).closed}
    too_many = [record for record in dropped if record.deployment_id in stays]
    if not too_many:
        return
    names = ", ".join(record.deployment_id for record in too_many[:3])
    names += f" and {len(too_many) - 3} more" if len(too_many) > 3 else ""  # noqa: PLR2004 - the three above
    # Above 1 MiB the oldest go, all of them shrunk before, but no more of them than has to be.
    gone = {record.deployment_id: retention.shrink(record) for record in too_many}
    kept = {record.deployment_id: record for record in new.closed}
    before = msgspec.structs.replace(
        full,
        closed=tuple(
            gone.get(record.deployment_id) or kept[record.deployment_id]
            for record in full.closed
            if record.deployment_id in gone or record.deployment_id in kept
        ),
    )
    lengths = [len(ledgers.line(record)) + 1 for record in gone.values()]
    due = {record.deployment_id for record in retention.drop_oldest(before, sum(lengths)).closed}
    if due & gone.keys():
        yield f"records that must stay were dropped: {names}"
    elif annotation.size(new) + max(lengths) <= annotation.REFUSE_ABOVE - SLACK:
        yield f"records that must stay were dropped, although the ledger is not large: {names}"


def _cut(full: Ledger, dropped: list[Deployment]) -> Cut | None:
    """The cut that stands for the dropped records, given newest first."""
    cut = full.header.cut
    if not dropped or (cut is not None and (dropped[0].seq or 0) <= cut.seq):
        return cut
    return Cut(seq=dropped[0].seq or 0, sha256=ledgers.digest(dropped[0]))
