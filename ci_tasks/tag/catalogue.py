"""The tags of the remote as GitTag entities: what `tag.list` shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_tasks.core.entity import Entity
from ci_tasks.core.git.rereading import until_still
from ci_tasks.tag import tag_object
from ci_tasks.tag.grammar import EnvironmentTag
from ci_tasks.tag.model import GitTag
from ci_tasks.tag.names import TagType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci_tasks.core.git.origin import RawObject, RemoteRef
    from ci_tasks.tag.grammar import Tag
    from ci_tasks.tag.listing import Listing
    from ci_tasks.tag.store import TagStore


class TagList(Entity, frozen=True, kw_only=True):
    """What `tag.list --json` prints; `foreign` are names that are none of ours."""

    tags: list[GitTag]
    foreign: list[str]


def current(store: TagStore, *, subproject: str | None, tag_type: TagType | None) -> TagList:
    """What `catalogue` says of the remote as it is now; a tag that moves meanwhile is read again.

    Raises MovedError where tags moved during each of the readings.
    """
    return until_still(
        lambda: catalogue(store, store.listing(subproject), subproject=subproject, tag_type=tag_type)
    )


def catalogue(
    store: TagStore, listing: Listing, *, subproject: str | None, tag_type: TagType | None
) -> TagList:
    """Every tag of ours, by subproject: environments in the settings' order, then versions, newest first.

    `subproject` None means all, empty the root project. A fixed number of git processes.
    """
    ours = listing.tags()
    wanted = [
        (tag, ref)
        for tag, ref in ours
        if subproject in {None, tag.subproject} and tag_type in {None, tag.tag_type}
    ]
    objects = store.objects([ref for _, ref in wanted if ref.peeled])
    tags = [_git_tag(tag, ref, objects.get(ref.object_id)) for tag, ref in _sorted(store, wanted)]
    foreign = listing.refs.keys() - {str(tag) for tag, _ in ours}
    return TagList(tags=tags, foreign=sorted(foreign))


def _sorted(store: TagStore, wanted: Sequence[tuple[Tag, RemoteRef]]) -> list[tuple[Tag, RemoteRef]]:
    environments = store.grammar.environments
    # Each version is compared once, however many subprojects have it: it takes longer than all the rest.
    versions = {tag.version for tag, _ in wanted if not isinstance(tag, EnvironmentTag)}
    newest_first = sorted(versions, key=lambda version: version.precedence, reverse=True)
    place = {version: number for number, version in enumerate(newest_first)}

    def key(pair: tuple[Tag, RemoteRef]) -> tuple[str, int, int, bool]:
        tag = pair[0]
        if isinstance(tag, EnvironmentTag):
            return tag.subproject, 0, environments.index(tag.environment), False
        return tag.subproject, 1, place[tag.version], tag.tag_type is TagType.STATE

    return sorted(wanted, key=key)


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
