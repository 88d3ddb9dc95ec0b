"""Becoming the parent of our descendants' orphans (Linux: prctl(2), PR_SET_CHILD_SUBREAPER)."""

from __future__ import annotations

import os
from functools import lru_cache

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


@lru_cache(maxsize=1)
def adopters(pid: int) -> frozenset[int]:
    """Who becomes the parent of our descendants' orphans: this process, `pid`, which is made a subreaper.

    Where a sandbox forbids that it is process 1; then only orphans that carry a mark are found.
    """
    import ctypes  # noqa: PLC0415 - 10 ms that only starting a program costs

    libc = ctypes.CDLL(None)
    failed = libc.prctl(_PR_SET_CHILD_SUBREAPER, *map(ctypes.c_ulong, (1, 0, 0, 0)))
    return frozenset({pid, 1}) if failed else frozenset({pid})


def childless() -> bool:
    """True if the kernel says that we have no child at all, dead or alive: then there is no orphan either."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False
