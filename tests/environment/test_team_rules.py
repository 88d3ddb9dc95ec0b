"""The rules of a team in `config.yml`: how they are read, where they stand, and what is said of mistakes."""

from __future__ import annotations

import re

import pytest

from ci_tasks.core.errors import UsageError
from ci_tasks.environment.check import check
from ci_tasks.environment.configuration import Layers, parse_layers
from ci_tasks.environment.model import Freeze, Requirement
from ci_tasks.environment.names import OnFailure, RequiredState, Strategy, Weekday
from ci_tasks.environment.render import shown_rules
from tests.conftest import ROOT

KNOWN = ("production", "staging", "canary")
PRODUCTION = "environments/production/config.yml"

FULL = """\
regions: [eu, us]
requires:
  - environment: staging
    soak: 2h
  - {state: stable, soak: 30m}
freeze:
  - {from: "2026-12-20", to: "2027-01-02", timezone: Europe/Berlin, except: [hotfix]}

  - {days: [sat, sun]}
strategy: parallel
onFailure: keep-going
keepReleases: 3
"""


def layers(**files: str) -> Layers:
    """Layers of files whose names are written with __ for / and without config.yml."""
    named = {f"{name.replace('__', '/')}/config.yml": text.encode() for name, text in files.items()}
    return parse_layers({"environments/staging/": b"", **named}, environments=KNOWN)


def problems(**files: str) -> list[str]:
    return [str(problem) for problem in check(layers(**files))]


def test_all_of_them_with_their_lines() -> None:
    rules = layers(environments__production=FULL).rules("production")
    assert rules.requires == (
        Requirement(environment="staging", soak=7200.0, source=f"{PRODUCTION}:3"),
        Requirement(state=RequiredState.STABLE, soak=1800.0, source=f"{PRODUCTION}:5"),
    )
    assert rules.freeze == (
        Freeze(
            begins="2026-12-20",
            ends="2027-01-02",
            timezone="Europe/Berlin",
            exempt=("hotfix",),
            source=f"{PRODUCTION}:7",
        ),
        Freeze(days=(Weekday.SATURDAY, Weekday.SUNDAY), source=f"{PRODUCTION}:9"),
    )
    assert (rules.strategy, rules.on_failure) == (Strategy.PARALLEL, OnFailure.KEEP_GOING)
    assert (rules.keep_releases, rules.sources["keepReleases"]) == (3, f"{PRODUCTION}:12")
    assert [requirement.is_canary for requirement in rules.requires] == [False, True]
    assert not problems(environments__production=FULL)


def test_one_map_may_stand_for_a_list_of_one() -> None:
    rules = layers(environments__production="\nrequires: {environment: staging}").rules("production")
    assert rules.requires == (Requirement(environment="staging", source=f"{PRODUCTION}:2"),)


def test_a_subprojects_file_wins_and_a_map_is_merged() -> None:
    found = layers(
        environments__production="requires: {environment: staging, soak: 2h}\nfreeze:\n  - {days: [sat]}",
        api__environments__production="# ours\nrequires: {soak: 5m}\nfreeze: []",
    )
    api = "api/environments/production/config.yml"
    rules = found.rules("production", "api")
    assert rules.requires == (Requirement(environment="staging", soak=300.0, source=f"{api}:2"),)
    assert (rules.freeze, rules.sources["freeze"]) == ((), f"{api}:3")
    assert found.rules("production").freeze[0].source == f"{PRODUCTION}:3"


def test_as_text() -> None:
    rules = layers(environments__production=FULL).rules("production")
    assert list(shown_rules(rules)) == [
        ("regions", "eu, us", f"{PRODUCTION}:1"),
        ("requires", "has run in staging for 2h", f"{PRODUCTION}:3"),
        (
            "requires",
            "is marked stable, has run in one region for 30m before it comes to the others",
            f"{PRODUCTION}:5",
        ),
        ("freeze", "2026-12-20 to 2027-01-02, Europe/Berlin, except hotfix", f"{PRODUCTION}:7"),
        ("freeze", "sat, sun, UTC", f"{PRODUCTION}:9"),
        ("strategy", "parallel", f"{PRODUCTION}:10"),
        ("onFailure", "keep-going", f"{PRODUCTION}:11"),
        ("keepReleases", "3", f"{PRODUCTION}:12"),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("onfailure: stop", ":1:1: onfailure: this key is not known; did you mean onFailure?"),
        ("on_failure: stop", ":1:1: on_failure: this key is not known; did you mean onFailure?"),
        ("frezze: []", ":1:1: frezze: this key is not known; did you mean freeze?"),
        ("freze: []", ":1:1: freze: this key is not known; did you mean freeze?"),
        ("require: {}", ":1:1: require: this key is not known; did you mean requires?"),
        ("stategy: parallel", ":1:1: stategy: this key is not known; did you mean strategy?"),
        ("keepReleaes: 3", ":1:1: keepReleaes: this key is not known; did you mean keepReleases?"),
        ("keep-releases: 3", ":1:1: keep-releases: this key is not known; did you mean keepReleases?"),
        ("protect: true", ":1:1: protect: this key is not known; did you mean protected?"),
        ("branch: [main]", ":1:1: branch: this key is not known; did you mean branches?"),
        ("verifi: tag", ":1:1: verifi: this key is not known; did you mean verify?"),
        ("froze: [{days: [sat]}]", ":1:1: froze: this key is not known; did you mean freeze?"),
        ("freeze-window: {days: [sat]}", ":1:1: freeze-window: this key is not known; did you mean freeze?"),
        (
            "requirements: {state: stable}",
            ":1:1: requirements: this key is not known; did you mean requires?",
        ),
        ("soak: 2h", ":1:1: soak: this key is not known; did you mean requires: {soak: ...}?"),
        ("a: 1\nstrategy: parralel", ":2:1: strategy: sequential or parallel is expected; did you mean"),
        (
            "onFailure: rolback",
            ":1:1: onFailure: stop, rollback or keep-going is expected; did you mean roll",
        ),
        ("onFailure: 1", ":1:1: onFailure: stop, rollback or keep-going is expected"),
        ("keepReleases: 0", ":1:1: keepReleases: at least 1 and at most 100"),
        ("keepReleases: 101", ":1:1: keepReleases: at least 1 and at most 100"),
        ('keepReleases: "5"', ":1:1: keepReleases: a whole number is expected, not text"),
        ("keepReleases: true", ":1:1: keepReleases: a whole number is expected, not true or false"),
        ("requires: staging", ":1:1: requires: a list of maps, or one map, is expected"),
        ("requires: {}", ":1:1: requires: at least one of environment, state and soak is expected"),
        ("requires: [{}]", ":1:12: requires.0: at least one of environment, state and soak is expected"),
        (
            "requires: {environment: stagging}",
            ":1:12: requires.environment: 'stagging' is no environment; did you mean staging?",
        ),
        (
            "requires: {environment: production}",
            ":1:12: requires.environment: this is the environment itself",
        ),
        (
            "requires: {enviroment: staging}",
            ":1:12: requires.enviroment: this key is not known; did you mean",
        ),
        ("requires:\n  - soak: 2", ":2:5: requires.0.soak: a duration needs a unit"),
        ("requires: {soak: 0s}", ":1:12: requires.soak: a soak is at least 1s and at most 30d"),
        ("requires: {soak: 31d}", ":1:12: requires.soak: a soak is at least 1s and at most 30d"),
        ("requires: {state: unstable}", ":1:12: requires.state: stable is expected"),
        ('freeze:\n  - {from: "16:00"}', ":2:5: freeze.0: from and to belong together"),
        ("freeze:\n  - {days: [fir]}", ":2:6: freeze.0.days: 'fir' is no day of the week"),
    ],
)
def test_f25_a_mistake_has_its_place_and_the_nearest_name(text: str, said: str) -> None:
    (problem,) = problems(environments__production=text)
    assert problem.startswith(f"{PRODUCTION}{said}")
    with pytest.raises(UsageError, match="environments/production/config"):
        layers(environments__production=text).rules("production")


@pytest.mark.parametrize("key", ["required", "breeze", "strategies", "freezing", "region"])
def test_other_words_are_free(key: str) -> None:
    assert not problems(environments__production=f"{key}: 1")


@pytest.mark.parametrize(
    "text",
    [
        "protect: [a, b]",
        "project: true",
        "branch: main",
        "branching: {from: main}",
        "verified: true",
        "freezeWindow: 3",
        "freezing: [ice]",
        "froze: []",
        "requirements: [numpy]",
        "soak: true",
    ],
)
def test_a_word_like_a_rule_is_free_where_its_value_is_none(text: str) -> None:
    assert not problems(environments__production=text)


def test_a_file_for_every_environment_names_none_to_wait_for() -> None:
    (problem,) = problems(environments="requires: {environment: staging}")
    assert "this file is for every environment, and none can wait for itself" in problem
    assert not problems(environments="requires: {state: stable}")


def test_a_requirement_that_nothing_can_meet() -> None:
    (missing,) = problems(environments__production="\nrequires: {environment: canary}")
    why = "the root project has no environment canary, so nothing can have run there"
    assert missing == f"{PRODUCTION}:2: requires: {why}"
    (alone,) = problems(environments__production="requires: [{soak: 2h}]")
    assert alone.startswith(f"{PRODUCTION}:1: requires: a soak without an environment is for several regions")
    both = problems(
        environments__production="requires: {environment: staging}",
        environments__staging="requires: {environment: production}",
    )
    assert [line.partition(": ")[2] for line in both] == [
        "requires: production and staging wait for each other",
        "requires: staging and production wait for each other",
    ]


def table(heading: str) -> set[str]:
    """The keys in the first column of the table about a rule's entries."""
    text = (ROOT / "docs/configuration.md").read_text(encoding="utf-8").partition(heading)[2]
    rows = text.partition("\n|---|---|---|\n")[2].partition("\n\n")[0].splitlines()
    return {key for row in rows for key in re.findall(r"`(\w+)`", row.split("|")[1])}


def test_the_reference_has_every_key_of_an_entry() -> None:
    assert table("An entry of `requires` has") == {"environment", "soak", "state"}
    assert table("An entry of `freeze` has") == {"from", "to", "days", "timezone", "except"}
    (one,) = problems(environments__production="requires: {x: 1}")
    assert one.endswith("known are environment, state, soak")
    (other,) = problems(environments__production="freeze: [{x: 1}]")
    assert other.endswith("known are from, to, days, timezone, except")


def test_the_how_to_has_rules_that_can_be_read() -> None:
    text = (ROOT / "docs/how-to/freeze-and-soak.md").read_text(encoding="utf-8")
    first, canary = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert not problems(environments__production=first)
    assert not problems(environments__production=f"regions: [eu, us]\n{canary}")
    shown = [key for key, _, _ in shown_rules(layers(environments__production=first).rules("production"))]
    assert shown == ["regions", "requires", "requires", "freeze", "freeze", "freeze"]
    lines = [rule.source for rule in layers(environments__production=first).rules("production").requires]
    assert f"Rule: requires ({lines[0]})." in text
