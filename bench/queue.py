"""How soon `inv deploy --wait` goes on after a release, beside the pause between its looks.

The remote writes down when each push arrived: one that ends a deployment, and the claim that follows it.
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from bench.deploy import build
from bench.timing import ENVIRONMENT, INV
from ci_tasks.deploy.queue.place import POLLS

ROUNDS = 9
GOAL = 5.0
"""Seconds."""
BOUND = 60.0
LINE = [INV, "deploy", "--env", "staging", "--again"]


def until_pushed(log: Path, count: int) -> None:
    """Wait for so many pushes."""
    end = time.monotonic() + BOUND
    while len(log.read_text().splitlines()) < count:
        if time.monotonic() > end:
            raise TimeoutError(f"{count} pushes were expected: {log.read_text()}")
        time.sleep(0.02)


def started(clone: Path, *options: str) -> subprocess.Popen[bytes]:
    """A deployment at work."""
    quiet = subprocess.DEVNULL
    return subprocess.Popen([*LINE, *options], cwd=clone, env=ENVIRONMENT, stdout=quiet, stderr=quiet)


def wake(clone: Path, log: Path, go: Path) -> float:
    """Seconds from the push that ends one deployment to the claim of the one that waited."""
    log.write_text("")
    go.unlink(missing_ok=True)
    owner = started(clone)
    until_pushed(log, 1)
    waiter = started(clone, "--wait", "5")
    until_pushed(log, 2)
    time.sleep(time.monotonic() % 1 * POLLS[1])  # not always at the same moment of its pause
    go.touch()
    if owner.wait(BOUND) or waiter.wait(BOUND):
        raise RuntimeError(f"a deployment failed: {owner.returncode}, {waiter.returncode}")
    _claim, _join, released, claimed, *_ = map(float, log.read_text().split())
    return claimed - released


def main() -> None:
    """Print the median and the longest."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clone, log, go = build(folder), folder / "pushes", folder / "go"
        hook = folder / "remote.git/hooks/post-receive"
        hook.write_text(f"#!/bin/sh\ncat >/dev/null\ndate +%s.%N >>'{log}'\n")
        hook.chmod(0o755)
        script = clone / "scripts/deployment/10-ci-nothing.sh"
        script.write_text(
            f"#!/bin/sh\n# Description: Waits for a file\nuntil [ -e '{go}' ]; do sleep 0.02; done\n"
        )
        seconds = [wake(clone, log, go) for _ in range(ROUNDS)]
    print(
        f"deploy --wait goes on after a release: median {statistics.median(seconds):.1f} s,"
        f" longest {max(seconds):.1f} s   goal {GOAL:.0f} s   looks every {POLLS[0]:.0f} to {POLLS[1]:.0f} s"
    )


if __name__ == "__main__":
    main()
