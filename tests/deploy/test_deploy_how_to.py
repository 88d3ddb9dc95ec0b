"""The how-tos about deployments do what they say: their blocks are taken out and run."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from ci_tasks.deploy.rule.override import OVERRIDABLE
from tests.conftest import ROOT, program
from tests.repositories import git

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.deploy.conftest import Site

STAGING = ("--env", "staging", "--subproject", "api")
REF = "refs/tags/api/staging"
REPAIR = "docs/how-to/repair-an-environment-tag.md"
OVERRIDE = "docs/how-to/override-and-review.md"
REHEARSE = "docs/how-to/rehearse.md"


def lines_of(document: str, heading: str) -> str:
    """The shell lines of one section."""
    text = (ROOT / document).read_text(encoding="utf-8")
    section = re.split(rf"^#+ {re.escape(heading)}$", text, flags=re.MULTILINE)[1].partition("\n## ")[0]
    found = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert found, heading
    return "".join(found)


def typed(site: Site, lines: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Type shell lines in the clone; they stop at the first that fails."""
    path = f"{program('inv').parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["sh", "-euc", lines],
        cwd=site.clone,
        env={
            **os.environ,
            "PATH": path,
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(site.temporary),
            **(env or {}),
        },
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def followed(site: Site, *headings: str) -> None:
    """Do what these sections of the page about repairs say."""
    lines = "".join(lines_of(REPAIR, heading) for heading in headings)
    done = typed(site, lines)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def deployed(site: Site) -> Site:
    """A site where v1.0.0 and then v1.1.0 were deployed from the clone."""
    site.ok("deploy", *STAGING)
    site.commit()
    site.version("api/v1.1.0")
    site.ok("deploy", *STAGING)
    return site


def is_well(site: Site) -> bool:
    """Whether the tag can be deployed to, and says that v1.1.0 is live."""
    (status,) = site.answer("deploy.status", *STAGING)["environments"]
    return (status["version"], status["drift"], status["problem"]) == ("v1.1.0", None, None)


def test_f61_a_tag_that_was_moved_by_hand_is_put_back(deployed: Site) -> None:
    before = deployed.ledger()
    text = git("cat-file", "tag", REF, cwd=deployed.remote)
    moved = deployed.target("api/v1.0.0")
    deployed.put("api/staging", text.replace(before.target, moved, 1) + "\n")
    assert "DRIFT" in deployed.ok("deploy.status", *STAGING)
    assert deployed.run("deploy", *STAGING, "--again").returncode == 3

    followed(deployed, "DRIFT")

    after = deployed.ledger()
    assert (after.target, after.live()) == (before.target, before.live())
    assert after.records[2:] == before.records
    assert is_well(deployed)
    deployed.ok("deploy", *STAGING, "--again")


@pytest.mark.parametrize("by", ["lightweight", "annotated", "deleted"])
def test_the_last_good_tag_is_found(deployed: Site, by: str) -> None:
    good = deployed.repository.remote_refs()[REF]
    destroy(deployed, by)
    said = deployed.ok("deploy.status", *STAGING)
    assert ("none: there is no tag" if by == "deleted" else "UNREADABLE") in said

    followed(deployed, "Get the history back")

    assert deployed.repository.remote_refs()[REF] == good
    assert is_well(deployed)
    assert deployed.repository.git("status", "--porcelain") == ""
    deployed.ok("deploy", *STAGING, "--again")


def destroy(site: Site, by: str) -> None:
    """What somebody does to the tag by hand."""
    if by == "annotated":
        git("-c", "user.name=x", "tag", "--force", "-am", "by hand", "api/staging", cwd=site.remote)
    elif by == "lightweight":
        git("update-ref", REF, site.target("api/v1.0.0"), cwd=site.remote)
    else:
        git("update-ref", "-d", REF, cwd=site.remote)


def test_a_repair_does_not_undo_what_somebody_did_meanwhile(deployed: Site) -> None:
    destroy(deployed, "lightweight")
    lines = lines_of(REPAIR, "Get the history back")
    find, push = lines.rsplit("git push", 1)
    meanwhile = deployed.target("api/v1.1.0")
    late = f"{find}git -C '{deployed.remote}' update-ref {REF} {meanwhile}\ngit push{push}"
    done = typed(deployed, late)
    assert done.returncode == 1
    assert "stale info" in done.stderr
    assert deployed.repository.remote_refs()[REF] == meanwhile


@pytest.mark.parametrize(
    ("by", "heading"),
    [("lightweight", "UNREADABLE"), ("annotated", "UNREADABLE"), ("deleted", "Deleted")],
)
def test_f62_f71_a_new_ledger_begins(deployed: Site, by: str, heading: str) -> None:
    destroy(deployed, by)
    broken = deployed.repository.remote_refs().get(REF)
    assert deployed.run("deploy", *STAGING, "--dry-run").returncode == (0 if by == "deleted" else 4)

    followed(deployed, heading)

    ledger = deployed.ledger()
    assert [record["kind"] for record in ledger.records] == ["assign", "assign"]
    assert ledger.header["replaces"] == broken
    assert is_well(deployed)


def test_the_page_about_overrides(deployed: Site) -> None:
    """Its lines, for a version that is marked deprecated; the id is that of the deployment."""
    site = deployed
    site.version("api/v1.0.0-deprecated")
    override = lines_of(OVERRIDE, "Override a rule, and review what was overridden")
    assert typed(site, override).returncode == 0
    (status,) = site.answer("deploy.status", "--env", "production")["environments"]
    (debt,) = status["reviewDebts"]
    assert (debt["version"], debt["reason"]) == ("v1.0.0", "v1.1.0 loses orders")
    review = lines_of(OVERRIDE, "Review").replace("ID", debt["deploymentId"])
    assert typed(site, review).returncode == 0
    (status,) = site.answer("deploy.status", "--env", "production")["environments"]
    assert status["reviewDebts"] == []


def test_the_page_about_overrides_knows_every_rule_that_can_be_passed() -> None:
    text = (ROOT / OVERRIDE).read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([a-z]+)`", text, re.MULTILINE)) == OVERRIDABLE


def modes() -> list[tuple[str, str]]:
    """Mode and how a rehearsal with it ends, from the page's table."""
    text = (ROOT / REHEARSE).read_text(encoding="utf-8")
    return re.findall(r"^\| `([A-Z_]+)` \|.*\| (\d+)[^|]*\|$", text, re.MULTILINE)


@pytest.mark.parametrize(("mode", "code"), modes())
def test_a_rehearsal_claims_and_records_nothing(site: Site, mode: str, code: str) -> None:
    before = site.remote_state()
    for variable in ("CI_TEST_RELEASE_SMOKE_BEHAVIOR", "CI_SMOKE_BEHAVIOR"):
        done = site.run("deploy", *STAGING, env={variable: mode})
        assert done.returncode == int(code), done.stderr
        assert done.stderr.startswith("Rehearsing api v1.0.0")
        assert "deployment/record: mode DRY_RUN, decided by the rehearsal" in done.stderr
        assert f"deployment/smoke: mode {mode}, decided by {variable}" in done.stderr
    assert site.remote_state() == before
    assert list((site.clone / "build/reports").glob("rehearsal-*.json"))


def test_the_page_about_rehearsals_knows_every_mode() -> None:
    assert [mode for mode, _ in modes()] == ["DRY_RUN", "PASS", "SKIP", "FAIL", "TIMEOUT"]
    text = (ROOT / REHEARSE).read_text(encoding="utf-8")
    assert "| `EXECUTE` | is no rehearsal" in text


def test_the_lines_of_the_page_about_rehearsals(site: Site) -> None:
    text = (ROOT / REHEARSE).read_text(encoding="utf-8")
    lines = "".join(re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)).splitlines()
    before = site.remote_state()
    ends = [typed(site, line) for line in lines]
    assert [done.returncode for done in ends] == [0, 0, 1, 2], [done.stderr for done in ends]
    assert ends[0].stdout.startswith("Plan of a deployment")
    assert "Did you mean CI_SMOKE_BEHAVIOR?" in ends[3].stderr
    assert site.remote_state() == before


def test_what_is_live_already_is_rehearsed_too(site: Site) -> None:
    site.ok("deploy", *STAGING)
    done = site.run("deploy", *STAGING, env={"CI_TEST_MODE": "DRY_RUN"})
    assert done.stderr.startswith("Rehearsing api v1.0.0")


def test_the_pages_about_rollback_and_promotion(deployed: Site) -> None:
    """Their lines, one after the other: back to v1.0.0, and that one to production."""
    back = "docs/how-to/roll-back.md"
    done = typed(deployed, lines_of(back, "Roll back") + lines_of(back, "To a certain version"))
    assert done.returncode == 0, done.stderr
    assert deployed.ledger().live() == {"eu-west": "v1.0.0", "us-east": "v1.0.0"}
    promotion = "docs/how-to/promote.md"
    lines = lines_of(promotion, "Promote what runs in another environment")
    done = typed(deployed, lines + lines_of(promotion, "Several subprojects"))
    assert done.returncode == 0, done.stderr
    assert deployed.ledger("api/production").live() == {"": "v1.0.0"}
