"""The settings: ci_tasks.yaml in the repository's root, and CI_TASKS_* in the environment above it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from ci_tasks.core import setting_values
from ci_tasks.core.entity import Entity
from ci_tasks.core.errors import UsageError, nearest
from ci_tasks.core.field import FieldError
from ci_tasks.core.signing import SigningFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

FILE = "ci_tasks.yaml"
PREFIX = "CI_TASKS_"
# Variables of the same prefix that are no settings: they belong to one command or to the tests.
OTHER_VARIABLES = frozenset(f"{PREFIX}{name}" for name in ("REASON", "TESTING", "FAILPOINT", "RUN"))


class Settings(Entity, frozen=True, kw_only=True):
    """What a repository has decided for itself; `lease` and `review_within` are in seconds."""

    remote: str = "origin"
    environments: tuple[str, ...] = ("production", "staging", "canary", "sandbox", "performance")
    subprojects: tuple[str, ...] = ()
    lease: float = 600.0
    reports: str = "build/reports"
    pass_environment: tuple[str, ...] = ()
    sign: SigningFormat = SigningFormat.NONE
    allowed_signers: str = "environments/allowed_signers"
    admins: tuple[str, ...] = ()
    review_within: float = 7 * 86400.0
    tag_writer: str | None = None
    depends_on: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)


def load(root: Path, environ: Mapping[str, str]) -> Settings:
    """The settings of the repository at `root`; a variable that is set but empty counts as not given.

    Raises UsageError for an unknown name, with the nearest one, and for a value that is not allowed, with
    the file and line or the variable.
    """
    given = {**_from_file(root), **_from_environment(environ)}
    values: dict[str, Any] = {name: _read(found) for name, found in given.items()}
    settings = Settings(**values)
    _check_tags(settings, given)
    _check_reports(settings, given, root)
    return settings


def place(root: Path, environ: Mapping[str, str], name: str, *path: str) -> str:
    """Where a setting stands, for an error that only its use has shown; `path` leads to a part of its value.

    The file and the line, "ci_tasks.yaml:3: dependsOn", or the variable.
    """
    (setting,) = (each for each in _SETTINGS if each.name == name)
    if environ.get(setting.variable):
        return setting.variable
    from ci_tasks.core.document import read_yaml  # noqa: PLC0415 - as in _from_file
    from ci_tasks.core.files import read_file  # noqa: PLC0415 - goes with the line above

    document = read_yaml(read_file(root / FILE, root=root), name=FILE)
    whole = (setting.key, *path)
    lines = (document.line(*whole[:length]) for length in range(len(whole), 0, -1))
    return f"{FILE}:{next(line for line in lines if line)}: {setting.key}"


@dataclass(frozen=True)
class _Setting:
    name: str
    key: str
    read: Callable[[object], object]
    is_list: bool = False
    is_map: bool = False

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()


@dataclass(frozen=True)
class _Found:
    setting: _Setting
    value: object
    where: str


_SETTINGS = (
    _Setting("remote", "remote", setting_values.remote),
    _Setting("environments", "environments", setting_values.environments, is_list=True),
    _Setting("subprojects", "subprojects", setting_values.subprojects, is_list=True),
    _Setting("lease", "lease", setting_values.lease),
    _Setting("reports", "reports", setting_values.reports),
    _Setting("pass_environment", "passEnvironment", setting_values.variables, is_list=True),
    _Setting("sign", "sign", setting_values.sign),
    _Setting("allowed_signers", "allowedSigners", setting_values.allowed_signers),
    _Setting("admins", "admins", setting_values.admins, is_list=True),
    _Setting("review_within", "reviewWithin", setting_values.review_within),
    _Setting("tag_writer", "tagWriter", setting_values.tag_writer),
    _Setting("depends_on", "dependsOn", setting_values.depends_on, is_map=True),
)


def _refuse(found: _Found, reason: str) -> NoReturn:
    raise UsageError(f"{found.where}: {reason}.", unchanged="Nothing was changed.")


def _read(found: _Found) -> object:
    try:
        return found.setting.read(found.value)
    except FieldError as error:
        _refuse(found, str(error))


def _from_file(root: Path) -> dict[str, _Found]:
    for other in ("ci_tasks.yml", "ci_tasks.json"):
        if (root / other).exists():
            raise UsageError(
                f"{other} is not read: the settings are in {FILE}.",
                unchanged="Nothing was changed.",
                next_step=f"git mv {other} {FILE}",
            )
    path = root / FILE
    if not (path.exists() or path.is_symlink()):
        return {}
    from ci_tasks.core.document import read_yaml  # noqa: PLC0415 - most repositories need no settings, so no yaml
    from ci_tasks.core.files import read_file  # noqa: PLC0415 - goes with the line above

    document = read_yaml(read_file(path, root=root), name=FILE)
    by_key = {setting.key: setting for setting in _SETTINGS}
    for key in document.value:
        if key not in by_key:
            raise document.error(_unknown("setting", key, list(by_key)), key)
    return {
        by_key[key].name: _Found(by_key[key], value, f"{FILE}:{document.line(key)}: {key}")
        for key, value in document.value.items()
    }


def _from_environment(environ: Mapping[str, str]) -> dict[str, _Found]:
    by_variable = {setting.variable: setting for setting in _SETTINGS}
    found: dict[str, _Found] = {}
    for variable, text in sorted(environ.items()):
        if not variable.startswith(PREFIX) or variable in OTHER_VARIABLES:
            continue
        setting = by_variable.get(variable)
        if setting is None:
            reason = _unknown("variable", variable, list(by_variable))
            raise UsageError(f"{variable[:80]}: {reason}.", unchanged="Nothing was changed.")
        if text:
            found[setting.name] = _Found(setting, _given(setting, text), variable)
    return found


def _given(setting: _Setting, text: str) -> object:
    """The value that a variable holds."""
    if setting.is_map:
        return _map(setting.variable, text)
    return _list(setting.variable, text) if setting.is_list else text


def _list(variable: str, text: str) -> list[str]:
    try:
        return msgspec.json.decode(text, type=list[str])
    except (msgspec.DecodeError, UnicodeError):
        raise UsageError(
            f"{variable}: a list in JSON is expected.",
            unchanged="Nothing was changed.",
            next_step=f"""export {variable}='["one", "two"]'""",
        ) from None


def _map(variable: str, text: str) -> dict[str, list[str]]:
    try:
        return msgspec.json.decode(text, type=dict[str, list[str]])
    except (msgspec.DecodeError, UnicodeError):
        raise UsageError(
            f"{variable}: a map of lists in JSON is expected.",
            unchanged="Nothing was changed.",
            next_step=f"""export {variable}='{{"one": ["two", "three"]}}'""",
        ) from None


def _unknown(kind: str, given: str, allowed: list[str]) -> str:
    close = nearest(given, allowed)
    hint = f"did you mean {close}? " if close else ""
    return f"this {kind} is not known; {hint}Known are {', '.join(allowed)}"


def _check_tags(settings: Settings, given: Mapping[str, _Found]) -> None:
    """A tag `api` and a tag `api/production` can't both be in git: no environment is part of a path."""
    for pattern in settings.subprojects:
        for part in pattern.split("/"):
            if part in settings.environments:
                _refuse(
                    given["subprojects"],
                    f"{pattern!r} has the name of an environment in it, so their tags would be in each "
                    "other's way; rename the folder or the environment",
                )


def _check_reports(settings: Settings, given: Mapping[str, _Found], root: Path) -> None:
    inside = (root / settings.reports).resolve()
    if not inside.is_relative_to(root.resolve()):
        where = given["reports"].where if "reports" in given else f"{FILE}: reports"
        raise UsageError(
            f"{where}: {settings.reports} is a link that leaves the repository.",
            unchanged="Nothing was changed.",
        )
