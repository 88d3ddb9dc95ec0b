"""The pipes to and from a child: its bytes are moved while its end is awaited."""

from __future__ import annotations

import os
import selectors
import time
from contextlib import suppress
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_READ = 1024 * 1024  # bytes asked for at once
_PIPE = 256 * 1024  # bytes that the kernel keeps for us, where it grants them
_DRAIN = 1.0  # seconds of reading what a pipe still holds


class ChildPipes:
    """Our ends of a child's pipes, moved by one selector, along with what else is to be waited for."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._pipes: list[IO[bytes]] = []
        self._outputs: list[tuple[int, Callable[[bytes], None]]] = []

    def read(self, pipe: IO[bytes], sink: Callable[[bytes], None]) -> None:
        """Hand what comes out of the pipe to the sink, chunk by chunk."""
        number = pipe.fileno()
        self._pipes.append(pipe)
        _widen(number)
        os.set_blocking(number, False)
        self._outputs.append((number, sink))
        self.wait_for(number, lambda: self._read_chunk(number, sink))

    def write(self, pipe: IO[bytes], data: bytes) -> None:
        """Put the data into the pipe as the child takes it, then close the pipe."""
        self._pipes.append(pipe)
        os.set_blocking(pipe.fileno(), False)
        rest = memoryview(data)

        def write_chunk() -> None:
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

        self._selector.register(pipe, selectors.EVENT_WRITE, write_chunk)

    def wait_for(self, number: int, call: Callable[[], object]) -> None:
        """Call this whenever the file descriptor is readable."""
        self._selector.register(number, selectors.EVENT_READ, call)

    def stop_waiting_for(self, number: int) -> None:
        """Undo `wait_for`, if that has happened."""
        with suppress(KeyError, ValueError):
            self._selector.unregister(number)

    def move(self, seconds: float) -> None:
        """Wait that long at most for something to move, and move it."""
        for key, _ in self._selector.select(seconds):
            key.data()

    def drain(self) -> None:
        """Read what an ended tree has left in the pipes: bounded, for the kernel bounds it."""
        for number, sink in self._outputs:
            until = time.monotonic() + _DRAIN
            while self._read_chunk(number, sink) and time.monotonic() < until:
                pass

    def close(self) -> None:
        """Close every pipe."""
        self._selector.close()
        for pipe in self._pipes:
            pipe.close()

    def _read_chunk(self, number: int, sink: Callable[[bytes], None]) -> bool:
        """Hand one chunk on; False if there is none now, or never again."""
        try:
            data = os.read(number, _READ)
        except BlockingIOError:
            return False
        if not data:
            self.stop_waiting_for(number)
            return False
        sink(data)
        return True


def _widen(pipe: int) -> None:
    """A bigger pipe, so that a fast program seldom waits for us (Linux; elsewhere it stays as it is)."""
    import fcntl  # noqa: PLC0415 - not on every system

    with suppress(OSError, AttributeError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)
