"""Which mode a script runs in, and who decided it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_tasks.core.errors import UsageError
from ci_tasks.script.mode import Decision, decide, unheard, variables
from ci_tasks.script.names import Category, Mode

NAMES = (
    "CI_TEST_RELEASE_SMOKE_TEST_BEHAVIOR",
    "CI_SMOKE_TEST_BEHAVIOR",
    "CI_TEST_DEPLOYMENT_BEHAVIOR",
    "CI_TEST_MODE",
)


def decided(environ: dict[str, str], pipeline: str | None = "release") -> Decision:
    return decide("ci-smoke-test", Category.DEPLOYMENT, pipeline, environ)


def test_the_variables_of_a_script_are_named_after_it() -> None:
    assert variables("ci-smoke-test", Category.DEPLOYMENT, "release") == NAMES
    assert variables("smoke-test", Category.DEPLOYMENT, "release") == NAMES
    assert variables("ci-smoke-test", Category.DEPLOYMENT, None) == NAMES[1:]
    assert variables("ci-x", Category.CI, "post-release")[0] == "CI_TEST_POST_RELEASE_X_BEHAVIOR"


@pytest.mark.parametrize("present", [*itertools.product([False, True], repeat=4)], ids=str)
def test_the_most_specific_variable_that_is_set_decides(present: tuple[bool, ...]) -> None:
    values = ("PASS", "FAIL", "SKIP", "DRY_RUN")
    environ = {name: value for name, value, is_set in zip(NAMES, values, present, strict=True) if is_set}

    first = next((index for index, is_set in enumerate(present) if is_set), None)

    expected = ("EXECUTE", None) if first is None else (values[first], NAMES[first])
    decision = decided(environ)
    assert (decision.mode.value, decision.variable) == expected


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("name", NAMES)
def test_each_variable_can_choose_each_mode(name: str, mode: Mode) -> None:
    assert decided({name: mode.value}) == Decision(mode=mode, variable=name)


def test_f117_the_script_s_own_variable_has_no_ci_twice() -> None:
    decision = decide("ci-smoke", Category.DEPLOYMENT, None, {"CI_SMOKE_BEHAVIOR": "SKIP"})
    assert decision == Decision(mode=Mode.SKIP, variable="CI_SMOKE_BEHAVIOR")


def test_a_pipeline_s_variable_is_not_heard_outside_of_it() -> None:
    environ = {NAMES[0]: "SKIP"}
    assert decided(environ, None).mode is Mode.EXECUTE
    assert decided(environ, "maintenance").mode is Mode.EXECUTE


def test_an_empty_variable_is_not_set() -> None:
    assert decided({NAMES[0]: "", NAMES[1]: "", "CI_TEST_MODE": "SKIP"}).variable == "CI_TEST_MODE"


def test_the_option_beats_every_variable_even_a_bad_one() -> None:
    environ = dict.fromkeys(NAMES, "SKIP") | {"CI_TEST_MODE": "nonsense"}
    decision = decide("ci-smoke-test", Category.DEPLOYMENT, None, environ, option=Mode.FAIL)
    assert decision == Decision(mode=Mode.FAIL, variable="--mode")


@pytest.mark.parametrize("value", ["skip", "DRYRUN", " SKIP", "SKIP ", "1", "true", "EXECUTE,SKIP", " "])
@pytest.mark.parametrize("name", NAMES)
def test_any_other_value_is_refused(name: str, value: str) -> None:
    with pytest.raises(UsageError) as caught:
        decided({NAMES[0]: "EXECUTE", name: value})
    assert name in caught.value.what
    assert caught.value.details == ("Allowed: PASS, FAIL, SKIP, TIMEOUT, DRY_RUN, EXECUTE.",)


def test_a_bad_value_names_the_nearest_mode() -> None:
    with pytest.raises(UsageError, match=r"CI_TEST_MODE='DRYRUN' is not a mode\. Did you mean DRY_RUN\?"):
        decided({"CI_TEST_MODE": "DRYRUN"})


@given(st.dictionaries(st.sampled_from(NAMES), st.sampled_from(list(Mode)), min_size=1))
def test_a_less_specific_variable_never_changes_the_decision(chosen: dict[str, Mode]) -> None:
    environ = {name: mode.value for name, mode in chosen.items()}
    decision = decided(environ)
    assert decision.variable is not None
    less = NAMES[NAMES.index(decision.variable) + 1 :]
    without = {name: value for name, value in environ.items() if name not in less}
    assert (
        decided(without) == decision == Decision(mode=chosen[decision.variable], variable=decision.variable)
    )


def test_a_decision_says_who_decided() -> None:
    assert str(decided({"CI_TEST_MODE": "DRY_RUN"})) == "mode DRY_RUN, decided by CI_TEST_MODE"
    assert str(decided({})) == "mode EXECUTE, the default: no variable is set"


@pytest.mark.parametrize(
    ("name", "is_unheard"),
    [
        ("CI_SMOKE_BEHAVIOR", False),
        ("CI_SMOK_BEHAVIOR", True),
        ("CI_TEST_SMOKE_BEHAVIOR", True),
        ("CI_TEST_RELEASE_SMOKE_BEHAVIOR", False),
        ("CI_TEST_RELEASE_SMOK_BEHAVIOR", True),
        ("CI_TEST_DEPLOYMENT_BEHAVIOR", False),
        ("CI_TEST_DEPLOYMNT_BEHAVIOR", True),
        ("CI_TEST_MODE", False),
        ("CI_SMOKE_BEHAVIOUR", True),
        ("CI_OTHER", False),
        ("SMOKE_BEHAVIOR", False),
    ],
)
def test_a_variable_that_nobody_listens_to_is_found(name: str, is_unheard: bool) -> None:  # noqa: FBT001 - a table's column
    assert unheard({name: "SKIP"}, ["ci-smoke", "ci-deploy"]) == ((name,) if is_unheard else ())
    assert unheard({name: ""}, ["ci-smoke"]) == ()
