"""Why a move of an environment tag is none that ci-tasks makes: the rules of a ledger, told from outside.

What the ledger's own functions would have written is computed with these functions, and compared.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from ci_tasks.core.errors import UsageError
from ci_tasks.core.setting_values import LONGEST_LEASE
from ci_tasks.tag import kept, retention, soundness
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag.grammar import EnvironmentTag
from ci_tasks.tag.names import DeploymentKind, DeploymentStatus
from ci_tasks.tag.store import EnvironmentFact

if TYPE_CHECKING:
    from collections.abc import Container, Iterator
    from datetime import datetime

    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.model import Deployment

CLOCKS = kept.CLOCKS
"""How far the writer's clock may be from ours."""

AT_ONCE = frozenset({DeploymentKind.ASSIGN, DeploymentKind.REVIEW})
"""Kinds of records that are never open."""

_MAY_CHANGE = frozenset(
    {"lease_end", "stop_requested", "scripts_started", "queue_position", "estimated_wait_time"}
)
"""What a record may change while it runs."""
_STAYS_IN_QUEUE = (
    "claim_id",
    "nonce",
    "kind",
    "region",
    "subproject",
    "environment",
    "override",
    "run",
    "triggered_by",
    "concurrency_group",
)
"""All that a waiting record may not change: at its turn everything else is planned anew."""
_OF_CLOSED = ("completed_at", "seq", "prev", "digest", "ended_by")


def faults(
    old: Ledger | None,
    new: Ledger,
    *,
    old_id: str | None,
    old_target: str | None,
    new_target: str,
    now: datetime,
) -> list[str]:
    """Sentences that say why this move of an environment tag is none of ours; empty where it is one.

    `old_id` and `old_target` are the tag object that is replaced and the commit that it leads to: None where
    there is no tag. An `old` of None beside an `old_id` is a tag whose ledger can't be read, and that is
    adopted; whether it may be (a newer form must not) is the caller's to know. `now` is the observer's
    clock, from which the writer's may differ by a day. A ledger that was wrong before may go on: only what
    the move changes is judged.
    """
    begun = old or ledgers.empty(
        repository=new.header.repository,
        subproject=new.header.subproject or "",
        environment=new.header.environment,
        target=new.header.target,
    )
    found = [*_header_faults(begun, new, old_id), *_form_faults(new)]
    fresh = _fresh(begun, new)
    state = begun
    for record in reversed(fresh):
        more, state = _after(state, record)
        found += more
    found += _haste_faults(fresh, new)
    found += _open_faults(begun, new, {record.deployment_id for record in fresh}, now)
    full = msgspec.structs.replace(
        state, header=msgspec.structs.replace(state.header, regions=new.header.regions), open=new.open
    )
    found += kept.faults(full, new, now=now)
    found += _settlement_faults(ledgers.settle_target(full), new)
    found += _beginning_faults(new, is_adopted=old_id is not None) if old is None else []
    found += _target_faults(old, new, old_id, old_target, new_target)
    return found


def _header_faults(begun: Ledger, new: Ledger, old_id: str | None) -> Iterator[str]:
    before, after = begun.header, new.header
    # Written once, with the first tag: nobody's address of the remote replaces it.
    for name in ("schema", "repository", "subproject", "environment"):
        if getattr(before, name) != getattr(after, name):
            yield f"its header has another {name} than before"
    if after.replaces != old_id:
        said = f"the tag {after.replaces[:12]}" if after.replaces else "no tag"
        yield f"it says that it replaces {said}, but there is {old_id[:12] if old_id else 'none'}"


def _form_faults(new: Ledger) -> Iterator[str]:
    """What no ledger of ours says, whatever was there before."""
    try:
        soundness.check_header(new.header)
        soundness.check_records((*new.open, *new.closed))
    except (ValueError, UsageError) as error:
        yield f"it is no sound ledger: {error}".removesuffix(".")
    for record in new.open:
        if not record.status.is_open:
            yield f"{record.deployment_id} is {record.status.value}, but stands among the open records"
    for record in new.closed:
        if record.status.is_open:
            yield f"{record.deployment_id} is {record.status.value}, but stands among the closed records"
    header = new.header
    for record in (*new.open, *new.closed):
        if (record.subproject, record.environment) != (header.subproject, header.environment):
            yield f"{record.deployment_id} is of another subproject or environment"


def _fresh(begun: Ledger, new: Ledger) -> list[Deployment]:
    """The closed records that were not there before, newest first: they stand before all others."""
    known = {record.deployment_id for record in begun.closed}
    fresh: list[Deployment] = []
    for record in new.closed:
        if record.deployment_id in known:
            break
        fresh.append(record)
    return fresh


def _after(state: Ledger, record: Deployment) -> tuple[list[str], Ledger]:
    """What is wrong with one new closed record, and the ledger as it is with it."""
    name = record.deployment_id
    found: list[str] = []
    opened = next((one for one in state.open if one.deployment_id == name), None)
    if opened is None:
        found += _at_once_faults(state, record)
        opened = msgspec.structs.replace(
            record,
            status=DeploymentStatus.RUNNING,
            **dict.fromkeys(("lease_end", *_OF_CLOSED)),
        )
        state = msgspec.structs.replace(state, open=(*state.open, opened))
    elif opened.scripts_started and not record.scripts_started:
        found.append(f"{name} is closed as if none of its scripts had started, but one had")
    elif opened.status is DeploymentStatus.PENDING and record.status is DeploymentStatus.SUCCESS:
        found.append(f"{name} only waited, and is recorded as a success")
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


def _haste_faults(fresh: list[Deployment], new: Ledger) -> Iterator[str]:
    """A record is shrunk as soon as it is closed only where all older ones are as short as they get."""
    if not any(record.digest for record in fresh):
        return
    first = next(index for index, record in enumerate(new.closed) if record.digest)
    for record in new.closed[first:]:
        if len(ledgers.line(retention.shrink(record))) < len(ledgers.line(record)):
            yield f"{new.closed[first].deployment_id} was shortened before older ones"
            return


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
    elif not any(one.override for one in state.find(record.reviews or "")):
        yield f"{name} reviews {record.reviews}, which is no record with an override"


def _open_faults(begun: Ledger, new: Ledger, ended: Container[str], now: datetime) -> Iterator[str]:
    left = {one.deployment_id: one for one in begun.open if one.deployment_id not in ended}
    known = {one.deployment_id for one in begun.closed}
    for record in new.open:
        before = left.pop(record.deployment_id, None)
        if before is not None:
            yield from _changed_faults(before, record, now)
        elif record.deployment_id in known:
            yield f"{record.deployment_id} was closed, and is open again"
        else:
            yield from _new_faults(record, now)
    for record in left.values():
        if record.status is DeploymentStatus.RUNNING:
            yield f"{record.deployment_id} was running and is gone: nothing says how it ended"


def _changed_faults(before: Deployment, after: Deployment, now: datetime) -> Iterator[str]:
    name = before.deployment_id
    is_waiting = before.status is DeploymentStatus.PENDING
    wrong = [
        field
        for field in (_STAYS_IN_QUEUE if is_waiting else before.__struct_fields__)
        if field not in _MAY_CHANGE and getattr(before, field) != getattr(after, field)
    ]
    if wrong:
        yield f"{name} is open, and has another {', another '.join(_camel(field) for field in wrong)}"
    if before.scripts_started and not after.scripts_started:
        yield f"{name} takes back that its scripts have started"
    if before.stop_requested is not None and after.stop_requested is None:
        yield f"{name} takes back that it was asked to stop"
    if after.lease_end != before.lease_end or after.status is not before.status:
        yield from _lease_faults(after, now)
    yield from _closed_too_early(after)


def _new_faults(record: Deployment, now: datetime) -> Iterator[str]:
    name = record.deployment_id
    if record.kind in AT_ONCE:
        yield f"{name} is of the kind {record.kind.value}, which is never open"
    if record.scripts_started:
        yield f"{name} is new, and its scripts have started already"
    yield from _lease_faults(record, now)
    yield from _closed_too_early(record)


def _lease_faults(record: Deployment, now: datetime) -> Iterator[str]:
    if record.status is not DeploymentStatus.RUNNING:
        return
    if record.lease_end is None:
        yield f"{record.deployment_id} is running without a lease: it would never end"
    elif record.lease_end > now + timedelta(seconds=LONGEST_LEASE) + CLOCKS:
        yield f"{record.deployment_id} has a lease that is longer than any"


def _closed_too_early(record: Deployment) -> Iterator[str]:
    wrong = [field for field in _OF_CLOSED if getattr(record, field) is not None]
    if wrong:
        yield f"{record.deployment_id} is open, and has {', '.join(_camel(field) for field in wrong)}"


def _settlement_faults(due: Ledger, new: Ledger) -> Iterator[str]:
    expected, header = due.header, new.header
    if header.live != expected.live:
        keys = [
            key or header.environment
            for key in sorted({*expected.live, *header.live})
            if expected.live.get(key) != header.live.get(key)
        ]
        yield f"its live map does not follow from the records: {', '.join(keys)}"
    if header.settled != expected.settled:
        yield f"it says settled: {str(header.settled).lower()}, but its records say the contrary"
    if header.target != expected.target:
        yield (f"its target is {header.target[:12]}, but {expected.target[:12]} follows from what is live")


def _beginning_faults(new: Ledger, *, is_adopted: bool) -> Iterator[str]:
    """What a first tag, or the one after an unreadable one, does not have."""
    if new.header.cut is not None:
        yield "it begins, and says that older records were dropped"
    if any(record.kind is not DeploymentKind.ASSIGN for record in new.closed):
        yield "it begins with a closed record that is no assignment"
    if not (new.open or new.closed):
        yield "it begins without any record"
    elif new.header.target not in {record.commit_sha for record in (*new.open, *new.closed)}:
        yield f"it begins on {new.header.target[:12]}, which is the commit of none of its records"
    if is_adopted and (new.open or any(record.reason is None for record in new.closed)):
        yield "an unreadable tag is replaced by assignments with a reason, and by nothing else"


def _target_faults(
    old: Ledger | None, new: Ledger, old_id: str | None, old_target: str | None, new_target: str
) -> Iterator[str]:
    header = new.header
    tag = EnvironmentTag(subproject=header.subproject or "", environment=header.environment)
    before = EnvironmentFact(tag=tag, object_id=old_id, target=old_target, ledger=old)
    if new_target not in {header.target, before.commit_for(new)}:
        yield f"it stands on {new_target[:12]}, but its ledger says {header.target[:12]}"


def _differing(due: Deployment, record: Deployment) -> str:
    """The fields in which two records differ."""
    return ", ".join(
        _camel(field) for field in due.__struct_fields__ if getattr(due, field) != getattr(record, field)
    )


def _camel(field: str) -> str:
    """A field's name as the JSON has it."""
    first, *others = field.split("_")
    return first + "".join(part.capitalize() for part in others)
