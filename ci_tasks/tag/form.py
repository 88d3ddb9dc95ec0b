"""Whether the text of an environment tag is the one that its ledger is written as."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ci_tasks.core.entity import canonical_json
from ci_tasks.tag import annotation
from ci_tasks.tag import ledger as ledgers

if TYPE_CHECKING:
    from ci_tasks.tag.ledger import Ledger

_SIGNATURE = "\n-----BEGIN "
_LONGEST_SIGNATURE = 64 * 1024
"""Characters; one by a key of 16,384 bits has about 3,000."""


def is_canonical(line: bytes | str) -> bool:
    """True where a JSON document has sorted keys, no blanks, and nothing twice.

    Fields that another version of the program does not know, or knows beside these, don't matter.
    """
    data = line.encode() if isinstance(line, str) else line
    try:
        return canonical_json(msgspec.json.decode(data)) == data
    except (ValueError, RecursionError):
        return False


def form_faults(message: str, ledger: Ledger) -> list[str]:
    """What is written in a tag's message other than this ledger, which was read from it, is written.

    The lines for people are computed from the ledger. Closed records stay as they were read: those that a
    move brings are judged in `transition.py`.
    """
    text, mark, signature = message.partition(_SIGNATURE)
    text += "\n" if mark else ""
    prose, _, body = text.partition(f"\n{annotation.SEPARATOR}\n")
    found: list[str] = []
    if prose.split("\n") != annotation.prose(ledger):
        found.append("the lines above --- do not say what its ledger says")
    if len(signature) > _LONGEST_SIGNATURE:
        found.append("there is more behind its ledger than a signature")
    first_closed = 1 + len(ledger.open)
    lines = body.split("\n")
    closed = [ledgers.line(record).decode() for record in ledger.closed]
    if lines[first_closed:] != [*closed, ""]:
        found.append("its records do not stand one in a line, the open ones first")
    elif not all(map(is_canonical, lines[:first_closed])):
        found.append("its header or an open record is not written as ci-tasks writes it")
    return found
