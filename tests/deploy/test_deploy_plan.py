"""The plan: what it says before anything is done, and rehearsals, in which nothing is done."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import pytest

from ci_tasks.core.checkout import Checkout
from ci_tasks.core.errors import ExitCode, UsageError
from ci_tasks.deploy import facts as reading
from ci_tasks.deploy.model import Facts, Request
from ci_tasks.deploy.plan import plan
from ci_tasks.script.mode import Decision
from ci_tasks.script.names import Mode
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag.model import Live
from ci_tasks.tag.names import VersionState
from ci_tasks.tag.store import EnvironmentFact

if TYPE_CHECKING:
    from tests.deploy.conftest import Site

STAGING = ("--env", "staging", "--subproject", "api")


def test_a_dry_run_changes_nothing_and_is_the_plan_of_the_real_run(site: Site) -> None:
    def both(*options: str, code: int = 0) -> None:
        before = site.remote_state(), site.repository.recorded()
        dry = site.answer("deploy", *STAGING, *options, "--dry-run", code=code)
        assert (site.remote_state(), site.repository.recorded()) == before
        assert (dry["deployments"], dry["reportPath"]) == ([], None)
        assert not list(site.temporary.rglob("run-*"))
        if code:
            assert dry["plan"]["refusals"][0]["exitCode"] == code
            assert site.run("deploy", *STAGING, *options).returncode == code
            assert (site.remote_state(), site.repository.recorded()) == before
        else:
            assert site.answer("deploy", *STAGING, *options)["plan"] == dry["plan"]

    both("--region", "us-east")
    site.version("api/v1.1.0")
    both()
    both("--version", "v1.0.0", code=3)
    both("--version", "v1.0.0", "--yes", "--region", "us-east", "--parallel")
    assert site.ledger().live() == {"eu-west": "v1.1.0", "us-east": "v1.0.0"}


def test_f120_the_plan_for_people(site: Site) -> None:
    site.ok("deploy", *STAGING, "--region", "us-east")
    site.version("api/v1.1.0", "api/v1.2.0", "api/v1.2.0-unstable")
    before = site.remote_state()
    shown = site.ok("deploy", *STAGING, "--dry")
    commit = site.repository.git("rev-parse", "HEAD")[:12]
    newest = "the newest release that may be deployed; v1.2.0 is unstable"
    assert shown.splitlines() == [
        "Plan of a deployment; nothing is done yet.",
        f"api/v1.1.0 (commit {commit}, {newest}) to api/staging",
        "",
        "Region   Live now  Then    What happens",
        "eu-west  nothing   v1.1.0  deploy",
        "us-east  v1.0.0    v1.1.0  deploy",
        "",
        "Script                              Mode     Decided by",
        "scripts/deployment/10-ci-record.sh  EXECUTE  default",
        "scripts/deployment/20-ci-smoke.sh   EXECUTE  default",
        "",
        "Configuration: env.GREETING, env.RECORD_TO",
    ]
    refused = site.run("--dry", "deploy", *STAGING, "--version", "v1.2.0")
    assert refused.returncode == 3
    assert "REFUSED by the rule state: api/v1.2.0 is marked unstable: A version." in refused.stdout
    assert site.remote_state() == before


MODES = {
    "PASS": (0, "SUCCESS", []),
    "FAIL": (1, "FAILED", []),
    "SKIP": (0, "SKIPPED", []),
    "TIMEOUT": (124, "TIMED_OUT", []),
    "DRY_RUN": (0, "SUCCESS", ["record hello eu-west dry=1"]),
}


@pytest.mark.parametrize("mode", [pytest.param(mode, id=f"F117-{mode}") for mode in MODES])
def test_f117_one_mode_makes_it_a_rehearsal(shared_site: Site, mode: str) -> None:
    code, status, written = MODES[mode]
    site = shared_site
    site.repository.record.unlink(missing_ok=True)
    site.script(
        '# Dry-run: supported\necho "record $GREETING dry=$CI_DRY_RUN" >> "$RECORD_TO"', name="10-ci-record"
    )
    site.script('echo "unsupported" >> "$RECORD_TO"', name="20-ci-smoke")
    site.repository.write("environments/staging/config.yml", "regions: [eu-west]\n")
    before = site.remote_state()
    variables = {"CI_TEST_MODE": "EXECUTE", "CI_RECORD_BEHAVIOR": mode}

    answer = site.answer("deploy", *STAGING, env=variables, code=code)

    assert site.remote_state() == before
    assert site.repository.recorded() == written
    assert answer["deployments"] == []
    report = json.loads((site.clone / answer["reportPath"]).read_text(encoding="utf-8"))
    assert (report["isRehearsal"], report["recordedIn"], report["claimId"]) == (True, None, None)
    (region,) = report["regions"]
    first = region["scripts"][0]
    assert (first["mode"], first["status"], first["decidedBy"]) == (mode, status, "CI_RECORD_BEHAVIOR")
    if code == 0:
        # The script that was to be executed is not: its dry run is not supported, so nothing of it runs.
        assert region["scripts"][1]["mode"] == "DRY_RUN"
    assert [script["mode"] for script in answer["plan"]["scripts"]] == [mode, "DRY_RUN"]


def test_f117_a_rehearsal_says_so_and_every_variable_counts(site: Site) -> None:
    before = site.remote_state()
    for name, value in (
        ("CI_TEST_MODE", "SKIP"),
        ("CI_TEST_DEPLOYMENT_BEHAVIOR", "PASS"),
        ("CI_SMOKE_BEHAVIOR", "SKIP"),
    ):
        done = site.run("deploy", *STAGING, "--again", env={name: value})
        assert done.returncode == 0, done.stderr
        assert "Rehearsing api v1.0.0 (the newest release) for staging" in done.stderr
        assert f"mode {value}, decided by {name}" in done.stderr
        assert "nothing was deployed, nothing was recorded" in done.stdout
        assert site.remote_state() == before
    assert site.repository.recorded() == ["record hello eu-west", "record hello us-east"]
    executed = site.answer("deploy", *STAGING, env={"CI_TEST_MODE": "EXECUTE", "CI_SMOKE_BEHAVIOR": ""})
    assert [script["decidedBy"] for script in executed["plan"]["scripts"]] == ["CI_TEST_MODE"] * 2
    assert site.ledger().live() == {"eu-west": "v1.0.0", "us-east": "v1.0.0"}


@pytest.fixture(scope="module")
def known(shared_site: Site) -> Facts:
    """Facts of api v1.0.0 for staging, read from a real remote that has no environment tag yet."""
    shared_site.repository.git("checkout", "--quiet", "--", ".")
    request = Request(environment="staging", subproject="api")
    return reading.gather(Checkout.open(shared_site.clone, {}), request, environ={}).facts


def test_a_plan_is_a_pure_function(known: Facts) -> None:
    assert plan(known) == plan(known)
    made = plan(known)
    assert [(region.region, region.action) for region in made.regions] == [
        ("eu-west", "deploy"),
        ("us-east", "deploy"),
    ]
    assert made.regions[0].variables == ["GREETING", "RECORD_TO"]
    assert "hello" not in repr(made)
    assert (made.refusals, made.concurrency_group) == ([], "deploy-api-staging")


def test_regions_keep_the_environments_order(known: Facts) -> None:
    def order(*asked: str) -> list[str | None]:
        made = plan(replace(known, request=replace(known.request, regions=asked)))
        return [region.region for region in made.regions]

    assert order("us-east", "eu-west") == order() == ["eu-west", "us-east"]
    assert order("us-east", "us-east") == ["us-east"]
    with pytest.raises(UsageError, match="Did you mean us-east"):
        order("us-eats")
    without = replace(known, regions=(), request=replace(known.request, regions=("us-east",)))
    with pytest.raises(UsageError, match="has no regions"):
        plan(without)


def test_every_rule_that_is_broken_is_named(known: Facts) -> None:
    broken = replace(
        known,
        states=(VersionState.DEPRECATED, VersionState.STABLE),
        on_branch=False,
        changed_paths=tuple(f"scripts/{name}" for name in "abcdefg"),
        rules=msgspec.structs.replace(known.rules, protected=True, branches=("release/*",)),
        environment=replace(_live(known, "v1.0.1"), target="f" * 40),
    )
    refusals = plan(broken).refusals
    assert [refusal.rule for refusal in refusals] == [
        *("state", "drift", "branches", "protected", "protected", "downgrade"),
    ]
    assert {refusal.exit_code for refusal in refusals} == {ExitCode.REFUSED}
    assert "api/v1.0.0 is marked deprecated" in refusals[0].message
    assert "scripts/a, scripts/b, scripts/c, scripts/d, scripts/e and 2 more" in refusals[3].message
    in_ci = plan(replace(broken, in_ci=True, request=replace(known.request, yes=True)))
    assert [refusal.rule for refusal in in_ci.refusals] == ["state", "drift", "branches", "protected"]


def _live(known: Facts, live_version: str, **fields: object) -> EnvironmentFact:
    """An environment tag that stands where it should, with this version live in us-east."""
    live = msgspec.structs.replace(
        Live(
            version=live_version,
            commit_sha=known.version.commit,
            since=None,
            triggered_by=None,
            deployment_id=None,
            inputs=known.inputs,
            uncertain=False,
            attempted=None,
        ),
        **fields,
    )
    empty = ledgers.empty(
        repository="r", subproject="api", environment="staging", target=known.version.commit
    )
    header = msgspec.structs.replace(empty.header, live={"us-east": live})
    return EnvironmentFact(
        tag=known.tag,
        object_id="a" * 40,
        target=known.version.commit,
        ledger=msgspec.structs.replace(empty, header=header),
    )


@pytest.mark.parametrize(
    ("fields", "action"),
    [
        pytest.param({}, "skip", id="same"),
        pytest.param({"version": "v1.0.0-rc.1"}, "deploy", id="other-version-of-the-commit"),
        pytest.param({"commit_sha": "f" * 40}, "deploy", id="other-commit"),
        pytest.param({"inputs": "other"}, "deploy", id="other-scripts"),
        pytest.param({"uncertain": True, "attempted": "v1.1.0"}, "deploy", id="uncertain"),
    ],
)
def test_only_what_is_live_and_certain_is_left_out(
    known: Facts, fields: dict[str, object], action: str
) -> None:
    facts = replace(known, environment=_live(known, "v1.0.0", **fields))
    eu, us = plan(facts).regions
    assert (eu.action, us.action) == ("deploy", action)
    assert plan(replace(facts, request=replace(known.request, again=True))).regions[1].action == "deploy"
    dry = tuple(replace(fact, decision=Decision(mode=Mode.SKIP, variable="X")) for fact in known.scripts)
    assert plan(replace(facts, scripts=dry)).regions[1].action == "deploy"


@pytest.mark.parametrize(
    ("live", "is_downgrade"),
    [("v0.9.0", False), ("v1.0.0-rc.2", False), ("v1.0.0", False), ("v1.0.1-rc.1", True), ("v1.10.0", True)],
)
def test_a_downgrade_goes_by_semver(known: Facts, live: str, *, is_downgrade: bool) -> None:
    made = plan(replace(known, environment=_live(known, live)))
    assert [region.is_downgrade for region in made.regions] == [False, is_downgrade]
    assert [refusal.rule for refusal in made.refusals] == ["downgrade"] * is_downgrade


def test_notes(known: Facts) -> None:
    assert plan(known).notices == ["First deployment to staging: there was no tag api/staging."]
    facts = replace(
        known,
        environment=_live(known, "v1.0.0"),
        changed_paths=("scripts/x",),
        version=replace(known.version, created_at=None),
    )
    assert plan(facts).notices == [
        (
            "Uncommitted changes: scripts/x. Scripts and rules are used as they stand here, "
            "values as the version's commit has them."
        ),
        "api/v1.0.0 bears no date.",
    ]


def test_a_plan_with_nothing_to_do_lists_no_script_and_no_region_that_there_is_none(site: Site) -> None:
    line = ("deploy", "--env", "production", "--subproject", "api")
    first = site.ok(*line, "--dry-run")
    assert "\nLive now  Then    What happens\nnothing   v1.0.0  deploy\n" in first
    assert "10-ci-record.sh" in first
    assert "\n\nStatus   Version  Before  Time\n" in site.ok(*line)
    then = site.ok(*line, "--dry-run")
    assert "v1.0.0    v1.0.0  nothing: it is live already" in then
    assert "EXECUTE" not in then
    assert site.answer(*line, "--dry-run")["plan"]["scripts"] == []
    assert site.answer("tag.assign", *line[1:], "--version", "v1.0.0", "--dry-run")["plan"]["regions"]
