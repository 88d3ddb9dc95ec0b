"""The last report, read back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ci_tasks.core.entity import from_json
from ci_tasks.core.errors import UsageError
from ci_tasks.core.files import read_file
from ci_tasks.report.files import LAST
from ci_tasks.report.model import PipelineReport

if TYPE_CHECKING:
    from pathlib import Path

LARGEST = 64 * 1024 * 1024  # bytes; far above what `save` is ever given


def last(folder: Path) -> PipelineReport:
    """The report that was saved last in the folder.

    Raises UsageError if there is none, if it is a link or not a regular file, or not a report.
    """
    path = folder / LAST
    if not os.path.lexists(path):
        raise UsageError(
            f"There is no report in {str(folder)!r} yet: a deployment writes the first one.",
            next_step="inv deploy --env ENV",
        )
    data = read_file(path, root=folder, largest=LARGEST)
    return from_json(data, PipelineReport, what=str(path))
