"""Reports in the reports folder, each file whole or not there."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from ci_tasks.core.errors import UnavailableError
from ci_tasks.core.files import write_atomically
from ci_tasks.report.render import as_json, as_markdown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from ci_tasks.report.model import PipelineReport

LAST = "last.json"


def save(report: PipelineReport, folder: Path, *, root: Path | None = None) -> Path:
    """Write `<reportId>.json`, `<reportId>.md` and `last.json` into the folder; returns the first's path.

    Each file is the old one or the new one, also for two writers at once or a kill in between. The
    folder is made if it is missing. Nothing on the way from `root` (else from the folder) to a file may be
    a symbolic link: a checkout must not choose where we write.

    Raises UnavailableError whenever a file can't be written (disk full, no permission, a link): what is
    reported has happened all the same, so the caller makes a notice of it.
    """
    whole = folder / f"{report.report_id}.json"
    readable = folder / f"{report.report_id}.md"
    last = folder / LAST
    between = [step for step in folder.parents if root and step.is_relative_to(root) and step != root]
    _refuse_unless(stat.S_ISDIR, "a folder", [*reversed(between), folder])
    _refuse_unless(stat.S_ISREG, "a regular file", [whole, readable, last])
    data = as_json(report)
    write_atomically(whole, data)
    write_atomically(readable, as_markdown(report).encode())
    write_atomically(last, data)
    return whole


def _refuse_unless(is_wanted: Callable[[int], bool], kind: str, paths: Iterable[Path]) -> None:
    for path in paths:
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _not_saved(f"{str(path)!r} can't be reached: {error.strerror}") from None
        if not is_wanted(mode):
            found = "a symbolic link" if stat.S_ISLNK(mode) else "something else"
            raise _not_saved(f"{str(path)!r} is {found}, not {kind}")


def _not_saved(reason: str) -> UnavailableError:
    return UnavailableError(f"The report was not saved: {reason}.", unchanged="No report was written.")
