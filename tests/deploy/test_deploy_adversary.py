"""Ways round the rules of a deployment that somebody tried."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.deploy.faulty_remote import WITHOUT_QUARANTINE, hook, once
from tests.deploy.running import STAGING, Stage, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.deploy.conftest import Site

DEPLOY = ("deploy", *STAGING)


@pytest.fixture
def one(site: Site) -> Iterator[Stage]:
    """A stage with one region and one script that writes down that it ran."""
    stage = Stage(site)
    site.repository.git("rm", "--quiet", "scripts/deployment/20-ci-smoke.sh")
    site.repository.write("environments/staging/config.yml", "regions: [one]\n")
    site.script('echo "$DEPLOYMENT_VERSION" >> "$RECORD_TO"')
    site.commit()
    yield stage
    stage.clean()


def test_f65_a_plan_that_became_a_downgrade_while_its_claim_was_pushed(one: Stage, tmp_path: Path) -> None:
    site = one.site
    site.version("api/v2.0.0", "api/v3.0.0")
    site.ok(*DEPLOY, "--version", "1.0.0")
    hook(site.remote, "pre-receive", once(tmp_path / "flag", "sleep 4"))
    older = one.start(*DEPLOY, "--version", "2.0.0")
    until((tmp_path / "flag").exists, "the older one's claim")
    site.ok(*DEPLOY, "--version", "3.0.0")
    ended = older.end()
    assert ended.code == 4
    assert "its plan does not hold any more" in ended.stderr
    assert site.ledger().live() == {"one": "v3.0.0"}


def test_f59_a_version_that_is_marked_while_its_claim_is_pushed(one: Stage, tmp_path: Path) -> None:
    site = one.site
    mark = "tag -a api/v1.0.0-unstable -m bad refs/tags/api/v1.0.0^{}"
    command = f"{WITHOUT_QUARANTINE} git -c user.name=x -c user.email=x@x {mark}"
    hook(site.remote, "pre-receive", once(tmp_path / "flag", command))
    done = site.run(*DEPLOY)
    assert done.returncode == 3
    assert "was marked unstable while" in done.stdout
    assert site.repository.recorded() == []
    assert one.statuses() == [("one", "CANCELLED")]


@pytest.mark.parametrize("how", ["sparse", "assume-unchanged", "skip-worktree"])
def test_f43_protection_that_is_committed_but_not_on_disk(one: Stage, how: str) -> None:
    site = one.site
    rules = "api/environments/production/config.yml"
    site.repository.write(rules, "protected: true\n")
    site.commit()
    if how == "sparse":
        site.repository.git("sparse-checkout", "set", "--no-cone", "/*", "!/api/environments/")
    else:
        site.repository.git("update-index", f"--{how}", rules)
        (site.clone / rules).unlink()
    done = site.run("deploy", "--env", "production", "--subproject", "api")
    assert done.returncode == 3
    assert rules in done.stderr


def test_f43_a_script_that_is_committed_but_not_on_disk_is_named(site: Site) -> None:
    script = "scripts/deployment/20-ci-smoke.sh"
    site.repository.git("sparse-checkout", "set", "--no-cone", "/*", f"!/{script}")
    assert f"note: Uncommitted changes: {script}." in site.run(*DEPLOY).stderr


@pytest.mark.parametrize(
    "variable", ["SHELLOPTS: noexec", "PERL5OPT: -d", "PYTHONPATH: api", "GITHUB_OUTPUT: x", "CI: 'true'"]
)
def test_the_values_of_a_version_do_not_steer_the_interpreter(one: Stage, variable: str) -> None:
    site = one.site
    record = f"RECORD_TO: {site.repository.record}"
    site.repository.write("environments/config.yml", f"env:\n  {record}\n  {variable}\n")
    site.commit()
    site.version("api/v2.0.0")
    done = site.run(*DEPLOY)
    assert done.returncode == 2
    assert "is not yours to set" in done.stderr
    assert site.repository.recorded() == []


@pytest.mark.parametrize("fault", ["minutes", "size"])
def test_what_can_never_run_is_refused_before_the_claim(one: Stage, fault: str) -> None:
    site = one.site
    if fault == "size":
        text = f"env:\n  RECORD_TO: {site.repository.record}\n  BIG: {'x' * 140_000}\n"
        site.repository.write("environments/config.yml", text)
        site.commit()
        site.version("api/v2.0.0")
    before = site.remote_state()
    done = site.run(*DEPLOY, env={"CI_JOB_TIMEOUT_MINUTES": "abc"} if fault == "minutes" else {})
    assert done.returncode == 2
    assert site.remote_state() == before


@pytest.mark.parametrize("name", ["GITHUB_ACTOR", "GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT"])
def test_odd_variables_of_a_run_are_no_bug(one: Stage, name: str) -> None:
    value = "1" * 5000 if name == "GITHUB_RUN_ATTEMPT" else "\udcff"
    done = one.site.run(*DEPLOY, env={"GITHUB_RUN_ID": "7", name: value})
    assert done.returncode == 0, done.stderr


def test_a_report_has_a_folder_of_its_own(one: Stage) -> None:
    done = one.site.run(*DEPLOY, env={"CI_TASKS_REPORTS": "scripts/deployment"})
    assert done.returncode == 2
    assert "scripts/ and environments/ are read" in done.stderr
