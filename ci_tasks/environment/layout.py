"""Where configuration stands: which path belongs to which subproject, environment and region."""

from __future__ import annotations

from dataclasses import dataclass

from ci_tasks.environment.names import ConfigType

FOLDER = "environments"
FILE = "config.yml"
OTHER_FILES = frozenset({"config.yaml", "config.json"})
"""Names that people use for the same thing, and that are not read."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A folder that a `config.yml` can stand in; the empty subproject is the root project."""

    subproject: str
    environment: str | None = None
    region: str | None = None

    @property
    def path(self) -> str:
        """The path of its `config.yml`, from the repository's root."""
        parts = (self.subproject, FOLDER, self.environment, self.region, FILE)
        return "/".join(part for part in parts if part)

    @property
    def config_type(self) -> ConfigType:
        """How far its `config.yml` reaches."""
        if self.environment is None:
            return ConfigType.GLOBAL
        return ConfigType.ENVIRONMENT if self.region is None else ConfigType.REGION


def split(path: str) -> tuple[str, tuple[str, ...]] | None:
    """The subproject, and what follows `environments/`; None for a path that is not below such a folder.

    The path of a folder ends in "/", so that its last part is empty.
    """
    parts = path.split("/")
    if FOLDER not in parts[:-1]:
        return None
    at = parts.index(FOLDER)
    return "/".join(parts[:at]), tuple(parts[at + 1 :])


def chain(environment: str, region: str | None, subproject: str) -> tuple[Place, ...]:
    """The places whose files are merged, the weakest first: a subproject's wins over the root's beside it."""
    levels: list[tuple[str | None, str | None]] = [(None, None), (environment, None)]
    if region is not None:
        levels.append((environment, region))
    return tuple(
        Place(subproject=owner, environment=of_environment, region=of_region)
        for of_environment, of_region in levels
        for owner in dict.fromkeys(("", subproject))
    )
