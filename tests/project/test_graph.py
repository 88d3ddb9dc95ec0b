"""The graph of dependencies: what the setting means, what it may not say, and its order."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_tasks.project.graph import GraphError, dependents, ordered, resolve, routes

KNOWN = ("api", "apps/web", "services", "services/auth", "services/mail", "web")
THERE = {"libs", "libs/common", "libs/base", "web/lib", "api/proto", "apps", "go.work"}
NAMES = st.sampled_from("abcdefgh")


def resolved(declared: dict[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return resolve(declared, KNOWN, exists=THERE.__contains__)


def test_a_dependency_is_a_subproject_a_folder_or_a_file() -> None:
    assert resolved({"web": ["api", "libs/common", "go.work", "api/proto", "."]}) == {
        "web": ("api", "libs/common", "go.work", "api/proto", "")
    }


def test_a_pattern_means_all_of_its_kind_but_not_what_is_named_itself() -> None:
    assert resolved({"services/*": ["services/auth", "libs/base"], "services/mail": ["api"]}) == {
        "services/auth": ("libs/base",),
        "services/mail": ("services/auth", "libs/base", "api"),
    }
    assert resolved({"*": ["libs/base"]}) == dict.fromkeys(("api", "services", "web"), ("libs/base",))


def test_a_folder_depends_on_the_subprojects_in_it_and_may_have_dependencies() -> None:
    assert resolved({"web": ["apps"], "apps": ["libs"], "libs/common": ["libs/base"]}) == {
        "web": ("apps",),
        "apps": ("libs", "apps/web"),
        "libs": ("libs/common",),
        "libs/common": ("libs/base",),
    }


def test_what_a_part_depends_on_the_whole_depends_on() -> None:
    folder = resolved({"web": ["libs"], "libs/common": ["go.work"]})
    assert routes("web", folder)["go.work"] == ("libs", "libs/common", "go.work")
    part = resolved({"api/proto": ["libs/base", "web", "api"], "apps": ["api", "libs"]})
    assert (part["api"], part[""]) == (("libs/base", "web"), ("api",))
    for declared in (
        {"libs/common": ["web"], "web": ["libs"]},
        {"web/lib": ["api"], "api/proto": ["web"]},
    ):
        with pytest.raises(GraphError, match="a cycle: "):
            resolved(declared)


@pytest.mark.parametrize(
    ("declared", "key", "index", "part"),
    [
        ({"wep": ["api"]}, "wep", None, "no subproject, folder or file wep. Did you mean web?"),
        ({"servces/*": ["api"]}, "servces/*", None, "Did you mean services?"),
        ({"web": ["libs/base", "apj"]}, "web", 1, "apj. Did you mean api?"),
        ({"web": ["web"]}, "web", 0, "web depends on itself"),
        ({".": ["."]}, ".", 0, ". depends on itself"),
        ({"web": ["api", "web/lib"]}, "web", 1, "web/lib is a part of it"),
        ({".": ["libs"]}, ".", 0, "libs is a part of it"),
        ({"libs": ["libs/base"]}, "libs", 0, "libs/base is a part of it"),
        ({"web": ["api"], "api": ["libs/base", "web"]}, "web", 0, "a cycle: web -> api -> web"),
        ({"apps/web": ["libs/base", "apps"]}, "apps/web", 1, "a cycle: apps"),
        ({"services/*": ["api"], "api": ["services/mail"]}, "services/*", 0, "a cycle: "),
    ],
)
def test_what_can_not_be_so(declared: dict[str, list[str]], key: str, index: int | None, part: str) -> None:
    with pytest.raises(GraphError) as caught:
        resolved(declared)
    assert part in str(caught.value)
    assert {caught.value.key} <= {key, *declared}
    if "cycle" not in part:
        assert (caught.value.key, caught.value.index) == (key, index)


def test_a_cycle_is_shown_from_end_to_end() -> None:
    with pytest.raises(GraphError) as caught:
        resolved({"web": ["api"], "api": ["services/auth"], "services/auth": ["web"]})
    way = str(caught.value).removeprefix("a cycle: ").split(" -> ")
    assert way[0] == way[-1]
    edges = {("web", "api"), ("api", "services/auth"), ("services/auth", "web")}
    assert set(pairwise(way)) == edges


def test_the_nearest_way_leads_to_each() -> None:
    depends_on = {"web": ("api", "libs"), "api": ("libs", "base"), "base": ("deep",)}
    assert routes("web", depends_on) == {
        "api": ("api",),
        "libs": ("libs",),
        "base": ("api", "base"),
        "deep": ("api", "base", "deep"),
    }
    assert routes("deep", depends_on) == {}
    assert dependents(depends_on) == {
        "api": ("web",),
        "libs": ("api", "web"),
        "base": ("api",),
        "deep": ("base",),
    }


def test_the_order_also_counts_what_only_leads_from_one_to_another() -> None:
    depends_on = {"a": ("m",), "m": ("z",), "b": ()}
    assert ordered(["a", "z", "b"], depends_on) == ["b", "z", "a"]
    assert ordered(["c", "b", "a"], {}) == ["a", "b", "c"]
    assert ordered([], depends_on) == []


@given(st.dictionaries(NAMES, st.lists(NAMES, unique=True, max_size=4)), st.sets(NAMES))
def test_dependencies_stand_first(below: dict[str, list[str]], wanted: set[str]) -> None:
    depends_on = {node: tuple(each for each in found if each < node) for node, found in below.items()}
    found = ordered(wanted, depends_on)
    assert sorted(found) == sorted(wanted)
    place = {node: number for number, node in enumerate(found)}
    for node in wanted:
        assert all(place[each] < place[node] for each in routes(node, depends_on) if each in place)
    assert found == ordered(sorted(wanted, reverse=True), dict(reversed(depends_on.items())))
