"""Finding and ending every process that a program has started, orphans and sessions of their own included."""

from __future__ import annotations

import os
import secrets
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterable, Iterator, Mapping

PROC = Path("/proc")
_ROUNDS = 20  # looks at a table that changes all the time, before we take what we have seen
MARKER = "CI_TASKS_RUN"  # environment variable: the run (and the runs around it) that a process belongs to
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h

_lock = threading.RLock()
_registered: set[int] = set()
_active: list[_ProcTree] = []


@contextmanager
def spawning() -> Iterator[Callable[[int], None]]:
    """Hold this while a child is started, and call what it yields with the child's process id.

    No look at the process table happens meanwhile, so a child that a gateway has just started is never
    taken for an orphan of some program's. After the child is reaped: `forget`.
    """
    with _lock:
        yield _registered.add


def forget(pid: int) -> None:
    """The registered child has been reaped: its number may now be anyone's."""
    with _lock:
        _registered.discard(pid)


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process as one look at the table saw it; `started` in clock ticks since boot."""

    pid: int
    name: str
    parent: int
    group: int
    session: int
    started: int
    alive: bool


class Tree(Protocol):
    """A program and all that it has started."""

    @property
    def environment(self) -> Mapping[str, str]:
        """What the program's environment must hold so that its orphans can be recognised."""

    def begin(self, pid: int) -> None:
        """The program has been started, as the leader of a session of its own."""

    def reap(self) -> None:
        """Take dead orphans from the process table, while the program runs."""

    def survivors(self, number: signal.Signals | None = None) -> tuple[Process, ...]:
        """The processes that are alive, the program first; each is sent the signal as soon as it is found.

        To be asked only when the tree is to be ended.
        """

    def close(self) -> None:
        """The tree has been dealt with."""


def new_tree() -> Tree:
    """The best that this machine can do."""
    if (PROC / "self" / "stat").exists():
        return _ProcTree(_adopters(os.getpid()))
    return _GroupTree()


def send(number: signal.Signals, processes: Iterable[Process]) -> None:
    """Send a signal once to all of them.

    It goes to their process groups: the kernel signals a group in one step, so a process that forks all
    the time can't slip a child past it. A group never spans sessions, so all its members are of one tree.
    The order is kept: a program that is told first does not go on because its helper has ended.
    """
    ours = {0, os.getpgrp()}  # to the kernel, group 0 means the caller's own
    for group in dict.fromkeys(process.group for process in processes if process.group not in ours):
        # Gone by itself, or another user's (sudo): the caller looks again and sees who is left.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)


def _read(pid: int, name: str) -> bytes:
    """A file of a process; empty if it is gone or not ours to read."""
    try:
        with open(f"{PROC}/{pid}/{name}", "rb", buffering=0) as file:  # noqa: PTH123 - half the time of Path.open
            return file.read()
    except OSError:
        return b""


def look(pid: int) -> Process | None:
    """The process as it is now (proc_pid_stat(5)), or None if there is none with this id.

    Its name may itself hold spaces and parentheses.
    """
    head, _, rest = _read(pid, "stat").rpartition(b")")
    fields = rest.split()
    if not fields:
        return None
    # A dead leader whose other threads still run is alive.
    dead = fields[0] in b"ZX" and int(fields[17]) <= 1
    return Process(
        pid=pid,
        name=head.partition(b"(")[2].decode("utf-8", "replace"),
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        started=int(fields[19]),
        alive=not dead,
    )


@lru_cache(maxsize=1)
def _adopters(pid: int) -> frozenset[int]:
    """Who becomes the parent of our descendants' orphans: this process, `pid`, which is made a subreaper.

    Where a sandbox forbids that it is process 1; then only orphans that carry a mark are found.
    """
    import ctypes  # noqa: PLC0415 - 10 ms that only starting a program costs

    libc = ctypes.CDLL(None)
    failed = libc.prctl(_PR_SET_CHILD_SUBREAPER, *map(ctypes.c_ulong, (1, 0, 0, 0)))
    return frozenset({pid, 1}) if failed else frozenset({pid})


def _childless() -> bool:
    """True if the kernel says that we have no child at all, dead or alive: then there is no orphan either."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False


class _ProcTree:
    """Linux: the tree is read from /proc; we are the parent of its orphans.

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
        with _lock:
            main = look(pid)
            started = main.started if main else 0
            self.main = pid
            self._sessions.add(pid)  # the program leads it
            self.since = min((tree.since for tree in _active), default=started)
            _active.append(self)

    def reap(self) -> None:
        """See Tree. Stops at a dead child that somebody else waits for."""
        with _lock, suppress(ChildProcessError):
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
            with _lock:
                if len(self.adopters) == 1 and _childless():
                    return ()
                look_round = _Round(self)
                found = look_round.find(number)
            if found or not look_round.unsure:
                break
        return tuple(sorted(found, key=lambda process: (process.pid != self.main, process.started)))

    def close(self) -> None:
        """See Tree."""
        with _lock, suppress(ValueError):
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
            and process.pid not in _registered
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
        if not process.alive or process.pid in _registered or process.session == os.getsid(0):
            return False
        others = [tree for tree in _active if tree is not self]
        marks = _read(process.pid, "environ")
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

    def __init__(self, tree: _ProcTree) -> None:
        self._tree = tree
        self._verdicts: dict[int, bool] = {}
        self.unsure = False  # somebody died while we looked: it may have had a child that we did not see

    def find(self, number: signal.Signals | None) -> list[Process]:
        """The living processes of the tree; each is sent the signal at once, the program first."""
        found = []
        entries = os.listdir(PROC)  # noqa: PTH208 - names are enough, and there are hundreds
        pids = sorted(map(int, filter(str.isdigit, entries)), reverse=True)
        for pid in sorted(pids, key=lambda pid: pid != self._tree.main):
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
            return process.pid in _registered
        if process.parent in self._tree.adopters:
            if self._tree.reap_if_dead(process):
                self.unsure = True
            return self._tree.owns_child(process)
        return True if self._tree.has_seen(process) else None


class _GroupTree:
    """Elsewhere (macOS): the program's process group. What leaves the group is not found."""

    def __init__(self) -> None:
        self.environment: dict[str, str] = {}
        self._group = 0

    def begin(self, pid: int) -> None:
        """See Tree."""
        self._group = pid

    def reap(self) -> None:
        """See Tree. Process 1 does it."""

    def survivors(self, number: signal.Signals | None = None) -> tuple[Process, ...]:
        """See Tree. One entry stands for the whole group."""
        if not self._group:  # the program could not be started
            return ()
        try:
            os.killpg(self._group, number or 0)
        except (ProcessLookupError, PermissionError):  # macOS: no permission for a group of dead ones
            return ()
        group = self._group
        name = f"process group {group}"
        return (Process(pid=group, name=name, parent=0, group=group, session=group, started=0, alive=True),)

    def close(self) -> None:
        """See Tree."""
