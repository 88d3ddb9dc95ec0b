"""Tags on the remote: exact reads, verification, and the compare-and-swap of an environment tag."""

from __future__ import annotations

from dataclasses import dataclass, replace
from shlex import quote
from typing import TYPE_CHECKING

import msgspec

from ci_tasks.core.command_line import typed
from ci_tasks.core.errors import RefusedError, UnavailableError
from ci_tasks.core.git.push import PushOutcome, RefUpdate
from ci_tasks.core.git.rereading import until_still
from ci_tasks.tag import annotation, authenticity, ledger, retention, tag_object
from ci_tasks.tag.grammar import EnvironmentTag, Grammar, VersionTag, ref_of
from ci_tasks.tag.lines import options
from ci_tasks.tag.listing import TAGS, Listing
from ci_tasks.tag.names import DeploymentKind

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence
    from datetime import datetime

    from ci_tasks.core.git.origin import Origin, RawObject, RemoteRef
    from ci_tasks.core.git.repository import Identity
    from ci_tasks.tag.ledger import Ledger


@dataclass(frozen=True, kw_only=True)
class VerifiedVersion:
    """A version tag that is what it should be: annotated, named like its ref, on a commit."""

    tag: VersionTag
    ref: RemoteRef
    commit: str
    created_at: datetime | None
    created_by: str | None


@dataclass(frozen=True, kw_only=True)
class EnvironmentFact:
    """An environment tag as the remote has it: all None where there is no such tag."""

    tag: EnvironmentTag
    object_id: str | None = None
    target: str | None = None
    ledger: Ledger | None = None

    @property
    def drift(self) -> str | None:
        """What is wrong where somebody moved the tag by hand; None where it stands as its ledger says."""
        if self.ledger is None or self.target == self.ledger.header.target:
            return None
        return (
            f"{self.tag} stands on {str(self.target)[:12]}, but its ledger says"
            f" {self.ledger.header.target[:12]}: somebody moved it by hand"
        )

    def commit_for(self, state: Ledger) -> str:
        """The commit that the tag stands on with its next ledger.

        A tag moved by hand stays where it is, so that everybody sees it, until something new is settled.
        """
        if self.drift is None or self.ledger is None or self.target is None:
            return state.header.target
        return state.header.target if _settles_anew(self.ledger, state) else self.target


_WHICH = "What can't be read is replaced by tag.assign --adopt, with the version that runs there."


class TagStore:
    """The tags of one remote under one grammar."""

    def __init__(self, origin: Origin, grammar: Grammar) -> None:
        self.origin = origin
        self.grammar = grammar

    def listing(self, subproject: str | None = None) -> Listing:
        """All tags, or those of one subproject and what lies below it; one git process."""
        prefix = f"{TAGS}{subproject}/" if subproject else TAGS
        return Listing(self.origin.refs(prefix), self.grammar)

    def objects(self, refs: Sequence[RemoteRef]) -> dict[str, RawObject]:
        """The objects that the refs point to, by id; one that is too large for a tag is left out."""
        try:
            return self.origin.objects(refs)
        except RefusedError:  # the origin refuses all for the sake of one: look for it by halves
            if len(refs) == 1:
                return {}
            middle = len(refs) // 2
            return {**self.objects(refs[:middle]), **self.objects(refs[middle:])}

    def verify(
        self, tag: VersionTag, ref: RemoteRef, obj: RawObject, *, taken: Container[str] = ()
    ) -> VerifiedVersion:
        """Check a version tag's object; RefusedError with the reason where it can't be trusted.

        `taken` are names of tags: the version that the error proposes is none of them.
        """
        fault = authenticity.fault(str(tag), ref, obj)
        content = tag_object.read(obj.data)
        if fault is not None or content is None:
            raise RefusedError(
                f"{tag} can't be trusted: {fault}.",
                unchanged="Nothing was changed: a version tag is immutable, so cut the next one.",
                next_step=next_patch(tag, taken),
            )
        return VerifiedVersion(
            tag=tag,
            ref=ref,
            commit=content.target,
            created_at=content.tagged_at,
            created_by=content.tagger_name,
        )

    def environment(self, tag: EnvironmentTag) -> EnvironmentFact:
        """Read one environment tag; one that moves meanwhile is read again.

        Raises UnreadableLedgerError where its annotation is none, MovedError where it never stands still.
        """

        def read() -> EnvironmentFact:
            refs = self.origin.refs(ref_of(tag))
            return self.environment_of(tag, refs[0], self.objects(refs)) if refs else EnvironmentFact(tag=tag)

        return until_still(read)

    def environment_of(
        self,
        tag: EnvironmentTag,
        ref: RemoteRef,
        objects: Mapping[str, RawObject],
        *,
        is_summary: bool = False,
        listing: Listing | None = None,
    ) -> EnvironmentFact:
        """The fact of an environment tag whose object was already read; a summary is `annotation.read`'s.

        `listing`: that of the version tags, where it was read already; only an error asks for it.
        """
        try:
            content = _content_of(tag, ref, objects)
            found = annotation.read(content.message, name=str(tag), is_summary=is_summary)
        except annotation.UnreadableLedgerError as error:
            if not isinstance(error, annotation.NewerLedgerError):
                error.details = (*error.details, f"To look at it: {self._look_at(tag)}", _WHICH)
                error.next_step = self._adoption(tag, ref, listing)
            raise
        return EnvironmentFact(tag=tag, object_id=ref.object_id, target=content.target, ledger=found)

    def _adoption(self, tag: EnvironmentTag, ref: RemoteRef, listing: Listing | None) -> str:
        """The line that begins a new ledger: with the version that the tag stands on, else the newest one."""
        try:
            there = listing or self.listing(tag.subproject)
        except UnavailableError:
            return adopt_line(tag, None)
        versions = there.versions(tag.subproject)
        standing = [each for each in versions if there.refs[str(each)].peeled == ref.peeled]
        releases = [each for each in versions if each.version.is_release]
        best = (standing if ref.peeled else []) + releases + versions
        return adopt_line(tag, best[0] if best else None)

    def _look_at(self, tag: EnvironmentTag) -> str:
        """The line that shows what stands in a tag of the remote."""
        if self.origin.is_self:
            return f"git show {ref_of(tag)}"
        return f"git fetch --no-tags {quote(self.origin.address)} {ref_of(tag)} && git show FETCH_HEAD"

    def following(self, state: Ledger, *, old: str | None, now: datetime) -> Ledger:
        """The ledger as it is written after the tag object `old`: settled, old records dropped or shrunk."""
        state = retention.retain(ledger.settle_target(state), now=now)
        header = msgspec.structs.replace(state.header, replaces=old)
        return annotation.fit(msgspec.structs.replace(state, header=header))

    def build_environment(self, fact: EnvironmentFact, state: Ledger, *, by: Identity, now: datetime) -> str:
        """Write the tag object that follows on the one of `fact`; its id is the answer."""
        state = self.following(state, old=fact.object_id, now=now)
        text, _ = annotation.write(state)
        return self.origin.write_tag(
            tag_object.build(
                commit=fact.commit_for(state),
                name=str(fact.tag),
                tagger_name=by.name,
                tagger_email=by.email,
                at=now,
                message=text,
            )
        )

    def swap(
        self,
        tag: EnvironmentTag,
        new: str,
        *,
        old: str | None,
        pinned: Sequence[RemoteRef] = (),
        stop: Callable[[], bool] = lambda: False,
        abandon: Callable[[], bool] | None = None,
    ) -> PushOutcome:
        """Move an environment tag from exactly one object to another; `pinned` refs must not have moved.

        A pinned ref is pushed as it is: git compares it with what the remote announces at that moment.
        """
        updates = [RefUpdate(ref=ref_of(tag), new=new, old=old)]
        updates += [RefUpdate(ref=ref.name, new=ref.object_id, old=ref.object_id) for ref in pinned]
        return self.origin.push_until_known(updates, stop=stop, abandon=abandon)


def _content_of(
    tag: EnvironmentTag, ref: RemoteRef, objects: Mapping[str, RawObject]
) -> tag_object.TagObject:
    """The content of an environment tag's object; UnreadableLedgerError where it can't hold a ledger."""
    found = objects.get(ref.object_id) if ref.peeled else None
    content = tag_object.read(found.data) if found else None
    if content is not None and content.kind == "commit" and content.name == str(tag):
        return content
    if ref.peeled is None:
        reason = "it is a lightweight tag"
    elif found is None:
        reason = "its object is too large for a tag"
    elif content is None:
        reason = "its object can't be read"
    elif content.kind != "commit":
        reason = f"it points to a {content.kind}, not to a commit"
    else:
        reason = f"its object calls itself {content.name!r}"
    raise annotation.UnreadableLedgerError(
        f"{tag} has no ledger: {reason}.",
        unchanged="Nothing was changed: what can't be read is never written over.",
    )


def adopt_line(tag: EnvironmentTag, version: VersionTag | None) -> str:
    """The line that begins a new ledger in an unreadable one's place; without a version, one to find it."""
    if version is None:
        option = f" --subproject {tag.subproject}" if tag.subproject else ""
        return typed(f"tag.list{option} --type version")
    return typed(f'tag.assign {options(tag)} --version {version.version} --adopt --reason "why"')


def _settles_anew(before: Ledger, after: Ledger) -> bool:
    """True where the target moves, or is confirmed by a success or an assignment that is new.

    An assignment need not settle anything: it says what runs there, and so where the tag belongs.
    """
    if after.header.target != before.header.target:
        return True
    old = {record.deployment_id for record in before.closed}
    if any(
        record.kind is DeploymentKind.ASSIGN and record.deployment_id not in old for record in after.closed
    ):
        return True
    known = {key: live.deployment_id for key, live in before.header.live.items()}
    return after.header.settled and any(
        live.deployment_id != known.get(key) for key, live in after.header.live.items()
    )


def next_patch(tag: VersionTag, taken: Container[str] = ()) -> str:
    """The line that creates the first free version after one whose name is taken for good, as are `taken`."""
    following = tag
    while following == tag or str(following) in taken:
        grown = replace(following.version, pre=None, patch=following.version.patch + 1)
        following = replace(following, version=grown)
    option = f" --subproject {tag.subproject}" if tag.subproject else ""
    return typed(f"tag.create --version {following.version}{option}")
