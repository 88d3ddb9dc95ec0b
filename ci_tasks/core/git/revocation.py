"""The file of revoked ssh keys: ssh-keygen refuses every key where it can't read a line of it."""

from __future__ import annotations

import base64
import binascii
from shlex import quote
from typing import TYPE_CHECKING

from ci_tasks.core.errors import UsageError
from ci_tasks.core.signing import signer_files

if TYPE_CHECKING:
    from ci_tasks.core.signing import AllowedSigners

_KRL = b"SSHKRL\n\0"
"""How a key revocation list begins (OpenSSH, PROTOCOL.krl)."""
_LENGTH = 4  # bytes of the number before each part of a key (RFC 4251, 5)


def check_revoked(allowed: AllowedSigners) -> None:
    """Raise UsageError, with its number, for a line that is no public key."""
    if allowed.revoked.startswith(_KRL):
        return
    for number, line in enumerate(allowed.revoked.split(b"\n"), start=1):
        words = line.split()
        if words and not words[0].startswith(b"#") and not _is_key(words):
            path = signer_files(allowed.path)[2]
            raise UsageError(
                f"{path}, line {number}, is no public key; until that is put right no signature counts.",
                unchanged="Nothing was changed.",
                details=["A line is a key as it stands in a .pub file: its type, the key, a comment."],
                next_step=f"sed -n {number}p {quote(path)}",
            )


def _is_key(words: list[bytes]) -> bool:
    """Whether a line holds a type and a whole key of that type (RFC 4253, 6.6)."""
    try:
        rest = base64.b64decode(words[1], validate=True)
    except (IndexError, binascii.Error):
        return False
    parts = []
    while rest:
        size = int.from_bytes(rest[:_LENGTH], "big")
        part, rest = rest[_LENGTH : _LENGTH + size], rest[_LENGTH + size :]
        if len(part) < size or not size:
            return False
        parts.append(part)
    return len(parts) > 1 and parts[0] == words[0]
