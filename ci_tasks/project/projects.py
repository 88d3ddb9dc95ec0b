"""All subprojects: what `project.list` shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_tasks.project.dependencies import read_projects
from ci_tasks.project.graph import dependents, shown
from ci_tasks.project.model import Project, ProjectList
from ci_tasks.project.versions import newest_of_each
from ci_tasks.tag.grammar import Grammar
from ci_tasks.tag.store import TagStore

if TYPE_CHECKING:
    from ci_tasks.core.checkout import Checkout


def listed(checkout: Checkout) -> ProjectList:
    """The subprojects that are there, by path; the tags are those of the remote."""
    listing = TagStore(checkout.origin, Grammar(checkout.settings.environments)).listing()
    projects = read_projects(checkout, listing)
    above = dependents(projects.depends_on)
    versions = newest_of_each(listing, lambda _: True)
    newest = {**versions, **newest_of_each(listing, lambda tag: tag.version.is_release)}
    places: dict[str, list[str]] = {}
    for tag in listing.environments():
        places.setdefault(tag.subproject, []).append(tag.environment)
    return ProjectList(
        projects=tuple(
            Project(
                subproject=name or None,
                version=str(newest[name].version) if name in newest else None,
                depends_on=tuple(map(shown, projects.depends_on.get(name, ()))),
                dependents=tuple(map(shown, above.get(name, ()))),
                environments=tuple(places.get(name, ())),
            )
            for name in projects.present
        )
    )
