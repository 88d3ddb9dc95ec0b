"""Histories made by hand: a run is told step by step, and a single step of it can be told wrong."""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from tests.stress.history import History, Move, Offer, Operation, ScriptRun, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.stress.history import Region

TAG = "api/staging"
REGIONS = ("us-east", "eu-west")
LEASE = 10.0
START = 1_767_614_400
ZERO = "0" * 40


def commit_of(version: str) -> str:
    """The commit that a version stands on."""
    return hashlib.sha1(version.encode(), usedforsecurity=False).hexdigest()


@dataclass
class Ledger:
    """A tag's header and records as they will be written."""

    open: list[dict[str, Any]] = field(default_factory=list)
    closed: list[dict[str, Any]] = field(default_factory=list)
    header: dict[str, Any] = field(default_factory=dict)

    def of(self, deployment: str) -> dict[str, Any]:
        """The open record of that id."""
        return next(record for record in self.open if record["deploymentId"] == deployment)


@dataclass
class Story:
    """What happened so far; every method adds to it."""

    tag: str = TAG
    regions: tuple[str, ...] = REGIONS
    now: float = START
    position: int = 0
    operations: dict[str, Operation] = field(default_factory=dict)
    scripts: list[ScriptRun] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    offers: list[Offer] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)

    def tick(self, seconds: float = 1.0) -> int:
        """Time goes on; the next place in the order."""
        self.now += seconds
        self.position += 1
        return self.position

    def begin(self, name: str, kind: str = "deploy", **other: Any) -> Story:
        """Somebody types a line."""
        given = {"version": "v1.0.0", "asked": ("us-east",), **other}
        self.operations[name] = Operation(name=name, kind=kind, tag=self.tag, began=self.tick(), **given)
        return self

    def end(self, name: str, status: int | None) -> Story:
        """It ends."""
        self.operations[name] = replace(self.operations[name], ended=self.tick(), status=status)
        return self

    def write(self, author: str, edit: Callable[[Ledger], None], **wrong: Any) -> Story:
        """Somebody moves the tag; `wrong` are fields of the move or the header that are told wrong."""
        position = self.tick()
        ledger = copy.deepcopy(self.ledger)
        old = self.moves[-1].new if self.moves else None
        edit(ledger)
        header = self._header(ledger, old)
        header |= {key: value for key, value in wrong.items() if key in header}
        ledger.header = header
        text = "\n".join(map(_line, [header, *ledger.open, *ledger.closed]))
        new = hashlib.sha1(f"{text}{position}".encode(), usedforsecurity=False).hexdigest()
        move = Move(
            tag=self.tag,
            position=position,
            at=self.now,
            author=author,
            old=old,
            new=new,
            peeled=header["target"],
            state=State.read(f"prose\n---\n{text}\n"),
        )
        self.moves.append(replace(move, **{key: wrong[key] for key in wrong if key not in header}))
        self.ledger = ledger
        return self

    def claim(
        self, name: str, *regions: Region, status: str = "RUNNING", author: str = "", **wrong: Any
    ) -> Story:
        """Somebody adds records of his."""
        operation = self.operations[name]

        def added(ledger: Ledger) -> None:
            for region in regions or operation.asked:
                ledger.open.append(self._record(operation, region, status))

        return self.write(author or name, added, **wrong)

    def start(self, name: str, **other: Any) -> Story:
        """Those who waited begin."""

        def begun(ledger: Ledger) -> None:
            for record in ledger.open:
                if record["triggeredBy"] == name:
                    record["status"] = "RUNNING"
                    record["leaseEnd"] = _stamp(self.now + LEASE)

        return self.write(name, begun, **other)

    def run(self, name: str, region: Region = "us-east", outcome: str | None = "done", **other: Any) -> Story:
        """A script runs; without an outcome it does not get to its end."""
        given = {
            "deployment": f"{name}.{region}",
            "tag": self.tag,
            "region": region,
            "version": self.operations[name].version,
            "began": self.tick(),
            "ended": self.tick() if outcome else None,
            "outcome": outcome,
        }
        self.scripts.append(ScriptRun(**(given | other)))
        return self

    def close(
        self,
        name: str,
        region: Region = "us-east",
        status: str = "SUCCESS",
        *,
        author: str = "",
        scripts_started: bool = True,
        **wrong: Any,
    ) -> Story:
        """Somebody ends a record."""

        def ended(ledger: Ledger) -> None:
            record = ledger.of(f"{name}.{region}")
            ledger.open.remove(record)
            put(ledger, {**record, "status": status, "leaseEnd": None, "scriptsStarted": scripts_started})

        return self.write(author or name, ended, **wrong)

    def vanish(self, name: str, author: str = "") -> Story:
        """Somebody's open records are not there any more."""

        def gone(ledger: Ledger) -> None:
            ledger.open = [record for record in ledger.open if record["triggeredBy"] != name]

        return self.write(author or name, gone)

    def offer(self, name: str, new: str, fault: str = "ok", old: str = ZERO) -> Story:
        """A push reaches the server."""
        self.offers.append(
            Offer(operation=name, fault=fault, tag=self.tag, old=old, new=new, position=self.tick())
        )
        return self

    def deployed(self, name: str, version: str = "v1.0.0", *regions: str) -> Story:
        """A whole deployment without a fault."""
        asked = regions or self.regions
        self.begin(name, version=version, asked=asked).claim(name)
        for region in asked:
            self.run(name, region).close(name, region)
        return self.end(name, 0)

    def history(self, **other: Any) -> History:
        """What it all is for the checker."""
        return History(
            operations=self.operations,
            scripts=tuple(self.scripts),
            moves={self.tag: tuple(self.moves)} if self.moves else {},
            offers=tuple(self.offers),
            **{"grace": 5.0, "patience": 6.0, **other},
        )

    def _record(self, operation: Operation, region: Region, status: str) -> dict[str, Any]:
        run = {"id": operation.run, "attempt": operation.attempt} if operation.run else None
        return {
            "deploymentId": f"{operation.name}.{region}",
            "claimId": operation.name,
            "version": operation.version,
            "region": region,
            "status": status,
            "triggeredBy": operation.name,
            "commitSha": commit_of(operation.version or ""),
            "kind": operation.kind,
            "nonce": operation.name,
            "run": run,
            "seq": None,
            "prev": None,
            "digest": None,
            "leaseEnd": _stamp(self.now + LEASE),
            "stopRequested": None,
            "scriptsStarted": False,
        }

    def _header(self, ledger: Ledger, old: str | None) -> dict[str, Any]:
        live: dict[str, dict[str, Any]] = {}
        for record in reversed(ledger.closed):
            key = record["region"] or ""
            nothing = {"version": None, "commitSha": None, "deploymentId": None}
            if record["status"] == "SUCCESS":
                live[key] = {**{name: record[name] for name in nothing}, "uncertain": False}
            elif record["scriptsStarted"]:
                live[key] = {**nothing, **live.get(key, {}), "uncertain": True}
        commits = {live.get(key, {}).get("commitSha") for key in self.regions or ("",)}
        common = commits.pop() if len(commits) == 1 else None
        before = self.moves[-1].peeled if self.moves else (ledger.open + ledger.closed)[0]["commitSha"]
        return {
            "regions": list(self.regions),
            "live": live,
            "settled": common is not None,
            "target": common or before,
            "replaces": old,
            "cut": None,
        }


def put(ledger: Ledger, record: dict[str, Any]) -> None:
    """Close a record: it gets its number and its link."""
    newest = ledger.closed[0] if ledger.closed else None
    prev = hashlib.sha256(_line(newest).encode()).hexdigest() if newest else None
    ledger.closed.insert(0, {**record, "seq": (newest["seq"] if newest else 0) + 1, "prev": prev})


def _line(document: dict[str, Any]) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def _stamp(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
