"""What `--bump` comes to: facts from the remote and the history, and a plan made of nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ci_tasks.core.command_line import typed
from ci_tasks.core.errors import ConflictError
from ci_tasks.core.git.history import whole_history
from ci_tasks.tag import subproject as subprojects
from ci_tasks.tag.grammar import VersionTag
from ci_tasks.tag.version.changes import Reached, changes, commit_of, paths_of, reached
from ci_tasks.tag.version.next_version import (
    Bump,
    before_one,
    heaviest,
    newest_of_label,
    next_of_label,
    next_release,
)

if TYPE_CHECKING:
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.tag.listing import Listing
    from ci_tasks.tag.version.change import Change
    from ci_tasks.tag.version.cliff import Cliff


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The bump that was typed: None for `auto`; `label` of a pre-release, None for a release."""

    bump: Bump | None
    label: str | None


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a plan is made of; `changes` since the last release are read for `auto` alone.

    `commits` counts those that were looked at: for a first version all that touch the subproject.
    """

    listing: Listing
    subproject: str
    commit: str
    reached: Reached
    changes: tuple[Change, ...] = ()
    commits: int = 0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be created on `commit`; `tag` is None where there is nothing to release.

    `previous` is the release it starts from, `newer` one that is newer and not in the commit's history,
    `carries` the version that the commit has already, `changes` those of `commits` that count.
    """

    tag: VersionTag | None
    commit: str
    subproject: str
    bump: Bump | None = None
    previous: VersionTag | None = None
    newer: VersionTag | None = None
    carries: VersionTag | None = None
    changes: tuple[Change, ...] = ()
    commits: int = 0


def read_facts(
    checkout: Checkout, listing: Listing, *, subproject: str, commit: str, cliff: Cliff | None
) -> Facts:
    """Read the history of the commit; `cliff` reads the changes, None where the bump is given.

    Raises UnavailableError where the history is cut and can't be fetched.
    """
    refs = checkout.origin.refs("refs/heads/") if checkout.repository.is_shallow else ()
    history = whole_history(checkout.repository, checkout.origin, commit, refs)
    found = reached(listing, subproject, history.ancestors())
    last = found.release
    since = commit_of(listing, last) if last else None
    facts = Facts(listing=listing, subproject=subproject, commit=commit, reached=found)
    if cliff is None or since == commit:
        return facts
    paths = paths_of(subproject, subprojects.known(checkout, listing.grammar, listing))
    if since is None:  # a first version has all of them, whatever they say
        return replace(facts, commits=len(history.changing(paths, since=None)))
    since_then = tuple(changes(history, paths, since=since, cliff=cliff))
    return replace(facts, changes=since_then, commits=len(since_then))


def plan_bump(wanted: Wanted, facts: Facts) -> Plan:
    """The plan; pure. Raises ConflictError where the next version is taken by another commit."""
    last, begun = facts.reached.release, facts.reached.prepared
    if last is not None and commit_of(facts.listing, last) == facts.commit:
        return _plan(facts, tag=None, carries=last)
    counted = tuple(change for change in facts.changes if change.releases is not None)
    bump = wanted.bump or heaviest(change.releases for change in counted)
    if wanted.bump is None and (bump is None if last else not facts.commits):
        return _plan(facts, tag=None)
    if last is None:
        bump = None
    elif wanted.bump is None and bump is not None:
        bump = before_one(bump, last.version)
    version = next_release(
        last.version if last else None, bump or Bump.MINOR, begun=begun.version if begun else None
    )
    tag = VersionTag(subproject=facts.subproject, version=version)
    if str(tag) in facts.listing.refs:
        raise _taken(tag, facts)
    if wanted.label is not None:
        versions = [each.version for each in facts.reached.all]
        newest = newest_of_label(version, wanted.label, versions)
        carried = VersionTag(subproject=facts.subproject, version=newest) if newest else None
        if carried is not None and commit_of(facts.listing, carried) == facts.commit:
            return _plan(facts, tag=None, carries=carried)
        version = next_of_label(version, wanted.label, versions)
        tag = VersionTag(subproject=facts.subproject, version=version)
    return _plan(facts, tag=tag, bump=bump, changes=counted)


def _plan(
    facts: Facts,
    *,
    tag: VersionTag | None,
    bump: Bump | None = None,
    carries: VersionTag | None = None,
    changes: tuple[Change, ...] = (),
) -> Plan:
    return Plan(
        tag=tag,
        commit=facts.commit,
        subproject=facts.subproject,
        bump=bump,
        previous=facts.reached.release,
        newer=facts.reached.newer,
        carries=carries,
        changes=changes,
        commits=facts.commits,
    )


def _taken(tag: VersionTag, facts: Facts) -> ConflictError:
    last, newer = facts.reached.release, facts.reached.newer
    start = f"{last} is the newest release in its history" if last else "There is no release in its history"
    option = f" --subproject {tag.subproject}" if tag.subproject else ""
    return ConflictError(
        f"The next version of {facts.commit[:12]} would be {tag}, and that exists already, on"
        f" {commit_of(facts.listing, tag)[:12]}.",
        unchanged="Nothing was changed: a version is immutable.",
        details=[
            f"{start}{f'; {newer} is newer, but not in it' if newer else ''}.",
            "Release a commit that has it in its history, or give the version by --version.",
        ],
        next_step=typed(f"tag.list --type version{option}"),
    )
