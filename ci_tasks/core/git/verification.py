"""Verifies the signature of a tag with git, against the allowed signers and nobody else."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ci_tasks.core.errors import UnavailableError, UsageError
from ci_tasks.core.git.failures import spoken
from ci_tasks.core.git.process import SSH_SIGNATURES, require_version
from ci_tasks.core.git.revocation import check_revoked
from ci_tasks.core.signing import (
    Signature,
    SignatureStatus,
    SigningFormat,
    is_signed,
    signer_files,
    take_apart,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci_tasks.core.git.objects import ObjectDatabase, RawObject
    from ci_tasks.core.git.process import GitAnswer
    from ci_tasks.core.signing import AllowedSigners

_IMPORT_TIMEOUT = 30.0
# The user's own programs and keyrings have no say: a wrapper could name another keyring.
_PLAIN = {
    "gpg.program": "gpg",
    "gpg.ssh.program": "ssh-keygen",
    "gpg.minTrustLevel": "undefined",
}
# No agent and no key server; whose key it is was decided by whoever put it into the file.
_GPG_CONF = "batch\nno-tty\nno-autostart\nno-auto-key-retrieve\ndisable-dirmngr\ntrust-model always\n"
_KEY_BLOCK = re.compile(
    rb"^-----BEGIN PGP PUBLIC KEY BLOCK-----$.*?^-----END PGP PUBLIC KEY BLOCK-----$",
    re.MULTILINE | re.DOTALL,
)
_SSH_GOOD = re.compile(
    r'^Good "git" signature for (?P<signer>.+) with \S+ key (?P<key>SHA256:\S+)$', re.MULTILINE
)
_SSH_STRANGER = re.compile(
    r'^Good "git" signature with |key is not permitted for use in signature namespace', re.MULTILINE
)
_SSH_EXPIRED = re.compile(r"key has expired|key is not yet valid")
_NO_TOOL = re.compile(r"cannot (?:run|exec)|is needed for ssh signature verification")
_VERDICTS = {
    "GOODSIG": SignatureStatus.GOOD,
    "EXPSIG": SignatureStatus.EXPIRED,
    "EXPKEYSIG": SignatureStatus.EXPIRED,
    "REVKEYSIG": SignatureStatus.REVOKED,
    "BADSIG": SignatureStatus.BAD,
    "ERRSIG": SignatureStatus.BAD,
}
_NO_PUBLIC_KEY = "9"  # the reason in ERRSIG (GnuPG, doc/DETAILS)


def verify(database: ObjectDatabase, tag: RawObject, allowed: AllowedSigners) -> Signature:
    """What the signature of a tag object is worth. Anything but a tag object is unsigned.

    Raises UnavailableError where git, ssh-keygen or gpg is missing or too old, UsageError where the allowed
    GPG keys or the revoked ssh keys can't be read.
    """
    if tag.kind != "tag" or not is_signed(tag.data):
        return Signature(status=SignatureStatus.UNSIGNED)
    content = take_apart(tag.data)
    if content is None:
        return Signature(status=SignatureStatus.BAD)
    try:
        with tempfile.TemporaryDirectory(prefix="ci-tasks-verify-", ignore_cleanup_errors=True) as name:
            if content.form is SigningFormat.SSH:
                return _verify_ssh(database, tag.object_id, content.armored, allowed, Path(name))
            return _verify_gpg(database, tag.object_id, allowed, Path(name))
    except OSError as error:
        raise UnavailableError(
            f"The temporary folder can't be used: {error.strerror}.", unchanged="Nothing was changed."
        ) from None


def _verify_ssh(
    database: ObjectDatabase, object_id: str, armored: bytes, allowed: AllowedSigners, folder: Path
) -> Signature:
    require_version(SSH_SIGNATURES, "to verify signatures of ssh keys")
    key = _fingerprint(armored)
    if key is None:
        return Signature(status=SignatureStatus.BAD)
    check_revoked(allowed)
    for name, data in (("allowed", allowed.ssh), ("revoked", allowed.revoked), ("nothing", b"")):
        (folder / name).write_bytes(data)
    answer = _ask(database, object_id, folder, _ssh_settings(folder, "revoked"))
    good = _SSH_GOOD.search(answer.stderr)
    if answer.status == 0 and good:
        return Signature(status=SignatureStatus.GOOD, signer=good["signer"], key=good["key"])
    if _SSH_STRANGER.search(answer.stderr):
        is_late = _SSH_EXPIRED.search(answer.stderr)
        return Signature(
            status=SignatureStatus.EXPIRED if is_late else SignatureStatus.UNKNOWN_SIGNER, key=key
        )
    # Why ssh-keygen refuses a revoked key is lost on the way through git: ask again without that list.
    again = _ask(database, object_id, folder, _ssh_settings(folder, "nothing")) if allowed.revoked else answer
    good = _SSH_GOOD.search(again.stderr)
    if again.status == 0 and good:
        return Signature(status=SignatureStatus.REVOKED, signer=good["signer"], key=good["key"])
    return Signature(status=SignatureStatus.BAD, key=key)


def _ssh_settings(folder: Path, revoked: str) -> Mapping[str, str]:
    return {
        "gpg.ssh.allowedSignersFile": str(folder / "allowed"),
        "gpg.ssh.revocationFile": str(folder / revoked),
    }


def _fingerprint(armored: bytes) -> str | None:
    """The key that made an ssh signature, as ssh-keygen -l shows it (PROTOCOL.sshsig: it stands in it)."""
    try:
        blob = base64.b64decode(armored, validate=False)
    except binascii.Error:
        return None
    size = int.from_bytes(blob[10:14], "big")
    if blob[:6] != b"SSHSIG" or not 0 < size <= len(blob) - 14:
        return None
    digest = hashlib.sha256(blob[14 : 14 + size]).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def _verify_gpg(database: ObjectDatabase, object_id: str, allowed: AllowedSigners, folder: Path) -> Signature:
    home = folder / "gnupg"
    home.mkdir(mode=0o700)
    (home / "gpg.conf").write_text(_GPG_CONF, encoding="ascii")
    # The name of an agent's socket can be too long for the system: this says that it is elsewhere (Assuan).
    (home / "S.gpg-agent").write_text("%Assuan%\nsocket=/nowhere\n", encoding="ascii")
    if allowed.gpg.strip():
        _import(allowed, home)
    answer = _ask(database, object_id, folder, {}, {"GNUPGHOME": str(home)})
    return _read_status(answer)


def _import(allowed: AllowedSigners, home: Path) -> None:
    """Put the allowed keys into a keyring of our own.

    Block by block: of several in one stream gpg takes a revocation for a part of the key before it.
    """
    from ci_tasks.core.process.running import capture  # noqa: PLC0415 - only GPG needs it

    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "GNUPGHOME": str(home),
        "LC_ALL": "C",
    }
    text = allowed.gpg.replace(b"\r\n", b"\n")
    names = []
    for number, block in enumerate(_KEY_BLOCK.findall(text)):
        names.append(f"{number}.asc")
        (home / names[-1]).write_bytes(block + b"\n")
    command = ["gpg", "--batch", "--no-tty", "--import", *names]
    done = capture(command, cwd=home, env=environment, timeout=_IMPORT_TIMEOUT)
    if done.status or len(names) != text.count(b"-----BEGIN "):
        path = signer_files(allowed.path)[1]
        raise UsageError(
            f"{path} can't be read as GPG public keys.",
            unchanged="Nothing was changed.",
            details=spoken(done.stderr.decode("utf-8", "replace")),
            next_step=f"gpg --show-keys {path}",
        )


def _read_status(answer: GitAnswer) -> Signature:
    """The verdict in gpg's status lines (GnuPG, doc/DETAILS); more than one is none."""
    lines = [line.split(" ") for line in answer.stderr.split("\n") if line.startswith("[GNUPG:] ")]
    facts = [line[1:] for line in lines]
    verdicts = [fact for fact in facts if fact[0] in _VERDICTS]
    if len(verdicts) != 1 or sum(fact[0] == "NEWSIG" for fact in facts) > 1:
        return Signature(status=SignatureStatus.BAD)
    (verdict,) = verdicts
    status = _VERDICTS[verdict[0]]
    if verdict[0] == "ERRSIG":
        is_unknown = len(verdict) > 6 and verdict[6] == _NO_PUBLIC_KEY  # noqa: PLR2004 - its place in the line
        return Signature(
            status=SignatureStatus.UNKNOWN_SIGNER if is_unknown else status, key=verdict[-1] or None
        )
    valid = [fact for fact in facts if fact[0] == "VALIDSIG"]
    if status is SignatureStatus.GOOD and (answer.status != 0 or not valid):
        return Signature(status=SignatureStatus.BAD)
    key = valid[0][-1] if valid else verdict[1]  # the main key's fingerprint, not that of a subkey
    # The names in a key are what its owner wrote there, those of others too: nobody is known by them.
    return Signature(status=status, signer=key, key=key)


def _ask(
    database: ObjectDatabase,
    object_id: str,
    folder: Path,
    settings: Mapping[str, str],
    environment: Mapping[str, str] | None = None,
) -> GitAnswer:
    """Have git verify the tag; what git says is in `stderr`."""
    pairs = {**_PLAIN, **settings}
    answer = database.git(
        *(part for key, value in pairs.items() for part in ("-c", f"{key}={value}")),
        "verify-tag",
        "--raw",
        object_id,
        environment={"TMPDIR": str(folder), **(environment or {})},
    )
    if answer.timed_out or answer.status < 0 or _NO_TOOL.search(answer.stderr):
        raise UnavailableError(
            "The signature could not be verified: git, gpg or ssh-keygen gave no answer.",
            unchanged="Nothing was changed.",
            details=spoken(answer.stderr),
            next_step="gpg --version; ssh -V",
        )
    return answer
