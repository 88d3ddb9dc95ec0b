"""How large a ledger's parts may be: what our own program cuts, and what it accepts of others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ci_tasks.core.entity import canonical_json
from ci_tasks.tag import ledger as ledgers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.model import Deployment

LONGEST_LINE = 8 * 1024
"""Bytes of a record's line."""

LONGEST_TEXT = 1000
"""Characters of any text in a record."""

MOST_PLACES = 100
"""Regions of an environment, and so records that can be new in one move."""

_BEGINNING = LONGEST_LINE // 2
"""Bytes of a record when it is made: `endedBy`, `stopRequested` and its place in the chain are to come."""

_LONGEST_ENDING = 300
_STEPS = ((500, 20), (300, 20), (150, 10), (50, 3))
"""Characters of each text, and files that are named: less and less until the line is short enough."""


def shortened(text: str, longest: int = _LONGEST_ENDING) -> str:
    """The text with at most that many characters; what is missing at its end becomes an ellipsis."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def fitted(record: Deployment) -> Deployment:
    """A new record with texts so short that it stays within the limits until it is closed.

    Who signed an override, and the names of the subproject and the environment, are never cut.
    """
    for longest, names in _STEPS:
        made = _cut(record, longest, names)
        if len(canonical_json(made)) <= _BEGINNING:
            break
    return made


def _cut(record: Deployment, longest: int, names: int) -> Deployment:
    run, override = record.run, record.override
    return msgspec.structs.replace(
        record,
        triggered_by=shortened(record.triggered_by, longest),
        reason=None if record.reason is None else shortened(record.reason, longest),
        host=None if record.host is None else shortened(record.host, longest),
        override=override and msgspec.structs.replace(override, reason=shortened(override.reason, longest)),
        run=run
        and msgspec.structs.replace(
            run,
            id=shortened(run.id, longest),
            job=shortened(run.job, longest),
            repository=shortened(run.repository, longest),
            url=None if run.url is None else shortened(run.url, longest),
        ),
        # Of a long path the end says more than the beginning.
        uncommitted=tuple(
            path if len(path) <= longest else f"…{path[1 - longest :]}" for path in record.uncommitted[:names]
        ),
    )


def record_faults(record: Deployment) -> Iterator[str]:
    """What is too large in a record that is new or was changed."""
    size = len(ledgers.line(record))
    if size > LONGEST_LINE:
        yield f"{record.deployment_id} is a line of {size} bytes, and {LONGEST_LINE} are the most"
    elif any(len(text) > LONGEST_TEXT for text in _texts(msgspec.to_builtins(record))):
        yield f"{record.deployment_id} has a text of more than {LONGEST_TEXT} characters"


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _texts(each)


def number_faults(before: Ledger, after: Ledger) -> Iterator[str]:
    """Too many regions, or too many records that are new, in one move."""
    regions = after.header.regions
    if regions != before.header.regions and len(regions) > MOST_PLACES:
        yield f"it has {len(regions)} regions, and an environment has at most {MOST_PLACES}"
    known = {record.deployment_id for record in (*before.open, *before.closed)}
    new = sum(record.deployment_id not in known for record in (*after.open, *after.closed))
    if new > MOST_PLACES:
        yield f"{new} of its records are new, and one move brings at most {MOST_PLACES}"
