"""The ledger of an environment tag: pure functions from one state of it to the next.

The rules stand in the architecture's chapters on tags and deployments: open records first, closed ones
newest first, chained by SHA-256; the target moves only when every region's newest success is one commit.
What is kept stands in `retention.py`, what waits for a look in `review.py`.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

import msgspec

from ci_tasks.core.entity import canonical_json
from ci_tasks.core.errors import ConflictError
from ci_tasks.tag.model import SCHEMA, Deployment, Header, Live, region_key
from ci_tasks.tag.names import DeploymentKind, DeploymentStatus

TAKEOVER_GRACE = timedelta(seconds=120)
"""How long after a lease's end, by the observer's clock, somebody else may take over."""


_NOTHING = Live(
    version=None,
    commit_sha=None,
    since=None,
    triggered_by=None,
    deployment_id=None,
    inputs=None,
    uncertain=False,
    attempted=None,
)


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """Header, open records, and closed records newest first."""

    header: Header
    open: tuple[Deployment, ...] = ()
    closed: tuple[Deployment, ...] = ()

    def find(self, identifier: str) -> tuple[Deployment, ...]:
        """The records of a deployment id or a claim id."""
        return tuple(
            record
            for record in (*self.open, *self.closed)
            if identifier in (record.deployment_id, record.claim_id)
        )


def empty(*, repository: str, subproject: str, environment: str, target: str) -> Ledger:
    """The ledger of an environment tag that does not exist yet."""
    header = Header(
        schema=SCHEMA,
        repository=repository,
        subproject=subproject or None,
        environment=environment,
        regions=(),
        live={},
        settled=False,
        target=target,
        replaces=None,
        cut=None,
    )
    return Ledger(header=header)


def overlaps(one: str | None, other: str | None) -> bool:
    """True where two claims are for the same place: no region stands for every region."""
    return one is None or other is None or one == other


def is_expired(record: Deployment, now: datetime) -> bool:
    """True where the claim's lease, or the wait, ended so long ago that nobody has to mind it any more."""
    return record.lease_end is not None and now >= record.lease_end + TAKEOVER_GRACE


def holders(ledger: Ledger, regions: tuple[str | None, ...]) -> tuple[Deployment, ...]:
    """The running records that stand in the way of a claim on these regions."""
    return tuple(
        record
        for record in ledger.open
        if record.status is DeploymentStatus.RUNNING
        and any(overlaps(record.region, region) for region in regions)
    )


def claim(ledger: Ledger, records: tuple[Deployment, ...], *, regions: tuple[str, ...]) -> Ledger:
    """Add running records; `regions` are all that the environment has today. Those that waited stay in place.

    Raises ConflictError where a running record stands in the way: close the expired ones first.
    """
    held = holders(ledger, tuple(record.region for record in records))
    if held:
        raise ConflictError(f"{held[0].deployment_id} holds the claim.")
    header = msgspec.structs.replace(ledger.header, regions=regions)
    new = {record.deployment_id: record for record in records}
    there = [new.pop(record.deployment_id, record) for record in ledger.open]
    return msgspec.structs.replace(ledger, header=header, open=(*there, *new.values()))


def with_regions(ledger: Ledger, regions: tuple[str, ...]) -> Ledger:
    """The ledger of an environment that has these regions today."""
    return msgspec.structs.replace(ledger, header=msgspec.structs.replace(ledger.header, regions=regions))


def touched(ledger: Ledger) -> Ledger:
    """The same ledger, to be written once more: whoever still holds the old object loses his lease."""
    return msgspec.structs.replace(ledger)


def change(ledger: Ledger, deployment_id: str, **fields: object) -> Ledger:
    """Change fields of one open record."""
    records = tuple(
        msgspec.structs.replace(record, **fields) if record.deployment_id == deployment_id else record
        for record in ledger.open
    )
    return msgspec.structs.replace(ledger, open=records)


def close(
    ledger: Ledger,
    deployment_id: str,
    status: DeploymentStatus,
    *,
    at: datetime,
    ended_by: str | None = None,
    scripts_started: bool | None = None,
) -> Ledger:
    """Close one open record for good: it gets its number, its link and its place in the live map."""
    (record,) = (record for record in ledger.open if record.deployment_id == deployment_id)
    last, prev = newest(ledger)
    closed = msgspec.structs.replace(
        record,
        status=status,
        completed_at=max(at, record.started_at),
        ended_by=ended_by,
        scripts_started=record.scripts_started if scripts_started is None else scripts_started,
        lease_end=None,
        seq=last + 1,
        prev=prev,
    )
    key = region_key(record.region)
    after = _live_after(ledger.header.live.get(key), closed)
    live = ledger.header.live if after is None else {**ledger.header.live, key: after}
    return Ledger(
        header=msgspec.structs.replace(ledger.header, live=live),
        open=tuple(other for other in ledger.open if other.deployment_id != deployment_id),
        closed=(closed, *ledger.closed),
    )


def assign(
    ledger: Ledger, records: tuple[Deployment, ...], *, regions: tuple[str, ...], at: datetime
) -> Ledger:
    """Say that versions are live without a deployment: each record is closed as SUCCESS in the same step.

    `regions` are all that the environment has today. Raises ConflictError where a running record stands in
    the way: close the expired ones first.
    """
    state = claim(ledger, records, regions=regions)
    for record in records:
        state = close(state, record.deployment_id, DeploymentStatus.SUCCESS, at=at, scripts_started=False)
    return state


def close_expired(
    ledger: Ledger, regions: tuple[str | None, ...], *, at: datetime, except_for: str | None = None
) -> Ledger:
    """Close the claims on these regions whose lease is long over, and the waits there that are.

    The owner may have died between a script's start and the record of it: their scripts count as started.
    `except_for` is a claim id: whoever asks knows that its owner, himself, is alive.
    """
    for record in ledger.open:
        is_there = any(overlaps(record.region, region) for region in regions)
        if is_there and is_expired(record, at) and record.claim_id != except_for:
            ledger = _closed_as_expired(ledger, record, at=at)
    return ledger


def _closed_as_expired(ledger: Ledger, record: Deployment, *, at: datetime) -> Ledger:
    is_running = record.status is DeploymentStatus.RUNNING
    what = "its lease ended at" if is_running else "its wait ended at"
    return close(
        ledger,
        record.deployment_id,
        DeploymentStatus.CANCELLED,
        at=at,
        ended_by=f"{what} {record.lease_end:%Y-%m-%d %H:%M:%S} UTC",
        scripts_started=is_running,
    )


def observed(ledger: Ledger, now: datetime) -> Ledger:
    """The ledger as it has to be judged now: claims whose lease is long over count as closed.

    Their regions are uncertain, though nobody has written that yet. Whoever writes goes on from the ledger
    as it was read. The very same ledger where there are none; those that only wait stay as they are.
    """
    for record in ledger.open:
        if record.status is DeploymentStatus.RUNNING and is_expired(record, now):
            ledger = _closed_as_expired(ledger, record, at=now)
    return ledger


def _live_after(before: Live | None, closed: Deployment) -> Live | None:
    if closed.kind is DeploymentKind.REVIEW:
        return before  # it says something of another record, and nothing of what runs
    if closed.status is DeploymentStatus.SUCCESS:
        return Live(
            version=closed.version,
            commit_sha=closed.commit_sha,
            since=closed.completed_at,
            triggered_by=closed.triggered_by,
            deployment_id=closed.deployment_id,
            inputs=closed.inputs,
            uncertain=False,
            attempted=None,
        )
    if not closed.scripts_started:
        return before
    return msgspec.structs.replace(before or _NOTHING, uncertain=True, attempted=closed.version)


def settle_target(ledger: Ledger) -> Ledger:
    """Move the target where every listed region's newest success is one commit; else leave it and say so.

    Regions that are no longer listed leave the live map with the first settlement after that.
    """
    header = ledger.header
    keys = header.regions or ("",)
    commits = {header.live[key].commit_sha if key in header.live else None for key in keys}
    (target,) = commits if len(commits) == 1 else (None,)
    if target is None:
        header = msgspec.structs.replace(header, settled=False)
    else:
        live = {key: header.live[key] for key in keys}
        header = msgspec.structs.replace(header, settled=True, target=target, live=live)
    return msgspec.structs.replace(ledger, header=header)


def with_line(record: Deployment, line: bytes) -> Deployment:
    """The same closed record, which remembers its line in the tag; a changed copy of it does not."""
    record.__dict__["line"] = line
    return record


def line(record: Deployment) -> bytes:
    """A closed record's line: as it was read, whatever today's program would write; else canonical JSON."""
    read: bytes | None = record.__dict__.get("line")
    return read if read is not None else canonical_json(record)


def digest(record: Deployment) -> str:
    """SHA-256 of a closed record's line, as it was before it was shrunk."""
    return record.digest or hashlib.sha256(line(record)).hexdigest()


def newest(ledger: Ledger) -> tuple[int, str | None]:
    """Number and digest of the newest record that was ever closed, though it be dropped; 0 and None: none."""
    cut = ledger.header.cut
    seq = (ledger.closed[0].seq or 0) if ledger.closed else 0
    if cut is not None and cut.seq > seq:
        return cut.seq, cut.sha256
    return seq, digest(ledger.closed[0]) if ledger.closed else None


def chain_faults(ledger: Ledger) -> list[str]:
    """What is wrong with the chain of closed records; empty where nothing is.

    Behind the cut there are gaps, and it is itself the record that was dropped last: those that stayed there
    are in order, and neighbours are linked as anywhere else. What a cut and a shrunk record say of
    themselves is judged in `chain.py`.
    """
    cut = ledger.header.cut
    faults: list[str] = []
    last, sha256 = 0, None
    for record in reversed(ledger.closed):
        name, seq = record.deployment_id, record.seq or 0
        is_behind = cut is not None and seq <= cut.seq
        if cut is not None and not is_behind and last <= cut.seq:
            last, sha256 = cut.seq, cut.sha256
        if cut is not None and seq == cut.seq:
            faults.append(f"{name} is there, and the cut says that it was dropped")
        elif seq <= last or (seq != last + 1 and not is_behind):
            faults.append(f"{name} has number {record.seq} where {last + 1} is due")
        elif seq == last + 1 and record.prev != sha256:
            faults.append(f"{name} does not follow from the record before it")
        last, sha256 = seq, digest(record)
    return faults
