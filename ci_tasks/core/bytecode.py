"""Keeping compiled modules: Invoke switches that off for the whole process."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def kept() -> Iterator[None]:
    """Let Python write `.pyc` files for what is imported inside, unless the user forbade it to Python itself.

    Invoke does not want them beside a user's tasks.py, and sets `sys.dont_write_bytecode` for everything.
    Without them each start of an editable install compiles all of our modules again, at 100 ms and more.
    """
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)
    try:
        yield
    finally:
        sys.dont_write_bytecode = before
