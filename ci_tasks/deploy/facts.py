"""The facts of a deployment: everything that its plan depends on, read from the remote and the checkout."""

from __future__ import annotations

import fnmatch
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from ci_tasks.core.command_line import typed
from ci_tasks.core.errors import RefusedError, UsageError, nearest
from ci_tasks.core.files import read_file
from ci_tasks.core.signing import signer_files
from ci_tasks.core.subprojects import subprojects as all_subprojects
from ci_tasks.deploy import configuration, verification
from ci_tasks.deploy.ci import current_run, is_ci
from ci_tasks.deploy.model import Facts, Request, ScriptFact
from ci_tasks.deploy.override import authority
from ci_tasks.script.discovery import discover, known_ids
from ci_tasks.script.mode import decide, script_variable, unheard
from ci_tasks.script.names import PIPELINES, Category
from ci_tasks.tag import subproject as subprojects
from ci_tasks.tag.annotation import NewerLedgerError, UnreadableLedgerError
from ci_tasks.tag.grammar import EnvironmentTag, Grammar, VersionTag, parse_version
from ci_tasks.tag.local import stale_note
from ci_tasks.tag.names import DeploymentKind
from ci_tasks.tag.store import EnvironmentFact, TagStore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci_tasks.core.checkout import Checkout
    from ci_tasks.core.origin import RawObject, RemoteRef, TreeEntry
    from ci_tasks.script.model import CIScript
    from ci_tasks.tag.listing import Listing


PIPELINE = "release"
"""The pipeline that a deployment belongs to: CI_TEST_RELEASE_<SCRIPT>_BEHAVIOR."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The facts, and what the rest of the deployment works with."""

    facts: Facts
    store: TagStore
    files: tuple[TreeEntry, ...]


def gather(checkout: Checkout, request: Request, *, environ: Mapping[str, str]) -> Reading:
    """Read everything once. Nothing is changed, on the remote or here.

    An assignment runs no script and uses no value: of the checkout it reads the rules alone.
    """
    is_assignment = request.kind is DeploymentKind.ASSIGN
    grammar = Grammar(checkout.settings.environments)
    environment = grammar.environment(request.environment)
    wanted = parse_version(request.version) if request.version else None
    asked = request.subproject
    store = TagStore(checkout.origin, grammar)
    listing = store.listing(grammar.subproject(asked) if asked else None)
    subproject = subprojects.choose(
        asked,
        checkout=checkout,
        grammar=grammar,
        listing=listing,
        line=f"{'tag.assign' if is_assignment else 'deploy'} --env {environment}",
    )
    tag = EnvironmentTag(subproject=subproject, environment=environment)
    listing.refuse_clash(tag, checkout.origin.address)
    config_files = configuration.files_of_checkout(checkout, subproject)
    rules_layers = configuration.of_checkout(checkout, config_files)
    rules = rules_layers.rules(environment, subproject)
    version_tag = (
        VersionTag(subproject=subproject, version=wanted)
        if wanted
        else _newest(listing, subproject, environment)
    )
    version_ref = listing.refs.get(str(version_tag))
    if version_ref is None:
        raise _no_such_version(listing, version_tag)
    environment_ref = listing.refs.get(str(tag))
    refs = [ref for ref in (version_ref, environment_ref) if ref is not None]
    objects = store.objects(refs)
    if version_ref.object_id not in objects:
        objects |= checkout.origin.objects([version_ref])  # it says what is wrong
    version = store.verify(version_tag, version_ref, objects[version_ref.object_id])
    checkout.origin.ensure_commit(version_ref)
    files = () if is_assignment else checkout.origin.commit_files(version.commit)
    scripts = () if is_assignment else _scripts(checkout, subproject, environ)
    script_files = _script_files(checkout, [fact.script for fact in scripts])
    head = checkout.repository.head()
    used = {path: data for path, data in config_files.items() if not path.endswith("/")} | script_files
    allowed = verification.allowed_signers(checkout, rules)
    used |= allowed.files if allowed else {}
    changed_paths = _changed_paths(checkout, subproject, head, used)
    if is_assignment:
        signing = signer_files(checkout.settings.allowed_signers)
        changed_paths = tuple(
            path for path in changed_paths if path in signing or "environments" in path.split("/")
        )
    if changed_paths and not rules.protected and configuration.was_protected(checkout, tag, head):
        rules = msgspec.structs.replace(rules, protected=True)
    environment_fact, unreadable = _environment(store, tag, environment_ref, objects, adopt=request.adopt)
    override, objection = authority(checkout, request.override, environ=environ)
    facts = Facts(
        request=request,
        tag=tag,
        version=version,
        version_was_given=wanted is not None,
        states=listing.states(version_tag),
        environment=environment_fact,
        regions=rules_layers.regions(environment, subproject),
        rules=rules,
        layers=(
            rules_layers
            if is_assignment
            else configuration.of_commit(checkout, subproject, files, checkout.origin.blobs)
        ),
        scripts=scripts,
        inputs=_inputs(script_files),
        changed_paths=changed_paths,
        on_branch=_is_on_branch(checkout, version.commit, rules.branches),
        in_ci=is_ci(environ),
        head=head,
        run=current_run(environ),
        repository=checkout.origin.address,
        remote=None if checkout.origin.is_self else checkout.settings.remote,
        stale_note=stale_note(checkout, version_tag, version_ref),
        override=override,
        objection=objection,
        unreadable=unreadable,
        signature=verification.signature_of(checkout, version_ref, allowed),
        allowed_signers=allowed,
    )
    return Reading(facts=facts, store=store, files=files)


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


def _no_such_version(listing: Listing, tag: VersionTag) -> RefusedError:
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


def _pipeline_folders(subproject: str) -> list[str]:
    """The folders whose uncommitted changes would make a deployment that nobody can repeat."""
    folders = ["scripts", "environments"]
    return folders + [f"{subproject}/{folder}" for folder in folders] if subproject else folders


def _scripts(checkout: Checkout, subproject: str, environ: Mapping[str, str]) -> tuple[ScriptFact, ...]:
    scripts = discover(checkout.root, Category.DEPLOYMENT, subproject or None)
    if not scripts:
        raise UsageError(
            "There are no deployment scripts, so nothing would be deployed.",
            unchanged="Nothing was changed.",
            next_step="mkdir -p scripts/deployment  # then put an executable 10-ci-deploy.sh there",
        )
    _refuse_unheard(checkout, environ)
    return tuple(
        ScriptFact(script=script, decision=decide(script.script_name, Category.DEPLOYMENT, PIPELINE, environ))
        for script in scripts
    )


def _refuse_unheard(checkout: Checkout, environ: Mapping[str, str]) -> None:
    """A mistyped CI_..._BEHAVIOR was meant for a rehearsal: it must not become a deployment."""
    places = (None, *all_subprojects(checkout.root, checkout.settings.subprojects))
    ids = [script_id for place in places for script_id in known_ids(checkout.root, place)]
    lost = unheard(environ, [script_id.partition("/")[2] for script_id in ids], pipelines=PIPELINES)
    if lost:
        close = nearest(lost[0], [script_variable(script_id.partition("/")[2]) for script_id in ids])
        raise UsageError(
            f"No script listens to {lost[0]}.{f' Did you mean {close}?' if close else ''}",
            unchanged="Nothing was changed and no script was run.",
            details=["Without it this would have been a real deployment, and no rehearsal."],
            next_step=f"unset {lost[0]}",
        )


def _script_files(checkout: Checkout, scripts: Sequence[CIScript]) -> dict[str, bytes]:
    paths = [script.script_path for script in scripts]
    return {path: read_file(checkout.root / path, root=checkout.root) for path in paths}


def _changed_paths(
    checkout: Checkout, subproject: str, head: str | None, used: Mapping[str, bytes]
) -> tuple[str, ...]:
    """What is not as committed: all that git sees in the pipeline's folders, and what is used in any case."""
    signing = signer_files(checkout.settings.allowed_signers)
    seen = checkout.repository.changed_paths([*_pipeline_folders(subproject), *signing])
    unseen = configuration.uncommitted(checkout, subproject, head, used, others=signing)
    return tuple(sorted({*seen, *unseen}))


def _inputs(files: Mapping[str, bytes]) -> str:
    """SHA-256 over the names and bytes of the scripts: equal inputs would do the same again."""
    total = hashlib.sha256()
    for path, content in files.items():
        total.update(f"{path}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()


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
