"""What `hook.install` says to people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ci_tasks.core.console import prose, table
from ci_tasks.hook.names import HookChange

if TYPE_CHECKING:
    from ci_tasks.hook.model import HookInstallation

_WORDS = {
    HookChange.INSTALLED: "installed",
    HookChange.UPDATED: "brought up to date",
    HookChange.UNCHANGED: "installed already",
    HookChange.REMOVED: "removed",
    HookChange.ABSENT: "was not installed",
}


def installation_text(answer: HookInstallation) -> str:
    """A row per hook, the folder, and what somebody should know."""
    rows = [
        (
            hook.name.value,
            _WORDS[hook.change],
            f"{Path(hook.kept).name} runs first" if hook.kept else "",
        )
        for hook in answer.hooks
    ]
    settings = [(key, value or "(none)") for key, value in answer.configuration.items()]
    parts = [table(("Hook", "Status", ""), rows), "", f"Folder: {answer.folder}"]
    if settings:
        parts += ["", table(("Setting on the server", ""), settings)]
    return "\n".join([*parts, *(prose(f"Note: {note}") for note in answer.notes)])
