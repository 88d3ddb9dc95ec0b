"""How long a version was live and certain in a region, in one piece, by the ledger's own records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci_tasks.tag.model import region_key
from ci_tasks.tag.names import DeploymentKind, DeploymentStatus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.model import Deployment


@dataclass(frozen=True, kw_only=True)
class Stay:
    """A time in which a version was live and certain in one piece; `ends` is None where it still is."""

    begins: datetime
    ends: datetime | None = None

    def seconds(self, now: datetime) -> float:
        """How long it has lasted; never less than nothing, whatever the clocks say."""
        return max(0.0, ((self.ends or now) - self.begins).total_seconds())


def stays(ledger: Ledger, region: str | None, version: str, commit: str) -> tuple[Stay, ...]:
    """The stays of a version, made of this commit, in a region: the oldest first.

    A stay begins when a deployment has succeeded and ends when the scripts of something else, or of a broken
    attempt, begin. The same version once more does not end it. What happened between records that are no
    longer kept is not known, so a stay that might have been broken there does not count from before.
    """
    found: list[Stay] = []
    begins: datetime | None = None
    last: int | None = None
    for record in reversed(ledger.closed):
        if last is not None and record.seq != last + 1:
            begins = None
        last = record.seq
        if region_key(record.region) != region_key(region) or not _changes(record):
            continue
        if record.status is not DeploymentStatus.SUCCESS or not _is_of(record, version, commit):
            found += [] if begins is None else [Stay(begins=begins, ends=max(begins, record.started_at))]
            begins = None
        elif begins is None:
            begins = record.completed_at
    return (*found, *_of_today(ledger, region, version, commit, begins))


def _of_today(
    ledger: Ledger, region: str | None, version: str, commit: str, begins: datetime | None
) -> Iterator[Stay]:
    """The stay that lasts, where the live map has the version; it ends with another's attempt under way."""
    live = ledger.header.live.get(region_key(region))
    if live is None or live.uncertain or (live.version, live.commit_sha) != (version, commit):
        return
    begins = begins or live.since
    if begins is None:
        return
    attempts = [
        max(begins, record.started_at)
        for record in ledger.open
        if record.status is DeploymentStatus.RUNNING
        and record.region in (None, region)
        and not _is_of(record, version, commit)
    ]
    yield Stay(begins=begins, ends=min(attempts, default=None))


def _is_of(record: Deployment, version: str, commit: str) -> bool:
    return (record.version, record.commit_sha) == (version, commit)


def _changes(record: Deployment) -> bool:
    """True where the record changed what runs."""
    if record.kind is DeploymentKind.REVIEW:
        return False
    return record.status is DeploymentStatus.SUCCESS or record.scripts_started
