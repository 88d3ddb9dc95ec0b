"""Subprojects as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_tasks.core import console
from ci_tasks.core.columns import used

if TYPE_CHECKING:
    from ci_tasks.project.model import ChangedProjects, ProjectList

ROOT = "(root)"
"""How the root project is shown in a table."""


def projects_text(answer: ProjectList) -> str:
    """The subprojects as a table."""
    columns, rows = used(
        ("Subproject", "Version", "Depends on", "Dependents", "Environments"),
        [
            (
                project.subproject or ROOT,
                project.version or "none yet",
                ", ".join(project.depends_on),
                ", ".join(project.dependents),
                ", ".join(project.environments),
            )
            for project in answer.projects
        ],
    )
    return console.table(columns, rows)


def changed_text(answer: ChangedProjects) -> str:
    """The changed subprojects with the reasons, dependencies first, and how many have not changed."""
    since = f"since {answer.since} ({', '.join(commit[:12] for commit in answer.base_commits)})"
    if not answer.changed:
        return console.prose(f"Nothing has changed {since}.")
    rows = [
        (name, reason.message)
        for project in answer.changed
        for name, reason in zip(
            [project.subproject or ROOT, *[""] * (len(project.reasons) - 1)], project.reasons, strict=True
        )
    ]
    head = f"Changed {since}, dependencies first; {len(answer.unchanged)} not changed:"
    return f"{console.prose(head)}\n\n{console.table(('Subproject', 'Because'), rows)}"


def uncommitted_note(count: int) -> str | None:
    """What to say of files that are not as committed; None where all are."""
    if not count:
        return None
    files = "1 file is" if count == 1 else f"{count} files are"
    return f"{files} not as committed, and not looked at."
