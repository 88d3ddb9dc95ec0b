"""Which files differ between commits, and where two histories part."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

from ci_tasks.core.errors import UnavailableError
from ci_tasks.core.git.failures import local_failure
from ci_tasks.core.git.objects import ObjectDatabase

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci_tasks.core.git.origin import Origin
    from ci_tasks.core.git.repository import Repository

_TIMEOUT = 300.0  # seconds; as for a history
_HEADER = re.compile(rb"[0-9a-f]{40,64} [0-9a-f]{40,64}\n")


def merge_bases(database: ObjectDatabase, one: str, other: str) -> tuple[str, ...]:
    """The best common ancestors of two commits: none, one, or several where branches have crossed.

    The database must have both histories whole: in a cut one git finds too few, and does not say so.
    """
    answer = database.git("merge-base", "--all", one, other, timeout=_TIMEOUT)
    if answer.status not in {0, 1}:
        raise local_failure(f"find where {one[:12]} and {other[:12]} part", answer.stderr)
    return tuple(answer.stdout.decode().split())


def changed_files(
    database: ObjectDatabase, pairs: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], tuple[str, ...]]:
    """The files that differ between the two commits of each pair, by path; two git processes for all pairs.

    A renamed file is there by both of its names. A name that is not UTF-8 has surrogates for its other bytes.
    Raises UnavailableError where a commit or a folder of it is not in the database.
    """
    pairs = tuple(dict.fromkeys(pairs))
    if not pairs:
        return {}
    trees = _trees(database, [commit for pair in pairs for commit in pair])
    wanted = [(trees[one], trees[other]) for one, other in pairs]
    answer = database.git(
        "diff-tree",
        "-r",
        "-z",
        "--raw",
        "--no-renames",
        "--ignore-submodules=none",
        "--stdin",
        stdin="".join(f"{one} {other}\n" for one, other in wanted).encode(),
        timeout=_TIMEOUT,
    )
    found = list(_differences(answer.stdout)) if answer.status == 0 else []
    if answer.status or len(found) != len(wanted):
        raise local_failure("compare commits", answer.stderr)
    return dict(zip(pairs, found, strict=True))


def joint(repository: Repository, origin: Origin) -> ObjectDatabase:
    """What is in the clone and what was fetched for us, as one: good for files, but for no history."""
    fetched = origin._database  # noqa: SLF001 - objects of both places are read here and nowhere else
    if origin.is_self:
        return fetched
    fetched.make_ready()
    folder = os.fspath(fetched.git_dir / "objects")
    return ObjectDatabase(
        repository.git_dir,
        at=repository.root,
        environment={"GIT_ALTERNATE_OBJECT_DIRECTORIES": _quoted(folder)},
    )


def _quoted(path: str) -> str:
    """A path in git's own quotes, where it would be taken for several or for a quoted one."""
    return json.dumps(path, ensure_ascii=False) if os.pathsep in path or path.startswith('"') else path


def _trees(database: ObjectDatabase, commits: Sequence[str]) -> dict[str, str]:
    """Commit -> the id of its tree."""
    answer = database.git(
        "cat-file",
        "--batch-check=%(objectname)",
        stdin="".join(f"{commit}^{{tree}}\n" for commit in commits).encode(),
    )
    if answer.status:
        raise local_failure("read commits", answer.stderr)
    found = dict(zip(commits, answer.stdout.decode().splitlines(), strict=True))
    for commit, tree in found.items():
        if tree.endswith(" missing"):
            raise UnavailableError(
                f"The commit {commit[:12]} is not here.",
                unchanged="Nothing was changed.",
                next_step="git fetch",
            )
    return found


def _differences(output: bytes) -> Iterator[tuple[str, ...]]:
    """The paths below each header; an entry begins with a colon, so no file's name is taken for a header."""
    position = 0
    while position < len(output):
        header = _HEADER.match(output, position)
        if header is None:
            raise local_failure("compare commits", "its answer can't be read")
        position = header.end()
        paths = []
        while output.startswith(b":", position):
            begin = output.index(b"\0", position) + 1
            end = output.index(b"\0", begin)
            paths.append(output[begin:end].decode("utf-8", "surrogateescape"))
            position = end + 1
        yield tuple(paths)
