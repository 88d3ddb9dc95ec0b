"""The entities of configuration."""

from __future__ import annotations

from typing import Any

from ci_tasks.core.entity import Entity
from ci_tasks.environment.names import ConfigType, Verify

EVERY_ENVIRONMENT = "*"
"""What a global configuration has for an environment."""


class EnvironmentConfiguration(Entity, frozen=True, kw_only=True):
    """One `config.yml`; `configId` is its path. A global one has the environment "*".

    A subproject that is null is the root project.
    """

    config_id: str
    environment: str
    region: str | None
    subproject: str | None
    config_type: ConfigType
    path: str
    is_encrypted: bool


class Rules(Entity, frozen=True, kw_only=True):
    """What holds for every deployment to an environment. `timeout` is in seconds, for each script."""

    protected: bool = False
    branches: tuple[str, ...] = ()
    timeout: float | None = None
    regions: tuple[str, ...] = ()
    verify: Verify = Verify.NONE


class Resolved(Entity, frozen=True, kw_only=True):
    """The values that hold in one region (null: the environment without one), merged from their layers.

    `values` has no reserved keys; `env` and `providers` stand beside it. `origins` maps a dotted key of the
    three to the path of the file that it comes from. An empty subproject is the root project.
    """

    environment: str
    region: str | None
    subproject: str
    values: dict[str, Any]
    origins: dict[str, str]
    env: dict[str, str]
    providers: dict[str, dict[str, str]]


class Problem(Entity, frozen=True, kw_only=True):
    """Something wrong with a configuration file or folder; lines and columns count from 1."""

    path: str
    line: int | None = None
    column: int | None = None
    what: str

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.path, self.line, self.column) if part is not None)
        return f"{place}: {self.what}"


class ConfigurationList(Entity, frozen=True, kw_only=True):
    """What `env.list --json` prints."""

    configurations: tuple[EnvironmentConfiguration, ...]


class ShownConfiguration(Entity, frozen=True, kw_only=True):
    """What `env.show --json` prints; `origins` is null unless asked for."""

    environment: str
    region: str | None
    subproject: str | None
    values: dict[str, Any]
    env: dict[str, str]
    providers: dict[str, dict[str, str]]
    rules: Rules
    origins: dict[str, str] | None


class CheckedConfiguration(Entity, frozen=True, kw_only=True):
    """What `env.check --json` prints."""

    configurations: int
    problems: tuple[Problem, ...]
