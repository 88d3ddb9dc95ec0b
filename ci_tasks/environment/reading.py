"""From files to documents, with everything that is wrong with them on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ci_tasks.core.document import Document, DocumentError, read_yaml, shown
from ci_tasks.core.errors import nearest
from ci_tasks.environment.layout import FILE, FOLDER, OTHER_FILES, Place, split
from ci_tasks.environment.model import Problem
from ci_tasks.environment.names import is_region
from ci_tasks.environment.rules import problems_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_DEEPEST = 3  # environments/<environment>/<region>/config.yml


@dataclass(frozen=True)
class Found:
    """A problem, and the place whose users it concerns.

    A stray is a folder that is no environment; a rule's problem concerns nobody who only wants values.
    """

    problem: Problem
    place: Place
    is_stray: bool = False
    is_rule: bool = False


@dataclass(frozen=True)
class Reading:
    """What was found: documents, places with a `config.yml`, (subproject, environment) folders, problems.

    `environments` are those that there can be.
    """

    environments: Sequence[str] = ()
    documents: dict[Place, Document] = field(default_factory=dict)
    places: set[Place] = field(default_factory=set)
    folders: set[tuple[str, str]] = field(default_factory=set)
    found: list[Found] = field(default_factory=list)


def read_files(
    files: Mapping[str, bytes], environments: Sequence[str], problems: Iterable[Problem] = ()
) -> Reading:
    """Read what is configuration among the files; `problems` are paths that could not be read."""
    reading = Reading(environments=environments)
    strays: set[tuple[str, str]] = set()
    unreadable = {problem.path: problem for problem in problems}
    for path in sorted({*files, *unreadable}):
        parts = split(path)
        if parts is None:
            if path in unreadable:
                reading.found.append(Found(unreadable[path], Place(subproject="")))
            continue
        subproject, below = parts
        if len(below) > 1 and below[0] not in environments:
            if (subproject, below[0]) not in strays and not below[0].startswith("."):
                strays.add((subproject, below[0]))
                reading.found.append(_stray(subproject, below[0], environments))
            continue
        if len(below) > 1:
            reading.folders.add((subproject, below[0]))
        place = _place(subproject, below)
        if path in unreadable:
            reading.found.append(Found(unreadable[path], place))
        else:
            _read(reading, path, below, files[path], place)
    return reading


def _place(subproject: str, below: tuple[str, ...]) -> Place:
    folders = below[:-1]
    environment = folders[0] if folders else None
    # A deeper folder, or one that can't be a region, concerns the whole environment.
    is_of_region = len(folders) == _DEEPEST - 1 and is_region(folders[1])
    return Place(subproject=subproject, environment=environment, region=folders[1] if is_of_region else None)


def _stray(subproject: str, name: str, environments: Sequence[str]) -> Found:
    close = nearest(name, environments)
    hint = f"did you mean {close}? " if close else ""
    folder = "/".join(part for part in (subproject, FOLDER, name) if part)
    what = (
        f"this folder is no environment: {hint}The settings have {', '.join(environments)}; "
        "`environments:` in ci_tasks.yaml can name others"
    )
    place = Place(subproject=subproject, environment=name)
    return Found(Problem(path=f"{folder}/", what=what), place, is_stray=True)


def _read(reading: Reading, path: str, below: tuple[str, ...], data: bytes, place: Place) -> None:
    name = below[-1]
    if name in OTHER_FILES:
        what = f"this file is not read: its name must be {FILE}"
        reading.found.append(Found(Problem(path=path, what=what), place))
    elif name != FILE:
        return
    elif len(below) > _DEEPEST:
        what = f"this file is too deep to be read: {FOLDER}/<environment>/<region>/{FILE} is the deepest"
        reading.found.append(Found(Problem(path=path, what=what), place))
    elif len(below) == _DEEPEST and place.region is None:
        what = "the name of this folder can't be a region: a-z, 0-9 and -, at most 40 characters"
        reading.found.append(Found(Problem(path=path, what=what), place))
    else:
        reading.places.add(place)
        _parse(reading, path, data, place)


def _parse(reading: Reading, path: str, data: bytes, place: Place) -> None:
    try:
        document = read_yaml(data, name=path)
    except DocumentError as error:
        problem = Problem(path=path, line=error.line, column=error.column, what=error.reason)
        reading.found.append(Found(problem, place))
        return
    reading.documents[place] = document
    found = problems_of(
        document.value,
        place.config_type,
        environment=place.environment,
        environments=reading.environments,
    )
    for key, reason in found:
        line, column = document.position(*key)
        problem = Problem(path=path, line=line, column=column, what=f"{shown(key)}: {reason}")
        reading.found.append(Found(problem, place, is_rule=key[0] not in {"env", "providers"}))
