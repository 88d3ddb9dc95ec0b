"""Marking a version as stable, unstable or deprecated: an immutable tag on the version's commit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from shlex import quote
from typing import TYPE_CHECKING

from ci_tasks.core import console
from ci_tasks.core.command_line import typed
from ci_tasks.core.entity import Entity
from ci_tasks.core.errors import RefusedError, UnavailableError
from ci_tasks.tag import immutable
from ci_tasks.tag import subproject as subprojects
from ci_tasks.tag.grammar import Grammar, StateTag, VersionTag, parse_version, ref_of
from ci_tasks.tag.listing import Listing
from ci_tasks.tag.local import stale_note
from ci_tasks.tag.model import GitTag
from ci_tasks.tag.names import VersionState
from ci_tasks.tag.store import TagStore, VerifiedVersion, next_patch

if TYPE_CHECKING:
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.core.git.origin import RemoteRef
    from ci_tasks.tag.grammar import Version


class MarkedVersion(Entity, frozen=True, kw_only=True):
    """What `tag.state` prints as JSON; `created` is false where the same state tag was there already.

    `state` is the strongest of the version's states now: not always the one that was asked for.
    """

    tag: GitTag
    created: bool
    version_tag: str
    state: str


@dataclass(frozen=True, kw_only=True)
class NewState:
    """What is asked for; without a reason, the tag's text says what it means."""

    version: str
    state: VersionState
    subproject: str | None
    reason: str | None


def mark(checkout: Checkout, wanted: NewState) -> MarkedVersion:
    """Create a state tag on the remote, on exactly the version's commit; the same again changes nothing.

    Raises RefusedError for a pre-release, for a version that is missing or can't be trusted, for `stable`
    on a version that was marked bad, and where git can't keep the name; ConflictError where the state tag
    exists on another commit or as a lightweight tag.
    """
    version = parse_version(wanted.version)
    _refuse_pre_release(version, wanted)
    grammar = Grammar(checkout.settings.environments)
    store = TagStore(checkout.origin, grammar)
    listing = store.listing()
    subproject = subprojects.choose(
        wanted.subproject,
        checkout=checkout,
        grammar=grammar,
        listing=listing,
        line=f"tag.state --version {version} --state {wanted.state.value}",
    )
    tag = StateTag(subproject=subproject, version=version, state=wanted.state)
    grammar.parse(str(tag))
    verified = _version(checkout, store, listing, tag)
    ref = listing.refs.get(str(tag))
    if ref is not None:
        return _there_already(store, tag, ref, verified, listing)
    listing.refuse_clash(tag, checkout.origin.address)
    _refuse_repair(listing, tag)
    return _push(checkout, store, tag, verified, wanted)


def _refuse_pre_release(version: Version, wanted: NewState) -> None:
    if version.is_release:
        return
    raise RefusedError(
        f"{version} is a pre-release, and states are for releases.",
        unchanged="Nothing was changed.",
        details=[
            f"Its name says what it is worth, and {version}-{wanted.state.value} is no state tag's name."
        ],
        next_step=typed(
            f"tag.create --version {replace(version, pre=None)}"
            + (f" --subproject {quote(wanted.subproject)}" if wanted.subproject else "")
        ),
    )


def _version(checkout: Checkout, store: TagStore, listing: Listing, tag: StateTag) -> VerifiedVersion:
    """The version as the remote has it; RefusedError where there is none, or none that can be trusted."""
    version_tag = tag.version_tag
    ref = listing.refs.get(str(version_tag))
    if ref is None:
        newest = [str(other.version) for other in listing.versions(tag.subproject)[:5]]
        raise RefusedError(
            f"There is no version {version_tag} on the remote.",
            unchanged="Nothing was changed.",
            details=[f"The newest are: {', '.join(newest)}."] if newest else [],
            next_step=typed(
                "tag.list" + (f" --subproject {tag.subproject}" if tag.subproject else "") + " --type version"
            ),
        )
    obj = checkout.origin.objects([ref])[ref.object_id]
    verified = store.verify(version_tag, ref, obj, taken=listing.refs)
    note = stale_note(checkout, version_tag, ref)
    if note:
        console.warn(note)
    return verified


def _refuse_repair(listing: Listing, tag: StateTag) -> None:
    """A version that was marked bad stays bad, whatever is found out later."""
    states = listing.states(tag.version_tag)
    if tag.state.is_bad or not (states and states[0].is_bad):
        return
    bad = StateTag(subproject=tag.subproject, version=tag.version, state=states[0])
    raise RefusedError(
        f"{tag.version_tag} is {states[0].value}, and a version that was marked bad stays bad.",
        unchanged="Nothing was changed: cut a patch, and mark that one.",
        details=[f"Who marked it, and why: {typed(f'tag.show {bad}')}"],
        next_step=next_patch(tag.version_tag, listing.refs),
    )


def _push(
    checkout: Checkout, store: TagStore, tag: StateTag, verified: VerifiedVersion, wanted: NewState
) -> MarkedVersion:
    reason = (wanted.reason or "").strip()
    again = f"tag.state {_options(tag.version_tag)} --state {tag.state.value}"
    if reason.isprintable() and reason:
        again += f" --reason {quote(reason)}"
    written = immutable.write(
        checkout.origin,
        tag,
        commit=verified.commit,
        message=reason or f"{tag.version_tag} is {tag.state.value}.",
        by=checkout.repository.identity(),
        later=typed(again),
    )
    if isinstance(written, GitTag):
        return _marked(tag, written, _states_now(store, tag), created=True)
    return _there_already(store, tag, written, verified, _states_now(store, tag))


def _states_now(store: TagStore, tag: StateTag) -> Listing:
    """The version's state tags after the push: somebody may have marked it too, meanwhile."""
    siblings = [replace(tag, state=state) for state in VersionState]
    try:
        return Listing(store.origin.refs(*map(ref_of, siblings)), store.grammar)
    except UnavailableError as error:  # the tag is there: that is what was asked for
        console.warn(f"Could not read the other states of {tag.version_tag}: {error.what}")
        return Listing((), store.grammar)


def _there_already(
    store: TagStore, tag: StateTag, ref: RemoteRef, verified: VerifiedVersion, listing: Listing
) -> MarkedVersion:
    found = immutable.existing(
        tag,
        ref,
        store.objects([ref]).get(ref.object_id) if ref.peeled else None,
        commit=verified.commit,
        next_step=typed(f"tag.show {tag}"),
    )
    return _marked(tag, found, listing, created=False)


def _marked(tag: StateTag, found: GitTag, listing: Listing, *, created: bool) -> MarkedVersion:
    states = listing.states(tag.version_tag)
    strongest = states[0] if states else tag.state
    return MarkedVersion(tag=found, created=created, version_tag=str(tag.version_tag), state=strongest.value)


def _options(tag: VersionTag) -> str:
    return f"--version {tag.version}" + (f" --subproject {tag.subproject}" if tag.subproject else "")
