"""Records of a ledger as tables for people: in `deploy.history`, and in `tag.show`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_tasks.core import console
from ci_tasks.core.columns import REGION, used
from ci_tasks.tag.names import DeploymentKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from ci_tasks.tag.model import Deployment


def records_text(records: Sequence[Deployment], *, title: str = "Deployment") -> str:
    """The records in the order given; below them, on as many lines as they need, the reasons of some.

    A record has the time at which it ended; while it is open, that at which it began.
    """
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
    reasons = dict.fromkeys(
        (record.claim_id, "; ".join(said)) for record in records if (said := list(_reasons(record)))
    )
    tables = [console.table(*used(columns, rows)).rstrip("\n")]
    if reasons:
        tables.append(console.table((title, "Why"), list(reasons)).rstrip("\n"))
    return "\n\n".join(tables)


def minute(time: datetime | None) -> str:
    """A time to the minute, UTC."""
    return f"{time:%Y-%m-%d %H:%M}" if time else ""


def _outcome(record: Deployment) -> str:
    """How it ended; what no script was run for says so itself."""
    words = {DeploymentKind.ASSIGN: "ASSIGNED", DeploymentKind.REVIEW: "REVIEW"}
    return words.get(record.kind, record.status.value)


def _reasons(record: Deployment) -> Iterator[str]:
    if record.reviews:
        yield f"of {record.reviews}"
    if record.ended_by or record.reason:
        yield record.ended_by or record.reason or ""
    if record.override:
        yield f"override: {record.override.reason}"
