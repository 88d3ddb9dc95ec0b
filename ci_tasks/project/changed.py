"""Which subprojects have changed since a ref: what `project.changed` shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_tasks.core.git.rereading import until_still
from ci_tasks.project.change import reasons, sort_out
from ci_tasks.project.dependencies import read_projects
from ci_tasks.project.graph import ordered
from ci_tasks.project.model import ChangedProject, ChangedProjects
from ci_tasks.project.revision import compare
from ci_tasks.tag.grammar import Grammar
from ci_tasks.tag.store import TagStore

if TYPE_CHECKING:
    from ci_tasks.core.checkout import Checkout


def changed_since(checkout: Checkout, since: str) -> ChangedProjects:
    """Compare what is checked out with the commit where it parted from `since`; raises as `compare` does."""
    return until_still(lambda: _changed_since(checkout, since))


def _changed_since(checkout: Checkout, since: str) -> ChangedProjects:
    listing = TagStore(checkout.origin, Grammar(checkout.settings.environments)).listing()
    projects = read_projects(checkout, listing)
    comparison = compare(checkout, listing, since)
    changes = sort_out(comparison.files, projects)
    found = {name: reasons(name, changes, projects) for name in projects.present}
    names = ordered([name for name, why in found.items() if why], projects.depends_on)
    return ChangedProjects(
        since=since,
        base_commits=comparison.bases,
        commit_sha=comparison.head,
        changed=tuple(ChangedProject(subproject=name or None, reasons=found[name]) for name in names),
        unchanged=tuple(name or None for name, why in found.items() if not why),
        uncommitted=len(checkout.repository.changed_paths(("",))),
    )
