"""Finding and ending every process that a program has started, orphans and sessions of their own included."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from ci_tasks.core.process.proc_tree import ProcTree
from ci_tasks.core.process.subreaper import adopters
from ci_tasks.core.process.table import Process, is_readable

if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping


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
    if is_readable():
        return ProcTree(adopters(os.getpid()))
    return _GroupTree()


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
