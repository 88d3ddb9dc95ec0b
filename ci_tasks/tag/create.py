"""Creating a version tag: immutable, pushed create-only."""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING

from ci_tasks.core import console
from ci_tasks.core.command_line import typed
from ci_tasks.core.entity import Entity
from ci_tasks.core.errors import ConflictError, RefusedError
from ci_tasks.core.push import NotApplied, PushResult, RefUpdate
from ci_tasks.tag import subproject as subprojects
from ci_tasks.tag import tag_object
from ci_tasks.tag.clock import utc_now
from ci_tasks.tag.grammar import Grammar, VersionTag, parse_version, ref_of
from ci_tasks.tag.local import stale_note
from ci_tasks.tag.model import GitTag
from ci_tasks.tag.names import TagType
from ci_tasks.tag.push_error import push_error
from ci_tasks.tag.store import TagStore, next_patch

if TYPE_CHECKING:
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.core.origin import RemoteRef
    from ci_tasks.tag.listing import Listing


class CreatedTag(Entity, frozen=True, kw_only=True):
    """What `tag.create` prints as JSON; `created` is false where the same tag was there already."""

    tag: GitTag
    created: bool


@dataclass(frozen=True, kw_only=True)
class NewVersion:
    """What is asked for; `commit` is a revision of the checkout."""

    version: str
    subproject: str | None
    commit: str
    message: str | None
    unpublished: bool


def create(checkout: Checkout, wanted: NewVersion) -> CreatedTag:
    """Create a version tag on the remote; the same commit again changes nothing.

    Raises ConflictError where the version exists on another commit or as a lightweight tag, RefusedError
    where git can't keep the name, or the commit is on no branch of the remote.
    """
    grammar = Grammar(checkout.settings.environments)
    version = parse_version(wanted.version)
    store = TagStore(checkout.origin, grammar)
    commit = checkout.repository.resolve_commit(wanted.commit)
    listing = store.listing()
    subproject = subprojects.choose(
        wanted.subproject,
        checkout=checkout,
        grammar=grammar,
        listing=listing,
        line=f"tag.create --version {version}",
    )
    tag = VersionTag(subproject=subproject, version=version)
    grammar.parse(str(tag))
    existing = listing.refs.get(str(tag))
    if existing is not None:
        note = stale_note(checkout, tag, existing)
        if note:
            console.warn(note)
        return _existing(store, tag, existing, commit)
    _refuse(checkout, listing, tag, commit, wanted)
    return _push(checkout, store, tag, commit, wanted)


def _refuse(checkout: Checkout, listing: Listing, tag: VersionTag, commit: str, wanted: NewVersion) -> None:
    listing.refuse_clash(tag, checkout.origin.address)
    if wanted.unpublished or checkout.origin.is_self:
        return
    heads = checkout.origin.refs("refs/heads/")
    if not (heads and checkout.origin.is_ancestor(commit, heads)):
        raise RefusedError(
            f"The commit {commit[:12]} is on no branch of the remote: pushing its tag would publish it.",
            unchanged="Nothing was changed.",
            next_step="git push",
            details=["Push its branch first, or say --unpublished if the tag alone is to publish it."],
        )


def _push(
    checkout: Checkout, store: TagStore, tag: VersionTag, commit: str, wanted: NewVersion
) -> CreatedTag:
    identity = checkout.repository.identity()
    now = utc_now()
    message = (wanted.message or "").strip() or f"{tag.subproject} {tag.version}".strip()
    object_id = checkout.origin.write_tag(
        tag_object.build(
            commit=commit,
            name=str(tag),
            tagger_name=identity.name,
            tagger_email=identity.email,
            at=now,
            message=message,
        )
    )
    outcome = checkout.origin.push_until_known([RefUpdate(ref=ref_of(tag), new=object_id, old=None)])
    if outcome.result is PushResult.APPLIED:
        return CreatedTag(
            tag=GitTag(
                tag_id=object_id,
                tag_name=str(tag),
                tag_type=TagType.VERSION,
                subproject=tag.subproject or None,
                commit_sha=commit,
                created_at=now,
                created_by=identity.name,
                is_movable=False,
                is_protected=True,
            ),
            created=True,
        )
    if outcome.reason is NotApplied.RACE:
        refs = checkout.origin.refs(ref_of(tag))
        if refs:
            return _existing(store, tag, refs[0], commit)
    is_burned = outcome.reason is NotApplied.DECLINED and "immutable release" in outcome.message
    raise push_error(
        outcome,
        what=f"create {tag}",
        unchanged="The tag was not created.",
        later=next_patch(tag) if is_burned else _same_again(tag, commit, wanted),
    )


def _same_again(tag: VersionTag, commit: str, wanted: NewVersion) -> str:
    """The line that asks for the same tag on the same commit."""
    words = [f"tag.create --version {tag.version}"]
    words += [f"--subproject {tag.subproject}"] if tag.subproject else []
    words.append(f"--commit {commit}")
    if wanted.unpublished:
        words.append("--unpublished")
    if wanted.message and wanted.message.isprintable():
        words.append(f"--message {quote(wanted.message)}")
    return typed(" ".join(words))


def _existing(store: TagStore, tag: VersionTag, ref: RemoteRef, commit: str) -> CreatedTag:
    """The tag that is there, if it is the one that was asked for."""
    if ref.peeled is None or ref.peeled != commit:
        where = f"on {ref.peeled[:12]}, not on {commit[:12]}" if ref.peeled else "as a lightweight tag"
        raise ConflictError(
            f"{tag} exists already, {where}.",
            unchanged="Nothing was changed: a version is immutable.",
            next_step=next_patch(tag),
        )
    verified = store.verify(tag, ref, store.origin.objects([ref])[ref.object_id])
    return CreatedTag(
        tag=GitTag(
            tag_id=ref.object_id,
            tag_name=str(tag),
            tag_type=TagType.VERSION,
            subproject=tag.subproject or None,
            commit_sha=verified.commit,
            created_at=verified.created_at,
            created_by=verified.created_by,
            is_movable=False,
            is_protected=True,
        ),
        created=False,
    )
