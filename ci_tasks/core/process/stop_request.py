"""Asking a running program to stop."""

from __future__ import annotations


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
