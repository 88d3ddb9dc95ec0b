"""Answers about the configuration of the checkout that a command is typed in."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from ci_tasks.core.errors import RefusedError, UsageError, bad_choice
from ci_tasks.core.subprojects import subprojects
from ci_tasks.environment.check import check
from ci_tasks.environment.configuration import first_run, parse_layers
from ci_tasks.environment.model import CheckedConfiguration, ConfigurationList, ShownConfiguration
from ci_tasks.environment.names import choose_region
from ci_tasks.environment.tree import gather, survey

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ci_tasks.core.checkout import Checkout


def list_configurations(checkout: Checkout, subproject: str | None) -> ConfigurationList:
    """Every `config.yml` of the checkout, or those that count for one subproject.

    Raises UsageError where there is no environment yet, or a folder that is none.
    """
    folders = _known(checkout)
    wanted = folders if subproject is None else (_choose(subproject, checkout, folders),)
    layers = parse_layers(gather(checkout.root, wanted), environments=checkout.settings.environments)
    if not [name for owner in ("", *wanted) for name in layers.environments(owner)]:
        raise first_run()
    return ConfigurationList(configurations=layers.configurations())


def show_configuration(
    checkout: Checkout, *, environment: str, region: str | None, subproject: str | None, origins: bool
) -> ShownConfiguration:
    """What holds for one environment, and in one region of it.

    Without `subproject`: the one whose folder we stand in, else the root project.
    """
    folders = _known(checkout)
    owner = _standing_in(checkout, folders) if subproject is None else _choose(subproject, checkout, folders)
    layers = parse_layers(gather(checkout.root, (owner,)), environments=checkout.settings.environments)
    rules = layers.rules(environment, owner)
    if region is not None:
        choose_region(region, rules.regions, environment)
    resolved = layers.resolve(environment, region, owner)
    return ShownConfiguration(
        environment=environment,
        region=region,
        subproject=owner or None,
        values=resolved.values,
        env=resolved.env,
        providers=resolved.providers,
        rules=rules,
        origins={**resolved.origins, **layers.rule_origins(environment, owner)} if origins else None,
    )


def check_configuration(checkout: Checkout) -> CheckedConfiguration:
    """Everything that is wrong with the configuration of the root project and of all subprojects."""
    found = survey(checkout.root, _known(checkout))
    layers = parse_layers(found.files, environments=checkout.settings.environments, problems=found.problems)
    problems = check(layers)
    if not problems and not [name for owner in layers.subprojects() for name in layers.existing(owner)]:
        raise first_run()
    return CheckedConfiguration(configurations=len(layers.configurations()), problems=problems)


def _known(checkout: Checkout) -> tuple[str, ...]:
    return subprojects(checkout.root, checkout.settings.subprojects)


def _choose(given: str, checkout: Checkout, folders: Sequence[str]) -> str:
    """A subproject that is known, empty for `.`; where the settings name none, any folder that is no link."""
    if given in {".", "./"}:
        return ""
    parts = given.split("/")
    if given.startswith(("-", "/")) or {"", ".", ".."} & set(parts):
        raise UsageError(
            f"{given[:120]!r} is no subproject: write a path from the repository's root, such as api.",
            unchanged="Nothing was changed.",
        )
    is_folder = _is_real_folder(checkout.root, parts)
    if given in folders or (is_folder and not checkout.settings.subprojects):
        return given
    raise bad_choice("subproject", given[:120], folders)


def _is_real_folder(root: Path, parts: Sequence[str]) -> bool:
    folder = root
    for part in parts:
        folder /= part
        try:
            mode = folder.lstat().st_mode
        except OSError:
            return False
        if stat.S_ISLNK(mode):
            raise RefusedError(
                f"{folder.relative_to(root)} is a symbolic link, so it can't be a subproject.",
                unchanged="Nothing was changed.",
            )
    return folder.is_dir()


def _standing_in(checkout: Checkout, folders: Sequence[str]) -> str:
    here, root = checkout.folder.resolve(), checkout.root.resolve()
    around = [name for name in folders if here.is_relative_to(root / name)]
    return max(around, key=len, default="")
