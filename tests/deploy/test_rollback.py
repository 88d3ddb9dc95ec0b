"""Going back to what ran before: from the line that is typed to what the tag says afterwards."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ci_tasks.deploy.rollout.parts import RolloutAnswer
from tests.deploy.test_deploy_json import valid

if TYPE_CHECKING:
    from tests.deploy.conftest import Site

STAGING = ("--env", "staging", "--subproject", "api")


def test_f119_a_half_rollout_goes_back_to_what_ran_before_and_not_further(site: Site) -> None:
    site.ok("deploy", *STAGING)
    site.version("api/v1.1.0")
    site.ok("deploy", *STAGING)
    site.script('[ "$DEPLOYMENT_VERSION" != v1.2.0 ]', name="30-ci-break")
    site.commit()
    site.version("api/v1.2.0")
    assert site.run("deploy", *STAGING).returncode == 1
    assert site.ledger().live() == {"eu-west": "v1.1.0?", "us-east": "v1.1.0"}

    first = site.answer("deploy.rollback", *STAGING, "--reason", "it does not start")
    assert site.ledger().live() == {"eu-west": "v1.1.0", "us-east": "v1.1.0"}
    assert [(record["region"], record["kind"]) for record in first["deployments"]] == [
        ("eu-west", "rollback")
    ]
    assert first["deployments"][0]["reason"] == "it does not start"

    back = site.ok("deploy.rollback", *STAGING, "--reason", "it's slow")
    assert site.ledger().live() == {"eu-west": "v1.0.0", "us-east": "v1.0.0"}
    mark = "inv tag.state --subproject api --version v1.1.0 --state unstable --reason 'it'\"'\"'s slow'"
    assert f"Next:\n  {mark}\n" in back
    again = site.ok("deploy", *STAGING, "--version", "v1.1.0", "--dry-run")
    assert "note: Rolled back from before: api/v1.1.0 in eu-west, us-east: it's slow.\n" in again
    before = site.remote_state()
    refused = site.run("deploy.rollback", *STAGING)
    assert refused.returncode == 3
    assert site.remote_state() == before
    assert refused.stderr.splitlines()[-9:] == [
        "error: api/staging can't go back to anything in eu-west, us-east: no version fits.",
        "  eu-west: v1.0.0: it is the live one.",
        "  eu-west: v1.1.0: it was rolled back from.",
        "  eu-west: v1.2.0: it never succeeded here.",
        "  us-east: v1.0.0: it is the live one.",
        "  us-east: v1.1.0: it was rolled back from.",
        "  us-east: v1.2.0: it never succeeded here.",
        "Nothing was changed and no script was run.",
        "next: inv deploy.history --env staging --subproject api",
    ]


def test_regions_go_back_to_different_versions_in_one_command(site: Site) -> None:
    site.ok("deploy", *STAGING, "--region", "us-east")
    site.version("api/v1.1.0")
    site.ok("deploy", *STAGING, "--region", "eu-west")
    site.version("api/v1.2.0", "api/v1.2.0-unstable", message="It loses orders.")
    site.ok("deploy", *STAGING, "--version", "v1.2.0", "--override", "to see it")
    site.repository.record.unlink()
    before = site.remote_state()

    line = ("deploy.rollback", *STAGING, "--reason", "orders are lost")
    shown = site.ok(*line, "--dry-run")
    assert site.remote_state() == before
    assert shown.partition("\n\n")[0].splitlines() == [
        "Region   Version  State     Candidate    Because",
        "eu-west  v1.2.0   unstable  passed over  it is the live one",
        "eu-west  v1.1.0             chosen       it is the newest one that ran before",
        "us-east  v1.2.0   unstable  passed over  it is the live one",
        "us-east  v1.0.0             chosen       it is the newest one that ran before",
    ]
    assert shown.count("Plan of a rollback; nothing is done yet.") == 2

    answer = valid(site.answer(*line), RolloutAnswer)
    assert site.ledger().live() == {"eu-west": "v1.1.0", "us-east": "v1.0.0"}
    assert [(plan["version"], plan["refusals"]) for plan in answer["plans"]] == [
        ("v1.1.0", []),
        ("v1.0.0", []),
    ]
    assert [record["reason"] for record in answer["deployments"]] == ["orders are lost"] * 2
    assert [one["version"] for one in answer["candidates"] if one["verdict"] == "chosen"] == [
        "v1.1.0",
        "v1.0.0",
    ]
    assert site.repository.recorded()[::2] == ["record hello eu-west", "record hello us-east"]
    for path, words in zip(
        answer["reportPaths"], ("eu-west: v1.1.0 is chosen", "us-east: v1.0.0 is chosen"), strict=True
    ):
        report = json.loads((site.clone / path).read_text(encoding="utf-8"))
        assert (report["pipelineType"], report["outcome"]) == ("POST_RELEASE", "OK")
        assert report["notices"] == [f"{words}: it is the newest one that ran before."]


def test_a_rollback_to_several_versions_that_broke_off_ends_where_it_was_to_end(site: Site) -> None:
    site.ok("deploy", *STAGING)
    site.version("api/v1.1.0")
    site.ok("deploy", *STAGING, "--region", "eu-west")
    site.version("api/v1.2.0")
    site.ok("deploy", *STAGING)
    site.script('[ ! -e "$RECORD_TO.broken" ]', name="30-ci-break")
    site.commit()
    broken = site.repository.record.with_name(f"{site.repository.record.name}.broken")
    broken.touch()
    failed = site.run("deploy.rollback", *STAGING)
    assert failed.returncode == 1
    shown = " ".join(failed.stdout.split())
    assert "v1.0.0 to api/staging: Not begun: api/staging did not succeed." in shown
    assert "FAILED: not done: v1.1.0 to api/staging; not begun: v1.0.0 to api/staging." in shown
    assert "--to v1" not in shown
    assert "next: inv deploy.rollback --env staging --subproject api" in shown
    assert site.ledger().live() == {"eu-west": "v1.2.0?", "us-east": "v1.2.0"}
    broken.unlink()
    site.ok("deploy.rollback", *STAGING)
    assert site.ledger().live() == {"eu-west": "v1.1.0", "us-east": "v1.0.0"}
    site.ok("deploy.rollback", *STAGING)
    assert site.ledger().live() == {"eu-west": "v1.0.0", "us-east": "v1.0.0"}


def test_a_version_that_is_asked_for_has_to_have_run_here_and_to_be_good(site: Site) -> None:
    site.ok("deploy", *STAGING, "--region", "us-east")
    site.version("api/v1.1.0", "api/v1.2.0")
    site.ok("deploy", *STAGING, "--region", "us-east")
    line = ("deploy.rollback", *STAGING, "--region", "us-east", "--to")
    never = site.run(*line, "v1.1.0")
    assert never.returncode == 3
    assert "can't go back to v1.1.0 in us-east" in never.stderr
    assert "us-east: v1.1.0: it never succeeded here." in never.stderr
    site.version("api/v1.0.0-deprecated", message="It has a hole.")
    bad = site.run(*line, "v1.0.0")
    assert bad.returncode == 3
    assert "api/v1.0.0 is marked deprecated: It has a hole." in bad.stderr
    assert site.ledger().live() == {"us-east": "v1.2.0"}
    site.ok(*line, "v1.0.0", "--override", "better than nothing")
    assert site.ledger().live() == {"us-east": "v1.0.0"}
    again = site.ok(*line, "v1.0.0")
    assert "Nothing to do" in again


def test_f65_a_rollback_takes_todays_scripts_and_asks_no_question(site: Site) -> None:
    site.ok("deploy", *STAGING)
    site.script('echo "today $DEPLOYMENT_VERSION" >> "$RECORD_TO"')
    site.repository.write("environments/staging/eu-west/config.yml", "env:\n  GREETING: new value\n")
    site.commit()
    site.version("api/v1.1.0")
    site.ok("deploy", *STAGING)
    site.repository.record.unlink()
    site.ok("deploy.rollback", *STAGING, "--region", "eu-west")
    assert site.repository.recorded() == ["today v1.0.0", "smoke hello eu-west"]
    assert site.ledger().live() == {"eu-west": "v1.0.0", "us-east": "v1.1.0"}


def test_where_nothing_was_ever_deployed(shared_site: Site) -> None:
    for line, words in (
        (STAGING, "there is no tag api/staging"),
        ((*STAGING, "--region", "eu-wets"), "Did you mean eu-west?"),
        ((*STAGING, "--to", "v1"), "is not a version"),
        (("--env", "stagng", "--subproject", "api"), "Did you mean staging?"),
    ):
        done = shared_site.run("deploy.rollback", *line)
        assert words in " ".join(done.stderr.split())
        assert done.returncode in {2, 3}
