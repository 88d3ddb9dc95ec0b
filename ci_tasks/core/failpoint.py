"""Places at which a test can stop this very process, as a crash or an impatient person would.

`CI_TASKS_FAILPOINT=after_push:2=sleep:5,before_settle` with `CI_TASKS_TESTING=1`: at the second pass of
`after_push` sleep 5 s, and at the first of `before_settle` die by SIGKILL. Without both variables nothing
happens. Every name stands in docs/development/fail-points.md.
"""

from __future__ import annotations

import os
import signal
import threading
import time

_SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "int": signal.SIGINT}
_passes: dict[str, int] = {}
_lock = threading.Lock()


def failpoint(name: str) -> None:
    """Do here what the environment asks for at `name`: nothing, in every run that is no test.

    Raises ValueError for a wish that can't be read, so that a test with a misspelt one does not pass.
    """
    wishes = os.environ.get("CI_TASKS_FAILPOINT")
    if not wishes or os.environ.get("CI_TASKS_TESTING") != "1":
        return
    with _lock:
        _passes[name] = _passes.get(name, 0) + 1
        count = _passes[name]
    for wish in wishes.split(","):
        place, _, action = wish.strip().partition("=")
        wanted, _, number = place.partition(":")
        if wanted == name and int(number or 1) == count:
            _do(action or "kill")


def _do(action: str) -> None:
    verb, _, seconds = action.partition(":")
    if verb == "sleep":
        time.sleep(float(seconds))
    elif verb in _SIGNALS:
        os.kill(os.getpid(), _SIGNALS[verb])
    else:
        message = f"CI_TASKS_FAILPOINT can't do {action!r}; it can kill, term, int and sleep:SECONDS."
        raise ValueError(message)
