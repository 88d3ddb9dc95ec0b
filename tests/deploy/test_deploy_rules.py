"""What `inv deploy` refuses: the exit code, what it says, and that nothing happened."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.deploy.conftest import make_site
from tests.repositories import git

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Inv
    from tests.deploy.conftest import Site

STAGING = ("--env", "staging", "--subproject", "api")
SCRIPTS = "scripts/deployment"
SH = "#!/bin/sh\n# Description: test\n"


@dataclass(frozen=True)
class Case:
    """A line that is refused; `files` are put into the checkout before (None: removed)."""

    line: tuple[str, ...]
    code: int
    says: str
    next_line: str | None = None
    env: dict[str, str] = field(default_factory=dict)
    files: dict[str, str | None] = field(default_factory=dict)
    executable: bool = True


@pytest.fixture(scope="module")
def crooked(tmp_path_factory: pytest.TempPathFactory, inv: Inv) -> Site:
    """A remote with tags of every wrong kind, and a checkout with every kind of rule."""
    site = make_site(tmp_path_factory.mktemp("crooked"), inv)
    run = site.repository.git
    good = run("rev-parse", "HEAD")
    tree, blob = run("rev-parse", "HEAD^{tree}"), run("rev-parse", "HEAD:api/main.txt")
    run("tag", "api/v2.0.0", good)
    run("tag", "--annotate", "inner", "--message", "inner")
    for name, target in (("api/v2.1.0", "inner"), ("api/v2.2.0", tree), ("api/v2.3.0", blob)):
        run("-c", "advice.nestedTag=false", "tag", "--annotate", name, target, "--message", name)
    names = ("api/v2.0.0", "api/v2.1.0", "api/v2.2.0", "api/v2.3.0", "inner:refs/tags/api/v2.4.0")
    run("push", "--quiet", "origin", *names)
    run("tag", "--delete", "inner", *names[:4])
    site.version("api/v3.0.0", "api/v3.1.0", "web/v1.0.0", "web/v2.0.0", "services/auth/v1.0.0")
    site.version("api/v3.0.0-deprecated", "api/v3.0.0-stable", "api/v3.1.0-unstable")
    site.ok("deploy", "--env", "staging", "--subproject", "web")
    site.repository.record.unlink()
    _commit_with(site, "environments/staging/config.yml", "env: {PORT: 22:22}\n", "api/v4.0.0")
    _commit_with(site, "environments/staging/config.yml", None, "api/v4.1.0")
    site.repository.write("environments/staging/config.yml", "env:\n  GREETING: hello staging\n")
    site.repository.write("environments/canary/config.yml", "protected: true\n")
    site.repository.write("environments/sandbox/config.yml", "branches: [release/*, trunk]\n")
    (site.clone / "linked").symlink_to("/tmp")
    site.repository.write("ci_tasks.yaml", "")
    moved = site.commit("Rules")
    tag = git("cat-file", "tag", "refs/tags/web/staging", cwd=site.remote)
    # A tag of another subproject that is read by mistake would look like this one, too.
    site.put("web/staging", tag.replace(f"object {good}", f"object {moved}", 1) + "\n")
    site.put("services/auth/staging", f"object {good}\ntype commit\ntag services/auth/staging\n\nby hand\n")
    site.put("services/auth/canary", tag.replace("web/staging", "services/auth/canary") + "\n")
    newer = tag.replace("web/staging", "services/auth/sandbox").replace('"schema":1', '"schema":2')
    site.put("services/auth/sandbox", newer + "\n")
    git("update-ref", "refs/tags/services/auth/production", good, cwd=site.remote)
    return site


def _commit_with(site: Site, path: str, text: str | None, version: str) -> None:
    if text is None:
        site.repository.git("rm", "--quiet", "-r", path.rpartition("/")[0])
    else:
        site.repository.write(path, text)
    site.commit()
    site.version(version)


@pytest.fixture
def checkout(crooked: Site, request: pytest.FixtureRequest) -> Iterator[Site]:
    """The crooked site with the case's files in its checkout; as committed again afterwards."""
    case: Case = request.getfixturevalue("case")
    for path, text in case.files.items():
        if text is None:
            (crooked.clone / path).unlink()
        else:
            crooked.repository.write(path, text, executable=case.executable)
    yield crooked
    crooked.repository.git("reset", "--quiet", "--hard")
    crooked.repository.git("clean", "-fdxq")


def deploying(*options: str) -> tuple[str, ...]:
    return ("deploy", *STAGING, *options)


HELP = "inv --help deploy"
ARGUMENTS = {
    "F1-command": Case(("deploy", "--env", "prod;rm -rf ."), 2, "'prod;rm -rf .' is not an environment"),
    "F2-substitution": Case(("deploy", "--env", "$(id)`id`|&\"'"), 2, "is not an environment"),
    "F2-line-end": Case(("deploy", "--env", "staging\nx"), 2, r"'staging\nx' is not an environment"),
    "F3-long": Case(("deploy", "--env", "--upload-pack=x"), 2, "--env needs a value", HELP),
    "F3-equals": Case(("deploy", "--env=--upload-pack=x"), 2, "'--upload-pack=x' is not an environment"),
    "F3-short": Case(("deploy", "--env", "-x"), 2, "--env needs a value", HELP),
    "F3-subproject": Case(("deploy", "--env", "staging", "--subproject=-x"), 2, "'-x' is not a subproject"),
    "F5-up": Case(("deploy", "--env", "staging", "--subproject", "../../etc"), 2, "is not a subproject"),
    "F5-round": Case(("deploy", "--env", "staging", "--subproject", "api/../web"), 2, "is not a subproject"),
    "F5-absolute": Case(("deploy", "--env", "staging", "--subproject", "/etc"), 2, "is not a subproject"),
    "F6-link": Case(("deploy", "--env", "staging", "--subproject", "linked"), 3, "is a symbolic link"),
    "F7-region": Case(deploying("--region", "us-east/../../secrets"), 2, "is not a region"),
    "F8-colon": Case(("deploy", "--env", "staging:"), 2, "'staging:' is not an environment. Did you mean"),
    "F8-two": Case(("deploy", "--env", "a:b:c"), 2, "Allowed: production, staging, canary"),
    "F8-region": Case(deploying("--region", "us-west"), 2, "Did you mean us-east? \n  Allowed: eu-west, us-east"),
    "F10-case": Case(("deploy", "--env", "staging", "--subproject", "Api"), 2, "Did you mean api?"),
    **{
        f"F11-{name}": Case(("deploy", "--env", "staging", "--subproject", name), 2, "is not a subproject")
        for name in ("HEAD", "@", "refs", "con", "aux.txt", "x.lock", "a..b")
    },
    **{
        f"F13-{name}": Case(deploying("--version", name), 2, "is not a version")
        for name in ("1.2", "01.2.3", "1.2.3-", "v1.2.3+b d", "99999999999999999999.0.0", "v3.0.0-stable")
    },
    "F14-typo": Case(("deploy", "--env", "stagng"), 2, "Did you mean staging?"),
    "F15-flag-with-value": Case(deploying("--parallel=abc"), 2, "--parallel", HELP),
    "F16-choice": Case(("deploy", "--env", "preview"), 2, "'preview' is not an environment"),
    "F86-force": Case(deploying("--force"), 1, "No idea what '--force' is!"),
    "F120-region": Case(deploying("-r", "us-east"), 2, "-r is an option of inv itself", HELP),
    "F120-version": Case(deploying("-V"), 2, "-V is an option of inv itself", HELP),
    "F120-warn": Case(deploying("-w"), 2, "-w is an option of inv itself", HELP),
    "F121-flag-for-a-value": Case(deploying("--region", "a", "--region", "--yes"), 2, "--region needs", HELP),
    "F121-misspelt": Case(("deploy", "--evn", "staging"), 1, "No idea what '--evn' is!"),
    "no-environment": Case(("deploy",), 2, "--env is missing"),
    "two-tasks": Case((*deploying(), "deploy.status"), 2, "deploy"),
    "which-subproject": Case(
        ("deploy", "--env", "staging"),
        2,
        "There are: api, services/auth, web.",
        "inv deploy --env staging --subproject api",
    ),
    "mode-typo": Case(deploying(), 2, "Did you mean DRY_RUN?", "unset CI_TEST_MODE", env={"CI_TEST_MODE": "DRYRUN"}),
    "setting-typo": Case(deploying(), 2, "CI_TASKS_REGION", env={"CI_TASKS_REGION": "us-east"}),
}

@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in ARGUMENTS.items()])
def test_refused(checkout: Site, case: Case) -> None:
    before = checkout.remote_state()
    done = checkout.run(*case.line, env=case.env)
    import sys
    print(f"@@ {' '.join(case.line)} => {done.returncode}\n{done.stderr}")
    assert (done.returncode, done.stdout) == (case.code, "")
    assert case.says in done.stderr
    assert done.stderr.partition("\nnext: ")[2] == (f"{case.next_line}\n" if case.next_line else "")
    assert checkout.remote_state() == before
    assert checkout.repository.recorded() == []
