"""`requires` and `freeze` through the whole command: real tags, real configuration, real `inv`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.core.places import counting_git

if TYPE_CHECKING:
    from pathlib import Path

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
    assert line == "next: inv deploy --env production --subproject api --version v1.0.0 --label hotfix"
    unknown = site.run("deploy", *PRODUCTION, "--label", "hotfx")
    assert (unknown.returncode, "Did you mean hotfix?" in unknown.stderr) == (2, True)
    assert site.remote_state() == before
    shown = site.ok("deploy", *PRODUCTION, "--label", "hotfix", "--dry-run")
    assert "freeze  2001-01-01 to 2999-12-31, UTC, except hotfix" in " ".join(shown.split(" ")).replace(
        "freeze    ", "freeze  "
    )
    assert "Labels: hotfix" in shown
    answer = site.answer(*line.split()[2:])
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
