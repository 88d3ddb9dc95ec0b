"""The folder in which git looks for the hooks of a repository."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci_tasks.core.errors import RefusedError, UsageError
from ci_tasks.core.git.failures import local_failure, owner_fix
from ci_tasks.core.git.process import run_git

if TYPE_CHECKING:
    from pathlib import Path

    from ci_tasks.core.git.repository import Repository


@dataclass(frozen=True, kw_only=True)
class HookFolder:
    """Where the hooks are; `notes` is what somebody should know about it."""

    path: Path
    notes: tuple[str, ...] = ()


def of_clone(repository: Repository) -> HookFolder:
    """The folder of a clone, shared by its worktrees unless `core.hooksPath` names another.

    Raises RefusedError where it lies outside of the repository: its hooks are those of others too.
    """
    setting = _hooks_path([], at=repository.root)
    if setting is None:
        path, named = repository.common_dir / "hooks", "its folder for hooks"
    else:
        scope, text = setting
        path, named = repository.root / text, f"core.hooksPath ({scope})"
    own = repository.common_dir / "hooks"
    inside = (repository.common_dir, repository.git_dir, repository.root)
    _require_inside(path, inside, named=named, own=own)
    if _is_below(path, repository.common_dir) or not _is_below(path, repository.root):
        return HookFolder(path=path)
    note = f"{named} is {path}, inside the working tree: a tool that writes that folder takes our hooks away."
    return HookFolder(path=path, notes=(note,))


def of_server(git_dir: Path) -> HookFolder:
    """The folder of a bare repository. Raises UsageError if it is none, RefusedError as `of_clone` does."""
    if not (git_dir / "HEAD").is_file() or not (git_dir / "objects").is_dir():
        raise UsageError(f"{git_dir} is not a bare repository.", unchanged="Nothing was changed.")
    asked = run_git([f"--git-dir={git_dir}", "rev-parse", "--is-bare-repository"], at=git_dir)
    if asked.status:
        fix = owner_fix(asked.stderr)
        error = local_failure(f"read the repository {git_dir}", asked.stderr)
        error.next_step = fix or error.next_step
        raise error
    if asked.stdout.strip() != b"true":
        raise UsageError(
            f"{git_dir} has a working tree: hooks for those who push belong into a bare repository.",
            unchanged="Nothing was changed.",
        )
    setting = _hooks_path([f"--git-dir={git_dir}"], at=git_dir)
    path = git_dir / (setting[1] if setting else "hooks")
    named = f"core.hooksPath ({setting[0]})" if setting else "its folder for hooks"
    _require_inside(path, (git_dir,), named=named, own=git_dir / "hooks", git_dir=git_dir)
    return HookFolder(path=path)


def _hooks_path(options: list[str], *, at: Path) -> tuple[str, str] | None:
    """Scope and value of `core.hooksPath` as git uses it, our own value for our own calls aside."""
    answer = run_git(
        [*options, "config", "--show-scope", "-z", "--type=path", "--get-all", "core.hooksPath"], at=at
    )
    if answer.status not in {0, 1}:
        raise local_failure("read core.hooksPath", answer.stderr)
    fields = os.fsdecode(answer.stdout).split("\0")
    pairs = [pair for pair in zip(fields[::2], fields[1::2], strict=False) if pair[0] != "command"]
    return pairs[-1] if pairs else None


def _require_inside(
    path: Path, inside: tuple[Path, ...], *, named: str, own: Path, git_dir: Path | None = None
) -> None:
    if any(_is_below(path, folder) for folder in inside):
        return
    here = f" --git-dir={shlex.quote(str(git_dir))}" if git_dir else ""
    raise RefusedError(
        f"{named} is {path}, outside of this repository: a hook there would run for other repositories too.",
        unchanged="Nothing was changed.",
        details=["Give this repository a folder of its own, or call `hook.run` from those hooks."],
        next_step=f"git{here} config --local core.hooksPath {shlex.quote(str(own))}",
    )


def _is_below(path: Path, folder: Path) -> bool:
    """Whether a path is inside a folder, links followed."""
    return path.resolve().is_relative_to(folder.resolve())
