"""`python -m ci_tasks`, and what the hooks start by its path: no folder that git stands in is searched."""

from __future__ import annotations

import sys
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _search_path(path: list[str]) -> list[str]:
    """Where modules are looked for: Python puts a script's own folder first, here that of our modules."""
    kept = [entry for entry in path if not entry or Path(entry).resolve() != _PACKAGE]
    return kept if str(_PACKAGE.parent) in kept else [str(_PACKAGE.parent), *kept]


if __name__ == "__main__":
    sys.path[:] = _search_path(sys.path)
    from ci_tasks.program import main

    main()
