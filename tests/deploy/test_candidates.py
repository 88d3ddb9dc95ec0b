"""Which version a rollback goes to: ledgers made by hand, and any that hypothesis thinks of."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_tasks.deploy.model import Request, line_of
from ci_tasks.deploy.rollout import candidates, rollback
from ci_tasks.deploy.rollout.candidates import CHOSEN, FITS, PASSED_OVER, Candidate, Standing
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag import retention
from ci_tasks.tag.names import DeploymentKind, DeploymentStatus, VersionState
from tests.tag.records import NOON, commit_of, deployed, empty, record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ci_tasks.tag.ledger import Ledger

REGIONS = ("eu-west", "us-east")


def told(*steps: str, regions: tuple[str, ...] = ()) -> Ledger:
    """A ledger of such steps, oldest first: `deploy 1.0.0 in eu-west`, `deploy 1.1.0 FAILED`.

    A step is one claim for all regions, or for those that follow `in`; `FAILED` and `CANCELLED` have begun
    their scripts, `SKIPPED` was cancelled before. `eu-west:FAILED` is about one region alone.
    """
    ledger = empty()
    for number, step in enumerate(steps):
        what, _, where = step.partition(" in ")
        kind, version, *ends = what.split()
        each = dict(end.split(":") for end in ends if ":" in end)
        common = next((end for end in ends if ":" not in end), "SUCCESS")
        for region in where.split(",") if where else regions or (None,):
            end = each.get(region or "", common)
            made = record(
                number,
                region,
                f"v{version}",
                NOON + timedelta(hours=number),
                kind=DeploymentKind(kind),
            )
            status = DeploymentStatus.CANCELLED if end == "SKIPPED" else DeploymentStatus(end)
            ledger = deployed(ledger, made, status, regions, started=end != "SKIPPED")
    return ledgers.settle_target(ledger)


def standings(ledger: Ledger, states: Mapping[str, str] | None = None) -> dict[str, Standing]:
    """What the tags say: all are there, on the commits that they were deployed from, with these states."""
    words = states or {}
    known = {"v9.0.0": Standing(commit=commit_of("v9.0.0"))}
    for version in candidates.versions(ledger, [None, *REGIONS, "ap-south"]):
        word = words.get(version, "")
        commit = {"gone": None, "moved": commit_of("other")}.get(word, commit_of(version))
        state = VersionState(word) if word in {one.value for one in VersionState} else None
        why = "it loses orders" if state and state.is_bad else None
        known[version] = Standing(commit=commit, state=state, why=why)
    return known


def weighed(ledger: Ledger, states: Mapping[str, str] | None = None, *, kept: int = 5) -> list[Candidate]:
    """The candidates of an environment without regions."""
    return candidates.weigh(ledger, None, standings(ledger, states), kept=kept)


def chosen(found: Iterable[Candidate]) -> str | None:
    """The version that was chosen."""
    versions = [one.version for one in found if one.verdict == CHOSEN]
    assert len(versions) <= 1
    return versions[0] if versions else None


CASES: dict[str, tuple[list[str], dict[str, str], str | None]] = {
    "the-one-before": (["deploy 1.0.0", "deploy 1.1.0", "deploy 1.2.0"], {}, "v1.1.0"),
    "F119-half-way-is-the-last-success": (
        ["deploy 1.0.0", "deploy 1.1.0", "deploy 1.2.0 FAILED"],
        {},
        "v1.1.0",
    ),
    "F119-the-second-one-does-not-return": (
        ["deploy 0.1.0", "deploy 1.0.0", "deploy 2.0.0 FAILED", "rollback 1.0.0"],
        {},
        "v0.1.0",
    ),
    "twice-from-what-succeeded": (
        ["deploy 1.0.0", "deploy 1.1.0", "deploy 1.2.0", "rollback 1.1.0"],
        {},
        "v1.0.0",
    ),
    "deployed-again-on-purpose": (
        ["deploy 1.0.0", "deploy 1.1.0", "rollback 1.0.0", "deploy 1.1.0", "deploy 1.2.0"],
        {},
        "v1.1.0",
    ),
    "nothing-before": (["deploy 1.0.0"], {}, None),
    "nothing-ever-succeeded": (["deploy 1.0.0 FAILED"], {}, None),
    "deprecated": (["deploy 1.0.0", "deploy 1.1.0", "deploy 1.2.0"], {"v1.1.0": "deprecated"}, "v1.0.0"),
    "unstable": (["deploy 1.0.0", "deploy 1.1.0", "deploy 1.2.0"], {"v1.1.0": "unstable"}, "v1.0.0"),
    "gone": (["deploy 1.0.0", "deploy 1.1.0", "deploy 1.2.0"], {"v1.1.0": "gone"}, "v1.0.0"),
    "moved": (["deploy 1.0.0", "deploy 1.1.0", "deploy 1.2.0"], {"v1.1.0": "moved"}, "v1.0.0"),
    "failed-once-and-succeeded-later": (
        ["deploy 1.0.0 FAILED", "deploy 1.0.0", "deploy 1.1.0"],
        {},
        "v1.0.0",
    ),
    "stable-first": (["deploy 1.0.0", "deploy 1.1.0", "deploy 1.2.0"], {"v1.0.0": "stable"}, "v1.0.0"),
    "uncertain-before-stable": (
        ["deploy 1.0.0", "deploy 1.1.0", "deploy 1.2.0 CANCELLED"],
        {"v1.0.0": "stable"},
        "v1.1.0",
    ),
    "uncertain-and-bad": (
        ["deploy 1.0.0", "deploy 1.1.0", "deploy 1.2.0 FAILED"],
        {"v1.1.0": "unstable"},
        "v1.0.0",
    ),
    "a-claim-that-ran-nothing-changes-nothing": (
        ["deploy 1.0.0", "deploy 1.1.0", "deploy 1.2.0 SKIPPED"],
        {},
        "v1.0.0",
    ),
    "a-rollback-that-broke-off-is-taken-up-again": (
        ["deploy 1.0.0", "deploy 1.1.0", "rollback 1.0.0 FAILED"],
        {},
        "v1.0.0",
    ),
    "and-again": (
        ["deploy 1.0.0", "deploy 1.1.0", "rollback 1.0.0 FAILED", "rollback 1.0.0 FAILED"],
        {},
        "v1.0.0",
    ),
    "what-was-jumped-over-is-left-too": (
        ["deploy 0.9.0", "deploy 1.0.0", "deploy 1.1.0", "deploy 1.2.0", "rollback 1.0.0"],
        {},
        "v0.9.0",
    ),
    "an-older-one-deployed-on-purpose": (
        ["deploy 1.0.0", "deploy 1.1.0", "deploy 1.0.0"],
        {},
        "v1.1.0",
    ),
    "assigned-counts-as-running": (["assign 1.0.0", "deploy 1.1.0"], {}, "v1.0.0"),
    "promoted-counts-too": (["promote 1.0.0", "promote 1.1.0"], {}, "v1.0.0"),
}


@pytest.mark.parametrize(
    ("steps", "states", "expected"), [pytest.param(*case, id=name) for name, case in CASES.items()]
)
def test_f119_where_a_rollback_goes(steps: list[str], states: dict[str, str], expected: str | None) -> None:
    assert chosen(weighed(told(*steps), states)) == expected


def test_each_candidate_says_why() -> None:
    ledger = told(
        *(f"deploy 1.{minor}.0" for minor in range(5)),
        "deploy 1.5.0 FAILED",
        "deploy 1.6.0",
        "deploy 1.7.0",
        "rollback 1.6.0",
        "deploy 1.8.0",
    )
    states = {"v1.3.0": "gone", "v1.2.0": "unstable", "v1.6.0": "moved", "v1.1.0": "stable"}
    found = weighed(ledger, states)
    assert [(one.version, one.state, one.verdict, one.reason) for one in found] == [
        ("v1.8.0", None, PASSED_OVER, "it is the live one"),
        ("v1.6.0", None, PASSED_OVER, "its tag stands on another commit than it was deployed from"),
        ("v1.4.0", None, FITS, "it fits too, but v1.1.0 goes first"),
        ("v1.3.0", None, PASSED_OVER, "its tag is gone"),
        ("v1.2.0", "unstable", PASSED_OVER, "it is unstable: it loses orders"),
        ("v1.1.0", "stable", CHOSEN, "it is the newest stable one that ran before"),
        ("v1.0.0", None, FITS, "it fits too, but v1.1.0 goes first"),
        ("v1.7.0", None, PASSED_OVER, "it was rolled back from"),
        ("v1.5.0", None, PASSED_OVER, "it never succeeded here"),
    ]


def test_what_is_told_of_a_version_that_is_not_the_newest_one() -> None:
    ledger = told(*(f"deploy 1.{minor}.0" for minor in range(4)))
    found = candidates.choose(ledger, (None,), standings(ledger, {"v1.1.0": "stable"}), named=True, kept=5)
    assert rollback.told(found) == [
        "v1.1.0 is chosen: it is the newest stable one that ran before.",
        "v1.2.0 ran after it, and is not marked stable.",
    ]


def test_what_a_rollback_went_past_is_not_what_it_was_from() -> None:
    ledger = told("deploy 0.9.0", "deploy 1.0.0", "deploy 1.1.0", "deploy 1.2.0", "rollback 1.0.0")
    reasons = {one.version: one.reason for one in weighed(ledger)}
    assert reasons["v1.2.0"] == "it was rolled back from"
    assert reasons["v1.1.0"] == "a rollback went past it"
    later = told(
        "deploy 0.9.0", "deploy 1.0.0", "deploy 1.1.0", "deploy 1.2.0", "rollback 1.0.0", "deploy 1.1.0"
    )
    assert {one.version: one.reason for one in weighed(later)}["v1.1.0"] == "it is the live one"


def test_what_is_still_on_its_way_to_another_region() -> None:
    ledger = told("deploy 1.0.0", "deploy 1.1.0 us-east:SUCCESS in us-east", regions=REGIONS)
    for version, is_meant in (("v1.1.0", True), ("v1.2.0", False)):
        coming = record(9, "eu-west", version, NOON + timedelta(hours=9))
        held = ledgers.claim(ledger, (coming,), regions=REGIONS)
        found = choice(held)
        assert found.targets == {"us-east": "v1.0.0"}
        assert rollback.on_its_way(held, found) == ((coming,) if is_meant else ())
        assert rollback.on_its_way(held, choice(held, regions=("us-east",), named=True)) == ()


def test_the_line_of_a_rollback_has_the_version_only_where_somebody_typed_it() -> None:
    request = Request(environment="staging", kind=DeploymentKind.ROLLBACK, version="v1.0.0")
    assert line_of(request, "api").endswith("deploy.rollback --env staging --subproject api --to v1.0.0")
    picked = replace(request, is_picked=True)
    assert line_of(picked, "api", version="v1.0.0").endswith("deploy.rollback --env staging --subproject api")


def test_a_stable_version_goes_first_among_the_releases_that_are_kept() -> None:
    ledger = told("deploy 1.0.0", "deploy 1.1.0", "deploy 1.2.0", "deploy 1.3.0")
    states = {"v1.0.0": "stable"}
    assert chosen(weighed(ledger, states, kept=3)) == "v1.0.0"
    assert chosen(weighed(ledger, states, kept=2)) == "v1.2.0"


def choice(ledger: Ledger, *, regions: tuple[str, ...] = REGIONS, named: bool = False) -> candidates.Choice:
    """Where the regions go."""
    return candidates.choose(ledger, regions, standings(ledger), named=named, kept=5)


def test_f119_regions_that_a_half_rollout_did_not_reach_stay() -> None:
    ledger = told(
        "deploy 1.0.0", "deploy 1.1.0", "deploy 1.2.0 eu-west:FAILED us-east:SKIPPED", regions=REGIONS
    )
    found = choice(ledger)
    assert found.targets == {"eu-west": "v1.1.0"}
    assert found.untouched == {"us-east": "v1.2.0 was not tried there"}
    assert choice(ledger, regions=("us-east",), named=True).targets == {"us-east": "v1.0.0"}


def test_a_canary_goes_back_alone_and_a_whole_rollout_as_a_whole() -> None:
    steps = ["deploy 1.0.0", "deploy 1.1.0 in eu-west"]
    assert choice(told(*steps, regions=REGIONS)).targets == {"eu-west": "v1.0.0"}
    both = told(*steps, "deploy 1.1.0 in us-east", regions=REGIONS)
    assert choice(both).targets == {"eu-west": "v1.0.0", "us-east": "v1.0.0"}


def test_regions_may_go_to_different_versions() -> None:
    ledger = told("deploy 1.0.0 in eu-west", "deploy 1.1.0 in us-east", "deploy 1.2.0", regions=REGIONS)
    assert choice(ledger).targets == {"eu-west": "v1.0.0", "us-east": "v1.1.0"}


def test_a_rollback_that_broke_off_is_taken_up_where_it_is_not_done() -> None:
    steps = ["deploy 1.0.0", "deploy 1.1.0", "deploy 1.2.0"]
    ledger = told(*steps, "rollback 1.1.0 us-east:FAILED", regions=REGIONS)
    found = choice(ledger)
    assert found.targets == {"us-east": "v1.1.0"}
    assert found.untouched == {"eu-west": "it has left v1.2.0 already"}
    skipped = told(*steps, "rollback 1.1.0 eu-west:FAILED us-east:SKIPPED", regions=REGIONS)
    assert choice(skipped).targets == {"eu-west": "v1.1.0", "us-east": "v1.1.0"}


def test_a_rollback_to_several_versions_is_taken_up_where_it_was_not_even_begun() -> None:
    steps = ["deploy 1.0.0", "deploy 1.1.0 in eu-west", "deploy 1.2.0"]
    failed = [*steps, "rollback 1.1.0 in eu-west"]
    for broken in (
        told(*steps, "rollback 1.1.0 FAILED in eu-west", regions=REGIONS),
        told(*steps, "rollback 1.1.0 CANCELLED in eu-west", regions=REGIONS),
    ):
        assert choice(broken).targets == {"eu-west": "v1.1.0", "us-east": "v1.0.0"}
    half = choice(told(*failed, regions=REGIONS))
    assert half.targets == {"us-east": "v1.0.0"}
    assert half.untouched == {"eu-west": "it has left v1.2.0 already"}


def test_after_a_rollback_to_several_versions_the_newest_of_these_is_taken_back() -> None:
    steps = ["deploy 1.0.0", "deploy 1.1.0 in eu-west", "deploy 1.2.0"]
    steps += ["rollback 1.1.0 in eu-west", "rollback 1.0.0 in us-east"]
    found = choice(told(*steps, regions=REGIONS))
    assert (found.targets, found.stays) == ({"eu-west": "v1.0.0"}, ())
    assert found.untouched == {"us-east": "v1.1.0 was not tried there"}
    last = choice(told(*steps, "rollback 1.0.0 in eu-west", regions=REGIONS))
    assert (last.targets, last.stays) == ({}, REGIONS)


def test_a_version_is_as_new_as_where_it_came_last() -> None:
    steps = ["deploy 0.9.0", "deploy 1.2.0 in us-east", "deploy 1.1.0 in eu-west", "deploy 1.2.0 in eu-west"]
    found = choice(told(*steps, "rollback 1.1.0 in eu-west", regions=REGIONS))
    assert found.targets == {"us-east": "v0.9.0"}
    other = choice(told(*steps, "rollback 1.1.0 in eu-west", "deploy 1.3.0 in eu-west", regions=REGIONS))
    assert other.targets == {"eu-west": "v1.1.0"}
    assert other.untouched == {"us-east": "v1.3.0 was not tried there"}


def test_what_came_after_it_is_no_rollback() -> None:
    steps = ["deploy 1.0.0", "deploy 1.1.0 eu-west:FAILED", "deploy 1.0.0 in eu-west"]
    found = choice(told(*steps, regions=REGIONS))
    assert found.targets == {"us-east": "v1.0.0"}
    assert found.untouched == {"eu-west": "another one came after v1.1.0 there"}


def test_a_region_in_which_nothing_ran_before_stays_unless_it_is_named() -> None:
    ledger = told("deploy 1.0.0 in eu-west", "deploy 1.1.0 us-east:FAILED", regions=REGIONS)
    found = choice(ledger)
    assert (found.targets, found.stays) == ({"eu-west": "v1.0.0"}, ())
    assert found.untouched == {"us-east": "nothing ran there before"}
    named = choice(ledger, named=True)
    assert (named.targets, named.stays) == ({"eu-west": "v1.0.0"}, ("us-east",))


def test_where_nothing_was_ever_deployed_nothing_fits() -> None:
    found = choice(told(regions=REGIONS))
    assert (found.targets, found.stays) == ({}, REGIONS)


def asked(ledger: Ledger, version: str, states: Mapping[str, str] | None = None) -> candidates.Choice:
    """Where an environment without regions goes if somebody asks for this version."""
    known = standings(ledger, states)
    return candidates.choose_version(ledger, (None,), known, version, named=True, kept=5)


@pytest.mark.parametrize(
    ("version", "states", "is_possible"),
    [
        pytest.param("v1.0.0", {}, True, id="succeeded"),
        pytest.param("v1.2.0", {}, True, id="the-live-one"),
        pytest.param("v1.3.0", {}, True, id="rolled-back-from"),
        pytest.param("v1.0.0", {"v1.0.0": "unstable"}, True, id="bad-is-for-the-rules-to-refuse"),
        pytest.param("v1.1.0", {}, False, id="never-succeeded"),
        pytest.param("v9.0.0", {}, False, id="never-tried"),
        pytest.param("v8.0.0", {}, False, id="no-such-version"),
        pytest.param("v1.0.0", {"v1.0.0": "gone"}, False, id="gone"),
        pytest.param("v1.0.0", {"v1.0.0": "moved"}, False, id="moved"),
    ],
)
def test_a_version_that_is_asked_for(version: str, states: dict[str, str], *, is_possible: bool) -> None:
    ledger = told("deploy 1.0.0", "deploy 1.1.0 FAILED", "deploy 1.2.0", "deploy 1.3.0", "rollback 1.2.0")
    found = asked(ledger, version, states)
    assert found.targets == ({None: version} if is_possible else {})
    assert found.stays == (() if is_possible else (None,))
    (mine,) = (one for one in found.candidates if one.version == version)
    assert (mine.verdict == CHOSEN) is is_possible
    assert (mine.reason == "there is no such version") is (version == "v8.0.0")
    assert chosen(found.candidates) == (version if is_possible else None)


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["deploy", "promote", "rollback"]),
        st.integers(0, 4),
        st.sampled_from(["SUCCESS", "FAILED", "CANCELLED", "SKIPPED"]),
    ),
    max_size=9,
).map(lambda steps: [f"{kind} 1.{minor}.0 {end}" for kind, minor, end in steps])
_STATES = st.dictionaries(
    st.integers(0, 4).map("v1.{}.0".format),
    st.sampled_from(["stable", "unstable", "deprecated", "gone", "moved"]),
)


@given(_STEPS, _STATES, st.integers(1, 5))
def test_what_holds_of_every_choice(steps: list[str], states: dict[str, str], kept: int) -> None:
    ledger = told(*steps)
    found = weighed(ledger, states, kept=kept)
    live = ledger.header.live.get("")
    seen = {one.version for one in ledger.closed}
    assert sorted(one.version for one in found) == sorted(seen)
    version = chosen(found)
    fitting = [one.version for one in found if one.verdict != PASSED_OVER]
    assert (version is None) == (not fitting)
    if version is None:
        return
    succeeded = {one.version for one in ledger.closed if one.status is DeploymentStatus.SUCCESS}
    assert version in succeeded
    assert states.get(version) in {None, "stable"}
    assert live is not None
    assert live.uncertain or version != live.version
    if live.uncertain and live.version in fitting:
        assert version == live.version


_ENDS = st.sampled_from(["SUCCESS", "FAILED", "CANCELLED", "SKIPPED", "not there"])
_ROLLOUTS = st.lists(
    st.tuples(
        st.sampled_from(["deploy", "promote", "rollback"]), st.integers(0, 4), st.tuples(_ENDS, _ENDS, _ENDS)
    ),
    max_size=9,
)
_THREE = ("eu-west", "us-east", "ap-south")


def in_regions(steps: Iterable[tuple[str, int, tuple[str, ...]]]) -> list[str]:
    """The steps as `told` takes them, for three regions."""
    lines = []
    for kind, minor, ends in steps:
        there = {region: end for region, end in zip(_THREE, ends, strict=True) if end != "not there"}
        said = " ".join(f"{region}:{end}" for region, end in there.items())
        lines += [f"{kind} 1.{minor}.0 {said} in {','.join(there)}"] if there else []
    return lines


@given(_ROLLOUTS, _STATES, st.lists(_ENDS, min_size=3, max_size=3), st.permutations(_THREE))
def test_f119_a_rollback_that_broke_off_anywhere_is_taken_up_where_it_is_not_done(
    steps: list[tuple[str, int, tuple[str, ...]]],
    states: dict[str, str],
    ends: list[str],
    order: list[str],
) -> None:
    lines = in_regions(steps)
    before = told(*lines, regions=_THREE)
    known = standings(before, states)
    first = candidates.choose(before, _THREE, known, named=False, kept=5)
    done = dict(zip(_THREE, ends, strict=True))
    if first.stays or all(done[str(region)] == "SUCCESS" for region in first.targets):
        return  # it would be refused, or has not broken off
    for region in order:
        if region in first.targets and done[region] != "not there":
            lines.append(f"rollback {first.targets[region].removeprefix('v')} {done[region]} in {region}")
    after = told(*lines, regions=_THREE)
    again = candidates.choose(after, _THREE, known, named=False, kept=5)
    left = {region: one for region, one in first.targets.items() if done[str(region)] != "SUCCESS"}
    assert (again.targets, again.stays) == (left, ())


@given(_ROLLOUTS)
def test_f119_no_record_is_dropped_that_tells_which_regions_go_back(
    steps: list[tuple[str, int, tuple[str, ...]]],
) -> None:
    lines = [line for line in in_regions(steps) if not line.startswith("rollback")]
    for _ in range(2):
        found = candidates.choose(
            whole := told(*lines, regions=_THREE), _THREE, standings(whole), named=False, kept=5
        )
        lines += [f"rollback {one.removeprefix('v')} in {where}" for where, one in found.targets.items()][:2]
    ledger = told(*lines, *["deploy 2.0.0 SKIPPED"] * retention.KEEP_NEWEST, regions=_THREE)
    kept = retention.retain(ledger, now=NOON + timedelta(days=365))
    one, other = (
        candidates.choose(each, _THREE, standings(ledger), named=False, kept=5) for each in (ledger, kept)
    )
    assert one.targets == other.targets


@given(_STEPS)
def test_f119_no_record_is_dropped_that_a_rollback_needs(steps: list[str]) -> None:
    for number, step in enumerate(steps):
        kind, version, _ = step.split()
        before = [one.split() for one in steps[:number]]
        if kind == "rollback" and not any(one[1:] == [version, "SUCCESS"] for one in before):
            steps[number] = step.replace("rollback", "deploy")  # nobody goes back to what never ran
    ledger = told(*steps, *["deploy 2.0.0 SKIPPED"] * retention.KEEP_NEWEST)
    kept = retention.retain(ledger, now=NOON + timedelta(days=365))
    assert chosen(weighed(kept)) == chosen(weighed(ledger))


@given(_STEPS)
def test_f119_rollbacks_alone_never_come_back_to_a_version(steps: list[str]) -> None:
    been: list[str] = []
    version = chosen(weighed(told(*steps)))
    while version is not None:
        assert version not in been
        been.append(version)
        steps = [*steps, f"rollback {version.removeprefix('v')}"]
        version = chosen(weighed(told(*steps)))
