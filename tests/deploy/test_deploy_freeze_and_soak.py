"""`requires` and `freeze` through the whole command: real tags, real configuration, real `inv`."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

import pytest

from ci_tasks.core.checkout import Checkout
from ci_tasks.core.errors import RefusedError
from ci_tasks.deploy.changed.live_changes import read_places
from ci_tasks.deploy.facts import gather
from ci_tasks.deploy.model import Request
from ci_tasks.deploy.plan import plan
from ci_tasks.project.dependencies import Projects
from ci_tasks.tag.grammar import Grammar
from ci_tasks.tag.names import DeploymentKind
from ci_tasks.tag.store import TagStore
from tests.core.places import counting_git
from tests.repositories import git

if TYPE_CHECKING:
    from pathlib import Path

    from ci_tasks.deploy.model import Plan
    from tests.deploy.conftest import Site

PRODUCTION = ("--env", "production", "--subproject", "api")
STAGING = ("--env", "staging", "--subproject", "api")
CONFIG = "environments/production/config.yml"
ALWAYS = '{from: "2001-01-01", to: "2999-12-31", except: [hotfix]}'


def rules(site: Site, text: str, path: str = CONFIG) -> None:
    """Commit rules, after a first line that is a comment."""
    site.repository.write(path, f"# Rules\n{text}")
    site.commit("Rules")


def test_a_freeze_is_refused_with_its_line_and_a_label_passes(site: Site) -> None:
    rules(site, f"freeze:\n  - {ALWAYS}\n")
    before = site.remote_state()
    done = site.run("deploy", *PRODUCTION)
    assert done.returncode == 3
    assert f"  Rule: freeze ({CONFIG}:3).\nNothing was changed and no script was run." in done.stderr
    (line,) = (one for one in done.stderr.splitlines() if one.startswith("next: "))
    assert line == "next: inv deploy --env production --subproject api --version v1.0.0 --dry-run"
    assert "; what can't wait takes --label hotfix.\n" in done.stderr
    unknown = site.run("deploy", *PRODUCTION, "--label", "hotfx")
    assert (unknown.returncode, "Did you mean hotfix?" in unknown.stderr) == (2, True)
    assert site.remote_state() == before
    shown = site.ok("deploy", *PRODUCTION, "--label", "hotfix", "--dry-run")
    assert "freeze  2001-01-01 to 2999-12-31, UTC, except hotfix" in " ".join(shown.split(" ")).replace(
        "freeze    ", "freeze  "
    )
    assert "Labels: hotfix" in shown
    answer = site.answer("deploy", *PRODUCTION, "--label", "hotfix")
    assert answer["plan"]["labels"] == ["hotfix"]
    assert answer["plan"]["rules"][0]["source"] == f"{CONFIG}:3"
    assert [record["labels"] for record in site.ledger("api/production").records] == [["hotfix"]]
    site.version("api/v1.1.0")
    site.ok("deploy", *PRODUCTION, "--label", "hotfix")
    back = site.run("deploy.rollback", *PRODUCTION, "--dry-run")
    assert back.returncode == 0, back.stderr
    assert "A rollback is not held up by the rule freeze" in " ".join(back.stdout.split())


def test_f118_a_freeze_that_is_committed_holds_whatever_the_checkout_says(site: Site) -> None:
    rules(site, f"freeze:\n  - {ALWAYS}\n")
    site.repository.write(CONFIG, "")
    done = site.run("deploy", *PRODUCTION)
    assert (done.returncode, f"Rule: freeze ({CONFIG}:3)." in done.stderr) == (3, True)


def planned(site: Site, environ: dict[str, str], *, kind: DeploymentKind = DeploymentKind.DEPLOY) -> Plan:
    """The plan for production, where settings come from these variables."""
    asked = Request(environment="production", subproject="api", version="v1.0.0", kind=kind)
    return plan(gather(Checkout.open(site.clone, environ), asked, environ=environ).facts)


def test_f118_a_variable_and_an_edit_take_no_committed_rule_away(site: Site) -> None:
    rules(site, f"requires: {{environment: staging}}\nfreeze: [{ALWAYS}]\nprotected: true\n")
    site.repository.write(CONFIG, "")
    shutil.rmtree(site.clone / "environments/staging")
    for environ in ({}, {"CI_TASKS_ENVIRONMENTS": '["production"]'}):
        assert [one.name for one in planned(site, environ).refusals] == [
            f"requires ({CONFIG}:2)",
            f"freeze ({CONFIG}:3)",
            f"protected ({CONFIG}:4)",
            f"protected ({CONFIG}:4)",
        ]


def test_f118_committed_rules_that_cannot_be_read_are_not_taken_for_none(site: Site) -> None:
    rules(site, "freeze: 3\n")
    site.repository.write(CONFIG, "")
    with pytest.raises(RefusedError, match=f"can't be read as they are committed: {CONFIG}:2") as caught:
        planned(site, {})
    assert str(caught.value.next_step).endswith("&& git commit")


def test_f118_an_edit_takes_no_region_away_that_a_version_must_have_run_in(site: Site) -> None:
    rules(site, "requires: {environment: staging}\n")
    site.ok("deploy", *STAGING, "--region", "us-east")
    staging = "environments/staging"
    shutil.rmtree(site.clone / staging / "eu-west", ignore_errors=True)
    site.repository.write(f"{staging}/config.yml", "regions: [us-east]\n")
    (refusal,) = planned(site, {}).refusals
    assert "v1.0.0 has not run in eu-west of staging yet" in refusal.message


def test_a_tag_that_was_moved_by_hand_says_nothing_of_what_ran(site: Site) -> None:
    rules(site, "requires: {environment: staging}\n")
    site.ok("deploy", *STAGING)
    projects = Projects(known=("api",), present=("api",), depends_on={})
    for is_moved in (False, True):
        if is_moved:
            text = git("cat-file", "tag", "refs/tags/api/staging", cwd=site.remote)
            before = site.target("api/staging")
            site.repository.write("another", "file")
            site.put("api/staging", text.replace(before, site.commit("Another"), 1) + "\n")
        found = [one.message for one in planned(site, {}).refusals]
        assert [("somebody moved it by hand" in message) for message in found] == [True] * is_moved
        checkout = Checkout.open(site.clone, {})
        store = TagStore(checkout.origin, Grammar(checkout.settings.environments))
        place = read_places(checkout, store, store.listing(), projects, "staging")["api"]
        assert ("somebody moved it by hand" in str(place.problem)) is is_moved


def test_rules_of_a_commit_that_nobody_else_has_are_called_so(site: Site) -> None:
    mine = "which is on no branch of the"
    site.repository.git("fetch", "--quiet", "origin", "+refs/heads/*:refs/remotes/origin/*")
    site.repository.write(CONFIG, "# Rules\n")
    site.repository.git("add", "--all")
    site.repository.git("commit", "--quiet", "--message", "My own rules")
    assert [mine in notice for notice in planned(site, {}).notices].count(True) == 1
    assert not any(mine in notice for notice in planned(site, {"CI": "true"}).notices)
    site.repository.git("update-ref", "refs/remotes/origin/main", "HEAD")
    assert not any(mine in notice for notice in planned(site, {}).notices)


def test_a_rule_that_asks_for_what_is_not_there_holds_no_rollback_up(site: Site) -> None:
    rules(site, "requires: {environment: sandbox}\n")
    (refusal,) = planned(site, {}).refusals
    assert (refusal.name, refusal.message) == (
        f"requires ({CONFIG}:2)",
        "production asks what ran in sandbox: there is no folder environments/sandbox/.",
    )
    assert str(refusal.next_step).startswith("mkdir -p environments/sandbox")
    assert planned(site, {}, kind=DeploymentKind.ROLLBACK).refusals == []


def test_what_must_have_run_in_staging(site: Site) -> None:
    rules(site, "requires:\n  environment: staging\n  soak: 1s\n")
    refused = site.run("deploy", *PRODUCTION)
    assert refused.returncode == 3
    assert "production takes what has run in staging for 1s, and v1.0.0 has not run there yet" in (
        refused.stderr
    )
    assert f"Rule: requires ({CONFIG}:2)." in refused.stderr
    assert "next: inv deploy --env staging --subproject api --version v1.0.0\n" in refused.stderr
    site.ok("deploy", *STAGING, "--region", "us-east")
    half = site.run("deploy", *PRODUCTION)
    assert "v1.0.0 has not run in eu-west of staging yet" in half.stderr
    site.ok("deploy", *STAGING)
    time.sleep(2)  # the soak, and the second that a time in a tag is cut to
    site.ok("deploy", *PRODUCTION)
    assert site.ledger("api/production").live() == {"": "v1.0.0"}


def test_what_ran_elsewhere_costs_no_git_process(site: Site, tmp_path: Path) -> None:
    path, log = counting_git(tmp_path)

    def processes() -> int:
        """How many times git is started for a plan."""
        log.write_text("")
        site.run("deploy", *PRODUCTION, "--dry-run", env={"PATH": path})
        return len(log.read_text().splitlines())

    site.ok("deploy", *STAGING)
    rules(site, "")
    without = processes()
    rules(site, "requires: {environment: staging, soak: 2h}\n")
    assert processes() == without > 0


def test_an_override_passes_what_is_required(site: Site) -> None:
    rules(site, "requires: {state: stable}\n")
    answer = site.answer("deploy", *PRODUCTION, "--override", "it burns")
    (overridden,) = answer["plan"]["overridden"]
    assert (overridden["rule"], overridden["source"]) == ("requires", f"{CONFIG}:2")
    site.version("api/v1.1.0", "api/v1.1.0-stable")
    site.ok("deploy", *PRODUCTION)


def test_a_ledger_that_cannot_be_read_is_not_taken_for_an_empty_one(site: Site) -> None:
    rules(site, "requires: {environment: staging}\n")
    commit = site.repository.git("rev-parse", "HEAD")
    site.put("api/staging", f"object {commit}\ntype commit\ntag api/staging\ntagger A <a@b> 0 +0000\n\nx\n")
    done = site.run("deploy", *PRODUCTION)
    assert done.returncode == 3
    said = "production asks what ran in staging: The ledger in api/staging can't be read"
    assert said in " ".join(done.stderr.split())


def test_a_canary_region_comes_first(site: Site) -> None:
    rules(site, "requires: {soak: 2h}\n", "environments/staging/config.yml")
    done = site.run("deploy", *STAGING)
    assert done.returncode == 3
    first = "inv deploy --env staging --subproject api --version v1.0.0 --region eu-west"
    assert f"next: {first}\n" in done.stderr
    site.ok(*first.split()[1:])
    waiting = site.run("deploy", *STAGING)
    assert (waiting.returncode, "of 2h; come back at" in waiting.stderr) == (3, True)
    assert site.ledger().live() == {"eu-west": "v1.0.0"}


def test_scripts_know_how_many_releases_to_keep(site: Site) -> None:
    rules(site, "keepReleases: 3\n")
    site.script('echo "keep $DEPLOYMENT_KEEP_RELEASES" >&2')
    site.commit()
    assert "keep 3" in site.run("deploy", *PRODUCTION).stderr
    assert "keep 5" in site.run("deploy", *STAGING).stderr
