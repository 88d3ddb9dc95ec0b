"""What is wrong with the tags of versions and states, and with names."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from ci_tasks.core.command_line import typed
from ci_tasks.tag import authenticity
from ci_tasks.tag.audit.finding import FindingKind, finding
from ci_tasks.tag.grammar import StateTag
from ci_tasks.tag.store import next_patch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ci_tasks.core.git.origin import RawObject, RemoteRef
    from ci_tasks.tag.audit.finding import Finding
    from ci_tasks.tag.grammar import Tag, VersionTag
    from ci_tasks.tag.listing import Listing

CLOCKS = timedelta(hours=1)
"""How far ahead of ours the clock of an honest tagger may be."""
_FIRST_YEAR = 1971
_EARLIEST = datetime(_FIRST_YEAR, 1, 1, tzinfo=timezone.utc).timestamp()


def immutable_findings(
    tags: Sequence[tuple[VersionTag | StateTag, RemoteRef]],
    listing: Listing,
    objects: Mapping[str, RawObject],
    *,
    now: datetime,
) -> Iterator[Finding]:
    """What is wrong with the tags of versions and states; `objects` are those that the refs point to."""
    latest = (now + CLOCKS).timestamp()
    for tag, ref in tags:
        name = str(tag)
        obj = objects.get(ref.object_id)
        if not _is_as_usual(name, ref, obj):
            fault = authenticity.fault(name, ref, obj)
            if fault is not None:
                kind = FindingKind.LIGHTWEIGHT if ref.peeled is None else FindingKind.OBJECT
                yield finding(tag, kind, f"It can't be trusted: {fault}.", _way_out(tag, listing))
        if isinstance(tag, StateTag):
            yield from _state_findings(tag, ref, listing)
        if obj is not None and obj.kind == "tag":
            yield from date_findings(tag, obj.data, latest)


def _is_as_usual(name: str, ref: RemoteRef, obj: RawObject | None) -> bool:
    """True where git's own four header lines say what they should: so it is with nearly every tag."""
    return obj is not None and obj.data.startswith(
        f"object {ref.peeled}\ntype commit\ntag {name}\ntagger ".encode()
    )


def _way_out(tag: VersionTag | StateTag, listing: Listing) -> str:
    """A bad version can only be followed by another one."""
    return show_line(tag) if isinstance(tag, StateTag) else next_patch(tag, listing.refs)


def show_line(name: object) -> str:
    """The line that shows a tag."""
    return typed(f"tag.show {name}")


def _state_findings(tag: StateTag, ref: RemoteRef, listing: Listing) -> Iterator[Finding]:
    version = listing.refs.get(str(tag.version_tag))
    if version is None:
        message = f"It speaks of {tag.version_tag}, and there is no such version."
        yield finding(tag, FindingKind.STATE, message, show_line(tag))
    elif commit_of(version) != commit_of(ref):
        yield finding(
            tag,
            FindingKind.STATE,
            f"It stands on {commit_of(ref)[:12]}, but {tag.version_tag} on {commit_of(version)[:12]}.",
            show_line(tag),
        )


def commit_of(ref: RemoteRef) -> str:
    """What a tag leads to."""
    return ref.peeled or ref.object_id


def date_findings(tag: Tag, data: bytes, latest: float) -> Iterator[Finding]:
    """A tagger's date that can't be true; `latest` is the last one that can, in seconds since 1970."""
    begin = data.find(b"\ntagger ") + 1
    tagger = data[begin : data.find(b"\n", begin)] if begin else b""
    try:
        seconds = int(tagger.rsplit(b" ", 2)[-2])
    except (ValueError, IndexError):
        yield finding(tag, FindingKind.DATE, "It has no date that can be read.", show_line(tag))
        return
    if _EARLIEST <= seconds <= latest:
        return
    when = "in the future" if seconds > latest else "from 1970 or before"
    message = f"Its date is {when}: the clock was wrong. Nothing is decided by it."
    yield finding(tag, FindingKind.DATE, message, show_line(tag))


def name_findings(foreign: Iterable[str], listing: Listing, subprojects: Iterable[str]) -> Iterator[Finding]:
    """Foreign names in the way of ours: on a disk that folds case, or as a file where a folder should be."""
    others = {name for name in foreign if name.lower() != name}
    lower = {name.lower() for name in others}
    ours = {name for name in listing.refs if name in lower}
    folders = _folders(listing) if others else set()
    for name in sorted(others):
        folder = name.lower().rpartition("/")[0]
        if name.lower() in ours:
            yield _clash(name, f"It differs from {name.lower()} only by case")
        elif folder in folders and name.rpartition("/")[0] != folder:
            yield _clash(name, f"Its folder differs from {folder}/ only by case")
    for subproject in sorted(subprojects):
        if subproject in listing.refs:
            yield finding(
                subproject,
                FindingKind.NAME,
                f"It stands where the tags of the subproject {subproject} belong:"
                f" git can't keep {subproject} and {subproject}/v1.0.0 side by side.",
                show_line(subproject),
            )


def _folders(listing: Listing) -> set[str]:
    return {tag.subproject for tag, _ in listing.tags() if tag.subproject}


def _clash(name: str, why: str) -> Finding:
    return finding(
        name,
        FindingKind.NAME,
        f"{why}: a clone on a disk that does not tell them apart can't hold both.",
        show_line(name),
    )
