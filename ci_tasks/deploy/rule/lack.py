"""What a version still lacks where it has to run for a while: how long it did, and when to come back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from ci_tasks.core.duration import format_duration
from ci_tasks.deploy.rule.soak import Stay, stays
from ci_tasks.tag.model import region_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci_tasks.deploy.model import Facts
    from ci_tasks.tag.ledger import Ledger

_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


@dataclass(frozen=True, kw_only=True)
class Lack:
    """A region in which a version has not run for long enough: the stay that counts, and what is live."""

    region: str | None
    stay: Stay | None = None
    live: str | None = None

    def seconds(self, now: datetime) -> float:
        """How long it has run there; less than nothing where it never did."""
        return self.stay.seconds(now) if self.stay else -1.0


def find(facts: Facts, ledger: Ledger | None, region: str | None, soak: float | None) -> Lack | None:
    """What the version of these facts lacks in a region of that ledger; None where it lacks nothing."""
    if ledger is None:
        return Lack(region=region)
    found = stays(ledger, region, str(facts.version.tag.version), facts.version.commit)
    if any(stay.seconds(facts.now) >= (soak or 0) for stay in found):
        return None
    is_there = bool(found) and found[-1].ends is None
    longest = max(found, key=lambda stay: stay.seconds(facts.now), default=None)
    live = ledger.header.live.get(region_key(region))
    return Lack(region=region, stay=found[-1] if is_there else longest, live=live.version if live else None)


def is_running(missing: Sequence[Lack]) -> bool:
    """True where waiting helps: the version runs in all of these regions."""
    return all(lack.stay is not None and lack.stay.ends is None for lack in missing)


def worst(missing: Sequence[Lack]) -> list[Lack]:
    """Those to speak of: the regions where it never ran, else those where it does not any more, else all."""
    never = [lack for lack in missing if lack.stay is None]
    gone = [lack for lack in missing if not is_running([lack])]
    return never or gone or list(missing)


def told(facts: Facts, missing: Sequence[Lack], soak: float | None, *, place: str) -> str:
    """What is missing, as the end of a sentence; `place` says where."""
    version, now = facts.version.tag.version, facts.now
    least = min(missing, key=lambda lack: lack.seconds(now))
    if least.stay is None or soak is None:
        runs = f"{least.live} runs" if least.live else "nothing runs"
        return f"{version} has not run {place} yet, where {runs}"
    lasting = f"{version} ran {place} for {_lasting(least.seconds(now))} of {format_duration(soak)}"
    if not is_running(missing):
        return f"{lasting}, until {_clock(least.stay.ends, now)}" if least.stay.ends else lasting
    ready = max(lack.stay.begins for lack in missing if lack.stay) + timedelta(seconds=soak)
    return f"{lasting}; come back at {_clock(_whole_minute(ready), now)}"


def _lasting(seconds: float) -> str:
    """A time in its largest unit and the one below it: 1h 50m."""
    left = math.floor(seconds)
    parts: list[tuple[int, str]] = []
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        if parts or count:
            parts.append((count, unit))
    return " ".join(f"{count}{unit}" for count, unit in parts[:2] if count) or "0s"


def _whole_minute(moment: datetime) -> datetime:
    """The next whole minute, so that nobody comes back too early."""
    return (moment + timedelta(seconds=59)).replace(second=0, microsecond=0)


def _clock(moment: datetime, now: datetime) -> str:
    """A moment in UTC, with its date where it is another day."""
    there = moment.astimezone(timezone.utc)
    return f"{there:%H:%M} UTC" if there.date() == now.date() else f"{there:%Y-%m-%d %H:%M} UTC"
