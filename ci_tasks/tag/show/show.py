"""Everything that is known of one tag of the remote: what `tag.show` answers with."""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING

import msgspec

from ci_tasks.core.errors import ConflictError, ExitCode, RefusedError, UsageError
from ci_tasks.core.git.rereading import until_still
from ci_tasks.tag import authenticity, chain, tag_object
from ci_tasks.tag.grammar import EnvironmentTag, Grammar, StateTag, VersionTag
from ci_tasks.tag.listing import TAGS
from ci_tasks.tag.local import stale_note
from ci_tasks.tag.nearest import missing_tag
from ci_tasks.tag.plain_git import git_show
from ci_tasks.tag.show.model import (
    ShownEnvironment,
    ShownKind,
    ShownSignature,
    ShownState,
    ShownTag,
    ShownVersion,
    StateMark,
)
from ci_tasks.tag.show.places import places
from ci_tasks.tag.store import TagStore

if TYPE_CHECKING:
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.core.git.origin import Origin, RawObject, RemoteRef
    from ci_tasks.tag.grammar import Tag
    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.listing import Listing
    from ci_tasks.tag.show.model import Place
    from ci_tasks.tag.store import EnvironmentFact
    from ci_tasks.tag.tag_object import TagObject

NEWEST = 5
"""Closed records of an environment tag that are shown."""


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """The remote as it was read: all names, and the objects that one tag's story needs."""

    checkout: Checkout
    store: TagStore
    listing: Listing
    objects: dict[str, RawObject]

    def content(self, ref: RemoteRef) -> TagObject | None:
        """What stands in the tag object that a ref points to; None where it is none that was read."""
        found = self.objects.get(ref.object_id) if ref.peeled else None
        return tag_object.read(found.data) if found else None

    def fault(self, tag: Tag, ref: RemoteRef) -> str | None:
        return authenticity.fault(str(tag), ref, self.objects.get(ref.object_id))


def show(checkout: Checkout, name: str) -> ShownTag:
    """What is known of the tag of that name, with or without `refs/tags/` before it.

    Raises RefusedError with the nearest names where the remote has no such tag, MovedError where tags moved
    during each of the readings.
    """
    store = TagStore(checkout.origin, Grammar(checkout.settings.environments))

    def read() -> ShownTag:
        listing = store.listing()
        found = next((each for each in (name.removeprefix(TAGS), name) if each in listing.refs), None)
        if found is None:
            raise missing_tag(checkout, listing, name.removeprefix(TAGS))
        return _shown(checkout, store, listing, found)

    return until_still(read)


def exit_code(shown: ShownTag) -> ExitCode:
    """How `tag.show` exits: REFUSED for a tag that can't be trusted, CONFLICT for an unreadable ledger."""
    if shown.problem is None:
        return ExitCode.OK
    return ExitCode.CONFLICT if shown.kind is ShownKind.ENVIRONMENT else ExitCode.REFUSED


def _shown(checkout: Checkout, store: TagStore, listing: Listing, name: str) -> ShownTag:
    ref = listing.refs[name]
    tag = store.grammar.read(name)
    needed = [ref] if ref.name.isascii() or _is_text(ref.name) else []
    needed += [other for other in _related(listing, tag) if other.peeled]
    reading = _Reading(checkout=checkout, store=store, listing=listing, objects=store.objects(needed))
    shown = _outside(reading, name, ref, tag)
    if tag is None:
        return msgspec.structs.replace(shown, foreign_because=store.grammar.reason(name))
    shown = msgspec.structs.replace(shown, local_note=stale_note(checkout, tag, ref))
    if isinstance(tag, VersionTag):
        return msgspec.structs.replace(
            shown, problem=reading.fault(tag, ref), version=_version(reading, tag, ref)
        )
    if isinstance(tag, StateTag):
        return _state(reading, shown, tag, ref)
    return _environment(reading, shown, tag, ref)


def _is_text(name: str) -> bool:
    """False for a name that is not UTF-8: it can be listed, but it is fetched by nobody."""
    return not any("\udc80" <= char <= "\udcff" for char in name)


def _related(listing: Listing, tag: Tag | None) -> list[RemoteRef]:
    """The tags that the story of a version is told by: its states, and where its subproject is deployed."""
    if not isinstance(tag, VersionTag):
        return []
    names = [str(state) for state in _state_tags(listing, tag)]
    names += [str(environment) for environment in _environment_tags(listing, tag)]
    return [listing.refs[name] for name in names]


def _state_tags(listing: Listing, tag: VersionTag) -> list[StateTag]:
    return [
        StateTag(subproject=tag.subproject, version=tag.version, state=state) for state in listing.states(tag)
    ]


def _environment_tags(listing: Listing, tag: VersionTag) -> list[EnvironmentTag]:
    return [other for other in listing.environments() if other.subproject == tag.subproject]


def _outside(reading: _Reading, name: str, ref: RemoteRef, tag: Tag | None) -> ShownTag:
    """What can be said of every tag, whatever its name means."""
    obj = reading.objects.get(ref.object_id)
    content = reading.content(ref)
    target = content.kind if content else None
    return ShownTag(
        tag_id=ref.object_id,
        tag_name=name,
        kind=ShownKind[tag.tag_type.name] if tag else ShownKind.FOREIGN,
        subproject=(tag.subproject or None) if tag else None,
        commit_sha=ref.peeled or ref.object_id,
        created_at=content.tagged_at if content else None,
        created_by=content.tagger_name if content else None,
        is_movable=isinstance(tag, EnvironmentTag) if tag else None,
        is_protected=True if tag else None,
        object_type="tag" if ref.peeled else obj.kind if obj else None,
        target_type=target if ref.peeled else obj.kind if obj else None,
        message=_text(content),
        signature=_signature(reading, ref, obj),
        problem=None,
        foreign_because=None,
        local_note=None,
        git_line=_git_line(reading.store.origin, ref, tag),
    )


def _text(content: TagObject | None) -> str | None:
    """A tag's message without its signature."""
    return (content.text or None) if content else None


def _signature(reading: _Reading, ref: RemoteRef, obj: RawObject | None) -> ShownSignature | None:
    """What the signature is worth, by today's allowed signers; None where there is nothing to sign."""
    if obj is None or not ref.peeled:
        return None
    if tag_object.SIGNED.encode() not in obj.data:
        return ShownSignature(status="UNSIGNED", signer=None, key=None)
    from ci_tasks.core.signing import AllowedSigners  # noqa: PLC0415 - most tags are not signed

    checkout = reading.checkout
    allowed = AllowedSigners.read(checkout.root, checkout.settings.allowed_signers)
    found = checkout.origin.signature(obj.object_id, allowed)
    return ShownSignature(status=found.status.name, signer=found.signer, key=found.key)


def _git_line(origin: Origin, ref: RemoteRef, tag: Tag | None) -> str | None:
    """The line of plain git that shows a tag of the remote."""
    if not _is_text(ref.name):
        return None
    if origin.is_self:
        return git_show(tag, quote(ref.name))
    fetch = f"git fetch --no-tags {quote(origin.address)} {quote(ref.name)}"
    return f"{fetch} && {git_show(tag, 'FETCH_HEAD')}"


def _version(reading: _Reading, tag: VersionTag, ref: RemoteRef) -> ShownVersion:
    marks = [_mark(reading, state, ref) for state in _state_tags(reading.listing, tag)]
    found: list[Place] = []
    unreadable = []
    for environment in _environment_tags(reading.listing, tag):
        fact = _fact(reading, environment)
        if isinstance(fact, str):
            unreadable.append(str(environment))
        else:
            found += places(environment, _ledger(fact))
    version = str(tag.version)
    return ShownVersion(
        state=marks[0].state if marks else None,
        states=marks,
        runs_in=[
            place
            for place in found
            if place.version == version or (place.is_uncertain and place.attempted == version)
        ],
        unreadable=unreadable,
    )


def _mark(reading: _Reading, tag: StateTag, version: RemoteRef) -> StateMark:
    ref = reading.listing.refs[str(tag)]
    content = reading.content(ref)
    return StateMark(
        tag_name=str(tag),
        state=tag.state.value,
        created_at=content.tagged_at if content else None,
        created_by=content.tagger_name if content else None,
        reason=_text(content),
        problem=reading.fault(tag, ref) or _elsewhere(ref, version),
    )


def _elsewhere(ref: RemoteRef, version: RemoteRef) -> str | None:
    """What is wrong with a state tag that does not stand on its version's commit."""
    here, there = ref.peeled or ref.object_id, version.peeled or version.object_id
    if here == there:
        return None
    return f"it is on {here[:12]}, but the version is on {there[:12]}"


def _state(reading: _Reading, shown: ShownTag, tag: StateTag, ref: RemoteRef) -> ShownTag:
    version = reading.listing.refs.get(str(tag.version_tag))
    commit = (version.peeled or version.object_id) if version else None
    problem = reading.fault(tag, ref)
    if problem is None:
        problem = (
            _elsewhere(ref, version)
            if version
            else f"it speaks of {tag.version_tag}, and the remote has no such version"
        )
    strongest = reading.listing.states(tag.version_tag)[0]
    return msgspec.structs.replace(
        shown,
        problem=problem,
        state=ShownState(
            version_tag=str(tag.version_tag),
            version_commit_sha=commit,
            is_on_version=None if commit is None else commit == shown.commit_sha,
            state=tag.state.value,
            strongest=strongest.value,
        ),
    )


def _environment(reading: _Reading, shown: ShownTag, tag: EnvironmentTag, ref: RemoteRef) -> ShownTag:
    fact = _fact(reading, tag, ref)
    if isinstance(fact, str):
        return msgspec.structs.replace(shown, problem=fact)
    ledger = _ledger(fact)
    return msgspec.structs.replace(
        shown,
        message=None,  # it is the ledger, and that is told below
        environment=ShownEnvironment(
            is_settled=ledger.header.settled,
            places=places(tag, ledger),
            drift=fact.drift,
            chain_faults=chain.faults(ledger),
            open=list(ledger.open),
            closed=list(ledger.closed[:NEWEST]),
            closed_count=len(ledger.closed),
        ),
    )


def _fact(reading: _Reading, tag: EnvironmentTag, ref: RemoteRef | None = None) -> EnvironmentFact | str:
    """The ledger of an environment tag, or why it can't be read; without `ref`, only what is live."""
    try:
        return reading.store.environment_of(
            tag, ref or reading.listing.refs[str(tag)], reading.objects, is_summary=ref is None
        )
    except (ConflictError, RefusedError, UsageError) as error:
        return error.what.removesuffix(".")


def _ledger(fact: EnvironmentFact) -> Ledger:
    assert fact.ledger is not None  # noqa: S101 - environment_of raises where there is none
    return fact.ledger
