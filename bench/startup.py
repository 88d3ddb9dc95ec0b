"""`inv --list` with all of our tasks against a bare `inv --list` with an empty tasks.py."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.timing import INV, in_turn, run, say

ROUNDS = 21


def main() -> None:
    """Print the ratio."""
    with tempfile.TemporaryDirectory() as folder:
        ours, bare = Path(folder, "ours"), Path(folder, "bare")
        nothing = "import invoke\n\n@invoke.task\ndef nothing(c):\n    pass\n"
        for place, text in ((ours, "from ci_tasks import ns\n"), (bare, nothing)):
            place.mkdir()
            (place / "tasks.py").write_text(text)
        result = in_turn(
            lambda: run([INV, "--list"], cwd=ours), lambda: run([INV, "--list"], cwd=bare), rounds=ROUNDS
        )
    say("inv --list / inv --list of one empty task", *result)


if __name__ == "__main__":
    main()
