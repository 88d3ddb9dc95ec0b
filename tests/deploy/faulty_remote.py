"""A bare remote that goes wrong: hooks that die, wait or decline, and hands that write to it directly."""

from __future__ import annotations

import os
import shlex
import shutil
from typing import TYPE_CHECKING

from tests.repositories import git, write

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KILL_SERVER = "kill -9 $PPID"
"""In a hook: the server dies without an answer."""

WITHOUT_QUARANTINE = "env -u GIT_QUARANTINE_PATH -u GIT_OBJECT_DIRECTORY -u GIT_ALTERNATE_OBJECT_DIRECTORIES"
"""Before a git in a pre-receive hook that is to write to the repository all the same."""


def hook(remote: Path, name: str, text: str) -> Path:
    """Install a hook of /bin/sh."""
    return write(remote / "hooks" / name, f"#!/bin/sh\n{text}\n", executable=True)


def remove_hook(remote: Path, name: str) -> None:
    """Let the remote work again."""
    (remote / "hooks" / name).unlink()


def once(file: Path, command: str) -> str:
    """A hook's text that does something the first time only; `file` says that it was done."""
    name = shlex.quote(str(file))
    return f"test -e {name} || {{ touch {name}; {command}; }}"


def from_the(number: int, file: Path, command: str) -> str:
    """A hook's text that does something from its N-th call on; `file` counts the calls."""
    name = shlex.quote(str(file))
    return f"echo x >> {name}; [ $(wc -l < {name}) -lt {number} ] || {{ {command}; }}"


def holding(entered: Path, release: Path) -> str:
    """A hook's text that says that it was called, and waits to be let go."""
    free = f"[ -e {shlex.quote(str(release))} ]"
    return (
        f"touch {shlex.quote(str(entered))}; n=0\n"
        f"until {free}; do n=$((n + 1)); [ $n -lt 1200 ] || exit 9; sleep 0.05; done"
    )


def declining(words: str, *, only_if: Path | None = None) -> str:
    """A hook's text that refuses with these words, always or while a file is there."""
    condition = f"test ! -e {shlex.quote(str(only_if))} || " if only_if else ""
    return f"{condition}{{ echo {shlex.quote(words)} >&2; exit 1; }}"


def git_with(folder: Path, text: str) -> Mapping[str, str]:
    """An environment whose `git` runs a piece of shell before the real one; `$*` is git's command line.

    In that piece `git` is the real one.
    """
    real = shutil.which("git")
    assert real is not None
    path = write(
        folder / "git",
        f'#!/bin/sh\ngit() {{ {real} "$@"; }}\n( {text}\n) >/dev/null 2>&1\nexec {real} "$@"\n',
        executable=True,
    )
    return {"PATH": f"{path.parent}{os.pathsep}{os.environ['PATH']}"}


def before_push(folder: Path, text: str) -> Mapping[str, str]:
    """The same before pushes only."""
    return git_with(folder, f'case " $* " in *" push "*) {text};; esac')


def delete_tag(remote: Path, name: str) -> None:
    """Delete a tag by hand."""
    git("update-ref", "-d", f"refs/tags/{name}", cwd=remote)


def unreadable(remote: Path, name: str, target: str) -> str:
    """Put an annotated tag without a ledger there, by hand; its id."""
    tagger = "tagger Somebody <somebody@example.invalid> 1767614400 +0000"
    content = f"object {target}\ntype commit\ntag {name}\n{tagger}\n\nMine now\n"
    written = git("hash-object", "-t", "tag", "-w", "--stdin", cwd=remote, stdin=content)
    git("update-ref", f"refs/tags/{name}", written, cwd=remote)
    return written
