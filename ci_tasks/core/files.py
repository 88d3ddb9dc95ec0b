"""Files read without being led astray, and written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from typing import TYPE_CHECKING

from ci_tasks.core.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LARGEST = 1024 * 1024  # bytes


def read_file(path: Path, *, root: Path, largest: int = LARGEST) -> bytes:
    """The bytes of a regular file below `root`, reached without a symbolic link.

    Raises UsageError for everything else: links, folders, FIFOs, devices, more than `largest` bytes, a file
    that is not there or may not be read. What lies above `root` is the caller's and may be linked.
    """
    name = _below(path, root)
    try:
        folders = [os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)]
    except OSError as error:
        raise _unreadable(str(root), error) from None
    try:
        *above, last = name.split("/")
        for folder in above:
            _refuse_unless(stat.S_ISDIR, folder, folders[-1], name)
            folders.append(_open(folder, os.O_DIRECTORY, folders[-1], name))
        _refuse_unless(stat.S_ISREG, last, folders[-1], name)
        return _read(_open(last, 0, folders[-1], name), name, largest)
    finally:
        for descriptor in folders:
            os.close(descriptor)


def _below(path: Path, root: Path) -> str:
    try:
        name = path.relative_to(root).as_posix()
    except ValueError:
        name = ".."
    if name == "." or ".." in name.split("/"):
        raise UsageError(
            f"{str(path)!r} is not a file inside {str(root)!r}.", unchanged="Nothing was changed."
        )
    return name


def _refuse_unless(is_wanted: Callable[[int], bool], component: str, folder: int, name: str) -> None:
    """Look before opening, so that the message can say what stands there instead."""
    try:
        mode = os.stat(component, dir_fd=folder, follow_symlinks=False).st_mode
    except OSError as error:
        raise _unreadable(name, error) from None
    if is_wanted(mode):
        return
    kind = next((text for test, text in _KINDS if test(mode)), "a device")
    where = f"{component!r}, on the way to {name}," if component != name.rpartition("/")[2] else name
    raise UsageError(f"{where} is {kind}; a regular file is expected.", unchanged="Nothing was changed.")


_KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISREG, "a file"),
)


def _open(component: str, flags: int, folder: int, name: str) -> int:
    # O_NOFOLLOW and O_NONBLOCK hold even if somebody swaps the file for a link or a FIFO right now.
    wanted = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | flags
    try:
        return os.open(component, wanted, dir_fd=folder)
    except OSError as error:
        raise _unreadable(name, error) from None


def _read(descriptor: int, name: str, largest: int) -> bytes:
    with open(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UsageError(f"{name} is not a regular file any more.", unchanged="Nothing was changed.")
        data = opened.read(largest + 1)
    if len(data) > largest:
        raise UsageError(
            f"{name} is too large: {largest // 1024} KiB is the limit.", unchanged="Nothing was changed."
        )
    return data


def _unreadable(name: str, error: OSError) -> UsageError:
    return UsageError(f"{name} can't be read: {error.strerror}.", unchanged="Nothing was changed.")


def write_atomically(path: Path, data: bytes) -> None:
    """Put `data` in place of the file, or leave the file as it was; missing folders are made.

    The mode of an existing file is kept, else the umask decides. UnavailableError if it can't be written.
    """
    temporary = path.with_name(f".{path.name[:80]}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write_new(temporary, data, like=path)
            temporary.replace(path)
        except BaseException:  # Ctrl-C too must not leave a half-written file behind
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise UnavailableError(
            f"{str(path)!r} can't be written: {error.strerror}.", unchanged="The file is as it was."
        ) from None


def _write_new(temporary: Path, data: bytes, *, like: Path) -> None:
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    with open(descriptor, "wb") as opened:  # noqa: PTH123 - a descriptor is not a path
        with contextlib.suppress(FileNotFoundError):
            there = like.lstat().st_mode
            if stat.S_ISREG(there):
                os.fchmod(descriptor, stat.S_IMODE(there))
        opened.write(data)
        opened.flush()
        os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
