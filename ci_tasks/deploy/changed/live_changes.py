"""What has changed since what runs in an environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci_tasks.core.errors import ConflictError, RefusedError, UsageError
from ci_tasks.core.git.difference import changed_files, joint
from ci_tasks.core.git.origin import MovedError
from ci_tasks.environment.configuration import parse_layers
from ci_tasks.environment.tree import gather
from ci_tasks.project.change import is_of_pipeline, reasons, sort_out
from ci_tasks.project.model import ChangeReason
from ci_tasks.project.names import ReasonKind
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag.clock import utc_now
from ci_tasks.tag.grammar import EnvironmentTag, VersionTag, parse_version

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from ci_tasks.core.checkout import Checkout
    from ci_tasks.environment.configuration import Layers
    from ci_tasks.project.change import Changes
    from ci_tasks.project.dependencies import Projects
    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.listing import Listing
    from ci_tasks.tag.model import Live
    from ci_tasks.tag.store import TagStore


@dataclass(frozen=True, kw_only=True)
class Running:
    """What runs in a region ("" where there are none); `scripts` is the commit that its scripts were of."""

    region: str
    live: Live | None
    scripts: str | None

    @property
    def version(self) -> str | None:
        """The version that is live; None where nothing ever succeeded."""
        return self.live.version if self.live else None

    @property
    def commit(self) -> str | None:
        """Its commit."""
        return self.live.commit_sha if self.live else None


@dataclass(frozen=True, kw_only=True)
class Place:
    """What an environment's tag says of a subproject, by region; `problem` says why it can't be read.

    `is_absent`: the subproject does not have that environment, and so no regions there. `coming` are the
    versions that are being deployed there just now.
    """

    tag: EnvironmentTag
    regions: tuple[Running, ...]
    problem: str | None = None
    is_absent: bool = False
    coming: tuple[str, ...] = ()

    @property
    def commits(self) -> frozenset[str]:
        """The commits of the versions that run there."""
        return frozenset(each.commit for each in self.regions if each.commit)

    def pipelines(self, among: Collection[str]) -> frozenset[str]:
        """The commits that the scripts were of, where they are among these; else those of the versions."""
        found = (each.scripts if each.scripts in among else each.commit for each in self.regions)
        return frozenset(each for each in found if each)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a subproject stands: changed where there are reasons; `is_unreleased`: in no version yet."""

    reasons: tuple[ChangeReason, ...]
    live_versions: tuple[str, ...] = ()
    is_unreleased: bool = False


def read_places(
    checkout: Checkout, store: TagStore, listing: Listing, projects: Projects, environment: str
) -> dict[str, Place]:
    """What the environment's tags say; a fixed number of git processes.

    Raises MovedError where a tag has moved since its listing: read all of it again; UsageError where none of
    the subprojects has that environment.
    """
    tags = {name: EnvironmentTag(subproject=name, environment=environment) for name in projects.present}
    refs = {name: ref for name, tag in tags.items() if (ref := listing.refs.get(str(tag))) is not None}
    objects = store.objects(list(refs.values()))
    layers = layers_of(checkout, projects, environment)
    places, now = {}, utc_now()
    for name, tag in tags.items():
        if environment not in layers.existing(name):
            places[name] = Place(tag=tag, regions=(), is_absent=True)
            continue
        regions = layers.regions(environment, name) or ("",)
        ledger, problem = None, None
        if name in refs:
            try:
                fact = store.environment_of(tag, refs[name], objects, listing=listing)
                ledger, problem = fact.ledger, fact.drift
            except MovedError:
                raise
            except (ConflictError, RefusedError, UsageError) as error:  # one bad tag hides no other
                problem = error.what
        ledger = ledgers.observed(ledger, now) if ledger else None
        running = tuple(what_runs(ledger, region) for region in regions)
        held = ledgers.holders(ledger, tuple(region or None for region in regions)) if ledger else ()
        coming = tuple(dict.fromkeys(record.version for record in held))
        places[name] = Place(tag=tag, regions=running, problem=problem, coming=coming)
    return places


def layers_of(checkout: Checkout, projects: Projects, environment: str) -> Layers:
    """The configuration of all subprojects; UsageError where none of them has that environment."""
    files = gather(checkout.root, [name for name in projects.present if name])
    layers = parse_layers(files, environments=checkout.settings.environments)
    if projects.present and not any(environment in layers.existing(name) for name in projects.present):
        layers.regions(environment, projects.present[0])  # it says what to do
    return layers


def what_runs(ledger: Ledger | None, region: str) -> Running:
    """What the ledger says of a region; scripts that were not as committed are of no commit."""
    live = ledger.header.live.get(region) if ledger else None
    if ledger is None or live is None:
        return Running(region=region, live=None, scripts=None)
    record = next((each for each in ledger.closed if each.deployment_id == live.deployment_id), None)
    is_exact = record is not None and not record.uncommitted
    commits = record.commits if record is not None and is_exact else None
    return Running(region=region, live=live, scripts=commits.scripts if commits else None)


def standings(
    checkout: Checkout,
    store: TagStore,
    listing: Listing,
    places: Mapping[str, Place],
    *,
    projects: Projects,
    releases: Mapping[str, VersionTag],
    head: str,
) -> dict[str, Standing]:
    """How each subproject stands; the commits that run are fetched where this clone does not have them."""
    files = _files(checkout, store, listing, places.values(), head)
    sorted_out: dict[object, Changes] = {}
    found = {}
    for name, place in places.items():
        commits = place.commits.intersection(files)
        pipelines = place.pipelines(files).intersection(files)
        if (commits, pipelines) not in sorted_out:
            sorted_out[commits, pipelines] = sort_out(
                _paths(files, commits, pipelines, projects),
                projects,
                environment=place.tag.environment,
                environments=listing.grammar.environments,
            )
        found[name] = standing(
            place,
            sorted_out[commits, pipelines],
            projects=projects,
            release=releases.get(name),
            is_gone=commits != place.commits,
        )
    return found


def standing(
    place: Place, changes: Changes, *, projects: Projects, release: VersionTag | None, is_gone: bool
) -> Standing:
    """How a subproject stands; pure. `is_gone`: a commit that runs there can't be had any more."""
    versions = {parse_version(each.version) for each in place.regions if each.version}
    of_place = tuple(_of_place(place, release, is_gone=is_gone))
    of_files = reasons(place.tag.subproject, changes, projects)
    is_everywhere = release is not None and versions == {release.version} and not of_place
    return Standing(
        reasons=(*of_place, *of_files),
        live_versions=tuple(map(str, sorted(versions, key=lambda version: version.precedence))),
        is_unreleased=is_everywhere and bool(of_files),
    )


def _of_place(place: Place, release: VersionTag | None, *, is_gone: bool) -> Iterator[ChangeReason]:
    """The reasons that stand in the tags, whatever the files say."""
    if place.problem is not None:
        yield ChangeReason(
            kind=ReasonKind.UNREADABLE, message=f"what runs there is not known: {place.problem}"
        )
        return
    never = [each for each in place.regions if each.version is None]
    if never:
        yield ChangeReason(kind=ReasonKind.NEVER_DEPLOYED, message=f"never deployed{_where(place, never)}")
    uncertain = [each for each in place.regions if each.live is not None and each.live.uncertain]
    if uncertain:
        attempted = ", ".join(sorted({str(each.live.attempted) for each in uncertain if each.live}))
        what = f"an attempt to deploy {attempted} broke off half-way{_where(place, uncertain)}"
        yield ChangeReason(kind=ReasonKind.UNCERTAIN, message=what)
    if is_gone:
        yield ChangeReason(kind=ReasonKind.GONE, message="the commit that runs there can't be had any more")
    older = [each for each in place.regions if release is not None and _is_older(each.version, release)]
    if older and release is not None:
        said = ", ".join(sorted({str(each.version) for each in older}))
        what = f"{release.version} is newer than {said}, which runs there{_where(place, older)}"
        yield ChangeReason(kind=ReasonKind.NEWER_VERSION, message=what)


def _is_older(version: str | None, release: VersionTag) -> bool:
    return version is not None and parse_version(version).precedence < release.version.precedence


def _where(place: Place, regions: Sequence[Running]) -> str:
    """The regions, where they are not all there are."""
    return f" in {', '.join(each.region for each in regions)}" if len(regions) < len(place.regions) else ""


def _paths(
    files: Mapping[str, Sequence[str]],
    commits: Iterable[str],
    pipelines: Iterable[str],
    projects: Projects,
) -> set[str]:
    """What differs from the checkout: of the version's files, and of the scripts it was deployed with."""
    of_versions = {path for commit in commits for path in files[commit]}
    of_pipelines = {path for commit in pipelines for path in files[commit]}
    return {path for path in of_versions if not is_of_pipeline(path, projects)} | {
        path for path in of_pipelines if is_of_pipeline(path, projects)
    }


def _files(
    checkout: Checkout, store: TagStore, listing: Listing, places: Collection[Place], head: str
) -> dict[str, tuple[str, ...]]:
    """Commit -> the files in which it differs from `head`; one that can't be had is left out."""
    versions = {
        str(VersionTag(subproject=place.tag.subproject, version=parse_version(each.version)))
        for place in places
        for each in place.regions
        if each.version
    }
    store.objects([listing.refs[name] for name in sorted(versions & listing.refs.keys())])
    wanted = {commit for place in places for commit in place.commits}
    wanted |= {each.scripts for place in places for each in place.regions if each.scripts}
    database = joint(checkout.repository, checkout.origin)
    here = [commit for commit, kind in database.kinds(sorted(wanted)).items() if kind == "commit"]
    found = changed_files(database, [(commit, head) for commit in here])
    return {commit: paths for (commit, _), paths in found.items()}
