"""The facts of a deployment: everything that its plan depends on, read from the remote and the checkout."""

from __future__ import annotations

import fnmatch
import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ci_tasks.core.command_line import typed
from ci_tasks.core.errors import RefusedError
from ci_tasks.core.git.origin import MovedError
from ci_tasks.core.git.rereading import until_still
from ci_tasks.deploy import configuration
from ci_tasks.deploy import pipeline as pipelines
from ci_tasks.deploy.ci import current_run, is_ci
from ci_tasks.deploy.model import Facts, Request, begun_line, line_of
from ci_tasks.deploy.rule import requirements, verification
from ci_tasks.deploy.rule.override import authority
from ci_tasks.deploy.status import known_environment
from ci_tasks.tag import authenticity, tag_object
from ci_tasks.tag import subproject as subprojects
from ci_tasks.tag.annotation import NewerLedgerError, UnreadableLedgerError
from ci_tasks.tag.clock import utc_now
from ci_tasks.tag.grammar import EnvironmentTag, Grammar, StateTag, VersionTag, parse_version
from ci_tasks.tag.local import stale_note
from ci_tasks.tag.names import DeploymentKind
from ci_tasks.tag.store import EnvironmentFact, TagStore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci_tasks.core.checkout import Checkout
    from ci_tasks.core.git.origin import RawObject, RemoteRef, TreeEntry
    from ci_tasks.deploy.claim import Turn
    from ci_tasks.tag.listing import Listing
    from ci_tasks.tag.store import VerifiedVersion

LONGEST_REASON = 200
"""Characters of a state tag's text that a refusal repeats."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The facts, and what the rest of the deployment works with; `turn` None: `--wait` was not typed."""

    facts: Facts
    store: TagStore
    files: tuple[TreeEntry, ...]
    turn: Turn | None = None


def gather(checkout: Checkout, request: Request, *, environ: Mapping[str, str]) -> Reading:
    """Read everything, and anew where a tag moves meanwhile. Nothing is changed, on the remote or here."""
    try:
        return until_still(lambda: _gathered(checkout, request, environ))
    except MovedError as error:
        error.next_step = line_of(request, request.subproject)
        raise


def _gathered(checkout: Checkout, request: Request, environ: Mapping[str, str]) -> Reading:
    is_assignment = request.kind is DeploymentKind.ASSIGN
    store = TagStore(checkout.origin, Grammar(checkout.settings.environments))
    tag, listing = place(checkout, store, request)
    pipeline = pipelines.read(checkout, tag, environ=environ, is_assignment=is_assignment)
    version_tag = _asked(listing, tag, request)
    environment_ref = listing.refs.get(str(tag))
    asked_about = requirements.refs(listing, tag, pipeline.rules)
    version, objects, state_reason = _version(store, listing, version_tag, environment_ref, asked_about)
    checkout.origin.ensure_commit(version.ref)
    files = () if is_assignment else checkout.origin.commit_files(version.commit)
    environment_fact, unreadable = _environment(store, tag, environment_ref, objects, adopt=request.adopt)
    override, objection = authority(checkout, request.override, environ=environ)
    facts = Facts(
        request=request,
        tag=tag,
        version=version,
        version_was_given=request.version is not None,
        tags=listing.refs,
        passed_over=() if request.version else _passed_over(listing, version_tag),
        states=listing.states(version_tag),
        state_reason=state_reason,
        environment=environment_fact,
        regions=pipeline.layers.regions(tag.environment, tag.subproject),
        rules=pipeline.rules,
        layers=(
            pipeline.layers
            if is_assignment
            else configuration.of_commit(checkout, tag.subproject, files, checkout.origin.blobs)
        ),
        scripts=pipeline.scripts,
        inputs=pipeline.inputs,
        changed_paths=pipeline.changed_paths,
        on_branch=_is_on_branch(checkout, version.commit, pipeline.rules.branches),
        in_ci=is_ci(environ),
        head=pipeline.head,
        run=current_run(environ),
        repository=checkout.origin.address,
        remote=None if checkout.origin.is_self else checkout.settings.remote,
        stale_note=stale_note(checkout, version_tag, version.ref),
        now=utc_now(),
        elsewhere=requirements.read(store, listing, tag, pipeline=pipeline, objects=objects),
        override=override,
        objection=objection,
        unreadable=unreadable,
        signature=verification.signature_of(checkout, version.ref, pipeline.allowed_signers),
        allowed_signers=pipeline.allowed_signers,
        is_unpushed=(
            pipeline.head is not None
            and not (is_ci(environ) or checkout.origin.is_self)
            and checkout.repository.is_unpushed(pipeline.head, checkout.settings.remote)
        ),
        is_unsigned=is_assignment and verification.is_unsigned(checkout, environment_ref),
    )
    return Reading(facts=facts, store=store, files=files)


def place(checkout: Checkout, store: TagStore, request: Request) -> tuple[EnvironmentTag, Listing]:
    """The environment tag that is meant, and the tags beside it."""
    grammar = store.grammar
    environment = known_environment(
        grammar,
        request.environment,
        line=lambda name: line_of(replace(request, environment=name), request.subproject),
    )
    if request.version:
        parse_version(request.version)  # nothing is read for the sake of a typing error
    asked = request.subproject
    listing = store.listing(grammar.subproject(asked) if asked else None)
    subproject = subprojects.choose(
        asked, checkout=checkout, grammar=grammar, listing=listing, line=begun_line(request, environment)
    )
    tag = EnvironmentTag(subproject=subproject, environment=environment)
    listing.refuse_clash(tag, checkout.origin.address)
    return tag, listing


def _asked(listing: Listing, tag: EnvironmentTag, request: Request) -> VersionTag:
    """The version that was asked for; else the newest one that may be deployed."""
    if not request.version:
        return _newest(listing, tag.subproject, tag.environment)
    return VersionTag(subproject=tag.subproject, version=parse_version(request.version))


def _version(
    store: TagStore,
    listing: Listing,
    tag: VersionTag,
    environment_ref: RemoteRef | None,
    others: Sequence[RemoteRef],
) -> tuple[VerifiedVersion, dict[str, RawObject], str | None]:
    """The version, verified, and why it is marked bad; all objects, `others` too, are read in one go."""
    ref = listing.refs.get(str(tag))
    if ref is None:
        raise no_such_version(listing, tag)
    bad = bad_state(listing, tag)
    state_ref = listing.refs[str(bad)] if bad else None
    wanted = (ref, environment_ref, state_ref, *others)
    objects = store.objects([each for each in wanted if each is not None])
    if ref.object_id not in objects:
        objects |= store.origin.objects([ref])  # it says what is wrong
    verified = store.verify(tag, ref, objects[ref.object_id], taken=listing.refs)
    reason = reason_of(bad, state_ref, objects.get(state_ref.object_id)) if bad and state_ref else None
    return verified, objects, reason


def bad_state(listing: Listing, tag: VersionTag) -> StateTag | None:
    """The state tag that speaks against a version most strongly."""
    states = listing.states(tag)
    if not (states and states[0].is_bad):
        return None
    return StateTag(subproject=tag.subproject, version=tag.version, state=states[0])


def reason_of(tag: StateTag, ref: RemoteRef, obj: RawObject | None) -> str | None:
    """What a state tag gives as its reason, as a part of a sentence; None where it gives none."""
    content = tag_object.read(obj.data) if obj and authenticity.fault(str(tag), ref, obj) is None else None
    said = " ".join(content.text.split()).rstrip(".") if content else ""
    return said[:LONGEST_REASON] if said not in {"", f"{tag.version_tag} is {tag.state.value}"} else None


def _passed_over(listing: Listing, taken: VersionTag) -> tuple[StateTag, ...]:
    """The states because of which releases that are newer than this one are not taken, the newest first."""
    newer = itertools.takewhile(lambda tag: tag != taken, listing.versions(taken.subproject))
    states = (bad_state(listing, tag) for tag in newer if tag.version.is_release)
    return tuple(state for state in states if state is not None)


def _environment(
    store: TagStore,
    tag: EnvironmentTag,
    ref: RemoteRef | None,
    objects: Mapping[str, RawObject],
    *,
    adopt: bool,
) -> tuple[EnvironmentFact, str | None]:
    """The environment tag; where it may be adopted, one that can't be read is a fact, with the reason."""
    if ref is None:
        return EnvironmentFact(tag=tag), None
    try:
        return store.environment_of(tag, ref, objects), None
    except NewerLedgerError:
        raise
    except UnreadableLedgerError as error:
        if not adopt:
            raise
        return EnvironmentFact(tag=tag, object_id=ref.object_id), error.what


def _newest(listing: Listing, subproject: str, environment: str) -> VersionTag:
    """The newest release that no state tag speaks against."""
    versions = listing.versions(subproject)
    for tag in versions:
        if tag.version.is_release and not any(state.is_bad for state in listing.states(tag)):
            return tag
    option = f" --subproject {subproject}" if subproject else ""
    name = subproject or "the root project"
    if versions:
        raise RefusedError(
            f"{name} has no release that may be deployed: every version is a pre-release or marked bad.",
            unchanged="Nothing was changed.",
            next_step=typed(f"deploy --env {environment}{option} --version {versions[0].version}"),
        )
    raise RefusedError(
        f"{name} has no version yet.",
        unchanged="Nothing was changed.",
        next_step=typed(f"tag.create --version v0.1.0{option}"),
    )


def no_such_version(listing: Listing, tag: VersionTag) -> RefusedError:
    """The error for a version that the remote does not have."""
    option = f" --subproject {tag.subproject}" if tag.subproject else ""
    newest = [str(other.version) for other in listing.versions(tag.subproject)[:5]]
    return RefusedError(
        f"There is no version {tag} on the remote.",
        unchanged="Nothing was changed.",
        next_step=typed(f"tag.list{option} --type version"),
        details=[
            *([f"The newest are: {', '.join(newest)}."] if newest else []),
            f"To make it of a commit: {typed(f'tag.create --version {tag.version}{option} --commit REV')}",
        ],
    )


def _is_on_branch(checkout: Checkout, commit: str, patterns: Sequence[str]) -> bool:
    """True where the rules ask for no branch, or the commit is on one of those that they name."""
    if not patterns:
        return True
    heads = [
        ref
        for ref in checkout.origin.refs("refs/heads/")
        if any(fnmatch.fnmatchcase(ref.name.removeprefix("refs/heads/"), pattern) for pattern in patterns)
    ]
    return bool(heads) and checkout.origin.is_ancestor(commit, heads)
