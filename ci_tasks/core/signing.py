"""Signatures of tags: their formats, what one turned out to be, and who may sign."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# What git takes for the begin of a signature, wherever a line begins so (gpg-interface.c).
_BEGIN = re.compile(
    rb"^-----BEGIN (?:PGP SIGNATURE|PGP MESSAGE|SSH SIGNATURE|SIGNED MESSAGE)-----", re.MULTILINE
)
_BASE64 = rb"[A-Za-z0-9+/=\n]+"
# Git leaves these headers out of what it verifies, so anybody could put some in.
_UNSIGNED_HEADER = re.compile(rb"^gpgsig", re.MULTILINE)


class SigningFormat(Enum):
    """The words of the setting `sign`: with which of git's formats every tag that we write is signed."""

    NONE = "none"
    SSH = "ssh"
    GPG = "gpg"


class SignatureStatus(Enum):
    """What a tag's signature is worth, in a word or two."""

    GOOD = "good"
    UNSIGNED = "unsigned"
    BAD = "bad"
    EXPIRED = "expired"
    REVOKED = "revoked"
    UNKNOWN_SIGNER = "unknown signer"


@dataclass(frozen=True, kw_only=True)
class Signature:
    """The verdict on a tag's signature.

    `key` is the key's fingerprint. `signer` is the name that the allowed signers have for it (ssh), or the
    fingerprint again (GPG: whose names stand in a key is its owner's to write). Each is None where it isn't
    known, and proves nothing unless the status is GOOD.
    """

    status: SignatureStatus
    signer: str | None = None
    key: str | None = None

    @property
    def is_good(self) -> bool:
        """True if an allowed signer signed exactly this."""
        return self.status is SignatureStatus.GOOD

    def is_of(self, names: Sequence[str]) -> bool:
        """True if it is good, and its signer or its key's fingerprint, however spelled, is among these."""
        key = _fingerprint(self.key or "")
        return self.is_good and (self.signer in names or (bool(key) and key in map(_fingerprint, names)))


def _fingerprint(text: str) -> str:
    return text.replace(" ", "").lower()


_BLOCKS = {
    SigningFormat.SSH: re.compile(
        rb"-----BEGIN SSH SIGNATURE-----\n(?P<armored>" + _BASE64 + rb")\n-----END SSH SIGNATURE-----\n"
    ),
    SigningFormat.GPG: re.compile(
        rb"-----BEGIN PGP SIGNATURE-----\n(?:[A-Za-z]+: [^\n]*\n)*\n"
        rb"(?P<armored>" + _BASE64 + rb")\n-----END PGP SIGNATURE-----\n"
    ),
}


@dataclass(frozen=True, kw_only=True)
class SignedContent:
    """A tag object's content, taken apart; `armored` is the base64 text of the signature."""

    payload: bytes
    form: SigningFormat
    armored: bytes


def is_signed(content: bytes) -> bool:
    """True if git would find a signature in this content, however little it is worth."""
    return _BEGIN.search(content) is not None


def take_apart(content: bytes) -> SignedContent | None:
    """A content that ends in exactly one signature over all before it; None for every other one.

    Stricter than git, which takes the last of several signatures, lets text follow it, and leaves some
    headers out: each a way to change a signed tag without breaking its signature.
    """
    begin = _BEGIN.search(content)
    if begin is None or _UNSIGNED_HEADER.search(content.partition(b"\n\n")[0]):
        return None
    for form, block in _BLOCKS.items():
        found = block.fullmatch(content, begin.start())
        if found:
            return SignedContent(payload=content[: begin.start()], form=form, armored=found["armored"])
    return None


def signer_files(path: str) -> tuple[str, str, str]:
    """The files that say who may sign: the ssh keys, the GPG keys, and the ssh keys that no longer may."""
    return path, f"{path}.asc", f"{path}.revoked"


@dataclass(frozen=True, kw_only=True)
class AllowedSigners:
    """Who may sign, read once; `files` are those of `signer_files` that are there, with their bytes."""

    path: str
    files: Mapping[str, bytes] = field(default_factory=dict)

    @classmethod
    def read(cls, root: Path, path: str) -> AllowedSigners:
        """The files of a checkout, uncommitted changes included; a missing one names nobody.

        Raises UsageError for one that is no regular file inside the checkout.
        """
        from ci_tasks.core.files import read_file  # noqa: PLC0415 - the settings need only the words above

        there = [name for name in signer_files(path) if _is_there(root / name)]
        return cls(path=path, files={name: read_file(root / name, root=root) for name in there})

    @property
    def ssh(self) -> bytes:
        """The list of ssh keys (ssh-keygen(1), ALLOWED SIGNERS)."""
        return self.files.get(signer_files(self.path)[0], b"")

    @property
    def gpg(self) -> bytes:
        """Armored GPG keys."""
        return self.files.get(signer_files(self.path)[1], b"")

    @property
    def revoked(self) -> bytes:
        """The ssh keys that are not believed any more: one public key a line, or a KRL."""
        return self.files.get(signer_files(self.path)[2], b"")

    @property
    def is_nobody(self) -> bool:
        """True if no key is named at all."""
        lines = (line.strip() for line in self.ssh.splitlines())
        return not self.gpg.strip() and not any(line and not line.startswith(b"#") for line in lines)


def _is_there(path: Path) -> bool:
    return path.exists() or path.is_symlink()
