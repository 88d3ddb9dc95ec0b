"""Changes of one file among the hooks, each whole or not at all."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def put(path: Path, data: bytes) -> None:
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


def keep(path: Path, kept: Path) -> None:
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


def leads_to(link: Path, kept: Path) -> bool:
    """Whether this is the link that `link` makes."""
    return link.is_symlink() and str(link.readlink()) == f"../{kept.name}"


def link(link: Path, kept: Path) -> None:
    """Give a kept hook its own name again, in a folder of ours."""
    link.parent.mkdir(exist_ok=True)
    temporary = _temporary(link)
    temporary.symlink_to(f"../{kept.name}")
    temporary.replace(link)


def unlink(link: Path) -> None:
    """Take such a link away, and its folder with the last one."""
    link.unlink()
    with suppress(OSError):  # other hooks' links are there
        link.parent.rmdir()


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as opened:  # noqa: PTH123 - a descriptor is not a path
        opened.write(data)
        opened.flush()
        os.fsync(descriptor)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}")


def sync(folder: Path) -> None:
    """Have the disk keep what was changed in a folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
