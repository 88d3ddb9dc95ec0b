"""Reading what others write to: again, until nothing has moved between its listing and its reading."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, TypeVar

from ci_tasks.core.git.origin import MovedError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

READINGS = 20
_LONGEST_PAUSE = 0.3
"""Seconds between two readings, at most: a deployment to several regions moves its tag for each of them."""


def until_still(read: Callable[[], T]) -> T:
    """What `read` answers; it is called anew while it raises MovedError, at most `READINGS` times."""
    for number in range(1, READINGS):
        try:
            return read()
        except MovedError:
            time.sleep(random.uniform(0, min(_LONGEST_PAUSE, 0.03 * number)))  # noqa: S311 - jitter, no secret
    return read()
