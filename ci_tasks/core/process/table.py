"""The table of processes as the kernel shows it in /proc, and signals to what is found in it."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import signal
    from collections.abc import Iterable

PROC = Path("/proc")


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


def is_readable() -> bool:
    """True where there is such a table: on Linux."""
    return (PROC / "self" / "stat").exists()


def newest_first() -> list[int]:
    """The ids of all processes; where the numbers have wrapped around, the order is only roughly that."""
    entries = os.listdir(PROC)  # noqa: PTH208 - names are enough, and there are hundreds
    return sorted(map(int, filter(str.isdigit, entries)), reverse=True)


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


def environment_of(pid: int) -> bytes:
    """The environment that the process was started with; empty if it is gone or not ours to read."""
    return _read(pid, "environ")


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
