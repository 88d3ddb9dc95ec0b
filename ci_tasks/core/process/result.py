"""How a program ended, and what it answered."""

from __future__ import annotations

from dataclasses import dataclass


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
