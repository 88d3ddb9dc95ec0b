"""Signed versions: what an environment with the rule `verify` takes, and what we sign ourselves."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_tasks.core.git.repository import Repository
from ci_tasks.core.signing import AllowedSigners, is_signed
from ci_tasks.tag import annotation
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag.model import Live
from tests.conftest import ROOT
from tests.deploy.conftest import make_site
from tests.deploy.test_deploy_how_to import lines_of, typed
from tests.repositories import git, write
from tests.signers import Keys, make_keys
from tests.tag.records import empty, record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Inv
    from tests.deploy.conftest import Site

CANARY = ("--env", "canary", "--subproject", "api")
SIGNERS = "environments/allowed_signers"
HOW_TO = "docs/how-to/sign-tags.md"
BOTH = pytest.mark.parametrize("form", ["ssh", "gpg"])


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    made = make_keys(tmp_path_factory.mktemp("keys"))
    yield made
    made.end_agent()


@dataclass(frozen=True)
class Signed:
    """A site whose canary takes signed versions only; the number of each version by what is wrong with it."""

    site: Site
    keys: Keys

    def put(self, version: str, content: bytes) -> None:
        self.site.put(version, content.decode())

    def number(self, form: str, what: str) -> str:
        minor = ("good", "bad", "expired", "revoked", "unknown").index(what)
        return f"v{1 if form == 'ssh' else 2}.{minor}.1"


def make_signed(folder: Path, inv: Inv, keys: Keys) -> Signed:
    """Versions of every kind, by ssh and by GPG, on the commit that has the files of allowed signers."""
    site = make_site(folder, inv)
    signed = Signed(site, keys)
    site.repository.write("environments/canary/config.yml", "verify: tag\n")
    keys.allow(site.clone, "alice", form="ssh")
    lines = (site.clone / SIGNERS).read_text(encoding="ascii")
    expired = f'expired@example.invalid valid-before="20200101" {keys.public("expired")}\n'
    revoked = f"revoked@example.invalid {keys.public('revoked')}\n"
    write(site.clone / SIGNERS, lines + expired + revoked)
    write(site.clone / f"{SIGNERS}.revoked", keys.public("revoked") + "\n")
    site.commit("Signers")
    site.version("api/v0.9.0")
    for form in ("ssh", "gpg"):
        for what, key in (
            ("good", "alice"),
            ("bad", "alice"),
            ("expired", "expired"),
            ("revoked", "revoked"),
            ("unknown", "stranger"),
        ):
            version = f"api/{signed.number(form, what)}"
            old = (f"gpg.program={keys.in_the_past()}",) if (form, key) == ("gpg", "expired") else ()
            content = keys.tag(site.clone, version, key, form, settings=old)
            signed.put(version, content.replace(b"Version", b"version") if what == "bad" else content)
    keys.revoke("revoked")
    keys.allow(site.clone, "alice", "expired", "revoked", form="gpg")
    site.commit("Signers by GPG")
    return signed


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory, inv: Inv, keys: Keys) -> Signed:
    return make_signed(tmp_path_factory.mktemp("signed"), inv, keys)


def refused(site: Site, version: str, *says: str, env: dict[str, str] | None = None) -> str:
    """Deploy it, which must be refused by the rule, with all of this; what was said."""
    before = site.remote_state()
    done = site.run("deploy", *CANARY, "--version", version, env=env)
    assert done.returncode == 3, done.stderr
    assert "Rule: verify (environments/canary/config.yml:1)." in done.stderr
    for text in says:
        assert text in done.stderr
    assert site.remote_state() == before
    assert site.repository.recorded() == []
    return done.stderr


class TestTheRule:
    """An environment with `verify: tag`."""

    def test_f53_unsigned(self, signed: Signed) -> None:
        head = signed.site.target("api/v0.9.0")
        line = f"inv tag.create --version v0.9.1 --subproject api --commit {head} --sign"
        refused(
            signed.site, "v0.9.0", "canary takes signed versions only, and api/v0.9.0 is not signed.", line
        )

    @pytest.mark.parametrize(
        ("form", "what", "key", "says"),
        [
            pytest.param(form, what, key, says, id=f"F53-{name}-{form}")
            for form in ("ssh", "gpg")
            for name, what, key, says in (
                ("bad", "bad", "alice", "has a bad signature ("),
                ("expired", "expired", "expired", ", which had expired."),
                ("revoked", "revoked", "revoked", ", which is revoked."),
                ("unknown-signer", "unknown", "stranger", f"which is not one of those in {SIGNERS}"),
            )
        ],
    )
    def test_a_version_is_refused(self, signed: Signed, form: str, what: str, key: str, says: str) -> None:
        said = refused(signed.site, signed.number(form, what), says)
        signer = signed.keys.signer(key, form)
        known_by = signer if form == "ssh" else signer[-16:]  # of a bad one gpg says no more
        assert signed.keys.fingerprint(key, form) in said or (what == "bad" and known_by in said)
        assert (f"signed by {signer} with the key" in said) is ((form, what) == ("ssh", "revoked"))

    @BOTH
    def test_a_good_one_is_deployed_and_the_plan_says_by_whom(
        self, tmp_path: Path, inv: Inv, signed: Signed, form: str
    ) -> None:
        version = signed.number(form, "good")
        plan = signed.site.answer("deploy", *CANARY, "--version", version, "--dry-run")["plan"]
        assert plan["refusals"] == []
        key = signed.keys.fingerprint("alice", form)
        by = "by alice@example.invalid, " if form == "ssh" else ""
        signer = f"api/{version} is signed {by}with the key {key}."
        assert signer in plan["notices"]
        site = make_site(tmp_path, inv)
        site.repository.write("environments/canary/config.yml", "verify: tag\n")
        signed.keys.allow(site.clone, "alice", form=form)
        site.commit("Signers")
        site.put("api/v1.1.0", signed.keys.tag(site.clone, "api/v1.1.0", "alice", form).decode())
        site.ok("deploy", *CANARY)
        assert site.ledger("api/canary").live() == {"": "v1.1.0"}

    def test_an_environment_that_does_not_ask_takes_any(self, signed: Signed) -> None:
        line = ("deploy", "--env", "staging", "--subproject", "api", "--dry-run")
        for version in ("v0.9.0", signed.number("gpg", "bad")):
            assert signed.site.answer(*line, "--version", version)["plan"]["refusals"] == []

    @pytest.mark.parametrize("text", ["# nobody yet\n", None], ids=["empty", "missing"])
    def test_nobody_may_sign(self, tmp_path: Path, inv: Inv, keys: Keys, text: str | None) -> None:
        site = make_site(tmp_path, inv)
        site.repository.write("environments/canary/config.yml", "verify: tag\n")
        if text:
            site.repository.write(SIGNERS, text)
        site.commit("Rules")
        content = keys.tag(site.clone, "api/v1.1.0", "alice", "ssh")
        site.put("api/v1.1.0", content.decode())
        said = refused(site, "v1.1.0", f"{SIGNERS} names nobody who may sign")
        (line,) = (line for line in said.splitlines() if ">>" in line)
        home = tmp_path / "home" / ".ssh"
        write(home / "id_ed25519.pub", keys.public("alice"))
        environment = {**os.environ, "HOME": str(tmp_path / "home")}
        command = line[line.index("echo") :]
        subprocess.run(["sh", "-c", command], cwd=site.clone, check=True, env=environment)
        site.ok("deploy", *CANARY, "--version", "v1.1.0")

    def test_f53_signers_of_the_commit(self, tmp_path: Path, inv: Inv, keys: Keys) -> None:
        site = make_site(tmp_path, inv)
        keys.allow(site.clone, "stranger", form="ssh")
        keys.allow(site.clone, "stranger", form="gpg")
        site.repository.write("environments/canary/config.yml", "verify: none\n")
        site.commit("Signers and rules of their own")
        for form, version in (("ssh", "api/v1.1.0"), ("gpg", "api/v1.2.0")):
            site.put(version, keys.tag(site.clone, version, "stranger", form).decode())
        keys.allow(site.clone, "alice", form="ssh")
        keys.allow(site.clone, "alice", form="gpg")
        site.repository.write("environments/canary/config.yml", "verify: tag\n")
        site.commit("The right ones")
        for version in ("v1.1.0", "v1.2.0"):
            refused(site, version, "which is not one of those in")

    def test_a_version_is_verified_as_the_remote_has_it(self, signed: Signed) -> None:
        site, version = signed.site, signed.number("ssh", "good")
        git("tag", f"api/{version}", cwd=site.clone)
        assert site.answer("deploy", *CANARY, "--version", version, "--dry-run")["plan"]["refusals"] == []
        git("tag", "--delete", f"api/{version}", cwd=site.clone)

    def test_the_signers_can_stand_elsewhere(self, tmp_path: Path, inv: Inv, keys: Keys) -> None:
        site = make_site(tmp_path, inv)
        site.repository.write("environments/canary/config.yml", "verify: tag\nprotected: true\n")
        settings = (site.clone / "ci_tasks.yaml").read_text(encoding="utf-8")
        site.repository.write("ci_tasks.yaml", f"{settings}allowedSigners: ci/signers\n")
        keys.allow(site.clone, "alice", form="ssh", path="ci/signers")
        site.commit("Signers")
        site.put("api/v1.1.0", keys.tag(site.clone, "api/v1.1.0", "alice", "ssh").decode())
        line = ("deploy", *CANARY, "--dry-run")
        assert site.answer(*line, env={"CI": "true"})["plan"]["refusals"] == []
        keys.allow(site.clone, "alice", "stranger", form="ssh", path="ci/signers")
        assert self._changed(site) == "ci/signers"
        git("update-index", "--assume-unchanged", "ci/signers", cwd=site.clone)
        assert self._changed(site) == "ci/signers"
        git("update-index", "--no-assume-unchanged", "ci/signers", cwd=site.clone)
        git("checkout", "--quiet", "--", "ci/signers", cwd=site.clone)
        keys.allow(site.clone, "stranger", form="gpg", path="ci/signers")
        write(site.clone / ".git/info/exclude", "*.asc\n")
        assert self._changed(site) == "ci/signers.asc"

    def test_uncommitted_signers_are_refused_where_it_is_protected(
        self, tmp_path: Path, inv: Inv, keys: Keys
    ) -> None:
        site = make_site(tmp_path, inv)
        site.repository.write("environments/canary/config.yml", "verify: tag\nprotected: true\n")
        keys.allow(site.clone, "alice", form="ssh")
        write(site.clone / f"{SIGNERS}.revoked", keys.public("stranger"))
        site.commit("Signers")
        site.put("api/v1.1.0", keys.tag(site.clone, "api/v1.1.0", "stranger", "ssh").decode())
        keys.allow(site.clone, "alice", "stranger", form="ssh")
        (site.clone / f"{SIGNERS}.revoked").unlink()
        assert self._changed(site) == f"{SIGNERS}, {SIGNERS}.revoked"

    @pytest.mark.parametrize(
        ("rules", "edited", "rule"),
        [
            pytest.param("verify: tag\n", "verify: none\n", "verify", id="F118-verify"),
            pytest.param("branches: [release]\n", "branches: [main]\n", "branches", id="F118-branches"),
        ],
    )
    def test_an_uncommitted_edit_takes_no_guard_away(
        self, tmp_path: Path, inv: Inv, rules: str, edited: str, rule: str
    ) -> None:
        site = make_site(tmp_path, inv)
        site.repository.write("environments/canary/config.yml", rules)
        site.commit("Guards")
        site.run("tag.create", "--subproject", "api", "--version", "v1.1.0")
        site.repository.write("environments/canary/config.yml", edited)
        plan = site.answer("deploy", *CANARY, "--dry-run", code=3)["plan"]
        assert [refusal["rule"] for refusal in plan["refusals"]] == [rule]

    @staticmethod
    def _changed(site: Site) -> str:
        plan = site.answer("deploy", *CANARY, "--dry-run", code=3, env={"CI": "true"})["plan"]
        (refusal,) = plan["refusals"]
        assert refusal["rule"] == "protected"
        found: str = refusal["message"].partition("uncommitted changes: ")[2].removesuffix(".")
        return found


class TestTheKey:
    """`verify` in a `config.yml`."""

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("verify: true", "verify: none or tag is expected"),
            ("verify: tags", "verify: none or tag is expected"),
            ("verify:", "verify: none or tag is expected"),
            ("verfy: tag", "did you mean verify?"),
            ("verfiy: tag", "did you mean verify?"),
            ("Verify: tag", "did you mean verify?"),
        ],
    )
    def test_a_mistake_is_refused(self, site: Site, text: str, says: str) -> None:
        site.repository.write("environments/staging/config.yml", f"{text}\n")
        done = site.run("env.check")
        assert done.returncode == 2
        assert says in done.stdout + done.stderr
        assert site.run("deploy", "--env", "staging", "--subproject", "api").returncode == 2

    def test_it_is_shown(self, site: Site) -> None:
        site.repository.write("environments/canary/config.yml", "verify: tag\n")
        assert site.answer("env.show", "--env", "canary")["rules"]["verify"] == "tag"
        rows = site.ok("env.show", "--env", "canary").splitlines()
        assert ["verify", "tag"] in [row.split() for row in rows]
        assert "verify" not in site.ok("env.show", "--env", "production")
        site.ok("env.check")


class TestOurOwnTags:
    """With `sign:` in the settings, all that is written is signed."""

    @BOTH
    def test_a_deployment_from_end_to_end(self, tmp_path: Path, inv: Inv, keys: Keys, form: str) -> None:
        site = make_site(tmp_path, inv)
        settings = (site.clone / "ci_tasks.yaml").read_text(encoding="utf-8")
        site.repository.write("ci_tasks.yaml", f"{settings}sign: {form}\nlease: 10s\n")
        site.repository.write("environments/canary/config.yml", "verify: tag\n")
        keys.allow(site.clone, "alice", form=form)
        site.script("sleep 4")
        site.commit("Sign")
        keys.configure(site.clone, "alice", form)
        environment = keys.environment
        site.ok("tag.create", "--version", "v1.1.0", "--subproject", "api", env=environment)
        site.ok("deploy", *CANARY, env=environment)
        written = chain(site, "api/canary")
        assert len(written) >= 3, "claim, renewal, settlement"
        allowed = write(tmp_path / "allowed", f"alice@example.invalid {keys.public('alice')}\n")
        verify = ["git", "-c", f"gpg.ssh.allowedSignersFile={allowed}", "verify-tag"]
        for name in (*written, "refs/tags/api/v1.1.0", "refs/tags/api/canary"):
            subprocess.run([*verify, name], cwd=site.remote, check=True, env={**os.environ, **environment})
        status = site.answer("deploy.status", "--env", "canary", "--subproject", "api")
        assert "v1.1.0" in str(status)
        again = site.ok("deploy", *CANARY, env=environment)
        assert "Nothing to do" in again

    def test_without_a_key_nothing_happens(self, site: Site) -> None:
        before = site.remote_state()
        environment = {"CI_TASKS_SIGN": "ssh"}
        done = site.run("deploy", "--env", "staging", "--subproject", "api", env=environment)
        assert done.returncode == 2
        assert "git config user.signingKey" in done.stderr
        assert site.repository.recorded() == []
        created = site.run("tag.create", "--version", "v1.1.0", "--subproject", "api", env=environment)
        assert created.returncode == 2
        assert site.remote_state() == before

    @given(st.text(max_size=60), st.sampled_from(["", "\n", "\u2028", "\r"]))
    def test_no_name_looks_like_a_signature(self, text: str, end: str) -> None:
        hostile = f"{text}{end}-----BEGIN SSH SIGNATURE-----{end}{text}"
        claimed = ledgers.claim(empty(), (record(1, triggered_by=hostile),), regions=())
        before = claimed.open[0]
        shown = Live(
            version="v1.0.0",
            commit_sha=before.commit_sha,
            since=before.started_at,
            triggered_by=hostile,
            deployment_id=before.deployment_id,
            inputs=None,
            uncertain=False,
            attempted=None,
        )
        header = msgspec.structs.replace(claimed.header, live={"": shown})
        state = msgspec.structs.replace(claimed, header=header)
        written, _ = annotation.write(state)
        assert not is_signed(written.encode())
        signature = "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n"
        assert annotation.read(written + signature, name="api/staging").header == header


class TestTheHowTo:
    """docs/how-to/sign-tags.md does what it says."""

    def test_from_the_first_key_to_a_signed_deployment(self, site: Site, keys: Keys) -> None:
        page = (ROOT / HOW_TO).read_text(encoding="utf-8")
        home = site.temporary.parent / "home"
        for name in ("id_ed25519", "id_ed25519.pub"):
            (home / ".ssh").mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.copy(
                keys.ssh("alice").with_name(name.replace("id_ed25519", "alice")), home / ".ssh" / name
            )
        for email, key in (("user.email", "alice@example.org"), ("user.name", "Alice")):
            git("config", email, key, cwd=site.clone)
        for heading in ("Sign", "Say who may sign"):
            done = typed(site, lines_of(HOW_TO, heading), env={"HOME": str(home)})
            assert done.returncode == 0, done.stderr
        one = ("--version", "v1.0.1", "--subproject", "api", "--sign")
        site.ok("tag.create", *one, env={"HOME": str(home)})
        assert is_signed(git("cat-file", "tag", "api/v1.0.1", cwd=site.remote).encode())
        settings = (site.clone / "ci_tasks.yaml").read_text(encoding="utf-8")
        site.repository.write("ci_tasks.yaml", f"{settings}sign: ssh\n")
        site.repository.write("environments/canary/config.yml", "verify: tag\n")
        site.commit("Sign and verify")
        site.ok("tag.create", "--version", "v1.1.0", "--subproject", "api", env={"HOME": str(home)})
        site.ok("deploy", *CANARY, env={"HOME": str(home)})
        (look,) = re.findall(r"`(git fetch [^`]+ && git verify-tag [^`]+)`", page)
        assert typed(site, look).returncode == 0
        git("fetch", "--quiet", "--tags", "origin", cwd=site.clone)
        git("verify-tag", "api/canary", cwd=site.clone)
        (lost,) = lines_of(HOW_TO, "Take a key back").splitlines()
        done = typed(site, lost.replace("ssh-ed25519 AAAAC3…lost", keys.public("alice")))
        assert done.returncode == 0, done.stderr
        again = site.run("deploy", *CANARY, "--again", env={"HOME": str(home)})
        assert again.returncode == 3
        assert "is revoked" in again.stderr

    def test_the_lines_about_a_change_of_keys(self, site: Site, keys: Keys) -> None:
        text = (ROOT / HOW_TO).read_text(encoding="utf-8")
        lines = [line for line in text.splitlines() if line.startswith("alice@example.org namespaces")]
        assert len(lines) == 2
        filled = [
            line.replace("ssh-ed25519 AAAAC3…old", keys.public("alice")).replace(
                "ssh-ed25519 AAAAC3…new", keys.public("bob")
            )
            for line in lines
        ]
        write(site.clone / SIGNERS, "\n".join(filled) + "\n")
        allowed = AllowedSigners.read(site.clone, SIGNERS)
        origin = Repository.discover(site.clone).origin("origin")
        for key, day, is_good in (
            ("alice", "2026-06-30", True),
            ("alice", "2026-07-02", False),
            ("bob", "2026-06-29", False),
            ("bob", "2026-07-02", True),
        ):
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("GIT_COMMITTER_DATE", f"{day}T12:00:00Z")
                site.put("api/v9.0.0", keys.tag(site.clone, "api/v9.0.0", key, "ssh").decode())
            (ref,) = origin.refs("refs/tags/api/v9.0.0")
            origin.objects([ref])
            assert origin.signature(ref.object_id, allowed).is_good is is_good, (key, day)


def chain(site: Site, tag: str) -> list[str]:
    """The objects that an environment tag has been, newest first; the remote keeps them all."""
    found = [git("rev-parse", f"refs/tags/{tag}", cwd=site.remote)]
    while True:
        text = git("cat-file", "tag", found[-1], cwd=site.remote)
        header = msgspec.json.decode(text.partition("\n---\n")[2].partition("\n")[0])
        if header["replaces"] is None:
            return found
        found.append(header["replaces"])
