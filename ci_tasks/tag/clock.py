"""The wall clock of tags."""

from __future__ import annotations

from datetime import datetime, timezone


def utc_now() -> datetime:
    """The time, to the second: the resolution of a tag's own date."""
    return datetime.now(timezone.utc).replace(microsecond=0)
