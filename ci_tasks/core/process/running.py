"""The only module that starts processes (git aside): argument lists, no shell, nothing left behind."""

from __future__ import annotations

import signal
import subprocess  # noqa: TID251 - this is the module that the ban points to
import time
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from ci_tasks.core.process.child import Child
from ci_tasks.core.process.environment import check_first_line, child_environment, start_error
from ci_tasks.core.process.result import Captured, Finished
from ci_tasks.core.process.shown_lines import ShownLines
from ci_tasks.core.process.spawned import forget, spawning
from ci_tasks.core.process.stop_request import StopRequest
from ci_tasks.core.redact import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

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
    child = Child(stop)
    try:
        process = _start(child, argv, cwd=cwd, env=env, has_input=bool(stdin), own_stderr=err is not None)
        child.connect(process, stdin=stdin, out=out, err=err)
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


def _start(
    child: Child,
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    has_input: bool,
    own_stderr: bool,
) -> subprocess.Popen[bytes]:
    """Start the program, as the leader of a session of its own, and make the child answer for it."""
    try:
        with spawning() as register:
            process = subprocess.Popen(  # noqa: S603 - an argument list, and no shell
                list(argv),
                cwd=cwd,
                env={**env, **child.mark},
                stdin=subprocess.PIPE if has_input else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE if own_stderr else subprocess.STDOUT,
                bufsize=0,
                start_new_session=True,
            )
            register(process.pid)
            child.begin(process)
    except (OSError, ValueError) as error:
        raise start_error(argv[0], cwd=cwd, env=env, error=error) from error
    return process
