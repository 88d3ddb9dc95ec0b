"""What is known of a run: operations, scripts, offers and moves, each at its place in one order of events.

Everything here is read without the code under test: a ledger is lines of JSON, a record a few of its fields.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Region = str | None

OPEN = frozenset({"PENDING", "RUNNING"})
NEVER_KNOWN = frozenset({6, 130, 143})
"""Exit codes after which a push may still be under way."""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One line that was typed. `kind` is the kind of the records it makes, or the task's name.

    `asked` are the regions that it was for, all of them spelt out (None: the environment has none). `began`
    and `ended` are places in the order of events; `status` is negative for a signal, None for "not known".
    `run` and `attempt` are those of its CI job; `faulty`: its pushes went wrong on purpose.
    """

    name: str
    kind: str
    tag: str
    began: int
    ended: int | None = None
    status: int | None = None
    version: str | None = None
    asked: tuple[Region, ...] = ()
    run: str | None = None
    attempt: int = 0
    faulty: bool = False

    @property
    def deploys(self) -> bool:
        """Whether it brings a version somewhere."""
        return self.kind in {"deploy", "rollback", "promote"}

    @property
    def was_killed(self) -> bool:
        """Whether it could not say how it ended."""
        return self.status is None or self.status < 0


@dataclass(frozen=True, kw_only=True)
class ScriptRun:
    """A script that ran for a deployment; `outcome` and `ended` are None where it did not get so far."""

    deployment: str
    tag: str
    region: Region
    version: str
    began: int
    ended: int | None = None
    outcome: str | None = None


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A push that reached the server; `fault` is what the server did to it."""

    operation: str
    fault: str
    tag: str
    old: str
    new: str
    position: int


@dataclass(frozen=True, kw_only=True)
class Record:
    """What a ledger says of one deployment in one region; `line` is all that it says."""

    deployment: str
    claim: str
    by: str
    version: str
    region: Region
    status: str
    kind: str
    commit: str
    nonce: str | None = None
    run: str | None = None
    attempt: int = 0
    seq: int | None = None
    prev: str | None = None
    digest: str | None = None
    lease_end: float | None = None
    scripts_started: bool = False
    line: str = ""

    @classmethod
    def read(cls, line: str) -> Record:
        """Read one line of a ledger."""
        found: dict[str, Any] = json.loads(line)
        run = found["run"] or {"id": None, "attempt": 0}
        return cls(
            deployment=found["deploymentId"],
            claim=found["claimId"],
            by=found["triggeredBy"],
            version=found["version"],
            region=found["region"],
            status=found["status"],
            kind=found["kind"],
            commit=found["commitSha"],
            nonce=found["nonce"],
            run=run["id"],
            attempt=run["attempt"],
            seq=found["seq"],
            prev=found["prev"],
            digest=found["digest"],
            lease_end=_seconds(found["leaseEnd"]),
            scripts_started=found["scriptsStarted"],
            line=line,
        )

    @property
    def is_open(self) -> bool:
        """Whether it may still change."""
        return self.status in OPEN


@dataclass(frozen=True, kw_only=True)
class Live:
    """What a header says of one region."""

    version: str | None
    commit: str | None
    deployment: str | None
    uncertain: bool


@dataclass(frozen=True, kw_only=True)
class State:
    """What stands in one tag object."""

    regions: tuple[str, ...]
    live: dict[str, Live]
    settled: bool
    target: str
    replaces: str | None
    cut: int = 0
    open: tuple[Record, ...] = ()
    closed: tuple[Record, ...] = ()

    @classmethod
    def read(cls, message: str) -> State:
        """Read the message of an environment tag."""
        first, *lines = message.partition("\n---\n")[2].splitlines()
        header: dict[str, Any] = json.loads(first)
        records = [Record.read(line) for line in lines]
        return cls(
            regions=tuple(header["regions"]),
            live={
                key: Live(
                    version=live["version"],
                    commit=live["commitSha"],
                    deployment=live["deploymentId"],
                    uncertain=live["uncertain"],
                )
                for key, live in header["live"].items()
            },
            settled=header["settled"],
            target=header["target"],
            replaces=header["replaces"],
            cut=header["cut"]["seq"] if header["cut"] else 0,
            open=tuple(record for record in records if record.is_open),
            closed=tuple(record for record in records if not record.is_open),
        )

    @property
    def records(self) -> tuple[Record, ...]:
        """All of them, in the tag's order."""
        return (*self.open, *self.closed)


@dataclass(frozen=True, kw_only=True)
class Move:
    """An environment tag went from one object to another: where in the order, when, and who wrote it."""

    tag: str
    position: int
    at: float
    author: str
    old: str | None
    new: str
    peeled: str
    state: State


@dataclass(frozen=True, kw_only=True)
class History:
    """A whole run. Times in seconds: how far clocks were put wrong, and what the rules on time are.

    `moves` has the whole chain of each tag; `lost` names the objects that were committed and are not in it.
    """

    operations: dict[str, Operation] = field(default_factory=dict)
    scripts: tuple[ScriptRun, ...] = ()
    moves: dict[str, tuple[Move, ...]] = field(default_factory=dict)
    offers: tuple[Offer, ...] = ()
    lost: tuple[tuple[str, str], ...] = ()
    skew: float = 0.0
    grace: float = 120.0
    patience: float = 60.0


def overlaps(one: Region, other: Region) -> bool:
    """Whether two deployments are for the same place: no region stands for all of them."""
    return one is None or other is None or one == other


def _seconds(text: str | None) -> float | None:
    return None if text is None else datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
