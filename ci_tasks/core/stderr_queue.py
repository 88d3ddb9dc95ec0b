"""Writes lines to stderr from a thread of its own: a reader who does not read must not hold up the work."""

from __future__ import annotations

import atexit
import os
import select
import threading
import time
from collections import deque
from contextlib import suppress

_MOST = 1_000  # lines that wait
_PATIENCE = 0.5  # seconds that a line waits for room, once; a reader who reads makes it in far less
_LAST_WAIT = 1.0  # seconds for what is left to be read


class StderrQueue:
    """Lines on their way to one descriptor, in order; what its reader leaves is dropped and counted."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._writing = False
        self._dropped = 0

    def put(self, line: bytes, *, keep: bool = False) -> None:
        """Add a line; one to `keep` is never dropped."""
        with self._changed:
            if not keep and not self._has_room():
                self._dropped += 1
                return
            self._tell_of_dropped()
            self._lines.append(line)
            if self._thread is None:
                self._thread = threading.Thread(target=self._write_all, name="stderr", daemon=True)
                self._thread.start()
                atexit.register(self.flush)
            self._changed.notify_all()

    def flush(self, limit: float = _LAST_WAIT) -> None:
        """Wait until all is written, `limit` seconds at most."""
        end = time.monotonic() + limit
        with self._changed:
            if self._thread is None:
                return
            self._tell_of_dropped()
            self._changed.notify_all()
            while (self._lines or self._writing) and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)

    def _has_room(self) -> bool:
        """Whether a line may be added; once one had to be dropped, only when half of them are written."""
        half = _MOST // 2
        if len(self._lines) < (half if self._dropped else _MOST):
            return True
        return not self._dropped and self._changed.wait_for(lambda: len(self._lines) < half, _PATIENCE)

    def _tell_of_dropped(self) -> None:
        if self._dropped:
            count = "1 line was" if self._dropped == 1 else f"{self._dropped} lines were"
            self._lines.append(f"note: {count} dropped: nobody reads them\n".encode())
            self._dropped = 0

    def _write_all(self) -> None:
        while True:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._lines)
                line = self._lines.popleft()
                self._writing = True
            # Not through sys.stderr: a lock that this thread holds at the end of the program would be fatal.
            with suppress(OSError):  # a reader who has gone away is no reason to stop the work
                self._write(line)

    def _write(self, line: bytes) -> None:
        waiting = memoryview(line)
        while waiting:
            try:
                waiting = waiting[os.write(self._descriptor, waiting) :]
            except BlockingIOError:  # whoever started us shares a pipe that does not wait
                poll = select.poll()
                poll.register(self._descriptor, select.POLLOUT)
                poll.poll()
