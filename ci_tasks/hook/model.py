"""The entities of hooks."""

from __future__ import annotations

from ci_tasks.core.entity import Entity
from ci_tasks.hook.names import HookChange, HookName


class InstalledHook(Entity, frozen=True, kw_only=True):
    """One hook's file; `kept` is the hook that was there before and runs first, or null."""

    name: HookName
    path: str
    change: HookChange
    kept: str | None


class HookInstallation(Entity, frozen=True, kw_only=True):
    """What `hook.install` prints as JSON; `notes` is what somebody should know about the folder."""

    repository: str
    folder: str
    hooks: tuple[InstalledHook, ...]
    configuration: dict[str, str]
    notes: tuple[str, ...]


class HookResult(Entity, frozen=True, kw_only=True):
    """What `hook.run` prints as JSON where nothing is wrong; `checked` counts what was looked at."""

    name: HookName
    checked: int
