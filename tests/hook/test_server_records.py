"""What the server asks of the records in a pushed ledger: versions, overrides, reviews, and today's date."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ci_tasks.core.signing import Signature, SignatureStatus
from ci_tasks.hook import records
from ci_tasks.hook.place import here
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag import queue
from ci_tasks.tag import review as reviews
from ci_tasks.tag.grammar import EnvironmentTag
from ci_tasks.tag.model import Override
from ci_tasks.tag.names import DeploymentKind, DeploymentStatus
from tests.hook.test_server import Forge, forge, keys, push, server, signed, story
from tests.repositories import git
from tests.tag.records import NOON, deployed, empty, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.deploy.conftest import Ledger, Site
    from tests.signers import Keys

__all__ = ["forge", "keys", "server", "signed", "story"]

TAG = EnvironmentTag(subproject="api", environment="staging")
ALICE = Signature(status=SignatureStatus.GOOD, signer="alice", key="SHA256:a")
BOB = Signature(status=SignatureStatus.GOOD, signer="bob", key="SHA256:b")
ADMINS = ("alice",)


def claim_of(version: str, commit: str, **fields: object) -> Callable[[Ledger], None]:
    """An edit that adds a claim on the other region."""

    def edit(ledger: Ledger) -> None:
        opened = ledger.records[0]
        name = opened["claimId"].replace("abcdef", "123456")
        ids = {"claimId": name, "deploymentId": f"{name}.eu-west", "region": "eu-west", "nonce": "1" * 32}
        of_version = {"version": version, "commitSha": commit, "scriptsStarted": False}
        ledger.records.insert(1, {**opened, **ids, **of_version, **fields})

    return edit


@pytest.fixture
def ref(forge: Forge) -> Iterator[Callable[[str, str], None]]:
    """Writes refs on the server, and takes them away afterwards."""
    made: list[str] = []

    def write(name: str, target: str) -> None:
        git("update-ref", name, target, cwd=forge.site.remote)
        made.append(name)

    yield write
    for name in made:
        git("update-ref", "-d", name, cwd=forge.site.remote)


@pytest.mark.parametrize("where", ["refs/heads/refs/tags", "refs/tags/refs/tags", "refs/refs/tags"])
def test_f49_a_branch_of_a_tags_name_is_no_version(
    forge: Forge, ref: Callable[[str, str], None], where: str
) -> None:
    """`git rev-parse` would find it where the tag itself is missing."""
    main = git("rev-parse", "main", cwd=forge.site.remote)
    other = git("commit-tree", "-m", "x", f"{main}^{{tree}}", cwd=forge.site.remote)
    ref(f"{where}/api/v9.9.9", other)
    assert git("rev-parse", "refs/tags/api/v9.9.9^{commit}", cwd=forge.site.remote) == other
    forge.refused(forge.content(claim_of("v9.9.9", other)), "that tag does not exist here")


def test_f59_a_bad_version_needs_an_override(forge: Forge, ref: Callable[[str, str], None]) -> None:
    commit = git("rev-parse", "api/v1.0.0^{commit}", cwd=forge.site.remote)
    good = forge.content(claim_of("v1.0.0", commit))
    overridden = forge.content(claim_of("v1.0.0", commit, override={"reason": "I may", "signer": None}))
    forge.push(good)
    ref("refs/tags/api/v1.0.0-unstable", commit)
    forge.refused(good, "without an override, although there is api/v1.0.0-unstable")
    forge.push(overridden)


def test_where_nothing_is_signed_nobody_signed_an_override(forge: Forge) -> None:
    commit = git("rev-parse", "api/v1.0.0^{commit}", cwd=forge.site.remote)
    forged = claim_of("v1.0.0", commit, override={"reason": "I may", "signer": "alice@example.invalid"})
    with pytest.raises(Exception, match="refused by this server's rules") as refused:
        forge.push(forge.content(forged))
    said = "its override says that alice@example.invalid signed it, but nobody did."
    assert said in getattr(refused.value, "details", ())


@pytest.mark.usefixtures("forge")
def test_many_versions_at_once_ask_git_nothing() -> None:
    before = empty()
    after = empty()
    for number in range(records.MOST_VERSIONS + 1):
        after = deployed(after, record(number, version=f"v1.0.{number}"))
    faults = list(records.version_faults(here().database, TAG, before, after))
    assert faults == [f"it records {records.MOST_VERSIONS + 1} versions at once"]


def test_an_override_is_an_admins() -> None:
    before = deployed(empty(), record(1))
    override = Override(reason="I may", signer="alice")
    after = deployed(before, record(2, override=override))
    assert list(records.override_faults(ALICE, ADMINS, before, after)) == []
    assert list(records.override_faults(BOB, ADMINS, after, deployed(after, record(3)))) == []
    assert list(records.override_faults(BOB, ADMINS, before, after)) == [
        "it overrides a rule, which takes the signature of an admin; bob is none",
        "its override says that alice signed it, but bob did",
    ]


def test_whose_turn_comes_needs_the_admin_again() -> None:
    override = Override(reason="I may", signer="alice")
    waiting = record(1, status=DeploymentStatus.PENDING, override=override, lease_end=None)
    before = deployed(empty(), record(2))
    queued = type(before)(header=before.header, open=(waiting,), closed=before.closed)
    running = type(before)(header=before.header, open=(record(1, override=override),), closed=before.closed)
    assert list(records.override_faults(BOB, ADMINS, queued, queued)) == []
    assert list(records.override_faults(BOB, ADMINS, queued, running))
    assert list(records.override_faults(ALICE, ADMINS, queued, running)) == []


def test_who_takes_a_waiting_override_out_of_the_queue_need_be_no_admin() -> None:
    override = Override(reason="I may", signer="alice")
    waiting = record(1, status=DeploymentStatus.PENDING, override=override)
    queued = queue.join(deployed(empty(), record(2)), (waiting,))
    ended = ledgers.close(queued, waiting.deployment_id, DeploymentStatus.CANCELLED, at=NOON, ended_by="me")
    assert list(records.override_faults(BOB, ADMINS, queued, ended)) == []


@pytest.mark.usefixtures("forge")
def test_whose_version_was_marked_bad_while_it_waited_gets_no_turn(ref: Callable[[str, str], None]) -> None:
    commit = git("rev-parse", "HEAD", cwd=here().database.git_dir)
    waiting = record(1, status=DeploymentStatus.PENDING, commit_sha=commit, version="v7.0.0")
    queued = queue.join(empty(), (waiting,))
    running = ledgers.claim(queued, (record(1, commit_sha=commit, version="v7.0.0"),), regions=())
    ended = ledgers.close(queued, waiting.deployment_id, DeploymentStatus.CANCELLED, at=NOON, ended_by="me")
    database = here().database
    ref("refs/tags/api/v7.0.0", commit)
    assert list(records.version_faults(database, TAG, queued, running)) == []
    ref("refs/tags/api/v7.0.0-deprecated", commit)
    assert list(records.version_faults(database, TAG, queued, running)) == [
        "it brings api/v7.0.0 there without an override, although there is api/v7.0.0-deprecated"
    ]
    assert list(records.version_faults(database, TAG, queued, ended)) == []


def test_nobody_reviews_an_override_of_his_own() -> None:
    override = Override(reason="I may", signer="alice")
    before = deployed(empty(), record(1, override=override))
    review = record(
        2,
        at=NOON + timedelta(hours=1),
        kind=DeploymentKind.REVIEW,
        reviews=before.closed[0].claim_id,
        inputs=None,
        commits=None,
        lease_end=None,
    )
    after = reviews.reviewed(before, review)
    assert list(records.review_faults(BOB, before, after)) == []
    assert list(records.review_faults(None, before, after)) == []
    (fault,) = records.review_faults(ALICE, before, after)
    assert fault.startswith("alice made the override of ")
    assert list(records.review_faults(ALICE, after, after)) == []


@pytest.mark.parametrize("name", ["api/canary/x", "api/v7.7.8/x", "production/x/y"])
def test_a_foreign_tag_takes_no_place_of_ours(server: Site, name: str) -> None:
    said = push(server, "origin", f"main:refs/tags/{name}")
    assert f"remote: error: {name} is refused by this server's rules." in said
    assert f"git could never keep {name.rpartition('/x')[0]} beside it." in said


def test_f53_a_back_dated_signature_is_declined(
    signed: Site, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that has expired signs tags of yesterday: git asks for the day that the tag itself says."""
    keys.configure(signed.clone, "alice", "ssh")
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2024-02-01T00:00:00Z")
    git("tag", "--sign", "--message", "x", "api/v3.0.0", "HEAD", cwd=signed.clone)
    said = push(signed, "origin", "refs/tags/api/v3.0.0")
    assert "its date is not today's, so its signature proves little." in said
    monkeypatch.delenv("GIT_COMMITTER_DATE")
    git("tag", "--force", "--sign", "--message", "x", "api/v3.0.0", "HEAD", cwd=signed.clone)
    signed.repository.git("push", "--quiet", "origin", "refs/tags/api/v3.0.0")
