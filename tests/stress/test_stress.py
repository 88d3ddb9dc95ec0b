"""Many processes deploy at once, some die, pushes go wrong: the checker finds nothing to complain about."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.stress import arena
from tests.stress.checker import check
from tests.stress.crowd import Crowd
from tests.stress.harness import Harness

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stress.launcher import Launcher

SEED = int(os.environ.get("STRESS_SEED") or 4)
MEMBERS = int(os.environ.get("STRESS_PROCESSES") or 3)
DEPLOYMENTS = int(os.environ.get("STRESS_DEPLOYMENTS") or 5)
PATIENT = 10
"""Deployments of each member from which on nobody minds that some processes stand still for a while."""


@pytest.mark.timeout(100 + 30 * DEPLOYMENTS)
def test_a_crowd_deploys_while_everything_goes_wrong(
    tmp_path: Path, launcher: Launcher, capsys: pytest.CaptureFixture[str]
) -> None:
    again = f"STRESS_SEED={SEED} STRESS_PROCESSES={MEMBERS} STRESS_DEPLOYMENTS={DEPLOYMENTS}"
    with capsys.disabled():
        print(f"\n{again}")  # noqa: T201 - to do it again
    harness = Harness(arena.build(tmp_path, MEMBERS), launcher)
    crowd = Crowd(harness, SEED, MEMBERS, DEPLOYMENTS, frozen=DEPLOYMENTS >= PATIENT)
    crowd.work()
    ends = crowd.repair()
    history = harness.history()
    violations = [f"{rule}: {what}" for rule, what in check(history)]
    assert not violations, "\n".join([*violations, f"{again}, to be looked at in {tmp_path}"])
    assert {end.status for end in ends} == {0}, [end.said for end in ends if end.status]
    assert len(history.operations) >= MEMBERS * DEPLOYMENTS
