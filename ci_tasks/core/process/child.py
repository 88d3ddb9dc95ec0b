"""A program that runs: its output is moved, its end awaited, and all that it has started is ended."""

from __future__ import annotations

import os
import signal
import subprocess  # noqa: TID251 - TimeoutExpired and the type of what the gateway has started
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from ci_tasks.core.process.child_pipes import ChildPipes
from ci_tasks.core.process.spawned import forget
from ci_tasks.core.process.table import send
from ci_tasks.core.process.tree import new_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ci_tasks.core.process.stop_request import StopRequest
    from ci_tasks.core.process.table import Process

_POLL = 0.1  # seconds after which a StopRequest is seen at the latest
_LOOK = 0.05  # seconds between two looks at the process table while a tree is ending
_SETTLE = 0.5  # seconds in which what a program left behind may end by itself: `exec > >(tee log)` does
_LEFTOVER_GRACE = 1.0  # seconds from TERM to KILL for what a program left behind
_GIVE_UP = 5.0  # seconds of KILL after which a process is another user's, or stuck in the kernel


class Child:
    """A started program: its pipes, its end, and the tree of what it has started."""

    def __init__(self, stop: StopRequest) -> None:
        self.over = False  # the program itself has ended and is reaped
        self._stop = stop
        self._tree = new_tree()
        self._pipes = ChildPipes()
        self._process: subprocess.Popen[bytes] | None = None
        self._end_fd = -1
        self._ended = False

    @property
    def mark(self) -> Mapping[str, str]:
        """What the program's environment must hold, so that its orphans can be recognised."""
        return self._tree.environment

    @property
    def status(self) -> int:
        """The exit status; -KILL for a program that could not even be killed."""
        status = self._process.returncode if self._process else None
        return -signal.SIGKILL if status is None else status

    def begin(self, process: subprocess.Popen[bytes]) -> None:
        """Answer for this program from now on. To be called within the `spawning` that has started it."""
        self._process = process
        self._tree.begin(process.pid)

    def connect(
        self,
        process: subprocess.Popen[bytes],
        *,
        stdin: bytes,
        out: Callable[[bytes], None],
        err: Callable[[bytes], None] | None,
    ) -> None:
        """Have the program's pipes and its end watched; without `err` it has one pipe for both."""
        for pipe, sink in ((process.stdout, out), (process.stderr, err)):
            if pipe is not None and sink is not None:
                self._pipes.read(pipe, sink)
        if process.stdin is not None:
            self._pipes.write(process.stdin, stdin)
        self._end_fd = _end_signal(process)
        self._pipes.wait_for(self._end_fd, self._reap)

    def watch(self, deadline: float) -> bool:
        """Until the program ends or is to be stopped; True at the deadline (monotonic seconds)."""
        while not self.over and self._stop.reason is None:
            left = deadline - time.monotonic()
            if left <= 0:
                return True
            self._serve(min(_POLL, left))
            self._tree.reap()
        return False

    def end_stopped(self, grace: float) -> tuple[str, ...]:
        """TERM, grace, KILL for the whole tree; returns the names of processes that can't be ended."""
        send(signal.SIGTERM, self._tree.survivors())
        self._await_end(grace)
        return self._finish()

    def end_normal(self, grace: float) -> tuple[str, ...]:
        """End what the program left behind; returns the names."""
        self._await_end(_SETTLE)
        left = self._tree.survivors()
        if left:
            send(signal.SIGTERM, left)
            self._await_end(min(grace, _LEFTOVER_GRACE))
        return (*(process.name for process in left), *self._finish())

    def close(self) -> None:
        """Leave nothing behind, whatever has happened."""
        try:
            if not self._ended:
                self._kill(time.sleep)
            self._reap()
        finally:
            self._tree.close()
            self._pipes.close()
            if self._end_fd >= 0:
                os.close(self._end_fd)

    def _finish(self) -> tuple[str, ...]:
        stubborn = self._kill(self._serve)
        self._ended = True
        self._reap()
        self._pipes.drain()
        return tuple(f"{process.name} (could not be ended)" for process in stubborn)

    def _kill(self, pause: Callable[[float], None]) -> tuple[Process, ...]:
        """KILL until none is left; those that are left all the same."""
        until = time.monotonic() + _GIVE_UP
        wait = 0.001
        while (left := self._tree.survivors(signal.SIGKILL)) and time.monotonic() < until:
            pause(wait)
            wait = min(_LOOK, 2 * wait)
        return left

    def _await_end(self, seconds: float) -> None:
        """Give the tree that long to end by itself."""
        until = time.monotonic() + seconds
        while not self._stop.now and (left := until - time.monotonic()) > 0 and self._tree.survivors():
            self._serve(min(_LOOK, left))

    def _serve(self, seconds: float) -> None:
        """Move bytes for that long, or until the program ends."""
        until = time.monotonic() + seconds
        was_over = self.over
        while self.over == was_over:
            left = until - time.monotonic()
            self._pipes.move(max(0.0, left))
            if left <= 0:
                return

    def _reap(self) -> None:
        process = self._process
        if self.over or process is None:
            return
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=1.0)
            self.over = True
            forget(process.pid)
            self._pipes.stop_waiting_for(self._end_fd)


def _end_signal(process: subprocess.Popen[bytes]) -> int:
    """A file descriptor that becomes readable when the process ends; the caller closes it."""
    if hasattr(os, "pidfd_open"):
        with suppress(OSError):  # a sandbox may forbid it
            return os.pidfd_open(process.pid)
    read_end, write_end = os.pipe()

    def wait() -> None:
        process.wait()
        os.close(write_end)  # end of file is readable

    threading.Thread(target=wait, name=f"end of {process.pid}", daemon=True).start()
    return read_end
