"""The children that a gateway has started and will reap itself: no program's orphans."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

table_lock = threading.RLock()  # held while a child is started, and while the process table is looked at
_registered: set[int] = set()


@contextmanager
def spawning() -> Iterator[Callable[[int], None]]:
    """Hold this while a child is started, and call what it yields with the child's process id.

    No look at the process table happens meanwhile, so a child that a gateway has just started is never
    taken for an orphan of some program's. After the child is reaped: `forget`.
    """
    with table_lock:
        yield _registered.add


def forget(pid: int) -> None:
    """The registered child has been reaped: its number may now be anyone's."""
    with table_lock:
        _registered.discard(pid)


def is_registered(pid: int) -> bool:
    """True for a child that a gateway has started and not yet reaped. To be asked under `table_lock`."""
    return pid in _registered
