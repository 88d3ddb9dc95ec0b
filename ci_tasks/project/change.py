"""Which subprojects a set of changed files changes, and why; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci_tasks.core.subprojects import ENVIRONMENTS, nodes_of
from ci_tasks.project.graph import routes, shown
from ci_tasks.project.model import ChangeReason
from ci_tasks.project.names import ReasonKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from ci_tasks.project.dependencies import Projects

SHARED_FOLDERS = ("scripts", ENVIRONMENTS)
SHARED_FILES = ("ci_tasks.yaml", "tasks.py")
"""What every subproject is deployed with, whoever it belongs to."""


@dataclass(frozen=True, kw_only=True)
class Changes:
    """Changed files by what they belong to: subprojects, and the dependencies that are none; see `graph`."""

    files: Mapping[str, Sequence[str]]
    shared: Sequence[str] = ()


def sort_out(
    paths: Iterable[str],
    projects: Projects,
    *,
    environment: str | None = None,
    environments: Collection[str] = (),
) -> Changes:
    """The changed files by what they belong to; a file belongs to the innermost subproject.

    With `environment`, what is configured for another one of `environments` counts as unchanged.
    """
    among = frozenset(projects.known)
    nodes = among | {below for each in projects.depends_on.values() for below in each}
    files: dict[str, list[str]] = {}
    shared = []
    for path in sorted(paths):
        found = nodes_of(path, nodes, among)
        if environment is not None and _is_of_another(path, found[-1], environment, environments):
            continue
        for node in found:
            files.setdefault(node, []).append(path)
        if _is_shared(path):
            shared.append(path)
    return Changes(files=files, shared=shared)


def reasons(subproject: str, changes: Changes, projects: Projects) -> tuple[ChangeReason, ...]:
    """Why these files change a subproject: its own, those of what it depends on, those that all share."""
    return tuple(_reasons(subproject, changes, projects))


def _reasons(subproject: str, changes: Changes, projects: Projects) -> Iterator[ChangeReason]:
    own = changes.files.get(subproject, ())
    if own:
        yield _reason(ReasonKind.OWN, own, "changed")
    ways = routes(subproject, projects.depends_on)
    for node, way in ways.items():
        found = changes.files.get(node, ())
        if found:
            what = f"changed in {' -> '.join(map(shown, way))}, which it depends on"
            yield _reason(ReasonKind.DEPENDENCY, found, what, through=tuple(map(shown, way)))
    if changes.shared and "" not in {subproject, *ways}:
        yield _reason(ReasonKind.SHARED, changes.shared, "changed, which all subprojects share")


def _reason(kind: ReasonKind, files: Sequence[str], what: str, through: tuple[str, ...] = ()) -> ChangeReason:
    first = _readable(files[0])
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return ChangeReason(
        kind=kind, message=f"{first}{more} {what}", path=first, files=len(files), through=through
    )


def is_of_pipeline(path: str, projects: Projects) -> bool:
    """Whether a deployment takes the file from the checkout it is typed in, and not from the version."""
    *_, owner = nodes_of(path, (), projects.known)
    return path in SHARED_FILES or any(_below(path, each).startswith("scripts/") for each in ("", owner))


def _below(path: str, owner: str) -> str:
    return path[len(owner) + 1 :] if owner else path


def _is_shared(path: str) -> bool:
    return path in SHARED_FILES or path.partition("/")[0] in SHARED_FOLDERS


def _is_of_another(path: str, owner: str, environment: str, environments: Collection[str]) -> bool:
    """Whether it lies in the folder of another environment, the root's or that of the file's subproject."""
    folder, _, rest = _below(path, owner).partition("/")
    name, slash, _ = rest.partition("/")
    return folder == ENVIRONMENTS and bool(slash) and name != environment and name in environments


def _readable(path: str) -> str:
    r"""A path as text: bytes that are not UTF-8 are shown as `\xff`."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
