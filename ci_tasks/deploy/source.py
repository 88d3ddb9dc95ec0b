"""The source tree of a deployment: the version's commit, laid out blob by blob in a private folder.

No checkout: hooks, filters, attributes and line-end conversion must not change a byte. Links that leave
the tree, submodules and Git LFS pointers are refused.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shlex
import shutil
import stat
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ci_tasks.core.errors import RefusedError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci_tasks.core.git.origin import Origin, TreeEntry

_LFS = b"version https://git-lfs.github.com/spec/"
_LFS_LARGEST = 1024
"""Bytes of the largest Git LFS pointer, by its specification."""

_IMPOSSIBLE = {errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EILSEQ}
"""What the system says of paths that it can't keep: twice the same, too long. The rest is the disk."""

_EXECUTABLE, _LINK, _SUBMODULE = "100755", "120000", "160000"


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder that only we can read; removed afterwards, and after a kill at the next call.

    Raises UnavailableError where the temporary folder can't be used.
    """
    home = Path(tempfile.gettempdir()) / f"ci-tasks-{os.getuid()}"
    try:
        _make_private(home)
        with _locked(home / ".lock"):
            _remove_leftovers(home)
            folder = Path(tempfile.mkdtemp(prefix="run-", dir=home))
            descriptor = _open_lock(folder / ".lock")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        raise _not_written(error) from None
    try:
        yield folder
    finally:
        _remove(folder)
        os.close(descriptor)


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = _open_lock(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _make_private(home: Path) -> None:
    with suppress(FileExistsError):
        home.mkdir(mode=0o700)
    status = home.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise UnavailableError(
            f"{home} is not a private folder of ours: somebody else made it.",
            unchanged="Nothing was changed.",
            next_step=f"rm -r {shlex.quote(str(home))}",
        )


def _remove_leftovers(home: Path) -> None:
    """Remove the folders of processes that were killed: nobody holds their lock."""
    for folder in home.glob("run-*"):
        try:
            descriptor = _open_lock(folder / ".lock")
        except OSError:
            continue  # its owner is removing it
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(folder)
        except OSError:
            continue  # its owner is at work
        finally:
            os.close(descriptor)


def _remove(folder: Path) -> None:
    """Remove a tree whose folders a script may have made read-only."""
    with contextlib.suppress(OSError):
        folder.chmod(0o700)
    for path, names, _ in os.walk(folder):
        for name in names:
            inner = Path(path, name)
            if not inner.is_symlink():
                with contextlib.suppress(OSError):  # another user's, as a container leaves them
                    inner.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def lay_out(origin: Origin, entries: Sequence[TreeEntry], folder: Path) -> None:
    """Write every file of a commit below an empty folder, with exact bytes and the executable bit.

    Raises RefusedError before anything is written for submodules and impossible paths, and later for
    links out of the tree and Git LFS pointers; UnavailableError where the disk can't be written.
    """
    for entry in entries:
        _check_entry(entry)
    try:
        _write_all(origin, entries, folder)
    except OSError as error:
        if error.errno not in _IMPOSSIBLE:
            raise _not_written(error) from None
        path = os.path.relpath(os.fsdecode(error.filename2 or error.filename), folder)
        raise _refused(f"{path[:200]!r} is not a path that this system can keep: {error.strerror}.") from None


def _write_all(origin: Origin, entries: Sequence[TreeEntry], folder: Path) -> None:
    folder.mkdir(mode=0o700)
    blobs = origin.blobs([entry.object_id for entry in entries])
    links: list[tuple[Path, str]] = []
    made: set[Path] = {folder}
    for entry, blob in zip(entries, blobs, strict=True):
        path = folder / entry.path
        if path.parent not in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            made.add(path.parent)
        if entry.mode == _LINK:
            links.append((path, os.fsdecode(blob.data)))
            continue
        if len(blob.data) <= _LFS_LARGEST and blob.data.startswith(_LFS):
            raise _refused(f"{entry.path} is a Git LFS pointer, not the file itself.")
        _write(path, blob.data, 0o755 if entry.mode == _EXECUTABLE else 0o644)
    for path, target in links:  # last, so that no file is ever written through one
        path.symlink_to(target)
    for path, target in links:
        if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
            raise _refused(f"{path.relative_to(folder)} is a link to {target!r}, outside of the source tree.")


def _check_entry(entry: TreeEntry) -> None:
    if entry.mode == _SUBMODULE:
        raise _refused(f"{entry.path!r} is a submodule: its content is not part of the version.")
    parts = PurePosixPath(entry.path).parts
    if not parts or entry.path.startswith("/") or any(part in {".", "..", ".git"} for part in parts):
        raise _refused(f"{entry.path!r} is not a path inside the source tree.")


def _write(path: Path, data: bytes, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)  # whatever the umask says
        file.write(data)


def _refused(reason: str) -> RefusedError:
    return RefusedError(f"The version can't be laid out: {reason}", unchanged="Nothing was changed.")


def _not_written(error: OSError) -> UnavailableError:
    return UnavailableError(
        f"The temporary folder can't be written: {error.strerror}.",
        unchanged="Nothing was changed and no script was run.",
        next_step=f"df -h {shlex.quote(tempfile.gettempdir())}",
    )
