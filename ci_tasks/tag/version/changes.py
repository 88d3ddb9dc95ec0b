"""The commits that belong to a release: those since the last one that touch the subproject's paths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci_tasks.core.git.history import Paths

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ci_tasks.core.git.history import History
    from ci_tasks.core.git.origin import RemoteRef
    from ci_tasks.tag.grammar import VersionTag
    from ci_tasks.tag.listing import Listing
    from ci_tasks.tag.version.change import Change
    from ci_tasks.tag.version.cliff import Cliff


def paths_of(subproject: str, known: Iterable[str]) -> Paths:
    """What belongs to a subproject: its folder, without the folders of the subprojects inside it.

    To the root project belongs everything that is in no subproject. A commit that touches both counts for
    both.
    """
    inside = f"{subproject}/" if subproject else ""
    apart = tuple(sorted(name for name in known if name != subproject and name.startswith(inside)))
    return Paths(under=subproject, apart=apart)


def changes(history: History, paths: Paths, *, since: str | None, cliff: Cliff) -> list[Change]:
    """The changes behind `history` and not behind `since`, newest first.

    A merge is one only where its message is a Conventional Commit: else its commits say it all.
    """
    found = list(cliff.changes(history.messages(history.changing(paths, since=since))))
    merged = cliff.changes(history.messages(history.merging(paths, since=since)))
    return [*found, *(change for change in merged if change.type is not None)]


@dataclass(frozen=True, kw_only=True)
class Reached:
    """The versions in the history of a commit, and `all` of them; newest first in SemVer's order."""

    here: tuple[VersionTag, ...]
    all: tuple[VersionTag, ...]

    @property
    def release(self) -> VersionTag | None:
        """The newest release in the history."""
        return next((tag for tag in self.here if tag.version.is_release), None)

    @property
    def prepared(self) -> VersionTag | None:
        """The newest pre-release in the history."""
        return next((tag for tag in self.here if not tag.version.is_release), None)

    @property
    def newer(self) -> VersionTag | None:
        """The newest release of all, where it is not in the history (a maintenance branch)."""
        newest = next((tag for tag in self.all if tag.version.is_release), None)
        return newest if newest != self.release else None

    def before(self, tag: VersionTag) -> VersionTag | None:
        """The version before one: for a release the release, for a pre-release whatever comes before."""
        return next(
            (
                earlier
                for earlier in self.here
                if earlier.version.precedence < tag.version.precedence
                and (earlier.version.is_release or not tag.version.is_release)
            ),
            None,
        )


def reached(listing: Listing, subproject: str, ancestors: Collection[str]) -> Reached:
    """The subproject's versions as the remote has them; state and environment tags are none."""
    every = tuple(listing.versions(subproject))
    return Reached(here=tuple(tag for tag in every if commit_of(listing, tag) in ancestors), all=every)


def commit_of(listing: Listing, tag: VersionTag) -> str:
    """The commit that a listed version leads to; also that of a lightweight tag, which has a name as well."""
    ref = ref_in(listing, tag)
    return ref.peeled or ref.object_id


def ref_in(listing: Listing, tag: VersionTag) -> RemoteRef:
    """The ref of a listed version."""
    return listing.refs[str(tag)]
