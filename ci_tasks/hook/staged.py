"""What git is about to commit: the files of its index that differ from HEAD, and what stands in them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci_tasks.core.git.failures import local_failure
from ci_tasks.core.git.process import GitFailedError, stream_git

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci_tasks.hook.place import Place

_DIFF = (
    "diff",
    "--cached",
    "--raw",
    "-z",
    "--no-abbrev",
    "--no-renames",
    "--no-relative",
    "--no-ext-diff",
    "--no-textconv",
    "--ignore-submodules=all",
    "--diff-filter=d",
)
_AT_ONCE = 1 << 22  # bytes of a file that is read whole
_SUBMODULE = "160000"
_LINK = "120000"


@dataclass(frozen=True, kw_only=True)
class StagedFile:
    """A file as it will be in the commit; `path` is relative to the top of the working tree."""

    path: str
    object_id: str
    is_link: bool
    size: int


def files(place: Place) -> tuple[StagedFile, ...]:
    """The files that are new or changed in the index that git names, or in the repository's own."""
    answer = place.database.git(*_DIFF)
    if answer.status:
        raise local_failure("list what is about to be committed", answer.stderr)
    fields = answer.stdout.decode("utf-8", "surrogateescape").split("\0")
    found = [
        (meta.split(" "), path)
        for meta, path in zip(fields[::2], fields[1::2], strict=False)
        if meta.split(" ")[1] != _SUBMODULE
    ]
    sizes = _sizes(place, [meta[3] for meta, _ in found])
    return tuple(
        StagedFile(path=path, object_id=meta[3], is_link=meta[1] == _LINK, size=sizes[meta[3]])
        for meta, path in found
    )


def contents(place: Place, staged: Sequence[StagedFile]) -> Iterator[tuple[StagedFile, bytes]]:
    """The content of files that are small enough to be read whole; one is in memory at a time."""
    small = [each for each in staged if each.size <= _AT_ONCE]
    found = place.database.read([each.object_id for each in small])
    for each, read in zip(small, found, strict=True):
        yield each, read.data


def pieces(place: Place, file: StagedFile) -> Iterator[bytes]:
    """The content of a large file, piece by piece."""
    try:
        yield from stream_git(
            [f"--git-dir={place.git_dir}", "cat-file", "blob", file.object_id],
            at=place.root,
            stdin=b"",
            environment=place.environment,
        )
    except GitFailedError as error:
        raise local_failure(f"read {os.fsencode(file.path)!r}", error.answer.stderr) from None


def is_large(file: StagedFile) -> bool:
    """True for a file that `contents` leaves out."""
    return file.size > _AT_ONCE


def _sizes(place: Place, ids: Sequence[str]) -> dict[str, int]:
    if not ids:
        return {}
    asked = "".join(f"{object_id}\n" for object_id in ids).encode()
    form = "--batch-check=%(objectname) %(objectsize)"
    answer = place.database.git("cat-file", form, "--buffer", stdin=asked)
    lines = [line.split(" ") for line in answer.stdout.decode().splitlines()]
    if answer.status or any(size == "missing" for _, size in lines):
        raise local_failure("read what is about to be committed", answer.stderr)
    return {object_id: int(size) for object_id, size in lines}
