"""A program's tree on Linux: found in /proc, its orphans adopted and reaped."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING

from ci_tasks.core.process.spawned import is_registered, table_lock
from ci_tasks.core.process.subreaper import childless
from ci_tasks.core.process.table import environment_of, look, newest_first, send

if TYPE_CHECKING:
    import signal

    from ci_tasks.core.process.table import Process

MARKER = "CI_TASKS_RUN"  # environment variable: the run (and the runs around it) that a process belongs to
_ROUNDS = 20  # looks at a table that changes all the time, before we take what we have seen

_active: list[ProcTree] = []


class ProcTree:
    """The tree is read from /proc; we are the parent of its orphans.

    An orphan is known by its marker, by its session, or by having been seen in the tree before. One that
    has shed all of these is a child of ours that nobody registered; as long as another program runs it might
    be that one's, so the last to end takes it.
    """

    def __init__(self, adopters: frozenset[int]) -> None:
        self.adopters = adopters
        self._mark = secrets.token_hex(16)
        # A run inside a script of another run belongs to both.
        around = os.environ.get(MARKER)
        self.environment = {MARKER: f"{around}:{self._mark}" if around else self._mark}
        self.main: int | None = None
        self.since: float = inf
        self.ending = False
        self._sessions: set[int] = set()
        self._seen: set[tuple[int, int]] = set()

    def begin(self, pid: int) -> None:
        """See Tree. Must be called before the program is reaped."""
        with table_lock:
            main = look(pid)
            started = main.started if main else 0
            self.main = pid
            self._sessions.add(pid)  # the program leads it
            self.since = min((tree.since for tree in _active), default=started)
            _active.append(self)

    def reap(self) -> None:
        """See Tree. Stops at a dead child that somebody else waits for."""
        with table_lock, suppress(ChildProcessError):
            while dead := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                process = look(dead.si_pid)
                if process is None or not self._is_dead_orphan(process):
                    return
                os.waitpid(process.pid, 0)

    def survivors(self, number: signal.Signals | None = None) -> tuple[Process, ...]:
        """See Tree."""
        self.ending = True
        found: list[Process] = []
        for _ in range(_ROUNDS):
            with table_lock:
                if len(self.adopters) == 1 and childless():
                    return ()
                look_round = _Round(self)
                found = look_round.find(number)
            if found or not look_round.unsure:
                break
        return tuple(sorted(found, key=lambda process: (process.pid != self.main, process.started)))

    def close(self) -> None:
        """See Tree."""
        with table_lock, suppress(ValueError):
            _active.remove(self)

    def note(self, process: Process) -> None:
        """Remember that it is of this tree: its parent, which shows that, may end at any time."""
        self._sessions.add(process.session)
        self._seen.add((process.pid, process.started))

    def has_seen(self, process: Process) -> bool:
        """True if it has been noted."""
        return (process.pid, process.started) in self._seen

    def _is_dead_orphan(self, process: Process) -> bool:
        """True for one that nobody but us will reap: of this tree or another, that makes no difference."""
        return (
            not process.alive
            and not is_registered(process.pid)
            and process.session != os.getsid(0)
            and (process.started >= self.since or self.has_seen(process))
        )

    def reap_if_dead(self, process: Process) -> bool:
        """Reap a child of ours if it is a dead orphan."""
        if not self._is_dead_orphan(process):
            return False
        with suppress(ChildProcessError):
            os.waitpid(process.pid, os.WNOHANG)
        return True

    def owns_child(self, process: Process) -> bool:
        """True for a living orphan of the tree. What is in our session never is: it can't be joined."""
        if not process.alive or is_registered(process.pid) or process.session == os.getsid(0):
            return False
        others = [tree for tree in _active if tree is not self]
        marks = environment_of(process.pid)
        if self.claims(process, marks):
            return True
        if any(tree.claims(process, marks) for tree in others):
            return False
        ours = process.parent == os.getpid() and process.started >= self.since
        return ours and all(tree.ending for tree in others)

    def claims(self, process: Process, marks: bytes) -> bool:
        """True if this orphan, with that environment, is of this tree for certain."""
        return self.has_seen(process) or process.session in self._sessions or self._mark.encode() in marks


class _Round:
    """One look at all processes, from the newest to the oldest, so that short-lived ones are met alive."""

    def __init__(self, tree: ProcTree) -> None:
        self._tree = tree
        self._verdicts: dict[int, bool] = {}
        self.unsure = False  # somebody died while we looked: it may have had a child that we did not see

    def find(self, number: signal.Signals | None) -> list[Process]:
        """The living processes of the tree; each is sent the signal at once, the program first."""
        found = []
        for pid in sorted(newest_first(), key=lambda pid: pid != self._tree.main):
            process = look(pid)
            if process is None or not self._is_mine(process):
                continue
            self._tree.note(process)
            if process.alive:
                found.append(process)
                if number is not None:
                    send(number, [process])
        return found

    def _is_mine(self, process: Process) -> bool:
        """Climb from parent to parent until one is known."""
        way: list[int] = []
        at: Process | None = process
        verdict: bool | None = None
        while at is not None and verdict is None:
            way.append(at.pid)
            known = self._verdicts.get(at.pid)
            verdict = self._judge(at) if known is None else known
            if verdict is None and at.parent:
                at = look(at.parent)
                self.unsure = self.unsure or at is None
            elif verdict is None:
                verdict = False
        self._verdicts.update(dict.fromkeys(way, bool(verdict)))
        return bool(verdict)

    def _judge(self, process: Process) -> bool | None:
        """Of the tree or not, as far as the process itself shows it."""
        if process.pid == self._tree.main:
            return is_registered(process.pid)
        if process.parent in self._tree.adopters:
            if self._tree.reap_if_dead(process):
                self.unsure = True
            return self._tree.owns_child(process)
        return True if self._tree.has_seen(process) else None
