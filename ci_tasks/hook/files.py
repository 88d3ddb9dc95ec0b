"""One hook's file: what is there, the steps to what should be there, and each step whole or not at all."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci_tasks.core.errors import RefusedError, UnavailableError, UsageError
from ci_tasks.hook.names import HookChange
from ci_tasks.hook.script import MARK, SUFFIX

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_LARGEST = 1 << 20  # bytes of a hook's file that are looked at
_LEGACY = ".legacy"  # what the pre-commit framework puts behind the name of the hook that it found


@dataclass(frozen=True, kw_only=True)
class Place:
    """A hook's file and the one that is kept for it; contents and modes None where there is no such file."""

    path: Path
    kept: Path
    content: bytes | None
    kept_content: bytes | None
    is_ours: bool

    @property
    def is_kept_twice(self) -> bool:
        """True where the hook that is there and the kept one are the same: an installation was cut short."""
        return (
            not self.is_ours
            and self.content is not None
            and self.content == self.kept_content
            and _identity(self.path) == _identity(self.kept)
        )


@dataclass(frozen=True, kw_only=True)
class Step:
    """One change in the folder, after which every hook still works; `does` says it to people."""

    does: str
    take: Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The steps for one hook, and what they come to."""

    change: HookChange
    steps: tuple[Step, ...] = ()


def look(folder: Path, name: str) -> Place:
    """What stands where a hook of this name belongs; UsageError if it is a folder or the like.

    Where the pre-commit framework was installed after us, ours is the one that it calls.
    """
    path = folder / name
    legacy = folder / f"{name}{_LEGACY}"
    if not _is_ours(_content(path)) and _is_ours(_content(legacy)):
        path = legacy
    kept = folder / f"{name}{SUFFIX}"
    content = _content(path)
    return Place(
        path=path,
        kept=kept,
        content=content,
        kept_content=_content(kept),
        is_ours=_is_ours(content) and not path.is_symlink(),
    )


def installing(place: Place, script: bytes) -> Plan:
    """The steps that put our script in place, the hook that is there kept beside it.

    Raises RefusedError where that would lose a hook: one is kept already, and another stands here now.
    """
    put = Step(does=f"write {place.path}", take=lambda: _put(place.path, script))
    if place.is_ours:
        executable = os.access(place.path, os.X_OK)
        if place.content == script and executable:
            return Plan(change=HookChange.UNCHANGED)
        return Plan(change=HookChange.UPDATED, steps=(put,))
    if place.content is None or place.is_kept_twice:
        return Plan(change=HookChange.INSTALLED, steps=(put,))
    if place.kept_content is not None:
        raise RefusedError(
            f"{place.path} is not ours, and {place.kept.name} is kept already: one of them would be lost.",
            unchanged="Nothing was changed.",
            details=["Somebody wrote this hook after ours. Make one of the two, and take the other away."],
            next_step=f"diff {place.kept} {place.path}",
        )
    keep = Step(does=f"keep {place.path} as {place.kept.name}", take=lambda: _keep(place.path, place.kept))
    return Plan(change=HookChange.INSTALLED, steps=(keep, put))


def uninstalling(place: Place) -> Plan:
    """The steps that put back what was there before."""
    if (place.is_ours or place.content is None) and place.kept_content is not None:
        back = Step(does=f"put {place.kept.name} back", take=lambda: _move(place.kept, place.path))
        return Plan(change=HookChange.REMOVED, steps=(back,))
    if place.is_ours:
        return Plan(
            change=HookChange.REMOVED, steps=(Step(does=f"remove {place.path}", take=place.path.unlink),)
        )
    if place.is_kept_twice:
        return Plan(
            change=HookChange.REMOVED, steps=(Step(does=f"remove {place.kept}", take=place.kept.unlink),)
        )
    return Plan(change=HookChange.ABSENT)


def apply(plan: Plan, folder: Path) -> None:
    """Take the steps. UnavailableError if the folder can't be written."""
    if not plan.steps:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for step in plan.steps:
            step.take()
            _sync(folder)
    except OSError as error:
        raise UnavailableError(
            f"The hooks in {folder} can't be changed: {error.strerror}.",
            unchanged="The hooks that are there work as before.",
        ) from None


def _content(path: Path) -> bytes | None:
    """A file's first MiB, through links; empty for a link to nothing, None where there is nothing."""
    try:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode) and not path.is_file():
            return b""
        if not stat.S_ISLNK(mode) and not stat.S_ISREG(mode):
            raise UsageError(
                f"{path} is not a file, so no hook can be there.", unchanged="Nothing was changed."
            )
        with path.open("rb") as opened:
            return opened.read(_LARGEST)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UnavailableError(
            f"{path} can't be read: {error.strerror}.", unchanged="Nothing was changed."
        ) from None


def _is_ours(content: bytes | None) -> bool:
    return content is not None and content.partition(b"\n")[2].startswith(MARK)


def _identity(path: Path) -> tuple[int, str]:
    """Mode, and target if it is a link: what a copy has to share beside the content."""
    return path.lstat().st_mode, str(path.readlink()) if path.is_symlink() else ""


def _put(path: Path, data: bytes) -> None:
    """Write a file that can be run, and move it into its place at once."""
    temporary = _temporary(path)
    try:
        _write(temporary, data)
        # Whatever the umask: git passes over a hook in silence that whoever pushes may not run.
        temporary.chmod(0o755)
        temporary.replace(path)
    except BaseException:  # Ctrl-C too leaves nothing behind
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _keep(path: Path, kept: Path) -> None:
    """A second name for the very same file; a copy where the file system has no such thing."""
    temporary = _temporary(kept)
    try:
        if path.is_symlink():
            temporary.symlink_to(path.readlink())
        else:
            try:
                os.link(path, temporary)
            except OSError:
                _copy(path, temporary)
        temporary.replace(kept)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _copy(path: Path, to: Path) -> None:
    _write(to, path.read_bytes())
    to.chmod(stat.S_IMODE(path.stat().st_mode))


def _move(source: Path, target: Path) -> None:
    source.replace(target)


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as opened:  # noqa: PTH123 - a descriptor is not a path
        opened.write(data)
        opened.flush()
        os.fsync(descriptor)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}")


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
