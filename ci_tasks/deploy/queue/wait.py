"""Words about waiting for a turn: how long it may take, and how long it will."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ci_tasks.core.errors import UsageError
from ci_tasks.tag.names import DeploymentStatus
from ci_tasks.tag.queue import LONGEST_WAIT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci_tasks.tag.grammar import EnvironmentTag
    from ci_tasks.tag.model import Deployment
    from ci_tasks.tag.queue import Outlook

_MINUTES = re.compile(r"[0-9]{1,4}(?:\.[0-9]{1,2})?", re.ASCII)
_MOST = LONGEST_WAIT.total_seconds() / 60


def wait_seconds(typed: str | None) -> float | None:
    """The seconds of so many minutes ("10", "0.5"); None where none were typed.

    Raises UsageError for anything that is not more than 0 and at most a day.
    """
    if typed is None:
        return None
    text = typed.strip()
    minutes = float(text) if _MINUTES.fullmatch(text) else 0.0
    if not 0 < minutes <= _MOST:
        raise UsageError(
            f"--wait {typed[:20]!r}: write minutes, such as 10 or 0.5, at most {_MOST:.0f} (a day)."
        )
    return round(minutes * 60, 1)


def spoken(seconds: float) -> str:
    """A time to come, as exact as it can be known: "40 s", "3 min", "2 h 5 min"."""
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    hours, rest = divmod(minutes, 60)
    if not hours:
        return f"{minutes} min"
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def waiting_line(tag: EnvironmentTag, ahead: Sequence[Deployment], place: Outlook | None) -> str:
    """What a waiter shows: where, for whom, in which place, and for how long."""
    first = ahead[0]
    where = f" in {first.region}" if first.region else ""
    is_running = first.status is DeploymentStatus.RUNNING
    does = "is running" if is_running else "goes first"
    is_late = is_running and place is not None and place.position == 1 and place.seconds == 0
    than = ", longer than usual" if is_late else ""
    said = f"Waiting for {tag}"
    if place is not None:
        said += f", {place_text(place.position, place.seconds)}"
    return f"{said}: {first.version} of {first.triggered_by} {does}{where}{than}."


def place_text(position: int, seconds: float | None) -> str:
    """A place in the queue, as a part of a sentence: "place 2 in the queue, about 3 min".

    Whoever is next, and should have been by now, is not told that it takes a second.
    """
    place = "next in the queue" if position == 1 else f"place {position} in the queue"
    is_due = position == 1 and not seconds
    return place if seconds is None or is_due else f"{place}, about {spoken(seconds)}"
