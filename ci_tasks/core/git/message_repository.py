"""A throw-away repository that holds commit messages and nothing else, for tools that read a repository."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ci_tasks.core.git.failures import local_failure
from ci_tasks.core.git.process import LOCAL_TIMEOUT, run_git

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_BRANCH = "refs/heads/main"


def write_message_repository(folder: Path, messages: Iterable[tuple[str, str]]) -> None:
    """Make a bare repository in an empty folder: a commit per message, without files, tags and remotes.

    The author's name of each is the key that came with its message. Always SHA-1: not every tool reads
    another format. The keys are ids: no space, no angle bracket.
    """
    made = run_git(
        [
            *("-c", "init.defaultRefFormat=files", "init", "--bare", "--quiet", "--template="),
            *("--initial-branch=main", "--object-format=sha1", "--", os.fspath(folder)),
        ],
        at=folder,
    )
    if made.status:
        raise local_failure(f"make {folder}", made.stderr)
    stream = b"".join(_commit(key, message.encode()) for key, message in messages)
    filled = run_git(
        [f"--git-dir={folder}", "fast-import", "--quiet"], at=folder, stdin=stream, timeout=LOCAL_TIMEOUT
    )
    if filled.status:
        raise local_failure(f"write to {folder}", filled.stderr)


def _commit(key: str, message: bytes) -> bytes:
    people = f"author {key} <> 1 +0000\ncommitter {key} <> 1 +0000\n"
    return f"commit {_BRANCH}\n{people}data {len(message)}\n".encode() + message + b"\n"
