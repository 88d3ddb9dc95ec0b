"""The private bare repository beside the user's: few refs of its own, the user's objects lent to it.

What we fetch and write goes here, so the user's refs, index and work tree stay as they are, and reads and
pushes cost the same however many tags the user's clone holds.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import time
from typing import TYPE_CHECKING

from ci_tasks.core.errors import UnavailableError
from ci_tasks.core.git.failures import local_failure
from ci_tasks.core.git.objects import ObjectDatabase
from ci_tasks.core.git.process import LOCAL_TIMEOUT, GitAnswer, run_git

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

WHOLE_HISTORY = 2_147_483_647  # git's own word for "no end" (git-fetch, --depth)
NAMESPACE = "refs/ci-tasks/"
_DAY = 86_400.0
_SPARE = "spare-"
_MANY_PACKS = 50
_MANY_LOOSE = 27  # in one of 256 folders; git's own measure for 6,700 loose objects
_COLLECTION_TIMEOUT = 300.0
_REF_SETTINGS = (
    "-c",
    # Without it git would read every ref of the user's clone for each fetch and push.
    "core.alternateRefsPrefixes=refs/heads/ refs/remotes/",
)
_FETCH_SETTINGS = tuple(
    part
    for setting in (
        "protocol.version=2",
        "fetch.prune=false",
        "fetch.pruneTags=false",
        "fetch.writeCommitGraph=false",
        "fetch.parallel=1",
    )
    for part in ("-c", setting)
)
_FETCH_OPTIONS = (
    "--no-tags",
    "--refmap=",
    "--no-write-fetch-head",
    "--no-recurse-submodules",
    "--no-auto-maintenance",
    "--no-show-forced-updates",
    "--atomic",
    "--stdin",
)
_LOCKS = ("shallow.lock", "packed-refs.lock", "config.lock")
_LOCK_AGE = 900.0  # seconds; longer than any of our git processes may live
_LOCKED = re.compile(r"\.lock': File exists")


class PrivateStore(ObjectDatabase):
    """`<common dir>/ci-tasks/store.git`; made on demand, and anew where it is broken."""

    def __init__(
        self,
        common_dir: Path,
        *,
        at: Path,
        environment: Mapping[str, str],
        object_format: str,
        lends: bool,
    ) -> None:
        super().__init__(common_dir / "ci-tasks" / "store.git", at=at, environment=environment)
        self._object_format = object_format
        self._folder = self.git_dir.parent
        path = os.fspath(common_dir / "objects")
        # Without the whole history behind it an object database must not be lent: git would take what is
        # missing for damage. A line break can't be written into the file that lends.
        self.lends = lends and "\n" not in path
        self._alternates = f"{path}\n" if self.lends else ""
        self._looked = False
        self._seen: int | None = None

    def git(
        self,
        *arguments: str,
        stdin: bytes = b"",
        timeout: float = LOCAL_TIMEOUT,
        environment: Mapping[str, str] | None = None,
        abandon: Callable[[], bool] | None = None,
    ) -> GitAnswer:
        """Run git on the store, as in ObjectDatabase."""
        return super().git(
            *_REF_SETTINGS,
            *arguments,
            stdin=stdin,
            timeout=timeout,
            environment=environment,
            abandon=abandon,
        )

    def kinds(self, ids: Sequence[str]) -> dict[str, str]:
        """The kind of each object that is here; a store that can't say is made anew and is empty."""
        try:
            return super().kinds(ids)
        except UnavailableError:
            self.replace()
            return super().kinds(ids)

    def mend(self, stderr: str) -> None:
        """Make the store anew if git, having failed, complains about it, or it is not the one it was."""
        if self.is_damaged(stderr) or self._inode() != self._seen:
            self.replace()

    def is_damaged(self, stderr: str) -> bool:
        """True if git, having failed, complains about the store: it names its folder or a ref of its own."""
        # As `stderr` was read; a path may hold line ends of every kind.
        path = os.fsencode(self.git_dir).decode("utf-8", "replace").rpartition("\n")[2]
        ours = (path, f"bad object {NAMESPACE}")
        complaints = [line for line in stderr.split("\n") if any(name in line for name in ours)]
        return any(not _LOCKED.search(line) for line in complaints) or not self._is_sound()

    @property
    def is_shallow(self) -> bool:
        """True if the history of some commit in the store is cut."""
        shallow = self.git_dir / "shallow"
        return shallow.is_file() and shallow.stat().st_size > 0

    def shallow_commits(self) -> frozenset[str]:
        """The commits whose parents were not fetched."""
        return (
            frozenset((self.git_dir / "shallow").read_text(encoding="ascii").split())
            if self.is_shallow
            else frozenset()
        )

    def fetch_command(self, url: str, *, depth: int | None, update_shallow: bool = False) -> list[str]:
        """Arguments of a fetch that touches no ref but those its refspecs (on stdin) name."""
        cut = [f"--depth={depth}"] if depth else []
        return [
            *_FETCH_SETTINGS,
            "fetch",
            *_FETCH_OPTIONS,
            *cut,
            *(["--update-shallow"] * update_shallow),
            "--",
            url,
        ]

    def new_space(self) -> str:
        """A namespace for one fetch; by the time in it a later call sees that it was left behind."""
        return f"{NAMESPACE}{int(time.time())}-{secrets.token_hex(8)}/"

    def take_refs(self, space: str) -> dict[str, str]:
        """The refs of a namespace with their ids; deletes them, and what killed processes left a day ago."""
        answer = self.git("for-each-ref", "--format=%(objectname) %(refname)", NAMESPACE)
        if answer.status:
            raise local_failure("list what was fetched", answer.stderr)
        listed = {
            name: object_id
            for object_id, name in (line.split(" ", 1) for line in answer.stdout.decode().splitlines())
        }
        gone = [name for name in listed if name.startswith(space) or _age(name) > _DAY]
        if gone:
            # A deletion that fails (another process holds packed-refs) is made up for by a later call.
            self.git("update-ref", "--stdin", stdin="".join(f"delete {name}\n" for name in gone).encode())
        return {name: object_id for name, object_id in listed.items() if name.startswith(space)}

    def collect_garbage(self) -> None:
        """Pack the store once it holds many packs or loose objects; what came in the last two weeks stays.

        It runs to its end here, for a process left behind would outlive the command. If it fails, that costs
        disk space only.
        """
        packs = sum(name.endswith(".pack") for name in _names(self.git_dir / "objects" / "pack"))
        loose = len(_names(self.git_dir / "objects" / "17"))
        if packs > _MANY_PACKS or loose > _MANY_LOOSE:
            self.git("gc", "--quiet", "--prune=2.weeks.ago", timeout=_COLLECTION_TIMEOUT)

    def make_ready(self) -> None:
        """Make the store where there is none or it is broken; remove the locks of processes long gone."""
        if self._looked:
            return
        self._seen = self._inode()
        if not self._is_sound():
            self.replace()
        for name in _LOCKS:
            path = self.git_dir / name
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _LOCK_AGE:
                    path.unlink()
        self._looked = True

    def _is_sound(self) -> bool:
        lent = self.git_dir / "objects" / "info" / "alternates"
        try:
            return (
                (self.git_dir / "HEAD").stat().st_size > 0
                and (self.git_dir / "config").stat().st_size > 0
                and (self.git_dir / "refs").is_dir()
                and (lent.read_text(encoding="utf-8", errors="surrogateescape") if lent.exists() else "")
                == self._alternates
            )
        except OSError:
            return False

    def replace(self) -> None:
        """Set the store aside and make a new one; of several processes that want to, one does it for all."""
        try:
            self._folder.mkdir(exist_ok=True)
            with (self._folder / "lock").open("w", encoding="ascii") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                # Another process may have made it anew already, and have written to it since.
                if self._inode() == self._seen or not self._is_sound():
                    self._put_anew()
                self._seen = self._inode()
        except OSError as error:
            raise UnavailableError(
                f"Can't write to {self._folder}: {error.strerror}.",
                unchanged="Nothing was changed.",
                next_step=f"ls -ld {self._folder.parent}",
            ) from None

    def _put_anew(self) -> None:
        for path in self._folder.glob(f"{_SPARE}*"):  # left by processes that were killed: we hold the lock
            shutil.rmtree(path, ignore_errors=True)
            if path.is_file():
                path.unlink()
        fresh, old = (self._folder / f"{_SPARE}{name}" for name in ("new", "old"))
        self._initialise(fresh)
        if os.path.lexists(self.git_dir):
            self.git_dir.rename(old)
        fresh.rename(self.git_dir)
        shutil.rmtree(old, ignore_errors=True)

    def _inode(self) -> int | None:
        """Tells one store from another of the same name; None where there is none."""
        try:
            return self.git_dir.stat().st_ino
        except OSError:
            return None

    def _initialise(self, folder: Path) -> None:
        answer = run_git(
            [
                "-c",
                "init.defaultRefFormat=files",
                "init",
                "--bare",
                "--quiet",
                "--template=",
                "--initial-branch=none",
                f"--object-format={self._object_format}",
                "--",
                os.fspath(folder),
            ],
            at=self._folder,
        )
        if answer.status:
            raise local_failure(f"make {self.git_dir}", answer.stderr)
        info = folder / "objects" / "info"
        info.mkdir(exist_ok=True)
        if self._alternates:
            (info / "alternates").write_text(self._alternates, encoding="utf-8", errors="surrogateescape")


def _age(ref: str) -> float:
    """Seconds since the ref of a namespace was made; endless if its name tells no time."""
    stamp = ref[len(NAMESPACE) :].split("-", 1)[0]
    return time.time() - int(stamp) if stamp.isdigit() else float("inf")


def _names(folder: Path) -> Sequence[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names are all that is wanted
    except FileNotFoundError:
        return ()
