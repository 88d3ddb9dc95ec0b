"""`inv tag.show`: what a tag is, how it was verified, and why a version's state is what it is."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from ci_tasks.core.checkout import Checkout
from ci_tasks.core.entity import from_json, json_schema, to_builtins
from ci_tasks.core.git.origin import RemoteRef
from ci_tasks.tag import annotation
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag.listing import Listing
from ci_tasks.tag.names import DeploymentStatus
from ci_tasks.tag.nearest import nearest_names
from ci_tasks.tag.show.model import ShownKind, ShownSignature, ShownTag
from ci_tasks.tag.show.show import show
from ci_tasks.tag.show.text import shown_text
from tests.repositories import git, write
from tests.tag.names import FOREIGN, GRAMMAR, LEGAL, listed
from tests.tag.records import HOUR, NOON, deployed, record
from tests.tag.remotes import once_before, put_object, put_ref, put_tag, tag_content

if TYPE_CHECKING:
    from pathlib import Path

    from ci_tasks.tag.ledger import Ledger
    from tests.conftest import Inv
    from tests.repositories import Monorepo
    from tests.tag.conftest import Run

VERSION = "api/v1.0.0"


@pytest.fixture
def head(monorepo: Monorepo) -> str:
    """The commit of `api/v1.0.0`."""
    head = monorepo.git("rev-parse", "HEAD")
    put_tag(monorepo.remote, VERSION, head, "First\n\nof all")
    return head


def _shown(run: Run, name: str, *, code: int = 0, **options: Any) -> dict[str, Any]:
    done = run("tag.show", name, "--json", **options)
    assert (done.returncode, done.stderr) == (code, "")
    document: dict[str, Any] = json.loads(done.stdout)
    Draft202012Validator(json_schema(ShownTag)).validate(document)
    return document


def _ledger(head: str, *, version: str = "v1.0.0", regions: tuple[str, ...] = ("us-east",)) -> Ledger:
    """A ledger of one success in each region."""
    state = ledgers.empty(repository="x", subproject="api", environment="staging", target=head)
    for number, region in enumerate(regions):
        state = deployed(state, record(number, region, version, commit_sha=head), regions=regions)
    return ledgers.settle_target(state)


def _put_ledger(monorepo: Monorepo, state: Ledger, *, on: str | None = None) -> str:
    name = f"{state.header.subproject}/{state.header.environment}"
    return put_tag(monorepo.remote, name, on or state.header.target, annotation.write(state)[0])


@pytest.mark.parametrize("name", [VERSION, f"refs/tags/{VERSION}"])
def test_a_version(run: Run, monorepo: Monorepo, head: str, name: str) -> None:
    document = _shown(run, name)
    assert document | {"gitLine": ""} == {
        "tagId": monorepo.remote_refs()[f"refs/tags/{VERSION}"],
        "tagName": VERSION,
        "kind": "VERSION",
        "subproject": "api",
        "commitSha": head,
        "createdAt": "2026-01-05T12:00:00Z",
        "createdBy": "Somebody",
        "isMovable": False,
        "isProtected": True,
        "objectType": "tag",
        "targetType": "commit",
        "message": "First\n\nof all",
        "signature": {"status": "UNSIGNED", "signer": None, "key": None},
        "problem": None,
        "foreignBecause": None,
        "localNote": None,
        "gitLine": "",
        "version": {"state": None, "states": [], "runsIn": [], "unreadable": []},
        "state": None,
        "environment": None,
    }
    text = run("tag.show", name).stdout
    assert text.startswith(f"{VERSION} is a version.\n\nCommit      {head}\n")
    assert "Created     2026-01-05 12:00 UTC by Somebody\n" in text
    assert "Verified    it is annotated, named inside like its ref, and on a commit\n" in text
    assert "Text        First\n\n            of all\n" in text
    assert "It runs nowhere now." in text


def test_the_line_of_plain_git_shows_the_tag(run: Run, monorepo: Monorepo, head: str, tmp_path: Path) -> None:
    assert head
    line = _shown(run, VERSION)["gitLine"]
    assert f"To see it with git: {line}\n" in run("tag.show", VERSION).stdout
    clone = tmp_path / "other"
    git("init", "--quiet", str(clone), cwd=tmp_path)
    done = subprocess.run(["sh", "-c", line], cwd=clone, capture_output=True, text=True, check=True)
    assert f"tag {VERSION}\nTagger: Somebody" in done.stdout
    monorepo.git("remote", "remove", "origin")
    put_tag(monorepo.clone, VERSION, head)
    line = _shown(run, VERSION)["gitLine"]
    done = subprocess.run(["sh", "-c", line], cwd=monorepo.clone, capture_output=True, text=True, check=True)
    assert f"tag {VERSION}\n" in done.stdout


def test_f60_the_strongest_state_and_why(run: Run, monorepo: Monorepo, head: str) -> None:
    for state, reason in (("stable", "works"), ("deprecated", "eats\ndata"), ("unstable", "shaky")):
        put_tag(monorepo.remote, f"{VERSION}-{state}", head, reason)
    version = _shown(run, VERSION)["version"]
    assert version["state"] == "deprecated"
    assert version["states"] == [
        {
            "tagName": f"{VERSION}-{state}",
            "state": state,
            "createdAt": "2026-01-05T12:00:00Z",
            "createdBy": "Somebody",
            "reason": reason,
            "problem": None,
        }
        for state, reason in (("deprecated", "eats\ndata"), ("unstable", "shaky"), ("stable", "works"))
    ]
    text = run("tag.show", VERSION).stdout
    assert text.startswith(f"{VERSION} is a version, and deprecated.\n")
    rows = [
        line.split() for line in text.splitlines() if line.startswith(("deprecated", "unstable", "stable"))
    ]
    assert [row[0] for row in rows] == ["deprecated", "unstable", "stable"]
    assert rows[0][-3:] == ["Somebody", "eats", "data"]
    assert (
        "The strongest state counts: deprecated is stronger than unstable, and unstable than stable." in text
    )
    text = run("tag.show", f"{VERSION}-stable").stdout
    assert f"it says that {VERSION} is stable. But the version is deprecated" in text


def test_a_state(run: Run, monorepo: Monorepo, head: str) -> None:
    put_tag(monorepo.remote, f"{VERSION}-stable", head, "It works")
    document = _shown(run, f"{VERSION}-stable")
    assert (document["kind"], document["message"], document["problem"]) == ("STATE", "It works", None)
    assert document["state"] == {
        "versionTag": VERSION,
        "versionCommitSha": head,
        "isOnVersion": True,
        "state": "stable",
        "strongest": "stable",
    }
    text = run("tag.show", f"{VERSION}-stable").stdout
    assert text.startswith(f"{VERSION}-stable is a state tag: it says that {VERSION} is stable.\n")
    assert "and on its version's commit\n" in text
    assert "Why         It works\n" in text


def test_a_state_that_does_not_speak_of_its_version(run: Run, monorepo: Monorepo, head: str) -> None:
    other = monorepo.commit()
    put_tag(monorepo.remote, f"{VERSION}-stable", other)
    put_tag(monorepo.remote, "api/v9.0.0-stable", head)
    put_ref(monorepo.remote, f"{VERSION}-unstable", head)
    document = _shown(run, f"{VERSION}-stable", code=3)
    assert document["problem"] == f"it is on {other[:12]}, but the version is on {head[:12]}"
    assert document["state"]["isOnVersion"] is False
    text = run("tag.show", f"{VERSION}-stable").stdout
    assert f"Version on  {head}\n" in text
    assert "NOT TRUSTED: it is on" in text
    document = _shown(run, "api/v9.0.0-stable", code=3)
    assert document["problem"] == "it speaks of api/v9.0.0, and the remote has no such version"
    assert document["state"]["isOnVersion"] is None
    unstable, stable = _shown(run, VERSION)["version"]["states"]
    assert stable["problem"] == f"it is on {other[:12]}, but the version is on {head[:12]}"
    assert unstable["problem"] == "it is a lightweight tag: it does not say who made it, or when"
    assert (unstable["createdAt"], unstable["reason"]) == (None, None)


@pytest.mark.parametrize(
    ("kind", "problem", "object_type", "target_type"),
    [
        pytest.param("lightweight", "it is a lightweight tag", "commit", "commit", id="F50-lightweight"),
        pytest.param("blob", "it is a lightweight tag", "blob", "blob", id="F52-blob"),
        pytest.param("huge", "it is a lightweight tag", None, None, id="F50-huge-blob"),
        pytest.param("nested", "it points to a tag, not to a commit", "tag", "tag", id="F52-nested"),
        pytest.param("tree", "it points to a tree, not to a commit", "tag", "tree", id="F52-tree"),
        pytest.param("renamed", "its object calls itself 'web/v6.6.6'", "tag", "commit", id="F52-renamed"),
        pytest.param("large", "its object is too large for a tag", "tag", None, id="F52-large"),
    ],
)
def test_a_version_that_can_not_be_trusted_is_shown_as_such(
    run: Run,
    monorepo: Monorepo,
    head: str,
    *,
    kind: str,
    problem: str,
    object_type: str | None,
    target_type: str | None,
) -> None:
    remote = monorepo.remote
    name = "api/v2.0.0"
    tree = git("rev-parse", f"{head}^{{tree}}", cwd=remote)
    objects = {
        "lightweight": lambda: head,
        "blob": lambda: put_object(remote, b"x", "blob"),
        "huge": lambda: put_object(remote, bytes(17 << 20), "blob"),
        "nested": lambda: put_object(remote, tag_content(put_tag(remote, "inner", head), name, kind="tag")),
        "tree": lambda: put_object(remote, tag_content(tree, name, kind="tree")),
        "renamed": lambda: put_object(remote, tag_content(head, "web/v6.6.6")),
        "large": lambda: put_object(remote, tag_content(head, name, "x" * (17 << 20))),
    }
    put_ref(remote, name, objects[kind]())
    document = _shown(run, name, code=3)
    assert document["problem"].startswith(problem)
    assert (document["objectType"], document["targetType"]) == (object_type, target_type)
    done = run("tag.show", name)
    assert done.returncode == 3
    assert f"NOT TRUSTED: {problem}" in done.stdout


def test_where_a_version_runs(run: Run, monorepo: Monorepo, head: str) -> None:
    state = _ledger(head, regions=("eu-west", "us-east"))
    failing = record(7, "us-east", "v1.1.0", NOON + HOUR, commit_sha=head)
    state = deployed(state, failing, DeploymentStatus.FAILED, ("eu-west", "us-east"))
    _put_ledger(monorepo, state)
    for name in ("v1.1.0", "v1.2.0"):
        put_tag(monorepo.remote, f"api/{name}", head)
    put_tag(monorepo.remote, "web/v1.0.0", head)
    put_tag(monorepo.remote, "api/canary", head, "no ledger")
    put_ref(monorepo.remote, "api/sandbox", head)
    version = _shown(run, VERSION)["version"]
    assert version["unreadable"] == ["api/canary", "api/sandbox"]
    assert [
        (place["environmentTag"], place["region"], place["isUncertain"]) for place in version["runsIn"]
    ] == [("api/staging", "eu-west", False), ("api/staging", "us-east", True)]
    assert version["runsIn"][0]["since"] == "2026-01-05T12:05:00Z"
    attempted = _shown(run, "api/v1.1.0")["version"]["runsIn"]
    assert [(place["region"], place["version"], place["attempted"]) for place in attempted] == [
        ("us-east", "v1.0.0", "v1.1.0")
    ]
    assert _shown(run, "api/v1.2.0")["version"]["runsIn"] == []
    assert _shown(run, "web/v1.0.0")["version"] == {
        "state": None,
        "states": [],
        "runsIn": [],
        "unreadable": [],
    }
    text = run("tag.show", VERSION).stdout
    assert "UNCERTAIN: v1.1.0 broke off half-way" in text
    assert "UNREADABLE: what runs in api/canary can't be told. See: inv tag.show api/canary" in text
    assert "runs nowhere" not in run("tag.show", "api/v1.2.0").stdout


def test_an_environment(run: Run, monorepo: Monorepo, head: str) -> None:
    regions = ("eu-west", "us-east")
    state = _ledger(head, regions=regions)
    for number in range(10, 17):
        made = record(number, "us-east", at=NOON + number * HOUR, commit_sha=head, reason=f"time {number}")
        state = deployed(state, made, regions=regions)
    waiting = record(99, "eu-west", "v1.1.0", NOON + 99 * HOUR, commit_sha=head)
    state = ledgers.claim(ledgers.settle_target(state), (waiting,), regions=regions)
    object_id = _put_ledger(monorepo, state)
    document = _shown(run, "api/staging")
    assert (document["kind"], document["tagId"], document["isMovable"]) == ("ENVIRONMENT", object_id, True)
    assert (document["message"], document["problem"]) == (None, None)
    environment = document["environment"]
    assert (environment["isSettled"], environment["drift"], environment["chainFaults"]) == (True, None, [])
    assert [(place["region"], place["version"]) for place in environment["places"]] == [
        ("eu-west", "v1.0.0"),
        ("us-east", "v1.0.0"),
    ]
    assert [one["claimId"] for one in environment["open"]] == [waiting.claim_id]
    assert [one["reason"] for one in environment["closed"]] == [
        f"time {number}" for number in range(16, 11, -1)
    ]
    assert environment["closedCount"] == 9
    text = run("tag.show", "api/staging").stdout
    assert text.startswith("api/staging is an environment tag: it says what runs there.\n")
    assert "eu-west  v1.0.0" in text
    assert "\n\n4 older ones: inv deploy.history --env staging --subproject api\n" in text
    assert waiting.claim_id in text


def test_an_environment_of_which_nothing_is_certain(run: Run, monorepo: Monorepo, head: str) -> None:
    regions = ("eu-west", "us-east")
    state = _ledger(head)
    state = deployed(state, record(5, "us-east", commit_sha=head), DeploymentStatus.FAILED, regions)
    forged = msgspec.structs.replace(state.closed[1], triggered_by="Mallory")
    state = msgspec.structs.replace(state, closed=(state.closed[0], forged))
    _put_ledger(monorepo, ledgers.settle_target(state), on=monorepo.commit())
    environment = _shown(run, "api/staging")["environment"]
    assert environment["isSettled"] is False
    assert "somebody moved it by hand" in environment["drift"]
    (fault,) = environment["chainFaults"]
    assert "does not follow from the record before it" in fault
    text = run("tag.show", "api/staging").stdout
    for word in ("UNCERTAIN", "Not settled", "DRIFT: api/staging stands on", f"BROKEN LEDGER: {fault}."):
        assert word in text


@pytest.mark.parametrize(
    ("message", "says"),
    [
        pytest.param("Put here by hand", "there is no ledger in its message", id="F71-no-ledger"),
        pytest.param('---\n{"schema":99}', "was written by a newer ci-tasks", id="F71-newer"),
    ],
)
def test_an_environment_that_can_not_be_read(
    run: Run, monorepo: Monorepo, head: str, message: str, says: str
) -> None:
    put_tag(monorepo.remote, "api/staging", head, f"x\n{message}")
    document = _shown(run, "api/staging", code=4)
    assert says in document["problem"]
    assert document["environment"] is None
    assert document["createdBy"] == "Somebody"
    done = run("tag.show", "api/staging")
    assert done.returncode == 4
    assert f"Commit      {head}" in done.stdout
    assert "UNREADABLE: The ledger in api/staging" in done.stdout


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("release-1.2", None, "'release-1.2' is not a tag of ours: it says neither a version"),
        ("v1.2", None, "a version has three numbers"),
        ("@scope/pkg@1.2.3", "annotated", "'@scope' is not a subproject"),
        ("a-file", b"Key\n", "is not a tag of ours"),
        ("staging/v1.0.0", "annotated", "staging is the name of an environment"),
    ],
)
def test_a_foreign_tag(
    run: Run, monorepo: Monorepo, head: str, *, name: str, content: str | bytes | None, why: str
) -> None:
    if isinstance(content, bytes):
        put_ref(monorepo.remote, name, put_object(monorepo.remote, content, "blob"))
    elif content:
        put_tag(monorepo.remote, name, head)
    else:
        put_ref(monorepo.remote, name, head)
    document = _shown(run, name)
    assert (document["kind"], document["isMovable"], document["isProtected"]) == ("FOREIGN", None, None)
    assert why in document["foreignBecause"]
    kinds = {None: "commit", "annotated": "tag"}
    assert document["objectType"] == ("blob" if isinstance(content, bytes) else kinds[content])
    text = run("tag.show", name).stdout
    assert text.startswith(f"{name} is a foreign tag, and left alone: ")
    assert ("by Somebody" in text) is (content == "annotated")
    assert ("Leads to a blob" in text) is isinstance(content, bytes)


def test_f58_a_tag_that_is_not_there(run: Run, monorepo: Monorepo, head: str) -> None:
    for name in ("api/v1.0.1", "web/v3.0.0", "-odd/v1.0.0"):
        put_tag(monorepo.remote, name, head)
    monorepo.git("tag", "-a", "-m", "only here", "api/v1.0.2")
    done = run("tag.show", "api/v1.0.2")
    assert (done.returncode, done.stdout) == (3, "")
    assert "There is no tag api/v1.0.2 on the remote. Did you mean api/v1.0" in done.stderr
    assert "This clone has one: it was never pushed, or it was deleted there." in done.stderr
    assert "next: inv tag.show api/v1.0." in done.stderr
    done = run("tag.show", "Api/V1.0.1")
    assert "Did you mean api/v1.0.1" in done.stderr
    done = run("tag.show", "refs/tags/-odd/v1.0")
    assert done.returncode == 3
    assert "next: inv tag.show refs/tags/-odd/v1.0.0\n" in done.stderr
    done = run("tag.show", "🚀")
    assert done.returncode == 3
    assert "Did you mean" not in done.stderr
    assert "This clone" not in done.stderr
    assert "next: inv tag.list\n" in done.stderr


@pytest.mark.parametrize(
    "name", ["", "x\ny", "\x1b[31m", "a" * 10_000, "HEAD", "main", "api/v1.0.0^{}", "api/"]
)
def test_f11_names_that_are_no_tags(run: Run, head: str, name: str) -> None:
    assert head
    done = run("tag.show", name)
    assert done.returncode == (2 if name == "" else 3)
    assert "\x1b" not in done.stderr
    assert len(done.stderr) < 600


def test_names_for_a_misspelt_one_among_very_many() -> None:
    names = [f"api/v1.{number}.0" for number in range(50_000)] + ["web/v2.0.0", "Production"]
    assert nearest_names("api/v1.777.", names)[0] == "api/v1.777.0"
    assert nearest_names("production", names[-2:]) == ["Production"]
    assert nearest_names("entirely-different", names) == []


def test_a_tag_called_like_a_full_ref(run: Run, monorepo: Monorepo, head: str) -> None:
    other = put_tag(monorepo.remote, "refs/tags/twice", head)
    assert _shown(run, "refs/tags/twice")["tagId"] == other
    plain = put_tag(monorepo.remote, "twice", head)
    assert _shown(run, "refs/tags/twice")["tagId"] == plain
    assert _shown(run, "refs/tags/refs/tags/twice")["tagId"] == other


def test_f49_a_branch_of_the_same_name_is_not_the_tag(run: Run, monorepo: Monorepo, head: str) -> None:
    state = _ledger(head)
    _put_ledger(monorepo, state)
    put_tag(monorepo.remote, f"{VERSION}-stable", head)
    names = {VERSION: "VERSION", f"{VERSION}-stable": "STATE", "api/staging": "ENVIRONMENT"}
    monorepo.commit()
    for name in (*names, f"tags/{VERSION}", "only-a-branch"):
        monorepo.git("branch", name)
        monorepo.git("push", "--quiet", "origin", f"refs/heads/{name}")
    for name, kind in names.items():
        document = _shown(run, name)
        assert (document["kind"], document["commitSha"]) == (kind, head)
    assert run("tag.show", "only-a-branch").returncode == 3


def test_f47_a_local_tag_that_says_otherwise_is_named(run: Run, monorepo: Monorepo, head: str) -> None:
    here = monorepo.commit()
    monorepo.git("tag", "-a", "-m", "stale", VERSION)
    note = _shown(run, VERSION)["localNote"]
    assert f"in this clone is on {here[:12]}, the remote's is on {head[:12]}" in note
    assert f"note: {note}\n" in run("tag.show", VERSION).stdout


def test_f55_a_tag_that_moves_while_it_is_read_is_read_again(
    run: Run, monorepo: Monorepo, head: str, tmp_path: Path
) -> None:
    put_tag(monorepo.remote, "api/staging", head, annotation.write(_ledger(head))[0])
    text = annotation.write(_ledger(head, version="v2.0.0"))[0]
    new = put_object(monorepo.remote, tag_content(head, "api/staging", text))
    move = f"git -C {monorepo.remote} update-ref refs/tags/api/staging {new}"
    document = _shown(run, "api/staging", env=once_before(tmp_path, "fetch", move))
    assert document["tagId"] == new
    assert document["environment"]["places"][0]["version"] == "v2.0.0"


def test_f87_a_failed_read_is_never_a_missing_tag(run: Run, monorepo: Monorepo, head: str) -> None:
    assert head
    monorepo.remote.rename(monorepo.remote.with_name("gone"))
    done = run("tag.show", VERSION, "--json")
    assert done.returncode == 5
    assert json.loads(done.stdout)["error"]["name"] == "UNAVAILABLE"


def test_people_that_a_terminal_would_obey(run: Run, monorepo: Monorepo, head: str) -> None:
    content = tag_content(
        head, "v1.0.0", "\x1b[2J\n::add-mask::x\n\u202eodd", tagger="\x1b]0;x\x07Eve <a@b> 1 +0000"
    )
    put_ref(monorepo.remote, "v1.0.0", put_object(monorepo.remote, content))
    text = run("tag.show", "v1.0.0").stdout
    assert not {"\x1b", "\x07", "\u202e"} & set(text)
    assert not any(line.lstrip().startswith("::add-mask") for line in text.splitlines())


def test_a_long_text_is_cut_for_people_only(run: Run, monorepo: Monorepo, head: str) -> None:
    put_tag(monorepo.remote, "v1.0.0", head, "\n".join(f"line {number}" for number in range(100)))
    assert _shown(run, "v1.0.0")["message"].endswith("line 99")
    text = run("tag.show", "v1.0.0").stdout
    assert "line 9\n" in text
    assert "line 10\n" not in text
    assert "... and 90 more lines" in text


@pytest.mark.parametrize("signer", ["known", "stranger"])
def test_a_signed_version(inv: Inv, monorepo: Monorepo, tmp_path: Path, signer: str) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    public = " ".join(key.with_suffix(".pub").read_text(encoding="utf-8").split()[:2])
    who = public if signer == "known" else "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA" + "A" * 42
    write(monorepo.clone / "environments/allowed_signers", f"test@example.invalid {who}\n")
    options = ("-c", "gpg.format=ssh", "-c", f"user.signingKey={key}")
    monorepo.git(*options, "tag", "--sign", "--message", "Signed", VERSION)
    monorepo.git("push", "--quiet", "origin", f"refs/tags/{VERSION}")
    done = inv("tag.show", VERSION, "--json", cwd=monorepo.clone)
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert document["message"] == "Signed"
    signature = document["signature"]
    assert signature["status"] == ("GOOD" if signer == "known" else "UNKNOWN_SIGNER")
    assert signature["signer"] == ("test@example.invalid" if signer == "known" else None)
    text = inv("tag.show", VERSION, cwd=monorepo.clone).stdout
    assert ("good by test@example.invalid" if signer == "known" else "unknown signer") in text


def _fill(monorepo: Monorepo, head: str) -> None:
    """All names of other schemes, on the remote; some of them as objects that the clone does not have."""
    lines = []
    for number, name in enumerate((*FOREIGN, *LEGAL)):
        target = head
        if name in LEGAL or number % 4 == 0 or listed(name) != name:
            target = put_object(monorepo.remote, tag_content(head, listed(name)))
        lines.append(f"create refs/tags/{name} {target}\n".encode("utf-8", "surrogateescape"))
    subprocess.run(["git", "update-ref", "--stdin"], cwd=monorepo.remote, input=b"".join(lines), check=True)


def test_names_of_other_schemes_are_listed_and_shown(run: Run, monorepo: Monorepo) -> None:
    head = monorepo.git("rev-parse", "HEAD")
    _fill(monorepo, head)
    done = run("tag.list", "--json")
    assert done.returncode == 0
    document = json.loads(done.stdout)
    assert document["foreign"] == sorted(listed(name) for name in FOREIGN)
    assert {tag["tagName"]: tag["tagType"] for tag in document["tags"]} == {
        name: kind.value for name, kind in LEGAL.items()
    }
    assert run("tag.list").returncode == 0
    checkout = Checkout.open(monorepo.clone)
    for name in (*FOREIGN, *LEGAL):
        shown = show(checkout, listed(name))
        assert shown.tag_name == listed(name)
        kind = LEGAL.get(name)
        assert shown.kind is (ShownKind[kind.name] if kind else ShownKind.FOREIGN)
        assert (shown.foreign_because is None) is (kind is not None)
        assert shown.commit_sha == head
        to_builtins(shown)
        assert shown_text(shown)


@pytest.mark.parametrize(
    "name", ["refs/tags/--force", "refs/tags/-x", "not-utf-8-\\xff", "$(id)", "it's", "🚀", "x" * 200]
)
def test_foreign_names_are_typed_as_they_are_listed(run: Run, monorepo: Monorepo, name: str) -> None:
    _fill(monorepo, monorepo.git("rev-parse", "HEAD"))
    document = _shown(run, name)
    assert (document["kind"], document["tagName"]) == ("FOREIGN", name.removeprefix("refs/tags/"))
    assert run("tag.show", name).returncode == 0


def test_two_names_that_are_not_utf_8_stay_two() -> None:
    refs = [RemoteRef(f"refs/tags/x{char}", "0" * 40) for char in ("\udcfe", "\udcff")]
    assert Listing(refs, GRAMMAR).foreign() == ["x\\xfe", "x\\xff"]


def test_a_tag_of_long_ago(run: Run, monorepo: Monorepo, head: str) -> None:
    content = tag_content(head, "v1.0.0").replace(b"tagger Somebody", b"x Somebody")
    put_ref(monorepo.remote, "v1.0.0", put_object(monorepo.remote, content))
    document = _shown(run, "v1.0.0")
    assert (document["createdAt"], document["createdBy"]) == (None, None)
    assert "Created" not in run("tag.show", "v1.0.0").stdout


@pytest.mark.parametrize(
    ("status", "signer", "said"),
    [
        ("GOOD", "a@example.invalid", "good by a@example.invalid (key SHA256:x)"),
        ("REVOKED", "a@example.invalid", "by a@example.invalid, with a REVOKED key (SHA256:x)"),
        ("EXPIRED", None, "an EXPIRED key (SHA256:x)"),
        ("UNSIGNED", None, "none"),
    ],
)
def test_what_is_said_of_a_signature(
    run: Run, head: str, *, status: str, signer: str | None, said: str
) -> None:
    shown = from_json(run("tag.show", VERSION, "--json").stdout.encode(), ShownTag, what="The answer")
    assert shown.commit_sha == head
    signature = ShownSignature(status=status, signer=signer, key="SHA256:x")
    assert f"\nSignature   {said}\n" in shown_text(msgspec.structs.replace(shown, signature=signature))
