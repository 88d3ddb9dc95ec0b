"""The entities of subprojects: what there is, and what has changed."""

from __future__ import annotations

from ci_tasks.core.entity import Entity
from ci_tasks.project.names import ReasonKind
from ci_tasks.tag.model import CommitId


class Project(Entity, frozen=True, kw_only=True):
    """A subproject (null: the root project). `version` is its newest release, else its newest pre-release.

    `dependsOn` and `dependents` are the direct ones, as the settings write them; `environments` are those
    that have a tag of it.
    """

    subproject: str | None
    version: str | None
    depends_on: tuple[str, ...]
    dependents: tuple[str, ...]
    environments: tuple[str, ...]


class ProjectList(Entity, frozen=True, kw_only=True):
    """What `project.list --json` prints."""

    projects: tuple[Project, ...]


class ChangeReason(Entity, frozen=True, kw_only=True):
    """One reason why a subproject counts as changed, as a part of a sentence in `message`.

    `files` counts the files behind it, and `path` is the first of them (null where it is not about files);
    `through` leads from the subproject to the dependency that has changed, which is last.
    """

    kind: ReasonKind
    message: str
    path: str | None = None
    files: int = 0
    through: tuple[str, ...] = ()


class ChangedProject(Entity, frozen=True, kw_only=True):
    """A subproject (null: the root project), and why it counts as changed."""

    subproject: str | None
    reasons: tuple[ChangeReason, ...]


class ChangedProjects(Entity, frozen=True, kw_only=True):
    """What `project.changed --json` prints: what differs between `baseCommits` and `commitSha`.

    `baseCommits` is where `since` and the checkout have parted: several commits where branches have crossed,
    and a difference to any of them counts. `changed` has dependencies first. `uncommitted` counts the files
    that are not as committed: they are not looked at.
    """

    since: str
    base_commits: tuple[CommitId, ...]
    commit_sha: CommitId
    changed: tuple[ChangedProject, ...]
    unchanged: tuple[str | None, ...]
    uncommitted: int
