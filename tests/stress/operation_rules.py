"""Rules on what was typed and what ran: exit codes tell the truth, and scripts run once and alone."""

from __future__ import annotations

from itertools import combinations
from math import inf
from typing import TYPE_CHECKING

from tests.stress.history import NEVER_KNOWN, overlaps
from tests.stress.ledger_rules import broken_at, of_operation, steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stress.history import History, Operation, Record, Region, ScriptRun, State

TELLS_OF_SUCCESS = NEVER_KNOWN | {0, 7}
EXPECTED = frozenset({0, 1, 2, 3, 4, 5, 6, 7, 124, 130, 143})
CHANGED_NOTHING = frozenset({2, 3, 4, 5})
ALL_IS_RECORDED = frozenset({0, 2, 4, 124})


def overlap(history: History) -> Iterator[str]:
    """No two scripts run for one place at once, unless the first one's claim was broken before."""
    for one, other in combinations(sorted(history.scripts, key=lambda run: run.began), 2):
        if one.tag != other.tag or one.deployment == other.deployment:
            continue
        if not overlaps(one.region, other.region) or _end(history, one) < other.began:
            continue
        if broken_at(history, one.tag, one.deployment) > other.began:
            yield f"{one.tag} {one.region}: {other.deployment} ran while {one.deployment} was running"


def unclaimed(history: History) -> Iterator[str]:
    """A script runs only after its record was there, and for what its record says."""
    for run in history.scripts:
        states = (move.state for move in history.moves.get(run.tag, ()) if move.position < run.began)
        claims = [
            record
            for state in states
            for record in state.open
            if record.deployment == run.deployment and record.status == "RUNNING"
        ]
        if not claims:
            yield f"{run.tag}: {run.deployment} ran without a claim"
        elif (claims[-1].region, claims[-1].version) != (run.region, run.version):
            yield f"{run.tag}: {run.deployment} ran as {run.version} in {run.region}, not as it claimed"


def twice(history: History) -> Iterator[str]:
    """Nothing runs twice."""
    seen: set[str] = set()
    for run in history.scripts:
        if run.deployment in seen:
            yield f"{run.tag}: the script of {run.deployment} ran twice"
        seen.add(run.deployment)


def success(history: History) -> Iterator[str]:
    """Exit 0: each region that was asked for has exactly one success of it, or had the version already."""
    for operation in _deploying(history):
        if operation.status != 0:
            continue
        mine = _records(history, operation)
        for region in operation.asked:
            there = [record for record in mine if record.region == region and record.status != "PENDING"]
            count = sum(record.status == "SUCCESS" for record in there)
            if count != 1 and (there or not _had_it(history, operation, region)):
                yield f"{operation.name} ended with 0 and has {count} successes in {region}"


def truthful(history: History) -> Iterator[str]:
    """A success is recorded only after its script ended well."""
    done = {run.deployment: run.ended for run in history.scripts if run.outcome == "done"}
    for tag in history.moves:
        for before, move in steps(history, tag):
            for record in _newly_closed(before, move.state):
                if record.status != "SUCCESS" or record.kind not in {"deploy", "rollback", "promote"}:
                    continue
                if (done.get(record.deployment) or inf) > move.position:
                    yield f"{tag}: {record.deployment} is a success, and its script had not ended well"


def exit_codes(history: History) -> Iterator[str]:
    """A success in the ledger: whoever made it ended with 0, 6, 7, 130, 143 or was killed.

    Or with 1, if it went back from it itself: then all is as before.
    """
    for tag, moves in history.moves.items():
        for record in moves[-1].state.closed if moves else ():
            operation = history.operations.get(record.by)
            if operation is None:
                yield f"{tag}: nobody typed what made {record.deployment}"
                continue
            is_told = operation.was_killed or operation.status in TELLS_OF_SUCCESS
            is_undone = operation.status == 1 and _went_back(record, moves[-1].state)
            if (record.status, record.kind) == ("SUCCESS", operation.kind) and not (is_told or is_undone):
                yield f"{operation.name} ended with {operation.status}: {record.deployment} is a success"


def crash(history: History) -> Iterator[str]:
    """Every end is one of those that the manual names, and none is a bug."""
    for operation in history.operations.values():
        if not operation.was_killed and operation.status not in EXPECTED:
            yield f"{operation.name} ended with {operation.status}"


def untouched(history: History) -> Iterator[str]:
    """Exits 2, 3, 4 and 5 without a claim: no script ran, no target moved, and no record was changed.

    Who waits may close what is long over when it joins, as those do who claim.
    """
    for operation in history.operations.values():
        if operation.status not in CHANGED_NOTHING or _ever_ran(history, operation):
            continue
        name = f"{operation.name} ended with {operation.status}"
        ids = {record.deployment for record in _records(history, operation)}
        if any(run.deployment in ids for run in history.scripts):
            yield f"{name}, and its script ran"
        for tag in history.moves:
            for before, move in steps(history, tag):
                if move.author != operation.name:
                    continue
                if before is None or before.target != move.peeled:
                    yield f"{name}, and moved {tag}"
                elif not ids and before.records != move.state.records:
                    yield f"{name}, and changed the records of {tag}"


def left_over(history: History) -> Iterator[str]:
    """Who knows how it ended leaves no claim behind.

    Where pushes go wrong a result may be refused (exit 1 then, or 4 where somebody asked it to stop besides)
    and a place in the queue be left behind.
    """
    for operation in history.operations.values():
        moves = history.moves.get(operation.tag, ())
        before = [move for move in moves if operation.ended is not None and move.position < operation.ended]
        may_be_refused = operation.faulty and operation.status in {1, 4}
        is_recorded = operation.status in {1, *ALL_IS_RECORDED} and not may_be_refused
        if not before or not is_recorded:
            continue
        for record in of_operation(before[-1].state.open, operation):
            if record.status == "RUNNING" or not operation.faulty:
                name = f"{operation.name} ended with {operation.status}"
                yield f"{name}: {record.deployment} is {record.status}"


def late(history: History) -> Iterator[str]:
    """Who says that it is over writes nothing after its end."""
    for moves in history.moves.values():
        for move in moves:
            operation = history.operations.get(move.author)
            if operation is None:
                yield f"{move.tag}: nobody typed what moved it to {move.new}"
            elif operation.was_killed or operation.status in NEVER_KNOWN:
                continue
            elif operation.ended is not None and move.position > operation.ended:
                yield f"{operation.name} ended with {operation.status} and moved {move.tag} after that"


def rebuilt(history: History) -> Iterator[str]:
    """After a push without an answer the same object is pushed again, as long as the old one stands."""
    doubtful: dict[tuple[str, str, str], str] = {}
    for offer in sorted(history.offers, key=lambda offer: offer.position):
        key = (offer.operation, offer.tag, offer.old)
        if doubtful.get(key, offer.new) != offer.new:
            yield f"{offer.operation} offered {offer.tag} another object after a push without an answer"
        if offer.fault in {"lost", "late", "later"}:
            doubtful[key] = offer.new


def _end(history: History, run: ScriptRun) -> float:
    """Where a script ended; one that did not say so ended with its owner at the latest."""
    if run.ended is not None:
        return run.ended
    for moves in history.moves.values():
        for move in reversed(moves):
            for record in move.state.records:
                if record.deployment == run.deployment and record.by in history.operations:
                    ended = history.operations[record.by].ended
                    return inf if ended is None else ended
    return inf


def _deploying(history: History) -> Iterator[Operation]:
    return (operation for operation in history.operations.values() if operation.deploys)


def _records(history: History, operation: Operation) -> list[Record]:
    """The newest form of every record that an operation ever had in any tag."""
    found: dict[str, Record] = {}
    for moves in history.moves.values():
        for move in moves:
            found |= {record.deployment: record for record in of_operation(move.state.records, operation)}
    return list(found.values())


def _ever_ran(history: History, operation: Operation) -> bool:
    """Whether it ever held a claim."""
    return any(
        record.status == "RUNNING"
        for moves in history.moves.values()
        for move in moves
        for record in of_operation(move.state.open, operation)
    )


def _went_back(record: Record, state: State) -> bool:
    """Whether the same operation has rolled a success back."""
    return any(
        other.by == record.by
        and other.region == record.region
        and (other.kind, other.status) == ("rollback", "SUCCESS")
        and (other.seq or 0) > (record.seq or 0)
        for other in state.closed
    )


def _had_it(history: History, operation: Operation, region: Region) -> bool:
    """Whether the version was live there, for sure, at some time between start and end.

    A rollback never finds that there is nothing to do.
    """
    if operation.kind == "rollback":
        return False
    moves = history.moves.get(operation.tag, ())
    end = inf if operation.ended is None else operation.ended
    earlier = [move for move in moves if move.position < operation.began][-1:]
    during = [move for move in moves if operation.began < move.position < end]
    for move in (*earlier, *during):
        live = move.state.live.get(region or "")
        if live and not live.uncertain and operation.version in (None, live.version):
            return True
    return False


def _newly_closed(before: State | None, state: State) -> list[Record]:
    known = {record.deployment for record in before.closed} if before else set()
    return [record for record in state.closed if record.deployment not in known]
