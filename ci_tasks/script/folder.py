"""What lies in a `scripts/` folder: scripts by their names, things to ignore, things to refuse."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ci_tasks.core.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "scripts"
PATTERN = "NN-ci-<name>.<ext>"

# the name has no "ci-" of its own, so that "smoke" and "ci-smoke" mean the same script everywhere
_NAME = re.compile(r"(?P<order>[0-9]{2})-(?P<name>ci-(?!ci-)[a-z0-9]+(?:-[a-z0-9]+)*)\.[A-Za-z0-9]+")
_SUBPROJECT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(?:/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
_NUMBERED = re.compile(r"[0-9]+[-_]")
_SUFFIXES = frozenset(
    f".{language}"
    for language in (
        *("sh", "bash", "zsh", "ksh", "fish", "awk", "tcl", "ps1", "bat", "cmd", "exe"),
        *("py", "rb", "pl", "php", "js", "mjs", "cjs", "ts", "lua", "r"),
    )
)


@dataclass(frozen=True, kw_only=True)
class FileName:
    """A script's file name, taken apart: `20-ci-smoke.sh` is order 20, name `ci-smoke`."""

    order: int
    name: str


def file_name(text: str) -> FileName | None:
    """The parts of a file name that follows the pattern, else None."""
    match = _NAME.fullmatch(text)
    return FileName(order=int(match["order"]), name=match["name"]) if match else None


def place(root: Path, subproject: str | None, *below: str) -> Path | None:
    """The folder `[<subproject>/]scripts/<below>`, or None if there is none.

    Raises UsageError if it, or a folder on the way from `root` to it, is a link or no folder.
    """
    if subproject is not None and not _SUBPROJECT.fullmatch(subproject):
        raise UsageError(
            f"{subproject!r} can't be the path of a subproject.",
            unchanged="Nothing was run.",
            next_step="inv script.list",
        )
    folder = root
    for part in (*PurePosixPath(subproject or "").parts, FOLDER, *below):
        folder = folder / part
        try:
            kind = folder.lstat().st_mode
        except FileNotFoundError:
            return None
        if not stat.S_ISDIR(kind):
            what = "a link" if stat.S_ISLNK(kind) else "not a folder"
            raise UsageError(
                f"{folder.relative_to(root).as_posix()} is {what}; scripts are read from real folders only.",
                unchanged="Nothing was run.",
                next_step="inv script.check",
            )
    return folder


def entries(folder: Path) -> tuple[Path, ...]:
    """What lies in a folder, by name, without what is plainly no script: README, *.md, dotfiles, folders."""
    try:
        return tuple(entry for entry in sorted(folder.iterdir()) if not _is_ignored(entry))
    except PermissionError as error:
        raise UsageError(f"{folder} can't be read: {error.strerror}.", unchanged="Nothing was run.") from None


def _is_ignored(entry: Path) -> bool:
    name = entry.name
    if name.startswith((".", "README")) or name.lower().endswith(".md"):
        return True
    return stat.S_ISDIR(entry.lstat().st_mode) and file_name(name) is None


def fault(entry: Path) -> str | None:
    """Why an entry is refused; None for a script, and for mere data that nobody would run."""
    mode = entry.lstat().st_mode
    if stat.S_ISLNK(mode):
        return "is a link; a script must be a file of its own"
    if not stat.S_ISREG(mode):
        return "is not a regular file"
    if file_name(entry.name) is None and (mode & 0o111 or _looks_like_script(entry)):
        return f"looks like a script, but its name is not {PATTERN}; rename it, or move it into a folder lib/"
    return None


def _looks_like_script(entry: Path) -> bool:
    if _NUMBERED.match(entry.name) or entry.suffix.lower() in _SUFFIXES:
        return True
    try:
        handle = os.open(entry, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        return False
    try:
        return os.read(handle, 2) == b"#!"
    finally:
        os.close(handle)
