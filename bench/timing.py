"""Timing whole commands in pairs: ours and the raw thing in turn, so that a noisy machine slows both."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# As on a user's machine: Python keeps what it compiled.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
INV = str(Path(sys.executable).with_name("inv"))


def run(command: Sequence[str], *, cwd: Path, env: Mapping[str, str] | None = None) -> float:
    """Seconds that a command takes; ends the benchmark if it fails."""
    began = time.perf_counter()
    environment = {**ENVIRONMENT, **(env or {})}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"{' '.join(command)} exited with {done.returncode}:\n{done.stderr.decode()}")
    return seconds


def in_turn(
    ours: Callable[[], float], raw: Callable[[], float], *, rounds: int
) -> tuple[float, float, float]:
    """Median seconds of ours and of the raw thing, and the median of the ratios pair by pair."""
    ours(), raw()  # warm the caches of both
    pairs = [(ours(), raw()) for _ in range(rounds)]
    return (
        statistics.median(pair[0] for pair in pairs),
        statistics.median(pair[1] for pair in pairs),
        statistics.median(pair[0] / pair[1] for pair in pairs),
    )


def say(name: str, ours: float, raw: float, ratio: float) -> None:
    """One line of the result."""
    print(f"{name:46} ours {ours * 1000:7.0f} ms   raw {raw * 1000:7.0f} ms   ratio {ratio:5.2f}")
