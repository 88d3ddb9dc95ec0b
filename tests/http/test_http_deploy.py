"""Deployments over HTTP: claims, results and answers that are lost on the way, and who may write."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from tests.deploy.running import GATED, STAGING, Stage, until
from tests.http.faults import (
    GATEWAY_TIMEOUT,
    HALF_ANSWER,
    HALF_REQUEST,
    LOST_ANSWER,
    LOST_REQUEST,
    NONE,
    RESET_ANSWER,
    RESET_REQUEST,
    Fault,
    Kind,
    Request,
    refused,
)
from tests.http.proxy import Proxy, basic
from tests.repositories import git

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.deploy.conftest import Ledger, Site

EAST, WEST = ("--region", "us-east"), ("--region", "eu-west")
RAN = ["record hello eu-west", "smoke hello eu-west", "record hello us-east", "smoke hello us-east"]
LOGIN = "somebody:dont-show-me"
DONE = [("us-east", "SUCCESS"), ("eu-west", "SUCCESS")]


@pytest.fixture
def stage(site: Site, proxy: Proxy) -> Iterator[Stage]:
    """A site with scripts that wait until the test lets them go; `proxy` is between it and its remote."""
    assert proxy.url in site.repository.git("remote", "get-url", "origin")
    stage = Stage(site)
    site.script(GATED)
    site.script("true", name="20-ci-smoke")
    yield stage
    stage.clean()


def at(*faults: Fault) -> Callable[[Request], Fault]:
    """The n-th fault for the first try of the n-th tag object that is pushed: the claim, then the results."""

    def fault(request: Request) -> Fault:
        is_meant = request.nth_try == 1 and 1 <= request.nth_object <= len(faults)
        return faults[request.nth_object - 1] if is_meant else NONE

    return fault


def lease_is_over(stage: Stage) -> None:
    """Whoever is running has not renewed its lease for long."""

    def edit(ledger: Ledger) -> None:
        for record in ledger.records:
            if record["status"] == "RUNNING":
                record["leaseEnd"] = "2026-01-01T00:00:00Z"

    stage.site.rewrite(edit)


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param((LOST_REQUEST, HALF_ANSWER, LOST_ANSWER), id="F73-1"),
        pytest.param((LOST_ANSWER, RESET_REQUEST, HALF_ANSWER), id="F73-2"),
        pytest.param((HALF_ANSWER, LOST_ANSWER, HALF_REQUEST), id="F73-3"),
        pytest.param((GATEWAY_TIMEOUT, RESET_ANSWER, refused(503)), id="F73-4"),
        pytest.param((HALF_REQUEST, GATEWAY_TIMEOUT, GATEWAY_TIMEOUT), id="F74-5"),
        pytest.param((RESET_ANSWER, refused(502), RESET_REQUEST), id="F74-6"),
    ],
)
def test_the_claim_and_both_results_go_wrong(site: Site, proxy: Proxy, faults: tuple[Fault, ...]) -> None:
    proxy.start_over(at(*faults))
    done = site.run("deploy", *STAGING)
    assert done.returncode == 0, done.stderr
    assert "NOT recorded" not in done.stderr
    assert site.repository.recorded() == RAN
    stage = Stage(site)
    assert stage.statuses() == DONE
    assert site.ledger().header["settled"] is True
    stage.check_chain()
    assert proxy.tally.objects.keys() >= {site.repository.remote_refs()["refs/tags/api/staging"].encode()}


def test_f73_a_tag_of_ours_is_ours(site: Site, proxy: Proxy) -> None:
    """Its answer is lost, and git's own second try is told that there is such a tag."""
    proxy.start_over(at(LOST_ANSWER))
    line = ("--version", "v1.1.0", "--subproject", "api")
    assert "Created api/v1.1.0 on commit" in site.ok("tag.create", *line)
    proxy.start_over(at(LOST_ANSWER))
    assert site.answer("tag.state", *line, "--state", "stable")["created"] is True
    proxy.start_over(at(LOST_ANSWER))
    assert "Nothing to do" in site.ok("tag.create", *line)
    assert proxy.times(Kind.PUSH) == 0


def test_f74_the_claim_never_arrives(site: Site, proxy: Proxy) -> None:
    site.ok("deploy", *STAGING, *WEST)
    before = site.repository.remote_refs()
    proxy.start_over(lambda request: LOST_REQUEST if request.kind is Kind.PUSH else NONE)
    done = site.run("deploy", *STAGING, *EAST)
    assert done.returncode == 6, done.stderr
    assert site.repository.recorded() == RAN[:2]
    assert site.repository.remote_refs() == before
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("next: inv deploy.settle"))
    proxy.start_over()
    found = site.run(*line.removeprefix("next: inv ").split())
    assert found.returncode == 1
    assert "never reached api/staging, and can't any more" in found.stdout


def test_f75_the_claim_arrives_and_nothing_is_heard_any_more(site: Site, proxy: Proxy) -> None:
    """The way is cut in the middle of the claim's answer, and is open again for whoever asks later."""
    away = threading.Event()

    def faults(request: Request) -> Fault:
        if away.is_set():
            return LOST_REQUEST
        if request.kind is Kind.PUSH:
            away.set()
            return HALF_ANSWER
        return NONE

    proxy.start_over(faults)
    done = site.run("deploy", *STAGING)
    assert done.returncode == 6, done.stderr
    assert site.repository.recorded() == []
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("next: inv deploy.settle"))
    stage = Stage(site)
    assert sorted(stage.statuses()) == [("eu-west", "RUNNING"), ("us-east", "RUNNING")]
    proxy.start_over()
    found = site.run(*line.removeprefix("next: inv ").split())
    assert found.returncode == 4
    assert "still holds its claim" in found.stdout
    lease_is_over(stage)
    found = site.run(*line.removeprefix("next: inv ").split())
    assert (found.returncode, stage.statuses()[0][1]) == (1, "CANCELLED")
    site.ok("deploy", *STAGING)
    stage.check_chain()


def test_f75_the_way_is_cut_while_scripts_run(stage: Stage, proxy: Proxy) -> None:
    """The result waits for the remote as long as the claim holds."""
    owner = stage.start("deploy", *STAGING, *WEST)
    stage.scripts_started()
    proxy.start_over(lambda request: LOST_REQUEST if request.number < 3 else NONE)
    stage.go()
    ended = owner.end()
    assert ended.code == 0, ended.stderr
    assert stage.statuses() == [("eu-west", "SUCCESS")]


def test_f69_two_claims_on_one_region_and_one_beside_them(stage: Stage, proxy: Proxy) -> None:
    """All three read before any of them writes, and lose the answers of their first pushes."""
    gate = threading.Event()
    waiting: list[Request] = []

    def faults(request: Request) -> Fault:
        if request.kind is not Kind.PUSH or request.nth_try > 1 or gate.is_set():
            return NONE
        waiting.append(request)
        if len(waiting) == 3:
            gate.set()
        return Fault(gate=gate, kept=LOST_ANSWER.kept)

    proxy.start_over(faults)
    regions = (WEST, WEST, EAST)
    racers = [stage.start("deploy", *STAGING, *region) for region in regions]
    stage.scripts_started(2)
    until(lambda: any(racer.process.poll() is not None for racer in racers[:2]), "the loser")
    stage.go()
    codes = [racer.end().code for racer in racers]
    assert (sorted(codes[:2]), codes[2]) == ([0, 4], 0)
    (loser,) = (racer for racer, code in zip(racers, codes, strict=True) if code)
    assert "somebody else holds the claim" in loser.said
    assert sorted(stage.site.repository.recorded()) == ["eu-west", "us-east"]
    assert sorted(stage.statuses()) == [("eu-west", "SUCCESS"), ("us-east", "SUCCESS")]
    stage.check_chain()


def test_it_waits_for_its_turn(stage: Stage, proxy: Proxy) -> None:
    """The answers of joining and of claiming are lost; it runs once all the same, after the one before it."""
    stage.site.version("api/v1.1.0")
    owner = stage.start("deploy", *STAGING, *WEST, "--version", "v1.0.0")
    stage.scripts_started()
    proxy.start_over(at(LOST_ANSWER, LOST_ANSWER, LOST_ANSWER, HALF_ANSWER))
    waiter = stage.start("deploy", *STAGING, *WEST, "--version", "v1.1.0", "--wait", "5")
    until(lambda: ("eu-west", "PENDING") in stage.statuses(), "the place in the queue")
    stage.go()
    assert [each.end().code for each in (owner, waiter)] == [0, 0], waiter.said
    assert stage.site.repository.recorded() == ["eu-west", "eu-west"]
    assert stage.site.ledger().results() == [
        ("eu-west", "v1.1.0", "SUCCESS"),
        ("eu-west", "v1.0.0", "SUCCESS"),
    ]
    stage.check_chain()


def test_on_to_the_next_environment_and_back_again(site: Site, proxy: Proxy) -> None:
    """Each of the pushes loses its answer once."""
    to = ("--env", "production", "--subproject", "api")
    site.ok("deploy", *to)
    site.version("api/v1.1.0")
    site.ok("deploy", *STAGING)
    proxy.start_over(at(LOST_ANSWER, GATEWAY_TIMEOUT))
    site.ok("deploy.promote", "--from", "staging", "--to", "production", "--subproject", "api")
    proxy.start_over(at(HALF_ANSWER, RESET_ANSWER))
    site.ok("deploy.rollback", *to)
    ledger = site.ledger("api/production")
    assert [(one["version"], one["kind"], one["status"]) for one in ledger.records] == [
        ("v1.0.0", "rollback", "SUCCESS"),
        ("v1.1.0", "promote", "SUCCESS"),
        ("v1.0.0", "deploy", "SUCCESS"),
    ]
    assert site.target("api/production") == site.target("api/v1.0.0")
    Stage(site).check_chain("api/production")


def test_f76_the_client_dies_and_its_push_arrives(stage: Stage, proxy: Proxy) -> None:
    """`kill -9` while the proxy holds the claim: it is there later, and nobody runs for it."""
    gate = threading.Event()
    proxy.start_over(at(Fault(gate=gate)))
    site = stage.site
    dead = stage.start("deploy", *STAGING, *WEST)
    until(lambda: proxy.times(Kind.PUSH), "the claim")
    os.killpg(dead.process.pid, signal.SIGKILL)
    dead.process.wait(60)
    assert stage.records() == []
    gate.set()
    until(stage.records, "the late claim")
    done = site.run("deploy", *STAGING, *WEST)
    assert done.returncode == 4
    assert "somebody else holds the claim" in done.stderr
    lease_is_over(stage)
    stage.go()
    site.ok("deploy", *STAGING, *WEST)
    assert stage.statuses() == [("eu-west", "SUCCESS"), ("eu-west", "CANCELLED")]
    assert site.repository.recorded() == ["eu-west"]
    stage.check_chain()


def test_f95_it_is_cancelled_while_the_way_is_slow(stage: Stage, proxy: Proxy) -> None:
    owner = stage.start("deploy", *STAGING)
    stage.scripts_started()
    proxy.start_over(lambda request: Fault(delay=0.3) if request.kind is Kind.PUSH else NONE)
    owner.signal(signal.SIGTERM)
    ended = owner.end()
    assert ended.code == 143, ended.stderr
    assert sorted(stage.statuses()) == [("eu-west", "CANCELLED"), ("us-east", "CANCELLED")]
    assert stage.survivors() == []
    stage.check_chain()


def test_a_workflows_checkout_and_its_token(site: Site, proxy: Proxy) -> None:
    """One commit, no tags, and the token in a header of the clone's own settings: as actions/checkout."""
    clone = site.temporary / "workspace"
    git("clone", "--quiet", "--depth=1", "--no-tags", proxy.url, str(clone), cwd=site.temporary)
    proxy.login = LOGIN
    denied = site.run("deploy", *STAGING, cwd=clone)
    assert denied.returncode == 5
    assert "the login was refused" in denied.stderr
    header = f"http.http://{proxy.site}/.extraheader"
    git("config", header, f"Authorization: {basic(LOGIN)}", cwd=clone)
    site.ok("tag.create", "--version", "v1.1.0", "--subproject", "api", cwd=clone)
    said = site.run("deploy", *STAGING, cwd=clone)
    assert said.returncode == 0, said.stderr
    assert site.ledger().live() == {"eu-west": "v1.1.0", "us-east": "v1.1.0"}
    assert "dont-show-me" not in said.stdout + said.stderr
    assert basic(LOGIN).split()[1] not in said.stdout + said.stderr
    assert "Nothing to do" in site.ok("deploy", *STAGING, cwd=clone)


@pytest.mark.parametrize("status", [401, 403])
def test_f83_who_may_read_but_not_write(site: Site, proxy: Proxy, status: int) -> None:
    proxy.start_over(lambda request: refused(status) if request.kind is Kind.ANNOUNCEMENT else NONE)
    before = site.remote_state()
    done = site.run("deploy", *STAGING)
    assert done.returncode == 5, done.stderr
    assert "the login was refused" in done.stderr
    assert "Nothing was changed" in done.stderr
    assert site.repository.recorded() == []
    assert site.remote_state() == before


def test_f83_the_token_ends_while_scripts_run(stage: Stage, proxy: Proxy) -> None:
    """The scripts have done their work and nothing says so: no failure is made of it, and it is told."""
    site = stage.site
    site.repository.git("remote", "set-url", "origin", proxy.url.replace("://", f"://{LOGIN}@"))
    proxy.login = LOGIN
    owner = stage.start("deploy", *STAGING, *WEST, env={"CI_TASKS_LEASE": "10s"})
    stage.scripts_started()
    proxy.login = "somebody:else"
    stage.go()
    ended = owner.end()
    assert ended.code == 5, ended.stderr
    assert "eu-west: v1.0.0 SUCCESS, but NOT recorded in api/staging" in ended.stderr
    assert "the login was refused" in ended.report
    assert "deploy.settle" in ended.report
    assert "dont-show-me" not in ended.stderr + ended.stdout
    assert stage.statuses() == [("eu-west", "RUNNING")]


def test_f87_a_proxy_that_wants_a_login(site: Site, proxy: Proxy) -> None:
    proxy.proxy_login = LOGIN
    through = {"no_proxy": "", "http_proxy": f"http://{proxy.site}"}
    site.repository.git("remote", "set-url", "origin", "http://git.example.invalid/remote.git")
    done = site.run("deploy", *STAGING, env=through)
    assert done.returncode == 5
    assert "the proxy refused" in done.stderr
    done = site.run("deploy", *STAGING, env={**through, "http_proxy": f"http://{LOGIN}@{proxy.site}"})
    assert done.returncode == 0, done.stderr
    assert "dont-show-me" not in done.stderr + done.stdout
    assert site.repository.recorded() == RAN
