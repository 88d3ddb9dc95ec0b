"""Which code a hook's name stands for."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from ci_tasks.core.errors import UsageError, bad_choice
from ci_tasks.hook.model import HookResult
from ci_tasks.hook.names import HookName
from ci_tasks.hook.place import here

if TYPE_CHECKING:
    from collections.abc import Sequence


def run(name: str, arguments: Sequence[str]) -> HookResult:
    """Run the hook of this name with what git hands to it. Raises RefusedError with what is wrong."""
    known = {each.value: each for each in HookName}
    if name not in known:
        raise bad_choice("hook", name, list(known))
    return HookResult(name=known[name], checked=_checked(known[name], arguments))


def _checked(name: HookName, arguments: Sequence[str]) -> int:
    """How many things were looked at; only the code of this one hook is loaded."""
    if name is HookName.PRE_PUSH:
        from ci_tasks.hook import pre_push  # noqa: PLC0415 - says the docstring

        place = here()
        return pre_push.check(place, pre_push.updates(_stdin(), os.environ, place.database.kinds))
    if name is HookName.COMMIT_MSG:
        from ci_tasks.hook import commit_msg  # noqa: PLC0415 - says the docstring

        (path,) = _exactly(arguments, 1, "commit-msg -- FILE")
        return commit_msg.check(path)
    if name in {HookName.PRE_COMMIT, HookName.PRE_MERGE_COMMIT}:
        from ci_tasks.hook import pre_commit  # noqa: PLC0415 - says the docstring

        return pre_commit.check()
    from ci_tasks.hook import update  # noqa: PLC0415 - says the docstring

    ref, old, new = _exactly(arguments, 3, "update -- REF OLD NEW")
    return update.check(ref, old=old, new=new)


def _exactly(arguments: Sequence[str], count: int, form: str) -> Sequence[str]:
    if len(arguments) != count:
        raise UsageError(f"This hook is run as `hook.run {form}`, as git does.")
    return arguments


def _stdin() -> bytes:
    """What git writes to the hook; nothing where a person sits at a terminal."""
    if sys.stdin is None or sys.stdin.isatty():
        return b""
    return sys.stdin.buffer.read()
