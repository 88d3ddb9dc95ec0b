"""Reading over HTTP: what is cut, late or refused is asked for again, or is an error, and never "no tags"."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from ci_tasks.core.errors import UnavailableError
from tests.core.places import fill_with_tags, origin_of
from tests.http.faults import (
    HALF_ANSWER,
    HALF_UNDELIMITED,
    LOST_REQUEST,
    NONE,
    RESET_ANSWER,
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

READS = (Kind.LISTING, Kind.FETCH)
ALL = "refs/tags/"


def at_reads(fault: Fault, *numbers: int) -> Callable[[Request], Fault]:
    """The fault at these requests of each kind, counted from 1; at all of them where none is named."""
    return lambda request: (
        fault if request.kind in READS and request.number in (numbers or [request.number]) else NONE
    )


def names(site: Site) -> set[str]:
    """The remote's own tags."""
    return {name for name in site.repository.remote_refs() if name.startswith(ALL)}


@pytest.fixture
def tagged(site: Site) -> Site:
    """A remote with a few tags more."""
    fill_with_tags(site.remote, [f"web/v1.0.{number}" for number in range(5)], "refs/heads/main")
    return site


@pytest.mark.parametrize(
    ("protocol", "delimited"),
    [
        pytest.param("v2", True, id="v2"),
        pytest.param("v2", False, id="v2-without-length"),
        pytest.param("v0", False, id="v0-without-length"),
    ],
)
def test_a_listing_that_is_cut_is_never_a_shorter_one(
    tagged: Site, proxy: Proxy, protocol: str, *, delimited: bool
) -> None:
    """Behind a whole packet, where nothing looks torn."""
    proxy.strips_protocol = protocol == "v0"
    kind = Kind.LISTING if protocol == "v0" else Kind.FETCH
    whole: list[bytes] = []

    def seen(answer: bytes) -> bytes:
        whole.append(answer)
        return answer

    proxy.start_over(lambda request: Fault(kept=seen) if request.kind is kind else NONE)
    origin = origin_of(tagged.clone)
    assert {ref.name for ref in origin.refs(ALL)} == names(tagged)
    for end in packet_ends(whole[0])[-4:-1]:
        proxy.start_over(cut_at(end, kind, delimited=delimited))
        try:
            found = {ref.name for ref in origin.refs(ALL)}
        except UnavailableError:
            continue
        assert found == names(tagged), f"cut after {end} bytes"
        assert proxy.times(kind) == 2


def cut_at(end: int, kind: Kind, *, delimited: bool) -> Callable[[Request], Fault]:
    """The first answer ends there."""
    fault = Fault(kept=lambda answer: answer[:end], delimited=delimited)
    return lambda request: fault if request.kind is kind and request.number == 1 else NONE


def packet_ends(answer: bytes) -> list[int]:
    """Where the packets of an answer end (gitprotocol-common, "pkt-line")."""
    ends, place = [], 0
    while place < len(answer):
        place += max(4, int(answer[place : place + 4], 16))
        ends.append(place)
    return ends


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(LOST_REQUEST, id="F87-lost"),
        pytest.param(RESET_ANSWER, id="F87-reset"),
        pytest.param(HALF_ANSWER, id="F87-half"),
        pytest.param(refused(503), id="F87-503"),
    ],
)
def test_f87_a_read_goes_wrong_once(tagged: Site, proxy: Proxy, fault: Fault) -> None:
    proxy.start_over(at_reads(fault, 1))
    origin = origin_of(tagged.clone)
    listed = origin.refs(ALL)
    assert {ref.name for ref in listed} == names(tagged)
    proxy.start_over(at_reads(fault, 2))
    assert len(origin.objects(listed)) == len(listed)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        pytest.param(LOST_REQUEST, "the network failed", id="F87-lost"),
        pytest.param(HALF_UNDELIMITED, "the network failed", id="F87-half"),
        pytest.param(refused(401), "the login was refused", id="F87-401"),
        pytest.param(refused(403), "the login was refused", id="F87-403"),
        pytest.param(refused(404), "the address is wrong", id="F87-404"),
        pytest.param(refused(407), "the proxy refused", id="F87-407"),
        pytest.param(refused(502), "the network failed", id="F87-502"),
    ],
)
def test_f87_no_read_ever_succeeds(tagged: Site, proxy: Proxy, fault: Fault, says: str) -> None:
    proxy.start_over(at_reads(fault))
    with pytest.raises(UnavailableError, match=says) as caught:
        origin_of(tagged.clone).refs(ALL)
    assert caught.value.unchanged == "Nothing was changed."
    assert caught.value.next_step == f"git ls-remote {proxy.url}"
    if "network" in says or "proxy" in says:
        assert proxy.times(Kind.LISTING) == 3


def test_f87_a_server_that_never_answers(tagged: Site, proxy: Proxy) -> None:
    gate = threading.Event()
    proxy.start_over(at_reads(Fault(gate=gate)))
    try:
        with pytest.raises(UnavailableError, match="the network failed") as caught:
            origin_of(tagged.clone, timeout=0.5).refs(ALL)
    finally:
        gate.set()
    assert "timed out after" in "\n".join(caught.value.details)


def test_a_slow_server_is_waited_for(tagged: Site, proxy: Proxy) -> None:
    proxy.start_over(at_reads(Fault(delay=0.3)))
    assert {ref.name for ref in origin_of(tagged.clone).refs(ALL)} == names(tagged)


def test_f87_no_tls_where_it_is_asked_for(tagged: Site, proxy: Proxy) -> None:
    tagged.repository.git("remote", "set-url", "origin", proxy.url.replace("http:", "https:"))
    with pytest.raises(UnavailableError, match=r"TLS|the network failed"):
        origin_of(tagged.clone).refs(ALL)


def test_a_shallow_clone_without_tags(tagged: Site, proxy: Proxy) -> None:
    """As workflows check out; the objects of old tags are not there and are fetched."""
    tagged.commit("Newer than the tags")
    clone = tagged.temporary / "shallow"
    git("clone", "--quiet", "--depth=1", "--no-tags", proxy.url, str(clone), cwd=tagged.temporary)
    proxy.start_over(at_reads(HALF_ANSWER, 2))
    origin = origin_of(clone)
    listed = origin.refs(ALL)
    assert len(origin.objects(listed)) == len(listed) == len(names(tagged))
    assert origin.is_ancestor(listed[0].peeled or "", origin.refs("refs/heads/"))
