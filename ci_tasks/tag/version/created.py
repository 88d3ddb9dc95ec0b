"""What `tag.create` answers, as an entity and as text for people."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ci_tasks.core.entity import Entity
from ci_tasks.tag.model import GitTag
from ci_tasks.tag.version.change import Change
from ci_tasks.tag.version.next_version import Bump

if TYPE_CHECKING:
    from collections.abc import Iterator

SHOWN = 20
"""Changes that are shown to people; the JSON has all of them."""


class CreatedTag(Entity, frozen=True, kw_only=True):
    """What `tag.create` prints as JSON.

    `tag` is null in a dry run and where there is nothing to release; `created` is false there, and where
    the same tag was there already. `version` and `tagName` say what is created, or would be. The rest is
    for `--bump`: the release it starts from (`previousVersion`), a newer one that is not in the commit's
    history (`newerVersion`), the version that the commit has already (`carries`), how many commits were
    looked at, and those that count (`changes`). `bump` is null for a first version and for `--version`.
    """

    tag: GitTag | None
    created: bool
    dry_run: bool
    version: str | None
    tag_name: str | None
    subproject: str | None
    commit_sha: str
    bump: Bump | None
    previous_version: str | None
    newer_version: str | None
    carries: str | None
    commits: int
    changes: tuple[Change, ...]


def created_text(answer: CreatedTag, *, is_bump: bool) -> str:
    """The answer for people: what was done, and for a bump why it is this version."""
    return "\n".join([_headline(answer), *(_reasons(answer) if is_bump else ())])


def _headline(answer: CreatedTag) -> str:
    commit = answer.commit_sha[:12]
    if answer.tag_name is None:
        has = f": {commit} is {answer.carries} already" if answer.carries else ""
        return f"Nothing to release{has}."
    if answer.created:
        return f"Created {answer.tag_name} on commit {commit}."
    if answer.tag is None:
        return f"Would create {answer.tag_name} on commit {commit}. Nothing was changed."
    return f"Nothing to do: there is already {answer.tag_name} on commit {commit}."


def _reasons(answer: CreatedTag) -> Iterator[str]:
    """Which version a bump started from, and the commits that made it this one."""
    name = answer.subproject or "the root project"
    last = answer.previous_version
    if answer.tag_name is None and answer.carries is None:
        since = f"since {last}" if last else "so far"
        yield f"{_commits(answer.commits)} to {name} {since}, none of a type that releases anything."
    elif answer.tag_name is not None and last is None:
        yield f"There is no release of {name} in the commit's history: this is the first."
    elif answer.bump is not None:
        yield f"A {answer.bump.value} step from {last}, the newest release in the commit's history."
    if answer.newer_version:
        yield f"{answer.newer_version} is newer, but not in the commit's history."
    if answer.changes:
        yield f"{_commits(answer.commits)} since then; these count ({_counts(answer.changes)}):"
        yield from (f"  {_line(change)}" for change in answer.changes[:SHOWN])
    if len(answer.changes) > SHOWN:
        yield f"  and {len(answer.changes) - SHOWN} more"


def _commits(number: int) -> str:
    return f"{number or 'No'} commit{'' if number == 1 else 's'}"


def _counts(changes: tuple[Change, ...]) -> str:
    kinds = Counter("breaking" if change.breaking else str(change.type) for change in changes)
    return ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())


def _line(change: Change) -> str:
    scope = f"({change.scope})" if change.scope else ""
    mark = "!" if change.breaking else ""
    return f"{change.commit_sha[:7]} {change.type}{scope}{mark}: {change.description}"
