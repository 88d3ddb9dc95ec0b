"""Immutable tags, those of versions and of states: pushed create-only, and never moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_tasks.core.errors import ConflictError, RefusedError
from ci_tasks.core.git.push import NotApplied, PushOutcome, PushResult, RefUpdate
from ci_tasks.tag import authenticity, tag_object
from ci_tasks.tag.clock import utc_now
from ci_tasks.tag.grammar import ref_of
from ci_tasks.tag.model import GitTag
from ci_tasks.tag.names import TagType
from ci_tasks.tag.push_error import push_error, telling_of_the_push

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ci_tasks.core.git.origin import Origin, RawObject, RemoteRef
    from ci_tasks.core.git.repository import Identity
    from ci_tasks.tag.grammar import StateTag, Tag, VersionTag


def write(
    origin: Origin,
    tag: VersionTag | StateTag,
    *,
    commit: str,
    message: str,
    by: Identity,
    later: str | Callable[[PushOutcome], str],
    sign: bool = False,
) -> GitTag | RemoteRef:
    """Push a new annotated tag; the ref that is there instead, where somebody else was faster.

    `later` is the line that asks for the same again, or what finds it for an outcome; `sign` signs the tag
    also where the settings do not ask for it. Raises as `push_error` says.
    """
    now = utc_now()
    content = tag_object.build(
        commit=commit, name=str(tag), tagger_name=by.name, tagger_email=by.email, at=now, message=message
    )
    object_id = origin.write_tag(content, sign=sign)

    def line(outcome: PushOutcome) -> str:
        return later if isinstance(later, str) else later(outcome)

    with telling_of_the_push(line(PushOutcome(result=PushResult.UNKNOWN))):
        outcome = origin.push_until_known([RefUpdate(ref=ref_of(tag), new=object_id, old=None)])
    if outcome.result is PushResult.APPLIED:
        return git_tag(tag, object_id=object_id, commit=commit, at=now, by=by.name)
    if outcome.reason is NotApplied.RACE:
        refs = origin.refs(ref_of(tag))
        if refs:
            return refs[0]
    raise push_error(
        outcome,
        what=f"create {tag}",
        unchanged="The tag was not created.",
        later=line(outcome),
        is_environment=False,
    )


def existing(
    tag: VersionTag | StateTag, ref: RemoteRef, obj: RawObject | None, *, commit: str, next_step: str
) -> GitTag:
    """The tag that is there already, if it is the one that was asked for.

    `obj` may be None for a lightweight tag. Raises ConflictError, with that next step, for one that is not,
    RefusedError for one that can't be trusted.
    """
    if ref.peeled is None:
        raise _conflict(tag, f"{tag} exists already, as a lightweight tag.", next_step)
    if ref.peeled != commit:
        raise _conflict(tag, f"{tag} exists already, on {ref.peeled[:12]}, not on {commit[:12]}.", next_step)
    fault = authenticity.fault(str(tag), ref, obj)
    content = tag_object.read(obj.data) if obj else None
    if fault is not None or content is None:
        raise RefusedError(
            f"{tag} exists already, but it can't be trusted: {fault}.",
            unchanged=_untouched(tag),
            next_step=next_step,
        )
    return git_tag(tag, object_id=ref.object_id, commit=commit, at=content.tagged_at, by=content.tagger_name)


def git_tag(tag: Tag, *, object_id: str, commit: str, at: datetime | None, by: str | None) -> GitTag:
    """The entity of a tag of ours."""
    return GitTag(
        tag_id=object_id,
        tag_name=str(tag),
        tag_type=tag.tag_type,
        subproject=tag.subproject or None,
        commit_sha=commit,
        created_at=at,
        created_by=by,
        is_movable=tag.tag_type is TagType.ENVIRONMENT,
        is_protected=True,
    )


def _conflict(tag: VersionTag | StateTag, what: str, next_step: str) -> ConflictError:
    return ConflictError(what, unchanged=_untouched(tag), next_step=next_step)


def _untouched(tag: VersionTag | StateTag) -> str:
    return f"Nothing was changed: a {tag.tag_type.value.lower()} tag is immutable."
