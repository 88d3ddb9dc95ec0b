"""`inv deploy.plan`: what has to be deployed, and the matrix for GitHub Actions."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import jsonschema
import msgspec
import pytest
import yaml

from ci_tasks.core.checkout import Checkout
from ci_tasks.core.entity import json_schema
from ci_tasks.core.errors import ExitCode, RefusedError, UsageError
from ci_tasks.deploy.assign import assign
from ci_tasks.deploy.changed.change_plan import (
    LARGEST_MATRIX,
    ChangePlan,
    MatrixEntry,
    change_plan,
    matrix_line,
)
from ci_tasks.deploy.changed.live_changes import Place, Running, standing, what_runs
from ci_tasks.deploy.changed.render import change_plan_text
from ci_tasks.deploy.model import Request
from ci_tasks.project.change import sort_out
from ci_tasks.project.dependencies import Projects
from ci_tasks.project.names import ReasonKind
from ci_tasks.tag.grammar import EnvironmentTag, VersionTag, parse_version
from ci_tasks.tag.model import Live
from ci_tasks.tag.names import DeploymentKind
from tests.conftest import ROOT, program
from tests.repositories import git
from tests.tag import records
from tests.tag.records import NOON, commit_of
from tests.tag.remotes import put_ref, put_tag, snapshot
from tests.test_docs import bare, table

if TYPE_CHECKING:
    from pathlib import Path

    from tests.deploy.conftest import Site
    from tests.repositories import Monorepo


def planned(clone: Path, since: str | None = None, environment: str | None = "production") -> ChangePlan:
    return change_plan(Checkout.open(clone, {}), since=since, environment=environment)


def why(plan: ChangePlan) -> dict[str, list[str]]:
    """Subproject -> the kinds of its reasons, in the plan's order."""
    return {
        change.subproject or ".": [reason.kind.value for reason in change.reasons] for change in plan.changed
    }


def version(monorepo: Monorepo, name: str, commit: str | None = None) -> None:
    put_tag(monorepo.remote, name, commit or monorepo.git("rev-parse", "HEAD"))


def runs(monorepo: Monorepo, name: str, *regions: str, environment: str = "production") -> None:
    """Record that a version runs there."""
    subproject, _, which = name.rpartition("/")
    request = Request(
        environment=environment,
        subproject=subproject,
        version=which,
        regions=regions,
        kind=DeploymentKind.ASSIGN,
    )
    assign(Checkout.open(monorepo.clone, {}), request, environ={})


@pytest.fixture
def deployed(monorepo: Monorepo) -> Monorepo:
    """A monorepo whose three subprojects run in production, as they are now; web depends on api."""
    settings = 'subprojects: [api, web, "services/*"]\ndependsOn: {web: [api], api: [libs]}\n'
    monorepo.write("ci_tasks.yaml", settings)
    monorepo.write("libs/x", "x")
    monorepo.commit()
    for name in ("api", "web", "services/auth"):
        version(monorepo, f"{name}/v1.0.0")
        runs(monorepo, f"{name}/v1.0.0")
    return monorepo


def test_since_what_runs_there(deployed: Monorepo) -> None:
    assert planned(deployed.clone).changed == ()
    deployed.write("libs/x", "changed")
    deployed.write("services/auth/environments/staging/config.yml", "env: {A: b}\n")
    head = deployed.commit()
    plan = planned(deployed.clone)
    assert why(plan) == {"api": ["DEPENDENCY"], "web": ["DEPENDENCY"]}
    assert (plan.commit_sha, plan.unchanged, plan.base_commits) == (head, ("services/auth",), ())
    assert [change.live_versions for change in plan.changed] == [("v1.0.0",)] * 2
    assert plan.changed[0].next_step == "inv tag.create --bump auto --subproject api"
    version(deployed, "api/v1.1.0")
    plan = planned(deployed.clone)
    assert why(plan) == {"api": ["NEWER_VERSION", "DEPENDENCY"], "web": ["DEPENDENCY"]}
    assert plan.changed[0].next_step is None
    assert plan.include[0] == MatrixEntry(subproject="api", environment="production", version="v1.1.0")
    runs(deployed, "api/v1.1.0")
    assert why(planned(deployed.clone)) == {"web": ["DEPENDENCY"]}
    version(deployed, "api/v1.1.0-unstable")
    deployed.write("api/x", "x")
    deployed.commit()
    assert planned(deployed.clone).include[0].version == "v1.0.0", "a newer one is marked bad"
    text = change_plan_text(plan)
    assert text.splitlines()[0] == (
        "Changed since what runs in production, dependencies first; 1 not changed:"
    )
    assert "v1.1.0 is newer than v1.0.0, which runs there" in text
    assert "web: in no release yet. To make one: inv tag.create --bump auto --subproject web" in text


def test_a_region_where_nothing_runs_counts(deployed: Monorepo) -> None:
    assert set(why(planned(deployed.clone, environment="staging"))) == {"api", "web", "services/auth"}
    runs(deployed, "api/v1.0.0", "us-east", environment="staging")
    plan = planned(deployed.clone, environment="staging")
    messages = [reason.message for change in plan.changed for reason in change.reasons]
    assert messages == ["never deployed in eu-west", "never deployed", "never deployed"]
    runs(deployed, "api/v1.0.0", environment="staging")
    assert set(why(planned(deployed.clone, environment="staging"))) == {"web", "services/auth"}


def test_since_a_ref(deployed: Monorepo) -> None:
    base = deployed.git("rev-parse", "HEAD")
    deployed.write("web/x", "x")
    deployed.write("environments/staging/config.yml", "env: {A: b}\n")
    deployed.commit()
    plan = planned(deployed.clone, since="HEAD~1")
    assert (why(plan), plan.base_commits) == ({"web": ["OWN"]}, (base,))
    plan = planned(deployed.clone, since="HEAD~1", environment=None)
    assert list(why(plan)) == ["api", "services/auth", "web"]
    assert {entry.environment for entry in plan.include} == {None}
    deployed.write("ci_tasks.yaml", 'subprojects: [api, web, "services/*"]\ndependsOn: {api: [web]}\n')
    plan = planned(deployed.clone, since="HEAD~1", environment=None)
    assert [entry.subproject for entry in plan.include] == list(why(plan)) == ["services/auth", "web", "api"]
    assert planned(deployed.clone, since="HEAD").changed == ()
    assert change_plan_text(planned(deployed.clone, since="HEAD")).startswith(
        "Nothing has changed since HEAD ("
    )


def test_f71_a_tag_that_can_not_be_read_counts_and_hides_no_other(deployed: Monorepo) -> None:
    head = deployed.git("rev-parse", "HEAD")
    put_ref(deployed.remote, "api/production", head)
    plan = planned(deployed.clone)
    assert why(plan) == {"api": ["UNREADABLE"]}
    assert "it is a lightweight tag" in plan.changed[0].reasons[0].message


def test_f37_a_shallow_clone_fetches_what_runs(deployed: Monorepo, tmp_path: Path) -> None:
    deployed.write("api/x", "x")
    deployed.commit()
    clone = tmp_path / "sh:allow"
    git("clone", "--quiet", "--depth=1", "--no-tags", f"file://{deployed.remote}", str(clone), cwd=tmp_path)
    before = snapshot(clone)
    assert why(planned(clone)) == {"api": ["OWN"], "web": ["DEPENDENCY"]}
    assert snapshot(clone) == before


def test_what_runs_and_can_not_be_had_counts(deployed: Monorepo, tmp_path: Path) -> None:
    begin = deployed.git("rev-parse", "HEAD")
    runs(deployed, "web/v1.0.0", environment="staging")
    deployed.write("unrelated", "x")
    version(deployed, "web/v0.9.0", deployed.commit())
    runs(deployed, "web/v0.9.0", "us-east", environment="staging")
    deployed.git("push", "--quiet", "--force", "origin", f"{begin}:main")
    clone = tmp_path / "other"
    git("clone", "--quiet", "--no-tags", f"file://{deployed.remote}", str(clone), cwd=tmp_path)
    assert why(planned(clone, environment="staging"))["web"] == ["NEWER_VERSION"], "it was fetched by its tag"
    shutil.rmtree(clone / ".git/ci-tasks")
    git("update-ref", "-d", "refs/tags/web/v0.9.0", cwd=deployed.remote)
    assert why(planned(clone, environment="staging"))["web"] == ["GONE", "NEWER_VERSION"]


REGIONS = ("eu-west", "us-east")
PROJECTS = Projects(known=("api",), present=("api",), depends_on={})
RELEASE = VersionTag(subproject="api", version=parse_version("v1.1.0"))


def running(region: str, version: str | None, *, is_uncertain: bool = False) -> Running:
    live = Live(
        version=version,
        commit_sha=commit_of(version) if version else None,
        since=NOON if version else None,
        triggered_by=None,
        deployment_id=None,
        inputs=None,
        uncertain=is_uncertain,
        attempted="v2.0.0" if is_uncertain else None,
    )
    return Running(region=region, live=live, scripts=None)


@pytest.mark.parametrize(
    ("there", "release", "gone", "messages"),
    [
        ([("v1.1.0", False)] * 2, RELEASE, 0, []),
        ([("v1.2.0", False)] * 2, RELEASE, 0, []),
        ([("v1.1.0", False)] * 2, None, 0, []),
        (
            [("v1.0.0", False), ("v1.1.0", False)],
            RELEASE,
            0,
            ["v1.1.0 is newer than v1.0.0, which runs there in eu-west"],
        ),
        (
            [("v1.1.0", False), ("v1.1.0", True)],
            RELEASE,
            0,
            ["an attempt to deploy v2.0.0 broke off half-way in us-east"],
        ),
        (
            [(None, True)] * 2,
            RELEASE,
            0,
            ["never deployed", "an attempt to deploy v2.0.0 broke off half-way"],
        ),
        ([("v1.1.0", False)] * 2, RELEASE, 1, ["the commit that runs there can't be had any more"]),
        (
            [("v1.1.0-rc.1", False)] * 2,
            RELEASE,
            0,
            ["v1.1.0 is newer than v1.1.0-rc.1, which runs there"],
        ),
    ],
)
def test_what_stands_in_the_tag(
    there: list[tuple[str | None, bool]], release: VersionTag | None, gone: int, messages: list[str]
) -> None:
    regions = tuple(
        running(region, which, is_uncertain=uncertain)
        for region, (which, uncertain) in zip(REGIONS, there, strict=True)
    )
    place = Place(tag=EnvironmentTag(subproject="api", environment="staging"), regions=regions)
    nothing = sort_out((), PROJECTS)
    found = standing(place, nothing, projects=PROJECTS, release=release, is_gone=gone > 0)
    assert [reason.message for reason in found.reasons] == messages
    assert not found.is_unreleased
    of_files = sort_out(["api/x"], PROJECTS)
    found = standing(place, of_files, projects=PROJECTS, release=release, is_gone=gone > 0)
    assert len(found.reasons) == len(messages) + 1
    assert found.is_unreleased == (there == [("v1.1.0", False)] * 2 and release is not None and not gone)


def test_scripts_that_were_not_as_committed_are_of_no_commit() -> None:
    for uncommitted, scripts in ((), commit_of("v1.0.0")), (("scripts/x",), None):
        ledger = records.deployed(records.empty(), records.record(1, uncommitted=uncommitted))
        assert what_runs(ledger, "").commit == commit_of("v1.0.0")
        assert what_runs(ledger, "").scripts == scripts
        assert what_runs(ledger, "us-east").version is None
    assert what_runs(None, "").version is None


def test_a_repository_without_a_remote(monorepo: Monorepo) -> None:
    monorepo.write("api/x", "x")
    monorepo.commit()
    monorepo.git("remote", "remove", "origin")
    put_tag(monorepo.clone, "api/v1.0.0", monorepo.git("rev-parse", "HEAD~1"))
    runs(monorepo, "api/v1.0.0")
    assert why(planned(monorepo.clone))["api"] == ["OWN"]
    assert why(planned(monorepo.clone, since="api/v1.0.0")) == {"api": ["OWN"]}


def test_a_matrix_that_github_would_not_take_is_refused(deployed: Monorepo) -> None:
    plan = planned(deployed.clone, environment="staging")
    entries = tuple(
        MatrixEntry(subproject=f"s{number}", environment="staging", version=None)
        for number in range(LARGEST_MATRIX + 1)
    )
    assert matrix_line(msgspec.structs.replace(plan, include=entries[1:])).count("{") == LARGEST_MATRIX + 1
    with pytest.raises(RefusedError) as caught:
        matrix_line(msgspec.structs.replace(plan, include=entries))
    assert "257 subprojects have changed" in caught.value.what
    assert caught.value.next_step == "inv deploy.plan --env staging --json"


def test_something_to_compare_with_is_needed(monorepo: Monorepo) -> None:
    with pytest.raises(UsageError) as caught:
        planned(monorepo.clone, environment=None)
    assert caught.value.next_step == "inv deploy.plan --env staging"
    with pytest.raises(UsageError, match="Did you mean staging") as caught:
        planned(monorepo.clone, environment="stagng", since="main")
    assert caught.value.next_step == "inv deploy.plan --env staging --changed-since main"


def of_the_page(language: str) -> list[str]:
    """The blocks of the how-to that are in that language."""
    text = (ROOT / "docs/how-to/deploy-what-changed.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_page_names_every_reason() -> None:
    assert [bare(row[0]) for row in table("how-to/deploy-what-changed.md", "reason")] == [
        kind.value for kind in ReasonKind
    ]
    settings, _ = of_the_page("yaml")
    assert list(yaml.safe_load(settings)["dependsOn"]) == ["web", "services/*", "libs/common"]
    assert set(json.loads(of_the_page("json")[0])["include"][0]) == set(MatrixEntry.__struct_fields__)


def test_f17_the_way_through_as_a_workflow_goes_it(site: Site) -> None:
    _, text = of_the_page("yaml")
    workflow = yaml.safe_load(text)["jobs"]
    assert not [step for job in workflow.values() for step in job["steps"] if "${{" in step.get("run", "")]
    *_, plan = workflow["plan"]["steps"]
    *_, deploy = workflow["deploy"]["steps"]
    version(site.repository, "web/v1.0.0")
    site.repository.write("services/auth/main.txt", "not in a release yet")
    site.script("exit 0", "30-ci-more")
    site.commit()

    def step(run: str, **env: str) -> subprocess.CompletedProcess[str]:
        path = f"{program('inv').parent}:{os.environ['PATH']}"
        return subprocess.run(
            ["bash", "-eo", "pipefail", "-c", run],
            cwd=site.clone,
            env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "TMPDIR": str(site.temporary), **env},
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )

    output = site.temporary / "output"
    done = step(plan["run"].replace("staging", "production"), GITHUB_OUTPUT=str(output))
    assert done.returncode == 0, done.stderr
    name, _, matrix = output.read_text(encoding="utf-8").removesuffix("\n").partition("=")
    assert name == "matrix"
    jobs = json.loads(matrix)["include"]
    assert [(job["subproject"], job["version"]) for job in jobs] == [
        ("api", "v1.0.0"),
        ("services/auth", None),
        ("web", "v1.0.0"),
    ]
    for job in jobs[:2]:
        filled = {
            key: job[value.removeprefix("${{ matrix.").removesuffix(" }}")] or ""
            for key, value in deploy["env"].items()
        }
        done = step(deploy["run"], **filled)
        assert done.returncode == (ExitCode.OK if job["version"] else ExitCode.REFUSED), done.stderr

    plan_now = planned(site.clone)
    assert why(plan_now) == {"services/auth": ["NEVER_DEPLOYED"], "web": ["NEVER_DEPLOYED"]}, (
        "the scripts are compared with those that api was deployed with"
    )
    assert plan_now.changed[0].next_step == "inv tag.create --bump auto --subproject services/auth"
    site.repository.write("api/uncommitted", "x")
    document = site.answer("deploy.plan", "--env", "production")
    jsonschema.Draft202012Validator(json_schema(ChangePlan)).validate(document)
    assert (document["uncommitted"], plan_now.uncommitted) == (1, 0)
    site.repository.clone.joinpath("api/uncommitted").unlink()
    site.script("exit 1", "30-ci-more")
    site.commit()
    assert why(planned(site.clone))["api"] == ["SHARED"]
    none = site.run("deploy.plan", "--changed-since", "origin/main", "--matrix")
    assert (none.returncode, none.stderr) == (0, "")
    assert none.stdout.removesuffix("\n") in workflow["deploy"]["if"]


def test_a_subproject_without_the_environment_is_passed_over(deployed: Monorepo) -> None:
    deployed.git("rm", "-r", "--quiet", "environments/production")
    deployed.write("api/environments/production/config.yml", "")
    deployed.write("web/x", "changed")
    deployed.write("api/x", "changed")
    deployed.commit()
    for since in (None, "HEAD~1"):
        plan = planned(deployed.clone, since)
        assert (set(why(plan)), plan.without_environment) == ({"api"}, ("services/auth", "web"))
        assert "Passed over, as they have no production: services/auth, web." in change_plan_text(plan)
    with pytest.raises(UsageError, match="There is no folder environments/canary/"):
        planned(deployed.clone, environment="canary")
