"""`inv tag.list --json` and `inv tag.verify --json` over 100,000 tags against one raw `git for-each-ref`.

The raw command reads the same refs with the same contents in the remote itself; ours has to list them first,
and checks what it reads. The repository is that of `bench.status`. Also prints the peak of memory.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench.status import build
from bench.timing import ENVIRONMENT, INV, in_turn, run, say

if TYPE_CHECKING:
    from collections.abc import Sequence

ROUNDS = 5
CONTENTS = "--format=%(objectname) %(refname) %(contents)"


# A process starts with its parent's peak, so a small one has to start it.
PEAK = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(done.returncode)
"""


def peak(command: Sequence[str], *, cwd: Path) -> float:
    """The most memory that a command or one of its git processes held at once, in MiB."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", PEAK, *command],
        cwd=cwd,
        env=ENVIRONMENT,
        capture_output=True,
        check=True,
    )
    return int(done.stdout) / (1024 * 1024 if sys.platform == "darwin" else 1024)


def main() -> None:
    """Print the ratios, and the memory."""
    with tempfile.TemporaryDirectory() as name:
        remote, clone = build(Path(name))
        first = run([INV, "tag.verify", "--json"], cwd=clone)
        print(f"{'first tag.verify (fetches 100,000 tags)':46} ours {first * 1000:7.0f} ms")
        start = run([INV, "--list"], cwd=clone)
        print(f"start-up (inv --list), taken off below: {start * 1000:.0f} ms")

        def contents() -> float:
            return run(["git", "for-each-ref", CONTENTS, "refs/tags/"], cwd=remote)

        for task in ("tag.list", "tag.verify"):

            def ours(task: str = task) -> float:
                return run([INV, task, "--json"], cwd=clone) - start

            say(f"{task} / for-each-ref of all, with contents", *in_turn(ours, contents, rounds=ROUNDS))
            print(f"{task}: {peak([INV, task, '--json'], cwd=clone):.0f} MiB at most")
        print(f"inv --list: {peak([INV, '--list'], cwd=clone):.0f} MiB at most")


if __name__ == "__main__":
    main()
