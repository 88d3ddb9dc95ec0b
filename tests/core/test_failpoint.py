"""Fail points: what they do where a test asks for it, and that they do nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.conftest import ROOT

TWICE = "from ci_tasks.core.failpoint import failpoint; failpoint('one'); failpoint('two'); failpoint('one')"


def ends(wishes: str, testing: str = "1") -> subprocess.CompletedProcess[str]:
    """A process that comes by `one`, `two` and `one`."""
    steering = {"CI_TASKS_FAILPOINT": wishes, "CI_TASKS_TESTING": testing}
    return subprocess.run(
        [sys.executable, "-c", TWICE],
        env={**os.environ, "PYTHONPATH": str(ROOT), **steering},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("wishes", "testing", "status"),
    [
        ("one", "1", -signal.SIGKILL),
        ("three, two", "1", -signal.SIGKILL),
        ("one:2=term", "1", -signal.SIGTERM),
        ("two=int", "1", -signal.SIGINT),
        ("one=sleep:0,two=term", "1", -signal.SIGTERM),
        ("one:3", "1", 0),
        ("on", "1", 0),
        ("", "1", 0),
        ("one", "", 0),
        ("one", "0", 0),
        ("one", "true", 0),
    ],
)
def test_it_stops_where_it_is_told_to(wishes: str, testing: str, status: int) -> None:
    assert ends(wishes, testing).returncode == status


@pytest.mark.parametrize("wish", ["one=explode", "one:x", "one=sleep:x"])
def test_a_wish_that_can_not_be_read_does_not_pass(wish: str) -> None:
    done = ends(wish)
    assert done.returncode == 1
    assert "ValueError" in done.stderr
