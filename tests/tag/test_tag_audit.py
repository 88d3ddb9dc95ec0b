"""What an audit finds in tags, ledgers and exports, and what it leaves alone."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_tasks.core.entity import to_json
from ci_tasks.core.errors import UsageError
from ci_tasks.core.git.origin import RawObject, RemoteRef
from ci_tasks.tag import annotation, chain, retention
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag.audit import export as exports
from ci_tasks.tag.audit.audit import immutable_findings, name_findings
from ci_tasks.tag.audit.audit_text import audit_text
from ci_tasks.tag.audit.finding import Audit, Finding, FindingKind, Severity
from ci_tasks.tag.audit.ledger_audit import environment_findings, form_findings, lies
from ci_tasks.tag.grammar import EnvironmentTag, ref_of
from ci_tasks.tag.listing import Listing
from ci_tasks.tag.model import Cut
from ci_tasks.tag.names import DeploymentStatus
from ci_tasks.tag.store import EnvironmentFact
from tests.examples import examples
from tests.tag.moves import REGIONS, TAG, Step, Tag, steps, take
from tests.tag.names import GRAMMAR
from tests.tag.records import HOUR, NOON, commit_of, filled
from tests.tag.remotes import DATE, tag_content

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.model import Deployment

FAILED = DeploymentStatus.FAILED
DAY = timedelta(days=1)
ONE, TWO = "1" * 40, "2" * 40
WEEK = 7 * 86400.0


@dataclass
class Remote:
    """Tags as a remote would list them, and their objects."""

    refs: list[RemoteRef] = field(default_factory=list)
    objects: dict[str, RawObject] = field(default_factory=dict)

    def put(self, name: str, content: bytes, peeled: str = ONE) -> None:
        """An annotated tag with this content."""
        object_id = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        self.objects[object_id] = RawObject(object_id=object_id, kind="tag", data=content)
        self.refs.append(RemoteRef(ref_of(name), object_id, peeled))

    def tag(self, name: str, commit: str = ONE, **given: Any) -> None:
        """An annotated tag as it should be, but for what is given."""
        self.put(name, tag_content(commit, given.pop("called", name), **given), commit)

    def light(self, name: str, commit: str = ONE) -> None:
        """A lightweight tag."""
        self.refs.append(RemoteRef(ref_of(name), commit, None))

    def listing(self) -> Listing:
        """What was listed."""
        return Listing(self.refs, GRAMMAR)

    def findings(self, *subprojects: str) -> list[Finding]:
        """What the audit says of versions, states and names."""
        listing = self.listing()
        tags = [(tag, ref) for tag, ref in listing.tags() if not isinstance(tag, EnvironmentTag)]
        return [
            *immutable_findings(tags, listing, self.objects, now=NOON),
            *name_findings(listing.foreign(), listing, subprojects),
        ]


def _said(findings: list[Finding]) -> list[tuple[str, FindingKind]]:
    return [(found.tag_name, found.kind) for found in findings]


def test_good_tags_are_no_findings() -> None:
    remote = Remote()
    for name in ("v1.0.0", "api/v1.0.0", "api/v1.0.0-stable", "api/v1.0.0-beta.1", "release-7", "a/b/c"):
        remote.tag(name)
    remote.tag("api/v1.0.0-unstable")
    assert remote.findings("api", "web") == []


def test_f50_f52_what_is_no_proper_tag() -> None:
    remote = Remote()
    remote.light("api/v1.0.0")
    remote.tag("api/v1.1.0", called="api/v1.0.0")
    remote.tag("api/v1.2.0", kind="tag")
    remote.tag("api/v1.3.0", kind="tree")
    remote.tag("api/v1.4.0", kind="blob")
    remote.put("api/v1.5.0", tag_content(TWO, "api/v1.5.0"))
    remote.put("api/v1.6.0", b"nonsense")
    remote.refs.append(RemoteRef(ref_of("api/v1.7.0"), TWO, ONE))  # too large: it was not read
    findings = remote.findings()
    assert _said(findings) == [
        ("api/v1.0.0", FindingKind.LIGHTWEIGHT),
        *((f"api/v1.{minor}.0", FindingKind.OBJECT) for minor in range(1, 7)),
        ("api/v1.6.0", FindingKind.DATE),
        ("api/v1.7.0", FindingKind.OBJECT),
    ]
    words = ["lightweight", "calls itself 'api/v1.0.0'", "a tag,", "a tree", "a blob", "another object"]
    assert all(word in found.message for word, found in zip(words, findings, strict=False))
    assert findings[0].next_step == "inv tag.create --version v1.0.1 --subproject api"
    assert {found.severity for found in findings if found.kind is not FindingKind.DATE} == {Severity.ERROR}


def test_f60_states_stand_on_their_version() -> None:
    remote = Remote()
    remote.tag("api/v1.0.0")
    remote.tag("api/v1.0.0-stable")
    remote.tag("api/v1.0.0-unstable")
    remote.tag("api/v1.0.0-deprecated", TWO)
    remote.tag("web/v1.0.0-stable")
    remote.light("api/v1.0.1")
    remote.tag("api/v1.0.1-stable")
    findings = remote.findings()
    assert _said(findings) == [
        ("api/v1.0.0-deprecated", FindingKind.STATE),
        ("web/v1.0.0-stable", FindingKind.STATE),
        ("api/v1.0.1", FindingKind.LIGHTWEIGHT),
    ]
    assert findings[0].message == "It stands on 222222222222, but api/v1.0.0 on 111111111111."
    assert findings[1].message == "It speaks of web/v1.0.0, and there is no such version."


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "1970"),
        (-DATE, "1970"),
        (DATE + 7200, "future"),
        (9 * DATE, "future"),
        (10**14, "future"),
        (DATE + 60, None),
        (DATE - 86400 * 365 * 30, None),
    ],
)
def test_f63_dates_that_can_not_be_true_are_warnings(seconds: int, words: str | None) -> None:
    remote = Remote()
    remote.tag("v1.0.0", tagger=f"A <a@b> {seconds} +0000")
    findings = remote.findings()
    assert [(found.kind, found.severity) for found in findings] == (
        [(FindingKind.DATE, Severity.WARNING)] if words else []
    )
    assert all(words in found.message for found in findings if words)


def test_f63_a_tag_without_a_date_is_a_warning() -> None:
    remote = Remote()
    remote.put("v1.0.0", f"object {ONE}\ntype commit\ntag v1.0.0\n\nold\n".encode())
    assert _said(remote.findings()) == [("v1.0.0", FindingKind.DATE)]


def test_names_that_get_in_the_way_of_ours_are_warnings() -> None:
    remote = Remote()
    for name in ("api/v1.0.0", "API/v1.0.0", "Api/other", "api/V1.0.0", "Unrelated", "web"):
        remote.tag(name)
    findings = remote.findings("api", "web", "services/auth")
    assert _said(findings) == [
        (name, FindingKind.NAME) for name in ("API/v1.0.0", "Api/other", "api/V1.0.0", "web")
    ]
    assert {found.severity for found in findings} == {Severity.WARNING}
    assert "git can't keep web and web/v1.0.0 side by side" in findings[-1].message


def _tag_of(tag: Tag, **fields: Any) -> EnvironmentFact:
    fact = EnvironmentFact(tag=TAG, object_id=tag.object_id, target=tag.target, ledger=tag.ledger)
    return _other(fact, **fields)


def _other(fact: EnvironmentFact, **fields: Any) -> EnvironmentFact:
    given = {name: getattr(fact, name) for name in fact.__dataclass_fields__}
    return EnvironmentFact(**{**given, **fields})


def _versions(*versions: str) -> Listing:
    remote = Remote()
    for version in versions:
        remote.tag(f"api/{version}", commit_of(version))
    return remote.listing()


def _audited(fact: EnvironmentFact, listing: Listing | None = None, **given: Any) -> list[Finding]:
    known = listing or _versions(*(f"v1.0.{patch}" for patch in range(9)))
    return list(
        environment_findings(
            fact, known, now=given.get("now", NOON + DAY), review_within=given.get("within", WEEK)
        )
    )


@examples(80)
@given(st.lists(steps, max_size=25), st.sampled_from([(), REGIONS[:1], REGIONS]))
def test_nothing_that_we_write_is_a_lie(todo: list[Step], regions: tuple[str, ...]) -> None:
    tag = Tag(regions=regions)
    for step in todo:
        take(tag, step)
        if tag.ledger is not None:
            assert list(lies(tag.ledger)) == []
            assert chain.faults(tag.ledger) == []


@examples(12)
@given(st.lists(steps, min_size=70, max_size=90))
def test_so_it_is_when_old_records_go(todo: list[Step]) -> None:
    tag = Tag()
    before: list[tuple[exports.NewestRecord, int]] = []
    for number, step in enumerate(todo):
        take(tag, replace(step, days=1, what="deploy" if step.what in {"drift", "delete"} else step.what))
        if tag.ledger is None:
            continue
        assert chain.faults(tag.ledger) == []
        if number % 10 == 0 and step.what != "regions":
            was = exports.newest_of(tag.ledger)
            before.append((msgspec.structs.replace(was, live={}), number))  # the list of regions changes
    tag.deploy("v2.0.0", FAILED)
    for was, number in before:
        assert exports.gap(tag.state(), was, now=tag.now) is None, number


def _story() -> Tag:
    tag = Tag(regions=REGIONS[:2])
    tag.deploy("v1.0.0")
    tag.deploy("v1.0.1")
    tag.claim("v1.0.2", "eu-west")
    tag.close(FAILED)
    return tag


def _header(**fields: Any) -> Callable[[Ledger], Ledger]:
    return lambda ledger: msgspec.structs.replace(
        ledger, header=msgspec.structs.replace(ledger.header, **fields)
    )


def _live(key: str, **fields: Any) -> Callable[[Ledger], Ledger]:
    def lie(ledger: Ledger) -> Ledger:
        live = {**ledger.header.live, key: msgspec.structs.replace(ledger.header.live[key], **fields)}
        return _header(live=live)(ledger)

    return lie


LIES: dict[str, Callable[[Ledger], Ledger]] = {
    "target": _header(target=commit_of("v1.0.0")),
    "settled": _header(settled=False),
    "version": _live("us-east", version="v1.0.0"),
    "commit": _live("eu-west", commit_sha=commit_of("v1.0.0")),
    "since": _live("us-east", since=NOON),
    "by": _live("us-east", triggered_by="Somebody Else"),
    "inputs": _live("us-east", inputs="0" * 64),
    "deployment": _live("us-east", deployment_id="20260105T120000Z-000001.us-east"),
    "nothing": _live("us-east", deployment_id=None),
    "certain": _live("eu-west", uncertain=False, attempted=None),
    "another attempt": _live("eu-west", attempted="v1.0.8"),
    "uncertain": _live("us-east", uncertain=True, attempted="v1.0.2"),
    "out of nothing": lambda ledger: _header(
        live={**ledger.header.live, "mars": ledger.header.live["us-east"]}
    )(ledger),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_lie_in_the_header_is_found(lie: Callable[[Ledger], Ledger]) -> None:
    fact = _tag_of(_story())
    assert fact.ledger is not None
    assert _audited(fact) == []
    spoilt = lie(fact.ledger)
    found = _audited(_other(fact, ledger=spoilt, target=spoilt.header.target))
    assert {(one.kind, one.severity) for one in found} == {(FindingKind.LIVE, Severity.ERROR)}
    assert found[0].next_step == "inv deploy.history --env staging --subproject api"


def _closed(ledger: Ledger, *closed: Deployment) -> Ledger:
    return msgspec.structs.replace(ledger, closed=closed)


def _rechained(ledger: Ledger, *closed: Deployment) -> Ledger:
    """The records linked anew behind the cut, newest first: a forgery whose chain is whole."""
    cut = ledger.header.cut
    made: list[Deployment] = []
    seq, prev = (cut.seq, cut.sha256) if cut else (0, None)
    for record in reversed(closed):
        seq += 1
        made.insert(0, msgspec.structs.replace(record, seq=seq, prev=prev))
        prev = ledgers.digest(made[0])
    return _closed(ledger, *made)


def _shrunk_and_forged(ledger: Ledger) -> Ledger:
    """All records from the first override on look shrunk, and nobody overrode anything."""
    bare = [retention.shrink(one) for one in ledger.closed]
    return _closed(ledger, *(msgspec.structs.replace(one, override=None) for one in bare))


def _newest_forged(ledger: Ledger) -> Ledger:
    bare = msgspec.structs.replace(retention.shrink(ledger.closed[0]), triggered_by="Mallory")
    live = {
        key: msgspec.structs.replace(live, triggered_by="Mallory") if key == (bare.region or "") else live
        for key, live in ledger.header.live.items()
    }
    return _header(live=live)(_closed(ledger, bare, *ledger.closed[1:]))


def _half_shrunk(ledger: Ledger) -> Ledger:
    marked = msgspec.structs.replace(ledger.closed[-1], digest=ledgers.digest(ledger.closed[-1]))
    return _closed(ledger, *ledger.closed[:-1], marked)


def _cut_short(ledger: Ledger) -> Ledger:
    """A cut that hides all but the two newest records."""
    return _rechained(_header(cut=Cut(seq=500, sha256="0" * 64))(ledger), *ledger.closed[:2])


def _cut_at_the_newest(ledger: Ledger) -> Ledger:
    newest, *others = ledger.closed
    cut = _header(cut=Cut(seq=newest.seq or 0, sha256=ledgers.digest(newest)))(ledger)
    return _closed(cut, newest, *(msgspec.structs.replace(one, override=None) for one in others))


def _edited_behind_the_cut(ledger: Ledger) -> Ledger:
    newest = ledger.closed[0]
    cut = _header(cut=Cut(seq=newest.seq or 0, sha256=ledgers.digest(newest)))(ledger)
    return _closed(cut, *(msgspec.structs.replace(one, override=None) for one in ledger.closed[1:]))


HIDDEN: dict[str, Callable[[Ledger], Ledger]] = {
    "an override in shrunk records": _shrunk_and_forged,
    "who brought what is live": _newest_forged,
    "a whole record that looks shrunk": _half_shrunk,
    "all but the newest behind a cut": _cut_short,
    "a cut at a record that is there": _cut_at_the_newest,
    "edits behind the cut": _edited_behind_the_cut,
}


@pytest.mark.parametrize("forge", HIDDEN.values(), ids=HIDDEN)
def test_a_forgery_that_the_chain_does_not_show_is_found(forge: Callable[[Ledger], Ledger]) -> None:
    tag = Tag(regions=REGIONS[:2])
    tag.deploy("v1.0.0")
    tag.overridden("v1.0.1")
    tag.deploy("v1.0.2")
    fact = _tag_of(tag)
    assert fact.ledger is not None
    assert _audited(fact) == []
    found = _audited(_other(fact, ledger=forge(fact.ledger)))
    assert FindingKind.CHAIN in {one.kind for one in found}
    if forge is not _half_shrunk:  # nothing in it is another than before
        assert exports.gap(forge(fact.ledger), exports.newest_of(fact.ledger), now=tag.now) is not None


def test_edits_behind_a_cut_are_found_though_the_ledger_has_50_newer_records() -> None:
    tag = Tag(regions=())
    for version in ("v1.0.0", "v1.0.1", "v1.0.2"):
        tag.deploy(version)
    tag.now += 40 * DAY
    for _ in range(51):
        tag.deploy("v1.0.3", FAILED)
    ledger = tag.state()
    assert ledger.header.cut is not None
    assert chain.faults(ledger) == []
    assert [one.seq for one in ledger.closed[-2:]] == [3, 2]
    newer = ledger.closed[:-2]
    forged = msgspec.structs.replace(ledger.closed[-1], version="v1.0.8")
    assert chain.faults(_closed(ledger, *newer, ledger.closed[-2], forged)) != []
    assert chain.faults(_closed(ledger, *newer, *reversed(ledger.closed[-2:]))) != []
    (fault,) = chain.faults(_header(cut=Cut(seq=5, sha256=ledger.closed[-3].prev or ""))(ledger))[-1:]
    assert "the newest 50 are kept" in fault or "the cut says that it was dropped" in fault


@pytest.mark.parametrize("count", [500, 1900])
def test_what_a_large_ledger_shrinks_and_drops_is_no_fault_neither_then_nor_later(count: int) -> None:
    ledger = filled(count, gap=timedelta(minutes=20), reason="r" * 100)
    was = exports.newest_of(ledger)
    written = annotation.read(annotation.write(ledger)[0], name=str(TAG))
    assert any(one.digest for one in written.closed)
    assert (written.header.cut is not None) is (count > 1500)
    now = NOON + count * timedelta(minutes=20)
    assert chain.faults(written) == []
    assert exports.gap(written, was, now=now) is None
    for days in (20, 25, 28, 31, 60):
        later = retention.retain(written, now=now + days * DAY)
        assert chain.faults(later) == [], days
        assert exports.gap(later, was, now=now + days * DAY) is None


def test_a_shrunk_record_that_was_changed_is_found_by_the_export() -> None:
    ledger = filled(500, reason="r" * 100)
    was = exports.newest_of(ledger)
    written = annotation.read(annotation.write(ledger)[0], name=str(TAG))
    now = NOON + DAY
    assert exports.gap(written, was, now=now) is None
    forged = msgspec.structs.replace(written.closed[-1], version="v9.0.0")
    changed = _closed(written, *written.closed[:-1], forged)
    assert chain.faults(changed) == []
    assert exports.gap(changed, was, now=now) == f"{forged.deployment_id} is not what it was"


def test_a_live_map_that_lost_a_region() -> None:
    tag = _story()
    ledger, was = tag.state(), exports.newest_of(tag.state())
    empty = _header(live={}, settled=False)(ledger)
    assert {one.kind for one in _audited(_tag_of(tag, ledger=empty))} == {FindingKind.LIVE}
    replaced = _header(live={}, settled=False, regions=("mars",))(ledger)
    assert {one.kind for one in _audited(_tag_of(tag, ledger=replaced))} == {FindingKind.LIVE}
    hidden = _header(live={"eu-west": ledger.header.live["eu-west"]}, settled=False)(ledger)
    (found,) = _audited(_tag_of(tag, ledger=hidden))
    assert (found.kind, found.severity) == (FindingKind.NOT_LIVE, Severity.WARNING)
    assert _gap(hidden, was) == "us-east was live at the export, and is not any more"


def test_a_region_that_is_off_the_list_for_a_while_is_no_error() -> None:
    tag = _story()
    tag.regions = REGIONS[:1]
    tag.deploy("v1.0.3")
    tag.regions = REGIONS[:2]
    tag.claim("v1.0.4", "us-east")
    assert set(tag.state().header.live) == {"us-east"}
    assert list(lies(tag.state())) == []
    assert {one.severity for one in _audited(_tag_of(tag))} <= {Severity.WARNING}


def test_a_claim_longer_than_any_lease_is_an_error_with_the_line_that_ends_it() -> None:
    tag = Tag(regions=())
    tag.deploy("v1.0.0")
    tag.claim("v1.0.1", None)
    end = NOON + 60 * 365 * DAY
    ledger = ledgers.change(tag.state(), tag.state().open[0].deployment_id, lease_end=end)
    (found,) = _audited(_tag_of(tag, ledger=ledger))
    assert (found.kind, found.severity) == (FindingKind.LEASE, Severity.ERROR)
    assert found.next_step.startswith("inv deploy.unlock --env staging --subproject api --deployment 2026")
    assert found.next_step.endswith(" --now")


def test_lines_for_people_that_lie_are_an_error() -> None:
    ledger = _story().state()
    text, _ = annotation.write(ledger)
    assert list(form_findings(TAG, text, ledger)) == []
    (found,) = form_findings(TAG, text.replace("v1.0.1", "v9.9.9", 1), ledger)
    assert (found.kind, found.severity) == (FindingKind.FORM, Severity.ERROR)


def test_f61_drift_is_found_with_the_line_that_mends_it() -> None:
    tag = Tag(regions=())
    tag.deploy("v1.0.1")
    (found,) = _audited(_tag_of(tag, target=commit_of("v1.0.7")))
    assert (found.kind, found.severity) == (FindingKind.DRIFT, Severity.ERROR)
    assert found.next_step == (
        'inv tag.assign --env staging --subproject api --version v1.0.1 --reason "it was moved by hand"'
    )
    mixed = _story()
    mixed.deploy("v1.0.3", FAILED)
    mixed.claim("v1.0.4", "us-east")
    mixed.close()
    (found, *_) = _audited(_tag_of(mixed, target=commit_of("v1.0.7")))
    assert found.next_step == "inv deploy.history --env staging --subproject api"


def test_an_edited_chain_is_found() -> None:
    tag = _story()
    for _ in range(6):
        tag.deploy("v1.0.1")
    assert tag.ledger is not None
    closed = [msgspec.structs.replace(one, triggered_by="Somebody Else") for one in tag.ledger.closed]
    closed[0] = tag.ledger.closed[0]
    fact = _tag_of(tag, ledger=msgspec.structs.replace(tag.ledger, closed=tuple(closed)))
    found = [one for one in _audited(fact) if one.kind is FindingKind.CHAIN]
    assert len(found) == 4
    assert "does not follow from the record before it: somebody edited the ledger" in found[0].message
    assert found[-1].message.endswith("more records do not fit in the chain either.")


def test_f46_records_of_a_version_that_is_gone_or_was_moved() -> None:
    fact = _tag_of(_story())
    remote = Remote()
    remote.tag("api/v1.0.0", commit_of("v1.0.0"))
    remote.tag("api/v1.0.1", TWO)
    found = _audited(fact, remote.listing())
    assert [(one.kind, one.message) for one in found] == [
        (FindingKind.VERSION, "It has records of api/v1.0.2, and there is no such tag any more."),
        (
            FindingKind.VERSION,
            f"It has records of api/v1.0.1 on {commit_of('v1.0.1')[:12]}, but that stands on 222222222222.",
        ),
    ]


def test_a_debt_is_an_error_once_it_is_old() -> None:
    tag = Tag(regions=REGIONS[:2])
    tag.overridden("v1.0.0")
    assert tag.ledger is not None
    begun = min(one.started_at for one in tag.ledger.closed)
    newest = max(one.started_at for one in tag.ledger.closed)
    assert _audited(_tag_of(tag), now=begun + 7 * DAY) == []
    found = _audited(_tag_of(tag), now=newest + 7 * DAY + HOUR)
    assert [(one.kind, one.severity) for one in found] == [(FindingKind.DEBT, Severity.ERROR)] * 2
    assert "passed a rule ('it had to be'), and nobody has reviewed it within 7d" in found[0].message
    assert found[0].next_step.startswith("inv deploy.review --env staging --subproject api --deployment 2026")
    tag.review()
    assert len(_audited(_tag_of(tag), now=newest + 9 * DAY)) == 1
    tag.review()
    assert _audited(_tag_of(tag), now=newest + 9 * DAY) == []


def test_f63_times_that_can_not_be_true_and_claims_left_behind_are_warnings() -> None:
    tag = Tag(regions=())
    tag.deploy("v1.0.0")
    tag.claim("v1.0.1", None)
    assert tag.ledger is not None
    end = tag.ledger.open[0].lease_end
    assert end is not None
    assert _audited(_tag_of(tag), now=end) == []
    (found,) = _audited(_tag_of(tag), now=end + DAY)
    assert (found.kind, found.severity) == (FindingKind.LEFT_BEHIND, Severity.WARNING)
    tag.close()
    tag.join("v1.0.2", None)
    end = tag.ledger.open[0].lease_end
    assert end is not None
    assert _audited(_tag_of(tag), now=end) == []
    (found,) = _audited(_tag_of(tag), now=end + DAY)
    assert "was left behind: its wait ended at" in found.message
    assert found.next_step.startswith("inv deploy.settle --env staging --subproject api --deployment 2026")
    (late,) = _audited(_tag_of(tag), now=NOON - DAY)
    assert (late.kind, late.severity) == (FindingKind.DATE, Severity.WARNING)


def _export(remote: Remote, *tags: Tag) -> exports.Export:
    listing = remote.listing()
    return exports.taken(
        repository="somewhere",
        subproject=None,
        at=NOON,
        immutable=[(tag, ref) for tag, ref in listing.tags() if not isinstance(tag, EnvironmentTag)],
        newest={str(TAG): exports.newest_of(tag.ledger) for tag in tags if tag.ledger},
    )


def _compared(
    export: exports.Export, remote: Remote, gaps: dict[str, str | None] | None = None
) -> list[Finding]:
    return list(exports.changes(export, remote.listing(), gaps or {}, subproject=None, file="tags 1.json"))


def test_an_immutable_tag_that_changed_or_vanished_is_found() -> None:
    before, after = Remote(), Remote()
    for name in ("v1.0.0", "api/v1.0.0", "api/v1.1.0", "api/v1.0.0-stable"):
        before.tag(name)
    after.tag("v1.0.0")
    after.tag("api/v1.0.0", TWO)
    after.tag("api/v1.1.0", message="Another text")
    after.tag("v9.0.0")
    assert _compared(_export(before), before) == []
    found = _compared(_export(before), after)
    assert sorted(_said(found), key=str) == [
        ("api/v1.0.0", FindingKind.CHANGED),
        ("api/v1.0.0-stable", FindingKind.VANISHED),
        ("api/v1.1.0", FindingKind.CHANGED),
    ]
    assert {one.severity for one in found} == {Severity.ERROR}
    root = exports.changes(_export(before), after.listing(), {}, subproject="", file="x")
    assert list(root) == []


@examples(40)
@given(st.lists(steps, min_size=1, max_size=20), st.integers(0, 60))
def test_a_ledger_that_went_on_by_our_rules_contains_what_was_exported(todo: list[Step], more: int) -> None:
    tag = Tag()
    for step in todo:
        if step.what not in {"delete", "drift"}:
            take(tag, step)
    tag.deploy("v1.0.0")
    assert tag.ledger is not None
    was = exports.newest_of(tag.ledger)
    for _ in range(more):
        tag.deploy("v1.0.1", FAILED)
        tag.now += DAY
    assert exports.gap(tag.ledger, was, now=tag.now) is None


def test_a_ledger_that_was_rewritten_does_not_contain_what_was_exported() -> None:
    tag = _story()
    assert tag.ledger is not None
    was = exports.newest_of(tag.ledger)
    shorter = msgspec.structs.replace(tag.ledger, closed=tag.ledger.closed[1:])
    edited = msgspec.structs.replace(
        tag.ledger, closed=(msgspec.structs.replace(tag.ledger.closed[0], version="v9.0.0"),)
    )
    cut = {seq: _header(cut=Cut(seq=seq, sha256="0" * 64))(shorter) for seq in (4, 5, 6)}
    gaps = [_gap(one, was) for one in (tag.ledger, shorter, edited, *cut.values())]
    assert was.seq == 5
    assert gaps[0] is None
    assert [gap.split(" record ")[-1] for gap in gaps if gap] == [
        "of then is not in it any more",
        "of then is another one now",
        "of then is not in it any more",
        "of then is another one now",
        "number 5 of then was dropped before its time",
    ]
    right = _header(cut=Cut(seq=5, sha256=was.sha256 or ""))(msgspec.structs.replace(shorter, closed=()))
    assert _gap(right, was) == "its record number 5 of then was dropped before its time"
    assert _gap(right, was, now=NOON + 40 * DAY) is None
    newest = exports.newest_of(right)
    assert (newest.seq, newest.sha256, newest.records) == (was.seq, was.sha256, {})
    assert _gap(Tag().claim().new, exports.NewestRecord(seq=0, sha256=None)) is None


def _gap(ledger: Ledger, was: exports.NewestRecord, now: datetime = NOON) -> str | None:
    return exports.gap(ledger, was, now=now)


def test_what_became_of_exported_ledgers() -> None:
    tag, remote = _story(), Remote()
    export = _export(remote, tag)
    assert _said(_compared(export, remote)) == [("api/staging", FindingKind.VANISHED)]
    remote.tag("api/staging")
    assert _compared(export, remote, {str(TAG): None}) == []
    cases: list[tuple[dict[str, str | None], str, str]] = [
        ({str(TAG): "it is another"}, "it is another", "inv tag.verify --export 'tags 1.json'"),
        ({}, "can't be read", "inv tag.show api/staging"),
    ]
    for gaps, word, line in cases:
        (found,) = _compared(export, remote, gaps)
        assert (found.kind, found.severity) == (FindingKind.REWRITTEN, Severity.ERROR)
        assert word in found.message
        assert found.next_step == line
    other = msgspec.structs.replace(export, environments={"api/old": export.environments["api/staging"]})
    (found,) = _compared(other, remote)
    assert (found.kind, found.severity) == (FindingKind.NAME, Severity.WARNING)


def test_an_export_is_read_as_it_was_written(tmp_path: Path) -> None:
    remote = Remote()
    remote.tag("api/v1.0.0")
    export = _export(remote, _story())
    path = tmp_path / "tags.json"
    exports.write(path, export)
    assert exports.read(path) == export
    assert json.loads(path.read_text())["immutable"]["api/v1.0.0"]["commitSha"] == ONE
    assert exports.replaced(path) == export
    assert exports.replaced(tmp_path / "none.json") is None


def _spoilt(**fields: Any) -> bytes:
    document = json.loads(to_json(_export(Remote(), _story())))
    return json.dumps({**document, **fields}).encode()


RECORD = {"seq": 1, "sha256": "0" * 64}
IMMUTABLE = {"tagId": ONE, "commitSha": TWO}


@pytest.mark.parametrize(
    ("data", "place"),
    [
        pytest.param(b"", "truncated", id="empty"),
        pytest.param(b"\xff\xfe", "malformed", id="no-text"),
        pytest.param(b"[" * 100_000, "", id="deep"),
        pytest.param(_spoilt()[:-9], "truncated", id="half"),
        pytest.param(b'{"name": "package"}', "unknown field `name`", id="foreign"),
        pytest.param(_spoilt(form=2), "is of form 2; this program knows 1", id="newer"),
        pytest.param(_spoilt(form="x"), "$.form", id="form"),
        pytest.param(_spoilt(more=1), "unknown field `more`", id="more"),
        pytest.param(_spoilt(exportedAt="yesterday"), "$.exportedAt", id="time"),
        pytest.param(_spoilt(immutable={"a\x1b[2J": IMMUTABLE}), "$.immutable", id="hostile-name"),
        pytest.param(_spoilt(immutable={"../x": IMMUTABLE}), "$.immutable", id="path"),
        pytest.param(_spoilt(immutable={"v1.0.0": {"tagId": "x"}}), "$.immutable", id="short-id"),
        pytest.param(_spoilt(environments={"staging": {**RECORD, "seq": -1}}), "$.environments", id="number"),
        pytest.param(
            _spoilt(environments={"staging": {**RECORD, "sha256": "1"}}), "$.environments", id="sum"
        ),
        pytest.param(_spoilt(environments=[]), "$.environments", id="list"),
    ],
)
def test_a_file_that_is_no_export_is_named_with_the_place(tmp_path: Path, data: bytes, place: str) -> None:
    path = tmp_path / "tags.json"
    path.write_bytes(data)
    with pytest.raises(UsageError) as caught:
        exports.read(path)
    assert "tags.json" in caught.value.what
    assert place in caught.value.what
    assert "\x1b" not in caught.value.what
    with pytest.raises(UsageError, match="is not written over"):
        exports.replaced(path)
    assert path.read_bytes() == data


def test_an_export_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "LARGEST", 100)
    path = tmp_path / "tags.json"
    exports.write(path, _export(Remote(), _story()))
    with pytest.raises(UsageError, match="too large"):
        exports.read(path)


def test_an_audit_in_words() -> None:
    remote = Remote()
    remote.light("api/v1.0.0")
    remote.tag("v1.0.0", tagger="A <a@b> 0 +0000")
    lightweight, date = remote.findings()
    assert date.message == "Its date is from 1970 or before: the clock was wrong. Nothing is decided by it."
    audit = Audit(
        versions=2,
        states=0,
        environments=1,
        findings=[lightweight, date],
        foreign=["\u202eodd"],
        against="tags.json",
        exported=None,
    )
    assert audit.has_errors
    assert audit_text(audit).splitlines() == [
        f"ERROR api/v1.0.0: LIGHTWEIGHT: {lightweight.message}",
        "  next: inv tag.create --version v1.0.1 --subproject api",
        f"WARNING v1.0.0: DATE: {date.message}",
        "  next: inv tag.show v1.0.0",
        "Foreign tags, left alone: \u202eodd",
        "Looked at 2 versions, 0 states, 1 environment: 1 error, 1 warning.",
        "Compared with tags.json.",
    ]
    many = msgspec.structs.replace(audit, findings=audit.findings[:1] * 150)
    assert "... and 50 more: --json has all of them." in audit_text(many)
    clean = msgspec.structs.replace(audit, findings=[], foreign=[], against=None, exported="x.json")
    assert not clean.has_errors
    assert audit_text(clean).splitlines()[0].endswith("nothing is wrong.")
