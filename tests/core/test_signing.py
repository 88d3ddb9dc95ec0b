"""Signing and verifying tags, with git's own signers: real ssh keys, and a GnuPG home of the tests."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_tasks.core.errors import UnavailableError, UsageError
from ci_tasks.core.git import process as git_process
from ci_tasks.core.git import signer as git_signing
from ci_tasks.core.git.push import PushResult, RefUpdate
from ci_tasks.core.git.repository import Repository
from ci_tasks.core.git.revocation import check_revoked
from ci_tasks.core.signing import AllowedSigners, SignatureStatus, SigningFormat, is_signed, take_apart
from tests.core.places import TAG, picture, tag_content
from tests.repositories import build_monorepo, git, write
from tests.signers import FORMATS, Keys, make_keys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci_tasks.core.git.origin import Origin
    from ci_tasks.core.signing import Signature

BOTH = pytest.mark.parametrize("form", ["ssh", "gpg"])
SIGNERS = "environments/allowed_signers"
PASSPHRASE = "of the tests"  # noqa: S105 - it guards a key that is thrown away


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    made = make_keys(tmp_path_factory.mktemp("keys"))
    made.make("locked", passphrase=PASSPHRASE)
    yield made
    made.end_agent()


@pytest.fixture(autouse=True)
def gnupg(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own GnuPG home has all the keys, so none is unknown because it is not there."""
    monkeypatch.setenv("GNUPGHOME", str(keys.home))


@dataclass(frozen=True)
class Place:
    """A clone, and the repository that its tags go to: a remote, or the clone itself."""

    clone: Path
    holder: Path

    def origin(self, sign: SigningFormat = SigningFormat.NONE) -> Origin:
        return Repository.discover(self.clone).origin("origin", sign=sign)

    @property
    def head(self) -> str:
        return git("rev-parse", "HEAD", cwd=self.clone)

    def allowed(self) -> AllowedSigners:
        return AllowedSigners.read(self.clone, SIGNERS)

    def verdict(self, content: bytes) -> Signature:
        """What we say of a tag object with this content, whatever git thinks of its form."""
        origin = self.origin()
        object_id = put(self.holder, content)
        git("update-ref", TAG, object_id, cwd=self.holder)
        origin.objects(origin.refs(TAG))
        return origin.signature(object_id, self.allowed())


def put(repository: Path, content: bytes) -> str:
    command = ["git", "hash-object", "-t", "tag", "-w", "--stdin", "--literally"]
    done = subprocess.run(command, cwd=repository, input=content, check=True, capture_output=True)
    return done.stdout.decode().strip()


def git_accepts(repository: Path, object_id: str, keys: Keys, form: str) -> bool:
    """What a user's own git says to the tag."""
    allowed = write(keys.folder / "allowed", f"alice@example.invalid {keys.public('alice')}\n")
    command = ["git", "-c", f"gpg.ssh.allowedSignersFile={allowed}", "verify-tag", object_id]
    environment = {**os.environ, **keys.environment}
    done = subprocess.run(command, cwd=repository, check=False, capture_output=True, env=environment)
    assert form == "gpg" or b"alice@example.invalid" in done.stderr or done.returncode
    return done.returncode == 0


def make_place(folder: Path, kind: str) -> Place:
    repository = build_monorepo(folder)
    clone = repository.clone
    if kind == "shallow":
        repository.commit("Second")
        clone = folder / "shallow"
        git("clone", "--quiet", "--depth=1", f"file://{repository.remote}", str(clone), cwd=folder)
    elif kind == "own":
        git("remote", "remove", "origin", cwd=clone)
    elif kind == "worktree":
        git("remote", "remove", "origin", cwd=clone)
        git("worktree", "add", "--quiet", str(folder / "tree"), cwd=clone)
        return Place(folder / "tree", clone)
    return Place(clone, clone if kind == "own" else repository.remote)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return make_place(tmp_path, "remote")


PLACES = pytest.mark.parametrize("kind", ["remote", "shallow", "own", "worktree"])


class TestSigning:
    """Every tag that is written carries the signature of git's own signer."""

    @BOTH
    @PLACES
    def test_a_tag_is_signed_and_the_repository_stays_as_it_was(
        self, tmp_path: Path, keys: Keys, kind: str, form: str
    ) -> None:
        place = make_place(tmp_path, kind)
        keys.configure(place.clone, "alice", form)
        before = picture(place.clone)
        origin = place.origin(SigningFormat(form))
        content = tag_content(place.head)
        written = origin.write_tag(content)
        after = picture(place.clone)
        new = {path for path in after if path not in before}
        assert {path: after[path] for path in before} == before
        assert all(path.startswith(".git/objects/") for path in new)
        assert len(new) == (1 if kind == "own" else 0)
        assert origin.push([RefUpdate(ref=TAG, new=written, old=None)]).result is PushResult.APPLIED
        stored = git("cat-file", "tag", TAG, cwd=place.holder).encode() + b"\n"
        assert stored.startswith(content + b"-----BEGIN ")
        assert git_accepts(place.holder, written, keys, form)
        git("fsck", "--strict", cwd=place.holder)

    def test_nothing_is_signed_unless_it_is_asked_for(self, place: Place) -> None:
        origin = place.origin()
        content = tag_content(place.head)
        written = origin.write_tag(content)
        origin.push([RefUpdate(ref=TAG, new=written, old=None)])
        assert git("cat-file", "tag", TAG, cwd=place.holder).encode() + b"\n" == content

    @BOTH
    def test_asked_for_once_it_is_signed_in_the_format_of_git(
        self, place: Place, keys: Keys, form: str
    ) -> None:
        keys.configure(place.clone, "alice", form)
        keys.allow(place.clone, "alice", form=form)
        origin = place.origin()
        written = origin.write_tag(tag_content(place.head), sign=True)
        assert origin.signature(written, place.allowed()).is_good

    def test_the_settings_win_over_the_format_of_git(self, place: Place, keys: Keys) -> None:
        keys.configure(place.clone, "alice", "gpg")
        git("config", "user.signingKey", str(keys.ssh("alice")), cwd=place.clone)
        keys.allow(place.clone, "alice", form="ssh")
        origin = place.origin(SigningFormat.SSH)
        written = origin.write_tag(tag_content(place.head))
        assert origin.signature(written, place.allowed()).is_good

    def test_a_format_that_nobody_verifies_is_refused(self, place: Place) -> None:
        git("config", "gpg.format", "x509", cwd=place.clone)
        with pytest.raises(UsageError, match="'x509': ssh and openpgp are known"):
            place.origin().write_tag(tag_content(place.head), sign=True)

    def test_the_key_of_a_condition_in_the_users_own_configuration(
        self, place: Place, keys: Keys, clean_environment: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        home = place.clone.parent / "home"
        identity = (clean_environment / ".gitconfig").read_text(encoding="utf-8")
        condition = f'[includeIf "gitdir:{place.clone}/"]\n  path = work\n'
        write(home / ".gitconfig", f"{identity}\n[user]\n  signingKey = /nowhere\n{condition}")
        write(home / "work", f"[user]\n  signingKey = {keys.ssh('alice')}\n[gpg]\n  format = ssh\n")
        monkeypatch.setenv("HOME", str(home))
        assert place.origin().write_tag(tag_content(place.head), sign=True)

    def test_the_key_of_an_agent(
        self, place: Place, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        socket = tmp_path / "agent"
        agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
        try:
            monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
            while not socket.exists():
                assert agent.poll() is None
            subprocess.run(["ssh-add", "-q", str(keys.ssh("alice"))], check=True)
            git("config", "user.signingKey", f"key::{keys.public('alice')}", cwd=place.clone)
            written = place.origin(SigningFormat.SSH).write_tag(tag_content(place.head))
            keys.allow(place.clone, "alice", form="ssh")
            assert place.origin().signature(written, place.allowed()).is_good
        finally:
            agent.terminate()
            agent.wait(10)

    def test_an_agent_of_gpg_that_has_to_be_started(self, place: Place, keys: Keys) -> None:
        keys.end_agent()
        keys.configure(place.clone, "alice", "gpg")
        assert place.origin(SigningFormat.GPG).write_tag(tag_content(place.head))

    def test_a_repository_of_sha256_in_a_folder_with_an_odd_name(self, tmp_path: Path, keys: Keys) -> None:
        clone = tmp_path / 'a:b "c"\nd'
        clone.mkdir()
        git("init", "--quiet", "--object-format=sha256", cwd=clone)
        git("commit", "--quiet", "--allow-empty", "--message", "Begin", cwd=clone)
        keys.configure(clone, "alice", "ssh")
        keys.allow(clone, "alice", form="ssh")
        place = Place(clone, clone)
        origin = place.origin(SigningFormat.SSH)
        written = origin.write_tag(tag_content(place.head))
        assert len(written) == 64
        assert origin.signature(written, place.allowed()).is_good
        assert origin.own_signature(place.allowed()).is_good

    def test_a_store_that_was_removed_since_is_made_anew(self, place: Place, keys: Keys) -> None:
        keys.configure(place.clone, "alice", "ssh")
        origin = place.origin(SigningFormat.SSH)
        origin.refs(TAG)
        shutil.rmtree(place.clone / ".git" / "ci-tasks")
        keys.allow(place.clone, "alice", form="ssh")
        written = origin.write_tag(tag_content(place.head))
        assert origin.signature(written, place.allowed()).is_good

    @pytest.mark.parametrize(
        "text",
        ["", "no end", "\n\n  spaces \t\n\n\n# no comment\n", "ümlaut ✓\r\n", "-----BEGIN LETTER-----\n"],
    )
    def test_the_text_is_signed_as_it_is(self, place: Place, keys: Keys, text: str) -> None:
        keys.configure(place.clone, "alice", "ssh")
        content = tag_content(place.head, text)
        origin = place.origin(SigningFormat.SSH)
        origin.push([RefUpdate(ref=TAG, new=origin.write_tag(content), old=None)])
        stored = subprocess.run(
            ["git", "cat-file", "tag", TAG], cwd=place.holder, check=True, capture_output=True
        ).stdout
        signed = take_apart(stored)
        assert signed is not None
        assert signed.payload == content

    def test_a_megabyte_is_signed(self, place: Place, keys: Keys) -> None:
        keys.configure(place.clone, "alice", "ssh")
        keys.allow(place.clone, "alice", form="ssh")
        origin = place.origin(SigningFormat.SSH)
        written = origin.write_tag(tag_content(place.head, "0123456789abcdef\n" * 65536))
        assert origin.signature(written, place.allowed()).is_good


class TestTheSignerFails:
    """What is said, and that nothing was written."""

    def failure(self, place: Place, sign: SigningFormat, content: bytes | None = None) -> UsageError:
        """The error of a write, which must have left nothing behind."""
        origin = place.origin(sign)
        origin.refs(TAG)
        before = objects_of(place.clone)
        with pytest.raises((UsageError, UnavailableError)) as raised:
            origin.write_tag(content or tag_content(place.head), sign=True)
        assert objects_of(place.clone) == before
        assert list(Path(os.environ["TMPDIR"]).iterdir()) == []
        assert raised.value.unchanged == "Nothing was pushed."
        return raised.value  # type: ignore[return-value]  # both have what the tests look at

    @pytest.fixture(autouse=True)
    def temporary(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "tmp").mkdir()
        monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
        monkeypatch.setattr("tempfile.tempdir", None)

    def test_git_has_no_key(self, place: Place) -> None:
        error = self.failure(place, SigningFormat.SSH)
        assert isinstance(error, UsageError)
        assert "no key to sign with" in error.what
        assert error.next_step == "git config user.signingKey ~/.ssh/id_ed25519.pub"

    def test_the_key_is_not_there(self, place: Place) -> None:
        git("config", "user.signingKey", "/nowhere/key.pub", cwd=place.clone)
        error = self.failure(place, SigningFormat.SSH)
        assert isinstance(error, UsageError)
        assert "/nowhere/key.pub" in "".join(error.details)
        assert (error.next_step or "").startswith("git config user.signingKey")

    def test_a_key_with_a_passphrase_that_no_agent_has(self, place: Place, keys: Keys) -> None:
        keys.configure(place.clone, "locked", "ssh")
        error = self.failure(place, SigningFormat.SSH)
        assert isinstance(error, UnavailableError)
        assert f"ssh-keygen did not sign the tag with the key {keys.ssh('locked')}." in error.what
        assert "passphrase" in "".join(error.details)
        assert (error.next_step or "").startswith("ssh-add")

    def test_a_public_key_whose_private_one_no_agent_has(self, place: Place, keys: Keys) -> None:
        git("config", "user.signingKey", f"key::{keys.public('alice')}", cwd=place.clone)
        error = self.failure(place, SigningFormat.SSH)
        assert isinstance(error, UnavailableError)
        assert (error.next_step or "").startswith("ssh-add")

    def test_gpg_has_no_such_key(self, place: Place) -> None:
        git("config", "user.signingKey", "nobody@example.invalid", cwd=place.clone)
        error = self.failure(place, SigningFormat.GPG)
        assert isinstance(error, UnavailableError)
        assert "gpg did not sign the tag with the key nobody@example.invalid." in error.what
        assert error.next_step == "echo test | gpg --clearsign --local-user nobody@example.invalid"

    @pytest.mark.parametrize(
        ("form", "line"),
        [
            (SigningFormat.NONE, "git config gpg.format ssh"),
            (SigningFormat.GPG, "git config user.signingKey KEY"),
        ],
    )
    def test_an_ssh_key_is_no_key_for_gpg(
        self, place: Place, keys: Keys, form: SigningFormat, line: str
    ) -> None:
        git("config", "user.signingKey", str(keys.ssh("alice").with_suffix(".pub")), cwd=place.clone)
        with pytest.raises(UnavailableError) as caught:
            place.origin(form).write_tag(tag_content(place.head), sign=True)
        error = caught.value
        assert error.what.endswith("alice.pub, which is an ssh key.")
        assert (error.next_step or "").startswith(line)

    def test_gpg_can_ask_nobody_for_the_passphrase(
        self, place: Place, keys: Keys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keys.end_agent()
        monkeypatch.delenv("GPG_TTY", raising=False)
        keys.configure(place.clone, "locked", "gpg")
        error = self.failure(place, SigningFormat.GPG)
        assert isinstance(error, UnavailableError)
        assert "gpg did not sign" in error.what

    @pytest.mark.parametrize(("key", "form"), [("gpg.ssh.program", "ssh"), ("gpg.program", "gpg")])
    def test_the_program_is_not_there(self, place: Place, keys: Keys, key: str, form: str) -> None:
        keys.configure(place.clone, "alice", form)
        git("config", key, "/nowhere/signer", cwd=place.clone)
        error = self.failure(place, SigningFormat(form))
        assert isinstance(error, UnavailableError)
        assert "can't be used to sign" in error.what
        assert "/nowhere/signer" in "".join(error.details)

    def test_the_signer_hangs(
        self, place: Place, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(git_signing, "SIGNING_TIMEOUT", 0.5)
        keys.configure(place.clone, "alice", "ssh")
        signer = write(tmp_path / "signer", "#!/bin/sh\nexec sleep 600\n", executable=True)
        git("config", "gpg.ssh.program", str(signer), cwd=place.clone)
        error = self.failure(place, SigningFormat.SSH)
        assert isinstance(error, UnavailableError)
        assert "gave no signature for" in error.what

    @pytest.mark.parametrize(
        "text",
        [
            "hello",
            "-----BEGIN SSH SIGNATURE-----\nAAAA\n",
            "-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n",
        ],
    )
    def test_the_signer_gives_something_else(
        self, place: Place, keys: Keys, tmp_path: Path, text: str
    ) -> None:
        keys.configure(place.clone, "alice", "ssh")
        write(tmp_path / "answer", text)
        script = f'#!/bin/sh\nfor last; do :; done\ncp {tmp_path}/answer "$last.sig"\n'
        signer = write(tmp_path / "signer", script, executable=True)
        git("config", "gpg.ssh.program", str(signer), cwd=place.clone)
        assert isinstance(self.failure(place, SigningFormat.SSH), UnavailableError)

    def test_a_name_that_git_would_change(self, place: Place, keys: Keys) -> None:
        keys.configure(place.clone, "alice", "ssh")
        content = tag_content(place.head).replace(b"tagger Test <", b"tagger Test. <")
        assert "not the tag that was asked for" in self.failure(place, SigningFormat.SSH, content).what

    @pytest.mark.parametrize("kind", ["PGP SIGNATURE", "SSH SIGNATURE", "PGP MESSAGE", "SIGNED MESSAGE"])
    def test_a_text_that_looks_like_a_signature(self, place: Place, keys: Keys, kind: str) -> None:
        keys.configure(place.clone, "alice", "ssh")
        content = tag_content(place.head, f"one\n-----BEGIN {kind}-----\ntwo")
        assert "looks like a signature" in self.failure(place, SigningFormat.SSH, content).what

    def test_git_is_too_old_for_ssh(
        self, place: Place, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keys.configure(place.clone, "alice", "ssh")
        keys.allow(place.clone, "alice", form="ssh")
        signed = keys.tag(place.clone, "api/production", "alice", "ssh")
        script = f"""\
#!/bin/sh
case " $* " in
*" version "*) echo "git version 2.33.0"; exit;;
*" --sign "*) echo "error: unsupported value for gpg.format: ssh" >&2; exit 128;;
esac
exec {shutil.which("git")} "$@"
"""
        write(tmp_path / "bin" / "git", script, executable=True)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
        with pytest.raises(UnavailableError, match=r"git 2\.34 or newer is needed to sign with"):
            place.origin(SigningFormat.SSH).write_tag(tag_content(place.head))
        with pytest.raises(UnavailableError, match=r"git 2\.34 or newer is needed to verify"):
            place.verdict(signed)
        keys.configure(place.clone, "alice", "gpg")
        git_process.require_version()


def objects_of(clone: Path) -> set[str]:
    return {path.name for path in (clone / ".git").rglob("objects/*/*") if path.is_file()}


GOOD, BAD = SignatureStatus.GOOD, SignatureStatus.BAD


class TestVerification:
    """What a signature is worth, by the files of the checkout alone."""

    @BOTH
    def test_good(self, place: Place, keys: Keys, form: str) -> None:
        keys.allow(place.clone, "bob", "alice", form=form)
        found = place.verdict(keys.tag(place.clone, "api/production", "alice", form))
        assert found.status is GOOD
        assert found.is_good
        assert found.signer == keys.signer("alice", form)
        assert found.key == keys.fingerprint("alice", form)

    def test_f53_nobody_is_known_by_the_names_in_a_gpg_key(self, place: Place, tmp_path: Path) -> None:
        """Each owner of an allowed key may write the address of an admin into it."""
        keys = Keys(tmp_path)
        for name in ("alice", "bob"):
            keys.make(name)
        alice, bob = (keys.fingerprint(name, "gpg") for name in ("alice", "bob"))
        for way in ("add", "set-primary"):
            keys.gpg(f"--quick-{way}-uid", bob, "Bob <alice@example.invalid>")
        write(place.clone / f"{SIGNERS}.asc", keys.gpg("--armor", "--export", alice, bob))
        content = keys.tag(place.clone, "api/production", "bob", "gpg")
        found = place.verdict(content)
        assert (found.status, found.signer) == (GOOD, bob)
        assert not found.is_of(["alice@example.invalid", "Bob <alice@example.invalid>", alice])
        assert found.is_of([bob.lower()])
        keys.end_agent()

    def test_f53_unsigned(self, place: Place, keys: Keys) -> None:
        keys.allow(place.clone, "alice", form="ssh")
        found = place.verdict(tag_content(place.head))
        assert (found.status, found.is_good, found.signer) == (SignatureStatus.UNSIGNED, False, None)
        assert place.origin().signature(place.head, place.allowed()).status is SignatureStatus.UNSIGNED

    @BOTH
    @pytest.mark.parametrize(
        ("old", "new"),
        [
            pytest.param(b"Version", b"version", id="message"),
            pytest.param(b"tag api", b"tag web", id="name"),
            pytest.param(b"tagger Test", b"tagger Best", id="tagger"),
            pytest.param(b"\n\n", b"\nencoding x\n\n", id="header"),
        ],
    )
    def test_f53_bad(self, place: Place, keys: Keys, form: str, old: bytes, new: bytes) -> None:
        keys.allow(place.clone, "alice", form=form)
        content = keys.tag(place.clone, "api/production", "alice", form)
        assert old in content
        assert place.verdict(content.replace(old, new, 1)).status is BAD

    def test_f53_expired_ssh(self, place: Place, keys: Keys) -> None:
        content = keys.tag(place.clone, "api/production", "expired", "ssh")
        for option, status in (
            ('valid-before="20200101"', SignatureStatus.EXPIRED),
            ('valid-after="21000101"', SignatureStatus.EXPIRED),
            ('valid-before="21000101"', GOOD),
        ):
            write(place.clone / SIGNERS, f"old@example.invalid {option} {keys.public('expired')}\n")
            found = place.verdict(content)
            assert (found.status, found.key) == (status, keys.fingerprint("expired", "ssh"))

    def test_f53_expired_gpg(self, place: Place, keys: Keys) -> None:
        keys.allow(place.clone, "expired", form="gpg")
        old = (f"gpg.program={keys.in_the_past()}",)
        content = keys.tag(place.clone, "api/production", "expired", "gpg", settings=old)
        found = place.verdict(content)
        assert found.status is SignatureStatus.EXPIRED
        assert found.signer == found.key == keys.fingerprint("expired", "gpg")

    @pytest.mark.parametrize("listed", ["keys", "krl"])
    def test_f53_revoked_ssh(self, place: Place, keys: Keys, listed: str) -> None:
        keys.allow(place.clone, "revoked", "alice", form="ssh")
        revoked = place.clone / f"{SIGNERS}.revoked"
        write(revoked, f"# lost in a train\n{keys.public('revoked')}\n")
        if listed == "krl":
            public = keys.ssh("revoked").with_suffix(".pub")
            subprocess.run(["ssh-keygen", "-q", "-k", "-f", revoked, public], check=True)
        content = keys.tag(place.clone, "api/production", "revoked", "ssh")
        found = place.verdict(content)
        assert found.status is SignatureStatus.REVOKED
        assert (found.signer, found.key) == ("revoked@example.invalid", keys.fingerprint("revoked", "ssh"))
        assert place.verdict(content.replace(b"Version", b"version")).status is BAD
        assert place.verdict(keys.tag(place.clone, "api/production", "alice", "ssh")).status is GOOD

    def test_f53_revoked_gpg(self, place: Place, tmp_path: Path) -> None:
        keys = Keys(tmp_path)
        keys.make("carol")
        content = keys.tag(place.clone, "api/production", "carol", "gpg")
        keys.revoke("carol")
        keys.allow(place.clone, "carol", form="gpg")
        found = place.verdict(content)
        assert (found.status, found.signer) == (SignatureStatus.REVOKED, keys.fingerprint("carol", "gpg"))
        keys.end_agent()

    @pytest.mark.parametrize("way", ["certificate", "key"])
    def test_f53_revoked_gpg_by_what_was_appended(self, place: Place, tmp_path: Path, way: str) -> None:
        keys = Keys(tmp_path)
        for name in ("carol", "dave"):
            keys.make(name)
        content = keys.tag(place.clone, "api/production", "carol", "gpg")
        keys.allow(place.clone, "carol", "dave", form="gpg")
        assert place.verdict(content).is_good
        path = place.clone / f"{SIGNERS}.asc"
        before, certificate = path.read_text(encoding="ascii"), keys.revocation("carol")
        keys.revoke("carol")
        keys.allow(place.clone, "carol", form="gpg")
        added = certificate if way == "certificate" else path.read_text(encoding="ascii")
        write(path, f"Keys of the team\r\n\n{before}\n{added}")
        assert place.verdict(content).status is SignatureStatus.REVOKED
        keys.end_agent()

    @BOTH
    def test_f53_unknown_signer(self, place: Place, keys: Keys, form: str) -> None:
        content = keys.tag(place.clone, "api/production", "stranger", form)
        for names in (("alice",), ()):
            keys.allow(place.clone, *names, form=form) if names else None
            found = place.verdict(content)
            assert found.status is SignatureStatus.UNKNOWN_SIGNER
            assert (found.signer, found.key) == (None, keys.fingerprint("stranger", form))

    def test_f53_unknown_signer_whose_key_is_for_other_things(self, place: Place, keys: Keys) -> None:
        write(place.clone / SIGNERS, f'a@example.invalid namespaces="file" {keys.public("alice")}\n')
        found = place.verdict(keys.tag(place.clone, "api/production", "alice", "ssh"))
        assert found.status is SignatureStatus.UNKNOWN_SIGNER

    def test_a_user_who_believes_more_is_not_asked(self, place: Place, keys: Keys, home: Path) -> None:
        everybody = write(home / "everybody", f"* {keys.public('stranger')}\n")
        wrapper = f'#!/bin/sh\nexec gpg --homedir {keys.home} "$@"\n'
        program = write(home / "wrapper", wrapper, executable=True)
        believing = f'[gpg]\nprogram = {program}\n[gpg "openpgp"]\nprogram = {program}\n'
        write(home / ".gitconfig", f'{believing}[gpg "ssh"]\nallowedSignersFile = {everybody}\n')
        keys.allow(place.clone, "alice", form="ssh")
        keys.allow(place.clone, "alice", form="gpg")
        for form in FORMATS:
            found = place.verdict(keys.tag(place.clone, "api/production", "stranger", form))
            assert found.status is SignatureStatus.UNKNOWN_SIGNER

    def test_a_user_who_believes_less_is_not_asked(self, place: Place, keys: Keys, home: Path) -> None:
        revoked = write(home / "revoked", keys.public("alice"))
        doubting = "[gpg]\nminTrustLevel = ultimate\n"
        write(home / ".gitconfig", f'{doubting}[gpg "ssh"]\nrevocationFile = {revoked}\nprogram = false\n')
        keys.allow(place.clone, "alice", form="ssh")
        keys.allow(place.clone, "alice", form="gpg")
        for form in FORMATS:
            assert place.verdict(keys.tag(place.clone, "api/production", "alice", form)).is_good

    @pytest.fixture
    def home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A home of the user's whose `.gitconfig` only our own git reads."""
        (tmp_path / "home").mkdir()
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        return tmp_path / "home"

    def test_nothing_of_it_is_left_behind(
        self, place: Place, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keys.allow(place.clone, "alice", form="gpg")
        content = keys.tag(place.clone, "api/production", "alice", "gpg")
        (tmp_path / "tmp").mkdir()
        monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
        monkeypatch.setattr("tempfile.tempdir", None)
        assert place.verdict(content).is_good
        assert list((tmp_path / "tmp").iterdir()) == []

    @pytest.mark.parametrize("damage", ["no key", "cut", "broken"])
    def test_keys_that_can_not_be_read(self, place: Place, keys: Keys, damage: str) -> None:
        keys.allow(place.clone, "alice", form="gpg")
        path = place.clone / f"{SIGNERS}.asc"
        good = path.read_text(encoding="ascii")
        begin, _, rest = good.partition("\n\n")
        broken = f"{begin}\n\n{rest[:40]}AAAA{rest[44:]}"
        write(path, {"no key": "no key\n", "cut": good + good[:200], "broken": good + broken}[damage])
        with pytest.raises(UsageError, match="can't be read as GPG public keys"):
            place.verdict(keys.tag(place.clone, "api/production", "alice", "gpg"))

    @BOTH
    def test_a_program_that_is_not_there_is_no_verdict(
        self, place: Place, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
    ) -> None:
        keys.allow(place.clone, "alice", form=form)
        content = keys.tag(place.clone, "api/production", "alice", form)
        for name in ("git", "sh", "env"):
            found = shutil.which(name)
            assert found is not None
            (tmp_path / "bin").mkdir(exist_ok=True)
            (tmp_path / "bin" / name).symlink_to(found)
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        with pytest.raises(UnavailableError):
            place.verdict(content)


class TestForgeries:
    """None of them looks signed."""

    @BOTH
    def test_text_after_the_signature(self, place: Place, keys: Keys, form: str) -> None:
        keys.allow(place.clone, "alice", form=form)
        content = keys.tag(place.clone, "api/production", "alice", form)
        for more in (b"more\n", b"\n", b"\0", b"-----BEGIN SSH SIGNATURE-----\n"):
            assert place.verdict(content + more).status is BAD
        assert git_accepts(place.holder, put(place.holder, content + b"more\n"), keys, form), "git is laxer"

    @BOTH
    def test_a_header_that_git_does_not_verify(self, place: Place, keys: Keys, form: str) -> None:
        keys.allow(place.clone, "alice", form=form)
        content = keys.tag(place.clone, "api/production", "alice", form)
        for header in (b"gpgsig one\n two", b"gpgsig-sha256 one"):
            forged = content.replace(b"\n\n", b"\n" + header + b"\n\n", 1)
            assert place.verdict(forged).status is BAD

    @BOTH
    def test_two_signatures(self, place: Place, keys: Keys, form: str) -> None:
        keys.allow(place.clone, "alice", "bob", form=form)
        content = keys.tag(place.clone, "api/production", "alice", form)
        signature = content[content.index(b"-----BEGIN") :]
        assert place.verdict(content + signature).status is BAD
        message = content.partition(b"\n\n")[2]
        path = write(place.clone.parent / "message", message.decode())
        pairs = (f"gpg.format={FORMATS[form]}", f"user.signingKey={keys.key('bob', form)}")
        options = [part for pair in pairs for part in ("-c", pair)]
        tag = ["tag", "--sign", "--cleanup=verbatim", f"--file={path}", "api/production"]
        git(*options, *tag, cwd=place.clone)
        twice = git("cat-file", "tag", "api/production", cwd=place.clone).encode() + b"\n"
        assert twice.count(b"-----BEGIN") == 2
        assert place.verdict(twice).status is BAD

    @BOTH
    def test_a_signature_inside_of_the_message(self, place: Place, keys: Keys, form: str) -> None:
        keys.allow(place.clone, "alice", form=form)
        content = keys.tag(place.clone, "api/production", "alice", form)
        signature = content[content.index(b"-----BEGIN") :]
        other = tag_content(place.head, "Another text")
        assert place.verdict(other + signature).status is BAD
        assert place.verdict(other + signature + b"\nand so on\n").status is BAD
        assert place.verdict(other.replace(b"Another", signature + b"Another")).status is BAD

    @BOTH
    def test_the_signature_of_a_commit(self, place: Place, keys: Keys, form: str) -> None:
        keys.configure(place.clone, "alice", form)
        keys.allow(place.clone, "alice", form=form)
        git("commit", "--quiet", "--allow-empty", "-S", "--message", "Signed", cwd=place.clone)
        git("push", "--quiet", "origin", "main", cwd=place.clone)
        commit = git("cat-file", "commit", "HEAD", cwd=place.clone)
        lines = commit.partition("gpgsig ")[2].partition("\n\n")[0].split("\n")
        signature = "\n".join(line.removeprefix(" ") for line in lines) + "\n"
        assert is_signed(signature.encode())
        assert place.verdict(tag_content(place.head) + signature.encode()).status is BAD

    def test_a_signature_that_was_made_for_a_file(self, place: Place, keys: Keys) -> None:
        keys.allow(place.clone, "alice", form="ssh")
        path = place.clone.parent / "content"
        path.write_bytes(tag_content(place.head))
        for namespace, status in (("file", BAD), ("git", GOOD)):
            command = [
                "ssh-keygen",
                "-q",
                "-Y",
                "sign",
                "-n",
                namespace,
                "-f",
                str(keys.ssh("alice")),
                str(path),
            ]
            subprocess.run(command, check=True, capture_output=True)
            signature = path.with_name("content.sig")
            assert place.verdict(path.read_bytes() + signature.read_bytes()).status is status
            signature.unlink()

    @pytest.mark.parametrize(
        "armored",
        [b"AAAA", b"====", base64.b64encode(b"SSHSIG\0\0\0\1\xff\xff\xff\xff"), base64.b64encode(b"SSHSIG")],
    )
    def test_a_signature_of_rubbish(self, place: Place, keys: Keys, armored: bytes) -> None:
        keys.allow(place.clone, "alice", form="ssh")
        for kind, gap in (("SSH", b""), ("PGP", b"\n")):
            begin, end = f"-----BEGIN {kind} SIGNATURE-----\n", f"\n-----END {kind} SIGNATURE-----\n"
            block = begin.encode() + gap + armored + end.encode()
            assert place.verdict(tag_content(place.head) + block).status is BAD

    @given(
        st.binary(max_size=40),
        st.sampled_from([b"PGP SIGNATURE", b"SSH SIGNATURE", b"PGP MESSAGE", b"SIGNED MESSAGE"]),
        st.binary(max_size=40),
    )
    def test_whatever_git_takes_for_signed_is_not_unsigned(
        self, before: bytes, kind: bytes, after: bytes
    ) -> None:
        content = tag_content("1" * 40) + before + b"\n-----BEGIN " + kind + b"-----" + after
        assert is_signed(content)
        signed = take_apart(content)
        assert signed is None or content.startswith(signed.payload)


class TestOwnSignature:
    """Who would sign."""

    @BOTH
    @PLACES
    def test_the_key_that_git_is_configured_with(
        self, tmp_path: Path, keys: Keys, kind: str, form: str
    ) -> None:
        place = make_place(tmp_path, kind)
        keys.configure(place.clone, "alice", form)
        keys.allow(place.clone, "alice", form=form)
        before = picture(place.clone)
        found = place.origin(SigningFormat(form)).own_signature(place.allowed())
        assert (found.status, found.signer) == (GOOD, keys.signer("alice", form))
        assert found.key == keys.fingerprint("alice", form)
        assert picture(place.clone) == before
        keys.configure(place.clone, "stranger", form)
        stranger = place.origin(SigningFormat(form)).own_signature(place.allowed())
        assert stranger.status is SignatureStatus.UNKNOWN_SIGNER

    def test_without_a_key(self, place: Place) -> None:
        with pytest.raises(UsageError, match="no key to sign with"):
            place.origin(SigningFormat.SSH).own_signature(place.allowed())


class TestAllowedSigners:
    """The files of a checkout."""

    def test_missing_ones_name_nobody(self, tmp_path: Path) -> None:
        nobody = AllowedSigners.read(tmp_path, SIGNERS)
        assert nobody.is_nobody
        assert nobody.files == {}
        assert (nobody.ssh, nobody.gpg, nobody.revoked) == (b"", b"", b"")

    @pytest.mark.parametrize(
        ("ending", "text"), [("", "# a comment\n\n  \n"), (".asc", "\n"), (".revoked", "x")]
    )
    def test_empty_ones_name_nobody(self, tmp_path: Path, ending: str, text: str) -> None:
        write(tmp_path / f"{SIGNERS}{ending}", text)
        assert AllowedSigners.read(tmp_path, SIGNERS).is_nobody

    @pytest.mark.parametrize("ending", ["", ".asc", ".revoked"])
    def test_a_link_is_refused(self, tmp_path: Path, ending: str) -> None:
        (tmp_path / "environments").mkdir()
        (tmp_path / f"{SIGNERS}{ending}").symlink_to("/etc/hostname")
        with pytest.raises(UsageError, match="is a symbolic link"):
            AllowedSigners.read(tmp_path, SIGNERS)


class TestTheRevokedKeys:
    """The file of revoked keys, which ssh-keygen reads whole or not at all."""

    def check(self, text: bytes) -> None:
        check_revoked(AllowedSigners(path="signers", files={"signers.revoked": text}))

    def test_what_ssh_keygen_reads(self, keys: Keys) -> None:
        self.check(b"")
        self.check(b"SSHKRL\n\0binary")
        self.check(f"# lost\n\n  {keys.public('alice')}\r\n{keys.public('bob')}".encode())

    @pytest.mark.parametrize("change", ["", "ssh-rsa", "half", "word"])
    def test_a_line_that_is_no_key_is_named(self, keys: Keys, change: str) -> None:
        kind, key, name = keys.public("bob").split()
        line = {
            "": "lost",
            "ssh-rsa": f"ssh-rsa {key} {name}",
            "half": f"{kind} {key[: len(key) // 2]} {name}",
            "word": f"bob@example.invalid {kind} {key}",
        }[change]
        with pytest.raises(UsageError, match=r"signers\.revoked, line 2, is no public key") as caught:
            self.check(f"{keys.public('alice')}\n{line}\n".encode())
        assert caught.value.next_step == "sed -n 2p signers.revoked"

    def test_such_a_file_is_told_and_revokes_nobody(self, place: Place, keys: Keys) -> None:
        keys.allow(place.clone, "alice", form="ssh")
        content = keys.tag(place.clone, TAG.removeprefix("refs/tags/"), "alice", "ssh")
        assert place.verdict(content).is_good
        write(place.clone / f"{SIGNERS}.revoked", "not a key\n")
        with pytest.raises(UsageError, match=r"revoked, line 1, is no public key"):
            place.verdict(content)
