"""What the ledger tells of one region: which versions ran there in turn, and which were left again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci_tasks.tag.model import region_key
from ci_tasks.tag.names import DeploymentKind, DeploymentStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.model import Deployment


@dataclass(frozen=True, kw_only=True)
class Past:
    """The past of a region.

    `versions` are all that were tried, those that succeeded newest first, before the others; `successes` the
    commit of each that succeeded. `left` are those that were rolled back from, and not deployed again since.
    `newest` is the newest record that changed something, `records` are all closed ones, newest first.
    """

    live: str | None
    is_uncertain: bool
    versions: tuple[str, ...]
    successes: dict[str, str]
    left: frozenset[str]
    newest: Deployment | None
    records: tuple[Deployment, ...]

    @classmethod
    def of(cls, ledger: Ledger, region: str | None) -> Past:
        """The past of a region, by the closed records that the ledger still has."""
        records = tuple(
            record
            for record in ledger.closed
            if record.region == region and record.kind is not DeploymentKind.REVIEW
        )
        live = ledger.header.live.get(region_key(region))
        succeeded = [record for record in records if is_success(record)]
        commits = {record.version: record.commit_sha for record in reversed(succeeded)}
        if live is not None and live.version is not None and live.commit_sha is not None:
            commits[live.version] = live.commit_sha  # whose record may have been dropped
        turns, left = _in_turn(records)
        in_turn = [turn.version for turn in turns]
        order = dict.fromkeys(
            [*_known(live.version if live else None), *reversed(in_turn), *(one.version for one in succeeded)]
        )
        tried = dict.fromkeys(record.version for record in records)
        return cls(
            live=live.version if live else None,
            is_uncertain=bool(live and live.uncertain),
            versions=tuple(dict.fromkeys([*order, *tried])),
            successes=commits,
            left=frozenset(left),
            newest=next((record for record in records if _changed_something(record)), None),
            records=records,
        )

    def of_claim(self, claim_id: str) -> Deployment | None:
        """What became of a claim here; None where it was for other regions."""
        return next((record for record in self.records if record.claim_id == claim_id), None)


def needed(records: Sequence[Deployment]) -> set[str]:
    """The ids of a region's closed records (newest first) without which a rollback would find another past.

    They are the newest that changed something, and those that brought what is live there, and what a rollback
    goes back to: the first time, and the last time. Versions that were rolled back from in between need not
    be known.
    """
    turns, _ = _in_turn(records)
    kept = [record for turn in turns[-2:] for record in (turn.first, turn.last)]
    kept += [record for record in records if _changed_something(record)][:1]
    return {record.deployment_id for record in kept}


@dataclass(kw_only=True)
class _Turn:
    """A version that ran, from the record that brought it first to the one that brought it last."""

    version: str
    first: Deployment
    last: Deployment


def _in_turn(records: Sequence[Deployment]) -> tuple[list[_Turn], set[str]]:
    """The versions that ran in turn, without those that were rolled back from, and these.

    A rollback takes what ran after its version away, even one that broke off: somebody wanted to leave it.
    """
    ran: list[_Turn] = []
    left: set[str | None] = set()
    attempted: str | None = None
    for record in reversed(records):
        version = record.version
        if not _changed_something(record):
            continue
        if record.kind is DeploymentKind.ROLLBACK:
            while ran and ran[-1].version != version and any(turn.version == version for turn in ran):
                left.add(ran.pop().version)
            if ran and ran[-1].version != version:  # its own first record was dropped
                left.add(ran[-1].version)
            left |= {attempted} - {None, version}
        if is_success(record):
            left.discard(version)
            if ran and ran[-1].version == version:
                ran[-1].last = record
            else:
                ran.append(_Turn(version=version, first=record, last=record))
        attempted = None if is_success(record) else version
    return ran, {version for version in left if version is not None}


def _known(version: str | None) -> list[str]:
    return [] if version is None else [version]


def is_success(record: Deployment) -> bool:
    """True where a record says that its version runs there, or ran."""
    return record.status is DeploymentStatus.SUCCESS


def _changed_something(record: Deployment) -> bool:
    return is_success(record) or record.scripts_started
