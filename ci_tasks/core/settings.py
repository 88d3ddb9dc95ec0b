"""The settings: ci_tasks.yaml in the repository's root, and CI_TASKS_* in the environment above it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from ci_tasks.core.entity import Entity
from ci_tasks.core.errors import UsageError, nearest
from ci_tasks.core.field import FieldError, as_seconds, as_text, as_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

FILE = "ci_tasks.yaml"
PREFIX = "CI_TASKS_"
# Variables of the same prefix that are no settings: they belong to one command or to the tests.
OTHER_VARIABLES = frozenset(f"{PREFIX}{name}" for name in ("REASON", "TESTING", "FAILPOINT", "RUN"))
SHORTEST_LEASE, LONGEST_LEASE = 10.0, 86400.0  # seconds

_REMOTE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_ENVIRONMENT = re.compile(r"[a-z][a-z0-9-]{0,39}")
_PATTERN = re.compile(r"[a-z0-9*][a-z0-9._*-]{0,119}")
_FOLDER = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._-]{0,99}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\*?")
# Names that git or a file system has a use for: a tag or folder of that name would be trouble.
_RESERVED = frozenset(
    {"head", "refs", "heads", "tags", "remotes", "notes", "stash", "con", "prn", "aux", "nul"}
    | {f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10)}
)


class Settings(Entity, frozen=True, kw_only=True):
    """What a repository has decided for itself; `lease` is in seconds."""

    remote: str = "origin"
    environments: tuple[str, ...] = ("production", "staging", "canary", "sandbox", "performance")
    subprojects: tuple[str, ...] = ()
    lease: float = 600.0
    reports: str = "build/reports"
    pass_environment: tuple[str, ...] = ()


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


def _remote(value: object) -> str:
    name = as_text(value)
    if not _REMOTE.fullmatch(name) or ".." in name or name.endswith(".lock"):
        raise FieldError("the name of a git remote is expected, such as origin")
    return name


def _environments(value: object) -> tuple[str, ...]:
    names = as_texts(value)
    if not names:
        raise FieldError("at least one environment is needed")
    for name in names:
        if not _ENVIRONMENT.fullmatch(name):
            same = [other for other in names if other != name and other.lower() == name.lower()]
            clash = f"; it differs from {same[0]} only by case" if same else ""
            raise FieldError(
                f"{name[:60]!r} can't be an environment: a-z, 0-9 and -, a letter first, 40 at most{clash}"
            )
        if name in _RESERVED:
            raise FieldError(
                f"{name!r} can't be an environment: git or a file system has a use for that name"
            )
    return names


def _subprojects(value: object) -> tuple[str, ...]:
    patterns = as_texts(value)
    for pattern in patterns:
        parts = pattern.split("/")
        if "**" in pattern or not all(_PATTERN.fullmatch(part) and ".." not in part for part in parts):
            raise FieldError(
                f"{pattern[:60]!r} is no subproject's path: write api or services/* (a-z, 0-9 and ._-)"
            )
    return patterns


def _lease(value: object) -> float:
    seconds = as_seconds(value)
    if not SHORTEST_LEASE <= seconds <= LONGEST_LEASE:
        raise FieldError("a lease is at least 10s and at most 24h")
    return seconds


def _reports(value: object) -> str:
    path = as_text(value)
    parts = path.split("/")
    if not all(_FOLDER.fullmatch(part) for part in parts) or {".", "..", ".git"} & set(parts):
        raise FieldError("a folder inside the repository is expected, such as build/reports")
    if {"scripts", "environments"} & set(parts):
        raise FieldError("a folder of its own is expected: scripts/ and environments/ are read")
    return path


def _variables(value: object) -> tuple[str, ...]:
    names = as_texts(value)
    for name in names:
        if not _VARIABLE.fullmatch(name):
            raise FieldError(f"{name[:60]!r} is not the name of a variable, such as KUBECONFIG or AWS_*")
    return names


@dataclass(frozen=True)
class _Setting:
    name: str
    key: str
    read: Callable[[object], object]
    is_list: bool = False

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()


@dataclass(frozen=True)
class _Found:
    setting: _Setting
    value: object
    where: str


_SETTINGS = (
    _Setting("remote", "remote", _remote),
    _Setting("environments", "environments", _environments, is_list=True),
    _Setting("subprojects", "subprojects", _subprojects, is_list=True),
    _Setting("lease", "lease", _lease),
    _Setting("reports", "reports", _reports),
    _Setting("pass_environment", "passEnvironment", _variables, is_list=True),
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
            found[setting.name] = _Found(
                setting, _list(variable, text) if setting.is_list else text, variable
            )
    return found


def _list(variable: str, text: str) -> list[str]:
    try:
        return msgspec.json.decode(text, type=list[str])
    except (msgspec.DecodeError, UnicodeError):
        raise UsageError(
            f"{variable}: a list in JSON is expected.",
            unchanged="Nothing was changed.",
            next_step=f"""export {variable}='["one", "two"]'""",
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
