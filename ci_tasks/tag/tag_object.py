"""Tag objects: building the bytes of one, reading one, and what makes it trustworthy.

The form is that of `git mktag`: four header lines, an empty line, the message.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

_HEAD = re.compile(
    r"object (?P<target>[0-9a-f]{40}|[0-9a-f]{64})\ntype (?P<kind>[a-z]+)\ntag (?P<name>[^\n]+)"
    r"(?P<rest>(?:\n[^\n]+)*)"
)
_TAGGER = re.compile(
    r"\ntagger (?P<name>[^<>\n]*) <(?P<email>[^<>\n]*)> (?P<time>-?[0-9]{1,15}) [+-][0-9]{4}(?=\n|$)"
)
SIGNED = "\n-----BEGIN "
"""How the signature of a tag begins, for both of git's formats (git help gitformat-signature)."""


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

    @property
    def text(self) -> str:
        """The message without its signature."""
        return self.message.partition(SIGNED)[0].strip()


def build(
    *, commit: str, name: str, tagger_name: str, tagger_email: str, at: datetime, message: str
) -> bytes:
    """The content of an annotated tag on a commit; `at` is written in UTC, to the second.

    A clock that stands before 1970 is written as 1970: git has no earlier dates.
    """
    head = (
        f"object {commit}\n"
        "type commit\n"
        f"tag {name}\n"
        f"tagger {_ident(tagger_name)} <{_ident(tagger_email)}> {max(0, int(at.timestamp()))} +0000\n"
    )
    return f"{head}\n{message.rstrip(chr(10))}\n".encode()


def _ident(text: str) -> str:
    """Git's own rule for names: no angle brackets, no line ends, no dots or spaces around."""
    return re.sub(r"[<>\x00-\x1f\x7f]", "", text).strip(" .,:;\"'\\") or "unknown"


def read(data: bytes) -> TagObject | None:
    """A tag object's content; None where it is none that git would accept."""
    text, _, message = data.decode("utf-8", "replace").partition("\n\n")
    head = _HEAD.fullmatch(text.removesuffix("\n"))  # without a message it ends with its last header
    if head is None:
        return None
    tagger = _TAGGER.match(head["rest"])
    return TagObject(
        target=head["target"],
        kind=head["kind"],
        name=head["name"],
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
