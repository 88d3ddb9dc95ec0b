"""What a move of an environment tag says of a record that it closes, and whether that can be so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag import retention
from ci_tasks.tag.fresh import AT_ONCE, CLOCKS, camel, new_faults, place_faults
from ci_tasks.tag.names import DeploymentKind, DeploymentStatus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.model import Deployment

OF_CLOSED = ("completed_at", "seq", "prev", "digest", "ended_by")
"""What no open record has."""

_LEASE_ENDED, _WAIT_ENDED, _OVER = "its lease ended at ", "its wait ended at ", " was over"


def after(
    state: Ledger, record: Deployment, *, regions: tuple[str, ...], now: datetime
) -> tuple[list[str], Ledger]:
    """What is wrong with one new closed record, and the ledger as it is with it.

    `regions` are those that the environment has after the move.
    """
    name = record.deployment_id
    opened = next((one for one in state.open if one.deployment_id == name), None)
    if opened is None:
        found = [
            *new_faults(state, record, now=now),
            *place_faults(record, regions),
            *_at_once_faults(state, record),
        ]
        opened = msgspec.structs.replace(
            record,
            status=DeploymentStatus.RUNNING,
            **dict.fromkeys(("lease_end", *OF_CLOSED)),
        )
        state = msgspec.structs.replace(state, open=(*state.open, opened))
    else:
        found = [*_end_faults(opened, record), *_lease_faults(opened, record)]
    found += _time_faults(opened, record, now)
    closed = ledgers.close(
        state,
        name,
        record.status,
        at=record.completed_at or record.started_at,
        ended_by=record.ended_by,
        scripts_started=record.scripts_started,
    )
    due = closed.closed[0]
    if record.digest is not None:  # shrunk as soon as it was closed: what it was before is not known
        due = msgspec.structs.replace(retention.shrink(due), digest=record.digest)
    wrong = _differing(due, record)
    if wrong:
        found.append(f"{name} is not closed as its open record and the ledger say: {wrong}")
    header = state.header if record.kind is DeploymentKind.REVIEW else closed.header
    return found, msgspec.structs.replace(closed, header=header, closed=(record, *state.closed))


def _at_once_faults(state: Ledger, record: Deployment) -> Iterator[str]:
    """What is wrong with a record that was never open."""
    name = record.deployment_id
    if record.kind not in AT_ONCE:
        yield f"{name} is closed, but was never open"
        return
    if record.status is not DeploymentStatus.SUCCESS or record.scripts_started:
        yield f"{name} ran nothing, and is recorded as if it had"
    if record.kind is DeploymentKind.ASSIGN:
        for held in ledgers.holders(state, (record.region,)):
            yield f"{name} is assigned where {held.deployment_id} is running"
        return
    found = [one for one in state.find(record.reviews or "") if one.override]
    if not found:
        yield f"{name} reviews {record.reviews}, which is no record with an override"
    elif any(one.status.is_open for one in found):
        yield f"{name} reviews {record.reviews}, which has not ended"


def _end_faults(opened: Deployment, record: Deployment) -> Iterator[str]:
    """Whether a record that was open can have ended so."""
    name = record.deployment_id
    if opened.scripts_started and not record.scripts_started:
        yield f"{name} is closed as if none of its scripts had started, but one had"
    if opened.status is DeploymentStatus.PENDING:
        if record.status is not DeploymentStatus.CANCELLED:
            said = "a success" if record.status is DeploymentStatus.SUCCESS else "one that failed"
            yield f"{name} only waited, and is recorded as {said}"
        if record.scripts_started:
            yield f"{name} only waited, and is closed as if its scripts had started"
        if record.ended_by is None and record.digest is None:
            yield f"{name} only waited, and nothing says why it does not any more"
    elif record.status is DeploymentStatus.SUCCESS and not record.scripts_started:
        yield f"{name} ran no script, and is recorded as a success"


def _lease_faults(opened: Deployment, record: Deployment) -> Iterator[str]:
    """Whether a claim was taken over before its lease had ended, or a place in the queue before its wait."""
    said = record.ended_by or ""
    is_waiting = opened.status is DeploymentStatus.PENDING
    what, ended = ("wait", _WAIT_ENDED) if is_waiting else ("lease", _LEASE_ENDED)
    if not (said.startswith((_LEASE_ENDED, _WAIT_ENDED)) or said.endswith(f": its {what}{_OVER}")):
        return
    end, at = opened.lease_end, record.completed_at
    if end is None or at is None or at < end + ledgers.TAKEOVER_GRACE:
        yield f"{record.deployment_id} is closed because its {what} was over, but it was not"
    elif said.startswith((_LEASE_ENDED, _WAIT_ENDED)) and said != f"{ended}{end:%Y-%m-%d %H:%M:%S} UTC":
        yield f"{record.deployment_id} is closed with another end of its {what} than it had"


def _time_faults(opened: Deployment, record: Deployment, now: datetime) -> Iterator[str]:
    """Whether a record can have ended when it says: now, or when it began by a clock far ahead."""
    at = record.completed_at
    if at is not None and (at < now - CLOCKS or (at > now + CLOCKS and at != opened.started_at)):
        yield f"{record.deployment_id} ended at {at:%Y-%m-%d %H:%M:%S} UTC, and that is not now"


def _differing(due: Deployment, record: Deployment) -> str:
    """The fields in which two records differ."""
    return ", ".join(
        camel(field) for field in due.__struct_fields__ if getattr(due, field) != getattr(record, field)
    )
