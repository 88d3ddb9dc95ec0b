"""Tag objects: building the bytes of one, reading one, and what makes it trustworthy.

The form is that of `git mktag`: four header lines, an empty line, the message.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

_TAGGER = re.compile(r"tagger (?P<name>[^<>\n]*) <(?P<email>[^<>\n]*)> (?P<time>-?\d{1,15}) (?P<zone>[+-]\d{4})")


@dataclass(frozen=True, kw_only=True)
class TagObject:
    """What stands in an annotated tag. `target` is an object id; `kind` what it should be (`commit`)."""

    target: str
    kind: str
    name: str
    tagger_name: str | None
    tagger_email: str | None
    tagged_at: datetime | None
    message: str


def build(*, commit: str, name: str, tagger_name: str, tagger_email: str, at: datetime, message: str) -> bytes:
    """The content of an annotated tag on a commit; `at` is written in UTC, to the second."""
    head = (
        f"object {commit}\n"
        "type commit\n"
        f"tag {name}\n"
        f"tagger {_ident(tagger_name)} <{_ident(tagger_email)}> {int(at.timestamp())} +0000\n"
    )
    return f"{head}\n{message.rstrip(chr(10))}\n".encode()


def _ident(text: str) -> str:
    """Git's own rule for names: no angle brackets, no line ends, no dots or spaces around."""
    return re.sub(r"[<>\x00-\x1f\x7f]", "", text).strip(" .,:;\"'\\") or "unknown"


def read(data: bytes) -> TagObject | None:
    """A tag object's content; None where it is none that git would accept."""
    head, separator, message = data.decode("utf-8", "replace").partition("\n\n")
    fields = dict(line.partition(" ")[::2] for line in head.split("\n"))
    if not separator and not head:
        return None
    if not {"object", "type", "tag"} <= fields.keys():
        return None
    tagger = _TAGGER.fullmatch(f"tagger {fields.get('tagger', '')}")
    return TagObject(
        target=fields["object"],
        kind=fields["type"],
        name=fields["tag"],
        tagger_name=tagger["name"] if tagger else None,
        tagger_email=tagger["email"] if tagger else None,
        tagged_at=_time(tagger["time"]) if tagger else None,
        message=message,
    )


def _time(seconds: str) -> datetime | None:
    try:
        return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=int(seconds))
    except OverflowError:
        return None
