"""Forks `inv` quickly, as tests/warm.py does, but with another clock, or with a promise broken on purpose.

Nothing in the program knows of this: what is wrong is put into the forked process before its first line runs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

from tests import warm

if TYPE_CHECKING:
    from collections.abc import Mapping

PID_FILE = "STRESS_PID_FILE"
"""Where the process writes its number, so that it can be killed."""
SKEW = "STRESS_SKEW"
"""Seconds that its clock is ahead."""
GRACE = "STRESS_GRACE"
"""Seconds after a lease's end at which another may take over, in place of two minutes."""
PATIENCE = "STRESS_PATIENCE"
"""Seconds for which a turn in the queue may be left unused, in place of one minute."""
SEEDED = "STRESS_SEEDED"
"""Name of the promise that it breaks; see seeded.py."""


class Launcher(warm.Warm):
    """Starts a process that forks `inv`; its variables above say what is to be wrong in it."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self._address = str(folder / "launcher")
        self._steering = {}
        self._process = subprocess.Popen(
            [sys.executable, __file__, self._address], stdout=subprocess.PIPE, env=dict(env)
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"


def prepare(env: Mapping[str, str]) -> None:
    """Put into this process what its variables say."""
    if PID_FILE in env:
        Path(env[PID_FILE]).write_text(str(os.getpid()), encoding="ascii")
    if SKEW in env:
        _put_clock_wrong(timedelta(seconds=float(env[SKEW])))
    if GRACE in env:
        from ci_tasks.tag import ledger  # noqa: PLC0415 - only in the forked process

        ledger.TAKEOVER_GRACE = timedelta(seconds=float(env[GRACE]))
    if PATIENCE in env:
        from ci_tasks.tag import queue  # noqa: PLC0415 - only in the forked process

        queue.PASSED_AFTER = float(env[PATIENCE])
    if SEEDED in env:
        from tests.stress import seeded  # noqa: PLC0415 - only in the forked process

        seeded.FAULTS[env[SEEDED]]()


def _put_clock_wrong(ahead: timedelta) -> None:
    from ci_tasks.tag import clock  # noqa: PLC0415 - only in the forked process

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # a plain datetime
            return datetime.now(tz) + ahead

    vars(clock)["datetime"] = Shifted  # this module alone asks for the time of day


def main() -> None:
    """Serve as tests/warm.py does; in a child: prepare, run `inv`, and never return."""
    from invoke.main import program  # noqa: PLC0415 - what the console script imports

    run = program.run

    def prepared() -> None:
        prepare(os.environ)
        run()

    vars(program)["run"] = prepared
    warm.main()


if __name__ == "__main__":
    main()
