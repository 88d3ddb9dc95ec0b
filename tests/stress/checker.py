"""Judges the history of a run: every promise of the protocol as a rule that names what broke it.

Nothing here reads or writes anything, and nothing of the program is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tests.stress import ledger_rules, operation_rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.stress.history import History


class Violation(NamedTuple):
    """A promise that was not kept."""

    rule: str
    what: str


RULES: dict[str, Callable[[History], Iterator[str]]] = {
    "overlap": operation_rules.overlap,
    "unclaimed": operation_rules.unclaimed,
    "twice": operation_rules.twice,
    "success": operation_rules.success,
    "truthful": operation_rules.truthful,
    "exit": operation_rules.exit_codes,
    "crash": operation_rules.crash,
    "untouched": operation_rules.untouched,
    "left-over": operation_rules.left_over,
    "late": operation_rules.late,
    "rebuilt": operation_rules.rebuilt,
    "chain": ledger_rules.chain,
    "lost": ledger_rules.lost,
    "target": ledger_rules.target,
    "authority": ledger_rules.authority,
    "takeover": ledger_rules.takeover,
    "broken": ledger_rules.broken,
    "queue": ledger_rules.queue,
}


def check(history: History) -> list[Violation]:
    """Everything that is wrong with it."""
    return [Violation(name, what) for name, rule in RULES.items() for what in rule(history)]
