"""Reads what a run left behind: its journal, and every object that its environment tags ever were."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple

from tests.repositories import git
from tests.stress.history import History, Move, Offer, Operation, ScriptRun, State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.stress.arena import Arena

PREFIX = "refs/tags/"
_OBJECT = re.compile(
    r"object (?P<target>\w+)\n.*?\ntagger (?P<author>[^<]*) <.*?\n\n(?P<message>.*)", re.DOTALL
)


class _Swap(NamedTuple):
    """One ref's change as the remote's hooks saw it."""

    ref: str
    old: str
    new: str


def read(arena: Arena, *, skew: float, grace: float, patience: float) -> History:
    """The history of what took place there."""
    lines = [line.split(" ") for line in arena.journal.read_text(encoding="utf-8").splitlines()]
    moves, lost = _moves(arena, lines)
    return History(
        operations=_operations(lines),
        scripts=tuple(_scripts(lines)),
        moves=moves,
        offers=tuple(
            Offer(operation=name, fault=fault, tag=ref.removeprefix(PREFIX), old=old, new=new, position=at)
            for at, (word, *rest) in enumerate(lines)
            if word == "offer"
            for name, fault, ref, old, new in [rest]
        ),
        lost=lost,
        skew=skew,
        grace=grace,
        patience=patience,
    )


def _operations(lines: list[list[str]]) -> dict[str, Operation]:
    ends = {rest[0]: (at, rest[1]) for at, (word, *rest) in enumerate(lines) if word == "operation-end"}
    found = {}
    for at, (word, *rest) in enumerate(lines):
        if word != "operation-start":
            continue
        name, *words = rest
        given = json.loads(" ".join(words))
        given["asked"] = tuple(given["asked"])
        ended, status = ends.get(name, (None, ""))
        found[name] = Operation(
            name=name, began=at, ended=ended, status=int(status) if status else None, **given
        )
    return found


def _scripts(lines: list[list[str]]) -> Iterable[ScriptRun]:
    ends = {rest[0]: (at, rest[1]) for at, (word, *rest) in enumerate(lines) if word == "script-end"}
    for at, (word, *rest) in enumerate(lines):
        if word == "script-start":
            deployment, tag, region, version = rest
            ended, outcome = ends.get(deployment, (None, None))
            yield ScriptRun(
                deployment=deployment,
                tag=tag,
                region=None if region == "-" else region,
                version=version,
                began=at,
                ended=ended,
                outcome=outcome,
            )


def _moves(
    arena: Arena, lines: list[list[str]]
) -> tuple[dict[str, tuple[Move, ...]], tuple[tuple[str, str], ...]]:
    """Each tag's chain, from what it is now back to its first object; and what was committed beside it."""
    began: dict[_Swap, tuple[int, float]] = {}
    committed: set[_Swap] = set()
    for at, (word, *rest) in enumerate(lines):
        if word in {"prepared", "committed"}:
            time, *names = rest
            swap = _Swap(*names)
            if swap not in committed:
                began[swap] = (at, float(time)) if word == "prepared" else began[swap]
            if word == "committed":
                committed.add(swap)
    moves: dict[str, tuple[Move, ...]] = {}
    refs = git("for-each-ref", "--format=%(refname) %(objectname)", PREFIX, cwd=arena.remote).splitlines()
    for ref, newest in (line.split(" ") for line in refs):
        if any(swap.ref == ref for swap in began):
            moves[ref.removeprefix(PREFIX)] = tuple(reversed(list(_chain(arena, ref, newest, began))))
    known = {move.new for chain in moves.values() for move in chain}
    beside = {(swap.ref.removeprefix(PREFIX), swap.new) for swap in committed if swap.new not in known}
    return moves, tuple(sorted(beside))


def _chain(
    arena: Arena, ref: str, newest: str | None, began: dict[_Swap, tuple[int, float]]
) -> Iterable[Move]:
    """A tag's objects, newest first, as each names the one that it replaced."""
    while newest is not None:
        text = git("cat-file", "tag", newest, cwd=arena.remote)
        content = _OBJECT.match(text)
        assert content, text
        state = State.read(content["message"])
        old = state.replaces
        position, at = began.get(_Swap(ref, old or "0" * len(newest), newest), (0, 0.0))
        yield Move(
            tag=ref.removeprefix(PREFIX),
            position=position,
            at=at,
            author=content["author"],
            old=old,
            new=newest,
            peeled=content["target"],
            state=state,
        )
        newest = old
