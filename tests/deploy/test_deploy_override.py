"""`--override`: which rules it passes, for whom, what is recorded of it, and the review that it owes."""

from __future__ import annotations

import shlex
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from ci_tasks.deploy.model import Request, line_of
from ci_tasks.tag.names import DeploymentKind
from tests.deploy.faulty_remote import KILL_SERVER, hook
from tests.deploy.running import GATED, STAGING, Stage
from tests.repositories import git
from tests.signers import Keys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.deploy.conftest import Site

REF = "refs/tags/api/staging"
WHY = "it is on fire"
OVERRIDE = ("--override", WHY)
V2 = ("--version", "v2.0.0")
BOTH = {"eu-west": "v2.0.0", "us-east": "v2.0.0"}


@pytest.fixture
def bad(site: Site) -> Site:
    """A site where v1.0.0 is live in staging, and v2.0.0 is marked deprecated: A version."""
    site.ok("tag.assign", *STAGING, "--version", "v1.0.0")
    site.commit()
    site.version("api/v2.0.0", "api/v2.0.0-deprecated")
    return site


def debts(site: Site, *line: str) -> list[dict[str, Any]]:
    """What `deploy.status` says of reviews that are due in the one environment."""
    (status,) = site.answer("deploy.status", *(line or STAGING))["environments"]
    return list(status["reviewDebts"])


def test_f59_a_bad_version_is_deployed_with_a_reason_that_is_recorded(bad: Site) -> None:
    before = bad.remote_state()
    assert bad.run("deploy", *STAGING, *V2).returncode == 3
    assert bad.run("deploy", *STAGING, *V2, "--override", "").returncode == 3, "empty is not given"
    assert bad.run("deploy", *STAGING, *V2, "--override", "  ").returncode == 3
    dry = bad.answer("deploy", *STAGING, *V2, *OVERRIDE, "--dry-run")
    assert bad.remote_state() == before
    assert dry["plan"]["refusals"] == []
    assert [refusal["rule"] for refusal in dry["plan"]["overridden"]] == ["state"]
    would = f"The override would be recorded, and wait for a review. Its reason: {WHY}"
    assert would in dry["plan"]["notices"]

    done = bad.run("deploy", *STAGING, *V2, *OVERRIDE)

    assert done.returncode == 0
    passed = "An override passes the rule state: api/v2.0.0 is marked deprecated: A version."
    waits = f"The override is recorded, and waits for a review. Its reason: {WHY}"
    assert f"note: {passed}\n" in done.stderr, "before the first script"
    assert waits in " ".join(done.stdout.split())
    assert passed not in " ".join(done.stdout.split()), "it is said once"
    records = [record for record in bad.ledger().records if record["kind"] == "deploy"]
    assert [record["override"] for record in records] == [{"reason": WHY, "signer": None}] * 2
    claim = records[0]["claimId"]
    line = f'inv deploy.review {" ".join(STAGING)} --deployment {claim} --note "what you found"'
    assert line in done.stdout
    assert line in bad.ok("deploy.status", *STAGING)
    assert f"override: {WHY}" in bad.ok("deploy.history", *STAGING)


def test_f59_an_assignment_is_overridden_in_the_same_way(bad: Site) -> None:
    refused = bad.run("tag.assign", *STAGING, *V2)
    assert refused.stderr.splitlines()[-1] == (
        'next: inv tag.assign --env staging --subproject api --version v2.0.0 --override "why"'
    )
    done = bad.run("tag.assign", *STAGING, *V2, *OVERRIDE)
    claim = bad.ledger().records[0]["claimId"]
    assert done.stdout.splitlines() == [
        "api/staging now says that v2.0.0 is live in eu-west, us-east. No script was run.",
        (
            "The override waits for a review: inv deploy.review --env staging --subproject api"
            f' --deployment {claim} --note "what you found"'
        ),
    ]
    assert bad.ledger().records[0]["override"] == {"reason": WHY, "signer": None}
    before = bad.remote_state()
    again = bad.answer("tag.assign", *STAGING, *V2, *OVERRIDE)
    assert (again["deployments"], bad.remote_state()) == ([], before)


def test_what_was_not_needed_is_not_recorded(bad: Site) -> None:
    bad.version("api/v1.1.0")
    answer = bad.answer("deploy", *STAGING, "--version", "v1.1.0", *OVERRIDE)
    assert [record["override"] for record in answer["deployments"]] == [None, None]
    assert answer["plan"]["overridden"] == []
    words = "--override was not needed: no rule that it can pass stood in the way. It is not recorded."
    assert words in answer["plan"]["notices"]
    assert debts(bad) == []


def test_protected_branches_and_drift_are_passed(site: Site) -> None:
    site.repository.write("environments/production/config.yml", "protected: true\nbranches: [release/*]\n")
    site.commit()
    line = ("--env", "production", "--subproject", "api", "--version", "v1.0.0")
    site.repository.write("environments/note", "x\n")
    dry = site.answer("deploy", *line, *OVERRIDE, "--dry-run")
    assert [one["rule"] for one in dry["plan"]["overridden"]] == ["branches", "protected", "protected"]
    site.ok("deploy", *line, *OVERRIDE)
    text = git("cat-file", "tag", "refs/tags/api/production", cwd=site.remote)
    there, elsewhere = site.target("api/v1.0.0"), site.commit()
    site.put("api/production", text.replace(there, elsewhere, 1) + "\n")
    refused = site.answer("deploy", *line, "--dry-run", "--again", code=3)
    assert [one["rule"] for one in refused["plan"]["refusals"]] == ["drift", "branches", "protected"]
    answer = site.answer("deploy", *line, "--override", "put it back")
    assert [one["rule"] for one in answer["plan"]["overridden"]] == ["drift", "branches", "protected"]
    ledger = site.ledger("api/production")
    assert (ledger.target, ledger.live()) == (there, {"": "v1.0.0"})
    assert [debt["reason"] for debt in debts(site, *line[:4])] == ["put it back", WHY]


def test_f61_drift_is_passed_for_one_region_and_stays_until_something_is_settled(bad: Site) -> None:
    text = git("cat-file", "tag", REF, cwd=bad.remote)
    elsewhere = bad.target("api/v2.0.0")
    bad.put("api/staging", text.replace(bad.target("api/v1.0.0"), elsewhere, 1) + "\n")
    bad.ok("deploy", *STAGING, *V2, *OVERRIDE, "--region", "us-east")
    assert bad.target() == elsewhere
    assert "DRIFT" in bad.ok("deploy.status", *STAGING)
    bad.ok("deploy", *STAGING, *V2, *OVERRIDE)
    assert (bad.ledger().live(), bad.ledger().header["settled"]) == (BOTH, True)
    assert "DRIFT" not in bad.ok("deploy.status", *STAGING)


def test_what_no_reason_passes(bad: Site) -> None:
    """An older version takes --yes, a version that was moved nothing at all, a claim its end."""
    bad.ok("deploy", *STAGING, *V2, *OVERRIDE)
    older = bad.run("deploy", *STAGING, "--version", "v1.0.0", "--override", "it's over")
    assert older.returncode == 3
    assert "Rule: downgrade." in older.stderr
    assert older.stderr.splitlines()[-1] == (
        "next: inv deploy --env staging --subproject api --version v1.0.0 --yes --override 'it'\"'\"'s over'"
    )
    git("update-ref", "-d", "refs/tags/api/v2.0.0", cwd=bad.remote)
    bad.commit()
    bad.version("api/v2.0.0")
    moved = bad.run("deploy", *STAGING, *V2, *OVERRIDE)
    assert (moved.returncode, "Rule: immutable." in moved.stderr) == (3, True)
    bad.repository.write("environments/staging/config.yml", "verify: tag\n")
    bad.commit()
    bad.version("api/v3.0.0")
    unsigned = bad.run("deploy", *STAGING, "--version", "v3.0.0", *OVERRIDE)
    assert (unsigned.returncode, "Rule: verify (" in unsigned.stderr) == (3, True)
    assert {debt["version"] for debt in debts(bad)} == {"v2.0.0"}


def test_a_rehearsal_records_no_override(bad: Site) -> None:
    before = bad.remote_state()
    done = bad.run("deploy", *STAGING, *V2, *OVERRIDE, env={"CI_TEST_MODE": "SKIP"})
    assert done.returncode == 0
    assert "An override passes the rule state" in done.stderr
    assert "is recorded, and waits" not in done.stdout
    assert bad.remote_state() == before


@pytest.mark.parametrize("text", ["a\nb", "a\x1b[31mb", "x" * 501])
def test_an_override_is_one_short_line(bad: Site, text: str) -> None:
    before = bad.remote_state()
    done = bad.run("deploy", *STAGING, *V2, f"--override={text}")
    assert (done.returncode, "--override takes" in done.stderr) == (2, True)
    assert bad.remote_state() == before


@pytest.mark.parametrize(
    ("request_", "line"),
    [
        (
            Request(environment="staging", version="v1.0.0", yes=True, override="it's; $HOME"),
            "inv deploy --env staging --version v1.0.0 --yes --override 'it'\"'\"'s; $HOME'",
        ),
        (
            Request(environment="staging", override="-x"),
            "inv deploy --env staging --override=-x",
        ),
        (
            Request(
                environment="staging",
                kind=DeploymentKind.ASSIGN,
                version="v1.0.0",
                regions=("a", "b"),
                adopt=True,
                reason="no ledger",
                override="why",
            ),
            (
                "inv tag.assign --env staging --version v1.0.0 --region a --region b --adopt"
                " --reason 'no ledger' --override why"
            ),
        ),
    ],
)
def test_printed_lines_keep_the_override(request_: Request, line: str) -> None:
    assert line_of(request_, None) == line


def test_a_reason_of_the_workflow_is_no_override(bad: Site) -> None:
    """An override is typed on purpose."""
    assert bad.run("deploy", *STAGING, *V2, env={"CI_TASKS_REASON": "because"}).returncode == 3


@pytest.mark.parametrize(
    ("variables", "file"),
    [
        ({"CI_TASKS_SIGN": "none"}, None),
        ({"CI_TASKS_ADMINS": '["me@example.invalid"]'}, None),
        ({}, "environments/allowed_signers"),
        ({}, "ci_tasks.yaml"),
    ],
)
def test_nobody_makes_himself_an_admin(bad: Site, variables: dict[str, str], file: str | None) -> None:
    before = bad.remote_state()
    if file:
        text = 'subprojects: [api, web, "services/*"]\nadmins: [me@example.invalid]\n'
        bad.repository.write(file, text)
    done = bad.run("deploy", *STAGING, *V2, *OVERRIDE, env=variables)
    assert done.returncode == 3
    assert (file or next(iter(variables))) in done.stderr
    assert "Rule: override.\n  Also: api/v2.0.0 is marked deprecated: A version." in done.stderr
    assert bad.remote_state() == before


# Signing


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    """Keys of alice, who is an admin, of bob, who is none, and of a stranger."""
    made = Keys(tmp_path_factory.mktemp("keys"))
    for name in ("alice", "bob", "stranger"):
        made.make(name)
    yield made
    made.end_agent()


@pytest.fixture(params=["ssh", "gpg"])
def signed(bad: Site, keys: Keys, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The site with signing on; admins are named by principal, or by fingerprint."""
    form = str(request.param)
    monkeypatch.setenv("GNUPGHOME", str(keys.home))
    keys.allow(bad.clone, "alice", "bob", form=form)
    admin = "alice@example.invalid" if form == "ssh" else keys.fingerprint("alice", "gpg").lower()
    settings = 'subprojects: [api, web, "services/*"]\n'
    bad.repository.write("ci_tasks.yaml", f"{settings}sign: {form}\nadmins: ['{admin}']\n")
    bad.commit()
    bad.variables["FORM"] = form
    return bad


def as_who(site: Site, keys: Keys, name: str) -> None:
    """Let this key sign from now on."""
    keys.configure(site.clone, name, site.variables["FORM"])


def test_without_any_admin_the_line_that_names_one_is_told(signed: Site, keys: Keys) -> None:
    form = signed.variables["FORM"]
    signed.repository.write("ci_tasks.yaml", f'subprojects: [api, web, "services/*"]\nsign: {form}\n')
    signed.commit()
    as_who(signed, keys, "bob")
    done = signed.run("deploy", *STAGING, *V2, *OVERRIDE)
    assert done.returncode == 3
    line = f"echo 'admins: [{keys.signer('bob', form)}]' >> ci_tasks.yaml"
    assert f"next: {line}\n" in done.stderr
    subprocess.run(["sh", "-c", line], cwd=signed.clone, check=True)
    signed.commit()
    signed.ok("deploy", *STAGING, *V2, *OVERRIDE)


def test_where_tags_are_signed_it_takes_an_admin_and_another_reviews(signed: Site, keys: Keys) -> None:
    before = signed.remote_state()
    form = signed.variables["FORM"]
    alice = keys.signer("alice", form)
    for name, says in (("bob", f"{keys.signer('bob', form)}, who is none"), ("stranger", "not good")):
        as_who(signed, keys, name)
        done = signed.run("deploy", *STAGING, *V2, *OVERRIDE)
        assert done.returncode == 3
        assert "An override takes the signature of an admin, and yours is" in done.stderr
        assert says in done.stderr
        assert "Admins are: " in done.stderr
        assert "Rule: override." in done.stderr
        assert signed.remote_state() == before
    as_who(signed, keys, "alice")
    signed.ok("deploy", *STAGING, *V2, *OVERRIDE)
    (debt, _) = debts(signed)
    assert (debt["signer"], debt["reason"]) == (alice, WHY)

    before = signed.remote_state()
    review = ("deploy.review", *STAGING, "--deployment", debt["deploymentId"].partition(".")[0])
    for name, says in (
        ("alice", f"{alice}, which is that of the override itself"),
        ("stranger", "not good"),
    ):
        as_who(signed, keys, name)
        done = signed.run(*review, "--note", "fine")
        assert done.returncode == 3
        assert says in done.stderr
        assert "Rule: review." in done.stderr
        if (name, form) == ("alice", "ssh"):
            assert "Ask one of these to type the line: bob@example.invalid.\n" in done.stderr
            assert f"next: inv {' '.join(review)} --note " in done.stderr
        else:
            assert "next: cat environments/allowed_signers\n" in done.stderr
        assert signed.remote_state() == before
    as_who(signed, keys, "bob")
    # A name is anybody's to set: with signers who differ it is nobody's own override.
    assert "your own override" not in signed.ok(*review, "--note", "fine")
    assert debts(signed) == []
    as_who(signed, keys, "alice")
    signed.ok(*review, "--note", "fine")


# Reviews


@pytest.fixture
def owing(bad: Site) -> Site:
    """The site after an override in both regions."""
    bad.ok("deploy", *STAGING, *V2, *OVERRIDE)
    return bad


def test_the_status_shows_what_is_due(owing: Site) -> None:
    east, west = debts(owing)
    assert east == {
        "deploymentId": east["deploymentId"],
        "version": "v2.0.0",
        "region": "us-east",
        "reason": WHY,
        "since": east["since"],
        "by": "Test Person",
        "signer": None,
    }
    assert west["region"] == "eu-west"
    lines = owing.ok("deploy.status").splitlines()
    assert sum(line.endswith("REVIEW DUE") for line in lines) == 2
    since = east["since"][:16].replace("T", " ")
    assert lines[-2:] == [
        f"REVIEW DUE: api/staging: Test Person overrode a rule for v2.0.0 at {since} UTC: {WHY}",
        (
            "  When you have looked at it: inv deploy.review --env staging --subproject api"
            f' --deployment {east["deploymentId"].partition(".")[0]} --note "what you found"'
        ),
    ]


def test_a_review_of_the_claim_closes_all_its_regions(owing: Site) -> None:
    before = owing.ledger()
    claim = before.records[0]["claimId"]
    review = ("deploy.review", *STAGING, "--deployment", claim, "--note", "looked at the graphs")
    answer = owing.answer(*review)
    after = owing.ledger()
    assert after.records[1:] == before.records
    assert after.records[0] == answer["review"]
    assert (answer["closed"], answer["isOwn"]) == (True, True)
    shown = {name: answer["review"][name] for name in ("kind", "status", "region", "version", "reviews")}
    assert shown == {
        "kind": "review",
        "status": "SUCCESS",
        "region": None,
        "version": "v2.0.0",
        "reviews": claim,
    }
    assert answer["review"]["reason"] == "looked at the graphs"
    assert {**after.header, "replaces": None} == {**before.header, "replaces": None}
    assert (after.target, after.live()) == (before.target, BOTH)
    assert debts(owing) == []
    assert "REVIEW DUE" not in owing.ok("deploy.status")
    rows = owing.ok("deploy.history", *STAGING).splitlines()
    assert "REVIEW" in rows[1]
    why = rows[rows.index("Deployment               Note") + 1]
    assert why.endswith(f"  of {claim}; looked at the graphs")
    said = owing.ok("tag.show", "api/staging")
    assert "  REVIEW  " in said
    assert f"of {claim}; looked at the graphs" in said
    assert f"override (reviewed): {WHY}" in said

    state = owing.remote_state()
    again = owing.answer(*review)
    assert (again["closed"], again["review"]) == (False, answer["review"])
    assert owing.ok(*review) == (
        f"Nothing to do: Test Person has reviewed {claim} already, in api/staging.\n"
    )
    owing.ok("deploy", *STAGING, *V2)
    assert owing.remote_state() == state


def test_one_region_after_the_other_and_by_somebody_else(owing: Site) -> None:
    for left, debt in zip((1, 0), debts(owing), strict=True):
        answer = owing.answer(
            *("deploy.review", *STAGING, "--deployment", debt["deploymentId"], "--note", "fine"),
            env={"GITHUB_ACTOR": "octocat"},
        )
        assert (answer["review"]["region"], answer["review"]["triggeredBy"]) == (debt["region"], "octocat")
        assert answer["isOwn"] is False
        assert len(debts(owing)) == left
    claim = debt["deploymentId"].partition(".")[0]
    assert owing.answer("deploy.review", *STAGING, "--deployment", claim, "--note", "x")["closed"] is False


def test_ones_own_review_is_said_to_be_that(owing: Site) -> None:
    claim = owing.ledger().records[0]["claimId"]
    assert owing.ok("deploy.review", *STAGING, "--deployment", claim, "--note", "fine") == (
        f"The review of {claim} is recorded in api/staging."
        " It was your own override: let somebody else look, too, where you can.\n"
    )


def test_f75_the_line_after_a_lost_answer_keeps_the_note(owing: Site) -> None:
    claim = owing.ledger().records[0]["claimId"]
    hook(owing.remote, "pre-receive", KILL_SERVER)
    done = owing.run("deploy.review", *STAGING, "--deployment", claim, "--note", "it's my finding")
    line = done.stderr.splitlines()[-1].removeprefix("next: ")
    assert (done.returncode, shlex.split(line)[-2:]) == (6, ["--note", "it's my finding"])


def test_an_id_without_an_override_is_answered_with_those_that_wait(owing: Site) -> None:
    before = owing.remote_state()
    newest, first = owing.ledger().records[0], owing.ledger().records[-1]
    for identifier, says in (
        (first["deploymentId"], f"{first['deploymentId']} overrode no rule, so there is nothing to review."),
        ("$(id)", "api/staging has no deployment '$(id)', so there is nothing to review."),
    ):
        done = owing.run("deploy.review", *STAGING, "--deployment", identifier, "--note", "x")
        assert done.returncode == 2
        assert says in done.stderr
        assert f"Waiting for a review:\n  {newest['deploymentId']} of v2.0.0 by Test Person: {WHY}\n" in (
            done.stderr
        )
        assert f"--deployment {newest['claimId']} --note" in done.stderr.splitlines()[-1]
    for note in ("", " ", "two\nlines"):
        done = owing.run("deploy.review", *STAGING, "--deployment", newest["claimId"], "--note", note)
        assert (done.returncode, "--note" in done.stderr) == (2, True)
    assert owing.remote_state() == before


def test_where_nothing_is_due_the_answer_says_so(site: Site) -> None:
    done = site.run("deploy.review", *STAGING, "--deployment", "x", "--note", "x")
    assert done.returncode == 2
    assert "Nothing there waits for a review." in done.stderr
    assert done.stderr.splitlines()[-1] == "next: inv deploy.history --env staging --subproject api"


def test_what_is_running_is_reviewed_when_it_has_ended(bad: Site) -> None:
    stage = Stage(bad)
    bad.script(GATED)
    try:
        running = stage.start("deploy", *STAGING, *V2, *OVERRIDE, "--region", "us-east")
        stage.scripts_started()
        (debt,) = debts(bad)
        review = ("deploy.review", *STAGING, "--deployment", debt["deploymentId"], "--note", "fine")
        done = bad.run(*review)
        assert (done.returncode, "is still running" in done.stderr) == (4, True)
        stage.go()
        assert running.end().code == 0
    finally:
        stage.clean()
    bad.ok(*review)
    assert debts(bad) == []
    stage.check_chain()


def test_a_review_on_a_tag_that_was_moved_leaves_it_there(owing: Site) -> None:
    text = git("cat-file", "tag", REF, cwd=owing.remote)
    elsewhere = owing.target("api/v1.0.0")
    owing.put("api/staging", text.replace(owing.target(), elsewhere, 1) + "\n")
    claim = owing.ledger().records[0]["claimId"]
    owing.ok("deploy.review", *STAGING, "--deployment", claim, "--note", "fine")
    assert owing.target() == elsewhere
    assert "DRIFT" in owing.ok("deploy.status", *STAGING)
