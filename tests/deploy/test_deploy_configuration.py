"""Where a deployment's rules and values come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import Inv
    from tests.repositories import Monorepo

PRODUCTION = "environments/production/config.yml"


def test_an_uncommitted_edit_does_not_take_protection_away(monorepo: Monorepo, inv: Inv) -> None:
    monorepo.write(PRODUCTION, "protected: true\n")
    monorepo.commit("Protect production")
    inv("tag.create", "--subproject", "api", "--version", "v1.0.0", cwd=monorepo.clone)
    before = monorepo.remote_refs()
    monorepo.write(PRODUCTION, "protected: false\n")
    done = inv("deploy", "--env", "production", "--subproject", "api", cwd=monorepo.clone)
    assert done.returncode == 3
    assert "production is protected, and there are uncommitted changes" in done.stderr
    assert PRODUCTION in done.stderr
    assert monorepo.remote_refs() == before
    assert monorepo.recorded() == []
    monorepo.commit("Open production to everybody")
    assert inv("deploy", "--env", "production", "--subproject", "api", cwd=monorepo.clone).returncode == 0


def test_an_environment_that_was_never_committed_can_be_tried(monorepo: Monorepo, inv: Inv) -> None:
    monorepo.git("rm", "-r", "--quiet", "environments/production")
    monorepo.commit("Drop production")
    inv("tag.create", "--subproject", "api", "--version", "v1.0.0", cwd=monorepo.clone)
    monorepo.write("environments/canary/config.yml", "")
    done = inv("deploy", "--env", "canary", "--subproject", "api", "--dry-run", cwd=monorepo.clone)
    assert done.returncode == 2, "its values come from the version's commit, which has no such folder"
    assert "environments/canary" in done.stderr
