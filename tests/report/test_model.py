"""The entities: what they hold, what they refuse, what their JSON looks like."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import jsonschema
import pytest

from ci_tasks.core.entity import from_json, json_schema
from ci_tasks.core.errors import ExitCode, UsageError
from ci_tasks.report.model import OUTCOMES, PipelineReport, redacted
from ci_tasks.report.names import ReportStatus
from ci_tasks.report.render import as_json
from tests.report.samples import SAMPLES, report

DATA_MODEL = [
    "reportId", "pipelineRunId", "pipelineType", "status", "completedAt", "duration", "version", "subproject",
    "environment", "actionLinks", "summary", "logs",
]  # fmt: skip
LINK_MODEL = ["linkId", "linkType", "title", "url", "parameters", "description"]


@pytest.mark.parametrize("name", SAMPLES)
def test_json_matches_its_schema_and_reads_back(name: str) -> None:
    data = as_json(SAMPLES[name])
    jsonschema.validate(json.loads(data), json_schema(PipelineReport))
    assert from_json(data, PipelineReport, what="it") == SAMPLES[name]


def test_json_has_the_data_models_fields_first() -> None:
    document = json.loads(as_json(SAMPLES["success"]))
    assert list(document)[: len(DATA_MODEL)] == DATA_MODEL
    assert list(document["actionLinks"][0])[: len(LINK_MODEL)] == LINK_MODEL
    assert document["completedAt"] == "2026-03-01T12:01:30Z"
    assert document["isRehearsal"] is False


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (ExitCode.OK, "SUCCESS"),
        (ExitCode.PARTIAL, "FAILURE"),
        (ExitCode.REFUSED, "FAILURE"),
        (ExitCode.UNKNOWN, "FAILURE"),
        (ExitCode.TIMEOUT, "TIMEOUT"),
        (ExitCode.CANCELLED, "CANCELLED"),
        (ExitCode.TERMINATED, "CANCELLED"),
    ],
)
def test_status_of_an_exit_code(code: ExitCode, status: str) -> None:
    assert ReportStatus.of(code).value == status


def test_outcomes_are_the_names_of_the_exit_codes() -> None:
    assert set(OUTCOMES) == {code.name for code in ExitCode} - {"TERMINATED"}


def test_times_become_utc_and_need_a_zone() -> None:
    there = datetime(2026, 3, 1, 2, tzinfo=timezone(timedelta(hours=5)))
    assert report(completed_at=there).completed_at.isoformat() == "2026-02-28T21:00:00+00:00"
    with pytest.raises(ValueError, match="zone"):
        report(completed_at=datetime(2026, 3, 1))  # noqa: DTZ001 - that is what is refused


@pytest.mark.parametrize("name", ["", "../evil", "a/b", ".hidden", "last", "LAST", "a\n", "x" * 121, "ü"])
def test_an_id_that_could_not_be_a_files_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="id"):
        report(report_id=name)
    data = json.loads(as_json(report()))
    with pytest.raises(UsageError):
        from_json(json.dumps({**data, "reportId": name}), PipelineReport, what="it")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"extra": 1}, id="unknown-field"),
        pytest.param({"outcome": "OK\n"}, id="outcome"),
        pytest.param({"status": "GREEN"}, id="status"),
        pytest.param({"duration": -1}, id="duration"),
        pytest.param({"completedAt": "2026-03-01T00:00:00"}, id="no-zone"),
        pytest.param({"completedAt": "0001-01-01T00:00:00+14:00"}, id="no-such-time"),
        pytest.param({"logs": [1]}, id="logs"),
    ],
)
def test_decoding_is_strict(change: dict[str, object]) -> None:
    data = json.loads(as_json(report()))
    with pytest.raises(UsageError, match="it is not what it should be"):
        from_json(json.dumps({**data, **change}), PipelineReport, what="it")


def test_bytes_that_were_no_text_are_spelt_out() -> None:
    output = b"caf\xe9".decode(errors="surrogateescape")
    odd = report(logs=(output,), summary=output, notices=(output,))
    assert odd.logs == odd.notices == (r"caf\udce9",)
    assert from_json(as_json(odd), PipelineReport, what="it") == odd


def test_f106_every_text_goes_through_the_redactor() -> None:
    partial = SAMPLES["partial"]
    hidden = redacted(partial, lambda text: "***" if text else text)
    texts = as_json(hidden).decode()
    assert (hidden.report_id, hidden.outcome, hidden.status) == (
        partial.report_id, partial.outcome, partial.status,
    )  # fmt: skip
    for word in ("v1.2.", "us-east", "rollout", "inv ", "staging", "deployment_id", "c0ffee."):
        assert word not in texts


def test_f110_json_holds_no_workflow_command() -> None:
    odd = report(logs=("##[set-output name=version]v6.6.6", "::set-output name=version::v6.6.6"))
    data = as_json(odd)
    assert b"##[" not in data
    assert not [line for line in data.splitlines() if line.lstrip().startswith(b"::")]
    assert from_json(data, PipelineReport, what="it") == odd
