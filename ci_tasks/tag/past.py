"""What the ledger tells of one region: which versions ran there in turn, and which were left again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ci_tasks.tag.model import region_key
from ci_tasks.tag.names import DeploymentKind, DeploymentStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.model import Deployment


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """The record that brought a version, or was to bring it; `is_again`: where that version ran already."""

    record: Deployment
    is_again: bool = False

    @property
    def what(self) -> tuple[str, bool]:
        """The version, and whether it ran there already."""
        return self.record.version, self.is_again

    @property
    def number(self) -> int:
        """When it came, by the number of its record; 0 where that is only known of a rollback to it."""
        is_back = self.record.kind is DeploymentKind.ROLLBACK and not self.is_again
        return 0 if is_back else self.record.seq or 0


@dataclass(frozen=True, kw_only=True)
class Past:
    """The past of a region.

    `versions` are all that were tried, those that succeeded newest first, before the others; `successes` the
    commit of each that succeeded. `left` are those that were rolled back from, and not deployed again since;
    `passed` those among them that did not run any more when that was done.
    `tried` is what a rollback would take back: the version that runs, or the newest attempt, where it broke
    off. What a rollback that broke off was to take back is still to be taken back. `undone` is what was taken
    back last, `begun` are the versions that changed something.
    """

    live: str | None
    is_uncertain: bool
    versions: tuple[str, ...]
    successes: dict[str, str]
    left: frozenset[str]
    passed: frozenset[str]
    tried: Attempt | None
    undone: Attempt | None
    begun: frozenset[str]

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
        story = _told(records)
        in_turn = [turn.version for turn in story.ran]
        order = dict.fromkeys(
            [*_known(live.version if live else None), *reversed(in_turn), *(one.version for one in succeeded)]
        )
        tried = dict.fromkeys(record.version for record in records)
        return cls(
            live=live.version if live else None,
            is_uncertain=bool(live and live.uncertain),
            versions=tuple(dict.fromkeys([*order, *tried])),
            successes=commits,
            left=frozenset(version for version in story.left if version is not None),
            passed=frozenset(story.passed & story.left),
            tried=story.tried,
            undone=story.undone,
            begun=frozenset(record.version for record in records if _changed_something(record)),
        )


def needed(records: Sequence[Deployment]) -> set[str]:
    """The ids of a region's closed records (newest first) without which a rollback would find another past.

    They are the newest that changed something, what a rollback would take back, the last rollbacks and what
    they took back, and those that brought what is live there, and what a rollback goes back to: the first
    time, and the last time. Versions that were rolled back from in between need not be known.
    """
    story = _told(records)
    before = [turn for turn in story.ran[:-1] if turn.version not in {*story.left, story.ran[-1].version}]
    kept = [record for turn in (*before[-1:], *story.ran[-1:]) for record in (turn.first, turn.last)]
    kept += [attempt.record for attempt in (story.tried, story.undone) if attempt is not None]
    changed = [record for record in records if _changed_something(record)]
    back = [record for record in changed if record.kind is DeploymentKind.ROLLBACK]
    kept += [*changed[:1], *back[:1], *[record for record in back if is_success(record)][:1]]
    last = {record.version: record for record in reversed(back)}
    kept += [last[version] for version in {record.version for record in kept} & last.keys()]
    return {record.deployment_id for record in kept}


def origins(records: Sequence[Deployment]) -> dict[str, str]:
    """The id of each rollback of a region to that of the record which brought its version there before.

    Without it, a rollback seems to go to a version that never ran, and its past is another one.
    """
    return _told(records).origins


@dataclass(kw_only=True)
class _Turn:
    """A version that ran, from the record that brought it first to the one that brought it last."""

    version: str
    first: Deployment
    last: Deployment


@dataclass(kw_only=True)
class _Story:
    """The versions that ran in turn, without those that were rolled back from, and these."""

    ran: list[_Turn] = field(default_factory=list)
    left: set[str | None] = field(default_factory=set)
    passed: set[str] = field(default_factory=set)
    tried: Attempt | None = None
    undone: Attempt | None = None
    origins: dict[str, str] = field(default_factory=dict)


def _told(records: Sequence[Deployment]) -> _Story:
    """What a region's closed records (newest first) tell.

    A rollback takes what ran after its version away, even one that broke off: somebody wanted to leave it.
    """
    story = _Story()
    ran, left = story.ran, story.left
    attempted: str | None = None
    for record in reversed(records):
        version = record.version
        if not _changed_something(record):
            continue
        if record.kind is DeploymentKind.ROLLBACK:
            newest = ran[-1].version if ran else None
            while ran and ran[-1].version != version and any(turn.version == version for turn in ran):
                gone = ran.pop().version
                left.add(gone)
                story.passed |= {gone} - {newest}
                story.passed -= {newest}
            if ran and ran[-1].version != version:  # its own first record was dropped
                left.add(ran[-1].version)
            left |= {attempted} - {None, version}
            for turn in ran:
                if turn.version == version:
                    story.origins[record.deployment_id] = turn.first.deployment_id
        if is_success(record):
            left.discard(version)
            if ran and ran[-1].version == version:
                ran[-1].last = record
            else:
                ran.append(_Turn(version=version, first=record, last=record))
        story.tried, story.undone = _attempt_after(story, record)
        attempted = None if is_success(record) else version
    return story


def _attempt_after(story: _Story, record: Deployment) -> tuple[Attempt | None, Attempt | None]:
    """What a rollback would take back after this record, and what the last one has taken back."""
    tried, undone = story.tried, story.undone
    top = story.ran[-1] if story.ran else None
    is_again = top is not None and top.version == record.version
    if top is not None and is_success(record):
        if record.kind is DeploymentKind.ROLLBACK and tried is not None and tried.record is not top.first:
            undone = tried
        return Attempt(record=top.first), undone
    is_rollback = record.kind is DeploymentKind.ROLLBACK
    if is_rollback and tried is not None and not (is_again and top and tried.record is top.first):
        return tried, undone
    return Attempt(record=record, is_again=is_again), undone


def _known(version: str | None) -> list[str]:
    return [] if version is None else [version]


def is_success(record: Deployment) -> bool:
    """True where a record says that its version runs there, or ran."""
    return record.status is DeploymentStatus.SUCCESS


def _changed_something(record: Deployment) -> bool:
    return is_success(record) or record.scripts_started
