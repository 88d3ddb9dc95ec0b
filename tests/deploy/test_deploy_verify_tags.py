"""`inv tag.verify` on real remotes: what it finds, what it writes, and that it changes nothing there."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from ci_tasks.core.checkout import Checkout
from ci_tasks.core.entity import json_schema
from ci_tasks.core.errors import UsageError
from ci_tasks.deploy.audit.verify import AuditRequest, verify
from ci_tasks.tag import annotation
from ci_tasks.tag.audit.finding import Audit, FindingKind, Severity
from ci_tasks.tag.clock import utc_now
from tests.conftest import ROOT, program
from tests.repositories import git, write
from tests.signers import Keys, make_keys
from tests.tag.moves import Tag
from tests.tag.records import NOON
from tests.tag.remotes import (
    DATE,
    git_wrapper,
    once_before,
    put_object,
    put_ref,
    put_tag,
    snapshot,
    tag_content,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.deploy.conftest import Site
    from tests.repositories import Monorepo

NOW = NOON + timedelta(days=1)


def audited(monorepo: Monorepo, *, now: datetime = NOW, **given: Any) -> Audit:
    """The audit of the remote, typed in the clone; neither of the two is another one afterwards."""
    clone, remote = snapshot(monorepo.clone), monorepo.remote_refs()
    audit = verify(Checkout.open(monorepo.clone, {}), AuditRequest(**given), now=now)
    Draft202012Validator(json_schema(Audit)).validate(json.loads(msgspec.json.encode(audit)))
    written = given.get("export")
    changed = {path for path, data in snapshot(monorepo.clone).items() if clone.get(path) != data}
    assert changed <= {str(monorepo.clone / written)} if written else not changed
    assert monorepo.remote_refs() == remote
    return audit


def said(audit: Audit) -> list[tuple[str, FindingKind]]:
    """Tag and kind of each finding."""
    return [(found.tag_name, found.kind) for found in audit.findings]


def deployed(monorepo: Monorepo, *versions: str, tag: Tag | None = None) -> Tag:
    """Put an environment tag on the remote that has these versions of api, all on the newest commit."""
    head = monorepo.git("rev-parse", "HEAD")
    tag = tag or Tag(regions=())
    for version in versions:
        put_tag(monorepo.remote, f"api/{version}", head)
        tag.deploy(version, commit_sha=head)
    put_ledger(monorepo, tag)
    return tag


def put_ledger(monorepo: Monorepo, tag: Tag, commit: str | None = None, name: str = "api/staging") -> None:
    """Put a ledger on the remote as it is."""
    assert tag.ledger is not None
    text, _ = annotation.write(tag.ledger)
    content = tag_content(commit or tag.ledger.header.target, name, text.rstrip("\n"))
    put_ref(monorepo.remote, name, put_object(monorepo.remote, content))


@pytest.fixture
def head(monorepo: Monorepo) -> str:
    return monorepo.git("rev-parse", "HEAD")


def test_a_remote_that_is_well(monorepo: Monorepo, head: str) -> None:
    deployed(monorepo, "v1.0.0", "v1.1.0")
    put_tag(monorepo.remote, "api/v1.0.0-stable", head)
    put_tag(monorepo.remote, "release-7", head)
    put_ref(monorepo.remote, "light", head)
    audit = audited(monorepo)
    assert audit == Audit(
        versions=2,
        states=1,
        environments=1,
        findings=[],
        foreign=["light", "release-7"],
        against=None,
        exported=None,
    )


def test_nothing_at_all(monorepo: Monorepo) -> None:
    assert audited(monorepo).findings == []
    assert audited(monorepo, subproject="api").versions == 0
    with pytest.raises(UsageError, match="There is no subproject nothing"):
        audited(monorepo, subproject="nothing")


def test_f50_f52_f61_f71_every_fault_at_once(monorepo: Monorepo, head: str) -> None:
    remote = monorepo.remote
    tag = deployed(monorepo, "v1.0.0", "v1.1.0")
    other = monorepo.commit()
    put_ledger(monorepo, tag, commit=other)
    put_ref(remote, "api/v2.0.0", head)
    inner = put_tag(remote, "inner", head)
    put_ref(remote, "api/v2.1.0", put_object(remote, tag_content(inner, "api/v2.1.0", kind="tag")))
    tree = git("rev-parse", f"{head}^{{tree}}", cwd=remote)
    put_ref(remote, "api/v2.2.0", put_object(remote, tag_content(tree, "api/v2.2.0", kind="tree")))
    put_ref(remote, "api/v2.3.0", put_object(remote, bytes(17 << 20), "blob"))
    put_tag(remote, "api/v1.0.0-stable", other)
    put_ref(remote, "web/staging", head)
    put_tag(remote, "web/production", head, "by hand")
    text, _ = annotation.write(tag.state())
    newer = text.replace('"schema":1', '"schema":2').rstrip("\n")
    put_ref(remote, "api/canary", put_object(remote, tag_content(head, "api/canary", newer)))
    audit = audited(monorepo)
    assert said(audit) == [
        ("api/canary", FindingKind.UNREADABLE),
        ("api/staging", FindingKind.DRIFT),
        ("api/v1.0.0-stable", FindingKind.STATE),
        ("api/v2.0.0", FindingKind.LIGHTWEIGHT),
        ("api/v2.1.0", FindingKind.OBJECT),
        ("api/v2.2.0", FindingKind.OBJECT),
        ("api/v2.3.0", FindingKind.LIGHTWEIGHT),
        ("web/production", FindingKind.UNREADABLE),
        ("web/staging", FindingKind.UNREADABLE),
    ]
    lines = [found.next_step for found in audit.findings]
    assert lines[0] == "pip install --upgrade ci-tasks"
    assert lines[1].startswith("inv tag.assign --env staging --subproject api --version v1.1.0 ")
    assert lines[3] == "inv tag.create --version v2.0.1 --subproject api"
    assert lines[-1] == "inv tag.list --subproject web --type version"  # it has none that could run there
    assert {name.partition("/")[0] for name, _ in said(audited(monorepo, subproject="web"))} == {"web"}


def test_f47_f48_local_tags_are_neither_believed_nor_touched(monorepo: Monorepo) -> None:
    deployed(monorepo, "v1.0.0")
    monorepo.commit()
    monorepo.git("tag", "api/v1.0.0")  # as some CI checkouts flatten it
    monorepo.git("tag", "--annotate", "--message", "stale", "api/staging")
    monorepo.git("tag", "api/v9.0.0")
    audit = audited(monorepo)
    assert (audit.versions, audit.findings) == (1, [])


def test_f55_a_tag_that_moves_while_it_is_read_is_read_again(
    monorepo: Monorepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag = deployed(monorepo, "v1.0.0")
    before = monorepo.remote_refs()["refs/tags/api/staging"]
    deployed(monorepo, "v1.1.0", tag=tag)
    after = monorepo.remote_refs()["refs/tags/api/staging"]
    put_ref(monorepo.remote, "api/staging", before)
    move = f"git -C {monorepo.remote} update-ref refs/tags/api/staging {after}"
    for name, value in once_before(tmp_path / "bin", "fetch", move).items():
        monkeypatch.setenv(name, value)
    checkout = Checkout.open(monorepo.clone, {})
    audit = verify(checkout, AuditRequest(export="tags.json"), now=NOW)
    assert monorepo.remote_refs()["refs/tags/api/staging"] == after
    assert audit.findings == []
    assert json.loads((monorepo.clone / "tags.json").read_bytes())["environments"]["api/staging"]["seq"] == 2


def test_an_export_is_the_witness(monorepo: Monorepo, head: str) -> None:
    tag = deployed(monorepo, "v1.0.0", "v1.1.0")
    put_ref(monorepo.remote, "api/v0.1.0", head)  # an old fault is no reason not to watch the others
    first = audited(monorepo, against="audit/tags.json", export="audit/tags.json")
    path = monorepo.clone / "audit/tags.json"
    assert (first.against, first.exported) == (None, "audit/tags.json")
    document = json.loads(path.read_bytes())
    assert list(document["immutable"]) == ["api/v0.1.0", "api/v1.0.0", "api/v1.1.0"]
    assert document["environments"]["api/staging"]["seq"] == 2

    deployed(monorepo, "v1.2.0", tag=tag)
    then = audited(monorepo, against="audit/tags.json", export="audit/tags.json")
    assert said(then) == [("api/v0.1.0", FindingKind.LIGHTWEIGHT)]
    assert (then.against, then.exported) == ("audit/tags.json", "audit/tags.json")
    witness = path.read_bytes()
    assert json.loads(witness)["environments"]["api/staging"]["seq"] == 3

    other = monorepo.commit()
    put_tag(monorepo.remote, "api/v1.0.0", other)
    git("update-ref", "-d", "refs/tags/api/v0.1.0", cwd=monorepo.remote)
    deployed(monorepo, "v2.0.0", tag=Tag(regions=()))
    audit = audited(monorepo, against="audit/tags.json", export="audit/tags.json")
    assert said(audit) == [
        ("api/staging", FindingKind.REWRITTEN),
        ("api/v0.1.0", FindingKind.VANISHED),
        ("api/v1.0.0", FindingKind.CHANGED),
    ]
    assert (audit.exported, path.read_bytes()) == (None, witness)
    fresh = audited(monorepo, export="fresh.json")
    assert (fresh.findings, fresh.exported) == ([], "fresh.json")


def test_an_export_of_one_subproject(monorepo: Monorepo, head: str) -> None:
    deployed(monorepo, "v1.0.0")
    put_tag(monorepo.remote, "web/v1.0.0", head)
    audited(monorepo, export="all.json")
    audited(monorepo, subproject="web", export="web.json")
    assert list(json.loads((monorepo.clone / "web.json").read_bytes())["immutable"]) == ["web/v1.0.0"]
    git("update-ref", "-d", "refs/tags/api/v1.0.0", cwd=monorepo.remote)
    assert audited(monorepo, subproject="web", against="all.json").findings == []
    assert ("api/v1.0.0", FindingKind.VANISHED) in said(audited(monorepo, against="all.json"))
    for against in ("all.json", "web.json", None):
        with pytest.raises(UsageError, match="has the tags of all subprojects, not of web alone") as caught:
            audited(monorepo, subproject="web", against=against, export="all.json")
    assert caught.value.next_step == "inv tag.verify --against all.json --subproject web"
    assert audited(monorepo, against="web.json", export="web.json").exported == "web.json"


@pytest.mark.parametrize("option", ["against", "export"])
def test_a_file_that_is_no_export_stays_as_it_is(monorepo: Monorepo, option: str) -> None:
    monorepo.write("notes.json", '{"mine": true}\n')
    with pytest.raises(UsageError, match=r"notes\.json"):
        verify(Checkout.open(monorepo.clone, {}), AuditRequest(**{option: "notes.json"}), now=NOW)
    assert (monorepo.clone / "notes.json").read_text() == '{"mine": true}\n'


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    made = make_keys(tmp_path_factory.mktemp("keys"))
    yield made
    made.end_agent()


def test_signatures_are_looked_at_where_the_rules_ask(monorepo: Monorepo, keys: Keys) -> None:
    monorepo.write("environments/staging/config.yml", "verify: tag\n")
    keys.allow(monorepo.clone, "alice", form="ssh")
    head = monorepo.commit()

    def signed(version: str, key: str) -> None:
        content = keys.tag(monorepo.clone, f"api/{version}", key, "ssh")
        put_ref(monorepo.remote, f"api/{version}", put_object(monorepo.remote, content))

    tag = deployed(monorepo, "v1.0.0")
    signed("v1.1.0", "stranger")
    tag.deploy("v1.1.0", commit_sha=head)
    put_ledger(monorepo, tag)
    put_tag(monorepo.remote, "api/v9.0.0", head)  # unsigned, and runs nowhere
    (found,) = audited(monorepo, now=utc_now()).findings
    assert (found.tag_name, found.kind) == ("api/v1.1.0", FindingKind.SIGNATURE)
    assert "runs in api/staging, which takes signed versions only" in found.message
    assert "unknown signer" in found.message
    assert found.next_step == f"inv tag.create --version v1.1.1 --subproject api --commit {head} --sign"
    deployed(monorepo, "v1.2.0", tag=tag)
    (found,) = audited(monorepo, now=utc_now()).findings
    assert "unsigned" in found.message
    signed("v1.3.0", "alice")
    tag.deploy("v1.3.0", commit_sha=head)
    put_ledger(monorepo, tag)
    assert audited(monorepo, now=utc_now()).findings == []

    monorepo.write("ci_tasks.yaml", 'subprojects: [api, web, "services/*"]\nsign: ssh\n')
    (found,) = audited(monorepo, now=utc_now()).findings
    assert (found.tag_name, found.kind) == ("api/staging", FindingKind.SIGNATURE)
    assert found.next_step == "inv tag.assign --env staging --subproject api --version v1.3.0"
    assert tag.ledger is not None
    text, _ = annotation.write(tag.ledger)
    keys.configure(monorepo.clone, "alice", "ssh")
    options = ("--sign", "--cleanup=verbatim", "--file=-", "--force", "api/staging", head)
    git("tag", *options, cwd=monorepo.clone, stdin=text)
    monorepo.git("push", "--quiet", "--force", "origin", "refs/tags/api/staging")
    assert audited(monorepo, now=utc_now()).findings == []


SIGN = 'subprojects: [api, web, "services/*"]\nsign: ssh\n'


def test_f53_state_tags_and_running_versions_without_a_good_signature(monorepo: Monorepo, keys: Keys) -> None:
    keys.allow(monorepo.clone, "alice", form="ssh")
    monorepo.write("ci_tasks.yaml", SIGN)
    head = monorepo.commit()
    now = utc_now()

    def put(name: str, key: str | None) -> None:
        put_tag(monorepo.remote, name, head)
        if key is not None:
            put_ref(
                monorepo.remote, name, put_object(monorepo.remote, keys.tag(monorepo.clone, name, key, "ssh"))
            )

    def unsigned(**given: Any) -> dict[str, Severity]:
        return {
            found.tag_name: found.severity
            for found in audited(monorepo, now=now, **given).findings
            if found.kind is FindingKind.SIGNATURE and found.tag_name != "api/staging"
        }

    deployed(monorepo, "v1.0.0")
    put("api/v0.9.0", None)  # runs nowhere
    put("api/v1.0.0-unstable", None)
    old = {"api/v1.0.0": Severity.WARNING, "api/v1.0.0-unstable": Severity.WARNING}
    assert unsigned(export="tags.json") == old
    put("api/v0.9.0-deprecated", "stranger")
    put("api/v0.9.0-stable", "alice")
    assert unsigned() == {**old, "api/v0.9.0-deprecated": Severity.WARNING}  # its date is as early as it says
    witness = (monorepo.clone / "tags.json").read_bytes()
    assert unsigned(against="tags.json", export="tags.json") == {
        **old,
        "api/v0.9.0-deprecated": Severity.ERROR,
    }
    assert (monorepo.clone / "tags.json").read_bytes() == witness, "nobody has said yet that it is right"
    later = tag_content(head, "api/v1.0.0-deprecated", tagger=f"A <a@b> {int(now.timestamp()) + 600} +0000")
    put_ref(monorepo.remote, "api/v1.0.0-deprecated", put_object(monorepo.remote, later))
    assert unsigned()["api/v1.0.0-deprecated"] is Severity.ERROR
    unsigned(export="tags.json")
    assert set(unsigned(against="tags.json", export="tags.json").values()) == {Severity.WARNING}


def test_an_environment_tag_is_signed_by_the_line_that_the_audit_prints(site: Site, keys: Keys) -> None:
    assign = ("tag.assign", "--env", "staging", "--subproject", "api", "--version", "v1.0.0")
    site.ok(*assign)
    keys.configure(site.clone, "alice", "ssh")
    keys.allow(site.clone, "alice", form="ssh")
    site.repository.write("ci_tasks.yaml", "subprojects: [api]\nsign: ssh\n")
    site.commit("chore: sign")
    history = ("deploy.history", "--env", "staging", "--subproject", "api")
    before = site.answer(*history)
    document = site.answer("tag.verify", code=3)
    (found,) = [one for one in document["findings"] if one["severity"] == "ERROR"]
    assert (found["tagName"], found["kind"]) == ("api/staging", "SIGNATURE")
    line = found["nextStep"].split()[1:]
    assert line[0] == "tag.assign"
    assert "was written anew, and signed" in site.ok(*line)
    assert site.answer(*history) == before
    assert site.ok("tag.verify").endswith("nothing is wrong, 1 warning.\n")
    assert "Nothing to do" in site.ok(*line)


def test_f71_an_adopted_ledger_is_a_change_that_a_new_export_accepts(site: Site) -> None:
    assign = ("tag.assign", "--env", "staging", "--subproject", "api", "--version", "v1.0.0")
    audit = ("tag.verify", "--against", "tags.json", "--export", "tags.json")
    site.ok(*assign)
    site.ok(*audit)
    put_ref(site.remote, "api/staging", site.target())
    site.ok(*assign, "--adopt", "--reason", "it was made lightweight")
    document = site.answer(*audit, code=3)
    (found,) = document["findings"]
    assert (found["kind"], found["nextStep"]) == ("REWRITTEN", "inv tag.verify --export tags.json")
    assert "as with tag.assign --adopt" in found["message"]
    site.ok(*found["nextStep"].split()[1:])
    assert "Compared with tags.json." in site.ok(*audit)


def test_rules_that_can_not_be_read_hide_nothing(monorepo: Monorepo, head: str) -> None:
    deployed(monorepo, "v1.0.0")
    put_ref(monorepo.remote, "api/v1.1.0", head)
    monorepo.write("environments/staging/config.yml", "verify: perhaps\n")
    audit = audited(monorepo)
    assert said(audit) == [("api/staging", FindingKind.RULES), ("api/v1.1.0", FindingKind.LIGHTWEIGHT)]
    assert audit.findings[0].next_step == "inv env.check"


def _filled(monorepo: Monorepo, head: str, count: int) -> None:
    """That many versions and a tenth as many environment tags, with ledgers."""
    texts = [
        f"tag api{number}/v1.0.0\nfrom {head}\ntagger A <a@b> {DATE} +0000\ndata 2\nx\n\n"
        for number in range(count)
    ]
    git("fast-import", "--quiet", cwd=monorepo.remote, stdin="".join(texts))
    for number in range(count // 10):
        tag = Tag(regions=())
        tag.deploy("v1.0.0", commit_sha=head, subproject=f"api{number}")
        ledger = tag.state()
        header = msgspec.structs.replace(ledger.header, subproject=f"api{number}")
        tag.ledger = msgspec.structs.replace(ledger, header=header)
        put_ledger(monorepo, tag, name=f"api{number}/staging")


def test_f64_many_tags_take_no_more_git_processes_than_few(
    monorepo: Monorepo, head: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monorepo.write("ci_tasks.yaml", 'subprojects: ["api*"]\n')
    counts = []
    for count in (10, 300):
        _filled(monorepo, head, count)
        log = write(tmp_path / "log", "")
        for name, value in git_wrapper(tmp_path / "bin", f"echo \"$*\" >> '{log}'").items():
            monkeypatch.setenv(name, value)
        audit = audited(monorepo)
        assert (audit.versions, audit.environments, audit.findings) == (count, count // 10, [])
        counts.append(len(log.read_text(encoding="utf-8").splitlines()))
        monkeypatch.undo()
    assert counts[1] <= counts[0] <= 20


def test_the_command(site: Site) -> None:
    site.ok("deploy", "--env", "staging", "--subproject", "api")
    before = site.remote_state()
    line = ("tag.verify", "--against", "build/tags.json", "--export", "build/tags.json")
    assert site.ok(*line).splitlines() == [
        "Looked at 1 version, 0 states, 1 environment: nothing is wrong.",
        "Written: build/tags.json",
    ]
    assert "Compared with build/tags.json." in site.ok(*line)
    assert site.remote_state() == before
    git("update-ref", "refs/tags/api/v1.0.0", site.target("api/v1.0.0"), cwd=site.remote)
    site.rewrite(lambda ledger: ledger.records[1].update(triggeredBy="Somebody Else"))
    done = site.run(*line)
    assert done.returncode == 3
    assert "ERROR api/staging: CHAIN: " in done.stdout
    assert "ERROR api/v1.0.0: CHANGED: " in done.stdout
    assert "ERROR api/v1.0.0: LIGHTWEIGHT: " in done.stdout
    assert "Written" not in done.stdout
    document = site.answer(*line, code=3)
    Draft202012Validator(json_schema(Audit)).validate(document)
    assert document["exported"] is None
    site.repository.remote.rename(site.repository.remote.with_name("gone"))
    assert site.run("tag.verify").returncode == 5


def test_f63_warnings_alone_are_no_failure(site: Site) -> None:
    content = tag_content(site.target("api/v1.0.0"), "api/v1.1.0", tagger="A <a@b> 0 +0000")
    put_ref(site.remote, "api/v1.1.0", put_object(site.remote, content))
    said_there = site.ok("tag.verify")
    assert "WARNING api/v1.1.0: DATE: Its date is from 1970" in said_there
    assert "nothing is wrong, 1 warning." in said_there


PAGE = (ROOT / "docs/how-to/audit-tags.md").read_text(encoding="utf-8")


def test_the_page_about_audits_knows_every_kind() -> None:
    rows = re.findall(r"^\| (`[A-Z_]+`(?:, `[A-Z_]+`)*) \| (a warning: )?", PAGE, re.MULTILINE)
    told = {kind: bool(mild) for kinds, mild in rows for kind in re.findall(r"[A-Z_]+", kinds)}
    assert told == {kind.value: kind.severity is Severity.WARNING for kind in FindingKind}


def test_the_lines_of_the_page_about_audits(site: Site) -> None:
    lines = "".join(re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)).splitlines()
    assert len(lines) == 3
    said_there = [site.ok(*line.split()[1:]).splitlines() for line in lines]
    assert said_there[0] == ["Looked at 1 version, 0 states, 0 environments: nothing is wrong."]
    assert said_there[2][1:] == ["Compared with tags.json.", "Written: tags.json"]


def test_the_line_for_cron_is_quiet_until_there_is_something_to_say(site: Site) -> None:
    """It says what is wrong; where the pull fails, it says that, and nothing of the run before."""
    audit = site.temporary.parent / "audit"
    (audit / ".venv/bin").mkdir(parents=True)
    (audit / ".venv/bin/inv").symlink_to(program("inv"))
    git("clone", "--quiet", str(site.remote), str(audit / "repository"), cwd=site.temporary)
    (line,) = re.findall(r"^17 \* \* \* \* (.*)$", PAGE, re.MULTILINE)
    line = line.replace("/srv/audit", str(audit))

    def mailed() -> tuple[str, str]:
        done = subprocess.run(["sh", "-c", line], check=False, capture_output=True, text=True, timeout=60)
        return done.stdout, done.stderr

    assert mailed() == ("", "")
    put_ref(site.remote, "api/v9.0.0", site.target("api/v1.0.0"))
    assert "ERROR api/v9.0.0: LIGHTWEIGHT" in mailed()[0]
    site.repository.remote.rename(site.repository.remote.with_name("gone"))
    said, problem = mailed()
    assert said == ""
    assert "does not appear to be a git repository" in problem


def test_a_state_that_vanished_can_be_said_again(monorepo: Monorepo, head: str) -> None:
    names = ("api/v1.0.0-deprecated", "api/v1.0.0-stable", "api/v1.1.0-stable")
    for name in ("api/v1.0.0", *names):
        put_tag(monorepo.remote, name, head)
    audited(monorepo, export="tags.json")
    for name in names[::2]:
        git("update-ref", "-d", f"refs/tags/{name}", cwd=monorepo.remote)
    bad, good = audited(monorepo, against="tags.json").findings
    assert bad.message.endswith("and is gone: nothing says any more that api/v1.0.0 is deprecated.")
    assert bad.next_step == (
        'inv tag.state --subproject api --version v1.0.0 --state deprecated --reason "why"'
    )
    assert good.next_step == "inv tag.list --subproject api", "there is no such version"
