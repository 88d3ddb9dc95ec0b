"""What Ctrl-C and SIGTERM do: an error in the main thread, or, where asked for, a note to wind down."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ci_tasks.core.errors import CancelledError, TerminatedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def cancellation(number: int) -> CancelledError:
    """The error that fits a signal: Ctrl-C, or an end that was asked for (a hang-up counts as one)."""
    if number == signal.SIGINT:
        return CancelledError("Cancelled by Ctrl-C.")
    return TerminatedError(f"Cancelled by {signal.Signals(number).name}.")


class Interruption:
    """The signals that arrived while they were deferred."""

    def __init__(self, *on_signal: Callable[[int], None]) -> None:
        self.signal: int | None = None
        self.count = 0
        self._callbacks = list(on_signal)
        self._lock = threading.Lock()
        self._told = 0

    @property
    def error(self) -> CancelledError | None:
        """The error of the first signal, for the caller to raise once all is wound down."""
        return None if self.signal is None else cancellation(self.signal)

    def listen(self, callback: Callable[[int], None]) -> None:
        """Call it with 1 at the first signal and 2 at the second; at once if they were here before."""
        with self._lock:
            self._callbacks.append(callback)
            told = self._told
        for count in range(1, told + 1):
            callback(count)

    def record(self, number: int) -> None:
        """Note a signal: the first one stays the reason."""
        if self.signal is None:
            self.signal = number
        self.count += 1

    def tell(self, count: int) -> None:
        """Call everybody who listens."""
        with self._lock:
            self._told = count
            callbacks = list(self._callbacks)
        for callback in callbacks:
            callback(count)


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Put a handler on each signal that the caller of this process has not told it to ignore."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    old = {number: signal.getsignal(number) for number in SIGNALS}
    ours = [number for number in SIGNALS if old[number] is not signal.SIG_IGN]  # nohup, `inv ... &`
    try:
        for number in ours:
            signal.signal(number, handler)
        yield
    finally:
        for number in ours:
            signal.signal(number, old[number] or signal.SIG_DFL)


@contextmanager
def _not_suspended() -> Iterator[None]:
    """Ctrl-Z has no effect: whoever stands still can't renew what he holds, and his scripts would go on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    old = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGTSTP, old or signal.SIG_DFL)


@contextmanager
def raising() -> Iterator[None]:
    """Raise CancelledError or TerminatedError in the main thread at the first signal."""

    def handler(number: int, _frame: FrameType | None) -> None:
        raise cancellation(number)

    with _handled(handler):
        yield


@contextmanager
def deferred(*on_signal: Callable[[int], None]) -> Iterator[Interruption]:
    """Let a long command wind down by itself: signals are noted, and callbacks get their count (1, 2, ...).

    The callbacks run in a thread of their own, so that they may take locks that the main thread holds.
    Outside of the main thread nothing is deferred, as no signal arrives there.
    """
    interruption = Interruption(*on_signal)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def handler(number: int, _frame: FrameType | None) -> None:
        interruption.record(number)
        os.write(writer, b"\0")

    def watch() -> None:
        count = 0
        while os.read(reader, 1):
            count += 1
            interruption.tell(count)

    watcher = threading.Thread(target=watch, name="signals", daemon=True)
    watcher.start()
    try:
        with _handled(handler), _not_suspended():
            yield interruption
    finally:
        os.close(writer)
        watcher.join()
        os.close(reader)
