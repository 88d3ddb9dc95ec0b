"""The tags of the remote as GitTag entities: what `tag.list` shows."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ci_tasks.core.entity import Entity
from ci_tasks.core.origin import MovedError
from ci_tasks.tag import tag_object
from ci_tasks.tag.grammar import EnvironmentTag
from ci_tasks.tag.model import GitTag
from ci_tasks.tag.names import TagType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci_tasks.core.origin import RawObject, RemoteRef
    from ci_tasks.tag.grammar import Tag
    from ci_tasks.tag.listing import Listing
    from ci_tasks.tag.store import TagStore

READINGS = 5
"""How often everything is read again because a tag moved between its listing and its reading."""


class TagList(Entity, frozen=True, kw_only=True):
    """What `tag.list --json` prints; `foreign` are names that are none of ours."""

    tags: list[GitTag]
    foreign: list[str]


def current(store: TagStore, *, subproject: str | None, tag_type: TagType | None) -> TagList:
    """What `catalogue` says of the remote as it is now; a tag that moves meanwhile is read again.

    Raises MovedError where tags moved during each of the readings.
    """
    for _ in range(READINGS - 1):
        with contextlib.suppress(MovedError):
            return catalogue(store, store.listing(subproject), subproject=subproject, tag_type=tag_type)
    return catalogue(store, store.listing(subproject), subproject=subproject, tag_type=tag_type)


def catalogue(
    store: TagStore, listing: Listing, *, subproject: str | None, tag_type: TagType | None
) -> TagList:
    """Every tag of ours, by subproject: environments in the settings' order, then versions, newest first.

    `subproject` None means all, empty the root project. A fixed number of git processes.
    """
    wanted = [
        (tag, ref)
        for tag, ref in listing.tags()
        if subproject in (None, tag.subproject) and tag_type in (None, tag.tag_type)
    ]
    objects = store.objects([ref for _, ref in wanted if ref.peeled])
    tags = [_git_tag(tag, ref, objects.get(ref.object_id)) for tag, ref in _sorted(store, wanted)]
    return TagList(tags=tags, foreign=sorted(listing.foreign()))


def _sorted(store: TagStore, wanted: Sequence[tuple[Tag, RemoteRef]]) -> list[tuple[Tag, RemoteRef]]:
    environments = store.grammar.environments
    newest_first = sorted(
        wanted,
        key=lambda pair: (
            (0, environments.index(pair[0].environment))
            if isinstance(pair[0], EnvironmentTag)
            else (1, _Descending(pair[0].version.precedence), pair[0].tag_type is TagType.STATE)
        ),
    )
    return sorted(newest_first, key=lambda pair: pair[0].subproject)


class _Descending:
    """Turns an order round for a sort key."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __lt__(self, other: _Descending) -> bool:
        return bool(other.value < self.value)  # type: ignore[operator]  # both are semver versions

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Descending) and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value)


def _git_tag(tag: Tag, ref: RemoteRef, obj: RawObject | None) -> GitTag:
    """The entity; without an object of its own (None: lightweight, or too large) nobody created it."""
    content = tag_object.read(obj.data) if obj else None
    return GitTag(
        tag_id=ref.object_id,
        tag_name=str(tag),
        tag_type=tag.tag_type,
        subproject=tag.subproject or None,
        commit_sha=ref.peeled or ref.object_id,
        created_at=content.tagged_at if content else None,
        created_by=content.tagger_name if content else None,
        is_movable=tag.tag_type is TagType.ENVIRONMENT,
        is_protected=True,
    )
