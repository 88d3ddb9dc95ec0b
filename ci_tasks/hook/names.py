"""The closed sets of hooks."""

from __future__ import annotations

from enum import Enum


class HookName(Enum):
    """The hooks of git that we know; each is the name of its file too."""

    PRE_PUSH = "pre-push"
    COMMIT_MSG = "commit-msg"
    PRE_COMMIT = "pre-commit"
    PRE_MERGE_COMMIT = "pre-merge-commit"
    UPDATE = "update"


CLIENT = (HookName.PRE_PUSH, HookName.COMMIT_MSG, HookName.PRE_COMMIT, HookName.PRE_MERGE_COMMIT)
"""The hooks of a clone."""
SERVER = (HookName.UPDATE,)
"""The hooks of a repository that others push to."""


class HookChange(Enum):
    """What became of a hook's file."""

    INSTALLED = "INSTALLED"
    UPDATED = "UPDATED"
    UNCHANGED = "UNCHANGED"
    REMOVED = "REMOVED"
    ABSENT = "ABSENT"
