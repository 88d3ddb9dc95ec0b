"""What a move of an environment tag may do to the records that are open."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from ci_tasks.core.setting_values import LONGEST_LEASE
from ci_tasks.tag import queue
from ci_tasks.tag.closing import OF_CLOSED
from ci_tasks.tag.fresh import AT_ONCE, CLOCKS, camel, new_faults, place_faults
from ci_tasks.tag.names import DeploymentStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from collections.abc import Set as AbstractSet
    from datetime import datetime

    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.model import Deployment

_MAY_CHANGE = frozenset(
    {"lease_end", "stop_requested", "scripts_started", "queue_position", "estimated_wait_time"}
)
"""What a record may change while it runs."""
_AT_ITS_TURN = frozenset({"status", "started_at", "host", "commits", "inputs", "uncommitted", "override"})
"""What a waiting record may change besides: from where and with what it is run is found out at its turn.

An override that is not needed any more may go then, and no other may come.
"""


_WHILE_IT_WAITS = frozenset({"lease_end", "started_at", "scripts_started"})
"""What is judged by itself where a record goes on waiting; all else stays as it is."""
_READING = timedelta(minutes=1)
"""How much later than it began a waiting record may have been given the end of its wait."""


def faults(begun: Ledger, new: Ledger, *, ended: AbstractSet[str], now: datetime) -> Iterator[str]:
    """What is wrong with the open records; `ended` are those that the move closes."""
    left = {one.deployment_id: one for one in begun.open if one.deployment_id not in ended}
    known = {one.deployment_id for one in begun.closed}
    claims = {one.claim_id for one in (*begun.open, *begun.closed)}
    nonces = {one.nonce for one in begun.open}
    for record in new.open:
        before = left.pop(record.deployment_id, None)
        if before is not None:
            yield from _changed_faults(before, record, new.header.regions, now)
        elif record.deployment_id in known:
            yield f"{record.deployment_id} was closed, and is open again"
        else:
            yield from new_faults(new, record, now=now)
            yield from place_faults(record, new.header.regions)
            yield from _new_faults(record, now)
            if record.nonce is not None and record.nonce in nonces:
                yield f"{record.deployment_id} is new, and its nonce is somebody else's"
            if record.claim_id in claims:
                yield f"{record.deployment_id} is new, and its claim is an older one"
    for record in left.values():
        if record.status is DeploymentStatus.RUNNING:
            yield f"{record.deployment_id} was running and is gone: nothing says how it ended"
    yield from _queue_faults(begun, new, left, ended)


def _queue_faults(
    begun: Ledger, new: Ledger, left: Mapping[str, Deployment], ended: AbstractSet[str]
) -> Iterator[str]:
    """Who waits stays in order, and takes a turn whole; newcomers are last; who leaves does nothing else."""
    before = [record.deployment_id for record in queue.waiting(begun)]
    after = [record.deployment_id for record in queue.waiting(new)]
    staying = [name for name in before if name in after]
    if after[: len(staying)] != staying and after != _with_reruns(begun, new, ended):
        yield f"the order in which {', '.join(staying[:3])} wait is another than before"
    still = {record.claim_id for record in queue.waiting(new)}
    for record in new.open:
        if record.deployment_id in before and record.deployment_id not in after and record.claim_id in still:
            yield f"{record.deployment_id} runs, while the rest of its claim goes on waiting"
    gone = [record for record in left.values() if record.status is DeploymentStatus.PENDING]
    if not gone:
        return
    claims = {record.claim_id for record in gone}
    others = [record for record in begun.open if record.deployment_id not in left]
    is_alone = len(claims) == 1 and not any(record.claim_id in claims for record in queue.waiting(new))
    same = list(new.open) == others and new.header.regions == begun.header.regions
    if not is_alone or not same or ended:
        yield f"{gone[0].deployment_id} waited and is gone, beside other changes: nothing says why"


def _with_reruns(begun: Ledger, new: Ledger, ended: AbstractSet[str]) -> list[str]:
    """Who waits, where each CI job that was run again has the place of its earlier attempt, which ends."""
    known = {record.claim_id for record in begun.open}
    fresh: dict[str, list[Deployment]] = {}
    for record in queue.waiting(new):
        if record.claim_id not in known:
            fresh.setdefault(record.claim_id, []).append(record)
    going = {one.claim_id for one in begun.open if one.deployment_id in ended}
    going -= {one.claim_id for one in begun.open if one.deployment_id not in ended}
    found: list[str] = []
    for record in queue.waiting(begun):
        if record.claim_id in going:
            again = [claim for claim, records in fresh.items() if queue.is_rerun(begun, record, records)]
            found += [one.deployment_id for claim in again for one in fresh.pop(claim)]
        elif record.deployment_id not in ended:
            found.append(record.deployment_id)
    return [*found, *(one.deployment_id for records in fresh.values() for one in records)]


def _changed_faults(
    before: Deployment, after: Deployment, regions: tuple[str, ...], now: datetime
) -> Iterator[str]:
    name = before.deployment_id
    is_waiting = before.status is DeploymentStatus.PENDING
    is_its_turn = is_waiting and after.status is DeploymentStatus.RUNNING
    may_change = _MAY_CHANGE | _AT_ITS_TURN if is_its_turn else _WHILE_IT_WAITS if is_waiting else _MAY_CHANGE
    wrong = [
        field
        for field in before.__struct_fields__
        if field not in may_change and getattr(before, field) != getattr(after, field)
    ]
    if wrong:
        yield f"{name} is open, and has another {', another '.join(camel(field) for field in wrong)}"
    if is_waiting:
        yield from place_faults(after, regions)
        yield from _waiter_faults(before, after, now, is_its_turn=is_its_turn)
    if before.scripts_started and not after.scripts_started:
        yield f"{name} takes back that its scripts have started"
    if before.stop_requested is not None and after.stop_requested is None:
        yield f"{name} takes back that it was asked to stop"
    if after.lease_end != before.lease_end or after.status is not before.status:
        yield from _lease_faults(after, now)
    is_shorter = before.lease_end and (after.lease_end is None or after.lease_end < before.lease_end)
    if is_shorter and not is_its_turn:  # what it had was the end of its wait
        yield f"{name} has a lease that ends earlier than before"
    yield from _closed_too_early(after)


def _waiter_faults(
    before: Deployment, after: Deployment, now: datetime, *, is_its_turn: bool
) -> Iterator[str]:
    """What is wrong with a record that waited before the move, and is open after it."""
    name = before.deployment_id
    if is_its_turn and after.override not in (None, before.override):
        yield f"{name} is open, and has another override"
    if not is_its_turn and after.lease_end != before.lease_end:
        yield f"{name} only waits, and until another time than before"
    if after.started_at != before.started_at and not (is_its_turn and _is_later(before, after, now)):
        yield f"{name} has another startedAt, and its turn can't have come then"
    if after.scripts_started:
        yield f"{name} only waited, and its scripts have started already"


def _new_faults(record: Deployment, now: datetime) -> Iterator[str]:
    name = record.deployment_id
    if record.kind in AT_ONCE:
        yield f"{name} is of the kind {record.kind.value}, which is never open"
    if record.scripts_started:
        yield f"{name} is new, and its scripts have started already"
    yield from _lease_faults(record, now)
    yield from _closed_too_early(record)
    if record.status is DeploymentStatus.PENDING:
        yield from _waiting_faults(record)


def _waiting_faults(record: Deployment) -> Iterator[str]:
    name = record.deployment_id
    if record.kind not in queue.WAIT:
        yield f"{name} is of the kind {record.kind.value}, which never waits"
    if record.lease_end is not None and record.lease_end > record.started_at + queue.LONGEST_WAIT + _READING:
        yield f"{name} has a wait that is longer than any"
    if (record.queue_position or 0) < 1 or (record.estimated_wait_time or 0) < 0:
        yield f"{name} waits in a place that there is not"


def _is_later(before: Deployment, after: Deployment, now: datetime) -> bool:
    """Whether a turn can have come when the record says."""
    return before.started_at < after.started_at and abs(after.started_at - now) <= CLOCKS


def _lease_faults(record: Deployment, now: datetime) -> Iterator[str]:
    if record.status is DeploymentStatus.RUNNING:
        words, longest = ("is running", "lease"), timedelta(seconds=LONGEST_LEASE)
    else:
        words, longest = ("waits", "wait"), queue.LONGEST_WAIT
    if record.lease_end is None:
        yield f"{record.deployment_id} {words[0]} without a lease: it would never end"
    elif record.lease_end > now + longest + CLOCKS:
        yield f"{record.deployment_id} has a {words[1]} that is longer than any"


def _closed_too_early(record: Deployment) -> Iterator[str]:
    wrong = [field for field in OF_CLOSED if getattr(record, field) is not None]
    if wrong:
        yield f"{record.deployment_id} is open, and has {', '.join(camel(field) for field in wrong)}"
