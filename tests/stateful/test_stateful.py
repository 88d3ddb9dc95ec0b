"""Commands, hands, faults and deaths in any order: after each the remote says what the model says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.stateful.machine import API, VERSIONS, Begun, Deployments, Tampered
from tests.stateful.model import Exit, World
from tests.stateful.place import Place
from tests.stateful.site import REGIONS, Site, template

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Inv


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, inv: Inv) -> Begun:
    """Three versions, the first of which is live in both environments; the stale clone knows of none."""
    site = Site(template(tmp_path_factory.mktemp("stateful") / "template"), inv)
    world = World({name: Place(regions) for name, regions in REGIONS.items()})
    commits = [site.head()]
    for name in VERSIONS[:3]:
        commits.append(site.commit(f"For {name}"))
        done = site.run("tag.create", "--version", name, *API)
        assert done.returncode == world.create(name, commits[-1]) == Exit.OK, done.stderr
    for environment in REGIONS:
        done = site.run("deploy", "--env", environment, "--version", VERSIONS[0], *API)
        assert done.returncode == world.deploy(environment, VERSIONS[0], ()) == Exit.OK, done.stderr
    return Begun(site, world, commits)


def test_a_story_of_each(begun: Begun, tmp_path: Path) -> None:
    """One way through all of it, the same each time; below, chance finds others."""
    Tampered.begun, Tampered.folder = begun, tmp_path
    told = Tampered()
    first, second, third = (VERSIONS.index(name) + 3 for name in VERSIONS[:3])
    nothing: set[str] = set()

    def then(done: None) -> None:
        """Look at the remote after a command, which answers nothing."""
        assert done is None
        told.the_remote_says_so()
        told.nothing_ran_twice_or_unasked()
        told.what_is_immutable_stays()

    def live(environment: str) -> list[str]:
        return [each.version for _, each in sorted(told.world.places[environment].live.items())]

    then(told.deploys("staging", second, nothing, None, "lost answer", yes=False))
    assert live("staging") == ["v1.1.0", "v1.1.0"]
    then(told.deploys("staging", first, nothing, None, None, yes=False))  # refused: it is older
    then(told.deploys("staging", third, nothing, {"us-east"}, None, yes=False, stale=True))
    assert live("staging") == ["v1.2.0", "v1.1.0"]
    then(told.promote(None, None, yes=True))  # refused: the regions differ
    then(told.rollback("staging", "us-east", None, "lost request"))
    assert live("staging") == ["v1.2.0", "v1.1.0"]
    then(told.rollback("staging", "us-east", {"us-east"}, None))
    then(told.rollback("staging", "us-east", None, None))
    assert live("staging") == ["v1.2.0", "v1.0.0"]
    then(told.mark(first, "deprecated", "lost answer"))
    then(told.rollback("staging", "us-east", None, None))  # refused: nothing fits
    then(told.deploys("staging", first, nothing, None, None, yes=True, again=True))  # refused: it is bad
    then(told.deploys("staging", second, nothing, None, None, yes=True))
    then(told.deploys("staging", third, nothing, {"eu-west"}, None, yes=False))  # fails in the first region
    then(told.promote(None, None, yes=False))  # refused: it is uncertain
    then(told.deploys("staging", second, nothing, None, None, yes=False))
    then(told.promote(None, "lost answer", yes=False))
    assert live("staging") == ["v1.1.0", "v1.1.0"]
    assert live("production") == ["v1.1.0"]
    then(told.deploy_and_die("production", 0, nothing, "before_settle"))
    then(told.deploy("production", third, None))  # a conflict: the dead one holds the claim
    then(told.unlock("lost answer"))
    then(told.rollback("production", "", None, None))
    assert live("production") == ["v1.1.0"]
    told.teardown()
    then(told.move("production", 0))
    then(told.deploy("production", third, None))  # refused: it has drifted
    then(told.put_back("lost request"))
    then(told.deploy("production", second, None))  # assigned, so it runs now
    then(told.delete("staging"))
    then(told.deploy("staging", 0, None))
    then(told.status(stale=True))
    assert live("staging") == ["v1.2.0", "v1.2.0"]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("machine", [Deployments, Tampered], ids=["nobody-tampers", "somebody-tampers"])
def test_the_remote_says_what_was_done(machine: type[Deployments], begun: Begun, tmp_path: Path) -> None:
    """A profile with more examples gets more and longer ones, and looks for a shorter one that fails."""
    machine.begun, machine.folder = begun, tmp_path
    profile = settings()
    is_thorough = profile.max_examples > 100
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=max(3, profile.max_examples // 33),
            stateful_step_count=40 if is_thorough else 12,
            deadline=None,
            phases=tuple(Phase) if is_thorough else (Phase.reuse, Phase.generate),
            suppress_health_check=list(HealthCheck),
        ),
    )
