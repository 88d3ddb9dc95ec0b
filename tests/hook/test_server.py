"""The server's hook: what a bare repository refuses, whoever pushes, and that all of ours passes."""

from __future__ import annotations

import json
import os
import re
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import pytest

from ci_tasks.core.checkout import Checkout
from ci_tasks.core.errors import RefusedError, UsageError
from ci_tasks.hook import configuration, update
from ci_tasks.hook.install import install_server
from ci_tasks.tag import annotation
from ci_tasks.tag.annotation import UnreadableLedgerError
from tests.deploy.conftest import Ledger, Site, make_site
from tests.deploy.running import GATED, Stage
from tests.repositories import git, write
from tests.signers import Keys, make_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Inv

ZERO = "0" * 40
API = ("--subproject", "api")
STAGING = ("--env", "staging", *API)


def install(site: Site) -> None:
    """Install the hook in this process, from the settings of the clone."""
    install_server(Checkout.open(site.clone), str(site.remote), uninstall=False)


@pytest.fixture
def server(site: Site) -> Site:
    """A monorepo whose remote has the hook."""
    install(site)
    return site


def push(site: Site, *words: str) -> str:
    """Push with git alone; what it said, which has to be that the hook declined."""
    before = site.repository.remote_refs()
    done = subprocess.run(
        ["git", "push", *words], cwd=site.clone, check=False, capture_output=True, text=True
    )
    assert done.returncode == 1, done.stderr
    assert "(hook declined)" in done.stderr
    assert site.repository.remote_refs() == before
    return done.stderr


# Installing


def test_the_server_is_told_the_settings(site: Site, inv: Inv) -> None:
    site.repository.write("ci_tasks.yaml", "environments: [live, test]\nadmins: [alice@example.invalid]\n")
    before = site.remote_state()
    document = json.loads(inv("hook.install", "--server", "../remote.git", "--json", cwd=site.clone).stdout)
    assert document["configuration"] == {
        "ci-tasks.environments": "live test",
        "ci-tasks.sign": "none",
        "ci-tasks.allowedSigners": "ci-tasks/allowed_signers",
        "ci-tasks.admins": "alice@example.invalid",
    }
    assert git("config", "ci-tasks.environments", cwd=site.remote) == "live test"
    once = site.remote_state()
    done = inv("hook.install", "--server", "../remote.git", cwd=site.clone)
    assert "installed already" in done.stdout
    assert "ci-tasks.admins" in done.stdout
    assert site.remote_state() == once
    assert inv("hook.install", "--server", "../remote.git", "--uninstall", cwd=site.clone).returncode == 0
    assert site.remote_state() == before


def test_an_existing_update_hook_runs_first(server: Site) -> None:
    text = '#!/bin/sh\n[ "$1" != refs/heads/closed ] || { echo "closed: $*"; exit 1; }\n'
    (server.remote / "hooks/update").unlink()
    write(server.remote / "hooks/update", text, executable=True)
    install(server)
    said = push(server, "origin", "main:refs/heads/closed")
    assert re.search(rf"remote: closed: refs/heads/closed {ZERO} [0-9a-f]{{40}}", said)
    push(server, "origin", "main:refs/tags/api/v3.0.0")
    server.repository.git("push", "--quiet", "origin", "main:refs/heads/open")


def test_branches_pass_without_python(server: Site) -> None:
    script = server.remote / "hooks/update"
    text = script.read_text(encoding="utf-8")
    script.write_text(re.sub(r"(?m)^python=.*", "python=/nowhere", text), encoding="utf-8")
    server.repository.git("push", "--quiet", "origin", "main:refs/heads/production", "main:refs/notes/x")
    server.repository.git("push", "--quiet", "origin", "--delete", "refs/heads/production")
    said = push(server, "origin", "main:refs/tags/nightly")
    assert "remote: ci-tasks: refs/tags/nightly is refused: the server's hook does not work" in said


def test_without_its_configuration_it_refuses_all_tags(server: Site) -> None:
    git("config", "--unset", "ci-tasks.environments", cwd=server.remote)
    said = push(server, "origin", "main:refs/tags/nightly")
    assert (
        "remote: error: The server's hook does not know its rules: ci-tasks.environments is not set" in said
    )
    assert "inv hook.install --server" in said


def test_a_broken_configuration_refuses_all_tags(server: Site) -> None:
    git("config", "ci-tasks.sign", "yes", cwd=server.remote)
    push(server, "origin", "main:refs/tags/nightly")


def test_whoever_pushes_may_run_the_hook(site: Site) -> None:
    before = os.umask(0o077)
    try:
        install(site)
    finally:
        os.umask(before)
    assert (site.remote / "hooks/update").stat().st_mode & 0o777 == 0o755


# Versions, states and foreign tags, through real pushes


@pytest.mark.usefixtures("measured")
def test_foreign_tags_pass(server: Site) -> None:
    server.repository.git("tag", "nightly")
    server.repository.git("push", "--quiet", "origin", "nightly", "main:refs/tags/api/Production")
    server.repository.git("commit", "--quiet", "--allow-empty", "--message", "feat: a")
    server.repository.git("push", "--quiet", "--force", "origin", "main:refs/tags/nightly")
    server.repository.git("push", "--quiet", "--delete", "origin", "nightly")


@pytest.mark.usefixtures("measured")
def test_a_version_is_there_for_good(server: Site) -> None:
    server.version("api/v1.1.0")
    server.repository.git("commit", "--quiet", "--allow-empty", "--message", "feat: a")
    said = push(server, "origin", "--force", "HEAD:refs/tags/api/v1.1.0")
    assert "remote: error: api/v1.1.0 is refused by this server's rules." in said
    assert "remote:   this push moves api/v1.1.0: a version is immutable." in said
    assert "remote:   to make the next one: inv tag.create --version v1.1.1 --subproject api" in said
    assert "remote: The tag was not changed." in said
    said = push(server, "origin", "--delete", "api/v1.1.0")
    assert "inv tag.state --version v1.1.0 --state deprecated --subproject api" in said


@pytest.mark.usefixtures("measured")
def test_a_version_is_an_annotated_tag_of_its_name_on_a_commit(server: Site) -> None:
    repository = server.repository
    repository.git("tag", "--annotate", "other", "--message", "x")
    repository.git("tag", "--annotate", "tree", "HEAD^{tree}", "--message", "x")
    repository.git("tag", "--annotate", "--no-sign", "nested", "other", "--message", "x")
    forged = git("cat-file", "tag", "tree", cwd=server.clone).replace("tag tree", "tag api/v2.0.0")
    for source, reason in {
        "main": "it is a lightweight tag",
        "refs/tags/other": "its object calls itself 'other'",
        "main^{tree}": "it is a lightweight tag",
        written(server.clone, forged): "it points to a tree",
        written(server.clone, nested(server)): "it points to a tag",
    }.items():
        said = push(server, "origin", f"{source}:refs/tags/api/v2.0.0")
        assert f"remote:   {reason}" in said, said
        assert "remote:   to do it: inv tag.create --version v2.0.0 --subproject api" in said


def test_a_tag_that_lies_about_its_commit(forge: Forge) -> None:
    """Git itself pushes none; a server of another make may have one."""
    tree = git("rev-parse", "main^{tree}", cwd=forge.site.remote)
    head = git("cat-file", "tag", "refs/tags/api/v1.0.0", cwd=forge.site.remote)
    for target, reason in {tree: "it leads to a tree", "a" * 40: "it leads to nothing"}.items():
        content = re.sub(r"\Aobject [0-9a-f]+", f"object {target}", head).replace("v1.0.0", "v7.0.0")
        with pytest.raises(RefusedError) as refused:
            update.check("refs/tags/api/v7.0.0", old=ZERO, new=written(forge.site.remote, content))
        assert refused.value.details[0] == f"{reason}."


def nested(site: Site) -> str:
    """A tag on a tag, with the right name."""
    return git("cat-file", "tag", "nested", cwd=site.clone).replace("tag nested", "tag api/v2.0.0")


def written(repository: Path, content: str) -> str:
    """Write a tag object whatever is wrong with it; its id."""
    words = ["hash-object", "-t", "tag", "-w", "--stdin", "--literally"]
    return git(*words, cwd=repository, stdin=content if content.endswith("\n") else f"{content}\n")


@pytest.mark.usefixtures("measured")
def test_a_state_stands_on_its_version(server: Site) -> None:
    repository = server.repository
    server.ok("tag.state", "--version", "v1.0.0", "--state", "stable", *API)
    repository.git("commit", "--quiet", "--allow-empty", "--message", "feat: a")
    repository.git("tag", "--annotate", "api/v1.0.0-deprecated", "--message", "x")
    said = push(server, "origin", "refs/tags/api/v1.0.0-deprecated")
    assert "its version api/v1.0.0 stands on " in said
    repository.git("tag", "--annotate", "api/v9.0.0-stable", "--message", "x")
    assert "its version api/v9.0.0 does not exist" in push(server, "origin", "refs/tags/api/v9.0.0-stable")
    push(server, "origin", "--force", "refs/tags/api/v1.0.0-deprecated:refs/tags/api/v1.0.0-stable")
    said = push(server, "origin", "--delete", "api/v1.0.0-stable")
    assert "inv tag.state --version v1.0.0 --state deprecated --subproject api" in said


def test_f80_all_or_none(server: Site) -> None:
    """One ref that is refused keeps the others of an atomic push away too."""
    server.repository.git("tag", "api/v2.0.0")
    said = push(server, "--atomic", "origin", "main:refs/heads/other", "refs/tags/api/v2.0.0")
    assert "hook declined" in said


# Environments: our whole story passes


def test_a_whole_story_passes(server: Site) -> None:
    def say(*line: str, code: int = 0) -> None:
        done = server.run(*line)
        assert done.returncode == code, done.stderr

    say("tag.create", "--version", "v1.1.0", *API)
    say("deploy", *STAGING, "--version", "v1.0.0")
    assert server.ledger().results()[0][1:] == ("v1.0.0", "SUCCESS")
    server.script("exit 1")
    say("deploy", *STAGING, "--version", "v1.1.0", code=1)
    server.script("[ $DEPLOYMENT_REGION = eu-west ]")
    say("deploy", *STAGING, "--version", "v1.1.0", code=7)
    server.script("true")
    say("deploy.rollback", *STAGING)
    assert server.ledger().live() == {"eu-west": "v1.0.0", "us-east": "v1.0.0"}
    say("deploy.promote", "--from", "staging", "--to", "production", *API)
    say("deploy", *STAGING, "--version", "v1.1.0")
    say("deploy", *STAGING, "--version", "v1.1.0", "--again", "--region", "us-east")
    say("tag.assign", *STAGING, "--version", "v1.0.0", "--reason", "it was rolled back by hand")
    say("tag.state", "--version", "v1.1.0", "--state", "unstable", *API)
    say("deploy", *STAGING, "--version", "v1.1.0", code=3)
    say("deploy", *STAGING, "--version", "v1.1.0", "--override", "we know")
    newest = server.ledger().records[0]["claimId"]
    say("deploy.review", *STAGING, "--deployment", newest, "--note", "looked at")
    abandon(server)
    say("deploy.settle", *STAGING, "--deployment", server.ledger().records[0]["deploymentId"], code=1)
    assert all(record["status"] != "RUNNING" for record in server.ledger().records)
    abandon(server)
    say("deploy", *STAGING, "--version", "v1.0.0", "--again", "--yes")
    assert "CANCELLED" in {status for _, _, status in server.ledger().results()}
    broken = git("cat-file", "tag", "refs/tags/api/staging", cwd=server.remote).partition("\n---\n")[0]
    server.put("api/staging", f"{broken}\n")
    say("deploy", *STAGING, code=4)
    say("tag.assign", *STAGING, "--version", "v1.0.0", "--adopt", "--reason", "somebody broke it")
    say("deploy", *STAGING, "--version", "v1.0.0", "--again")
    assert server.ledger().header["settled"]


def abandon(site: Site) -> None:
    """Let there be a claim whose owner died, and whose lease is long over."""

    def edit(ledger: Ledger) -> None:
        closed = next(record for record in ledger.records if record["kind"] == "deploy")
        end = datetime.now(timezone.utc) - timedelta(minutes=10)
        claim = f"{end:%Y%m%dT%H%M%SZ}-{token_hex(3)}"
        gone = dict.fromkeys(("completedAt", "seq", "prev", "endedBy"))
        opened = {"status": "RUNNING", "claimId": claim, "deploymentId": f"{claim}.{closed['region']}"}
        lease = {"leaseEnd": f"{end:%Y-%m-%dT%H:%M:%SZ}", "override": None, "nonce": "0" * 32}
        ledger.records.insert(0, {**closed, **gone, **opened, **lease})

    site.rewrite(edit)


@pytest.fixture
def stage(server: Site) -> Iterator[Stage]:
    """Deployments beside the test, with a script that waits until it lets them go."""
    stage = Stage(server)
    server.script(GATED)
    server.script("true", name="20-ci-smoke")
    yield stage
    stage.clean()


def test_two_deployments_at_once(stage: Stage) -> None:
    regions = ("us-east", "eu-west")
    racers = [stage.start("deploy", *STAGING, "--region", region) for region in regions]
    stage.scripts_started(2)
    assert sorted(stage.statuses()) == [("eu-west", "RUNNING"), ("us-east", "RUNNING")]
    stage.go()
    ended = [racer.end() for racer in racers]
    assert [end.code for end in ended] == [0, 0], ended
    assert {status for _, status in stage.statuses()} == {"SUCCESS"}
    stage.check_chain()


def test_a_deployment_is_unlocked(stage: Stage) -> None:
    racer = stage.start("deploy", *STAGING, "--region", "us-east", env={"CI_TASKS_LEASE": "10s"})
    stage.scripts_started()
    (record,) = stage.records()
    done = stage.site.run(
        "deploy.unlock", *STAGING, "--deployment", record["deploymentId"], "--reason", "wrong one"
    )
    assert done.returncode == 0, done.stderr
    assert racer.end().code != 0
    assert stage.statuses() == [("us-east", "CANCELLED")]


# What is forged is refused


@dataclass(frozen=True)
class Forge:
    """A server with a story, and the hook in this process: it is asked about objects that nobody pushed."""

    site: Site

    @property
    def ref(self) -> str:
        return "refs/tags/api/staging"

    @property
    def now(self) -> str:
        """The tag object that stands there."""
        return git("rev-parse", self.ref, cwd=self.site.remote)

    def content(self, edit: Callable[[Ledger], None] = lambda _: None, *, replaces: str | None = None) -> str:
        """The next tag object's content: the ledger of now, changed, in the place of what stands there."""
        ledger = self.site.ledger()
        ledger.header["replaces"] = replaces or self.now
        edit(ledger)
        documents = [
            json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            for document in (ledger.header, *ledger.records)
        ]
        head = git("cat-file", "tag", self.ref, cwd=self.site.remote).partition("\n\n")[0]
        ledger_text = "\n".join(["---", *documents, ""])
        with suppress(UnreadableLedgerError):
            found = annotation.read(f"\n{ledger_text}", name="api/staging")
            ledger_text = "\n".join([*annotation.prose(found), ledger_text])
        return f"{head}\n\n{ledger_text}"

    def push(self, content: str, *, old: str | None = None) -> None:
        """What the hook says of this object in the tag's place."""
        update.check(self.ref, old=old or self.now, new=written(self.site.remote, content))

    def refused(self, content: str, *reasons: str, old: str | None = None) -> None:
        """The hook refuses it for one of these reasons, and names the lines to type."""
        with pytest.raises(RefusedError) as refused:
            self.push(content, old=old)
        details = "\n".join(refused.value.details)
        assert any(reason in details for reason in reasons), details
        assert "to deploy: inv deploy --env staging --subproject api" in details


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, inv: Inv) -> Site:
    """Two versions that were deployed to two regions, one after the other, and a claim that is running."""
    site = make_site(tmp_path_factory.mktemp("story"), inv)
    site.version("api/v1.1.0")
    site.ok("deploy", *STAGING, "--version", "v1.0.0")
    site.ok("deploy", *STAGING, "--version", "v1.1.0")
    site.ok("deploy", "--env", "production", *API, "--version", "v1.0.0")
    running(site)
    install(site)
    return site


def running(site: Site) -> None:
    """Let a claim be running whose lease is not over."""

    def edit(ledger: Ledger) -> None:
        record = ledger.records[0]
        now = datetime.now(timezone.utc)
        claim = f"{now:%Y%m%dT%H%M%SZ}-abcdef"
        gone = dict.fromkeys(("completedAt", "seq", "prev", "endedBy"))
        opened = {"status": "RUNNING", "claimId": claim, "deploymentId": f"{claim}.{record['region']}"}
        lease = {"leaseEnd": f"{now + timedelta(minutes=8):%Y-%m-%dT%H:%M:%SZ}", "nonce": "0" * 32}
        ledger.records.insert(0, {**record, **gone, **opened, **lease})

    site.rewrite(edit)


@pytest.fixture
def forge(story: Site, monkeypatch: pytest.MonkeyPatch) -> Forge:
    """As git runs the hook: in the repository's folder, which it names by GIT_DIR."""
    monkeypatch.chdir(story.remote)
    monkeypatch.setenv("GIT_DIR", ".")
    return Forge(story)


def test_the_same_ledger_once_more_passes(forge: Forge) -> None:
    """So that each refusal below is for what was forged."""
    forge.push(forge.content())
    assert update.check(forge.ref, old=forge.now, new=forge.now) == 0


def edit_closed(ledger: Ledger) -> None:
    ledger.records[-1]["version"] = "v9.9.9"


def remove_closed(ledger: Ledger) -> None:
    del ledger.records[-1]


def remove_newest_closed(ledger: Ledger) -> None:
    del ledger.records[1]


def add_closed(ledger: Ledger) -> None:
    newest: dict[str, Any] = ledger.records[1]
    forged = {**newest, "deploymentId": "20260101T000000Z-abcdef.us-east", "seq": newest["seq"] + 1}
    ledger.records.insert(1, {**forged, "claimId": "20260101T000000Z-abcdef"})


def steal(ledger: Ledger) -> None:
    """Somebody takes a claim away whose lease is not over."""
    del ledger.records[0]


def steal_nonce(ledger: Ledger) -> None:
    ledger.records[0]["nonce"] = "f" * 32


def change_live(ledger: Ledger) -> None:
    ledger.header["live"]["us-east"]["version"] = "v1.0.0"


def another_repository(ledger: Ledger) -> None:
    ledger.header["repository"] = "elsewhere"


def drop_by_cut(ledger: Ledger) -> None:
    ledger.header["cut"] = {"seq": 1, "sha256": "0" * 64}
    del ledger.records[-1]


def endless_lease(ledger: Ledger) -> None:
    ledger.records[0]["leaseEnd"] = "2999-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (edit_closed, ""),
        (remove_closed, ""),
        (remove_newest_closed, ""),
        (add_closed, "was never open"),
        (steal, "was running and is gone"),
        (steal_nonce, "has another nonce"),
        (change_live, "live map"),
        (another_repository, "another repository"),
        (drop_by_cut, ""),
        (endless_lease, "a lease that is longer than any"),
    ],
)
def test_a_forged_ledger_is_refused(forge: Forge, edit: Callable[[Ledger], None], reason: str) -> None:
    forge.refused(forge.content(edit), reason)


@pytest.mark.parametrize(
    ("version", "is_its_own", "reason"),
    [("v1.0.0", True, None), ("v1.0.0", False, "stands on "), ("v9.9.9", False, "does not exist here")],
)
def test_a_record_names_a_version_of_this_server(
    forge: Forge, version: str, *, is_its_own: bool, reason: str | None
) -> None:
    """A claim on the other region, of a commit that is no version."""
    main = git("rev-parse", "main", cwd=forge.site.remote)
    other = git("commit-tree", "-m", "x", f"{main}^{{tree}}", cwd=forge.site.remote)
    commit = git("rev-parse", "api/v1.0.0^{commit}", cwd=forge.site.remote) if is_its_own else other

    def claim(ledger: Ledger) -> None:
        opened = ledger.records[0]
        name = opened["claimId"].replace("abcdef", "123456")
        ids = {"claimId": name, "deploymentId": f"{name}.eu-west", "region": "eu-west", "nonce": "1" * 32}
        of_version = {"version": version, "commitSha": commit, "scriptsStarted": False}
        assert opened["region"] == "us-east"
        ledger.records.insert(1, {**opened, **ids, **of_version})

    content = forge.content(claim)
    if reason is None:
        forge.push(content)
    else:
        forge.refused(content, f"it records api/{version} on {commit[:12]}, but that tag {reason}")


def test_an_old_object_is_not_put_back(forge: Forge) -> None:
    """The very object that stood there before: its ledger is sound, and it does not follow."""
    before = forge.site.ledger().header["replaces"]
    content = git("cat-file", "tag", before, cwd=forge.site.remote) + "\n"
    forge.refused(content, "it says that it replaces")


def test_a_lease_on_another_object_is_refused(forge: Forge) -> None:
    forge.refused(forge.content(replaces="a" * 40), "it says that it replaces the tag aaaaaaaaaaaa")


def test_a_moved_target_is_refused(forge: Forge) -> None:
    other = git("rev-parse", "main^{commit}", cwd=forge.site.remote)
    commit = git("commit-tree", "-m", "x", f"{other}^{{tree}}", cwd=forge.site.remote)
    content = re.sub(r"\Aobject [0-9a-f]+", f"object {commit}", forge.content())
    forge.refused(content, "it stands on")


def test_what_is_no_ledger_is_refused(forge: Forge) -> None:
    content = forge.content()
    head = content.partition("\n---\n")[0]
    forge.refused(f"{head}\n", "there is no ledger in its message")
    forge.refused(content.replace("tag api/staging", "tag api/production"), "calls itself 'api/production'")
    forge.refused(content.replace('"schema":1', '"schema":2'), "newer ci-tasks")
    production = git("cat-file", "tag", "refs/tags/api/production", cwd=forge.site.remote) + "\n"
    forge.refused(production, "calls itself 'api/production'")
    copied = production.replace("tag api/production", "tag api/staging")
    forge.refused(copied, "is that of api/production")
    forge.refused(content.replace("type commit", "type tree"), "points to a tree", "leads to")


def test_objects_that_are_no_tags(forge: Forge) -> None:
    commit = git("rev-parse", "main", cwd=forge.site.remote)
    blob = git("hash-object", "-w", "--stdin", cwd=forge.site.remote, stdin="x" * (1 << 22) + "x")
    for new, reason in {commit: "lightweight", blob: "too large"}.items():
        with pytest.raises(RefusedError) as refused:
            update.check(forge.ref, old=forge.now, new=new)
        assert reason in refused.value.details[0]


def test_an_environment_tag_is_not_deleted(forge: Forge) -> None:
    with pytest.raises(RefusedError) as refused:
        update.check(forge.ref, old=forge.now, new=ZERO)
    assert refused.value.details[0].startswith(
        "this push deletes api/staging: an environment tag is the record"
    )
    for name in ("api/v1.0.0", "api/v1.0.0-stable"):
        with pytest.raises(RefusedError):
            update.check(f"refs/tags/{name}", old=forge.now, new=ZERO)


def test_a_first_tag_begins_like_one_of_ours(forge: Forge) -> None:
    """The ledger of a deployment that nobody saw."""
    content = forge.content(lambda ledger: ledger.header.update(replaces=None))
    forge.refused(content, "closed record", old=ZERO)


def test_a_tag_that_cannot_be_read_is_only_adopted(forge: Forge, story: Site) -> None:
    head = forge.content().partition("\n---\n")[0]
    broken = written(story.remote, f"{head}\n")
    commit = git("rev-parse", "main", cwd=story.remote)
    for old in (broken, commit):
        forge.refused(forge.content(replaces=old), "an unreadable tag is replaced by assignments", old=old)


def test_a_newer_ledger_is_never_replaced(forge: Forge) -> None:
    newer = written(forge.site.remote, forge.content().replace('"schema":1', '"schema":2'))
    with pytest.raises(RefusedError) as refused:
        forge.push(forge.content(replaces=newer), old=newer)
    assert "newer ci-tasks" in refused.value.details[0]


def test_what_git_does_not_hand_over_is_usage(forge: Forge) -> None:
    for old, new in (("x", ZERO), (ZERO, "abc")):
        with pytest.raises(UsageError):
            update.check(forge.ref, old=old, new=new)


def test_forgeries_by_a_real_push(story: Site) -> None:
    """What is read of a refusal at the other end, and that nothing moved."""
    story.repository.git("fetch", "--quiet", "origin", "+refs/tags/api/staging:refs/forged/staging")
    said = push(story, "origin", "--force", "main:refs/tags/api/staging")
    assert "remote: error: api/staging is refused by this server's rules." in said
    assert "remote:   it is a lightweight tag" in said
    assert "remote:   to deploy: inv deploy --env staging --subproject api" in said
    assert "deletes api/staging" in push(story, "origin", "--delete", "api/staging")
    assert "calls itself 'api/staging'" in push(story, "origin", "refs/forged/staging:refs/tags/web/staging")


def test_f126_objects_in_quarantine(server: Site) -> None:
    """Asked from a pre-receive hook, where the objects are not in the repository yet."""
    text = '#!/bin/sh\nwhile read -r old new ref; do hooks/update "$ref" "$old" "$new" || exit 1; done\n'
    write(server.remote / "hooks/pre-receive", text, executable=True)
    server.ok("tag.create", "--version", "v1.1.0", *API)
    server.ok("deploy", *STAGING, "--version", "v1.1.0")
    said = push_refused_before(server, "main:refs/tags/api/v2.0.0")
    assert "it is a lightweight tag" in said


def push_refused_before(site: Site, *words: str) -> str:
    """The same, where pre-receive declines."""
    words = ("git", "push", "origin", *words)
    done = subprocess.run(words, cwd=site.clone, check=False, capture_output=True, text=True)
    assert (done.returncode, "(pre-receive hook declined)" in done.stderr) == (1, True)
    return done.stderr


# Signatures


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    made = make_keys(tmp_path_factory.mktemp("keys"))
    yield made
    made.end_agent()


def signing(site: Site, keys: Keys, form: str) -> None:
    """Let alice and bob sign, and alice override."""
    settings = (site.clone / "ci_tasks.yaml").read_text(encoding="utf-8")
    admin = keys.signer("alice", form)
    write(site.clone / "ci_tasks.yaml", f"{settings}sign: {form}\nadmins: [{admin}]\n")
    keys.allow(site.clone, "alice", "bob", form=form)
    site.commit("Signers")
    install(site)


@pytest.fixture
def signed(site: Site, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A server that asks for signatures by ssh."""
    monkeypatch.setenv("GNUPGHOME", str(keys.home))
    signing(site, keys, "ssh")
    return site


@pytest.mark.usefixtures("measured")
def test_f80_an_unsigned_tag_is_declined(signed: Site, keys: Keys) -> None:
    """Our own commands say which rule it is, and exit with REFUSED."""
    keys.configure(signed.clone, "alice", "ssh")
    done = signed.run("tag.create", "--version", "v1.1.0", *API, env={"CI_TASKS_SIGN": "none"})
    assert done.returncode == 3
    assert "the remote's rules decline it" in done.stderr
    assert "it needs the signature of an allowed signer; this one is: unsigned" in done.stderr
    assert "refs/tags/api/v1.1.0" not in signed.repository.remote_refs()
    signed.ok("tag.create", "--version", "v1.1.0", *API)


@pytest.mark.usefixtures("measured")
def test_a_strangers_signature_is_declined(signed: Site, keys: Keys) -> None:
    keys.configure(signed.clone, "stranger", "ssh")
    done = signed.run("tag.create", "--version", "v1.1.0", *API)
    assert (done.returncode, "unknown signer" in done.stderr) == (3, True)


@pytest.mark.parametrize("form", ["ssh", "gpg"])
def test_an_override_takes_an_admin(
    site: Site, keys: Keys, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setenv("GNUPGHOME", str(keys.home))
    signing(site, keys, form)
    keys.configure(site.clone, "bob", form)
    line = ("deploy", *STAGING, "--region", "us-east", "--version", "v1.0.0")
    site.ok("tag.state", "--version", "v1.0.0", "--state", "unstable", *API)
    bob = keys.signer("bob", form)
    write(site.clone / "ci_tasks.yaml", admins_are(site, bob))
    site.commit("bob makes himself an admin")
    done = site.run(*line, "--override", "I may")
    assert done.returncode == 3, done.stderr
    assert f"it overrides a rule, which takes the signature of an admin; {bob} is none" in " ".join(
        done.stderr.split()
    )
    assert "refs/tags/api/staging" not in site.repository.remote_refs()
    keys.configure(site.clone, "alice", form)
    write(site.clone / "ci_tasks.yaml", admins_are(site, keys.signer("alice", form)))
    site.commit("as it was")
    site.ok(*line, "--override", "I may")
    keys.configure(site.clone, "bob", form)
    newest = site.answer("deploy.history", *STAGING)["deployments"][0]["claimId"]
    site.ok("deploy.review", *STAGING, "--deployment", newest, "--note", "fine")


def test_an_override_says_whose_it_is(signed: Site, keys: Keys) -> None:
    """The claim of an admin, signed again by himself, with somebody else's name in it."""
    keys.configure(signed.clone, "alice", "ssh")
    signed.ok("tag.state", "--version", "v1.0.0", "--state", "unstable", *API)
    signed.ok("deploy", *STAGING, "--region", "us-east", "--version", "v1.0.0", "--override", "I may")
    claim, replaced = "", git("rev-parse", "refs/tags/api/staging", cwd=signed.remote)
    while replaced:
        claim = git("cat-file", "tag", replaced, cwd=signed.remote)
        replaced = json.loads(claim.partition("\n---\n")[2].splitlines()[0])["replaces"]
    git("update-ref", "-d", "refs/tags/api/staging", cwd=signed.remote)
    message = claim.partition("\n-----BEGIN")[0].partition("\n\n")[2]
    commit = git("rev-parse", "api/v1.0.0^{commit}", cwd=signed.remote)

    def sign(text: str) -> None:
        words = ("tag", "--force", "--sign", "--cleanup=verbatim", "--file=-", "api/staging", commit)
        git(*words, cwd=signed.clone, stdin=f"{text}\n")

    alice, bob = '"signer":"alice@example.invalid"', '"signer":"bob@example.invalid"'
    assert alice in message
    sign(message.replace(alice, bob))
    said = push(signed, "origin", "refs/tags/api/staging")
    assert "its override says that bob@example.invalid signed it, but alice@example.invalid did" in said
    sign(message)
    signed.repository.git("push", "--quiet", "origin", "refs/tags/api/staging")


def admins_are(site: Site, name: str) -> str:
    text = (site.clone / "ci_tasks.yaml").read_text(encoding="utf-8")
    return re.sub(r"(?m)^admins: .*", f"admins: [{name}]", text)


def test_a_server_without_signers_is_not_installed(site: Site) -> None:
    site.repository.write("ci_tasks.yaml", "sign: ssh\n")
    before = site.remote_state()
    with pytest.raises(RefusedError, match="names nobody"):
        install(site)
    assert site.remote_state() == before


def test_the_copy_of_the_signers_follows_the_checkout(signed: Site) -> None:
    copy = signed.remote / configuration.SIGNERS
    assert copy.read_bytes() == (signed.clone / "environments/allowed_signers").read_bytes()
    (signed.clone / "environments/allowed_signers").unlink()
    signed.repository.write("ci_tasks.yaml", "")
    install(signed)
    assert not copy.exists()
