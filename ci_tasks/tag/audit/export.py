"""The tags of one moment in a file of its own, and what has become of them since."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from ci_tasks.core.command_line import typed
from ci_tasks.core.entity import Entity, from_json, to_json
from ci_tasks.core.errors import UsageError
from ci_tasks.core.files import read_file, write_atomically
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag.audit.audit import commit_of, show_line
from ci_tasks.tag.audit.finding import FindingKind, finding
from ci_tasks.tag.grammar import EnvironmentTag
from ci_tasks.tag.model import CommitId, Digest, Moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from ci_tasks.core.git.origin import RemoteRef
    from ci_tasks.tag.audit.finding import Finding
    from ci_tasks.tag.grammar import StateTag, VersionTag
    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.listing import Listing

LARGEST = 64 * 1024 * 1024
"""Bytes of a file that is read: 100,000 tags with long names take half of it."""
MOST_TAGS = 250_000
FORM = 1

TagName = Annotated[str, Meta(pattern=r"^[a-z0-9_][a-z0-9._/-]{0,119}$(?!\n)")]


class ImmutableTag(Entity, frozen=True, kw_only=True):
    """The tag of a version or a state: its object, and the commit that it leads to."""

    tag_id: CommitId
    commit_sha: CommitId


class NewestRecord(Entity, frozen=True, kw_only=True):
    """How far a ledger went: its newest closed record's number and SHA-256; 0 and null where it had none."""

    seq: Annotated[int, Meta(ge=0)]
    sha256: Digest | None


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
    """The newest closed record of a ledger, or what its cut says of it."""
    if ledger.closed:
        return NewestRecord(seq=ledger.closed[0].seq or 0, sha256=ledgers.digest(ledger.closed[0]))
    cut = ledger.header.cut
    return NewestRecord(seq=cut.seq, sha256=cut.sha256) if cut else NewestRecord(seq=0, sha256=None)


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


def refuse_foreign(path: Path) -> None:
    """Raise UsageError where something else than an export would be written over."""
    if not (path.exists() or path.is_symlink()):
        return
    try:
        read(path)
    except UsageError as error:
        raise UsageError(
            f"{path.name} is not written over: {error.what}",
            unchanged="Nothing was changed.",
            details=["An export takes the place of an older one, and of nothing else."],
        ) from None


def changes(
    export: Export, listing: Listing, goes_on: Mapping[str, bool], *, subproject: str | None
) -> Iterator[Finding]:
    """What is not as it was at the export. What is new since then is fine.

    `goes_on` says of each ledger that can be read what `contains` says of it; `subproject` is the one to
    compare, None for all that the export is of.
    """
    for name, was in export.immutable.items():
        if subproject in {None, name.rpartition("/")[0]}:
            yield from _immutable_changes(name, was, listing.refs.get(name))
    for name in export.environments:
        if subproject in {None, name.rpartition("/")[0]}:
            yield from _ledger_changes(name, listing, goes_on.get(name))


def contains(ledger: Ledger, was: NewestRecord) -> bool:
    """True where the chain has the record that was the newest at the export, or has dropped it since."""
    if was.seq == 0:
        return True
    for record in ledger.closed:
        if record.seq == was.seq:
            return ledgers.digest(record) == was.sha256
    cut = ledger.header.cut
    if cut is None or cut.seq < was.seq:
        return False
    return cut.seq > was.seq or cut.sha256 == was.sha256


def _immutable_changes(name: str, was: ImmutableTag, ref: RemoteRef | None) -> Iterator[Finding]:
    if ref is None:
        message = f"It was there at the export, on {was.commit_sha[:12]}, and is gone."
        yield finding(name, FindingKind.VANISHED, message, _list_line(name))
    elif (ref.object_id, commit_of(ref)) != (was.tag_id, was.commit_sha):
        where = f"on {was.commit_sha[:12]}"
        if commit_of(ref) == was.commit_sha:
            where = "another tag object on the same commit"
        message = f"It is immutable, and not what it was at the export: it was {where}."
        yield finding(name, FindingKind.CHANGED, message, show_line(name))


def _ledger_changes(name: str, listing: Listing, goes_on: bool | None) -> Iterator[Finding]:  # noqa: FBT001 - None: it can't be read
    if not isinstance(listing.grammar.read(name), EnvironmentTag):
        message = "It was exported, but the settings name no such environment any more: it was not compared."
        yield finding(name, FindingKind.NAME, message, show_line(name))
    elif name not in listing.refs:
        yield finding(
            name, FindingKind.VANISHED, "It was there at the export, and is gone.", _list_line(name)
        )
    elif not goes_on:
        reason = "it can't be read" if goes_on is None else "its newest record of then is not in it any more"
        message = f"Its ledger does not go on from that of the export: {reason}."
        yield finding(name, FindingKind.REWRITTEN, message, show_line(name))


def _list_line(name: str) -> str:
    subproject = name.rpartition("/")[0]
    return typed("tag.list" + (f" --subproject {subproject}" if subproject else ""))
