"""One hook's file: what is there, the steps to what should be there, and each step whole or not at all."""

from __future__ import annotations

import os
import re
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci_tasks.core.errors import RefusedError, UnavailableError, UsageError
from ci_tasks.hook import change
from ci_tasks.hook.names import HookChange
from ci_tasks.hook.script import MARK, SUFFIX, UNDER_ITS_NAME, KeptHook, is_called_by_link

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_LARGEST = 1 << 20  # bytes of a hook's file that are looked at
_LEGACY = ".legacy"  # what the pre-commit framework puts behind the name of the hook that it found


@dataclass(frozen=True, kw_only=True)
class Place:
    """A hook's file, the one that is kept for it, and a link to that one with the hook's own name.

    Contents are None where there is no such file.
    """

    path: Path
    kept: Path
    link: Path
    content: bytes | None
    kept_content: bytes | None
    is_ours: bool

    @property
    def before(self) -> KeptHook | None:
        """The hook that is kept, or is about to be."""
        is_kept = self.is_ours or self.content is None
        path, content = (self.kept, self.kept_content) if is_kept else (self.path, self.content)
        return None if content is None else KeptHook(content=content, is_link=path.is_symlink())

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
    take: Callable[[], object]


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
        link=folder / UNDER_ITS_NAME / name,
        content=content,
        kept_content=_content(kept),
        is_ours=_is_ours(content) and not path.is_symlink(),
    )


def installing(place: Place, script: bytes) -> Plan:
    """The steps that put our script in place, the hook that is there kept beside it.

    Raises RefusedError where that would lose a hook: one is kept already, and another stands here now.
    """
    put = Step(does=f"write {place.path}", take=lambda: change.put(place.path, script))
    has_link = change.leads_to(place.link, place.kept) or not is_called_by_link(place.before)
    link = (
        ()
        if has_link
        else (Step(does=f"link {place.link}", take=lambda: change.link(place.link, place.kept)),)
    )
    if place.is_ours:
        executable = os.access(place.path, os.X_OK)
        if place.content == script and executable and has_link:
            return Plan(change=HookChange.UNCHANGED)
        return Plan(change=HookChange.UPDATED, steps=(*link, put))
    if place.content is None or place.is_kept_twice:
        return Plan(change=HookChange.INSTALLED, steps=(*link, put))
    if place.kept_content is not None:
        raise RefusedError(
            f"{place.path} is not ours, and {place.kept.name} is kept already: one of them would be lost.",
            unchanged="Nothing was changed.",
            details=["Somebody wrote this hook after ours. Make one of the two, and take the other away."],
            next_step=f"diff {place.kept} {place.path}",
        )
    keep = Step(
        does=f"keep {place.path} as {place.kept.name}", take=lambda: change.keep(place.path, place.kept)
    )
    return Plan(change=HookChange.INSTALLED, steps=(keep, *link, put))


def uninstalling(place: Place) -> Plan:
    """The steps that put back what was there before."""
    plan = _uninstalling(place)
    if not change.leads_to(place.link, place.kept):
        return plan
    unlink = Step(does=f"remove {place.link}", take=lambda: change.unlink(place.link))
    return Plan(change=plan.change, steps=(*plan.steps, unlink))


def _uninstalling(place: Place) -> Plan:
    if (place.is_ours or place.content is None) and place.kept_content is not None:
        back = Step(does=f"put {place.kept.name} back", take=lambda: place.kept.replace(place.path))
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
    with _changing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for step in plan.steps:
            step.take()
            change.sync(folder)


def sweep(folder: Path, name: str) -> None:
    """Remove what an installation of this hook left that was killed while it wrote."""
    half = re.compile(rf"\.{re.escape(name)}(?:{re.escape(SUFFIX)}|{re.escape(_LEGACY)})?\.[0-9a-f]{{16}}")
    with _changing(folder):
        for each in (folder / UNDER_ITS_NAME, folder):
            for path in list(each.iterdir()) if each.is_dir() else []:
                if half.fullmatch(path.name):
                    path.unlink(missing_ok=True)


def remove_empty(folder: Path) -> None:
    """Remove the folder, and those above it, as far as nothing is in them."""
    with suppress(OSError):
        for each in (folder, *folder.parents):
            each.rmdir()


@contextmanager
def _changing(folder: Path) -> Iterator[None]:
    try:
        yield
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
