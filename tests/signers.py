"""Real keys of ssh and GPG, the tags that they sign, and the files that say who may."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.repositories import git, write

FORMATS = {"ssh": "ssh", "gpg": "openpgp"}
BEFORE = "20240201T000000"
"""A time at which the key that has expired since was good."""


@dataclass(frozen=True)
class Keys:
    """Keys below a folder: `ssh/<name>`, and a GnuPG home with one key for each name."""

    folder: Path

    @property
    def home(self) -> Path:
        """The GnuPG home that holds the secret keys."""
        return self.folder / "gnupg"

    @property
    def environment(self) -> dict[str, str]:
        """What gpg needs to find them."""
        return {"GNUPGHOME": str(self.home)}

    def make(self, name: str, passphrase: str = "") -> None:
        """An ssh key and a GPG key for `<name>@example.invalid`."""
        ssh = self.ssh(name)
        ssh.parent.mkdir(exist_ok=True)
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", name, "-f", str(ssh))
        self.home.mkdir(mode=0o700, exist_ok=True)
        self._make_gpg(name, "never", passphrase=passphrase)

    def make_expired(self, name: str) -> None:
        """A GPG key that was good in the spring of 2024."""
        self._make_gpg(name, "2024-06-01", "--faked-system-time", "20240101T000000")

    def _make_gpg(self, name: str, end: str, *options: str, passphrase: str = "") -> None:
        wanted = ["--quick-gen-key", f"{name.title()} <{name}@example.invalid>", "ed25519", "sign", end]
        self.gpg(*options, "--passphrase", passphrase, "--pinentry-mode", "loopback", *wanted)

    def ssh(self, name: str) -> Path:
        """The private key; the public one is beside it, with the ending `.pub`."""
        return self.folder / "ssh" / name

    def public(self, name: str) -> str:
        """The public ssh key, in one line."""
        return self.ssh(name).with_suffix(".pub").read_text(encoding="ascii").strip()

    def fingerprint(self, name: str, form: str) -> str:
        """What a signature is to say of the key."""
        if form == "ssh":
            return _run("ssh-keygen", "-l", "-f", str(self.ssh(name))).split()[1]
        listed = self.gpg("--list-keys", "--with-colons", f"{name}@example.invalid")
        return next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr"))

    def signer(self, name: str, form: str) -> str:
        """By which name a signature is known."""
        return f"{name}@example.invalid" if form == "ssh" else self.fingerprint(name, "gpg")

    def key(self, name: str, form: str) -> str:
        """The value of `user.signingKey`."""
        return str(self.ssh(name)) if form == "ssh" else self.fingerprint(name, "gpg")

    def gpg(self, *arguments: str, stdin: str = "") -> str:
        """Run gpg with the home that holds the secret keys."""
        return _run("gpg", "--batch", "--quiet", *arguments, stdin=stdin, env=self.environment)

    def revocation(self, name: str) -> str:
        """The certificate that gpg made together with the key."""
        path = self.home / "openpgp-revocs.d" / f"{self.fingerprint(name, 'gpg')}.rev"
        text = path.read_text(encoding="utf-8")
        return text[text.index("-----BEGIN") :]

    def revoke(self, name: str) -> None:
        """Import the certificate."""
        self.gpg("--import", stdin=self.revocation(name))

    def allow(self, root: Path, *names: str, form: str, path: str = "environments/allowed_signers") -> None:
        """Write the file of allowed signers for these keys."""
        if form == "ssh":
            lines = [f'{name}@example.invalid namespaces="git" {self.public(name)}\n' for name in names]
            write(root / path, "".join(lines))
        else:
            wanted = [self.fingerprint(name, "gpg") for name in names]
            write(root / f"{path}.asc", self.gpg("--armor", "--export", *wanted))

    def configure(self, clone: Path, name: str, form: str) -> None:
        """Tell git in a clone which key to sign with, as a user does it."""
        git("config", "gpg.format", FORMATS[form], cwd=clone)
        git("config", "user.signingKey", self.key(name, form), cwd=clone)

    def tag(self, clone: Path, tag: str, key: str, form: str, *, settings: tuple[str, ...] = ()) -> bytes:
        """Have git itself sign a tag on HEAD; its content. The clone does not keep the ref."""
        pairs = (f"gpg.format={FORMATS[form]}", f"user.signingKey={self.key(key, form)}", *settings)
        options = [part for pair in pairs for part in ("-c", pair)]
        command = ["git", *options, "tag", "--sign", "--message", f"Version {tag}", tag, "HEAD"]
        subprocess.run(command, cwd=clone, check=True, env={**os.environ, **self.environment})
        content = subprocess.run(["git", "cat-file", "tag", tag], cwd=clone, check=True, capture_output=True)
        git("tag", "--delete", tag, cwd=clone)
        return content.stdout

    def in_the_past(self) -> str:
        """A gpg that believes it is the spring of 2024."""
        path = self.folder / "old-gpg"
        text = f'#!/bin/sh\nexec gpg --faked-system-time {BEFORE}! "$@"\n'
        return str(write(path, text, executable=True))

    def end_agent(self) -> None:
        """End the agent that gpg has started for the secret keys."""
        _run("gpgconf", "--kill", "gpg-agent", env=self.environment)
        reap()


def reap() -> None:
    """Read the status of dead agents and signers: where this process adopts orphans, nobody else does."""
    for task in Path("/proc/self/task").glob("*/children"):
        for pid in task.read_text(encoding="ascii").split():
            with contextlib.suppress(OSError):
                status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
                name, state = status.partition("(")[2].split(") ")[:2]
                if name in {"gpg-agent", "sleep"} and (state.startswith("Z") or name == "gpg-agent"):
                    _wait_for(int(pid))


def _wait_for(pid: int) -> None:
    """An agent that was told to end does so within a second; another one lives on."""
    for _ in range(20):
        if os.waitpid(pid, os.WNOHANG)[0]:
            return
        time.sleep(0.05)


def make_keys(folder: Path) -> Keys:
    """Keys for alice and bob, a stranger, one whose key has expired, and one whose key is revoked."""
    keys = Keys(folder)
    for name in ("alice", "bob", "stranger", "revoked"):
        keys.make(name)
    keys.make_expired("expired")
    _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "expired", "-f", str(keys.ssh("expired")))
    return keys


def _run(*command: str, stdin: str = "", env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command, input=stdin, check=False, capture_output=True, text=True, env={**os.environ, **(env or {})}
    )
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout
