"""The tags of one moment in a file of its own, and what has become of them since."""

from __future__ import annotations

import hashlib
from shlex import quote
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from ci_tasks.core.command_line import typed
from ci_tasks.core.entity import Entity, canonical_json, from_json, to_json
from ci_tasks.core.errors import UsageError
from ci_tasks.core.files import read_file, write_atomically
from ci_tasks.tag import annotation, chain, retention
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag.audit.audit import commit_of, show_line
from ci_tasks.tag.audit.finding import FindingKind, finding
from ci_tasks.tag.fresh import CLOCKS
from ci_tasks.tag.grammar import EnvironmentTag, StateTag
from ci_tasks.tag.model import CommitId, Digest, Moment, RecordId, RegionKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from ci_tasks.core.git.origin import RemoteRef
    from ci_tasks.tag.audit.finding import Finding
    from ci_tasks.tag.grammar import VersionTag
    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.listing import Listing
    from ci_tasks.tag.model import Deployment

LARGEST = 256 * 1024 * 1024
"""Bytes of a file that is read: 100,000 tags with long names take an eighth, as many records less."""
MOST_TAGS = 250_000
FORM = 1
_CORE = (
    "deployment_id",
    "version",
    "subproject",
    "environment",
    "region",
    "status",
    "started_at",
    "completed_at",
    "triggered_by",
    "commit_sha",
    "claim_id",
    "kind",
    "override",
    "scripts_started",
    "seq",
    "prev",
    "reviews",
)
"""What a record keeps when it is shrunk."""

TagName = Annotated[str, Meta(pattern=r"^[a-z0-9_][a-z0-9._/-]{0,119}$(?!\n)")]


class ImmutableTag(Entity, frozen=True, kw_only=True):
    """The tag of a version or a state: its object, and the commit that it leads to."""

    tag_id: CommitId
    commit_sha: CommitId


class KeptRecord(Entity, frozen=True, kw_only=True):
    """A closed record: when it ended, and the half of a SHA-256 over what stays when it is shrunk."""

    completed_at: Moment
    core: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$(?!\n)")]


class NewestRecord(Entity, frozen=True, kw_only=True):
    """How far a ledger went: its newest closed record's number and SHA-256; 0 and null where it had none.

    `records` are the closed records that it had, by number; `live` names what had brought each region there.
    """

    seq: Annotated[int, Meta(ge=0)]
    sha256: Digest | None
    records: Annotated[dict[int, KeptRecord], Meta(max_length=MOST_TAGS)] = {}  # noqa: RUF012 - msgspec copies it
    live: dict[RegionKey, RecordId | None] = {}  # noqa: RUF012 - msgspec copies it


class Export(Entity, frozen=True, kw_only=True):
    """What `--export` writes. `subproject` is the one that it is of, null for all of them."""

    form: int
    repository: str
    subproject: str | None
    exported_at: Moment
    immutable: Annotated[dict[TagName, ImmutableTag], Meta(max_length=MOST_TAGS)]
    environments: Annotated[dict[TagName, NewestRecord], Meta(max_length=MOST_TAGS)]


def taken(
    *,
    repository: str,
    subproject: str | None,
    at: datetime,
    immutable: Iterable[tuple[VersionTag | StateTag, RemoteRef]],
    newest: Mapping[str, NewestRecord],
) -> Export:
    """The export of what was just read."""
    return Export(
        form=FORM,
        repository=repository,
        subproject=subproject,
        exported_at=at,
        immutable={
            str(tag): ImmutableTag(tag_id=ref.object_id, commit_sha=commit_of(ref)) for tag, ref in immutable
        },
        environments=dict(newest),
    )


def newest_of(ledger: Ledger) -> NewestRecord:
    """How far a ledger went: its newest closed record, or what its cut says of it, and all that are there."""
    seq, sha256 = ledgers.newest(ledger)
    return NewestRecord(
        seq=seq,
        sha256=sha256,
        records={
            record.seq or 0: KeptRecord(
                completed_at=record.completed_at or record.started_at, core=_core(record)
            )
            for record in ledger.closed
        },
        live={key: live.deployment_id for key, live in ledger.header.live.items()},
    )


def _core(record: Deployment) -> str:
    """Half of a SHA-256 over what a record keeps when it is shrunk: nothing in the chain vouches for that."""
    values = [ledgers.digest(record), *(getattr(record, field) for field in _CORE)]
    return hashlib.sha256(canonical_json(values)).hexdigest()[:32]


def read(path: Path) -> Export:
    """Read an export. Raises UsageError, with the place in it, for a file that is none."""
    data = read_file(path, root=path.parent, largest=LARGEST)
    export = from_json(data, Export, what=f"The export {path.name}")
    if export.form != FORM:
        raise UsageError(
            f"The export {path.name} is of form {export.form}; this program knows {FORM}.",
            unchanged="Nothing was changed.",
        )
    return export


def write(path: Path, export: Export) -> None:
    """Put an export in place of the file, whole or not at all. UnavailableError if it can't be written."""
    write_atomically(path, to_json(export, indent=1) + b"\n")


def replaced(path: Path) -> Export | None:
    """The export that would be written over; UsageError where it is something else."""
    if not (path.exists() or path.is_symlink()):
        return None
    try:
        return read(path)
    except UsageError as error:
        raise UsageError(
            f"{path.name} is not written over: {error.what}",
            unchanged="Nothing was changed.",
            details=["An export takes the place of an older one, and of nothing else."],
        ) from None


def changes(
    export: Export,
    listing: Listing,
    gaps: Mapping[str, str | None],
    *,
    subproject: str | None,
    file: str,
) -> Iterator[Finding]:
    """What is not as it was at the export. What is new since then is fine.

    `gaps` says of each ledger that can be read what `gap` says of it; `subproject` is the one to compare,
    None for all that the export is of. `file` is the one that the export was read from.
    """
    for name, was in export.immutable.items():
        if subproject in {None, name.rpartition("/")[0]}:
            yield from _immutable_changes(name, was, listing)
    for name in export.environments:
        if subproject in {None, name.rpartition("/")[0]}:
            yield from _ledger_changes(name, listing, gaps, _anew_line(export, file))


def gap(ledger: Ledger, was: NewestRecord, *, now: datetime) -> str | None:
    """Why a ledger does not go on from what it was at the export; None where it does.

    It goes on where each record of then is there as it was, or was dropped, and could be: it was old enough
    by now, or the ledger is so large that newer ones go, too.
    """
    return next(_gaps(ledger, was, now), None)


def _gaps(ledger: Ledger, was: NewestRecord, now: datetime) -> Iterator[str]:
    kept = {record.seq: record for record in ledger.closed}
    cut = ledger.header.cut
    newest, follower = kept.get(was.seq), kept.get(was.seq + 1)
    if was.seq and newest is None and (cut is None or cut.seq < was.seq):
        yield "its newest record of then is not in it any more"
    linked = [
        *([ledgers.digest(newest)] if newest else []),
        *([follower.prev] if follower else []),
        *([cut.sha256] if cut and cut.seq == was.seq else []),
    ]
    if any(sha256 != was.sha256 for sha256 in linked):
        yield "its newest record of then is another one now"
    is_large = annotation.size(ledger) > chain.NEVER_DROPPED
    for seq, record in was.records.items():
        if seq in kept:
            if _core(kept[seq]) != record.core:
                yield f"{kept[seq].deployment_id} is not what it was"
        elif cut is None or seq > cut.seq:
            yield f"its record number {seq} of then is gone, and was not dropped as old ones are"
        elif not is_large and now - record.completed_at <= retention.KEEP_DAYS - CLOCKS:
            yield f"its record number {seq} of then was dropped before its time"
    listed = ledger.header.regions or ("",)
    for key in was.live:
        if key in listed and key not in ledger.header.live:
            yield f"{key or ledger.header.environment} was live at the export, and is not any more"


def _immutable_changes(name: str, was: ImmutableTag, listing: Listing) -> Iterator[Finding]:
    ref = listing.refs.get(name)
    if ref is None:
        yield _vanished(name, was, listing)
    elif (ref.object_id, commit_of(ref)) != (was.tag_id, was.commit_sha):
        where = f"on {was.commit_sha[:12]}"
        if commit_of(ref) == was.commit_sha:
            where = "another tag object on the same commit"
        message = f"It is immutable, and not what it was at the export: it was {where}."
        yield finding(name, FindingKind.CHANGED, message, show_line(name))


def _vanished(name: str, was: ImmutableTag, listing: Listing) -> Finding:
    """A version can't be had back; what was said of one that is there can be said again."""
    message, line = f"It was there at the export, on {was.commit_sha[:12]}, and is gone", _list_line(name)
    tag = listing.grammar.read(name)
    if isinstance(tag, StateTag):
        message += f": nothing says any more that {tag.version_tag} is {tag.state.value}"
        is_worse = any(state.is_bad for state in listing.states(tag.version_tag))
        if str(tag.version_tag) in listing.refs and (tag.state.is_bad or not is_worse):
            option = f"--subproject {tag.subproject} " if tag.subproject else ""
            state = f'--version {tag.version} --state {tag.state.value} --reason "why"'
            line = typed(f"tag.state {option}{state}")
    return finding(name, FindingKind.VANISHED, f"{message}.", line)


def _anew_line(export: Export, file: str) -> str:
    """The line that begins a new witness in the place of this one."""
    option = f" --subproject {export.subproject}" if export.subproject else ""
    return typed(f"tag.verify --export {quote(file)}{option}")


def _ledger_changes(
    name: str, listing: Listing, gaps: Mapping[str, str | None], anew: str
) -> Iterator[Finding]:
    if not isinstance(listing.grammar.read(name), EnvironmentTag):
        message = "It was exported, but the settings name no such environment any more: it was not compared."
        yield finding(name, FindingKind.NAME, message, show_line(name))
    elif name not in listing.refs:
        yield finding(
            name, FindingKind.VANISHED, "It was there at the export, and is gone.", _list_line(name)
        )
    elif name not in gaps:
        message = "Its ledger does not go on from that of the export: it can't be read."
        yield finding(name, FindingKind.REWRITTEN, message, show_line(name))
    elif gaps[name] is not None:
        message = (
            f"Its ledger does not go on from that of the export: {gaps[name]}. Ask who did that; where it was"
            " meant, as with tag.assign --adopt, begin a new export."
        )
        yield finding(name, FindingKind.REWRITTEN, message, anew)


def _list_line(name: str) -> str:
    subproject = name.rpartition("/")[0]
    return typed("tag.list" + (f" --subproject {subproject}" if subproject else ""))
