"""Whether a ledger still has the closed records that it must: byte for byte, shrunk, or rightly dropped."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from ci_tasks.tag import annotation, retention
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag.model import Cut

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.model import Deployment

CLOCKS = timedelta(days=1)
"""How far the writer's clock may be from ours."""

SLACK = 4096
"""Bytes by which another version of the program may count a ledger's size differently."""


def faults(full: Ledger, new: Ledger, *, now: datetime) -> Iterator[str]:
    """What was done to closed records that may not be done to them.

    `full` is the ledger with every record of before and those closed since; `new` is what was written of it.
    """
    left = iter(full.closed)
    dropped: list[Deployment] = []
    shrunk: list[tuple[Deployment, Deployment]] = []
    for record in new.closed:
        skipped: list[Deployment] = []
        for before in left:
            if before.deployment_id == record.deployment_id:
                break
            skipped.append(before)
        else:
            yield f"{record.deployment_id} is closed, but is neither new nor where it was before"
            left = iter(skipped)  # it is the one too many: go on as if it were not there
            continue
        dropped += skipped
        if before is record or ledgers.line(before) == ledgers.line(record):
            continue
        if before.digest is None and retention.shrink(before) == record:
            shrunk.append((before, record))
        else:
            yield f"{record.deployment_id} is closed, and is not what it was before"
    dropped += left
    if shrunk and not _had_to_shrink(new, shrunk):
        yield f"{shrunk[0][0].deployment_id} was shortened although the ledger is not large"
    yield from _drop_faults(full, new, dropped, now)
    if new.header.cut != _cut(full, dropped):
        yield "its cut is not that of the newest record that was dropped"


def _had_to_shrink(new: Ledger, shrunk: list[tuple[Deployment, Deployment]]) -> bool:
    """True where the ledger would be too large with one record less shrunk: so it was above 256 KiB."""
    saved = max(len(ledgers.line(before)) - len(ledgers.line(after)) for before, after in shrunk)
    return annotation.size(new) + saved > annotation.SHRINK_ABOVE - SLACK


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
