"""Tags on the remote: what is trusted, what is read again, and the compare-and-swap of an environment tag."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest

from ci_tasks.core.checkout import Checkout
from ci_tasks.core.errors import ConflictError, RefusedError, UnavailableError
from ci_tasks.core.git.origin import RemoteRef
from ci_tasks.core.git.repository import Identity
from ci_tasks.tag import annotation
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag.annotation import UnreadableLedgerError
from ci_tasks.tag.clock import utc_now
from ci_tasks.tag.grammar import EnvironmentTag, VersionTag, parse_version
from ci_tasks.tag.listing import Listing
from ci_tasks.tag.names import DeploymentStatus, VersionState
from ci_tasks.tag.store import TagStore, next_patch
from ci_tasks.tag.writer import LedgerWriter
from tests.repositories import git
from tests.tag.names import GRAMMAR
from tests.tag.records import NOON, commit_of, empty, filled, record
from tests.tag.remotes import put_object, put_ref, put_tag, tag_content

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.model import Deployment
    from tests.conftest import Inv
    from tests.repositories import Monorepo
    from tests.tag.conftest import Run

TAG = EnvironmentTag(subproject="api", environment="staging")
REF = "refs/tags/api/staging"
ME = Identity(name="Test Person", email="test@example.invalid")
V1 = VersionTag(subproject="api", version=parse_version("v1.0.0"))


def _listing(*names: str) -> Listing:
    return Listing([RemoteRef(f"refs/tags/{name}", "1" * 40, "2" * 40) for name in names], GRAMMAR)


def test_f60_the_strongest_state_comes_first() -> None:
    every = ("api/v1.0.0-stable", "api/v1.0.0-deprecated", "api/v1.0.0-unstable", "web/v1.0.0-stable")
    assert _listing(*every).states(V1) == (
        VersionState.DEPRECATED,
        VersionState.UNSTABLE,
        VersionState.STABLE,
    )
    assert _listing("api/v1.0.0-stable", "api/v1.0.0-unstable").states(V1)[0] is VersionState.UNSTABLE
    assert _listing("api/v1.0.0", "api/v1.0.1-deprecated").states(V1) == ()


def test_a_listing_is_sorted_by_what_names_say() -> None:
    names = ("v1.0.0", "api/v1.9.0", "api/v1.10.0", "api/b/v9.0.0", "api/canary", "staging", "api/v1", "x")
    found = _listing(*names)
    assert [str(tag) for tag in found.versions("api")] == ["api/v1.10.0", "api/v1.9.0"]
    assert [str(tag) for tag in found.versions("")] == ["v1.0.0"]
    assert [str(tag) for tag in found.environments()] == ["staging", "api/canary"]
    assert found.foreign() == ["api/v1", "x"]
    assert found.subprojects() == {"", "api", "api/b"}


@pytest.fixture
def head(monorepo: Monorepo) -> str:
    return monorepo.git("rev-parse", "HEAD")


@pytest.fixture
def store(monorepo: Monorepo) -> TagStore:
    return TagStore(Checkout.open(monorepo.clone, {}).origin, GRAMMAR)


def test_a_good_version_is_trusted(store: TagStore, monorepo: Monorepo, head: str) -> None:
    put_tag(monorepo.remote, "api/v1.0.0", head)
    ref = store.listing().refs["api/v1.0.0"]
    verified = store.verify(V1, ref, store.origin.objects([ref])[ref.object_id])
    assert (verified.commit, verified.created_by) == (head, "Somebody")


def _lightweight(remote: Path, head: str) -> str:
    assert remote.exists()
    return head


def _nested(remote: Path, head: str) -> str:
    inner = put_object(remote, tag_content(head, "api/v1.0.0"))
    return put_object(remote, tag_content(inner, "api/v1.0.0", kind="tag"))


def _on_tree(remote: Path, head: str) -> str:
    tree = git("rev-parse", f"{head}^{{tree}}", cwd=remote)
    return put_object(remote, tag_content(tree, "api/v1.0.0", kind="tree"))


def _on_blob(remote: Path, head: str) -> str:
    blob = git("rev-parse", f"{head}:api/main.txt", cwd=remote)
    return put_object(remote, tag_content(blob, "api/v1.0.0", kind="blob"))


def _tree_itself(remote: Path, head: str) -> str:
    return git("rev-parse", f"{head}^{{tree}}", cwd=remote)


def _misnamed(remote: Path, head: str) -> str:
    return put_object(remote, tag_content(head, "web/v1.0.0"))


def _two_names(remote: Path, head: str) -> str:
    content = tag_content(head, "web/v1.0.0").replace(b"\ntagger", b"\ntag api/v1.0.0\ntagger")
    return put_object(remote, content)


BAD = [
    pytest.param(_lightweight, "lightweight", id="F50-lightweight"),
    pytest.param(_nested, "points to a tag", id="F52-nested"),
    pytest.param(_on_tree, "points to a tree", id="F52-tag-on-a-tree"),
    pytest.param(_on_blob, "points to a blob", id="F52-tag-on-a-blob"),
    pytest.param(_tree_itself, "lightweight", id="F52-a-tree-itself"),
    pytest.param(_misnamed, "calls itself 'web/v1.0.0'", id="F52-another-name"),
    pytest.param(_two_names, "calls itself 'web/v1.0.0'", id="F52-two-names"),
]


@pytest.mark.parametrize(("make", "reason"), BAD)
def test_bad_versions_are_refused_by_deploy(
    run: Run, monorepo: Monorepo, head: str, make: Callable[[Path, str], str], reason: str
) -> None:
    put_ref(monorepo.remote, "api/v1.0.0", make(monorepo.remote, head))
    before = monorepo.remote_refs()
    done = run("deploy", "--env", "production", "--subproject", "api", "--version", "v1.0.0")
    assert done.returncode == 3, done.stderr
    assert "api/v1.0.0 can't be trusted" in done.stderr
    assert reason in done.stderr
    assert "next: inv tag.create --version v1.0.1 --subproject api" in done.stderr
    assert monorepo.remote_refs() == before
    assert monorepo.recorded() == []


@pytest.mark.parametrize(("make", "reason"), BAD)
def test_bad_environment_tags_are_not_written_over(
    store: TagStore, monorepo: Monorepo, head: str, make: Callable[[Path, str], str], reason: str
) -> None:
    put_ref(monorepo.remote, "api/staging", make(monorepo.remote, head))
    named = reason if "web" in reason else reason.replace("v1.0.0", "staging")
    with pytest.raises(UnreadableLedgerError) as caught:
        store.environment(TAG)
    if make not in {_misnamed, _two_names}:
        assert named in caught.value.what
    look = f"To look at it: git fetch --no-tags {monorepo.remote} {REF} && git show FETCH_HEAD"
    assert caught.value.details[0] == look
    assert caught.value.next_step == "inv tag.list --subproject api --type version"
    for version in ("v1.0.0", "v1.1.0"):
        put_tag(monorepo.remote, f"api/{version}", head if version == "v1.0.0" else monorepo.commit())
    with pytest.raises(UnreadableLedgerError) as caught:
        store.environment(TAG)
    is_on_a_commit = git("cat-file", "-t", f"{REF}^{{}}", cwd=monorepo.remote) == "commit"
    version = "v1.0.0" if is_on_a_commit and make is not _lightweight else "v1.1.0"
    adopt = f'--env staging --subproject api --version {version} --adopt --reason "why"'
    assert caught.value.next_step == f"inv tag.assign {adopt}"


def _put_ledger(monorepo: Monorepo, head: str, text: str) -> str:
    return put_tag(monorepo.remote, "api/staging", head, text)


NEWER = annotation.write(empty())[0].replace('"schema":1', '"schema":2')
OTHERS = annotation.write(empty(environment="production"))[0]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Moved by hand", id="F71-by-hand"),
        pytest.param("x\n---\n{", id="F71-broken"),
        pytest.param("x\n---\n[1]", id="F71-a-list"),
        pytest.param(NEWER, id="F71-newer"),
        pytest.param(OTHERS, id="F71-copied"),
    ],
)
def test_unreadable_ledgers_are_not_written_over(run: Run, monorepo: Monorepo, head: str, text: str) -> None:
    assert text != annotation.write(empty())[0]
    put_tag(monorepo.remote, "api/v1.0.0", head)
    _put_ledger(monorepo, head, text)
    before = monorepo.remote_refs()
    place = ("--env", "staging", "--subproject", "api")
    claim = ("--deployment", "20260105T120000Z-000001")
    for line in (
        ("deploy", *place, "--version", "v1.0.0"),
        ("deploy", *place, "--version", "v1.0.0", "--again"),
        ("deploy.unlock", *place, *claim, "--reason", "x", "--now"),
        ("deploy.settle", *place, *claim),
        ("deploy.history", *place),
    ):
        done = run(*line)
        assert done.returncode == 4, (line, done.stderr)
        assert "api/staging" in done.stderr
        assert "next: " in done.stderr
        assert monorepo.remote_refs() == before
    assert monorepo.recorded() == []
    shown = run("deploy.status", "--json")
    assert shown.returncode == 0
    assert '"problem": "The ledger in api/staging ' in shown.stdout


def _claim(number: int, commit: str, region: str | None = None) -> Callable[[Ledger | None], Ledger]:
    made = msgspec.structs.replace(record(number, region), commit_sha=commit)

    def step(state: Ledger | None) -> Ledger:
        base = state or empty()
        if made in base.open:
            return base
        header = msgspec.structs.replace(base.header, target=commit) if state is None else base.header
        return ledgers.claim(
            msgspec.structs.replace(base, header=header), (made,), regions=("us-east", "eu-west")
        )

    return step


def _close(number: int, region: str | None = None) -> Callable[[Ledger | None], Ledger]:
    def step(state: Ledger | None) -> Ledger:
        assert state is not None
        return ledgers.close(
            state,
            record(number, region).deployment_id,
            DeploymentStatus.SUCCESS,
            at=NOON + timedelta(minutes=1),
        )

    return step


def _write(
    writer: LedgerWriter, step: Callable[[Ledger | None], Ledger], *, pinned: tuple[RemoteRef, ...] = ()
) -> None:
    writer.update(step, what="write", later="inv later", retry="inv retry", pinned=pinned)


def test_what_the_writer_remembers_is_what_the_tag_says(
    store: TagStore, monorepo: Monorepo, head: str
) -> None:
    writer = LedgerWriter(store, TAG, identity=ME)
    for region in ("us-east", "eu-west"):
        _write(writer, _claim(1, head, region))
        assert writer.fact == store.environment(TAG)
        _write(writer, _close(1, region))
        assert writer.fact == store.environment(TAG)
    assert writer.fact.drift is None
    ledger = writer.fact.ledger
    assert ledger is not None
    assert (ledger.header.settled, ledger.header.target) == (True, head)
    new = monorepo.commit()
    _write(writer, _claim(2, new, "us-east"))
    _write(writer, _close(2, "us-east"))
    assert writer.fact == store.environment(TAG)
    assert writer.fact.ledger is not None
    header = writer.fact.ledger.header
    assert (header.settled, header.target) == (False, head), "the target stays until every region is there"
    assert git("rev-parse", f"{REF}^{{commit}}", cwd=monorepo.remote) == head
    before = monorepo.remote_refs()
    _write(writer, lambda state: state or empty())
    assert monorepo.remote_refs() == before, "a step that changes nothing pushes nothing"


def test_every_tag_object_names_the_one_it_replaced(store: TagStore, monorepo: Monorepo, head: str) -> None:
    writer = LedgerWriter(store, TAG, identity=ME)
    _write(writer, _claim(1, head))
    first = monorepo.remote_refs()[REF]
    _write(writer, _close(1))
    fact = store.environment(TAG)
    assert fact.ledger is not None
    assert fact.ledger.header.replaces == first
    git("fsck", "--strict", cwd=monorepo.remote)


def test_f69_a_lost_race_is_read_again_and_nothing_is_lost(store: TagStore, head: str) -> None:
    first, second = (LedgerWriter(store, TAG, identity=ME) for _ in range(2))
    _write(first, _claim(1, head, "us-east"))
    _write(second, _claim(2, head, "eu-west"))
    fact = store.environment(TAG)
    assert fact.ledger is not None
    assert [one.region for one in fact.ledger.open] == ["us-east", "eu-west"]
    with pytest.raises(ConflictError, match="holds the claim"):
        _write(first, _claim(3, head, "eu-west"))


def test_f69_many_writers_lose_no_update(monorepo: Monorepo, head: str) -> None:
    def work(number: int) -> None:
        store = TagStore(Checkout.open(monorepo.clone, {}).origin, GRAMMAR)
        writer = LedgerWriter(store, TAG, identity=ME)

        def waiting(state: Ledger | None) -> Ledger:
            base = state or msgspec.structs.replace(
                empty(), header=msgspec.structs.replace(empty().header, target=head)
            )
            made = record(number, status=DeploymentStatus.PENDING)
            return msgspec.structs.replace(base, open=(*base.open, made))

        _write(writer, waiting)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(8)))
    fact = TagStore(Checkout.open(monorepo.clone, {}).origin, GRAMMAR).environment(TAG)
    assert fact.ledger is not None
    assert {one.claim_id for one in fact.ledger.open} == {record(number).claim_id for number in range(8)}


@pytest.mark.parametrize("change", ["moved", "deleted"])
def test_f55_a_version_that_moved_stops_the_claim(
    store: TagStore, monorepo: Monorepo, head: str, change: str
) -> None:
    put_tag(monorepo.remote, "api/v1.0.0", head)
    ref = store.listing().refs["api/v1.0.0"]
    if change == "moved":
        put_tag(monorepo.remote, "api/v1.0.0", head, "Another")
    else:
        git("update-ref", "-d", "refs/tags/api/v1.0.0", cwd=monorepo.remote)
    before = monorepo.remote_refs()
    writer = LedgerWriter(store, TAG, identity=ME)
    with pytest.raises(ConflictError, match=r"api/v1\.0\.0 was moved"):
        _write(writer, _claim(1, head), pinned=(ref,))
    assert monorepo.remote_refs() == before


def test_f55_a_version_that_stands_still_is_pinned(store: TagStore, monorepo: Monorepo, head: str) -> None:
    put_tag(monorepo.remote, "api/v1.0.0", head)
    ref = store.listing().refs["api/v1.0.0"]
    store.origin.objects([ref])
    before = monorepo.remote_refs()
    _write(LedgerWriter(store, TAG, identity=ME), _claim(1, head), pinned=(ref,))
    after = monorepo.remote_refs()
    assert {name: after[name] for name in before} == before
    assert REF in after


def test_f61_a_tag_moved_by_hand_is_drift(store: TagStore, monorepo: Monorepo, head: str) -> None:
    text = annotation.write(
        msgspec.structs.replace(empty(), header=msgspec.structs.replace(empty().header, target=head))
    )[0]
    _put_ledger(monorepo, head, text)
    assert store.environment(TAG).drift is None
    new = monorepo.commit()
    _put_ledger(monorepo, new, text)
    drift = store.environment(TAG).drift
    assert drift is not None
    assert new[:12] in drift
    assert head[:12] in drift


def test_f62_a_tag_deleted_by_hand_is_none(store: TagStore) -> None:
    fact = store.environment(TAG)
    assert (fact.object_id, fact.ledger, fact.drift) == (None, None, None)


def test_old_records_are_shortened_with_a_warning_and_too_many_are_refused(
    store: TagStore, monorepo: Monorepo, head: str, capsys: pytest.CaptureFixture[str]
) -> None:
    grown = filled(300, start=utc_now(), gap=timedelta(seconds=1), reason="r" * 1000)

    def step(_: Ledger | None) -> Ledger:
        header = msgspec.structs.replace(grown.header, target=head, live={}, settled=False)
        return msgspec.structs.replace(grown, header=header)

    writer = LedgerWriter(store, TAG, identity=ME)
    _write(writer, step)
    assert "warning: The ledger of api/staging has grown above 256 KiB" in capsys.readouterr().err
    assert writer.fact == store.environment(TAG)
    assert writer.fact.ledger is not None
    assert ledgers.chain_faults(writer.fact.ledger) == []
    before = monorepo.remote_refs()

    def too_much(state: Ledger | None) -> Ledger:
        assert state is not None
        made: Deployment = record(999, reason="x" * annotation.REFUSE_ABOVE)
        return ledgers.claim(state, (made,), regions=())

    with pytest.raises(RefusedError, match="larger than 1 MiB"):
        _write(writer, too_much)
    assert monorepo.remote_refs() == before


def test_a_commit_that_is_not_there_is_no_target(store: TagStore, monorepo: Monorepo) -> None:
    writer = LedgerWriter(store, TAG, identity=ME)
    with pytest.raises(UnavailableError, match="neither here nor at"):
        _write(writer, _claim(1, commit_of("nowhere")))
    assert REF not in monorepo.remote_refs()


def test_f124_without_a_remote_the_look_at_a_bad_ledger_is_local(
    inv: Inv, monorepo: Monorepo, head: str
) -> None:
    monorepo.git("remote", "remove", "origin")
    put_tag(monorepo.clone, "api/staging", head, "By hand")
    done = inv("deploy.history", "--env", "staging", "--subproject", "api", cwd=monorepo.clone)
    assert done.returncode == 4
    assert "To look at it: git show refs/tags/api/staging\n" in done.stderr


def test_the_next_version_is_one_that_is_free() -> None:
    assert next_patch(V1) == "inv tag.create --version v1.0.1 --subproject api"
    taken = {"api/v1.0.0", "api/v1.0.1", "api/v1.0.2-stable", "web/v1.0.2"}
    assert next_patch(V1, taken) == "inv tag.create --version v1.0.2 --subproject api"
    beta = VersionTag(subproject="", version=parse_version("v2.0.0-beta.1"))
    assert next_patch(beta) == "inv tag.create --version v2.0.1"


def test_f50_a_version_that_can_not_be_trusted_is_followed_by_a_free_one(
    store: TagStore, monorepo: Monorepo, head: str
) -> None:
    git("update-ref", "refs/tags/api/v1.0.0", head, cwd=monorepo.remote)
    put_tag(monorepo.remote, "api/v1.0.1", head)
    listing = store.listing()
    ref = listing.refs["api/v1.0.0"]
    with pytest.raises(RefusedError, match="it does not say who made it, or when") as caught:
        store.verify(V1, ref, store.origin.objects([ref])[ref.object_id], taken=listing.refs)
    assert caught.value.next_step == "inv tag.create --version v1.0.2 --subproject api"
