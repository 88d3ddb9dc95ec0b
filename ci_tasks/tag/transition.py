"""Why a move of an environment tag is none that ci-tasks makes: the rules of a ledger, told from outside.

What the ledger's own functions would have written is computed with these functions, and compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ci_tasks.core.errors import UsageError
from ci_tasks.tag import annotation, closing, fresh, kept, limits, opened, soundness
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag.form import is_canonical
from ci_tasks.tag.grammar import EnvironmentTag
from ci_tasks.tag.names import DeploymentKind
from ci_tasks.tag.store import EnvironmentFact

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.model import Deployment


CLOCKS = fresh.CLOCKS
"""How far the writer's clock may be from ours."""


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
    too_many = list(limits.number_faults(begun, new))
    if too_many:
        return [*found, *too_many]  # what follows would judge thousands of records one by one
    closed = _closed(begun, new)
    found += _written_faults(begun, [*closed, *new.open])
    state = begun
    for record in reversed(closed):
        more, state = closing.after(state, record, regions=new.header.regions, now=now)
        found += more
    found += opened.faults(begun, new, ended={record.deployment_id for record in closed}, now=now)
    full = msgspec.structs.replace(
        state, header=msgspec.structs.replace(state.header, regions=new.header.regions), open=new.open
    )
    found += kept.faults(full, new, now=now)
    found += _size_faults(begun, new)
    found += _settlement_faults(ledgers.settle_target(full), new)
    found += _beginning_faults(new, is_adopted=old_id is not None) if old is None else []
    found += _target_faults(old, new, old_id, old_target, new_target)
    return found


def _written_faults(begun: Ledger, records: list[Deployment]) -> Iterator[str]:
    """What is wrong with the lines of records that may be new or changed."""
    before = {record.deployment_id: record for record in begun.open}
    for record in records:
        was = before.get(record.deployment_id)
        if was == record:
            continue
        if not is_canonical(ledgers.line(record)):
            yield f"{record.deployment_id} is not written as ci-tasks writes a record"
        if was is None or not any(limits.record_faults(was)):  # what was too large already may end
            yield from limits.record_faults(record)


def _size_faults(begun: Ledger, new: Ledger) -> Iterator[str]:
    """What is larger than anything that we write, unless it was so before and is less now."""
    size = annotation.size(new)
    if size > annotation.REFUSE_ABOVE and size >= annotation.size(begun):
        yield f"it is larger than 1 MiB ({size} bytes)"


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


def _closed(begun: Ledger, new: Ledger) -> list[Deployment]:
    """The closed records that were not there before, newest first: they stand before all others."""
    known = {record.deployment_id for record in begun.closed}
    found: list[Deployment] = []
    for record in new.closed:
        if record.deployment_id in known:
            break
        found.append(record)
    return found


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
    elif len(new.header.repository) > limits.LONGEST_TEXT:
        yield "the address of its repository is too long"
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
