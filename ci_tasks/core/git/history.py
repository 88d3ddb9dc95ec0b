"""The commits behind one commit: which there are, which of them touch a path, and what they say."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci_tasks.core.errors import UnavailableError
from ci_tasks.core.git.failures import spoken
from ci_tasks.core.git.objects import ObjectDatabase

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci_tasks.core.git.origin import Origin, RemoteRef
    from ci_tasks.core.git.repository import Repository

_TIMEOUT = 300.0  # seconds; the whole history of a large repository is walked
_LARGEST = 1 << 24  # bytes of a commit object
_ENCODING = re.compile(rb"^encoding ([!-~]{1,40})$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Paths:
    """A part of the repository: what is below `under` ("" is the root) and not below one of `apart`."""

    under: str = ""
    apart: tuple[str, ...] = ()

    def pathspecs(self) -> list[str]:
        """The same for git, with no character that means more than itself; empty for the whole."""
        if not self.under and not self.apart:
            return []
        top = f":(top,literal){self.under}" if self.under else ":(top)"
        return [top, *(f":(top,exclude,literal){folder}" for folder in self.apart)]


class History:
    """All commits behind one commit, read where all of them are."""

    def __init__(self, database: ObjectDatabase, tip: str) -> None:
        self._database = database
        self.tip = tip

    def ancestors(self) -> frozenset[str]:
        """The commit itself, and every one before it."""
        return frozenset(self._listed(self.tip, "--"))

    def changing(self, paths: Paths, *, since: str | None) -> tuple[str, ...]:
        """The commits of one parent that change one of the paths and are not behind `since`, newest first.

        On every line of the history: also one whose change a later merge has dropped again.
        """
        return self._listed("--full-history", "--no-merges", *self._between(paths, since))

    def merging(self, paths: Paths, *, since: str | None) -> tuple[str, ...]:
        """The merges on the line of first parents that bring a change of one of the paths to it."""
        return self._listed("--first-parent", "--merges", *self._between(paths, since))

    def messages(self, commits: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Each of the commits with its message, as text whatever its encoding."""
        for commit in self._database.read(commits, limit=_LARGEST):
            header, _, message = commit.data.partition(b"\n\n")
            said = _ENCODING.search(header)
            yield commit.object_id, _text(message, said[1].decode() if said else "utf-8")

    def _between(self, paths: Paths, since: str | None) -> list[str]:
        return ["--topo-order", self.tip, *([f"^{since}"] if since else []), "--", *paths.pathspecs()]

    def _listed(self, *arguments: str) -> tuple[str, ...]:
        answer = self._database.git("rev-list", *arguments, timeout=_TIMEOUT)
        if answer.status:
            raise UnavailableError(
                f"git could not read the history of {self.tip[:12]} to its beginning.",
                unchanged="Nothing was changed.",
                details=spoken(answer.stderr),
                next_step="git fsck --connectivity-only",
            )
        return tuple(answer.stdout.decode().split())


def whole_history(
    repository: Repository,
    origin: Origin,
    tip: str,
    refs: Sequence[RemoteRef],
    *,
    also: Sequence[RemoteRef] = (),
) -> History:
    """The history behind a commit that is behind one of the remote's `refs`, and behind all refs of `also`.

    A complete clone that has the commits is read as it is. Else what is missing is fetched into the private
    store. Raises UnavailableError where neither has the whole of it; a cut history is never an answer.
    """
    own = ObjectDatabase(repository.git_dir, at=repository.root)
    wanted = [tip, *(ref.peeled or ref.object_id for ref in also)]
    if not repository.is_shallow and len(own.kinds(wanted)) == len(set(wanted)):
        return History(own, tip)
    # Most often it is the tip of a branch: then no other branch has to be fetched.
    for ref in sorted(refs, key=lambda ref: tip not in (ref.object_id, ref.peeled)):
        if origin.is_ancestor(tip, [ref]):
            return History(origin.whole_history([ref, *also]), tip)
    raise UnavailableError(
        f"The history of {tip[:12]} is cut in this clone, and no branch of the remote has it.",
        unchanged="Nothing was changed.",
        next_step="git fetch --unshallow",
    )


def _text(message: bytes, encoding: str) -> str:
    try:
        return message.decode(codecs.lookup(encoding).name, "replace")
    except (LookupError, ValueError, TypeError):  # an unknown encoding, or a codec that is for no text
        return message.decode("utf-8", "replace")
