"""Ledgers and remotes that mean harm, or are merely unlucky."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest

from ci_tasks.core.errors import ConflictError, RefusedError, UnavailableError
from ci_tasks.tag import annotation, retention
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag import writer as writing
from ci_tasks.tag.annotation import UnreadableLedgerError
from ci_tasks.tag.model import Override
from ci_tasks.tag.names import DeploymentStatus
from ci_tasks.tag.writer import LedgerWriter
from tests.repositories import git, write
from tests.tag.records import NOON, deployed, empty, filled, record
from tests.tag.remotes import put_object, put_ref, put_tag, tag_content
from tests.tag.test_tag_store import ME, REF, TAG, head, store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from ci_tasks.core.git.push import PushOutcome
    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.store import TagStore
    from tests.repositories import Monorepo
    from tests.tag.conftest import Run

__all__ = ["head", "store"]
NAME = "api/staging"
SECOND = timedelta(seconds=1)


def _written() -> tuple[str, list[dict[str, Any]]]:
    """What stands before the ledger; the header, a running record in us-east, a closed one in eu-west."""
    regions = ("us-east", "eu-west")
    ledger = deployed(empty(), record(1, "eu-west"), regions=regions)
    ledger = ledgers.claim(ledger, (record(2, "us-east"),), regions=regions)
    prose, _, body = annotation.write(ledgers.settle_target(ledger))[0].partition("\n---\n")
    return prose, [json.loads(line) for line in body.splitlines()]


def _text(prose: str, documents: list[dict[str, Any]]) -> str:
    lines = [json.dumps(each, sort_keys=True, separators=(",", ":")) for each in documents]
    return "\n".join([prose, "---", *lines, ""])


@pytest.mark.parametrize("is_summary", [False, True])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("leaseEnd", "9999-12-31T23:59:59Z"),
        ("leaseEnd", "0001-01-01T00:00:00+14:00"),
        ("leaseEnd", "2020-01-01T00:00:00"),
        ("startedAt", "2020-01-01T00:00:00"),
        ("deploymentId", "x$(touch${IFS}/tmp/pasted);x"),
        ("deploymentId", "20260105T120000Z-000002.us-east\n"),
        ("claimId", "20260105T120000Z-00000g"),
        ("version", "vX"),
        ("version", "v1.0.0-stable"),
        ("region", "Us East"),
        ("region", "a" * 41),
        ("commitSha", "0" * 39),
        ("commitSha", "--upload-pack=x"),
    ],
)
def test_a_record_that_nobody_wrote_is_unreadable(name: str, value: str, *, is_summary: bool) -> None:
    prose, documents = _written()
    annotation.read(_text(prose, documents), name=NAME, is_summary=is_summary)
    documents[1][name] = value
    with pytest.raises(UnreadableLedgerError) as caught:
        annotation.read(_text(prose, documents), name=NAME, is_summary=is_summary)
    assert "touch" not in caught.value.what


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("since", "9999-12-31T23:59:59Z"),
        ("since", "2020-01-01T00:00:00"),
        ("version", "vX"),
        ("attempted", "1"),
        ("commitSha", "x"),
        ("deploymentId", "x"),
    ],
)
def test_a_live_map_that_nobody_wrote_is_unreadable_even_in_a_summary(name: str, value: str) -> None:
    prose, documents = _written()
    documents[0]["live"]["eu-west"][name] = value
    with pytest.raises(UnreadableLedgerError):
        annotation.read(_text(prose, documents), name=NAME, is_summary=True)


@pytest.mark.parametrize("name", ["target", "replaces", "regions", "key"])
def test_a_header_that_nobody_wrote_is_unreadable(name: str) -> None:
    prose, documents = _written()
    header = documents[0]
    if name == "key":
        header["live"]["U S"] = header["live"]["eu-west"]
    else:
        header[name] = ["U S"] if name == "regions" else "x"
    with pytest.raises(UnreadableLedgerError):
        annotation.read(_text(prose, documents), name=NAME, is_summary=True)


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({}, "twice"),
        ({"deploymentId": "20260105T120000Z-aaaaaa.us-east"}, "same place"),
        ({"deploymentId": "20260105T120000Z-aaaaaa", "region": None}, "same place"),
    ],
)
def test_records_that_can_not_stand_side_by_side_are_unreadable(changes: dict[str, Any], cause: str) -> None:
    prose, documents = _written()
    documents.insert(2, {**documents[1], **changes})
    with pytest.raises(UnreadableLedgerError, match=cause):
        annotation.read(_text(prose, documents), name=NAME)


def test_an_id_that_an_open_and_a_closed_record_share_is_unreadable() -> None:
    prose, documents = _written()
    documents[1]["deploymentId"] = documents[2]["deploymentId"]
    with pytest.raises(UnreadableLedgerError, match="twice"):
        annotation.read(_text(prose, documents), name=NAME)


def _earlier() -> str:
    """A ledger of a program whose records had no list of uncommitted files yet."""
    ledger = empty()
    for number in range(3):
        ledger = deployed(ledger, record(number, reason="r" * 50))
    prose, _, body = annotation.write(ledgers.settle_target(ledger))[0].partition("\n---\n")
    header, *records = [json.loads(line) for line in body.splitlines()]
    prev = None
    for each in reversed(records):
        del each["uncommitted"]
        each["prev"] = prev
        line = json.dumps(each, sort_keys=True, separators=(",", ":")).encode()
        prev = hashlib.sha256(line).hexdigest()
    return _text(prose, [header, *records])


def test_the_chain_is_over_the_lines_as_they_were_written() -> None:
    ledger = annotation.read(_earlier(), name=NAME)
    assert ledgers.chain_faults(ledger) == []
    grown = deployed(ledger, record(9))
    text, _ = annotation.write(grown)
    assert set(_earlier().splitlines()[-3:]) <= set(text.splitlines()), (
        "old lines are written back as they were"
    )
    assert ledgers.chain_faults(annotation.read(text, name=NAME)) == []
    short = msgspec.structs.replace(grown, closed=tuple(retention.shrink(one) for one in grown.closed))
    again = annotation.read(annotation.write(short)[0], name=NAME)
    assert ledgers.chain_faults(again) == []
    assert [one.digest for one in again.closed] == [ledgers.digest(one) for one in grown.closed]


def test_a_line_that_was_changed_is_found() -> None:
    changed = _earlier().replace('"host":"runner"', '"host":"another"')
    assert ledgers.chain_faults(annotation.read(changed, name=NAME)) != []


def test_above_1_mib_the_oldest_shrunk_records_are_dropped() -> None:
    ledger = deployed(empty(), record(0, version="v1.0.0"))
    ledger = deployed(ledger, record(1, version="v2.0.0"))
    signed = Override(reason="it had to be", signer=None)
    for number in range(2, 1800):
        override = signed if number == 10 else None
        made = record(number, version="v3.0.0", at=NOON + number * SECOND, override=override)
        ledger = deployed(ledger, made, DeploymentStatus.FAILED)
    ledger = ledgers.claim(ledger, (record(5000, version="v4.0.0"),), regions=())
    text, is_shorter = annotation.write(ledger)
    assert is_shorter
    assert len(text.encode()) <= annotation.REFUSE_ABOVE
    found = annotation.read(text, name=NAME)
    assert found.open == ledger.open
    assert found.header.live == ledger.header.live
    assert [one.version for one in found.closed[-2:]] == ["v2.0.0", "v1.0.0"], "what a rollback needs stays"
    assert found.closed[-3].override == signed
    assert found.closed[0].deployment_id == ledger.closed[0].deployment_id
    assert found.header.cut is not None
    assert ledgers.chain_faults(found) == []
    assert annotation.write(found)[0] == text
    grown = ledgers.close(found, record(5000).deployment_id, DeploymentStatus.SUCCESS, at=NOON)
    assert ledgers.chain_faults(annotation.read(annotation.write(grown)[0], name=NAME)) == []


def _ledger_on(commit: str, name: str = "api") -> str:
    state = empty(subproject=name)
    return annotation.write(
        msgspec.structs.replace(state, header=msgspec.structs.replace(state.header, target=commit))
    )[0]


def test_one_tag_that_is_too_large_hides_no_other(run: Run, monorepo: Monorepo, head: str) -> None:
    put_tag(monorepo.remote, "api/staging", head, _ledger_on(head))
    huge = tag_content(head, "web/staging", _ledger_on(head, "web") + "x" * (17 << 20))
    put_ref(monorepo.remote, "web/staging", put_object(monorepo.remote, huge))
    status = run("deploy.status", "--json")
    assert status.returncode == 0, status.stderr
    api, web = json.loads(status.stdout)["environments"]
    assert (api["environmentTag"], api["problem"]) == ("api/staging", None)
    assert "web/staging has no ledger: its object is too large" in web["problem"]
    listed = run("tag.list", "--json")
    assert listed.returncode == 0, listed.stderr
    found = {tag["tagName"]: tag["createdBy"] for tag in json.loads(listed.stdout)["tags"]}
    assert found == {"api/staging": "Somebody", "web/staging": None}
    assert run("deploy.history", "--env", "staging", "--subproject", "web").returncode == 4


def _step(number: int, commit: str, *, closes: bool = False) -> Callable[[Ledger | None], Ledger]:
    made = msgspec.structs.replace(record(number), commit_sha=commit)

    def step(state: Ledger | None) -> Ledger:
        base = state or empty()
        if closes:
            return ledgers.close(base, made.deployment_id, DeploymentStatus.SUCCESS, at=NOON)
        header = msgspec.structs.replace(base.header, target=commit) if state is None else base.header
        return ledgers.claim(msgspec.structs.replace(base, header=header), (made,), regions=())

    return step


def _update(writer: LedgerWriter, step: Callable[[Ledger | None], Ledger], **options: Any) -> None:
    writer.update(step, what="write", later="inv later", retry="inv retry", **options)


def _touch(state: Ledger | None) -> Ledger:
    assert state is not None
    return ledgers.touched(state)


def test_a_tag_moved_by_hand_stays_visible_until_something_new_is_settled(
    store: TagStore,
    monorepo: Monorepo,
    head: str,
) -> None:
    writer = LedgerWriter(store, TAG, identity=ME)
    _update(writer, _step(1, head))
    _update(writer, _step(1, head, closes=True))
    other = monorepo.commit()
    text = git("cat-file", "tag", REF, cwd=monorepo.remote) + "\n"
    put_ref(monorepo.remote, NAME, put_object(monorepo.remote, text.replace(head, other, 1).encode()))
    writer = LedgerWriter(store, TAG, identity=ME)
    for step in (_touch, _step(2, head), _touch):
        _update(writer, step)
        assert writer.fact == store.environment(TAG)
        assert (writer.fact.target, writer.fact.drift is None) == (other, False)
        assert writer.fact.ledger is not None
        assert writer.fact.ledger.header.target == head
    _update(writer, _step(2, head, closes=True))
    assert writer.fact == store.environment(TAG)
    assert (writer.fact.target, writer.fact.drift) == (head, None)


class _Slow(LedgerWriter):
    """A writer before whose first pushes somebody else really moves the tag."""

    def __init__(self, store: TagStore, remote: Path, times: int) -> None:
        super().__init__(store, TAG, identity=ME)
        self._remote = remote
        self._left = times

    def _swap(self, new: str, **options: Any) -> PushOutcome:
        if self._left:
            self._left -= 1
            text = git("cat-file", "tag", REF, cwd=self._remote) + "\n"
            tagger = f"\ntagger Another <x@example.invalid> {1_700_000_000 + self._left} +0000\n"
            moved = re.sub(r"\ntagger .*\n", tagger, text, count=1)
            put_ref(self._remote, NAME, put_object(self._remote, moved.encode()))
        return super()._swap(new, **options)


@pytest.fixture
def claimed(store: TagStore, monorepo: Monorepo, head: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The remote with a claim in its tag; the pauses between races are short."""
    monkeypatch.setattr(writing, "LONGEST_PAUSE", 0.03)
    _update(LedgerWriter(store, TAG, identity=ME), _step(1, head))
    return monorepo.remote


def test_more_than_12_lost_races_are_not_the_end(store: TagStore, claimed: Path) -> None:
    writer = _Slow(store, claimed, 14)
    _update(writer, _touch)
    assert writer.fact == store.environment(TAG)


def test_races_end_in_time_or_when_asked_to_but_not_for_the_patient(
    store: TagStore, claimed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConflictError, match="somebody else was faster"):
        _update(_Slow(store, claimed, 13), _touch, stop=lambda: True)
    monkeypatch.setattr(writing, "RACING", 0.0)
    with pytest.raises(ConflictError, match="somebody else was faster"):
        _update(_Slow(store, claimed, 13), _touch)
    patient = _Slow(store, claimed, 13)
    _update(patient, _touch, patience=lambda: True)
    assert patient.fact == store.environment(TAG)


@pytest.mark.parametrize("fault", ["lock", "full"])
def test_only_the_patient_wait_for_a_remote_that_is_locked_or_full(
    store: TagStore, claimed: Path, fault: str
) -> None:
    lock = claimed / f"{REF}.lock"

    def mend() -> None:
        if fault == "lock":
            lock.unlink()
        else:
            git("config", "--unset", "receive.maxInputSize", cwd=claimed)

    if fault == "lock":
        lock.touch()
    else:
        git("config", "receive.maxInputSize", "1", cwd=claimed)
    with pytest.raises(UnavailableError):
        _update(LedgerWriter(store, TAG, identity=ME), _touch)
    patient = LedgerWriter(store, TAG, identity=ME)
    mending = threading.Timer(5, mend)
    mending.start()
    end = time.monotonic() + 50
    try:
        _update(patient, _touch, patience=lambda: time.monotonic() < end)
    finally:
        mending.join()
    assert patient.fact == store.environment(TAG)


def test_a_hook_that_declines_is_final_for_the_patient_too(store: TagStore, claimed: Path) -> None:
    write(claimed / "hooks/pre-receive", "#!/bin/sh\nexit 1\n", executable=True)
    with pytest.raises(RefusedError, match="rules decline"):
        _update(LedgerWriter(store, TAG, identity=ME), _touch, patience=lambda: True)


def test_the_times_of_a_ledger_are_utc_whatever_its_zone() -> None:
    prose, documents = _written()
    documents[1]["leaseEnd"] = "2026-01-05T14:10:00+02:00"
    (found,) = annotation.read(_text(prose, documents), name=NAME).open
    assert found.lease_end == record(2).lease_end
    assert found.lease_end is not None
    assert datetime.utcoffset(found.lease_end) is not None


def test_a_ledger_of_whole_records_is_left_alone() -> None:
    ledger = filled(3)
    assert annotation.fit(ledger) is ledger
