"""The harness can fail: promises that are broken on purpose are found out, and the same without is sound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.deploy.running import until
from tests.stress import arena
from tests.stress.checker import check
from tests.stress.harness import Harness, Line, deploy_line, line_about
from tests.stress.launcher import SEEDED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.stress.launcher import Launcher

    Scene = Callable[[Harness, str, Mapping[str, str]], None]


def west(environment: str) -> Line:
    """A deployment to one region."""
    return deploy_line(environment, "--again", "--yes", regions=["eu-west"])


def somebody_was_faster(harness: Harness, environment: str, wrong: Mapping[str, str]) -> None:
    """Between what a deployment has read and its claim another deployment takes place."""
    slow = harness.start(west(environment), 0, faults=["held"], env=wrong)
    until(lambda: (slow.folder / "held").exists() or not slow.is_alive(), "the claim's push")
    harness.operate(west(environment), 1)
    (slow.folder / "go").touch()
    slow.end()


def somebody_is_at_work(harness: Harness, environment: str, wrong: Mapping[str, str]) -> None:
    """A deployment to where another one is running."""
    over = harness.arena.hold(environment)
    first = harness.start(west(environment), 0)
    until(lambda: harness.arena.started(environment) or not first.is_alive(), "the first one's script")
    second = harness.start(west(environment), 1, env=wrong)
    until(lambda: not second.is_alive() or len(harness.arena.started(environment)) > 1, "the second one")
    over.touch()
    first.end()
    second.end()


def no_answer_for_a_claim(harness: Harness, environment: str, wrong: Mapping[str, str]) -> None:
    """The client is cut off while it claims, and the server commits when everything is over."""
    cut_off = harness.start(west(environment), 0, faults=["later"], env=wrong)
    cut_off.end()
    (cut_off.folder / "land").touch()
    harness.rest()


def the_claim_was_broken(harness: Harness, environment: str, wrong: Mapping[str, str]) -> None:
    """A claim is ended by somebody else while its script runs to its end."""
    over = harness.arena.hold(environment)
    owner = harness.start(west(environment), 0, env=wrong)
    until(lambda: harness.arena.started(environment) or not owner.is_alive(), "the script")
    (claim,) = harness.arena.started(environment)
    harness.operate(line_about("unlock", environment, claim, "--now", "--reason", "in the way"), 1)
    over.touch()
    owner.end()


SCENES = [
    pytest.param(somebody_was_faster, "without_lease", "lost", id="no-lease"),
    pytest.param(somebody_is_at_work, "holders_ignored", "overlap", id="no-look-at-who-holds-it"),
    pytest.param(no_answer_for_a_claim, "old_value_believed", "late", id="an-old-value-is-believed"),
    pytest.param(no_answer_for_a_claim, "object_rebuilt", "rebuilt", id="the-object-is-built-anew"),
    pytest.param(the_claim_was_broken, "nonce_ignored", "broken", id="no-look-for-the-nonce"),
]


@pytest.mark.parametrize(("scene", "fault", "rule"), SCENES)
def test_a_promise_broken_on_purpose(
    tmp_path: Path, launcher: Launcher, scene: Scene, fault: str, rule: str
) -> None:
    harness = Harness(arena.build(tmp_path, 2), launcher)
    scene(harness, "staging", {})
    assert check(harness.history()) == []
    scene(harness, "canary", {SEEDED: fault})
    violations = check(harness.history())
    assert rule in {violation.rule for violation in violations}
    assert all("staging" not in violation.what for violation in violations)


def test_f74_a_no_for_the_second_try_says_nothing_of_the_first(tmp_path: Path, launcher: Launcher) -> None:
    harness = Harness(arena.build(tmp_path, 1), launcher)
    running = harness.start(west("staging"), 0, faults=["later", *["declined"] * 9])
    ended = running.end()
    (running.folder / "land").touch()
    harness.rest()
    assert check(harness.history()) == []
    assert ended.status == 6
    assert "deploy.settle" in ended.said
