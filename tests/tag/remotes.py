"""What the tests do behind the program's back: tags on the remote, and a look at every byte of the clone."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING

from tests.repositories import git, write

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

DATE = 1_767_614_400
"""2026-01-05 12:00:00 UTC."""
EPHEMERAL = {"__pycache__", "build", "ci-tasks"}


def tag_content(
    target: str,
    name: str,
    message: str = "A version",
    kind: str = "commit",
    tagger: str = f"Somebody <somebody@example.invalid> {DATE} +0000",
) -> bytes:
    """The bytes of a tag object, as wrong as the test wants them."""
    return f"object {target}\ntype {kind}\ntag {name}\ntagger {tagger}\n\n{message}\n".encode()


def put_object(repository: Path, content: bytes, kind: str = "tag") -> str:
    """Write an object without any check of git's."""
    done = subprocess.run(
        ["git", "hash-object", "-t", kind, "-w", "--stdin", "--literally"],
        cwd=repository,
        input=content,
        check=True,
        capture_output=True,
    )
    return done.stdout.decode().strip()


def put_ref(repository: Path, name: str, object_id: str) -> str:
    """Set `refs/tags/<name>`; gives the id back."""
    git("update-ref", f"refs/tags/{name}", object_id, cwd=repository)
    return object_id


def put_tag(repository: Path, name: str, target: str, message: str = "A version") -> str:
    """An annotated tag on a commit, straight into a repository."""
    return put_ref(repository, name, put_object(repository, tag_content(target, name, message)))


def snapshot(clone: Path) -> dict[str, bytes]:
    """Every file of a clone but git's objects and what the program keeps for itself."""
    return {
        str(path): str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        for path in _files(clone)
    }


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_symlink() or not path.is_dir():
            yield path
        elif path.name not in EPHEMERAL and path.parts[-2:] != (".git", "objects"):
            yield from _files(path)


def git_wrapper(folder: Path, script: str) -> Mapping[str, str]:
    """An environment whose `git` runs a piece of shell before the real one; `$*` is git's command line."""
    real = shutil.which("git")
    assert real is not None
    path = write(folder / "git", f'#!/bin/sh\n{script}\nexec {real} "$@"\n', executable=True)
    return {"PATH": f"{path.parent}{os.pathsep}{os.environ['PATH']}"}


def once_before(folder: Path, word: str, command: str) -> Mapping[str, str]:
    """An environment in which a command runs once, before the first git with this word on its line."""
    done = shlex.quote(str(folder / "done"))
    real = shutil.which("git")
    return git_wrapper(
        folder,
        f'case " $* " in *" {word} "*) if test ! -e {done}; then : > {done}\n'
        f'git() {{ {real} "$@"; }}\n( {command} ) >/dev/null 2>&1; fi;; esac',
    )
