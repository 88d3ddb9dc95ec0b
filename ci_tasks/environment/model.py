"""The entities of configuration."""

from __future__ import annotations

from typing import Any

from msgspec import field

from ci_tasks.core.entity import Entity
from ci_tasks.environment.names import ConfigType, OnFailure, RequiredState, Strategy, Verify, Weekday

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


class Requirement(Entity, frozen=True, kw_only=True):
    """What must be true of a version before it may come: one entry of `requires`.

    `environment` is where it must have run (null: in one region of this very environment, as a canary),
    `soak` for how many seconds in one piece, `state` how it must be marked. `source` is the file and line.
    """

    environment: str | None = None
    state: RequiredState | None = None
    soak: float | None = None
    source: str | None = None

    @property
    def is_canary(self) -> bool:
        """True where a version has to run in one region before it comes to the others."""
        return self.environment is None and self.soak is not None


class Freeze(Entity, frozen=True, kw_only=True):
    """A time in which nothing may come: one entry of `freeze`, its texts as they are written.

    `from` and `to` are two moments ("2026-12-20", "2026-12-20T18:00"), or two times of the day ("16:00"); the
    first belongs to the freeze and the second does not, but for a date, whose day does. `days` are those on
    which a time of the day begins; alone they are frozen whole. `except` are labels that let a deployment
    pass. `source` is the file and line.
    """

    begins: str | None = field(default=None, name="from")
    ends: str | None = field(default=None, name="to")
    days: tuple[Weekday, ...] = ()
    timezone: str = "UTC"
    exempt: tuple[str, ...] = field(default=(), name="except")
    source: str | None = None


class Rules(Entity, frozen=True, kw_only=True):
    """What holds for every deployment to an environment. `timeout` is in seconds, for each script.

    `sources` are the file and line ("environments/production/config.yml:7") of each rule that is written
    down, by its key.
    """

    protected: bool = False
    branches: tuple[str, ...] = ()
    timeout: float | None = None
    regions: tuple[str, ...] = ()
    verify: Verify = Verify.NONE
    requires: tuple[Requirement, ...] = ()
    freeze: tuple[Freeze, ...] = ()
    strategy: Strategy = Strategy.SEQUENTIAL
    on_failure: OnFailure = OnFailure.STOP
    keep_releases: int = 5
    sources: dict[str, str] = field(default_factory=dict)


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
