"""Promotion: what runs in one environment goes to another one."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from ci_tasks.core.errors import ExitCode
from ci_tasks.core.git.origin import RemoteRef
from ci_tasks.deploy.changed.live_changes import Place, Running
from ci_tasks.deploy.rollout.parts import RolloutAnswer
from ci_tasks.deploy.rollout.promote import fault_of
from ci_tasks.tag.grammar import EnvironmentTag, Grammar
from ci_tasks.tag.listing import Listing
from ci_tasks.tag.model import Live
from tests.deploy.running import GATED, Stage
from tests.deploy.test_deploy_json import valid
from tests.tag.records import NOON, commit_of

if TYPE_CHECKING:
    from tests.deploy.conftest import Site

PROMOTE = ("deploy.promote", "--from", "staging", "--to", "production")
API = ("--subproject", "api")


def live(version: str | None, *, uncertain: bool = False, commit: str | None = None) -> Live:
    """What runs in a region."""
    return Live(
        version=version,
        commit_sha=commit or commit_of(version or ""),
        since=NOON,
        triggered_by="Test Person",
        deployment_id=None,
        inputs=None,
        uncertain=uncertain,
        attempted=None,
    )


def listing(*versions: str) -> Listing:
    """The remote's tags: these versions of api, on their commits."""
    refs = [RemoteRef(f"refs/tags/api/{version}", "2" * 40, commit_of(version)) for version in versions]
    return Listing(refs, Grammar(("staging", "production")))


@pytest.mark.parametrize(
    ("regions", "fault"),
    [
        pytest.param({"": live("v1.0.0")}, None, id="certain"),
        pytest.param({"eu": live("v1.0.0"), "us": live("v1.0.0")}, None, id="the-same-everywhere"),
        pytest.param({"": None}, "nothing runs there", id="nothing"),
        pytest.param({"eu": live("v1.0.0"), "us": None}, "us: nothing runs", id="nothing-in-one"),
        pytest.param(
            {"eu": live("v1.0.0", uncertain=True), "us": live("v1.0.0")},
            "eu: v1.0.0 is uncertain",
            id="uncertain",
        ),
        pytest.param({"": live(None, uncertain=True)}, "nothing runs", id="never-succeeded"),
        pytest.param(
            {"eu": live("v1.0.0"), "us": live("v1.1.0")},
            f"it differs: eu has v1.0.0 of {commit_of('v1.0.0')[:12]},"
            f" us has v1.1.0 of {commit_of('v1.1.0')[:12]}",
            id="differs",
        ),
        pytest.param({"": live("v2.0.0")}, "v2.0.0 runs there, and its tag api/v2.0.0 is gone", id="gone"),
        pytest.param(
            {"": live("v1.0.0", commit="1" * 40)},
            f"v1.0.0 runs there of the commit {'1' * 12}, and api/v1.0.0 has moved since",
            id="moved",
        ),
    ],
)
def test_what_can_be_promoted(regions: dict[str, Live | None], fault: str | None) -> None:
    tag = EnvironmentTag(subproject="api", environment="staging")
    running = tuple(Running(region=region, live=one, scripts=None) for region, one in regions.items())
    assert fault_of(Place(tag=tag, regions=running), listing("v1.0.0", "v1.1.0")) == fault


def test_what_can_not_be_read_can_not_be_promoted() -> None:
    place = Place(
        tag=EnvironmentTag(subproject="", environment="staging"), regions=(), problem="It is a riddle."
    )
    assert fault_of(place, listing()) == "what runs there is not known: It is a riddle"


def test_the_version_goes_from_one_environment_to_the_other(site: Site) -> None:
    nothing = site.run(*PROMOTE, *API)
    assert nothing.returncode == ExitCode.REFUSED
    assert "api/staging has no version to take: nothing runs there." in nothing.stderr
    site.ok("deploy", "--env", "staging", *API)
    site.version("api/v1.1.0")
    site.repository.record.unlink()
    before = site.remote_state()
    shown = site.ok(*PROMOTE, *API, "--dry-run")
    assert "Plan of a promotion; nothing is done yet." in shown
    assert site.remote_state() == before

    answer = site.answer(*PROMOTE, *API)
    assert site.ledger("api/production").live() == {"": "v1.0.0"}
    (record,) = answer["deployments"]
    assert (record["kind"], record["version"], record["status"]) == ("promote", "v1.0.0", "SUCCESS")
    assert record["reason"] == "from staging"
    report = json.loads((site.clone / answer["reportPaths"][0]).read_text(encoding="utf-8"))
    assert report["pipelineType"] == "RELEASE"
    assert site.repository.recorded()[0] == "record hello production"
    before = site.remote_state()
    assert "Nothing to do" in site.ok(*PROMOTE, *API)
    assert "Nothing to do" in site.ok(*PROMOTE, "--all")
    assert site.remote_state() == before
    assert len(site.answer(*PROMOTE, "--all", "--again")["deployments"]) == 1


def test_all_that_differ_go_as_one_plan_dependencies_first(site: Site) -> None:
    site.repository.write(
        "ci_tasks.yaml",
        'subprojects: [api, web, "services/*"]\ndependsOn:\n  api: [services/auth]\n  web: [api]\n',
    )
    site.script('[ "$DEPLOYMENT_SUBPROJECT" != broken ] && echo "$DEPLOYMENT_SUBPROJECT" >> "$RECORD_TO"')
    site.commit()
    names = ("api", "services/auth", "web")
    site.version("web/v1.0.0", "services/auth/v1.0.0")
    for name in names:
        site.ok("deploy", "--env", "staging", "--subproject", name)
    site.repository.record.unlink()

    site.version("web/v1.0.0-unstable", message="It is slow.")
    before = site.remote_state()
    refused = site.run(*PROMOTE, "--all")
    assert refused.returncode == ExitCode.REFUSED
    assert "1 of 3 deployments are refused, so none was begun." in refused.stderr
    assert "web/v1.0.0 is marked unstable: It is slow." in " ".join(refused.stderr.split())
    assert site.remote_state() == before

    shown = site.ok(*PROMOTE, "--subproject", "api", "--subproject", "services/auth", "--dry-run")
    assert shown.splitlines()[:3] == [
        "Plan: 2 deployments, one after the other:",
        "1. services/auth v1.0.0 to production (now: nothing)",
        "2. api v1.0.0 to production (now: nothing)",
    ]
    answer = site.answer(*PROMOTE, "--subproject", "api", "--subproject", "services/auth")
    assert [plan["subproject"] for plan in answer["plans"]] == ["services/auth", "api"]
    assert site.repository.recorded()[::2] == ["services/auth", "api"]
    assert [record["environment"] for record in answer["deployments"]] == ["production"] * 2


def test_the_line_after_a_refusal_of_several_asks_for_all_of_them(site: Site) -> None:
    site.version("web/v1.0.0")
    for name in ("api", "web"):
        site.ok("deploy", "--env", "staging", "--subproject", name)
    site.repository.write(
        "environments/production/config.yml",
        "freeze: [{days: [mon, tue, wed, thu, fri, sat, sun], except: [hotfix]}]\n",
    )
    site.commit()
    for words in ("--all", "--subproject web --subproject api"):
        refused = site.run(*PROMOTE, *words.split())
        assert refused.returncode == ExitCode.REFUSED
        line = refused.stderr.splitlines()[-1]
        assert line.startswith(f"next: inv {' '.join(PROMOTE)} ")
        assert line.endswith(f" {words}")
        assert line.count("--subproject") == words.count("--subproject")


def test_after_a_failure_only_what_does_not_depend_on_it_goes_on(site: Site) -> None:
    site.repository.write(
        "ci_tasks.yaml",
        'subprojects: [api, web, "services/*"]\ndependsOn:\n  web: [api]\n',
    )
    site.script('[ "$DEPLOYMENT_ENVIRONMENT $DEPLOYMENT_SUBPROJECT" != "production api" ]')
    site.commit()
    site.version("web/v1.0.0", "services/auth/v1.0.0")
    for name in ("api", "services/auth", "web"):
        site.ok("deploy", "--env", "staging", "--subproject", name)
    answer = valid(site.answer(*PROMOTE, "--all", code=ExitCode.PARTIAL), RolloutAnswer)
    assert [(record["subproject"], record["status"]) for record in answer["deployments"]] == [
        ("api", "FAILED"),
        ("services/auth", "SUCCESS"),
    ]
    (failure,) = answer["failures"]
    assert failure == {
        "environmentTag": "web/production",
        "version": "v1.0.0",
        "code": ExitCode.FAILED,
        "message": "Not begun: api/production did not succeed.",
        "nextStep": "inv deploy.promote --from staging --to production --all",
    }


def test_f65_older_versions_take_one_yes(site: Site) -> None:
    site.ok("deploy", "--env", "staging", *API)
    site.version("api/v1.1.0", "web/v1.0.0", "web/v1.1.0")
    site.ok("deploy", "--env", "staging", "--subproject", "web", "--version", "v1.0.0")
    for name in ("api", "web"):
        site.ok("deploy", "--env", "production", "--subproject", name)
    refused = site.run(*PROMOTE, "--all")
    assert refused.returncode == ExitCode.REFUSED
    assert "next: inv deploy.promote --from staging --to production --yes --all" in refused.stderr
    site.ok(*PROMOTE, "--yes", "--all")
    for name in ("api", "web"):
        assert site.ledger(f"{name}/production").live() == {"": "v1.0.0"}


def test_lines_that_mean_nothing(shared_site: Site) -> None:
    for line, words in (
        (("--from", "staging", "--to", "staging"), "--from and --to are both staging"),
        (("--from", "stagng", "--to", "production"), "next: inv deploy.promote --from staging --to prod"),
        (("--from", "staging", "--to", "prodution"), "--to production"),
        (("--from", "staging", "--to", "production", "--all", *API), "--all and --subproject exclude"),
        (("--from", "staging", "--to", "production"), "--to production --subproject api"),
    ):
        done = shared_site.run("deploy.promote", *line)
        assert (done.returncode, words in " ".join(done.stderr.split())) == (ExitCode.USAGE, True), (
            done.stderr
        )


def test_what_happens_to_a_later_part_meanwhile_is_found_out_at_its_turn(site: Site) -> None:
    site.script(
        f'[ "$DEPLOYMENT_ENVIRONMENT $DEPLOYMENT_SUBPROJECT" != "production api" ] || '
        f'git -C "{site.remote}" update-ref refs/tags/web/production refs/heads/main'
    )
    site.commit()
    site.version("web/v1.0.0")
    for name in ("api", "web"):
        site.ok("deploy", "--env", "staging", "--subproject", name)
    answer = site.answer(*PROMOTE, "--all", code=ExitCode.PARTIAL)
    assert [(record["subproject"], record["status"]) for record in answer["deployments"]] == [
        ("api", "SUCCESS")
    ]
    (failure,) = answer["failures"]
    assert (failure["environmentTag"], failure["code"]) == ("web/production", ExitCode.CONFLICT)
    assert failure["message"] == "web/production has no ledger: it is a lightweight tag."


def test_f94_ctrl_c_ends_the_whole_plan(site: Site) -> None:
    stage = Stage(site)
    site.version("web/v1.0.0")
    for name in ("api", "web"):
        site.ok("deploy", "--env", "staging", "--subproject", name)
    site.repository.record.unlink()
    site.script(GATED)
    try:
        started = stage.start(*PROMOTE, "--all", "--json")
        stage.scripts_started()
        started.signal(signal.SIGINT)
        ended = started.end()
    finally:
        stage.clean()
    assert ended.code == ExitCode.CANCELLED
    answer = json.loads(ended.stdout)
    assert [(one["environmentTag"], one["message"]) for one in answer["failures"]] == [
        ("web/production", "Not begun: it was cancelled.")
    ]
    assert [record["subproject"] for record in answer["deployments"]] == ["api"]
    assert stage.statuses("web/production") == []
