"""What commands should do, said once more in few words: predicts exit codes, what is live, and the target.

It knows no tag, no push and no process. It is written from the documentation and not from the code, so that
a mistake would have to be made twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from tests.stateful.place import Claim, Name, Place, Record, Version


class Exit(IntEnum):
    """The exit codes that are predicted; a process that was killed has the number of its signal below 0."""

    OK = 0
    FAILED = 1
    REFUSED = 3
    CONFLICT = 4
    PARTIAL = 7
    KILLED = -9


class RefusedError(Exception):
    """A rule says no: nothing was done."""


class HeldError(Exception):
    """Somebody else has claimed it: nothing was done."""


@dataclass
class Run:
    """A script that ran: where, and for which version."""

    environment: str
    region: str
    version: str


@dataclass
class World:
    """All versions and environments of one subproject, and every script that ran."""

    places: dict[str, Place]
    versions: dict[str, Version] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)

    # --- versions

    def create(self, name: str, commit: str) -> Exit:
        """The same again is nothing to do; another commit is a conflict."""
        known = self.versions.setdefault(name, Version(commit))
        return Exit.OK if known.commit == commit else Exit.CONFLICT

    def mark(self, name: str, state: str) -> Exit:
        """States are for releases, and what is bad stays bad."""
        if not Name(name).is_release or name not in self.versions:
            return Exit.REFUSED
        version = self.versions[name]
        if state not in version.states and state == "stable" and version.is_bad:
            return Exit.REFUSED
        version.states.add(state)
        return Exit.OK

    def newest(self) -> str:
        """The newest release that nobody speaks against."""
        good = [
            name for name, version in self.versions.items() if Name(name).is_release and not version.is_bad
        ]
        if not good:
            raise RefusedError
        return max(good, key=lambda name: Name(name).order)

    # --- deployments

    def deploy(
        self,
        environment: str,
        name: str | None,
        regions: tuple[str, ...],
        *,
        yes: bool = False,
        again: bool = False,
        override: bool = False,
        kind: str = "deploy",
        fails: frozenset[str] = frozenset(),
        dies: str | None = None,
    ) -> Exit:
        """Bring a version to these regions, one after the other; `fails` are those whose scripts fail.

        `dies`: the fail point at which the process is killed.
        """
        place = self.places[environment]
        try:
            name = name or self.newest()
            to_do = self._to_do(place, name, regions or place.regions, again=again)
            self._judge(place, name, to_do, yes=yes or kind == "rollback", override=override)
            if to_do and dies == "before_claim":
                return Exit.KILLED
            if place.held & set(to_do):
                return Exit.CONFLICT
        except RefusedError:
            return Exit.REFUSED
        if not to_do:
            return Exit.KILLED if dies == "before_report" else Exit.OK
        return self._carry_out(environment, name, to_do, kind=kind, fails=fails, dies=dies)

    def _to_do(self, place: Place, name: str, regions: tuple[str, ...], *, again: bool) -> list[str]:
        if name not in self.versions:
            raise RefusedError
        return [
            region
            for region in regions
            if again
            or place.moved_to
            or region in place.uncertain
            or region not in place.live
            or place.live[region].version != name
            or not place.live[region].ran
        ]

    def _judge(self, place: Place, name: str, to_do: list[str], *, yes: bool, override: bool) -> None:
        older = any(
            region in place.live and Name(name).order < Name(place.live[region].version).order
            for region in to_do
        )
        is_bad = self.versions[name].is_bad and not override
        has_moved = place.moved_to is not None and not override
        if to_do and (is_bad or has_moved or (older and not yes)):
            raise RefusedError

    def _carry_out(
        self,
        environment: str,
        name: str,
        to_do: list[str],
        *,
        kind: str,
        fails: frozenset[str],
        dies: str | None,
    ) -> Exit:
        place, commit = self.places[environment], self.versions[name].commit
        if dies in {"after_object", "before_push"}:
            return Exit.KILLED
        place.begin(commit)
        place.settle()
        left = list(to_do)
        done = 0
        while left:
            region = left[0]
            is_first = region == to_do[0]
            if is_first and dies in {"after_push", "after_claim", "before_script"}:
                return self._die(place, left, name, kind)
            self.runs.append(Run(environment, region, name))
            if is_first and dies in {"after_script", "before_settle"}:
                return self._die(place, left, name, kind)
            del left[0]
            is_good = region not in fails
            place.close(Record(region, name, "SUCCESS" if is_good else "FAILED", kind), commit)
            if not is_good:
                for other in left:
                    place.close(Record(other, name, "CANCELLED", kind, scripts_started=False), commit)
                left = []
            place.settle(confirms=is_good)
            done += is_good
            if is_first and dies == "after_settle":
                return self._die(place, left, name, kind)
        if dies == "before_report":
            return Exit.KILLED
        return Exit.OK if done == len(to_do) else Exit.PARTIAL if done else Exit.FAILED

    @staticmethod
    def _die(place: Place, left: list[str], name: str, kind: str) -> Exit:
        """The claim stands, and nobody works for it."""
        if left:
            place.claims.append(Claim(tuple(left), name, kind))
        return Exit.KILLED

    # --- ways back and on

    def rollback(
        self, environment: str, region: str, *, fails: frozenset[str] = frozenset()
    ) -> tuple[Exit, str | None]:
        """Back to what ran before in one region; which version that is."""
        place = self.places[environment]
        goal = self.goal(place, region)
        if not place.exists or goal is None:
            return Exit.REFUSED, None
        return self.deploy(environment, goal, (region,), kind="rollback", fails=fails), goal

    def goal(self, place: Place, region: str) -> str | None:
        """Where a rollback leads: after an attempt that broke off to the last success, else to one before.

        Stable versions come first. What was rolled back from, and what is bad, is not gone to.
        """
        ran, left = _turns(place.past(region))
        succeeded = [record.version for record in reversed(place.past(region)) if record.is_success]
        live = place.live[region].version if region in place.live else None
        is_uncertain = region in place.uncertain
        order = list(dict.fromkeys([*reversed(ran), *succeeded]))
        fitting = [
            name
            for name in order
            if name not in left and not self.versions[name].is_bad and (name != live or is_uncertain)
        ]
        if is_uncertain and live in fitting:
            return live
        stable = [name for name in fitting if "stable" in self.versions[name].states]
        return next(iter([*stable, *fitting]), None)

    def promote(
        self, source: str, to: str, *, yes: bool = False, fails: frozenset[str] = frozenset()
    ) -> Exit:
        """What all regions of the source have for certain."""
        place = self.places[source]
        found = {place.live[region].version if region in place.live else None for region in place.regions}
        if place.uncertain or len(found) > 1 or None in found:
            return Exit.REFUSED
        (name,) = found
        return self.deploy(to, name, (), yes=yes, kind="promote", fails=fails)

    # --- by hand

    def assign(self, environment: str, name: str, regions: tuple[str, ...]) -> Exit:
        """Say what runs; the repair of a tag that was moved."""
        place = self.places[environment]
        version = self.versions[name]
        if version.is_bad:
            return Exit.REFUSED
        if place.held & set(regions):
            return Exit.CONFLICT
        for region in regions:
            record = Record(region, name, "SUCCESS", "assign", scripts_started=False)
            place.close(record, version.commit)
        place.moved_to = None
        place.settle(confirms=True)
        return Exit.OK

    def unlock(self, environment: str) -> Exit:
        """End the oldest claim at once; nobody knows how far it came."""
        place = self.places[environment]
        claim = place.claims.pop(0)
        for region in claim.regions:
            record = Record(region, claim.version, "CANCELLED", claim.kind)
            place.close(record, self.versions[claim.version].commit)
        place.settle()
        return Exit.OK


def _turns(past: list[Record]) -> tuple[list[str], set[str]]:
    """The versions that ran in turn, less those that were rolled back from; and these."""
    ran: list[str] = []
    left: set[str] = set()
    tried: str | None = None
    for record in past:
        name = record.version
        if record.kind == "rollback":
            if name in ran:
                newest = len(ran) - ran[::-1].index(name)
                left.update(ran[newest:])
                del ran[newest:]
            left.update({tried} - {None, name} if tried else ())
        if record.is_success:
            left.discard(name)
            ran += [name] if ran[-1:] != [name] else []
        tried = None if record.is_success else name
    return ran, left
