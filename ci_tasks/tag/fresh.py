"""What is asked of any record that was not in the ledger before."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from ci_tasks.tag.names import DeploymentKind, DeploymentStatus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.model import Deployment

CLOCKS = timedelta(days=1)
"""How far the writer's clock may be from ours."""

AT_ONCE = frozenset({DeploymentKind.ASSIGN, DeploymentKind.REVIEW})
"""Kinds of records that are never open."""


def new_faults(before: Ledger, record: Deployment, *, now: datetime) -> Iterator[str]:
    """What is wrong with a new record's names and times; `before` has all records that are older."""
    name, claim = record.deployment_id, record.claim_id
    if "." in claim or name != (f"{claim}.{record.region}" if record.region else claim):
        yield f"{name} is not named after its claim {claim} and its region"
    if any(one.reviews in (name, claim) for one in before.closed):
        yield f"{name} is new, and there is a review of it already"
    if abs(record.started_at - now) > CLOCKS:
        yield f"{name} began at {record.started_at:%Y-%m-%d %H:%M:%S} UTC, and that is not now"


def place_faults(record: Deployment, regions: tuple[str, ...]) -> Iterator[str]:
    """Whether there is such a place; one who waits claims none yet, and a review is about any number."""
    if record.status is DeploymentStatus.PENDING or record.kind is DeploymentKind.REVIEW:
        return
    if record.region not in (regions or (None,)):
        where = f"in the region {record.region}" if record.region else "for an environment without regions"
        yield f"{record.deployment_id} is {where}, which the environment does not have"


def camel(field: str) -> str:
    """A field's name as the JSON has it."""
    first, *others = field.split("_")
    return first + "".join(part.capitalize() for part in others)
