"""Creating a version tag: immutable, pushed create-only."""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING

from ci_tasks.core import console
from ci_tasks.core.command_line import typed
from ci_tasks.core.errors import RefusedError, UsageError
from ci_tasks.core.git.push import NotApplied
from ci_tasks.core.signing import SigningFormat, is_signed
from ci_tasks.tag import immutable
from ci_tasks.tag import subproject as subprojects
from ci_tasks.tag.grammar import Grammar, Version, VersionTag, parse_version
from ci_tasks.tag.local import stale_note
from ci_tasks.tag.model import GitTag
from ci_tasks.tag.store import TagStore, next_patch
from ci_tasks.tag.version.bump import Plan, Wanted, plan_bump, read_facts
from ci_tasks.tag.version.cliff import Cliff
from ci_tasks.tag.version.created import CreatedTag
from ci_tasks.tag.version.next_version import Bump, checked_label

if TYPE_CHECKING:
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.core.git.origin import RemoteRef
    from ci_tasks.core.git.push import PushOutcome
    from ci_tasks.core.git.repository import Identity
    from ci_tasks.tag.listing import Listing

AUTO = "auto"
"""The bump that the commits decide."""


@dataclass(frozen=True, kw_only=True)
class NewVersion:
    """What is asked for, as typed: `version` or `bump`; `commit` is a revision of the checkout."""

    version: str | None = None
    bump: str | None = None
    pre: str | None = None
    subproject: str | None = None
    commit: str = "HEAD"
    message: str | None = None
    unpublished: bool = False
    sign: bool = False
    dry_run: bool = False


def create(checkout: Checkout, wanted: NewVersion) -> CreatedTag:
    """Create a version tag on the remote; the same commit again changes nothing.

    A bump that loses a race is planned once more. Raises UsageError for what does not go together,
    ConflictError where the version exists on another commit or as a lightweight tag, or a second race is
    lost; RefusedError where git can't keep the name, or the commit is on no branch of the remote.
    """
    return _Creation(checkout, wanted).run()


class _Creation:
    """One call: what does not change between two plans of it."""

    def __init__(self, checkout: Checkout, wanted: NewVersion) -> None:
        self._checkout = checkout
        self._origin = checkout.origin
        self._wanted = wanted
        self._version, self._bump = _asked(wanted)
        # Missing, it is missed before anything is read.
        self._cliff = Cliff.find() if self._bump and self._bump.bump is None else None
        self._grammar = Grammar(checkout.settings.environments)
        self._store = TagStore(checkout.origin, self._grammar)
        self._commit = checkout.repository.resolve_commit(wanted.commit)

    def run(self) -> CreatedTag:
        """Plan, refuse, push; a bump is planned anew once where somebody else was faster."""
        plans_left = 1 if self._bump else 0
        while True:
            listing = self._store.listing()
            plan = self._plan(listing)
            if plan.tag is None:
                return self._answer(plan, None)
            existing = listing.refs.get(str(plan.tag))
            if existing is not None:
                note = stale_note(self._checkout, plan.tag, existing)
                if note:
                    console.warn(note)
                return self._answer(plan, self._existing(plan.tag, existing, listing))
            self._refuse(listing, plan.tag)
            identity = self._checkout.repository.identity()
            if self._wanted.dry_run:
                return self._answer(plan, None)
            written = self._write(plan.tag, identity, listing)
            if isinstance(written, GitTag):
                return self._answer(plan, written, created=True)
            if not plans_left:
                return self._answer(plan, self._existing(plan.tag, written, listing))
            plans_left -= 1

    def _plan(self, listing: Listing) -> Plan:
        typed_so_far = f"--version {self._version}" if self._version else f"--bump {self._wanted.bump}"
        subproject = subprojects.choose(
            self._wanted.subproject,
            checkout=self._checkout,
            grammar=self._grammar,
            listing=listing,
            line=f"tag.create {typed_so_far}",
            is_new=True,
        )
        if self._bump is not None:
            facts = read_facts(
                self._checkout, listing, subproject=subproject, commit=self._commit, cliff=self._cliff
            )
            plan = plan_bump(self._bump, facts)
        else:
            tag = VersionTag(subproject=subproject, version=self._version) if self._version else None
            plan = Plan(tag=tag, commit=self._commit, subproject=subproject)
        if plan.tag is not None:
            self._grammar.parse(str(plan.tag))
        return plan

    def _refuse(self, listing: Listing, tag: VersionTag) -> None:
        listing.refuse_clash(tag, self._origin.address)
        if self._wanted.unpublished or self._origin.is_self:
            return
        heads = self._origin.refs("refs/heads/")
        if not (heads and self._origin.is_ancestor(self._commit, heads)):
            raise RefusedError(
                f"The commit {self._commit[:12]} is on no branch of the remote: pushing its tag would"
                " publish it.",
                unchanged="Nothing was changed.",
                next_step=self._publishing(tag),
                details=["Push its branch first, or say --unpublished if the tag alone is to publish it."],
            )

    def _publishing(self, tag: VersionTag) -> str:
        """The line that pushes the branch we stand on, or makes one for a commit that is on none."""
        repository, remote = self._checkout.repository, quote(self._checkout.settings.remote)
        branch = repository.branch()
        if branch is not None and repository.head() == self._commit:
            return f"git push --set-upstream {remote} {quote(branch)}"
        name = str(tag).replace("/", "-")
        return f"git push {remote} {self._commit}:refs/heads/release-{name}"

    def _write(self, tag: VersionTag, identity: Identity, listing: Listing) -> GitTag | RemoteRef:
        """Push the tag; the ref that is there instead, where somebody else was faster."""
        return immutable.write(
            self._origin,
            tag,
            commit=self._commit,
            message=(self._wanted.message or "").strip() or f"{tag.subproject} {tag.version}".strip(),
            by=identity,
            later=lambda outcome: (
                next_patch(tag, listing.refs) if _is_burned(outcome) else self._same_again(tag)
            ),
            sign=self._wanted.sign,
        )

    def _same_again(self, tag: VersionTag) -> str:
        """The line that asks for the same tag on the same commit."""
        words = [f"tag.create --version {tag.version}"]
        words += (
            [f"--subproject {tag.subproject or '.'}"] if tag.subproject or self._wanted.subproject else []
        )
        words.append(f"--commit {self._commit}")
        if self._wanted.unpublished:
            words.append("--unpublished")
        if self._wanted.sign:
            words.append("--sign")
        if self._wanted.message and self._wanted.message.isprintable():
            words.append(f"--message {quote(self._wanted.message)}")
        return typed(" ".join(words))

    def _existing(self, tag: VersionTag, ref: RemoteRef, listing: Listing) -> GitTag:
        """The tag that is there, if it is the one that was asked for."""
        obj = self._store.objects([ref]).get(ref.object_id) if ref.peeled == self._commit else None
        line = next_patch(tag, listing.refs)
        found = immutable.existing(tag, ref, obj, commit=self._commit, next_step=line)
        wants_signature = self._wanted.sign or self._checkout.settings.sign is not SigningFormat.NONE
        if wants_signature and obj is not None and not is_signed(obj.data):
            signing = f"{line} --sign" if self._wanted.sign else line
            console.note(f"{tag} is not signed, and stays so: it is immutable. For a signed one: {signing}")
        return found

    def _answer(self, plan: Plan, tag: GitTag | None, *, created: bool = False) -> CreatedTag:
        return CreatedTag(
            tag=tag,
            created=created,
            dry_run=self._wanted.dry_run,
            version=str(plan.tag.version) if plan.tag else None,
            tag_name=str(plan.tag) if plan.tag else None,
            subproject=plan.subproject or None,
            commit_sha=plan.commit,
            bump=plan.bump,
            previous_version=str(plan.previous.version) if plan.previous else None,
            newer_version=str(plan.newer.version) if plan.newer else None,
            carries=str(plan.carries) if plan.carries else None,
            commits=plan.commits,
            changes=plan.changes,
        )


def _is_burned(outcome: PushOutcome) -> bool:
    """True where the host keeps the name for a release that it once had."""
    return outcome.reason is NotApplied.DECLINED and "immutable release" in outcome.message


def _asked(wanted: NewVersion) -> tuple[Version | None, Wanted | None]:
    """The version or the bump that was asked for; UsageError unless it is exactly one of the two."""
    of = f" --subproject {quote(wanted.subproject)}" if wanted.subproject else ""
    if wanted.version is None and wanted.bump is None:
        raise UsageError(
            "Which version? Give it by --version, or say by --bump which number of the last one grows.",
            details=["With `--bump auto` the commits since the last release decide."],
            next_step=typed(f"tag.create --bump auto{of}"),
        )
    if wanted.version is not None and wanted.bump is not None:
        raise UsageError(
            "--version and --bump exclude each other: the one says the version, the other finds it.",
            next_step=typed(f"tag.create --bump {wanted.bump}{of}"),
        )
    if wanted.version is not None:
        version = parse_version(wanted.version)
        if wanted.pre is not None:
            raise UsageError(
                "--pre belongs to --bump: a version that is given says its pre-release itself.",
                next_step=typed(
                    f"tag.create --version v{version.major}.{version.minor}.{version.patch}-beta.1{of}"
                ),
            )
        return version, None
    label = checked_label(wanted.pre) if wanted.pre is not None else None
    return None, Wanted(bump=None if wanted.bump == AUTO else Bump(wanted.bump), label=label)
