"""What programs read: `--json` of every command, and the report that a deployment leaves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from ci_tasks.core.entity import json_schema
from ci_tasks.core.errors import ExitCode
from ci_tasks.deploy.assign import AssignmentAnswer
from ci_tasks.deploy.deployment import DeploymentAnswer
from ci_tasks.deploy.review import ReviewAnswer
from ci_tasks.deploy.status import StatusAnswer
from ci_tasks.deploy.unlock import RecordsAnswer, Settlement
from ci_tasks.report.model import PipelineReport

if TYPE_CHECKING:
    from pathlib import Path

    from tests.deploy.conftest import Ledger, Site

STAGING = ("--env", "staging", "--subproject", "api")


def valid(document: Any, kind: type) -> Any:
    """The document, after its schema has accepted it with all fields and no others."""
    schema = json_schema(kind)
    jsonschema.validators.validator_for(schema).check_schema(schema)
    jsonschema.validate(document, schema, format_checker=jsonschema.FormatChecker())
    return document


def report_of(site: Site, document: Any) -> Any:
    """The report that a deployment's document names, which is also the last one, and what is shown."""
    path = site.clone / document["reportPath"]
    report = valid(json.loads(path.read_text(encoding="utf-8")), PipelineReport)
    assert path.parent == site.clone / "build/reports"
    assert json.loads((path.parent / "last.json").read_text(encoding="utf-8")) == report
    assert site.answer("report.show") == report
    assert report["summary"] in " ".join(site.ok("report.show", "--format", "markdown").split())
    return report


def test_assignments_overrides_and_reviews_have_schemas(site: Site) -> None:
    assign = ("tag.assign", *STAGING, "--version", "v1.0.0")
    valid(site.answer(*assign, "--dry-run"), AssignmentAnswer)
    valid(site.answer(*assign), AssignmentAnswer)
    assert valid(site.answer(*assign), AssignmentAnswer)["deployments"] == []
    site.version("api/v1.0.0-unstable")
    plan = valid(site.answer("deploy", *STAGING, "--version", "v1.0.0", "--override", "x"), DeploymentAnswer)
    assert [one["rule"] for one in plan["plan"]["overridden"]] == ["state"]
    (status,) = valid(site.answer("deploy.status"), StatusAnswer)["environments"]
    claim = status["reviewDebts"][0]["deploymentId"].partition(".")[0]
    valid(
        site.answer("deploy.review", *STAGING, "--deployment", claim, "--note", "seen"),
        ReviewAnswer,
    )
    history = valid(site.answer("deploy.history", *STAGING), RecordsAnswer)["deployments"]
    assert [one["kind"] for one in history] == ["review", "deploy", "deploy", "assign", "assign"]


def test_every_answer_is_one_document_of_its_schema(site: Site) -> None:
    site.script('echo "::warning::to stdout"; echo "to stderr" >&2')
    dry = valid(site.answer("deploy", *STAGING, "--dry-run"), DeploymentAnswer)
    assert dry["reportPath"] is None

    good = valid(site.answer("deploy", *STAGING), DeploymentAnswer)
    assert [one["status"] for one in good["deployments"]] == ["SUCCESS", "SUCCESS"]
    assert {one["deploymentId"]: one for one in good["deployments"]} == {
        one["deploymentId"]: one for one in site.ledger().records
    }
    report = report_of(site, good)
    assert (report["status"], report["outcome"], report["pipelineType"]) == ("SUCCESS", "OK", "RELEASE")
    assert report["claimId"] == good["deployments"][0]["claimId"]
    assert report["recordedIn"] == "api/staging"
    assert [(one["region"], one["status"], one["deploymentId"]) for one in report["regions"]] == [
        (one["region"], one["status"], one["deploymentId"]) for one in good["deployments"]
    ]

    valid(site.answer("deploy.status"), StatusAnswer)
    history = valid(site.answer("deploy.history", *STAGING), RecordsAnswer)
    assert history["deployments"] == site.ledger().records
    claim = ("--deployment", report["claimId"])
    valid(site.answer("deploy.settle", *STAGING, *claim), Settlement)
    same = valid(site.answer("deploy", *STAGING), DeploymentAnswer)
    assert (same["deployments"], [one["action"] for one in same["plan"]["regions"]]) == ([], ["skip"] * 2)

    def held(ledger: Ledger) -> None:
        ledger.records[0] |= {"status": "RUNNING", "seq": None, "prev": None, "completedAt": None}
        ledger.records[0]["leaseEnd"] = "2100-01-01T00:00:00Z"

    site.rewrite(held)
    valid(site.answer("deploy.status"), StatusAnswer)
    asked = valid(site.answer("deploy.unlock", *STAGING, *claim, "--reason", "why"), RecordsAnswer)
    assert [record["status"] for record in asked["deployments"]] == ["RUNNING", "SUCCESS"]
    broken = valid(site.answer("deploy.unlock", *STAGING, *claim, "--reason", "y", "--now"), RecordsAnswer)
    assert [record["status"] for record in broken["deployments"]] == ["CANCELLED", "SUCCESS"]


def test_a_failure_and_a_refusal_leave_a_report(site: Site) -> None:
    site.script("echo out; exit 3")
    failed = valid(site.answer("deploy", *STAGING, code=1), DeploymentAnswer)
    assert [one["status"] for one in failed["deployments"]] == ["FAILED", "CANCELLED"]
    report = report_of(site, failed)
    assert (report["status"], report["outcome"]) == ("FAILURE", "FAILED")
    assert [one["status"] for one in report["regions"]] == ["FAILED", "SKIPPED"]
    assert report["logs"] == ["eu-west | record | out"]

    site.version("api/v1.0.0-deprecated")
    refused = site.answer("deploy", *STAGING, "--version", "v1.0.0", code=3)["error"]
    assert refused == {
        "code": 3,
        "name": "REFUSED",
        "message": "api/v1.0.0 is marked deprecated: A version.",
        "details": ["Rule: state."],
        "unchanged": "Nothing was changed and no script was run.",
        "next": "inv deploy --env staging --subproject api",
    }
    report = valid(site.answer("report.show"), PipelineReport)
    assert (report["outcome"], report["recordedIn"], report["claimId"]) == ("REFUSED", None, None)
    assert [one["status"] for one in report["regions"]] == ["SKIPPED"] * 2
    assert "api/v1.0.0 is marked deprecated: A version." in report["notices"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (("deploy", "--env", "stagng"), 2),
        (("deploy", *STAGING, "--version", "v9.0.0"), 3),
        (("deploy", *STAGING, "-r", "us-east"), 2),
        (("deploy.unlock", *STAGING, "--deployment", "x", "--reason", "y"), 2),
        (("deploy.settle", *STAGING, "--deployment", "x"), 2),
        (("deploy.history", "--env", "x"), 2),
        (("deploy.status", "--env", "x"), 2),
    ],
)
def test_an_error_is_one_document_too(shared_site: Site, line: tuple[str, ...], code: int) -> None:
    done = shared_site.run(*line, "--json")
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["code"], error["name"]) == (code, code, ExitCode(code).outcome)
    assert set(error) == {"code", "name", "message", "details", "unchanged", "next"}
    assert f"error: {error['message']}" in done.stderr


def test_the_workflow_is_told(site: Site, tmp_path: Path) -> None:
    summary, output = tmp_path / "summary.md", tmp_path / "output.txt"
    variables = {
        "CI": "true",
        "GITHUB_ACTIONS": "true",
        "GITHUB_STEP_SUMMARY": str(summary),
        "GITHUB_OUTPUT": str(output),
        "GITHUB_RUN_ID": "4711",
        "GITHUB_RUN_ATTEMPT": "2",
        "GITHUB_JOB": "deploy",
        "GITHUB_ACTOR": "octocat",
        "GITHUB_SERVER_URL": "https://git.example.invalid",
        "GITHUB_REPOSITORY": "o/r",
    }
    answer = site.answer("deploy", *STAGING, env=variables)
    run = answer["deployments"][0]["run"]
    assert run == {
        "id": "4711",
        "job": "deploy",
        "attempt": 2,
        "repository": "o/r",
        "url": "https://git.example.invalid/o/r/actions/runs/4711",
    }
    assert {one["triggeredBy"] for one in answer["deployments"]} == {"octocat"}
    assert json.loads((site.clone / answer["reportPath"]).read_text())["pipelineRunId"] == "4711"
    assert "api v1.0.0 is live in staging" in summary.read_text(encoding="utf-8")


def test_a_report_that_can_not_be_written_is_a_warning(site: Site) -> None:
    (site.clone / "build").write_text("in the way")
    done = site.run("deploy", *STAGING, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["reportPath"] is None
    assert "warning: The report was not saved" in done.stderr
    assert site.ledger().live() == {"eu-west": "v1.0.0", "us-east": "v1.0.0"}
