"""A crowd of people and jobs that deploy, wait, go back, end each other's claims and die, from one seed."""

from __future__ import annotations

import random
import re
import signal
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tests.stress.arena import ENVIRONMENTS, FAULTS, VERSIONS
from tests.stress.harness import (
    SKEW,
    Blow,
    deploy_line,
    environment_of,
    line_about,
    promote_line,
    rollback_line,
)
from tests.test_docs import bare, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.stress.harness import Ended, Harness, Line
    from tests.stress.history import Region

FAIL_POINTS = tuple(bare(row[0]) for row in table("development/fail-points.md", "place"))
REASON = ("--reason", "in the way")
_HOLDER = re.compile(r"--deployment '?([0-9TZ]+-[0-9a-f]+(?:\.[a-z-]+)?)")


@dataclass
class Crowd:
    """So many members, each of whom deploys so many times; where they are `frozen`, that takes a while."""

    harness: Harness
    seed: int
    members: int
    deployments: int
    frozen: bool = False
    errors: list[BaseException] = field(default_factory=list)

    def work(self) -> None:
        """Let all of them work at once, and wait for their end."""
        threads = [threading.Thread(target=self._member, args=(number,)) for number in range(self.members)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.errors:
            raise self.errors[0]

    def repair(self) -> list[Ended]:
        """What the next person does: end what was left behind, and deploy everywhere."""
        self.harness.rest()
        ends = []
        for environment in ENVIRONMENTS:
            self.harness.arena.hold(environment).touch()  # no script fails any more
            for claim in self._open_claims(environment):
                line = line_about("unlock", environment, claim, "--now", *REASON)
                ends.append(self.harness.operate(line, 0))
            ends.append(self.harness.operate(deploy_line(environment, "--again", "--yes"), 0))
        return ends

    def _open_claims(self, environment: str) -> list[str]:
        chain = self.harness.history().moves.get(f"api/{environment}", ())
        records = chain[-1].state.open if chain else ()
        return list(dict.fromkeys(record.claim for record in records))

    def _member(self, number: int) -> None:
        chance = random.Random(f"{self.seed}-{number}")  # noqa: S311 - the same in every run
        try:
            for turn in range(self.deployments):
                self._turn(chance, number, f"{number}{turn:03}", is_first=not turn)
        except BaseException as error:  # noqa: BLE001 - raised again by whoever started us
            self.errors.append(error)

    def _turn(self, chance: random.Random, clone: int, run: str, *, is_first: bool) -> None:
        """One deployment, and what its end calls for."""
        line = _line(chance, run, is_first=is_first)
        faults, blow, env = _faults(chance), self._blow(chance), _fail_point(chance)
        skew = chance.uniform(-SKEW, SKEW)
        ended = self.harness.operate(line, clone, faults=faults, blow=blow, env=env, skew=skew)
        following = _following(chance, line, ended)
        if following:
            self.harness.operate(following, clone, faults=_faults(chance))

    def _blow(self, chance: random.Random) -> Blow | None:
        """A signal for one in five, at any time of the second that most of them take."""
        drawn, after = chance.random(), chance.uniform(0.05, 1.2)
        if self.frozen and drawn < 0.02:
            return Blow(number=signal.SIGSTOP, after=after)
        number = chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
        return Blow(number=number, after=after) if drawn < 0.2 else None


def _line(chance: random.Random, run: str, *, is_first: bool) -> Line:
    """What somebody types, on the spur of the moment; where nothing runs yet there is no way back."""
    drawn, environment = 1.0 if is_first else chance.random(), chance.choice(list(ENVIRONMENTS))
    regions = _some(chance, environment)
    wait = ["--wait", "1"] if chance.random() < 0.3 else []
    if drawn < 0.1:
        return rollback_line(environment, regions)
    if drawn < 0.2:
        source = chance.choice([name for name in ENVIRONMENTS if name != environment])
        return promote_line(source, environment, "--yes", *wait)
    options = ["--yes", *wait]
    options += ["--again"] if chance.random() < 0.8 else []
    options += chance.choice([[], ["--parallel"], ["--sequential"], ["--keep-going"]])
    is_job = chance.random() < 0.5
    return deploy_line(
        environment,
        *options,
        regions=regions,
        version=chance.choice(VERSIONS),
        run=run if is_job else None,
        attempt=1 if is_job else 0,
    )


def _some(chance: random.Random, environment: str) -> tuple[Region, ...]:
    every = environment_of(environment)
    return tuple(chance.sample(every, chance.randint(1, len(every))))


def _faults(chance: random.Random) -> list[str]:
    """What becomes of the pushes; one in three operations meets nothing."""
    if chance.random() < 0.34:
        return []
    return [chance.choice(FAULTS) if chance.random() < 0.4 else "ok" for _ in range(8)]


def _fail_point(chance: random.Random) -> Mapping[str, str]:
    """One in eight dies at a place in the program."""
    place, action = chance.choice(FAIL_POINTS), chance.choice(["kill", "kill", "term", "int"])
    if chance.random() >= 0.125:
        return {}
    return {"CI_TASKS_TESTING": "1", "CI_TASKS_FAILPOINT": f"{place}={action}"}


def _following(chance: random.Random, line: Line, ended: Ended) -> Line | None:
    """What is typed next: a job is run again, an unknown end is settled, somebody in the way is ended."""
    holder, drawn = _HOLDER.search(ended.said), chance.random()
    if ended.status == -signal.SIGKILL and line.run and drawn < 0.5:
        return replace(line, attempt=line.attempt + 1)
    if ended.status == 6 and holder:
        return line_about("settle", line.environment, holder[1])
    if ended.status == 4 and holder and drawn < 0.3:
        return line_about("unlock", line.environment, holder[1], "--now", *REASON)
    if ended.status == 4 and holder and drawn < 0.5:
        return line_about(chance.choice(["unlock", "cancel"]), line.environment, holder[1], *REASON)
    return None
