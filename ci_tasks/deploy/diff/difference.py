"""What a deployment would change, before there is one: commits, values, names of secrets, scripts."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from shlex import quote
from typing import TYPE_CHECKING

from ci_tasks.core.command_line import typed
from ci_tasks.core.errors import CiTasksError, UsageError
from ci_tasks.core.git.difference import joint
from ci_tasks.core.git.history import whole_history
from ci_tasks.deploy import configuration, facts
from ci_tasks.deploy.diff.changed_values import changed_names, changed_values
from ci_tasks.deploy.diff.model import CommitLine, CommitSide, Difference, RegionDifference
from ci_tasks.deploy.diff.pipeline_files import of_commit, on_disk
from ci_tasks.deploy.model import Request
from ci_tasks.deploy.rollout import promote
from ci_tasks.deploy.status import known_environment, place
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag import subproject as subprojects
from ci_tasks.tag.clock import utc_now
from ci_tasks.tag.grammar import VersionTag, parse_version
from ci_tasks.tag.lines import options
from ci_tasks.tag.model import region_key
from ci_tasks.tag.names import DeploymentKind
from ci_tasks.tag.version.change import change
from ci_tasks.tag.version.changes import commit_of, paths_of, ref_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci_tasks.core.checkout import Checkout
    from ci_tasks.core.git.history import History, Paths
    from ci_tasks.core.git.objects import ObjectDatabase
    from ci_tasks.core.git.origin import RemoteRef
    from ci_tasks.deploy.diff.model import NamedChange, ValueChange
    from ci_tasks.deploy.diff.pipeline_files import PipelineFiles
    from ci_tasks.environment.configuration import Layers
    from ci_tasks.environment.model import Resolved
    from ci_tasks.tag.grammar import EnvironmentTag, Grammar, Version
    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.listing import Listing
    from ci_tasks.tag.model import Live
    from ci_tasks.tag.store import EnvironmentFact


def difference(
    checkout: Checkout, *, environment: str, subproject: str | None, to: str | None, source: str | None
) -> Difference:
    """What would be other in the environment with version `to`, or with what runs in `source`.

    Reads alone. Raises UsageError unless one of the two is given, RefusedError for a version that is not
    there, or where `source` has none for certain.
    """
    if (to is None) == (source is None):
        option = f" --subproject {quote(subproject)}" if subproject else ""
        raise UsageError(
            "Say either --to, a version, or --with, another environment.",
            next_step=typed(f"deploy.diff --env {quote(environment)}{option} --to {quote(to or 'v1.0.0')}"),
        )
    asked = parse_version(to) if to is not None else None
    store, tag = place(checkout, environment=environment, subproject=subproject, line="deploy.diff")
    if asked is None:
        asked = _running_in(checkout, store.grammar, tag, str(source))
    listing = store.listing()
    version = VersionTag(subproject=tag.subproject, version=asked)
    if str(version) not in listing.refs:
        raise facts.no_such_version(listing, version)
    fact = store.environment(tag)
    checkout.origin.ensure_commit(ref_in(listing, version))
    return _Comparison(checkout, listing, tag, fact, version).made(source)


def _running_in(checkout: Checkout, grammar: Grammar, tag: EnvironmentTag, source: str) -> Version:
    """The version that another environment has for certain."""
    known_environment(grammar, source, line=lambda name: typed(f"deploy.diff {options(tag)} --with {name}"))
    if source == tag.environment:
        raise UsageError(f"--env and --with are both {source}: name two environments.")
    request = Request(environment=tag.environment, source=source, kind=DeploymentKind.PROMOTE, again=True)
    found = promote.find(checkout, promote.Promotion(request=request, subprojects=(tag.subproject or ".",)))
    return parse_version(str(found.requests[0].version))


@dataclass
class _Comparison:
    """One version against what is live in one environment."""

    checkout: Checkout
    listing: Listing
    tag: EnvironmentTag
    fact: EnvironmentFact
    version: VersionTag
    notices: list[str] = field(default_factory=list)
    _layers: dict[str, Layers] = field(default_factory=dict)
    _commits: dict[str, tuple[CommitLine, ...]] = field(default_factory=dict)

    def made(self, source: str | None) -> Difference:
        """The whole of it."""
        layers = configuration.of_checkout(
            self.checkout, configuration.files_of_checkout(self.checkout, self.tag.subproject)
        )
        regions = layers.regions(self.tag.environment, self.tag.subproject) or (None,)
        found = tuple(self._region(region) for region in regions)
        secrets, scripts = self._pipeline(regions)
        return Difference(
            environment=self.tag.environment,
            environment_tag=str(self.tag),
            subproject=self.tag.subproject or None,
            source=source,
            version=str(self.version.version),
            version_tag=str(self.version),
            commit_sha=self.target,
            regions=found,
            secrets=secrets,
            scripts=scripts,
            notices=tuple(dict.fromkeys(self.notices)),
        )

    @cached_property
    def target(self) -> str:
        """The commit of the version."""
        return commit_of(self.listing, self.version)

    @cached_property
    def database(self) -> ObjectDatabase:
        """The clone's objects, and those that were fetched for us."""
        return joint(self.checkout.repository, self.checkout.origin)

    @cached_property
    def paths(self) -> Paths:
        """What belongs to the subproject."""
        known = subprojects.known(self.checkout, self.listing.grammar, self.listing)
        return paths_of(self.tag.subproject, known)

    @property
    def ledger(self) -> Ledger | None:
        """What the environment tag says."""
        return ledgers.observed(self.fact.ledger, utc_now()) if self.fact.ledger else None

    def _live(self, region: str | None) -> Live | None:
        live = self.ledger.header.live.get(region_key(region)) if self.ledger else None
        return live if live is not None and live.commit_sha is not None else None

    def _region(self, region: str | None) -> RegionDifference:
        live = self._live(region)
        place = region or self.tag.environment
        ref = self._ref_of(live) if live else None
        if live is None:
            self.notices.append(f"{place}: nothing runs there yet, so all of {self.version} is new.")
        elif ref is None:
            self.notices.append(
                f"{place}: the commit of {live.version} can't be had any more: nothing to compare with."
            )
        elif live.uncertain:
            self.notices.append(
                f"{place}: an attempt to deploy {live.attempted} broke off; {live.version} succeeded last."
            )
        return RegionDifference(
            region=region,
            live_version=live.version if live else None,
            live_commit_sha=live.commit_sha if live else None,
            is_uncertain=bool(live and live.uncertain),
            commits=self._between(ref) if ref else (),
            values=self._values(region, ref, is_first=live is None) if ref or live is None else (),
        )

    def _values(
        self, region: str | None, ref: RemoteRef | None, *, is_first: bool
    ) -> tuple[ValueChange, ...]:
        try:
            before = None if is_first or ref is None else self._resolved(_commit(ref), region)
            return changed_values(before, self._resolved(self.target, region))
        except UsageError as error:
            self.notices.append(f"The values can't be compared: {error.what}")
            return ()

    def _resolved(self, commit: str, region: str | None) -> Resolved:
        if commit not in self._layers:
            files = self.checkout.origin.commit_files(commit)
            self._layers[commit] = configuration.of_commit(
                self.checkout, self.tag.subproject, files, self.checkout.origin.blobs
            )
        return self._layers[commit].resolve(self.tag.environment, region, self.tag.subproject)

    def _ref_of(self, live: Live) -> RemoteRef | None:
        """A ref that leads to what is live: the version's tag, else the environment's; None where neither."""
        version = VersionTag(subproject=self.tag.subproject, version=parse_version(str(live.version)))
        refs = [ref for name in (version, self.tag) if (ref := self.listing.refs.get(str(name))) is not None]
        ref = next((ref for ref in refs if _commit(ref) == live.commit_sha), None)
        if ref is not None:
            self.checkout.origin.ensure_commit(ref)
        return ref

    def _between(self, ref: RemoteRef) -> tuple[CommitLine, ...]:
        """The commits that would come, and those that would go."""
        commit, target = _commit(ref), ref_in(self.listing, self.version)
        if commit not in self._commits:
            repository, origin = self.checkout.repository, self.checkout.origin
            new = whole_history(repository, origin, self.target, [target], also=[ref])
            old = whole_history(repository, origin, commit, [ref], also=[target])
            self._commits[commit] = (
                *self._lines(new, since=commit, side=CommitSide.COMES),
                *self._lines(old, since=self.target, side=CommitSide.GOES),
            )
        return self._commits[commit]

    def _lines(self, history: History, *, since: str, side: CommitSide) -> Iterator[CommitLine]:
        for commit, message in history.messages(history.changing(self.paths, since=since)):
            first = message.partition("\n")[0]
            said = change(commit, message, kind=None, scope=None, description=first, breaking=None)
            yield CommitLine(commit_sha=commit, side=side, description=said.description)

    def _pipeline(
        self, regions: Sequence[str | None]
    ) -> tuple[tuple[NamedChange, ...], tuple[NamedChange, ...]]:
        """What the checkout has otherwise than the last deployments: secrets, and scripts."""
        secrets: dict[NamedChange, None] = {}
        scripts: dict[NamedChange, None] = {}
        for region in regions:
            before = self._deployed_with(region)
            if before is not None:
                here = on_disk(self.checkout, self.tag, region)
                secrets |= dict.fromkeys(changed_names(before.secrets, here.secrets))
                scripts |= dict.fromkeys(changed_names(before.scripts, here.scripts))
        return tuple(secrets), tuple(scripts)

    def _deployed_with(self, region: str | None) -> PipelineFiles | None:
        """The pipeline of what is live in a region; None, with a notice, where it is not known."""
        live, place = self._live(region), region or self.tag.environment
        records = self.ledger.find(str(live.deployment_id)) if live and self.ledger else ()
        if live is None:
            return None
        commits = records[0].commits if records else None
        if commits is None or commits.scripts is None:
            self.notices.append(f"{place}: of which commit its secrets and scripts were is not recorded.")
            return None
        if records[0].uncommitted:
            self.notices.append(
                f"{place}: it was deployed with uncommitted changes, which are not seen here."
            )
        try:
            return of_commit(self.database, commits.scripts, self.tag, region)
        except CiTasksError as error:
            is_here = self.database.kinds([commits.scripts]).get(commits.scripts) == "commit"
            why = f"can't be read: {error.what}" if is_here else "is not here."
            self.notices.append(f"{place}: the commit {commits.scripts[:12]} of its scripts {why}")
            return None


def _commit(ref: RemoteRef) -> str:
    return ref.peeled or ref.object_id
