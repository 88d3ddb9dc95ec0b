"""commit-msg: the message holds Conventional Commits, so that versions and notes can be made of it."""

from __future__ import annotations

import os
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from ci_tasks.core.console import one_line, width_of
from ci_tasks.core.errors import RefusedError, UsageError
from ci_tasks.core.git.failures import local_failure
from ci_tasks.hook.header import EXAMPLE, TYPES, Fault, fault_of, footer_fault, is_of_git
from ci_tasks.hook.message import Cleanup, kept_lines
from ci_tasks.hook.place import here

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci_tasks.hook.place import Place

_LARGEST = 1 << 20  # bytes of the message that are looked at
_WIDEST = 100  # columns of a line that are shown


def check(path: str) -> int:
    """Look at the message in a file. Raises RefusedError that shows the fault in its line."""
    place = here()
    try:
        with Path(path).open("rb") as opened:
            data = opened.read(_LARGEST)
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}.") from None
    lines = kept_lines(data, _cleanup(place, os.environ))
    if not lines or is_of_git(lines[0]) or (place.git_dir / "MERGE_HEAD").exists():
        return 0  # an empty message is git's to refuse, and a merge's is git's own
    fault = fault_of(lines[0])
    if fault is not None:
        raise _refused(path, lines[0], fault)
    if len(lines) > 1 and lines[1]:
        reason = "a blank line is expected here, between the first line and the rest"
        raise _refused(path, lines[1], Fault(column=0, reason=reason))
    for number, line in enumerate(lines[2:], start=3):
        fault = footer_fault(line, is_last=number == len(lines))
        if fault is not None:
            raise _refused(path, line, fault)
    return 1


def _refused(path: str, line: str, fault: Fault) -> RefusedError:
    line = line.replace("\t", " ")
    before = one_line(line[: fault.column])
    return RefusedError(
        "The commit's message is not in the form of Conventional Commits.",
        details=[
            one_line(line)[:_WIDEST],
            f"{' ' * min(width_of(before), _WIDEST)}^ {fault.reason}",
            f"The form:  type(scope): description    ({EXAMPLE})",
            f"The types: {', '.join(TYPES)}",
        ],
        unchanged=f"Nothing was committed; git keeps your message in {path}.",
        next_step=f"git commit --edit --file={quote(path)}",
    )


def _cleanup(place: Place, environ: Mapping[str, str]) -> Cleanup:
    """What git's configuration says; git names `:` as the editor where nobody edits the message."""
    answer = place.database.git("config", "--list", "-z")
    if answer.status:
        raise local_failure("read its configuration", answer.stderr)
    entries = (entry.partition("\n") for entry in answer.stdout.decode("utf-8", "replace").split("\0"))
    found = {"core.commentstring" if key == "core.commentchar" else key: value for key, _, value in entries}
    return Cleanup(
        mode=found.get("commit.cleanup", "default"),
        comment=found.get("core.commentstring") or "#",
        encoding=found.get("i18n.commitencoding") or "utf-8",
        is_edited=environ.get("GIT_EDITOR") != ":",
    )
