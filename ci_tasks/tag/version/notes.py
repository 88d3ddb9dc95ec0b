"""Release notes: the commits between two versions that touch a subproject, grouped by what they mean."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from ci_tasks.core import console
from ci_tasks.core.command_line import typed
from ci_tasks.core.entity import Entity
from ci_tasks.core.errors import RefusedError, UsageError
from ci_tasks.core.git.history import whole_history
from ci_tasks.tag import subproject as subprojects
from ci_tasks.tag.grammar import Grammar, VersionTag, parse_version
from ci_tasks.tag.store import TagStore
from ci_tasks.tag.version.change import Change
from ci_tasks.tag.version.changes import changes, commit_of, paths_of, reached, ref_in
from ci_tasks.tag.version.cliff import Cliff

if TYPE_CHECKING:
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.tag.listing import Listing


class Group(Enum):
    """The groups of release notes, in their order."""

    BREAKING = "BREAKING"
    FEATURES = "FEATURES"
    FIXES = "FIXES"
    PERFORMANCE = "PERFORMANCE"
    OTHER = "OTHER"
    UNTYPED = "UNTYPED"


class NotesGroup(Entity, frozen=True, kw_only=True):
    """Changes of one kind, newest first."""

    group: Group
    changes: tuple[Change, ...]


class ReleaseNotes(Entity, frozen=True, kw_only=True):
    """What changed in a version since another one; `previousVersion` is null for a first version.

    A breaking change stands in the group BREAKING alone; UNTYPED are commits that are not written as
    Conventional Commits. Groups without changes are left out.
    """

    tag_name: str
    version: str
    subproject: str | None
    commit_sha: str
    previous_version: str | None
    groups: tuple[NotesGroup, ...]


def notes(checkout: Checkout, *, version: str, subproject: str | None, since: str | None) -> ReleaseNotes:
    """The notes of a version since the one before it, or since another one.

    Raises UsageError for a bad value, RefusedError for a version that the remote does not have,
    UnavailableError where git-cliff or some history is missing.
    """
    wanted, begin = parse_version(version), parse_version(since) if since is not None else None
    if begin is not None and begin.precedence >= wanted.precedence:
        raise UsageError(f"{begin} does not come before {wanted}: --from is the older one.")
    grammar = Grammar(checkout.settings.environments)
    listing = TagStore(checkout.origin, grammar).listing()
    chosen = subprojects.choose(
        subproject, checkout=checkout, grammar=grammar, listing=listing, line=f"tag.notes --version {wanted}"
    )
    tag = _present(VersionTag(subproject=chosen, version=wanted), listing)
    start = _present(VersionTag(subproject=chosen, version=begin), listing) if begin else None
    cliff = Cliff.find()
    commit = commit_of(listing, tag)
    also = [ref_in(listing, start)] if start else []
    history = whole_history(checkout.repository, checkout.origin, commit, [ref_in(listing, tag)], also=also)
    found = reached(listing, chosen, history.ancestors())
    if start is None:
        start = found.before(tag)
    elif start not in found.here:
        console.warn(
            f"{start} is not in the history of {tag}: the notes hold what {tag} has and {start} has not."
        )
    paths = paths_of(chosen, subprojects.known(checkout, grammar, listing))
    read = changes(history, paths, since=commit_of(listing, start) if start else None, cliff=cliff)
    return ReleaseNotes(
        tag_name=str(tag),
        version=str(wanted),
        subproject=chosen or None,
        commit_sha=commit,
        previous_version=str(start.version) if start else None,
        groups=grouped(read),
    )


def grouped(read: list[Change]) -> tuple[NotesGroup, ...]:
    """The changes by group, each in one of them."""
    pairs = [(group_of(change), change) for change in read]
    groups = (
        NotesGroup(group=group, changes=tuple(change for of, change in pairs if of is group))
        for group in Group
    )
    return tuple(group for group in groups if group.changes)


def group_of(change: Change) -> Group:
    """Where a change stands in the notes."""
    if change.breaking:
        return Group.BREAKING
    if change.type is None:
        return Group.UNTYPED
    known = {"feat": Group.FEATURES, "fix": Group.FIXES, "security": Group.FIXES, "perf": Group.PERFORMANCE}
    return known.get(change.type, Group.OTHER)


def _present(tag: VersionTag, listing: Listing) -> VersionTag:
    if str(tag) in listing.refs:
        return tag
    option = f" --subproject {tag.subproject}" if tag.subproject else ""
    raise RefusedError(
        f"There is no version {tag} on the remote.",
        unchanged="Nothing was changed.",
        next_step=typed(f"tag.list --type version{option}"),
    )
