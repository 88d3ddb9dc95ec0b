"""What can happen to a request of git's on its way, and to the answer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable


class Kind(Enum):
    """The four requests of git's protocol (git-http-protocol)."""

    LISTING = "GET info/refs?service=git-upload-pack"
    FETCH = "POST git-upload-pack"
    ANNOUNCEMENT = "GET info/refs?service=git-receive-pack"
    PUSH = "POST git-receive-pack"


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request: the how-manieth of its kind it is, from 1, and of a push which object it brings.

    `nth_object` counts the objects that were pushed, from 1; `nth_try` the pushes of this very object.
    """

    kind: Kind
    number: int
    nth_object: int = 0
    nth_try: int = 0


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens to a request: the share of it that arrives, what is kept of its answer, or comes instead.

    `status` is answered by the proxy itself, after the server has had its share of the request. `gate` holds
    the request until somebody opens it, `delay` for seconds. `reset`: the connection is not closed, it
    breaks. `delimited`: the answer says how long it is, so that a cut is seen; else it ends where the
    connection does.
    """

    forwarded: float = 1.0
    kept: Callable[[bytes], bytes] = bytes
    status: int | None = None
    delay: float = 0.0
    gate: threading.Event | None = None
    reset: bool = False
    delimited: bool = True


def _nothing(_answer: bytes) -> bytes:
    return b""


def _half(answer: bytes) -> bytes:
    return answer[: len(answer) // 2]


NONE = Fault()
LOST_REQUEST = Fault(forwarded=0)
RESET_REQUEST = Fault(forwarded=0, reset=True)
HALF_REQUEST = Fault(forwarded=0.5, kept=_nothing)
LOST_ANSWER = Fault(kept=_nothing)
RESET_ANSWER = Fault(kept=_nothing, reset=True)
HALF_ANSWER = Fault(kept=_half)
HALF_UNDELIMITED = Fault(kept=_half, delimited=False)
"""git can't know that the rest is missing, and waits for it until its time is up."""
GATEWAY_TIMEOUT = Fault(status=504)
"""The server did what it was asked to; the gateway before it had no patience."""


def refused(status: int) -> Fault:
    """The request never reaches the server; this status is the answer."""
    return Fault(forwarded=0, status=status)
