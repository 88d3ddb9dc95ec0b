"""Reads and writes objects in one object database: the user's own, or our private store."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ci_tasks.core.errors import RefusedError, UnavailableError, UsageError
from ci_tasks.core.git.failures import local_failure, spoken
from ci_tasks.core.git.process import LOCAL_TIMEOUT, GitAnswer, GitFailedError, run_git, stream_git

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

# What mktag says of the tag itself; the second line is from older versions of git.
_FAULT_OF_TAG = re.compile(
    r"tag input does not pass fsck|did not pass our strict fsck check|tagged as '.*', but is a"
    r"|^error: char\d+: |invalid tag signature file|wrong header length",
    re.MULTILINE,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RawObject:
    """A git object as it is stored; `kind` is tag, commit, tree or blob."""

    object_id: str
    kind: str
    data: bytes


class TreeEntry(NamedTuple):
    """One file of a commit: `mode` as six octal digits, `kind` blob (file, link) or commit (submodule)."""

    mode: str
    kind: str
    object_id: str
    path: str


class ObjectDatabase:
    """The objects behind one git folder."""

    def __init__(self, git_dir: Path, *, at: Path, environment: Mapping[str, str] | None = None) -> None:
        self.git_dir = git_dir
        self._at = at
        self._environment = dict(environment or {})

    def make_ready(self) -> None:
        """Called before git is started on this folder."""

    def git(
        self,
        *arguments: str,
        stdin: bytes = b"",
        timeout: float = LOCAL_TIMEOUT,
        environment: Mapping[str, str] | None = None,
        abandon: Callable[[], bool] | None = None,
    ) -> GitAnswer:
        """Run git on this git folder, named explicitly: nothing is searched for."""
        self.make_ready()
        return run_git(
            [f"--git-dir={self.git_dir}", *arguments],
            at=self._at,
            stdin=stdin,
            timeout=timeout,
            environment={**self._environment, **(environment or {})},
            abandon=abandon,
        )

    def kinds(self, ids: Sequence[str]) -> dict[str, str]:
        """The kind of each object that is here; ids of missing ones are left out."""
        if not ids:
            return {}
        answer = self.git(
            "cat-file", "--batch-check=%(objectname) %(objecttype)", "--buffer", stdin=_lines(ids)
        )
        if answer.status:
            raise local_failure("look for objects", answer.stderr)
        pairs = (line.split(" ", 1) for line in answer.stdout.decode().splitlines())
        return {object_id: kind for object_id, kind in pairs if kind != "missing"}

    def sizes(self, ids: Sequence[str]) -> dict[str, int]:
        """The size in bytes of each object that is here; ids of missing ones are left out."""
        if not ids:
            return {}
        answer = self.git(
            "cat-file", "--batch-check=%(objectname) %(objectsize)", "--buffer", stdin=_lines(ids)
        )
        if answer.status:
            raise local_failure("look for objects", answer.stderr)
        pairs = (line.split(" ", 1) for line in answer.stdout.decode().splitlines())
        return {object_id: int(size) for object_id, size in pairs if size.isdecimal()}

    def read(
        self, ids: Sequence[str], *, limit: int | None = None, skip_missing: bool = False
    ) -> Iterator[RawObject]:
        """The objects in the order asked for, one in memory at a time.

        Raises UnavailableError for a missing one (or leaves it out), RefusedError for one of more than
        `limit` bytes.
        """
        if not ids:
            return
        self.make_ready()
        pieces = stream_git(
            [f"--git-dir={self.git_dir}", "cat-file", "--batch", "--buffer"],
            at=self._at,
            stdin=_lines(ids),
            environment=self._environment,
        )
        source = _Pieces(pieces)
        try:
            for wanted in ids:
                found = _next_object(source, wanted, limit)
                if found is not None:
                    yield found
                elif not skip_missing:
                    raise UnavailableError(
                        f"The object {wanted} is not here.", unchanged="Nothing was changed."
                    )
        except GitFailedError as error:
            raise local_failure("read objects", error.answer.stderr) from None
        finally:
            pieces.close()

    def files(self, commit: str, under: Sequence[str]) -> tuple[TreeEntry, ...]:
        """All files of a commit, or those under some folders; no filter and no attribute is applied."""
        folders = [folder.strip("/") for folder in under]
        paths = [] if "" in folders else folders
        answer = self.git("ls-tree", "-r", "-z", "--full-tree", commit, "--", *paths)
        if answer.status:
            raise local_failure(f"list the files of {commit}", answer.stderr)
        return tuple(_entry(line) for line in answer.stdout.split(b"\0") if line)

    def is_whole(self, commit: str) -> bool:
        """True if the commit, its trees and all its files are here; its history may be missing."""
        return self.git("rev-list", "--objects", "--quiet", "--no-walk", commit, "--").status == 0

    def write_tag(self, content: bytes) -> str:
        """Write a tag object and give its id.

        Raises UsageError if git finds fault with the tag, UnavailableError if it can't write it.
        """
        answer = self.git("mktag", stdin=content)
        if answer.status and not _FAULT_OF_TAG.search(answer.stderr):
            raise local_failure("write the tag object", answer.stderr)
        if answer.status:
            raise UsageError(
                "git does not accept the tag object.",
                unchanged="Nothing was changed.",
                details=spoken(answer.stderr),
            )
        return answer.stdout.decode().strip()

    def has_ancestor(self, commit: str, descendant: str) -> bool | None:
        """Whether `commit` is `descendant` or before it in the history here; None if git can't tell."""
        answer = self.git("merge-base", "--is-ancestor", commit, descendant)
        return answer.status == 0 if answer.status in {0, 1} else None


class _Pieces:
    """Reads lines and counted bytes from pieces of any size."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = bytearray()

    def line(self) -> bytes:
        while (end := self._held.find(b"\n")) < 0:
            self._more()
        return self._take(end)

    def counted(self, size: int) -> bytes:
        """So many bytes, and the newline that ends them."""
        while len(self._held) <= size:
            self._more()
        return self._take(size)

    def _take(self, size: int) -> bytes:
        """The next bytes, without the one behind them."""
        with memoryview(self._held) as view, view[:size] as part:
            taken = bytes(part)
        del self._held[: size + 1]
        return taken

    def _more(self) -> None:
        piece = next(self._pieces, None)
        if piece is None:
            raise UnavailableError("git ended in the middle of an object.")
        self._held += piece


def _next_object(source: _Pieces, wanted: str, limit: int | None) -> RawObject | None:
    """The next object of the stream, None for one that is missing."""
    header = source.line().decode()
    object_id, _, rest = header.partition(" ")
    kind, _, size = rest.partition(" ")
    if object_id == wanted and kind == "missing":
        return None
    if object_id != wanted or not size.isdigit():
        raise UnavailableError(f"git did not give the object {wanted}.", unchanged="Nothing was changed.")
    if limit is not None and int(size) > limit:
        raise RefusedError(
            f"The {kind} {wanted} has {size} bytes, more than {limit}.", unchanged="Nothing was changed."
        )
    return RawObject(object_id=object_id, kind=kind, data=source.counted(int(size)))


def _entry(line: bytes) -> TreeEntry:
    meta, _, path = line.partition(b"\t")
    mode, kind, object_id = meta.decode().split(" ")
    return TreeEntry(mode, kind, object_id, path.decode("utf-8", "surrogateescape"))


def _lines(ids: Sequence[str]) -> bytes:
    return "".join(f"{object_id}\n" for object_id in ids).encode()
