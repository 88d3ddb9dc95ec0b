"""Pushes over HTTP: what is lost on the way is found out, and what is there is never called lost."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from ci_tasks.core.errors import UnavailableError
from ci_tasks.core.git.push import NotApplied, PushResult, RefUpdate
from tests.core.places import TAG, hook, origin_of, tag_content
from tests.http.faults import (
    GATEWAY_TIMEOUT,
    HALF_ANSWER,
    HALF_REQUEST,
    HALF_UNDELIMITED,
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
from tests.repositories import git

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.deploy.conftest import Site
    from tests.http.proxy import Proxy

FAULTS = [
    pytest.param(LOST_REQUEST, id="F74-lost-request"),
    pytest.param(RESET_REQUEST, id="F74-reset-request"),
    pytest.param(HALF_REQUEST, id="F74-half-request"),
    pytest.param(refused(503), id="F74-refused-with-503"),
    pytest.param(LOST_ANSWER, id="F73-lost-answer"),
    pytest.param(RESET_ANSWER, id="F73-reset-answer"),
    pytest.param(HALF_ANSWER, id="F73-half-answer"),
    pytest.param(GATEWAY_TIMEOUT, id="F73-gateway-timeout"),
]
FATAL = [
    pytest.param(401, "the login was refused", id="F83-401"),
    pytest.param(403, "the login was refused", id="F83-403"),
    pytest.param(404, "the address is wrong", id="F83-404"),
    pytest.param(407, "the proxy refused", id="F87-407"),
    pytest.param(429, "the network failed", id="F87-429"),
    pytest.param(502, "the network failed", id="F87-502"),
]


def make(site: Site, text: str = "one", *, old: str | None = None) -> RefUpdate:
    """The move of an environment tag to a new tag object, from the id that it has."""
    origin = origin_of(site.clone)
    return RefUpdate(ref=TAG, new=origin.write_tag(tag_content(head(site), text)), old=old)


def head(site: Site) -> str:
    return git("rev-parse", "main", cwd=site.remote)


def now(site: Site) -> str | None:
    """What the remote itself says."""
    return site.repository.remote_refs().get(TAG)


def at_push(fault: Fault, *numbers: int) -> Callable[[Request], Fault]:
    """The fault at these pushes, counted from 1; at all of them where none is named."""
    return lambda request: (
        fault if request.kind is Kind.PUSH and request.number in (numbers or [request.number]) else NONE
    )


@pytest.mark.parametrize("fault", FAULTS)
def test_one_push_goes_wrong(site: Site, proxy: Proxy, fault: Fault) -> None:
    origin = origin_of(site.clone)
    first = make(site)
    proxy.start_over(at_push(fault, 1))
    assert origin.push_until_known([first]).result is PushResult.APPLIED
    assert now(site) == first.new
    then = make(site, "two", old=first.new)
    proxy.start_over(at_push(fault, 1))
    assert origin.push_until_known([then]).result is PushResult.APPLIED
    assert now(site) == then.new
    gone = RefUpdate(ref=TAG, new=None, old=then.new)
    proxy.start_over(at_push(fault, 1))
    assert origin.push_until_known([gone]).result is PushResult.APPLIED
    assert now(site) is None


@pytest.mark.parametrize("fault", [LOST_ANSWER, HALF_ANSWER, GATEWAY_TIMEOUT], ids=["lost", "half", "504"])
def test_f73_no_answer_ever_comes(site: Site, proxy: Proxy, fault: Fault) -> None:
    proxy.start_over(at_push(fault))
    update = make(site)
    assert origin_of(site.clone).push_until_known([update]).result is PushResult.APPLIED
    assert now(site) == update.new


def test_f73_git_waits_for_an_answer_that_has_ended(site: Site, proxy: Proxy) -> None:
    proxy.start_over(at_push(HALF_UNDELIMITED, 1))
    update = make(site)
    assert origin_of(site.clone, timeout=1.0).push_until_known([update]).result is PushResult.APPLIED
    assert now(site) == update.new


@pytest.mark.parametrize("fault", [LOST_REQUEST, refused(503)], ids=["lost", "503"])
def test_f74_no_push_ever_arrives(site: Site, proxy: Proxy, fault: Fault) -> None:
    proxy.start_over(at_push(fault))
    outcome = origin_of(site.clone).push_until_known([make(site)], tries=2)
    assert (outcome.result, outcome.retried) == (PushResult.UNKNOWN, True)
    assert now(site) is None


@pytest.mark.parametrize("lost", [NONE, LOST_ANSWER], ids=["answered", "unanswered"])
def test_a_race_is_a_race(site: Site, proxy: Proxy, lost: Fault) -> None:
    """Somebody else's push arrives between the announcement and ours; curl sends ours twice if it must."""
    entered, gate = threading.Event(), threading.Event()

    def faults(request: Request) -> Fault:
        if request.kind is not Kind.PUSH or request.number > 1:
            return NONE
        entered.set()
        return Fault(gate=gate, kept=lost.kept)

    proxy.start_over(faults)
    ours, theirs = make(site), make(site, "theirs")
    found = []
    thread = threading.Thread(target=lambda: found.append(origin_of(site.clone).push_until_known([ours])))
    thread.start()
    assert entered.wait(60)
    git("fetch", "--quiet", str(site.clone / ".git/ci-tasks/store.git"), str(theirs.new), cwd=site.remote)
    git("update-ref", TAG, str(theirs.new), cwd=site.remote)
    gate.set()
    thread.join(60)
    assert [(one.result, one.reason) for one in found] == [(PushResult.NOT_APPLIED, NotApplied.RACE)]
    assert now(site) == theirs.new


def test_f111_a_push_arrives_after_its_client_has_given_up(site: Site, proxy: Proxy) -> None:
    gate = threading.Event()
    proxy.start_over(at_push(Fault(gate=gate), 1))
    origin, update = origin_of(site.clone, timeout=1.0), make(site)
    assert origin.push([update]).result is PushResult.UNKNOWN
    assert now(site) is None, "an old value read back proves nothing"
    landed = site.temporary / "landed"
    hook(site.remote, "post-receive", f"touch {landed}")
    gate.set()
    assert origin.push_until_known([update], tries=20).result is PushResult.APPLIED
    assert now(site) == update.new
    assert landed.exists()


@pytest.mark.parametrize("kind", [Kind.ANNOUNCEMENT, Kind.PUSH], ids=["announcement", "push"])
@pytest.mark.parametrize(("status", "says"), FATAL)
def test_refused(site: Site, proxy: Proxy, status: int, says: str, kind: Kind) -> None:
    """Before a push began this is known; afterwards it is not: a gateway may say so of what it passed on."""
    proxy.start_over(lambda request: refused(status) if request.kind is kind else NONE)
    origin, update = origin_of(site.clone), make(site)
    if kind is Kind.PUSH and status != 401:
        assert origin.push_until_known([update], tries=1).result is PushResult.UNKNOWN
    else:
        with pytest.raises(UnavailableError, match=says):
            origin.push_until_known([update], tries=1)
    assert now(site) is None


def test_a_server_of_the_first_protocol(site: Site, proxy: Proxy) -> None:
    """Some proxies take the Git-Protocol header away."""
    proxy.strips_protocol = True
    proxy.start_over(at_push(LOST_ANSWER, 1))
    update = make(site)
    assert origin_of(site.clone).push_until_known([update]).result is PushResult.APPLIED
    assert now(site) == update.new
    assert origin_of(site.clone).refs(TAG)[0].object_id == update.new


def test_a_repository_that_has_moved(site: Site, proxy: Proxy) -> None:
    proxy.redirects = ("/old.git", "/remote.git")
    site.repository.git("remote", "set-url", "origin", f"http://{proxy.site}/old.git")
    update = make(site)
    assert origin_of(site.clone).push_until_known([update]).result is PushResult.APPLIED
    assert now(site) == update.new
