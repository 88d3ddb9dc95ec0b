"""The configuration of a tree of files: parsed once, merged for an environment and a region."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from ci_tasks.core.document import dotted
from ci_tasks.core.errors import UsageError, bad_choice, nearest
from ci_tasks.environment import layout
from ci_tasks.environment.merge import merge
from ci_tasks.environment.model import (
    EVERY_ENVIRONMENT,
    EnvironmentConfiguration,
    Freeze,
    Problem,
    Requirement,
    Resolved,
    Rules,
)
from ci_tasks.environment.names import parse_region
from ci_tasks.environment.reading import read_files
from ci_tasks.environment.rules import RESERVED, RULES, read_rules, variable_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ci_tasks.environment.merge import Merged
    from ci_tasks.environment.reading import Reading

Entry = TypeVar("Entry", bound=Requirement | Freeze)


def parse_layers(
    files: Mapping[str, bytes], *, environments: Sequence[str], problems: Iterable[Problem] = ()
) -> Layers:
    """Parse every `config.yml` among the files (a path from the repository's root, its bytes), once.

    Paths of other files, and of folders ("environments/staging/"), only tell that a folder exists.
    `problems` are files that could not be read. Nothing raises here: whoever asks for something gets a
    UsageError if a file or folder that it depends on has a problem, so a broken file of another
    subproject or environment is in nobody's way. `Layers.problems` has all of them.
    """
    return Layers(read_files(files, environments, problems), tuple(environments))


class Layers:
    """Configuration files that were read; the files themselves are not looked at again."""

    def __init__(self, reading: Reading, environments: tuple[str, ...]) -> None:
        self._reading = reading
        self._known = environments
        self.problems: tuple[Problem, ...] = tuple(found.problem for found in reading.found)

    def subprojects(self) -> tuple[str, ...]:
        """The subprojects that have an `environments/`, by name; the empty one is the root project."""
        with_folders = {owner for owner, _ in self._reading.folders}
        return tuple(sorted(with_folders | {place.subproject for place in self._reading.places}))

    def environments(self, subproject: str = "") -> tuple[str, ...]:
        """Those that have a folder, here or in the root project, in the order of the settings.

        Raises UsageError for a folder that is no environment, with the nearest name.
        """
        self._refuse_strays(subproject)
        return self.existing(subproject)

    def existing(self, subproject: str = "") -> tuple[str, ...]:
        """The same, whatever other folders there are."""
        folders = self._reading.folders
        return tuple(name for name in self._known if {("", name), (subproject, name)} & folders)

    def regions(self, environment: str, subproject: str = "") -> tuple[str, ...]:
        """The environment's `regions:`, else its folders that have a `config.yml`, by name."""
        self._refuse_bad_rules(environment, subproject)
        return self._regions(environment, subproject, self._merged(environment, None, subproject))

    def rules(self, environment: str, subproject: str = "") -> Rules:
        """The rules of an environment. Ask the layers of the pipeline checkout for them."""
        self._refuse_strays(subproject)
        self._refuse_bad_rules(environment, subproject)
        merged = self._merged(environment, None, subproject)
        given = read_rules(merged.values)
        sources = self._sources(environment, subproject)
        return replace(
            given,
            regions=self._regions(environment, subproject, merged),
            requires=_with_sources(given.requires, "requires", sources),
            freeze=_with_sources(given.freeze, "freeze", sources),
            sources={key: source for key, source in sources.items() if key in RULES},
        )

    def rule_origins(self, environment: str, subproject: str = "") -> dict[str, str]:
        """For each rule that is written down, the path of the file that decides."""
        origins = self._merged(environment, None, subproject).origins
        return {path[0]: origin for path, origin in origins.items() if path[0] in RULES}

    def resolve(self, environment: str, region: str | None = None, subproject: str = "") -> Resolved:
        """The values for a region. A region without a folder here has the environment's values.

        Whether the environment has that region is a rule: `rules().regions`, of the pipeline checkout. What
        is wrong with the rules in these files does not matter here, as nobody reads them.
        """
        merged = self._merged(environment, region, subproject)
        values = merged.values
        return Resolved(
            environment=environment,
            region=region,
            subproject=subproject,
            values={key: value for key, value in values.items() if key not in RESERVED},
            origins={dotted(path): origin for path, origin in merged.origins.items() if path[0] not in RULES},
            env={name: variable_text(value) for name, value in values.get("env", {}).items()},
            providers=values.get("providers", {}),
        )

    def configurations(self) -> tuple[EnvironmentConfiguration, ...]:
        """Every `config.yml`, those with problems too, in the order of `places`."""
        return tuple(
            EnvironmentConfiguration(
                config_id=place.path,
                environment=place.environment or EVERY_ENVIRONMENT,
                region=place.region,
                subproject=place.subproject or None,
                config_type=place.config_type,
                path=place.path,
                is_encrypted=False,
            )
            for place in self.places()
        )

    def places(self) -> tuple[layout.Place, ...]:
        """Where there is a `config.yml`: the root project first, the global ones first."""
        return tuple(
            sorted(
                self._reading.places,
                key=lambda place: (
                    place.subproject,
                    -1 if place.environment is None else self._known.index(place.environment),
                    place.region or "",
                ),
            )
        )

    def documents(self) -> dict[layout.Place, dict[str, Any]]:
        """What stands in each file that could be read."""
        return {place: document.value for place, document in self._reading.documents.items()}

    def line(self, place: layout.Place, *path: str) -> int | None:
        """1-based line of a key in the file of that place."""
        return self._reading.documents[place].line(*path)

    def _sources(self, environment: str, subproject: str) -> dict[str, str]:
        """File and line of each rule, and of each entry of one ("freeze.0"): the last file that has it."""
        found: dict[str, str] = {}
        for place in layout.chain(environment, None, subproject):
            document = self._reading.documents.get(place)
            if document is None:
                continue
            for key in RULES.intersection(document.value):
                for name in [name for name in found if name.partition(".")[0] == key]:
                    del found[name]
                found[key] = f"{place.path}:{document.line(key)}"
                entries = document.value[key] if isinstance(document.value[key], list) else ()
                for number in map(str, range(len(entries))):
                    found[f"{key}.{number}"] = f"{place.path}:{document.line(key, number)}"
        return found

    def _regions(self, environment: str, subproject: str, merged: Merged) -> tuple[str, ...]:
        if "regions" in merged.values:
            return read_rules(merged.values).regions
        found = {
            place.region
            for place in self._reading.places
            if place.region is not None
            and place.environment == environment
            and place.subproject in {"", subproject}
        }
        return tuple(sorted(found))

    def _merged(self, environment: str, region: str | None, subproject: str) -> Merged:
        """Merge the files of a chain; UsageError for a missing environment, or a problem in the files."""
        if environment not in self._known:
            raise bad_choice("environment", environment[:60], self._known)
        if region is not None:
            parse_region(region)
        if environment not in self.existing(subproject):
            self._refuse_missing(environment, subproject)
        _raise_all(
            found.problem
            for found in self._reading.found
            if not (found.is_stray or found.is_rule)
            and found.place.subproject in {"", subproject}
            and found.place.environment in {None, environment}
            and found.place.region in {None, region}
        )
        documents = self._reading.documents
        places = [place for place in layout.chain(environment, region, subproject) if place in documents]
        return merge((place.path, documents[place].value) for place in places)

    def _refuse_strays(self, subproject: str) -> None:
        _raise_all(
            found.problem
            for found in self._reading.found
            if found.is_stray and found.place.subproject in {"", subproject}
        )

    def _refuse_bad_rules(self, environment: str, subproject: str) -> None:
        """In the files of regions too: a rule that stands where it isn't read would be no rule."""
        _raise_all(
            found.problem
            for found in self._reading.found
            if found.is_rule
            and found.place.subproject in {"", subproject}
            and found.place.environment in {None, environment}
        )

    def _refuse_missing(self, environment: str, subproject: str) -> None:
        existing = self.existing(subproject)
        strays = [
            found.place.environment or ""
            for found in self._reading.found
            if found.is_stray and found.place.subproject in {"", subproject}
        ]
        if not existing and not strays:
            raise first_run(environment)
        close = nearest(environment, strays)
        folder = f"environments/{environment}"
        nor = f", nor {subproject}/{folder}/" if subproject else ""
        has_its_own = any(owner == subproject for owner, _ in self._reading.folders)
        new = f"{subproject}/{folder}" if subproject and has_its_own else folder
        raise UsageError(
            f"There is no folder {folder}/{nor}, so there is nothing to deploy to.",
            unchanged="Nothing was changed.",
            details=[
                *([f"Environments that have a folder: {', '.join(existing)}."] if existing else []),
                *([f"There is a folder environments/{close}/: is that a typing error?"] if close else []),
            ],
            next_step=f"mkdir -p {new} && touch {new}/{layout.FILE}",
        )


def _with_sources(entries: tuple[Entry, ...], key: str, sources: Mapping[str, str]) -> tuple[Entry, ...]:
    """The entries of a rule, each with its file and line; a map that is alone has that of the rule."""
    return tuple(
        replace(entry, source=sources.get(f"{key}.{number}", sources.get(key)))
        for number, entry in enumerate(entries)
    )


def first_run(environment: str = "staging") -> UsageError:
    """What to say where nobody has made an environment yet."""
    folder = f"{layout.FOLDER}/{environment}"
    return UsageError(
        "There are no environments yet. An environment is a folder with a config.yml; an empty one will do.",
        unchanged="Nothing was changed.",
        next_step=f"mkdir -p {folder} && touch {folder}/{layout.FILE}",
    )


def _raise_all(problems: Iterable[Problem]) -> None:
    """Raise UsageError if there is any problem: the first in full, the others as details."""
    found = [str(problem) if str(problem).endswith("?") else f"{problem}." for problem in problems]
    if found:
        raise UsageError(
            found[0], unchanged="Nothing was changed.", details=found[1:], next_step="inv env.check"
        )
