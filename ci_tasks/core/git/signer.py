"""Signs tags as git itself is configured to sign them, without making a ref in anybody's repository."""

from __future__ import annotations

import contextlib
import hashlib
import re
import shlex
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ci_tasks.core.errors import UnavailableError, UsageError
from ci_tasks.core.git.failures import local_failure, spoken
from ci_tasks.core.git.objects import ObjectDatabase, RawObject
from ci_tasks.core.git.process import SSH_SIGNATURES, require_version
from ci_tasks.core.git.verification import verify
from ci_tasks.core.signing import SigningFormat, is_signed, take_apart

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci_tasks.core.git.process import GitAnswer
    from ci_tasks.core.git.repository import Repository
    from ci_tasks.core.signing import AllowedSigners, Signature

SIGNING_TIMEOUT = 60.0
"""Seconds in which a signature has to be there: time enough to type a passphrase or to touch a device."""

_CONTENT = re.compile(
    rb"object (?P<target>[0-9a-f]+)\ntype [a-z]+\ntag (?P<name>[^\n]+)\n"
    rb"tagger (?P<who>[^<>\n]*) <(?P<mail>[^<>\n]*)> (?P<time>[0-9]+) (?P<zone>[+-][0-9]{4})\n"
    rb"\n(?P<message>.*)",
    re.DOTALL,
)
# What git's configuration says about the signer. A condition in it (includeIf) may be about the user's own
# git folder, so these come from there, whatever file they stand in.
_OF_SIGNER = frozenset(
    {
        "user.signingkey",
        "gpg.program",
        "gpg.openpgp.program",
        "gpg.ssh.program",
        "gpg.ssh.defaultkeycommand",
    }
)
_FORMATS = {"openpgp": SigningFormat.GPG, "ssh": SigningFormat.SSH}
_CONFIG = "[core]\n\trepositoryformatversion = {version}\n\tbare = true\n{extensions}"
_NO_KEY = re.compile(
    r"signing_?key needs to be (?:set|configured)|defaultKeyCommand needs to be configured"
    r"|Couldn't load public key|failed to get the ssh fingerprint|didn't return any keys",
    re.IGNORECASE,
)
_SSH_KEY = re.compile(r"^(?:ssh-|key::)|\.pub$")
_NO_PROGRAM = re.compile(
    r"cannot (?:run|exec)|could not (?:run|execute)|usage: ssh-keygen|unknown option -- Y"
)


class SignerError(UnavailableError):
    """The signer did not sign: what is wrong is not the repository, so nothing there is worth mending."""


class Signer:
    """Signs with the user's own key and program; `format` is the one that every tag is signed with."""

    def __init__(self, repository: Repository, *, objects: Path, sign: SigningFormat) -> None:
        self.format = sign
        self._repository = repository
        self._objects = objects

    def sign(self, content: bytes) -> bytes:
        """The content with its signature; its target has to be among the objects.

        Raises UsageError where git has no key to sign with, SignerError where the signer fails.
        """
        with _folder() as folder:
            return self._sign(content, ObjectDatabase(self._bare(folder), at=self._repository.root), folder)

    def own_signature(self, allowed: AllowedSigners) -> Signature:
        """Who would sign: a tag on the empty tree, which git always has, is signed and thrown away."""
        identity, name = self._repository.identity(), self._repository.object_format
        empty = hashlib.new(name, b"tree 0\0", usedforsecurity=False).hexdigest()
        content = (
            f"object {empty}\ntype tree\ntag who-signs\n"
            f"tagger {identity.name} <{identity.email}> {int(time.time())} +0000\n\nWho signs?\n"
        ).encode()
        with _folder() as folder:
            database = ObjectDatabase(self._bare(folder), at=self._repository.root)
            signed = self._sign(content, database, folder)
            framed = b"tag %d\0" % len(signed) + signed
            object_id = hashlib.new(name, framed, usedforsecurity=False).hexdigest()
            return verify(database, RawObject(object_id=object_id, kind="tag", data=signed), allowed)

    def _sign(self, content: bytes, database: ObjectDatabase, folder: Path) -> bytes:
        """Have git make the tag in a folder of ours, and check that it is the one that was asked for."""
        parts = _CONTENT.fullmatch(content)
        if parts is None or is_signed(content):
            raise UsageError(
                "This tag can't be signed: a line of its text looks like a signature, or its head is not that"
                " of a tag.",
                unchanged="Nothing was pushed.",
            )
        form = self._format()
        name = parts["name"].decode("utf-8", "surrogateescape")
        answer = database.git(
            *self._settings(form),
            *("tag", "--sign", "--cleanup=verbatim", "--file=-"),
            *("--", name, parts["target"].decode()),
            stdin=parts["message"],
            timeout=SIGNING_TIMEOUT,
            environment={**_tagger(parts), **_temporary(form, folder)},
        )
        # A status of 0 says little: git 2.39 writes the tag without a signature if ssh-keygen fails.
        written = database.git("cat-file", "tag", f"refs/tags/{name}") if answer.status == 0 else answer
        if written.status or not is_signed(written.stdout):
            raise self._failure(form, answer)
        signed = take_apart(written.stdout)
        if signed is None or signed.payload != content or signed.form is not form:
            raise SignerError(
                "What git signed is not the tag that was asked for.",
                unchanged="Nothing was pushed.",
                details=spoken(answer.stderr),
                next_step="git var GIT_COMMITTER_IDENT",
            )
        return written.stdout

    def _bare(self, folder: Path) -> Path:
        """A git folder of our own that borrows the objects; what git writes into it is thrown away."""
        extensions = "[extensions]\n\tobjectFormat = sha256\n"
        is_default = self._repository.object_format == "sha1"
        config = _CONFIG.format(version=int(not is_default), extensions="" if is_default else extensions)
        git_dir = folder / "git"
        (git_dir / "refs").mkdir(parents=True)
        (git_dir / "objects" / "info").mkdir(parents=True)
        (git_dir / "HEAD").write_text("ref: refs/heads/none\n", encoding="ascii")
        (git_dir / "config").write_text(config, encoding="ascii")
        # By a link, for a path with a line end in it could not be written into this file.
        (git_dir / "lent").symlink_to(self._objects)
        (git_dir / "objects" / "info" / "alternates").write_text("../lent\n", encoding="ascii")
        return git_dir

    def _format(self) -> SigningFormat:
        """The format of the settings; where they have none, that of git's configuration."""
        if self.format is not SigningFormat.NONE:
            return self.format
        word = self._configured().get("gpg.format", "openpgp")
        if word not in _FORMATS:
            raise UsageError(
                f"Git is configured to sign in the format {word[:40]!r}: ssh and openpgp are known here.",
                unchanged="Nothing was pushed.",
                next_step="git config gpg.format ssh",
            )
        return _FORMATS[word]

    def _configured(self) -> dict[str, str]:
        return {setting.key: setting.value for setting in self._repository.configuration}

    def _settings(self, form: SigningFormat) -> list[str]:
        word = next(word for word, known in _FORMATS.items() if known is form)
        # In their order: of gpg.program and gpg.openpgp.program, which mean the same, the last one counts.
        handed = [(each.key, each.value) for each in self._repository.configuration if each.key in _OF_SIGNER]
        return [part for key, value in (*handed, ("gpg.format", word)) for part in ("-c", f"{key}={value}")]

    def _failure(self, form: SigningFormat, answer: GitAnswer) -> UsageError | SignerError | UnavailableError:
        """The error for a tag that was not signed."""
        if form is SigningFormat.SSH:
            require_version(SSH_SIGNATURES, "to sign with ssh keys")
        is_signers = answer.status == 0 or answer.timed_out or "unable to sign the tag" in answer.stderr
        if not is_signers and "user.signing" not in answer.stderr and "gpg" not in answer.stderr:
            return local_failure("write the tag object", answer.stderr)
        way = _WAYS[form]
        details = spoken(answer.stderr)
        if answer.timed_out:
            what = f"{way.program} gave no signature for {SIGNING_TIMEOUT:.0f} seconds."
            return SignerError(what, unchanged="Nothing was pushed.", details=details, next_step=way.look)
        if _NO_KEY.search(answer.stderr):
            what = "git has no key to sign with, or can't read it."
            return UsageError(what, unchanged="Nothing was pushed.", details=details, next_step=way.choose)
        if _NO_PROGRAM.search(answer.stderr):
            what = f"{way.program} can't be used to sign."
            return SignerError(what, unchanged="Nothing was pushed.", details=details, next_step=way.version)
        key = self._configured().get("user.signingkey")
        what = f"{way.program} did not sign the tag{f' with the key {key[:120]}' if key else ''}"
        line = way.try_it.format(option=f" --local-user {shlex.quote(key)}" if key else "")
        if form is SigningFormat.GPG and key and _SSH_KEY.search(key):
            what += ", which is an ssh key"
            line = "git config gpg.format ssh" if self.format is SigningFormat.NONE else way.choose
        return SignerError(f"{what}.", unchanged="Nothing was pushed.", details=details, next_step=line)


class _Way(NamedTuple):
    """How the user deals with a signer; each but the first is a command line."""

    program: str
    choose: str
    look: str
    try_it: str
    version: str


_WAYS = {
    SigningFormat.SSH: _Way(
        "ssh-keygen",
        "git config user.signingKey ~/.ssh/id_ed25519.pub",
        "ssh-add -l",
        "ssh-add -l  # the agent's keys; a key with a passphrase has to be among them",
        "ssh -V",
    ),
    SigningFormat.GPG: _Way(
        "gpg",
        "git config user.signingKey KEY  # one of: gpg --list-secret-keys",
        "gpg --list-secret-keys",
        "echo test | gpg --clearsign{option}",
        "gpg --version",
    ),
}


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A folder that only we can read; removed afterwards."""
    try:
        with tempfile.TemporaryDirectory(prefix="ci-tasks-sign-", ignore_cleanup_errors=True) as folder:
            yield Path(folder)
    except OSError as error:
        raise UnavailableError(
            f"The temporary folder can't be used: {error.strerror}.", unchanged="Nothing was pushed."
        ) from None


def _tagger(parts: re.Match[bytes]) -> dict[str, str]:
    text = {name: value.decode("utf-8", "surrogateescape") for name, value in parts.groupdict().items()}
    return {
        "GIT_COMMITTER_NAME": text["who"],
        "GIT_COMMITTER_EMAIL": text["mail"],
        "GIT_COMMITTER_DATE": f"@{text['time']} {text['zone']}",
    }


def _temporary(form: SigningFormat, folder: Path) -> dict[str, str]:
    """Where git puts what ssh-keygen is to sign; gpg may start an agent, which outlives our folder."""
    return {"TMPDIR": str(folder)} if form is SigningFormat.SSH else {}
