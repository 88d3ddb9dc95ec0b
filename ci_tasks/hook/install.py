"""Installing the hooks, into a clone or into the bare repository that everybody pushes to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import ci_tasks
from ci_tasks.core.command_line import typed
from ci_tasks.core.errors import UsageError
from ci_tasks.hook import configuration, files, folder, script
from ci_tasks.hook.model import HookInstallation, InstalledHook
from ci_tasks.hook.names import CLIENT, SERVER, HookChange, HookName

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci_tasks.core.checkout import Checkout
    from ci_tasks.core.settings import Settings
    from ci_tasks.hook.folder import HookFolder


def install_here(checkout: Checkout, *, uninstall: bool) -> HookInstallation:
    """Put the client's hooks into the folder that git uses for this checkout, or take them away."""
    where = folder.of_clone(checkout.repository)
    hooks = _change(where, CLIENT, checkout.settings, uninstall=uninstall)
    return HookInstallation(
        repository=str(checkout.repository.root),
        folder=str(where.path),
        hooks=hooks,
        configuration={},
        notes=() if uninstall else where.notes,
    )


def install_server(checkout: Checkout, path: str, *, uninstall: bool) -> HookInstallation:
    """Put the server's hook and its configuration into a bare repository, or take them away.

    The configuration is written before the hook and taken away after it: the hook never runs without.
    """
    git_dir = (Path.cwd() / Path(path).expanduser()).resolve()
    if not git_dir.is_dir():
        raise UsageError(f"{path} is not a folder.", unchanged="Nothing was changed.")
    where = folder.of_server(git_dir)
    wanted = configuration.of_settings(checkout.settings)
    if not uninstall:
        configuration.write(git_dir, wanted, checkout)
    hooks = _change(where, SERVER, checkout.settings, uninstall=uninstall)
    if uninstall:
        configuration.remove(git_dir)
    return HookInstallation(
        repository=str(git_dir),
        folder=str(where.path),
        hooks=hooks,
        configuration={} if uninstall else wanted,
        notes=where.notes,
    )


def _change(
    where: HookFolder, names: Sequence[HookName], settings: Settings, *, uninstall: bool
) -> tuple[InstalledHook, ...]:
    """Plan for all hooks, then change them: what is refused for one changes none."""
    by = script.Interpreter(
        python=Path(sys.executable),
        program=Path(ci_tasks.__file__).parent / "__main__.py",
        typed_as=typed(""),
    )
    places = {name: files.look(where.path, name.value) for name in names}
    plans = {
        name: files.uninstalling(place)
        if uninstall
        else files.installing(
            place,
            script.build(name, by=by, environments=settings.environments, kept=place.before),
        )
        for name, place in places.items()
    }
    for name, plan in plans.items():
        files.sweep(where.path, name.value)
        files.apply(plan, where.path)
    if uninstall and any(plan.steps for plan in plans.values()):
        files.remove_empty(where.path)
    return tuple(_installed(name, places[name], plans[name].change, uninstall=uninstall) for name in names)


def _installed(name: HookName, place: files.Place, change: HookChange, *, uninstall: bool) -> InstalledHook:
    kept = None if uninstall or place.before is None else str(place.kept)
    return InstalledHook(name=name, path=str(place.path), change=change, kept=kept)
