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

    def survivors(self) -> tuple[Process, ...]:
        """The processes that are alive; dead orphans are reaped on the way. Asked only to end the tree."""

    def close(self) -> None:
        """The tree has been dealt with."""


def new_tree() -> Tree:
    """The best that this machine can do."""
    if (PROC / "self" / "stat").exists():
        _adopt_orphans(os.getpid())
        return _ProcTree()
    return _GroupTree()


def send(number: signal.Signals, processes: Iterable[Process]) -> None:
    """Send a signal once to all of them.

    It goes to their process groups: the kernel signals a group in one step, so a process that forks all
    the time can't slip a child past it. A group never spans sessions, so all its members are of one tree.
    """
    for group in {process.group for process in processes}:
        # Gone by itself, or another user's (sudo): the caller looks again and sees who is left.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)


def table() -> dict[int, Process]:
    """All processes of this machine, as far as we may see them, by id."""
    found = {}
    for entry in os.listdir(PROC):  # noqa: PTH208 - names are enough, and there are hundreds
        if entry.isdigit() and (process := _look(int(entry))):
            found[process.pid] = process
    return found


def _read(pid: int, name: str) -> bytes:
    """A file of a process; empty if it is gone or not ours to read."""
    try:
        with open(f"{PROC}/{pid}/{name}", "rb", buffering=0) as file:  # noqa: PTH123 - half the time of Path.open
            return file.read()
    except OSError:
        return b""


def _look(pid: int) -> Process | None:
    """One row of the table (proc_pid_stat(5)); the name may itself hold spaces and parentheses."""
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
def _adopt_orphans(_pid: int) -> None:
    """Make this process (not a fork of it) the parent of its descendants' orphans.

    Where a sandbox forbids it, orphans are found only by the sessions they were seen in.
    """
    import ctypes  # noqa: PLC0415 - 10 ms that only starting a program costs

    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, *map(ctypes.c_ulong, (1, 0, 0, 0)))


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

    def __init__(self) -> None:
        self._mark = secrets.token_hex(16)
        # A run inside a script of another run belongs to both.
        around = os.environ.get(MARKER)
        self.environment = {MARKER: f"{around}:{self._mark}" if around else self._mark}
        self._main: int | None = None
        self.since: float = inf
        self.ending = False
        self._sessions: set[int] = set()
        self._seen: set[tuple[int, int]] = set()

    def begin(self, pid: int) -> None:
        """See Tree. Must be called before the program is reaped."""
        with _lock:
            main = _look(pid)
            started = main.started if main else 0
            self._main = pid
            self._sessions.add(pid)
            self.since = min((tree.since for tree in _active), default=started)
            _active.append(self)

    def survivors(self) -> tuple[Process, ...]:
        """See Tree."""
        if _childless():
            return ()
        with _lock:
            self.ending = True
            now = table()
            mine = self._with_descendants(now, [found for found in now.values() if self._is_root(found)])
            self._sessions.update(found.session for found in mine)
            self._seen.update((found.pid, found.started) for found in mine)
        return tuple(found for found in mine if found.alive)

    def close(self) -> None:
        """See Tree."""
        with _lock, suppress(ValueError):
            _active.remove(self)

    @staticmethod
    def _with_descendants(now: Mapping[int, Process], roots: list[Process]) -> list[Process]:
        children: dict[int, list[Process]] = {}
        for process in now.values():
            children.setdefault(process.parent, []).append(process)
        found = {process.pid: process for process in roots}
        left = list(roots)
        while left:
            for child in children.get(left.pop().pid, ()):
                if child.pid not in found:
                    found[child.pid] = child
                    left.append(child)
        return list(found.values())

    def _is_root(self, process: Process) -> bool:
        if process.pid == self._main:
            return process.pid in _registered
        if process.parent == os.getpid():
            return self._owns_child(process)
        return self._knows(process)

    def _knows(self, process: Process) -> bool:
        return process.session in self._sessions or (process.pid, process.started) in self._seen

    def _owns_child(self, process: Process) -> bool:
        """True for an orphan of the tree among our children. Processes can't join our session: none of it is."""
        if process.pid in _registered or process.session == os.getsid(0):
            return False
        if not process.alive:
            if process.started >= self.since or self._knows(process):
                with suppress(ChildProcessError):
                    os.waitpid(process.pid, os.WNOHANG)
            return False
        others = [tree for tree in _active if tree is not self]
        marks = _read(process.pid, "environ")
        if self.claims(process, marks):
            return True
        if any(tree.claims(process, marks) for tree in others):
            return False
        return process.started >= self.since and all(tree.ending for tree in others)

    def claims(self, process: Process, marks: bytes) -> bool:
        """True if this orphan, with that environment, is of this tree for certain."""
        return self._knows(process) or self._mark.encode() in marks


class _GroupTree:
    """Elsewhere (macOS): the program's process group. What leaves the group is not found."""

    def __init__(self) -> None:
        self.environment: dict[str, str] = {}
        self._group = 0

    def begin(self, pid: int) -> None:
        """See Tree."""
        self._group = pid

    def survivors(self) -> tuple[Process, ...]:
        """See Tree. One entry stands for the whole group."""
        try:
            os.killpg(self._group, 0)
        except (ProcessLookupError, PermissionError):  # macOS: no permission for a group of dead ones
            return ()
        group = self._group
        name = f"process group {group}"
        return (Process(pid=group, name=name, parent=0, group=group, session=group, started=0, alive=True),)

    def close(self) -> None:
        """See Tree."""
