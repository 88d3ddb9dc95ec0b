"""The only module that starts processes (git aside): argument lists, no shell, nothing left behind."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess  # noqa: TID251 - this is the module that the ban points to
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from ci_tasks.core.child_environment import check_first_line, child_environment, start_error
from ci_tasks.core.process_tree import forget, new_tree, send, spawning
from ci_tasks.core.redact import Redactor, ShownLines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import IO

    from ci_tasks.core.process_tree import Process

__all__ = (
    "Captured",
    "Finished",
    "StopRequest",
    "capture",
    "child_environment",
    "forget",
    "run",
    "spawning",
)

MEBIBYTE = 1024 * 1024
_READ = MEBIBYTE  # bytes asked for at once
_PIPE = 256 * 1024  # bytes that the kernel keeps for us, where it grants them
_POLL = 0.1  # seconds after which a StopRequest is seen at the latest
_LOOK = 0.05  # seconds between two looks at the process table while a tree is ending
_SETTLE = 0.5  # seconds in which what a program left behind may end by itself: `exec > >(tee log)` does
_LEFTOVER_GRACE = 1.0  # seconds from TERM to KILL for what a program left behind
_GIVE_UP = 5.0  # seconds of KILL after which a process is another user's, or stuck in the kernel


class StopRequest:
    """Asks a running program to stop. Thread-safe, and safe in a signal handler: it takes no lock."""

    def __init__(self) -> None:
        self._reasons: list[str] = []
        self._now = False

    def request(self, reason: str, *, now: bool = False) -> None:
        """Stop; the first reason wins. `now` skips the grace (the second Ctrl-C)."""
        self._reasons.append(reason)
        self._now = self._now or now

    @property
    def reason(self) -> str | None:
        """Why, or None if nobody asked."""
        return self._reasons[0] if self._reasons else None

    @property
    def now(self) -> bool:
        """True if there is no time for a grace."""
        return self._now


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How a program ended.

    `status` is the exit status, or -N if signal N ended it; `stopped` the reason of the StopRequest that
    ended it; `tail` its last 20 lines, redacted and plain; `truncated` says that output above the limit
    was dropped; `leftovers` names the processes that it left behind, which were ended.
    """

    status: int
    seconds: float
    timed_out: bool
    stopped: str | None
    tail: tuple[str, ...]
    truncated: bool
    leftovers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Captured:
    """What a short helper program answered; `truncated` if it was more than 16 MiB on either pipe."""

    status: int
    stdout: bytes
    stderr: bytes
    timed_out: bool
    truncated: bool = False


def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    timeout: float | None,
    on_line: Callable[[str], None],
    redactor: Redactor | None = None,
    stop: StopRequest | None = None,
    grace: float = 3.0,
    output_limit: int = 16 * MEBIBYTE,
    stdin: bytes = b"",
) -> Finished:
    """Run a program to its end and show its output, stdout and stderr in one, line by line as it comes.

    At `timeout` (seconds) or when `stop` is requested, every process that it has started gets TERM, and
    KILL after `grace` seconds. Whatever it left behind after its own end is ended too. `env` is all that
    it gets, with the variable CI_TASKS_RUN added. Works in any thread; `on_line` is called in the same.
    Raises UsageError for a script that can't be started (not executable, bad first line) and
    UnavailableError for a program that isn't installed.
    """
    redactor = redactor or Redactor()
    lines = ShownLines(on_line, redactor, output_limit)
    end = _execute(
        argv, cwd=cwd, env=env, timeout=timeout, stop=stop, grace=grace, stdin=stdin, out=lines.feed, err=None
    )
    lines.close()
    return Finished(
        status=end.status,
        seconds=end.seconds,
        timed_out=end.timed_out,
        stopped=end.stopped,
        tail=lines.tail,
        truncated=lines.truncated,
        leftovers=tuple(redactor.text(name) for name in end.leftovers),
    )


def capture(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    timeout: float | None,
    input: bytes = b"",  # noqa: A002 - the name that subprocess.run has for it
) -> Captured:
    """Run a short helper program and keep its output, at most 16 MiB of each pipe.

    Time-out (seconds), environment, processes left behind and errors as for `run`.
    """
    out, err = _Buffer(), _Buffer()
    end = _execute(
        argv, cwd=cwd, env=env, timeout=timeout, stop=None, grace=1.0, stdin=input, out=out.feed, err=err.feed
    )
    return Captured(
        status=end.status,
        stdout=bytes(out.data),
        stderr=bytes(err.data),
        timed_out=end.timed_out,
        truncated=out.truncated or err.truncated,
    )


class _Buffer:
    def __init__(self) -> None:
        self.data = bytearray()
        self.truncated = False

    def feed(self, data: bytes) -> None:
        left = 16 * MEBIBYTE - len(self.data)
        self.data += data[:left]
        self.truncated = self.truncated or len(data) > left


@dataclass(frozen=True, kw_only=True)
class _End:
    status: int
    seconds: float = 0.0
    timed_out: bool = False
    stopped: str | None = None
    leftovers: tuple[str, ...] = ()


def _execute(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    timeout: float | None,
    stop: StopRequest | None,
    grace: float,
    stdin: bytes,
    out: Callable[[bytes], None],
    err: Callable[[bytes], None] | None,
) -> _End:
    """Start the program, see it to its end, end what is left of its tree."""
    stop = stop or StopRequest()
    if stop.reason is not None:
        return _End(status=-signal.SIGTERM, stopped=stop.reason)
    check_first_line(argv[0], cwd=cwd, env=env)
    begun = time.monotonic()
    child = _Child(stop)
    try:
        child.start(argv, cwd=cwd, env=env, stdin=stdin, out=out, err=err)
        timed_out = child.watch(begun + (inf if timeout is None else timeout))
        stopped = None if child.over or timed_out else stop.reason
        leftovers = child.end_stopped(grace) if timed_out or stopped is not None else child.end_normal(grace)
        return _End(
            status=child.status,
            seconds=time.monotonic() - begun,
            timed_out=timed_out,
            stopped=stopped,
            leftovers=leftovers,
        )
    finally:
        child.close()


class _Child:
    """A started program: its pipes, its end, and the tree of what it has started."""

    def __init__(self, stop: StopRequest) -> None:
        self.over = False  # the program itself has ended and is reaped
        self._stop = stop
        self._tree = new_tree()
        self._selector = selectors.DefaultSelector()
        self._process: subprocess.Popen[bytes] | None = None
        self._pipes: list[IO[bytes]] = []
        self._outputs: list[tuple[int, Callable[[bytes], None]]] = []
        self._end_fd = -1
        self._ended = False

    @property
    def status(self) -> int:
        """The exit status; -KILL for a program that could not even be killed."""
        status = self._process.returncode if self._process else None
        return -signal.SIGKILL if status is None else status

    def start(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdin: bytes,
        out: Callable[[bytes], None],
        err: Callable[[bytes], None] | None,
    ) -> None:
        """Start the program and have its pipes and its end watched; without `err` it has one for both."""
        try:
            with spawning() as register:
                process = self._process = subprocess.Popen(  # noqa: S603 - an argument list, and no shell
                    list(argv),
                    cwd=cwd,
                    env={**env, **self._tree.environment},
                    stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE if err else subprocess.STDOUT,
                    bufsize=0,
                    start_new_session=True,
                )
                register(process.pid)
                self._tree.begin(process.pid)
        except (OSError, ValueError) as error:
            raise start_error(argv[0], cwd=cwd, env=env, error=error) from error
        for pipe, sink in ((process.stdout, out), (process.stderr, err)):
            if pipe is not None and sink is not None:
                self._watch_output(pipe, sink)
        if process.stdin is not None:
            self._watch_input(process.stdin, stdin)
        self._end_fd = _end_signal(process)
        self._selector.register(self._end_fd, selectors.EVENT_READ, self._reap)

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
            self._selector.close()
            for pipe in self._pipes:
                pipe.close()
            if self._end_fd >= 0:
                os.close(self._end_fd)

    def _finish(self) -> tuple[str, ...]:
        stubborn = self._kill(self._serve)
        self._ended = True
        self._reap()
        self._drain()
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
            for key, _ in self._selector.select(max(0.0, left)):
                key.data()
            if left <= 0:
                return

    def _watch_output(self, pipe: IO[bytes], sink: Callable[[bytes], None]) -> None:
        number = pipe.fileno()
        self._pipes.append(pipe)
        _widen(number)
        os.set_blocking(number, False)
        self._outputs.append((number, sink))
        self._selector.register(number, selectors.EVENT_READ, lambda: self._read(number, sink))

    def _watch_input(self, pipe: IO[bytes], data: bytes) -> None:
        self._pipes.append(pipe)
        os.set_blocking(pipe.fileno(), False)
        rest = memoryview(data)

        def write() -> None:
            nonlocal rest
            try:
                rest = rest[os.write(pipe.fileno(), rest[:_PIPE]) :]
            except BlockingIOError:
                return
            except BrokenPipeError:  # it doesn't read its input: that is its own business
                rest = rest[:0]
            if not rest:
                self._selector.unregister(pipe)
                pipe.close()

        self._selector.register(pipe, selectors.EVENT_WRITE, write)

    def _read(self, pipe: int, sink: Callable[[bytes], None]) -> bool:
        """Hand one chunk on; False if there is none now, or never again."""
        try:
            data = os.read(pipe, _READ)
        except BlockingIOError:
            return False
        if not data:
            with suppress(KeyError):
                self._selector.unregister(pipe)
            return False
        sink(data)
        return True

    def _drain(self) -> None:
        """Read what the ended tree has left in the pipes: bounded, for the kernel bounds it."""
        for pipe, sink in self._outputs:
            until = time.monotonic() + 1.0
            while self._read(pipe, sink) and time.monotonic() < until:
                pass

    def _reap(self) -> None:
        process = self._process
        if self.over or process is None:
            return
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=1.0)
            self.over = True
            forget(process.pid)
            with suppress(KeyError, ValueError):
                self._selector.unregister(self._end_fd)


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


def _widen(pipe: int) -> None:
    """A bigger pipe, so that a fast program seldom waits for us (Linux; elsewhere it stays as it is)."""
    import fcntl  # noqa: PLC0415 - not on every system

    with suppress(OSError, AttributeError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)
