"""The repository that a hook runs in, seen with what git is about to accept."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ci_tasks.core.git.objects import ObjectDatabase
from ci_tasks.core.git.process import hook_environment
from ci_tasks.core.git.repository import Repository


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a hook runs: `root` is the top of the working tree, or the git folder where there is none."""

    root: Path
    database: ObjectDatabase
    environment: dict[str, str]

    @property
    def git_dir(self) -> Path:
        """The git folder; of a linked worktree its own."""
        return self.database.git_dir


def here() -> Place:
    """The place that git started the hook in: it stands in `root` and says GIT_DIR where that is not plain.

    Raises UsageError where there is no repository.
    """
    named = os.environ.get("GIT_DIR")
    if named:
        root = Path.cwd()
        git_dir = root / named
    else:
        repository = Repository.discover(Path.cwd())
        root, git_dir = repository.root, repository.git_dir
    environment = hook_environment()
    database = ObjectDatabase(git_dir, at=root, environment=environment)
    return Place(root=root, database=database, environment=environment)
