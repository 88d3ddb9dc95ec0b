"""Gathers configuration files from a folder on disk."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ci_tasks.core.errors import UsageError
from ci_tasks.core.files import read_file
from ci_tasks.environment.layout import FILE, FOLDER, OTHER_FILES
from ci_tasks.environment.model import Problem

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_BELOW_FOLDER = 3  # <environment>/<region>/, and one more, whose config.yml is too deep


@dataclass(frozen=True)
class Survey:
    """Files with their bytes, folders (their path ends in "/") with none, and what could not be read."""

    files: dict[str, bytes] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def gather(root: Path, subprojects: Sequence[str] = ()) -> dict[str, bytes]:
    """The configuration of the root project and of these subprojects: path from the root -> bytes.

    A folder is a path that ends in "/", without bytes. Raises UsageError for a link, a FIFO, a device or a
    too large file where configuration is expected.
    """
    found = survey(root, subprojects)
    if found.problems:
        first, *others = found.problems
        raise UsageError(
            f"{first}.", unchanged="Nothing was changed.", details=[f"{problem}." for problem in others]
        )
    return found.files


def survey(root: Path, subprojects: Sequence[str] = ()) -> Survey:
    """The same, with the problems beside it instead of an error."""
    found = Survey()
    for subproject in dict.fromkeys(("", *subprojects)):
        parts = [*subproject.split("/"), FOLDER] if subproject else [FOLDER]
        if _is_folder(found, root, parts):
            _walk(found, root, "/".join(parts), _BELOW_FOLDER)
    return found


def _is_folder(found: Survey, root: Path, parts: Sequence[str]) -> bool:
    """True for a real folder; a link on the way to it is a problem, nothing there is none."""
    folder = root
    for number, part in enumerate(parts, start=1):
        folder /= part
        try:
            mode = folder.lstat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            return False
        if not stat.S_ISDIR(mode):
            if stat.S_ISLNK(mode) or part == FOLDER:
                kind = "a symbolic link" if stat.S_ISLNK(mode) else "no folder"
                path = "/".join(parts[:number])
                found.problems.append(Problem(path=path, what=f"this is {kind}; a folder is expected"))
            return False
    return True


def _walk(found: Survey, root: Path, folder: str, depth: int) -> None:
    found.files[f"{folder}/"] = b""
    try:
        with os.scandir(root / folder) as opened:
            entries = sorted(opened, key=lambda entry: entry.name)
    except OSError as error:
        found.problems.append(Problem(path=f"{folder}/", what=f"this folder can't be read: {error.strerror}"))
        return
    for entry in entries:
        path = f"{folder}/{entry.name}"
        if entry.name == FILE or entry.name in OTHER_FILES:
            _take(found, root, path)
        elif entry.is_symlink():
            if entry.is_dir():
                what = "this is a symbolic link; a folder is expected"
                found.problems.append(Problem(path=f"{path}/", what=what))
        elif entry.is_dir() and depth and not entry.name.startswith("."):
            _walk(found, root, path, depth - 1)


def _take(found: Survey, root: Path, path: str) -> None:
    try:
        found.files[path] = read_file(root / path, root=root)
    except UsageError as error:
        found.problems.append(Problem(path=path, what=error.what.removeprefix(f"{path} ").removesuffix(".")))
