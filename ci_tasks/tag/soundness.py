"""What no ledger of ours says, although each of its fields has the right form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_tasks.tag.grammar import parse_version
from ci_tasks.tag.names import DeploymentKind, DeploymentStatus

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ci_tasks.tag.model import Deployment, Header

_YEARS = range(2, 9001)
"""Far enough from the ends of the calendar for any sum, in any time zone."""


def check_header(header: Header) -> None:
    """Look at the regions and the live map. Raises ValueError, or UsageError for what is no version."""
    if len(set(header.regions)) < len(header.regions):
        raise ValueError("it has a region twice")
    for live in header.live.values():
        for version in (live.version, live.attempted):
            if version is not None:
                parse_version(version)
        _check_time(live.since)


def check_records(records: Sequence[Deployment]) -> None:
    """Look at the records, each and side by side. Raises ValueError, or UsageError for what is no version."""
    ids: set[str] = set()
    for record in records:
        parse_version(record.version)
        for time in (record.started_at, record.completed_at, record.lease_end):
            _check_time(time)
        _check_kind(record)
        if record.deployment_id in ids:
            raise ValueError(f"it has {record.deployment_id} twice")
        ids.add(record.deployment_id)
    running = [record for record in records if record.status is DeploymentStatus.RUNNING]
    everywhere = [record for record in running if record.region is None]
    regions = {record.region for record in running}
    if len(regions) < len(running) or (everywhere and len(running) > 1):
        raise ValueError("two of its running records claim the same place")


def _check_kind(record: Deployment) -> None:
    """An assignment and a review are done as soon as they are written; a review names what it looked at."""
    if (record.reviews is None) is (record.kind is DeploymentKind.REVIEW):
        raise ValueError(f"{record.deployment_id} is a review of nothing, or no review at all")
    at_once = record.kind in (DeploymentKind.ASSIGN, DeploymentKind.REVIEW)
    if at_once and (record.status is not DeploymentStatus.SUCCESS or record.scripts_started):
        raise ValueError(f"{record.deployment_id} of the kind {record.kind.value} never ran")
    if record.kind is DeploymentKind.REVIEW and record.override is not None:
        raise ValueError(f"{record.deployment_id} is a review and overrides a rule itself")


def _check_time(time: datetime | None) -> None:
    if time is not None and time.year not in _YEARS:
        raise ValueError(f"it has a time in the year {time.year}")
