"""Where a deployment's rules and values come from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.repositories import git

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


def test_f43_a_script_that_git_does_not_look_at_is_named(monorepo: Monorepo, inv: Inv) -> None:
    monorepo.write(PRODUCTION, "protected: true\n")
    monorepo.write(".gitignore", "build/\n__pycache__/\n99-*\n")
    monorepo.commit("Protect production, hide a script")
    inv("tag.create", "--subproject", "api", "--version", "v1.0.0", cwd=monorepo.clone)
    hidden = monorepo.write("scripts/deployment/99-ci-hidden.sh", "#!/bin/sh\n", executable=True)
    line = ("deploy", "--env", "production", "--subproject", "api")
    refused = inv(*line, cwd=monorepo.clone, env={"CI": "true"})
    assert refused.returncode == 3
    assert "99-ci-hidden.sh" in refused.stderr
    hidden.unlink()
    changed = "scripts/deployment/20-ci-smoke.sh"
    monorepo.git("update-index", "--assume-unchanged", changed)
    monorepo.write(changed, "#!/bin/sh\n", executable=True)
    refused = inv(*line, cwd=monorepo.clone, env={"CI": "true"})
    assert refused.returncode == 3
    assert changed in refused.stderr
    assert monorepo.recorded() == []


def test_the_tag_follows_a_shorter_list_of_regions(monorepo: Monorepo, inv: Inv) -> None:
    for version, extra in (("v1.0.0", ()), ("v1.1.0", ("--region", "us-east"))):
        monorepo.commit(f"Make {version}")
        inv("tag.create", "--subproject", "api", "--version", version, cwd=monorepo.clone)
        done = inv("deploy", "--env", "staging", "--subproject", "api", *extra, cwd=monorepo.clone)
        assert done.returncode == 0, done.stderr
    newest = monorepo.git("rev-parse", "HEAD")
    assert git("rev-parse", "refs/tags/api/staging^{commit}", cwd=monorepo.remote) != newest
    monorepo.write("environments/staging/config.yml", "regions: [us-east]\n")
    monorepo.git("rm", "-r", "--quiet", "environments/staging/eu-west")
    monorepo.commit("Leave eu-west")
    scripts_before = monorepo.recorded()
    done = inv("deploy", "--env", "staging", "--subproject", "api", cwd=monorepo.clone)
    assert done.returncode == 0, done.stderr
    assert "follows the new list of regions" in done.stdout
    assert monorepo.recorded() == scripts_before, "nothing was to be run"
    assert git("rev-parse", "refs/tags/api/staging^{commit}", cwd=monorepo.remote) == newest
    status = inv("deploy.status", "--json", cwd=monorepo.clone)
    (shown,) = json.loads(status.stdout)["environments"]
    assert ([each["region"] for each in shown["regions"]], shown["isSettled"]) == (["us-east"], True)
    refs = monorepo.remote_refs()
    assert inv("deploy", "--env", "staging", "--subproject", "api", cwd=monorepo.clone).returncode == 0
    assert monorepo.remote_refs() == refs


def test_each_region_has_a_source_tree_of_its_own(monorepo: Monorepo, inv: Inv) -> None:
    script = '#!/bin/sh\ncd "$DEPLOYMENT_SOURCE" && ls mark 2>/dev/null >>"$RECORD_TO"\ntouch mark\n'
    monorepo.write("scripts/deployment/10-ci-record.sh", script, executable=True)
    monorepo.commit("Write into the source")
    inv("tag.create", "--subproject", "api", "--version", "v1.0.0", cwd=monorepo.clone)
    assert inv("deploy", "--env", "staging", "--subproject", "api", cwd=monorepo.clone).returncode == 0
    assert not any("mark" in line for line in monorepo.recorded())
