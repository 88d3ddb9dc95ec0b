"""What is wrong with the closed records of a ledger: their links, and what says that something is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ci_tasks.tag import annotation, retention
from ci_tasks.tag import ledger as ledgers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.model import Deployment

NEVER_SHRUNK = annotation.SHRINK_ABOVE // 2
"""Bytes up to which a ledger can't have been so large before that records were shrunk (256 KiB).

What has left it since were open records and old ones, which `_DROPPED` counts."""
NEVER_DROPPED = annotation.REFUSE_ABOVE // 2
"""Bytes up to which a ledger can't have been so large before that newer records were dropped (1 MiB)."""
_DROPPED = 4096
"""More bytes than a record takes up that was shrunk and then dropped."""


def faults(ledger: Ledger) -> list[str]:
    """What is wrong with the closed records; empty where nothing is.

    A shrunk record and a cut can't be proven by the chain: they are believed only where this program would
    have made them. A ledger that was read has to be given whole, not as a summary.
    """
    return [*ledgers.chain_faults(ledger), *_cut_faults(ledger), *_shrunk_faults(ledger)]


def is_never_shrunk(ledger: Ledger) -> bool:
    """True where the ledger is so small that none of its newer records can have been shrunk for its size."""
    cut = ledger.header.cut
    dropped = _DROPPED * cut.seq if cut else 0
    return annotation.size(ledger) + dropped <= NEVER_SHRUNK


def _cut_faults(ledger: Ledger) -> Iterator[str]:
    """Old records are dropped behind the newest 50 of their time, and those are dropped only after them."""
    cut = ledger.header.cut
    if cut is None:
        return
    newer = sum((record.seq or 0) > cut.seq for record in ledger.closed)
    if newer < retention.KEEP_NEWEST and annotation.size(ledger) <= NEVER_DROPPED:
        yield (
            f"its cut says that the records up to number {cut.seq} were dropped, but only {newer} newer ones"
            f" are there: the newest {retention.KEEP_NEWEST} are kept"
        )


def _shrunk_faults(ledger: Ledger) -> Iterator[str]:
    """Only a large ledger is shrunk, and its oldest records first."""
    newest = next((index for index, record in enumerate(ledger.closed) if record.digest), None)
    if newest is None:
        return
    first = ledger.closed[newest]
    for record in ledger.closed[newest:]:
        if record.digest and _bare(record) != record:
            yield f"{record.deployment_id} is shortened, and has more than a shortened record has"
        elif not record.digest and len(ledgers.line(_bare(record))) < len(ledgers.line(record)):
            yield f"{first.deployment_id} is shortened, and {record.deployment_id}, which is older, is not"
            break
    cut = ledger.header.cut
    # One behind the cut outlived its neighbours: how large the ledger was with them nobody knows any more.
    if (cut is None or (first.seq or 0) > cut.seq) and is_never_shrunk(ledger):
        yield f"{first.deployment_id} is shortened, although the ledger is not large"


def _bare(record: Deployment) -> Deployment:
    """The record with nothing but what a shrunk one has."""
    shrunk = retention.shrink(msgspec.structs.replace(record, digest=None))
    return msgspec.structs.replace(shrunk, digest=record.digest or shrunk.digest)
