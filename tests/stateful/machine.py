"""The rules of the stateful test: each types a command, asks the model, and the remote has to agree."""

from __future__ import annotations

import itertools
import json
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from tests.stateful import reader
from tests.stateful.model import Exit, World
from tests.stateful.place import Place, Record
from tests.stateful.site import REGIONS, Site

if TYPE_CHECKING:
    from pathlib import Path


VERSIONS = ("v1.0.0", "v1.1.0", "v1.2.0", "v1.3.0", "v1.10.0", "v2.0.0-beta.1")
UNKNOWN = "v9.9.9"
API = ("--subproject", "api")
POINTS = (
    "before_claim",
    "after_object",
    "before_push",
    "after_push",
    "after_claim",
    "before_script",
    "after_script",
    "before_settle",
    "after_settle",
    "before_report",
)
environments = st.sampled_from(sorted(REGIONS))
picks = st.integers(0, 11)
"""Which version: the newest good one, one that there is, or one that there is not; see `name_of`."""
wires = st.sampled_from([None, None, None, None, "lost answer", "lost request"])
some = st.sampled_from([set(), set(), set(), {"eu-west"}, {"us-east"}])
states = st.sampled_from(["stable", "stable", "stable", "unstable", "deprecated"])
rarely = st.sampled_from([False, False, False, False, True])
often = st.sampled_from([True, True, True, False])
failing = st.sampled_from([None, None, None, None, {"eu-west"}, {"us-east"}, {"eu-west", "us-east"}])


@dataclass
class Begun:
    """What every run begins with: a place, and what is known of it."""

    site: Site
    world: World
    commits: list[str]


class Deployments(RuleBasedStateMachine):
    """One subproject, an environment with two regions and one without any; nobody touches tags by hand."""

    begun: Begun
    folder: Path
    numbers = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        self.site = self.begun.site.copy(self.folder / str(next(self.numbers)))
        self.world = deepcopy(self.begun.world)
        self.commits = list(self.begun.commits)
        self.known: dict[str, str] = {}
        self.is_clean = True
        self.is_seen = False
        self.refused: set[tuple[str, ...]] = set()

    # --- versions

    @precondition(lambda self: len(self.world.versions) < len(VERSIONS))
    @rule(stale=rarely, again=rarely, wire=wires)
    def create(self, wire: str | None, *, stale: bool, again: bool) -> None:
        name = VERSIONS[0] if again else VERSIONS[len(self.world.versions)]
        if not stale and not again:
            self.commits.append(self.site.commit(f"For {name}"))
        expected = self.world.create(name, self.site.head(stale=stale))
        self.types(expected, "tag.create", "--version", name, stale=stale, wire=wire)

    @rule(pick=picks, state=states, wire=wires)
    def mark(self, pick: int, state: str, wire: str | None) -> None:
        name = self.name_of(pick) or VERSIONS[-1]
        self.types(self.world.mark(name, state), "tag.state", "--version", name, "--state", state, wire=wire)

    # --- deployments

    @rule(environment=environments, pick=picks, wire=wires)
    def deploy(self, environment: str, pick: int, wire: str | None) -> None:
        self.deploys(environment, pick, set(), None, wire, yes=True)

    @rule(
        environment=environments,
        pick=picks,
        regions=some,
        yes=often,
        again=rarely,
        fails=failing,
        stale=rarely,
        wire=wires,
    )
    def deploys(
        self,
        environment: str,
        pick: int,
        regions: set[str],
        fails: set[str] | None,
        wire: str | None,
        *,
        yes: bool,
        again: bool = False,
        stale: bool = False,
    ) -> None:
        name, chosen = self.name_of(pick), self.chosen(environment, regions)
        fail = self.failing(environment, fails)
        expected = self.world.deploy(environment, name, chosen, yes=yes, again=again, fails=fail)
        words = [*self.named(environment, name, chosen), *["--yes"] * yes, *["--again"] * again]
        self.types(expected, "deploy", *words, stale=stale, wire=wire)

    @precondition(lambda self: not any(place.claims for place in self.world.places.values()))
    @rule(environment=environments, pick=picks, regions=some, point=st.sampled_from(POINTS))
    def deploy_and_die(self, environment: str, pick: int, regions: set[str], point: str) -> None:
        name, chosen = self.name_of(pick), self.chosen(environment, regions)
        self.failing(environment, None)
        expected = self.world.deploy(environment, name, chosen, yes=True, again=True, dies=point)
        env = {"CI_TASKS_TESTING": "1", "CI_TASKS_FAILPOINT": point}
        self.types(expected, "deploy", *self.named(environment, name, chosen), "--yes", "--again", env=env)

    @rule(yes=often, fails=failing, wire=wires)
    def promote(self, fails: set[str] | None, wire: str | None, *, yes: bool) -> None:
        fail = self.failing("production", fails)
        expected = self.world.promote("staging", "production", yes=yes, fails=fail)
        line = ("--from", "staging", "--to", "production", *["--yes"] * yes)
        self.types(expected, "deploy.promote", *line, wire=wire)

    @precondition(lambda self: self.is_worth_a_rollback())
    @rule(environment=environments, region=st.sampled_from(REGIONS["staging"]), fails=failing, wire=wires)
    def rollback(self, environment: str, region: str, fails: set[str] | None, wire: str | None) -> None:
        (chosen,) = self.chosen(environment, {region}) or ("",)
        fail = self.failing(environment, fails)
        expected, goal = self.world.rollback(environment, chosen, fails=fail)
        words = self.named(environment, None, (chosen,) if chosen else ())
        done = self.types(expected, "deploy.rollback", *words, "--json", wire=wire)
        if expected in (Exit.OK, Exit.FAILED):
            (plan,) = json.loads(done)["plans"]
            assert plan["version"] == goal

    @precondition(lambda self: any(place.claims for place in self.world.places.values()))
    @rule(wire=wires)
    def unlock(self, wire: str | None) -> None:
        name = next(name for name, place in self.world.places.items() if place.claims)
        regions = self.world.places[name].claims[0].regions
        seen = reader.environment(self.site.remote, f"api/{name}")
        assert seen is not None
        (claim,) = {one["claimId"] for one in seen.open if (one["region"] or "") in regions}
        expected = self.world.unlock(name)
        line = ("--env", name, "--deployment", claim, "--reason", "it is dead", "--now")
        self.types(expected, "deploy.unlock", *line, wire=wire)

    @precondition(lambda self: not self.is_seen)
    @rule(stale=rarely)
    def status(self, *, stale: bool) -> None:
        said = json.loads(self.types(Exit.OK, "deploy.status", "--json", stale=stale))
        self.is_seen = True
        places = {name: place for name, place in self.world.places.items() if place.exists}
        assert {one["environment"] for one in said["environments"]} == set(places)
        for one in said["environments"]:
            place = places[one["environment"]]
            live = {
                region["region"] or "": (region["version"], region["isUncertain"])
                for region in one["regions"]
                if region["version"]
            }
            assert live == {
                region: (found.version, region in place.uncertain) for region, found in place.live.items()
            }
            assert one["isSettled"] == place.is_settled
            assert bool(one["drift"]) == bool(place.moved_to)
            assert {record["region"] or "" for record in one["running"]} == place.held

    # --- what holds after each

    @invariant()
    def the_remote_says_so(self) -> None:
        for name, place in self.world.places.items():
            seen = reader.environment(self.site.remote, f"api/{name}")
            assert (seen is not None) == place.exists
            if seen is not None:
                check_place(place, seen)

    @invariant()
    def nothing_ran_twice_or_unasked(self) -> None:
        assert self.site.recorded() == [
            f"{run.environment}.{run.region}.{run.version}" for run in self.world.runs
        ]

    @invariant()
    def what_is_immutable_stays(self) -> None:
        now = reader.tags(self.site.remote)
        fixed = {name: held for name, held in now.items() if name.removeprefix("api/") not in REGIONS}
        assert self.known.items() <= fixed.items()
        self.known = fixed
        marked = {
            f"api/{name}-{state}" for name, version in self.world.versions.items() for state in version.states
        }
        assert set(fixed) == {f"api/{name}" for name in self.world.versions} | marked

    def teardown(self) -> None:
        """The audit finds nothing in what nobody has touched."""
        if self.is_clean and self.world.versions:
            self.types(Exit.OK, "tag.verify", subproject=False)

    # --- how it is said

    def has_changed(self, *, by_hand: bool = False) -> None:
        """What was refused is worth another try, and the status another look."""
        self.refused.clear()
        self.is_seen = False
        self.is_clean &= not by_hand

    def is_worth_a_rollback(self) -> bool:
        """Whether there is a region that could go back; else it is tried now and then."""
        places = self.world.places.values()
        goals = [self.world.goal(place, region) for place in places for region in place.regions]
        return any(goals) or not self.refused

    def name_of(self, pick: int) -> str | None:
        """The version that a pick means."""
        if pick in {0, 11}:
            return None if pick == 0 else UNKNOWN
        known = sorted(self.world.versions)
        return known[pick % len(known)]

    def types(
        self,
        expected: Exit,
        *line: str,
        stale: bool = False,
        wire: str | None = None,
        env: dict[str, str] | None = None,
        subproject: bool = True,
    ) -> str:
        """Type a line and expect this exit code; what it printed.

        What was refused is not typed again until something has changed.
        """
        typed = (*line, *(env or {}).values())
        if typed in self.refused:
            return ""
        if expected in {Exit.REFUSED, Exit.CONFLICT}:
            self.refused.add(typed)
        elif line[0] != "deploy.status":
            self.has_changed()
        done = self.site.run(*line, *(API if subproject else ()), stale=stale, wire=wire, env=env)
        assert done.returncode == expected, f"{expected!r} of {' '.join(line)}: {done.stderr}{done.stdout}"
        return done.stdout

    def chosen(self, environment: str, regions: set[str]) -> tuple[str, ...]:
        """The regions to name; none is all of them."""
        return tuple(region for region in REGIONS[environment] if region in regions)

    def named(self, environment: str, name: str | None, regions: tuple[str, ...]) -> list[str]:
        words = [word for region in regions for word in ("--region", region)]
        return ["--env", environment, *(["--version", name] if name else []), *words]

    def failing(self, environment: str, regions: set[str] | None) -> frozenset[str]:
        """Let the scripts of these regions fail, of an environment without regions if any."""
        fails = frozenset(
            region for region in REGIONS[environment] if not region or region in (regions or ())
        )
        fails = fails if regions else frozenset()
        self.site.fail(environment, fails)
        return fails


class Tampered(Deployments):
    """The same, and somebody moves and deletes environment tags by hand."""

    @rule(environment=environments, pick=st.integers(0, 9))
    def move(self, environment: str, pick: int) -> None:
        place = self.world.places[environment]
        others = [commit for commit in self.commits if commit != place.target]
        if place.exists and others:
            place.moved_to = others[pick % len(others)]
            reader.move(self.site.remote, f"api/{environment}", place.moved_to)
            self.has_changed(by_hand=True)

    @rule(environment=environments)
    def delete(self, environment: str) -> None:
        if self.world.places[environment].exists:
            self.world.places[environment] = Place(REGIONS[environment])
            reader.delete(self.site.remote, f"api/{environment}")
            self.has_changed(by_hand=True)

    @precondition(lambda self: any(place.moved_to for place in self.world.places.values()))
    @rule(wire=wires)
    def put_back(self, wire: str | None) -> None:
        name, place = next((name, place) for name, place in self.world.places.items() if place.moved_to)
        live = {region: found.version for region, found in place.live.items()}
        if not live:
            return
        region, version = next(iter(sorted(live.items())))
        regions = place.regions if live == dict.fromkeys(place.regions, version) else (region,)
        expected = self.world.assign(name, version, regions)
        words = self.named(name, version, () if regions == place.regions else regions)
        self.types(expected, "tag.assign", *words, "--reason", "it was moved by hand", wire=wire)

    @rule(environment=environments, pick=picks, regions=some, wire=wires)
    def override(self, environment: str, pick: int, regions: set[str], wire: str | None) -> None:
        name, chosen = self.name_of(pick), self.chosen(environment, regions)
        self.failing(environment, None)
        expected = self.world.deploy(environment, name, chosen, yes=True, override=True)
        self.is_clean = False
        words = [*self.named(environment, name, chosen), "--yes", "--override", "we looked at it"]
        self.types(expected, "deploy", *words, wire=wire)


def check_place(place: Place, seen: reader.Seen) -> None:
    """What an environment tag says is what the model says."""
    seen.check_chain()
    live: dict[str, Any] = seen.header["live"]
    assert {region: (one["version"], one["commitSha"]) for region, one in live.items() if one["version"]} == {
        region: (one.version, one.commit) for region, one in place.live.items()
    }
    assert {region for region, one in live.items() if one["uncertain"]} == place.uncertain
    assert seen.header["target"] == place.target
    assert seen.header["settled"] == place.is_settled
    assert seen.stands_on == place.stands_on
    assert {(one["region"] or "", one["status"]) for one in seen.open} == {
        (region, "RUNNING") for region in place.held
    }
    assert [
        (one["region"] or "", one["version"], one["status"], one["kind"].lower()) for one in seen.closed
    ] == [(one.region, one.version, one.status, one.kind) for one in place.closed]
    assert [one["scriptsStarted"] for one in seen.closed] == [one.scripts_started for one in place.closed]


def closed(record: dict[str, Any]) -> Record:
    """A record of the ledger in the model's words."""
    return Record(
        record["region"] or "",
        record["version"],
        record["status"],
        record["kind"],
        scripts_started=record["scriptsStarted"],
    )
