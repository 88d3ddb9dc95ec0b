"""The spellings of a secret: encoded, escaped, quoted and cut into lines as programs print it."""

from __future__ import annotations

import base64
import json
import re
import urllib.parse
from typing import TYPE_CHECKING

from ci_tasks.core.control_characters import without_controls

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORTEST = 4  # characters: hiding every "a" or "yes" would make the output unreadable and hide nothing


def forms_of(secret: str) -> set[bytes]:
    """Every spelling of a secret that is looked for; none if it is too short to be hidden."""
    if len(secret) < SHORTEST:
        return set()
    found: set[bytes] = set()
    for text in _variants(secret):
        data = text.encode("utf-8", "surrogatepass")
        found.add(data)
        found.add(data.replace(b"'", b"'\\''"))  # as `set -x` prints it
        found.update(_base64_forms(data), _percent_forms(data), _json_forms(text))
    return {form for form in found if len(form) >= SHORTEST}


def _variants(secret: str) -> set[str]:
    """The secret, the same as our own output shows it, and each of its lines."""
    shown = without_controls(secret)
    lines = shown.split("\n")
    every = {secret, shown, *lines, *(line.strip() for line in lines)}
    return {text for text in every if len(text) >= SHORTEST and not text.isspace()}


def _base64_forms(secret: bytes) -> Iterator[bytes]:
    """Standard and URL-safe, at the three places where a secret can begin in a group of three bytes.

    Of a secret inside a longer text only the characters that no neighbour changes are known. Of a secret
    that stands alone all are, and the wrapped lines that `base64` (76) and `openssl` (64) print.
    """
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        alone = encode(secret)
        yield alone
        yield alone.rstrip(b"=")
        for shift in range(3):
            bits = 8 * (shift + len(secret))
            inner = encode(bytes(shift) + secret)[-(-8 * shift // 6) : bits // 6]
            yield inner
            if shift == 0:
                yield from _wrapped(alone)
                yield from _wrapped(inner)


def _wrapped(text: bytes) -> Iterator[bytes]:
    for width in (64, 76):
        yield from (text[start : start + width] for start in range(0, len(text), width))


def _percent_forms(secret: bytes) -> Iterator[bytes]:
    """Percent-encoded as in a path, in a parameter and in a form, with either case of the hex digits."""
    quoted = (
        urllib.parse.quote(secret),
        urllib.parse.quote(secret, safe=""),
        urllib.parse.quote_plus(secret),
    )
    for text in quoted:
        yield text.encode()
        yield re.sub(r"%..", lambda match: match.group().lower(), text).encode()


def _json_forms(secret: str) -> Iterator[bytes]:
    """As the inside of a JSON string, with what some writers escape beyond need (`/`, `<`, `>`, `&`)."""
    for ascii_only in (True, False):
        text = json.dumps(secret, ensure_ascii=ascii_only)[1:-1]
        yield text.encode("utf-8", "surrogatepass")
        yield text.replace("/", "\\/").encode("utf-8", "surrogatepass")
        for mark in "<>&":
            text = text.replace(mark, f"\\u{ord(mark):04x}")
        yield text.encode("utf-8", "surrogatepass")
