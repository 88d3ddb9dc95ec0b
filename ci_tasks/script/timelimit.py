"""How long a script may run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ci_tasks.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci_tasks.script.model import CIScript

TIMEOUT_VARIABLE = "CI_JOB_TIMEOUT_MINUTES"
LONGEST_MINUTES = 360
DEFAULT_SECONDS = 30 * 60.0

_MINUTES = re.compile(r"[1-9][0-9]{0,2}")


def time_limit(script: CIScript, given: float | None, environ: Mapping[str, str]) -> float:
    """Seconds: `CI_JOB_TIMEOUT_MINUTES`, else the script's `Timeout:`, else the caller's, else 30 minutes.

    Raises UsageError unless the variable is a whole number from 1 to 360; an empty one is not set.
    """
    value = environ.get(TIMEOUT_VARIABLE)
    if value:
        if not _MINUTES.fullmatch(value) or int(value) > LONGEST_MINUTES:
            raise UsageError(
                f"{TIMEOUT_VARIABLE}={value!r} is not a whole number of minutes from 1 to {LONGEST_MINUTES}.",
                unchanged="Nothing was run.",
                next_step=f"unset {TIMEOUT_VARIABLE}",
            )
        return int(value) * 60.0
    return script.timeout or given or DEFAULT_SECONDS
