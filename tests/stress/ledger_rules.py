"""Rules on the chain of an environment tag's objects: what is written, by whom, and when."""

from __future__ import annotations

import hashlib
import json
from math import inf
from typing import TYPE_CHECKING

from tests.stress.history import Live, overlaps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.stress.history import History, Move, Operation, Record, State

Step = tuple["State | None", "Move"]


def steps(history: History, tag: str) -> Iterator[Step]:
    """Every move of a tag with the state before it."""
    before: State | None = None
    for move in history.moves[tag]:
        yield before, move
        before = move.state


def of_operation(records: Iterable[Record], operation: Operation) -> list[Record]:
    """Those that an operation made."""
    return [record for record in records if record.by == operation.name]


def broken_at(history: History, tag: str, deployment: str) -> float:
    """Where in the order somebody else closed a record; infinity if nobody did."""
    for before, move in steps(history, tag):
        was_open = {record.deployment for record in before.open} if before else set()
        for record in move.state.closed:
            if record.deployment == deployment and deployment in was_open and record.by != move.author:
                return move.position
    return inf


# --- what is written


def chain(history: History) -> Iterator[str]:
    """Closed records have numbers without a gap, name the bytes of the next older one, and never change."""
    for tag in history.moves:
        for before, move in steps(history, tag):
            for fault in (*_chain_faults(move.state), *_kept_faults(before, move)):
                yield f"{tag} at {move.new[:12]}: {fault}"


def _chain_faults(state: State) -> Iterator[str]:
    names = [record.deployment for record in state.records]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{name} is there twice"
    due, previous = state.cut + 1, None
    for record in reversed(state.closed):
        if (record.seq or 0) <= state.cut:
            continue
        if record.seq != due:
            yield f"{record.deployment} has number {record.seq} where {due} is due"
        if (previous is not None or not state.cut) and record.prev != previous:
            yield f"{record.deployment} does not name the record before it"
        due, previous = due + 1, _digest(record)


def _kept_faults(before: State | None, move: Move) -> Iterator[str]:
    if move.state.replaces != move.old:
        yield f"it says that it replaced {move.state.replaces}"
    there = {record.deployment: record for record in move.state.records}
    for record in before.records if before else ():
        now = there.get(record.deployment)
        if record.is_open and now is None:
            if not (record.status == "PENDING" and record.by == move.author):
                yield f"{record.deployment} was {record.status} and has vanished"
        elif not record.is_open and now is None and (record.seq or 0) > move.state.cut:
            yield f"{record.deployment} was closed and has vanished"
        elif not record.is_open and now is not None and now.line != record.line and now.digest is None:
            yield f"{record.deployment} was closed and has changed"


def _digest(record: Record) -> str:
    return record.digest or hashlib.sha256(record.line.encode()).hexdigest()


def lost(history: History) -> Iterator[str]:
    """Nothing that was committed is overwritten by somebody who had not seen it."""
    for tag, new in history.lost:
        yield f"{tag}: {new[:12]} was committed, and what came after did not follow on it"


def target(history: History) -> Iterator[str]:
    """The live map follows from the closed records; the target moves where every region's success is one."""
    for tag in history.moves:
        for before, move in steps(history, tag):
            state = move.state
            live = _live_after(before, state)
            if live != state.live:
                yield f"{tag} at {move.new[:12]}: the live map is {state.live}, and should be {live}"
            commits = {live[key].commit if key in live else None for key in state.regions or ("",)}
            (common,) = commits if len(commits) == 1 else (None,)
            due = common or (before.target if before else state.records[0].commit)
            if (state.target, state.settled) != (due, common is not None) or move.peeled != due:
                yield f"{tag} at {move.new[:12]}: the target is {move.peeled}, and should be {due}"


def _live_after(before: State | None, state: State) -> dict[str, Live]:
    known = {record.deployment for record in before.closed} if before else set()
    live = dict(before.live) if before else {}
    for record in reversed(state.closed):
        key = record.region or ""
        if record.deployment in known or record.kind == "review":
            continue
        if record.status == "SUCCESS":
            live[key] = Live(
                version=record.version,
                commit=record.commit,
                deployment=record.deployment,
                uncertain=False,
            )
        elif record.scripts_started:
            was = live.get(key)
            live[key] = Live(
                version=was.version if was else None,
                commit=was.commit if was else None,
                deployment=was.deployment if was else None,
                uncertain=True,
            )
    return live


# --- by whom, and when


def authority(history: History) -> Iterator[str]:
    """Everybody writes records of his own; of others' he asks for a stop, or cancels."""
    for tag in history.moves:
        for before, move in steps(history, tag):
            known = {record.deployment: record for record in before.open} if before else {}
            closed = {record.deployment for record in before.closed} if before else set()
            for record in move.state.records:
                if record.deployment in closed or record.by == move.author:
                    continue
                name = f"{tag}: {move.author} wrote {record.deployment} of {record.by}"
                was = known.get(record.deployment)
                if was is None:
                    yield f"{name}, which was not there"
                elif record.is_open and _without_request(record) != _without_request(was):
                    yield f"{name} and changed more than a request to stop"
                elif not record.is_open and record.status != "CANCELLED":
                    yield f"{name} and closed it as {record.status}"


def _without_request(record: Record) -> object:
    return {name: value for name, value in json.loads(record.line).items() if name != "stopRequested"}


def takeover(history: History) -> Iterator[str]:
    """Who is not asked to end a claim ends none, but a re-run its own, or one whose lease is long over."""
    for tag in history.moves:
        for before, move in steps(history, tag):
            known = {record.deployment: record for record in before.open} if before else {}
            for record in move.state.closed:
                was = known.get(record.deployment)
                operation = history.operations.get(move.author)
                if was is None or record.by == move.author or operation is None:
                    continue
                if operation.kind in {"unlock", "cancel"}:
                    continue
                if operation.run is not None and operation.run == was.run and operation.attempt > was.attempt:
                    continue
                early = _free(history, was) - move.at
                if early > 0:
                    yield f"{tag}: {move.author} took {record.deployment} over {early:.1f} s too early"


def broken(history: History) -> Iterator[str]:
    """An owner whose whole claim was ended by somebody else writes nothing there afterwards."""
    for tag in history.moves:
        ended: dict[str, str] = {}
        for before, move in steps(history, tag):
            if move.author in ended:
                yield f"{tag}: {move.author} wrote after {ended[move.author]} had been ended by somebody else"
            was_open = {record.deployment for record in before.open} if before else set()
            still = {record.by for record in move.state.open}
            for record in move.state.closed:
                if record.deployment in was_open and record.by != move.author and record.by not in still:
                    ended.setdefault(record.by, record.deployment)


def queue(history: History) -> Iterator[str]:
    """Nobody begins before those who wait for the same place longer, unless they let it stand free."""
    for tag in history.moves:
        since: dict[str, float] = {}
        for before, move in steps(history, tag):
            known = before.open if before else ()
            waiting = [record for record in known if record.status == "PENDING"]
            running = {record.deployment for record in known if record.status == "RUNNING"}
            taken = [record for record in move.state.open if record.status == "RUNNING"]
            for record in taken:
                passed = _passed(history, record, waiting, since, move)
                if record.deployment not in running:
                    yield from (f"{tag}: {record.deployment} began before {name}" for name in passed)
            for record in move.state.open:
                held = [_free(history, other) for other in taken if overlaps(record.region, other.region)]
                known_since = since.get(record.deployment, inf)
                since[record.deployment] = max(held) if held else min(known_since, move.at)


def _passed(
    history: History, record: Record, waiting: list[Record], since: dict[str, float], move: Move
) -> Iterator[str]:
    """Those who waited before a record, were alive, and had not let the place stand free for long."""
    for other in waiting:
        if other.by == record.by:
            return  # the rest came after it
        operation = history.operations.get(other.by)
        is_dead = operation is None or (operation.ended is not None and operation.ended < move.position)
        is_over = move.at >= _free(history, other)
        is_patient = move.at - since.get(other.deployment, inf) >= history.patience - 1
        if overlaps(other.region, record.region) and not (is_dead or is_over or is_patient):
            yield other.deployment


def _free(history: History, record: Record) -> float:
    """When others may go on as if an open record were not there, by the best of wrong clocks."""
    return inf if record.lease_end is None else record.lease_end + history.grace - history.skew - 1
