"""Which subprojects have something to deploy: what `deploy.plan` shows, and a matrix for GitHub Actions."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from ci_tasks.core.command_line import typed
from ci_tasks.core.entity import Entity, to_json
from ci_tasks.core.errors import RefusedError, UsageError
from ci_tasks.core.git.rereading import until_still
from ci_tasks.deploy.changed.live_changes import Standing, layers_of, read_places, standings
from ci_tasks.deploy.status import known_environment
from ci_tasks.project.change import reasons, sort_out
from ci_tasks.project.dependencies import read_projects
from ci_tasks.project.graph import ordered, shown
from ci_tasks.project.model import ChangeReason
from ci_tasks.project.revision import compare, head_of
from ci_tasks.project.versions import newest_of_each
from ci_tasks.tag.grammar import Grammar
from ci_tasks.tag.model import CommitId
from ci_tasks.tag.store import TagStore

if TYPE_CHECKING:
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.tag.grammar import VersionTag
    from ci_tasks.tag.listing import Listing

LARGEST_MATRIX = 256
"""Jobs that GitHub Actions makes of one matrix (docs.github.com, "Running variations of jobs")."""


class MatrixEntry(Entity, frozen=True, kw_only=True):
    """One job of the matrix; `subproject` is as `--subproject` takes it, `.` for the root project."""

    subproject: str
    environment: str | None
    version: str | None


class Matrix(Entity, frozen=True, kw_only=True):
    """What `strategy.matrix` of a GitHub Actions job takes by fromJSON."""

    include: tuple[MatrixEntry, ...]


class PlannedChange(Entity, frozen=True, kw_only=True):
    """A changed subproject (null: the root project), and why.

    `version` is its newest release that may be deployed, null where there is none. `liveVersions` are those
    that run in the environment. `nextStep` makes a version where no such release has the change.
    """

    subproject: str | None
    version: str | None
    live_versions: tuple[str, ...]
    reasons: tuple[ChangeReason, ...]
    next_step: str | None


class ChangePlan(Entity, frozen=True, kw_only=True):
    """What `deploy.plan --json` prints.

    With `since` (null: not given), what differs between `baseCommits`, where it and the checkout have parted,
    and `commitSha`; else what differs between what runs in `environment` and `commitSha`. `include` is the
    matrix; it and `changed` have dependencies first. `uncommitted` counts the files that are not as
    committed: they are not looked at. `withoutEnvironment` are the subprojects (null: the root project) that
    do not have `environment`, and are passed over.
    """

    environment: str | None
    since: str | None
    base_commits: tuple[CommitId, ...]
    commit_sha: CommitId
    include: tuple[MatrixEntry, ...]
    changed: tuple[PlannedChange, ...]
    unchanged: tuple[str | None, ...]
    uncommitted: int
    without_environment: tuple[str | None, ...]


def change_plan(checkout: Checkout, *, since: str | None, environment: str | None) -> ChangePlan:
    """Compare what is checked out with a ref, or with what runs in an environment; nothing is changed.

    Raises UsageError where neither is given; else as `project.revision.compare` does.
    """
    grammar = Grammar(checkout.settings.environments)
    if since is None and environment is None:
        example = "staging" if "staging" in grammar.environments else grammar.environments[0]
        raise UsageError(
            "Changed since when? Give a ref by --changed-since, or an environment by --env.",
            next_step=typed(f"deploy.plan --env {example}"),
        )
    if environment is not None:
        option = f" --changed-since {quote(since)}" if since is not None else ""
        known_environment(grammar, environment, line=lambda name: typed(f"deploy.plan --env {name}{option}"))
    store = TagStore(checkout.origin, grammar)
    return until_still(lambda: _plan(checkout, store, since, environment))


def matrix_line(plan: ChangePlan) -> str:
    """The matrix as one line of JSON. Raises RefusedError where GitHub would not take it."""
    if len(plan.include) > LARGEST_MATRIX:
        options = [f"--changed-since {quote(plan.since)}"] if plan.since is not None else []
        options += [f"--env {plan.environment}"] if plan.environment is not None else []
        raise RefusedError(
            f"{len(plan.include)} subprojects have changed, and a matrix of GitHub Actions has at most"
            f" {LARGEST_MATRIX} jobs.",
            unchanged="Nothing was changed.",
            details=["Deploy them from one job, or share out the list `include` of --json among several."],
            next_step=typed(f"deploy.plan {' '.join(options)} --json"),
        )
    return to_json(Matrix(include=plan.include)).decode()


def newest_releases(listing: Listing) -> dict[str, VersionTag]:
    """Subproject -> the release that `deploy` takes: the newest one that no state tag speaks against."""
    return newest_of_each(
        listing,
        lambda tag: tag.version.is_release and not any(state.is_bad for state in listing.states(tag)),
    )


def _plan(checkout: Checkout, store: TagStore, since: str | None, environment: str | None) -> ChangePlan:
    listing = store.listing()
    projects = read_projects(checkout, listing)
    releases = newest_releases(listing)
    if since is not None:
        comparison = compare(checkout, listing, since)
        head, bases = comparison.head, comparison.bases
        changes = sort_out(
            comparison.files, projects, environment=environment, environments=store.grammar.environments
        )
        names = projects.present
        if environment is not None:
            layers = layers_of(checkout, projects, environment)
            names = tuple(name for name in names if environment in layers.existing(name))
        found = {name: Standing(reasons=reasons(name, changes, projects)) for name in names}
    else:
        head, bases = head_of(checkout), ()
        places = read_places(checkout, store, listing, projects, str(environment))
        places = {name: place for name, place in places.items() if not place.is_absent}
        found = standings(checkout, store, listing, places, projects=projects, releases=releases, head=head)
    changed = [name for name, standing in found.items() if standing.reasons]
    in_order = ordered(changed, projects.depends_on)
    return ChangePlan(
        environment=environment,
        since=since,
        base_commits=bases,
        commit_sha=head,
        include=tuple(_entry(name, environment, releases.get(name)) for name in in_order),
        changed=tuple(_planned(name, found[name], releases.get(name)) for name in in_order),
        unchanged=tuple(name or None for name, standing in found.items() if not standing.reasons),
        uncommitted=len(checkout.repository.changed_paths(("",))),
        without_environment=tuple(name or None for name in projects.present if name not in found),
    )


def _entry(name: str, environment: str | None, release: VersionTag | None) -> MatrixEntry:
    version = str(release.version) if release else None
    return MatrixEntry(subproject=shown(name), environment=environment, version=version)


def _planned(name: str, standing: Standing, release: VersionTag | None) -> PlannedChange:
    line = typed(f"tag.create --bump auto --subproject {shown(name)}")
    return PlannedChange(
        subproject=name or None,
        version=str(release.version) if release else None,
        live_versions=standing.live_versions,
        reasons=standing.reasons,
        next_step=line if release is None or standing.is_unreleased else None,
    )
