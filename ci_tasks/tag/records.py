"""Records of a ledger as tables for people: in `deploy.history`, and in `tag.show`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_tasks.core import console
from ci_tasks.core.columns import REGION, used
from ci_tasks.tag.names import DeploymentKind

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence
    from datetime import datetime

    from ci_tasks.tag.model import Deployment


_KINDS = {DeploymentKind.ROLLBACK: "rollback: ", DeploymentKind.PROMOTE: "promotion "}


def records_text(records: Sequence[Deployment], *, title: str = "Deployment") -> str:
    """The records in the order given; below them, on as many lines as they need, what else some of them say.

    A record has the time at which it ended; while it is open, that at which it began.
    """
    reviewed = {record.reviews for record in records if record.reviews}
    is_split = _split(records, reviewed)
    columns = (title, "When (UTC)", REGION, "Version", "Status", "By")
    rows = [
        (
            record.claim_id,
            minute(record.completed_at or record.started_at),
            record.region or "",
            record.version,
            _outcome(record),
            record.triggered_by,
        )
        for record in records
    ]
    remarks = dict.fromkeys(
        (record.claim_id, (record.region or "") if record.claim_id in is_split else "", "; ".join(said))
        for record in records
        if (said := list(_remarks(record, reviewed)))
    )
    tables = [console.table(*used(columns, rows)).rstrip("\n")]
    if remarks:
        drawn = used((title, REGION, "Note"), [*remarks], no_region="")
        tables.append(console.table(*drawn).rstrip("\n"))
    return "\n\n".join(tables)


def minute(time: datetime | None) -> str:
    """A time to the minute, UTC."""
    return f"{time:%Y-%m-%d %H:%M}" if time else ""


def _outcome(record: Deployment) -> str:
    """How it ended; what no script was run for says so itself."""
    words = {DeploymentKind.ASSIGN: "ASSIGNED", DeploymentKind.REVIEW: "REVIEW"}
    return words.get(record.kind, record.status.value)


def _split(records: Sequence[Deployment], reviewed: Container[str]) -> set[str]:
    """The claims of which not every region says the same."""
    first: dict[str, list[str]] = {}
    return {
        record.claim_id
        for record in records
        if (said := list(_remarks(record, reviewed))) != first.setdefault(record.claim_id, said)
    }


def _remarks(record: Deployment, reviewed: Container[str]) -> Iterator[str]:
    """What kind of deployment it was, if no common one; why it was made, and why it ended."""
    if record.reviews:
        yield f"of {record.reviews}"
    if said := f"{_KINDS.get(record.kind, '')}{record.reason or ''}".strip(": "):
        yield said
    if record.labels:
        yield f"label {', '.join(record.labels)}"
    if record.stop_requested and record.status.is_open:
        yield f"is asked to stop: {record.stop_requested}"
    if record.ended_by:
        yield record.ended_by
    if record.override:
        is_reviewed = record.deployment_id in reviewed or record.claim_id in reviewed
        yield f"override{' (reviewed)' if is_reviewed else ''}: {record.override.reason}"
