"""`inv tag.assign`: what runs somewhere is written down, and no script is run for it."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest

from tests.conftest import program
from tests.deploy.faulty_remote import (
    KILL_SERVER,
    before_push,
    declining,
    delete_tag,
    from_the,
    hook,
    once,
    remove_hook,
    unreadable,
)
from tests.deploy.running import GATED, STAGING, Stage, until
from tests.repositories import git
from tests.tag.remotes import put_object, put_ref, tag_content

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.deploy.conftest import Site

REF = "refs/tags/api/staging"
ASSIGN = ("tag.assign", *STAGING)
EAST = ("--region", "us-east")
BOTH = {"eu-west": "v1.0.0", "us-east": "v1.0.0"}


@pytest.fixture
def stage(site: Site) -> Iterator[Stage]:
    """A site with one script that waits until the test lets it go."""
    stage = Stage(site)
    site.script(GATED)
    site.script("true", name="20-ci-smoke")
    yield stage
    stage.clean()


@pytest.fixture
def two(site: Site) -> Site:
    """A site where v1.0.0 was assigned everywhere, and v1.1.0 exists on a commit of its own."""
    site.ok(*ASSIGN, "--version", "v1.0.0")
    site.commit()
    site.version("api/v1.1.0")
    return site


def test_an_assignment_is_recorded_and_nothing_runs(site: Site) -> None:
    dry = site.answer(*ASSIGN, "--version", "v1.0.0", "--dry-run")
    assert REF not in site.repository.remote_refs()
    answer = site.answer(*ASSIGN, "--version", "v1.0.0", "--reason", "it ran before")
    assert answer["plan"] == dry["plan"]
    assert (answer["isSettled"], dry["isSettled"]) == (True, None)
    assert site.repository.recorded() == []
    ledger = site.ledger()
    commit, head = site.target("api/v1.0.0"), site.repository.git("rev-parse", "HEAD")
    assert ledger.records == answer["deployments"]
    for record in ledger.records:
        assert (record["kind"], record["status"], record["reason"]) == ("assign", "SUCCESS", "it ran before")
        assert (record["scriptsStarted"], record["leaseEnd"], record["inputs"]) == (False, None, None)
        assert record["commits"] == {
            "code": commit,
            "config": commit,
            "scripts": None,
            "rules": head,
            "secrets": None,
        }
    assert (ledger.live(), ledger.target, ledger.header["settled"]) == (BOTH, commit, True)
    assert ledger.header["replaces"] is None
    assert "First record of staging: there was no tag api/staging." in answer["plan"]["notices"]


def test_the_words_of_an_assignment(site: Site) -> None:
    done = site.run(*ASSIGN, "--version", "v1.0.0", *EAST)
    assert done.stdout.splitlines() == [
        "api/staging now says that v1.0.0 is live in us-east. No script was run.",
        "Its regions have different versions, or none: the tag moves when all have one.",
    ]
    assert done.stderr == "note: First record of staging: there was no tag api/staging.\n"
    assert site.ok(*ASSIGN, "--version", "v1.0.0", "--dry-run").splitlines()[-3:] == [
        "Region   Tag says  Then    What happens",
        "eu-west  nothing   v1.0.0  assign",
        "us-east  v1.0.0    v1.0.0  nothing: the tag says so already",
    ]
    assert site.ok(*ASSIGN, "--version", "v1.0.0") == (
        "api/staging now says that v1.0.0 is live in eu-west. No script was run.\n"
    )
    assert site.ok(*ASSIGN, "--version", "v1.0.0") == (
        "Nothing to do: api/staging says already that v1.0.0 is live.\n"
    )
    history = site.ok("deploy.history", *STAGING)
    assert history.count("ASSIGNED") == 2


def test_the_same_again_changes_nothing(two: Site) -> None:
    before = two.remote_state()
    assert two.answer(*ASSIGN, "--version", "v1.0.0")["deployments"] == []
    assert two.answer(*ASSIGN, "--version", "v1.0.0", *EAST)["deployments"] == []
    assert two.remote_state() == before


def test_an_older_version_is_no_question_and_one_region_unsettles(two: Site) -> None:
    two.ok(*ASSIGN, "--version", "v1.1.0")
    assert two.ledger().target == two.target("api/v1.1.0")
    two.ok(*ASSIGN, "--version", "v1.0.0", *EAST)
    ledger = two.ledger()
    assert ledger.live() == {"eu-west": "v1.1.0", "us-east": "v1.0.0"}
    assert (ledger.target, ledger.header["settled"]) == (two.target("api/v1.1.0"), False)


def test_what_was_assigned_is_deployed_really_afterwards(two: Site) -> None:
    plan = two.answer("deploy", *STAGING, "--version", "v1.0.0", "--dry-run")["plan"]
    assert [region["action"] for region in plan["regions"]] == ["deploy", "deploy"]
    assert plan["notices"] == [
        f"v1.0.0 was assigned in {region} without running scripts: they run now." for region in BOTH
    ]
    two.ok("deploy", *STAGING, "--version", "v1.0.0")
    assert len(two.repository.recorded()) == 4
    before = two.remote_state()
    two.ok("deploy", *STAGING, "--version", "v1.0.0")
    two.ok(*ASSIGN, "--version", "v1.0.0")
    assert two.remote_state() == before


def test_an_assignment_makes_an_uncertain_region_certain(two: Site) -> None:
    two.script("exit 3")
    two.run("deploy", *STAGING, "--version", "v1.1.0", *EAST)
    assert two.ledger().live() == {"eu-west": "v1.0.0", "us-east": "v1.0.0?"}
    two.ok(*ASSIGN, "--version", "v1.0.0")
    ledger = two.ledger()
    assert (ledger.live(), ledger.records[0]["region"], len(ledger.records)) == (BOTH, "us-east", 4)


def test_an_environment_without_deployment_scripts_can_be_assigned(site: Site) -> None:
    """A cluster that follows the tag by itself has none."""
    site.repository.git("rm", "--quiet", "-r", "scripts")
    site.commit()
    production = ("--env", "production", "--subproject", "api")
    assert site.run("deploy", *production).returncode == 2
    site.ok("tag.assign", *production, "--version", "v1.0.0")
    ledger = site.ledger("api/production")
    assert (ledger.live(), ledger.target) == ({"": "v1.0.0"}, site.target("api/v1.0.0"))


# Rules


REFUSED = {
    "F59-deprecated": ("v2.0.0", "staging", 3, "api/v2.0.0 is marked deprecated: A version.\n  Rule: state."),
    "F58-no-such-version": ("v9.0.0", "staging", 3, "There is no version api/v9.0.0 on the remote."),
    "F50-lightweight": ("v3.0.0", "staging", 3, "it is a lightweight tag"),
    "F54-branches": ("v1.0.0", "sandbox", 3, "is on none of the branches that sandbox takes: release/*."),
    "protected": ("v1.0.0", "canary", 3, "canary is protected: only CI jobs assign versions there."),
    "F13-version": ("1.0", "staging", 2, "is not a version"),
    "F14-environment": ("v1.0.0", "stagng", 2, "Did you mean staging?"),
}


@pytest.fixture(scope="module")
def ruled(shared_site: Site) -> Site:
    """A site with rules, a deprecated version and a lightweight tag."""
    site = shared_site
    site.repository.write("environments/canary/config.yml", "protected: true\n")
    site.repository.write("environments/sandbox/config.yml", "branches: [release/*]\n")
    site.commit()
    site.version("api/v2.0.0", "api/v2.0.0-deprecated")
    git("update-ref", "refs/tags/api/v3.0.0", site.target("api/v1.0.0"), cwd=site.remote)
    return site


@pytest.mark.parametrize("name", REFUSED)
def test_the_rules_of_deployments_hold(ruled: Site, name: str) -> None:
    version, environment, code, says = REFUSED[name]
    before = ruled.remote_state()
    line = ("tag.assign", "--env", environment, "--subproject", "api", "--version", version)
    done = ruled.run(*line)
    assert done.returncode == code
    assert says in done.stderr
    assert "Nothing was" in done.stderr
    dry = ruled.run(*line, "--dry-run")
    assert dry.returncode == code
    assert ruled.remote_state() == before


def test_a_protected_environment_wants_committed_rules_and_a_ci_job(ruled: Site) -> None:
    line = ("tag.assign", "--env", "canary", "--subproject", "api", "--version", "v1.0.0")
    file = ruled.repository.write("environments/note", "x\n")
    ruled.repository.write("scripts/note", "x\n")
    done = ruled.run(*line, env={"CI": "true"})
    assert done.returncode == 3
    assert "there are uncommitted changes: environments/note.\n  Rule: protected (" in done.stderr
    file.unlink()
    ruled.ok(*line, env={"CI": "true"})
    assert ruled.ledger("api/canary").live() == {"": "v1.0.0"}


def test_texts_are_one_line(site: Site) -> None:
    for option in ("--reason", "--override"):
        done = site.run(*ASSIGN, "--version", "v1.0.0", option, "two\nlines")
        assert (done.returncode, f"{option} takes one line of text" in done.stderr) == (2, True)
        done = site.run(*ASSIGN, "--version", "v1.0.0", option, "x" * 501)
        assert (done.returncode, "at most 500 characters, and these are 501" in done.stderr) == (2, True)
    assert REF not in site.repository.remote_refs()


# Drift, and tags that are gone


def test_f61_an_assignment_puts_a_moved_tag_back(two: Site) -> None:
    text = git("cat-file", "tag", REF, cwd=two.remote)
    there, elsewhere = two.target("api/v1.0.0"), two.target("api/v1.1.0")
    two.put("api/staging", text.replace(there, elsewhere, 1) + "\n")
    assert "DRIFT" in two.ok("deploy.status", *STAGING)
    refused = two.run("deploy", *STAGING)
    assert refused.returncode == 3
    line = refused.stderr.splitlines()[-1].removeprefix("next: inv ")
    put_back = '--reason "it was moved by hand"'
    assert line == f"tag.assign --env staging --subproject api --version v1.0.0 {put_back}"

    two.ok(*shlex.split(line))

    ledger = two.ledger()
    assert (ledger.target, ledger.live(), len(ledger.records)) == (there, BOTH, 4)
    assert "DRIFT" not in two.ok("deploy.status", *STAGING)
    before = two.remote_state()
    two.ok(*shlex.split(line))
    assert two.remote_state() == before
    two.ok("deploy", *STAGING)


def test_f61_the_repair_of_a_tag_whose_regions_differ_names_one(two: Site) -> None:
    """It is unsettled after that as before, and stands all the same where the ledger says."""
    two.ok(*ASSIGN, "--version", "v1.1.0", *EAST)
    text = git("cat-file", "tag", REF, cwd=two.remote)
    there, elsewhere = two.target("api/v1.0.0"), two.target("api/v1.1.0")
    two.put("api/staging", text.replace(there, elsewhere, 1) + "\n")
    refused = two.run("deploy", *STAGING)
    line = refused.stderr.splitlines()[-1].removeprefix("next: inv ")
    one = "--version v1.0.0 --region eu-west"
    assert line == f'tag.assign --env staging --subproject api {one} --reason "it was moved by hand"'
    two.ok(*shlex.split(line))
    ledger = two.ledger()
    assert (ledger.target, ledger.header["settled"]) == (there, False)
    assert ledger.live() == {"eu-west": "v1.0.0", "us-east": "v1.1.0"}


def test_f62_after_a_deletion_an_assignment_begins_a_new_ledger(two: Site) -> None:
    delete_tag(two.remote, "api/staging")
    answer = two.answer(*ASSIGN, "--version", "v1.0.0")
    assert answer["plan"]["notices"] == ["First record of staging: there was no tag api/staging."]
    assert (two.ledger().live(), len(two.ledger().records)) == (BOTH, 2)


# Adoption


def _lightweight(site: Site) -> str:
    return put_ref(site.remote, "api/staging", site.target("api/v1.0.0"))


def _by_hand(site: Site) -> str:
    return unreadable(site.remote, "api/staging", site.target("api/v1.0.0"))


def _tree(site: Site) -> str:
    tree = git("rev-parse", "HEAD^{tree}", cwd=site.remote)
    return put_ref(
        site.remote, "api/staging", put_object(site.remote, tag_content(tree, "api/staging", kind="tree"))
    )


def _bare_tree(site: Site) -> str:
    return put_ref(site.remote, "api/staging", git("rev-parse", "HEAD^{tree}", cwd=site.remote))


def _broken(site: Site) -> str:
    text = git("cat-file", "tag", REF, cwd=site.remote)
    return site.put("api/staging", text.replace('"kind"', '"knd"', 1) + "\n")


def _nonsense(site: Site) -> str:
    """A ledger of ours in which a record stands twice."""
    text = git("cat-file", "tag", REF, cwd=site.remote)
    return site.put("api/staging", f"{text}\n{text.splitlines()[-1]}\n")


def _too_large(site: Site) -> str:
    content = tag_content(site.target("api/v1.0.0"), "api/staging", "x" * (1 << 24))
    return put_ref(site.remote, "api/staging", put_object(site.remote, content))


BROKEN: dict[str, Callable[[Site], str]] = {
    "F71-lightweight": _lightweight,
    "F71-by-hand": _by_hand,
    "F71-tag-to-a-tree": _tree,
    "F71-a-tree": _bare_tree,
    "F71-broken-json": _broken,
    "F71-nonsense": _nonsense,
    "F71-too-large": _too_large,
}


@pytest.mark.parametrize("name", BROKEN)
def test_f71_adopt_alone_replaces_what_can_not_be_read(two: Site, name: str) -> None:
    broken = BROKEN[name](two)
    before = two.remote_state()
    adopting = (*ASSIGN, "--version", "v1.0.0", "--adopt", "--reason", "it was overwritten")
    for line in (("deploy", *STAGING), (*ASSIGN, "--version", "v1.0.0"), ("deploy.history", *STAGING)):
        done = two.run(*line)
        assert done.returncode == 4
        assert re.fullmatch(
            r"next: inv tag\.assign --env staging --subproject api --version v1\.[01]\.0 --adopt"
            r' --reason "[a-z ]+"',
            done.stderr.splitlines()[-1],
        )
    assert two.run(*ASSIGN, "--version", "v1.0.0", "--adopt").returncode == 2
    assert two.answer(*adopting, "--dry-run")["plan"]["replaces"] == broken
    assert two.remote_state() == before

    answer = two.answer(*adopting)

    ledger = two.ledger()
    assert (ledger.header["replaces"], ledger.header["cut"]) == (broken, None)
    assert [record["reason"] for record in ledger.records] == ["it was overwritten"] * 2
    assert [record["seq"] for record in ledger.records] == [2, 1]
    assert (ledger.live(), ledger.target) == (BOTH, two.target("api/v1.0.0"))
    assert answer["plan"]["notices"][0].startswith("A new ledger begins, in the place of what can't be read:")
    after = two.remote_state()
    assert two.answer(*adopting)["deployments"] == []
    assert two.remote_state() == after


def test_f71_a_newer_form_is_never_touched(two: Site) -> None:
    text = git("cat-file", "tag", REF, cwd=two.remote)
    two.put("api/staging", text.replace('"schema":1', '"schema":2') + "\n")
    before = two.remote_state()
    done = two.run(*ASSIGN, "--version", "v1.0.0", "--adopt", "--reason", "why not", "--override", "me")
    assert done.returncode == 4
    assert done.stderr.endswith("next: pip install --upgrade ci-tasks\n")
    assert two.remote_state() == before


def test_adopt_is_for_what_can_not_be_read(two: Site) -> None:
    before = two.remote_state()
    adopt = ("--adopt", "--reason", "why not")
    done = two.run(*ASSIGN, "--version", "v1.1.0", *adopt)
    assert done.returncode == 3
    assert "api/staging can be read: leave --adopt out.\n  Rule: adopt." in done.stderr
    assert done.stderr.splitlines()[-1] == (
        "next: inv tag.assign --env staging --subproject api --version v1.1.0 --reason 'why not'"
    )
    assert two.remote_state() == before
    delete_tag(two.remote, "api/staging")
    done = two.run(*ASSIGN, "--version", "v1.1.0", *adopt)
    assert (done.returncode, "There is no tag api/staging: leave --adopt out." in done.stderr) == (3, True)


def test_f71_adoption_loses_to_whoever_was_faster(two: Site, tmp_path: Path) -> None:
    """The compare-and-swap is on the object that could not be read."""
    good = two.repository.remote_refs()[REF]
    _by_hand(two)
    slow = before_push(tmp_path / "slow", f"git -C '{two.remote}' update-ref {REF} {good}")
    done = two.run(*ASSIGN, "--version", "v1.1.0", "--adopt", "--reason", "x", env=slow)
    assert done.returncode == 4
    assert "api/staging changed while this assignment was being prepared" in done.stderr
    assert two.repository.remote_refs()[REF] == good


# Against others


def test_a_running_claim_stands_in_the_way(stage: Stage) -> None:
    site = stage.site
    running = stage.start("deploy", *STAGING, *EAST)
    stage.scripts_started()
    (record,) = stage.records()
    done = site.run(*ASSIGN, "--version", "v1.0.0")
    assert done.returncode == 4
    assert "somebody else holds the claim" in done.stderr
    assert f"Deployment {record['deploymentId']} of v1.0.0 in us-east" in done.stderr
    assert done.stderr.endswith("next: inv tag.assign --env staging --subproject api --version v1.0.0\n")
    assert stage.records() == [record]
    site.ok(*ASSIGN, "--version", "v1.0.0", "--region", "eu-west")
    stage.go()
    assert running.end().code == 0
    assert site.ledger().live() == BOTH
    assert [one["kind"] for one in stage.records()] == ["deploy", "assign"]
    stage.check_chain()


def test_f72_a_claim_whose_lease_is_long_over_does_not(stage: Stage) -> None:
    site = stage.site
    running = stage.start("deploy", *STAGING, *EAST)
    stage.scripts_started()
    running.kill()

    def over(ledger: object) -> None:
        for record in ledger.records:  # type: ignore[attr-defined]  # the tests' own Ledger
            record["leaseEnd"] = "2026-01-01T00:00:00Z"

    site.rewrite(over)
    site.ok(*ASSIGN, "--version", "v1.0.0")
    assert sorted(stage.statuses()) == [
        ("eu-west", "SUCCESS"),
        ("us-east", "CANCELLED"),
        ("us-east", "SUCCESS"),
    ]
    assert site.ledger().live() == BOTH
    stage.check_chain()


@pytest.mark.parametrize("other", ["v1.0.0", "v1.1.0"])
def test_two_assignments_at_once(stage: Stage, tmp_path: Path, other: str) -> None:
    """One loses the swap for sure. It wanted the same, and is content; or it is told."""
    site = stage.site
    site.version("api/v1.1.0")
    tag = site.remote / REF
    slow = before_push(tmp_path / "slow", f"until [ -e '{tag}' ]; do sleep 0.05; done")
    late = stage.start(*ASSIGN, "--version", other, env=slow)
    until(lambda: "First record of staging" in late.said, "its plan")
    site.ok(*ASSIGN, "--version", "v1.0.0")
    before = site.remote_state()
    ended = late.end()
    assert site.remote_state() == before
    if other == "v1.0.0":
        assert (ended.code, ended.report) == (
            0,
            "Nothing to do: somebody else has just assigned v1.0.0 in api/staging.",
        )
    else:
        assert ended.code == 4
        assert "changed while this assignment was being prepared" in ended.stderr


def test_f73_an_answer_that_is_lost_is_found_again(stage: Stage, tmp_path: Path) -> None:
    site = stage.site
    hook(site.remote, "post-receive", once(tmp_path / "died", KILL_SERVER))
    answer = site.answer(*ASSIGN, "--version", "v1.0.0")
    assert (tmp_path / "died").exists()
    assert [record["deploymentId"] for record in site.ledger().records] == [
        record["deploymentId"] for record in answer["deployments"]
    ]
    assert len(answer["deployments"]) == 2


def test_f73_an_assignment_that_arrived_counts_although_another_came_after_it(
    stage: Stage, tmp_path: Path
) -> None:
    """Its answer is lost; before it asks again, somebody assigns another version."""
    site = stage.site
    site.version("api/v1.1.0")
    hook(site.remote, "post-receive", once(tmp_path / "died", KILL_SERVER))
    other = f"cd '{site.clone}' && '{program('inv')}' {' '.join(ASSIGN)} --version v1.1.0"
    calls, done = tmp_path / "calls", tmp_path / "done"
    late = before_push(tmp_path / "late", from_the(2, calls, once(done, other)))
    site.ok(*ASSIGN, "--version", "v1.0.0", env=late)
    assert [record["version"] for record in site.ledger().records] == ["v1.1.0"] * 2 + ["v1.0.0"] * 2
    stage.check_chain()


def test_f75_without_any_answer_the_line_that_finds_out_is_named(stage: Stage) -> None:
    site = stage.site
    hook(site.remote, "pre-receive", KILL_SERVER)
    done = site.run(*ASSIGN, "--version", "v1.0.0")
    assert done.returncode == 6
    # There is no tag yet: the same again makes it, or finds it made, and keeps the late push out.
    line = done.stderr.splitlines()[-1].removeprefix("next: inv ")
    assert line == " ".join((*ASSIGN, "--version", "v1.0.0"))
    remove_hook(site.remote, "pre-receive")
    site.ok(*line.split())
    assert site.ledger().live() == BOTH

    site.version("api/v1.1.0")
    hook(site.remote, "pre-receive", KILL_SERVER)
    done = site.run(*ASSIGN, "--version", "v1.1.0")
    line = done.stderr.splitlines()[-1].removeprefix("next: inv ")
    assert line.startswith("deploy.settle --env staging --subproject api --deployment 2")
    remove_hook(site.remote, "pre-receive")
    assert "never reached api/staging" in site.run(*line.split()).stdout


def test_the_versions_of_a_removed_subproject_are_still_known(site: Site) -> None:
    site.repository.write("ci_tasks.yaml", "subprojects: [web]\n")
    site.repository.git("rm", "-rq", "api")
    site.commit("chore: drop api")
    api = ("--subproject", "api", "--version", "v1.0.0")
    site.ok("tag.notes", *api)
    site.ok(*ASSIGN, "--version", "v1.0.0")
    site.ok("tag.state", *api, "--state", "deprecated")
    assert site.ok("deploy.history", *STAGING)
    new = site.run("tag.create", "--subproject", "api", "--version", "v1.1.0")
    assert (new.returncode, "There is no subproject api." in new.stderr) == (2, True)


@pytest.mark.parametrize(
    "line",
    [
        *(
            ("env.list",),
            ("env.show", "--env", "staging"),
            ("script.list",),
            ("script.check",),
            ("tag.list",),
        ),
        *(("deploy.status",), ("deploy.history", "--env", "staging"), ("tag.verify",)),
        ("deploy", "--env", "staging", "--dry-run"),
    ],
    ids=lambda line: line[0],
)
def test_a_dot_names_the_root_project(site: Site, line: tuple[str, ...]) -> None:
    site.version("v3.0.0")
    inside = site.clone / "api"
    assert site.ok(*line, "--subproject", ".", cwd=inside) == site.ok(*line, "--subproject", "./")
    if line[0] == "deploy":
        assert "v3.0.0" in site.ok(*line, "--subproject", ".", cwd=inside)


def test_f80_what_the_remote_declines_is_refused(stage: Stage) -> None:
    site = stage.site
    hook(site.remote, "pre-receive", declining("not by you"))
    done = site.run(*ASSIGN, "--version", "v1.0.0")
    assert done.returncode == 3
    assert "Could not assign v1.0.0 in api/staging: the remote's rules decline it." in done.stderr
    assert REF not in site.repository.remote_refs()


def test_f55_a_version_that_moves_meanwhile_is_not_assigned(stage: Stage, tmp_path: Path) -> None:
    site = stage.site
    other = site.commit()
    slow = before_push(tmp_path / "slow", f"git -C '{site.remote}' update-ref refs/tags/api/v1.0.0 {other}")
    done = site.run(*ASSIGN, "--version", "v1.0.0", env=slow)
    assert done.returncode == 4
    assert REF not in site.repository.remote_refs()
