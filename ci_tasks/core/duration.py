"""Durations as people write them: 90s, 10m, 2h, 7d."""

from __future__ import annotations

import re

from ci_tasks.core.errors import UsageError

_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_LONGEST = 1e9  # seconds, 31 years
_WRITTEN = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,3})?)([smhd])", re.ASCII)


def parse_duration(text: str) -> float:
    """Seconds of a number with a unit ("90s", "10m", "2h", "7d"), to the millisecond; else a UsageError."""
    written = _WRITTEN.fullmatch(text)
    seconds = round(float(written[1]) * _SECONDS[written[2]], 3) if written else None
    if seconds is None or seconds > _LONGEST:
        raise UsageError(
            f"{text[:40]!r} is not a duration: write a number and a unit, such as 90s, 10m, 2h or 7d."
        )
    return seconds


def format_duration(seconds: float) -> str:
    """The shortest way to write so many seconds, which `parse_duration` reads back to the same value."""
    for unit, size in _SECONDS.items():
        if seconds and seconds % size == 0:
            return f"{int(seconds // size)}{unit}"
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"
