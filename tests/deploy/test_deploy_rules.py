"""What `inv deploy` refuses: the exit code, what it says, and that nothing happened."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT, program
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
    for environment in ("staging", "production"):
        site.ok("deploy", "--env", environment, "--subproject", "web")
    site.repository.record.unlink()
    _commit_with(site, "environments/staging/config.yml", "env: {PORT: 22:22}\n", "api/v4.0.0")
    _commit_with(site, "environments/staging", None, "api/v4.1.0")
    site.repository.git("checkout", good, "--", "environments")
    site.repository.write("environments/canary/config.yml", "protected: false\n")
    site.repository.write("environments/sandbox/config.yml", "branches: [release/*, trunk]\n")
    moved = site.commit("Rules")
    site.version("api/v5.0.0")
    site.repository.write("environments/canary/config.yml", "protected: true\n")
    (site.clone / "linked").symlink_to("api")
    site.repository.write("ci_tasks.yaml", "")
    site.commit("Other rules")
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
        site.repository.git("rm", "--quiet", "-r", path)
    else:
        site.repository.write(path, text)
    site.commit()
    site.version(version)


@pytest.fixture
def checkout(crooked: Site, request: pytest.FixtureRequest) -> Iterator[Site]:
    """The crooked site with the case's files in its checkout; as committed again afterwards."""
    case: Case = request.getfixturevalue("case")
    for path, text in case.files.items():
        if (crooked.clone / path).is_dir():
            shutil.rmtree(crooked.clone / path)
        elif text is None:
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
    "F2-line-end": Case(
        *(("deploy", "--env", "staging\nx"), 2, r"'staging\nx' is not an environment"),
        "inv deploy --env staging",
    ),
    "F3-long": Case(("deploy", "--env", "--upload-pack=x"), 2, "--env needs a value", HELP),
    "F3-equals": Case(("deploy", "--env=--upload-pack=x"), 2, "'--upload-pack=x' is not an environment"),
    "F3-short": Case(("deploy", "--env", "-x"), 2, "--env needs a value", HELP),
    "F5-up": Case(("deploy", "--env", "staging", "--subproject", "../../etc"), 2, "is not a subproject"),
    "F5-absolute": Case(("deploy", "--env", "staging", "--subproject", "/etc"), 2, "is not a subproject"),
    "F6-link": Case(("deploy", "--env", "staging", "--subproject", "linked"), 3, "is a symbolic link"),
    "F7-region": Case(deploying("--region", "us-east/../../secrets"), 2, "is not a region"),
    "F8-colon": Case(
        *(("deploy", "--env", "staging:"), 2, "'staging:' is not an environment. Did you mean"),
        "inv deploy --env staging",
    ),
    "F8-region": Case(
        deploying("--region", "us-west"), 2, "Did you mean us-east?\n  Allowed: eu-west, us-east."
    ),
    "F10-case": Case(("deploy", "--env", "staging", "--subproject", "Api"), 2, "Did you mean api?"),
    **{
        f"F11-{name}": Case(("deploy", "--env", "staging", "--subproject", name), 2, "is not a subproject")
        for name in ("HEAD", "aux.txt", "x.lock")
    },
    **{
        f"F13-{name}": Case(deploying("--version", name), 2, "is not a version")
        for name in ("1.2", "v1.2.3+b d", "99999999999999999999.0.0", "v3.0.0-stable")
    },
    "F14-typo": Case(("deploy", "--env", "stagng"), 2, "Did you mean staging?", "inv deploy --env staging"),
    "F15-flag-with-a-value": Case(deploying("--parallel=abc"), 1, "No idea what 'abc' is!"),
    "F16-choice": Case(("deploy", "--env", "preview"), 2, "'preview' is not an environment"),
    "F86-force": Case(deploying("--force"), 1, "No idea what '--force' is!"),
    "F120-region": Case(deploying("-r", "us-east"), 2, "-r is an option of inv itself", HELP),
    "F120-version": Case(deploying("-V"), 2, "-V is an option of inv itself", HELP),
    "F120-warn": Case(deploying("-w"), 2, "-w is an option of inv itself", HELP),
    "F121-flag-for-a-value": Case(deploying("--region", "a", "--region", "--yes"), 2, "--region needs", HELP),
    "F121-misspelt": Case(("deploy", "--evn", "staging"), 1, "No idea what '--evn' is!"),
    "no-environment": Case(("deploy",), 2, "--env is missing", "inv deploy --env staging --subproject api"),
    "two-tasks": Case(
        (*deploying(), "deploy.status"), 2, "has to be the only task", " ".join(["inv", *deploying()])
    ),
    "which-subproject": Case(
        ("deploy", "--env", "staging"),
        2,
        "There are: api, services/auth, web.",
        "inv deploy --env staging --subproject api",
    ),
    "mode-typo": Case(
        deploying(), 2, "Did you mean DRY_RUN?", "unset CI_TEST_MODE", env={"CI_TEST_MODE": "DRYRUN"}
    ),
    "setting-typo": Case(deploying(), 2, "CI_TASKS_REGION", env={"CI_TASKS_REGION": "us-east"}),
}

NEXT = "inv tag.create --version {} --subproject api"
ADOPT = 'inv tag.assign --env {} --subproject services/auth --version v1.0.0 --adopt --reason "why"'
TAGS = {
    "F50-lightweight": Case(
        deploying("--version", "v2.0.0"),
        *(3, "api/v2.0.0 can't be trusted: it is a lightweight tag", NEXT.format("v2.0.1")),
    ),
    "F52-nested": Case(
        deploying("--version", "v2.1.0"),
        *(3, "it points to a tag, not to a commit", NEXT.format("v2.1.1")),
    ),
    "F52-tree": Case(
        deploying("--version", "v2.2.0"),
        *(3, "it points to a tree, not to a commit", NEXT.format("v2.2.1")),
    ),
    "F52-blob": Case(
        deploying("--version", "v2.3.0"),
        *(3, "it points to a blob, not to a commit", NEXT.format("v2.3.1")),
    ),
    "F52-name-of-another": Case(
        deploying("--version", "v2.4.0"),
        *(3, "its object calls itself 'inner'", NEXT.format("v2.4.1")),
    ),
    "F58-no-such-version": Case(
        deploying("--version", "v9.0.0"),
        *(3, "There is no version api/v9.0.0 on the remote.\n  The newest are: v5.0.0, v4.1.0, v4.0.0,"),
        "inv tag.list --subproject api --type version",
    ),
    "F58-no-version-at-all": Case(
        ("deploy", "--env", "staging", "--subproject", "environments"),
        *(3, "environments has no version yet."),
        "inv tag.create --version v0.1.0 --subproject environments",
    ),
    "F59-deprecated": Case(
        deploying("--version", "v3.0.0"),
        *(3, "api/v3.0.0 is marked deprecated: A version.\n  Rule: state."),
        "inv deploy --env staging --subproject api",
    ),
    "F59-unstable": Case(
        deploying("--version", "v3.1.0", "--again", "--yes"),
        *(3, "api/v3.1.0 is marked unstable: A version.\n  Rule: state."),
        "inv deploy --env staging --subproject api",
    ),
    "F61-moved-by-hand": Case(
        ("deploy", "--env", "staging", "--subproject", "web"),
        *(3, "somebody moved it by hand"),
        'inv tag.assign --env staging --subproject web --version v2.0.0 --reason "it was moved by hand"',
    ),
    "F65-downgrade": Case(
        ("deploy", "--env", "production", "--subproject", "web", "--version", "v1.0.0"),
        *(3, "v1.0.0 is older than v2.0.0, which is live in the environment.\n  Rule: downgrade."),
        "inv deploy --env production --subproject web --version v1.0.0 --yes",
    ),
    "F71-no-ledger": Case(
        ("deploy", "--env", "staging", "--subproject", "services/auth"),
        *(4, "The ledger in services/auth/staging can't be read", ADOPT.format("staging")),
    ),
    "F71-of-another-tag": Case(
        ("deploy", "--env", "canary", "--subproject", "services/auth"),
        *(
            4,
            "The ledger in services/auth/canary is that of web/staging",
            ADOPT.format("canary"),
        ),
    ),
    "F71-newer-form": Case(
        ("deploy", "--env", "sandbox", "--subproject", "services/auth"),
        *(4, "was written by a newer ci-tasks", "pip install --upgrade ci-tasks"),
    ),
    "F71-lightweight": Case(
        ("deploy", "--env", "production", "--subproject", "services/auth"),
        *(4, "services/auth/production has no ledger", ADOPT.format("production")),
    ),
    "F24-in-the-commit": Case(
        deploying("--version", "v4.0.0"),
        *(2, "The commit of api/v4.0.0 can't be deployed: environments/staging/config.yml:1:13: env.PORT:"),
        NEXT.format("v4.0.1"),
    ),
    "F30-not-in-the-commit": Case(
        deploying("--version", "v4.1.0"),
        *(2, "The commit of api/v4.1.0 can't be deployed: There is no folder environments/staging/"),
        NEXT.format("v4.1.1"),
    ),
}
STAGING_FILE = "environments/staging/config.yml"
CANARY = ("deploy", "--env", "canary", "--subproject", "api")
BY_A_JOB = "inv deploy --env canary --subproject api --version v5.0.0"
NEW = f"{SCRIPTS}/30-ci-new.sh"
RULES = {
    "F118-protected": Case(CANARY, 3, "canary is protected: only CI jobs deploy there.", BY_A_JOB),
    "F118-protected-and-ci-false": Case(
        CANARY, 3, "only CI jobs deploy there", BY_A_JOB, env={"CI": "false"}
    ),
    "F43-changed-and-protected": Case(
        CANARY,
        3,
        "there are uncommitted changes: api/scripts/lib/x.txt, environments/note.\n"
        "  Rule: protected (environments/canary/config.yml:1).",
        "git status --short -- scripts environments",
        env={"CI": "true"},
        files={"api/scripts/lib/x.txt": "x\n", "environments/note": "x\n"},
    ),
    "F54-on-no-such-branch": Case(
        ("deploy", "--env", "sandbox", "--subproject", "api"),
        *(
            3,
            (
                "api/v5.0.0 is on none of the branches that sandbox takes: release/*, trunk.\n"
                "  Rule: branches (environments/sandbox/config.yml:1)."
            ),
            "git branch --remotes --contains {commit}",
        ),
    ),
    "F30-no-folder": Case(
        ("deploy", "--env", "performance", "--subproject", "api"),
        *(2, "There is no folder environments/performance/, nor api/environments/performance/, so"),
        "mkdir -p environments/performance && touch environments/performance/config.yml",
    ),
    "F30-first-run": Case(
        deploying(),
        *(2, "There are no environments yet. An environment is a folder with a config.yml"),
        "mkdir -p environments/staging && touch environments/staging/config.yml",
        files={"environments": None},
    ),
    "F24-not-a-flag": Case(
        *(deploying(), 2, f"{STAGING_FILE}:1:12: protected:", "inv env.check"),
        files={STAGING_FILE: "protected: NO\n"},
    ),
    "F25-key": Case(
        *(deploying(), 2, "did you mean protected?", "inv env.check"),
        files={STAGING_FILE: "protectd: true\n"},
    ),
    "F25-folder": Case(
        *(deploying(), 2, "did you mean staging?", "inv env.check"),
        files={"environments/stagging/config.yml": "{}\n"},
    ),
    "F25-setting": Case(
        deploying(), 2, "did you mean subprojects?", files={"ci_tasks.yaml": "subproject: [api]\n"}
    ),
    "F97-not-executable": Case(
        *(deploying(), 2, f"{NEW}:1: is not executable; type: chmod +x {NEW}", "inv script.check"),
        files={NEW: SH},
        executable=False,
    ),
    "F97-no-such-program": Case(
        *(deploying(), 2, "asks for '/nowhere/sh', which does not exist", f"head -n 1 ./{NEW}"),
        files={NEW: "#!/nowhere/sh\n# Description: x\n"},
    ),
    "F97-no-first-line": Case(
        *(deploying(), 2, f"{NEW}:1: has no shebang", "inv script.check"), files={NEW: "# Description: x\n"}
    ),
    "F97-windows": Case(
        *(deploying(), 2, f"{NEW}:1: has Windows line ends", "inv script.check"),
        files={NEW: "#!/bin/sh\r\n# Description: x\r\n"},
    ),
    "F97-requires": Case(
        *(deploying(), 5, "deployment/new requires nonesuch: not found on the PATH.", "command -v nonesuch"),
        files={NEW: f"{SH}# Requires: nonesuch\n"},
    ),
    "F98-name": Case(
        *(deploying(), 2, "deploy.sh:1: looks like a script, but its name is not NN-ci-<name>.<ext>"),
        "inv script.check",
        files={f"{SCRIPTS}/deploy.sh": SH},
    ),
    "F98-twins": Case(
        *(deploying(), 2, "30-ci-record.sh:1: has the same category and name as 10-ci-record.sh"),
        "inv script.check",
        files={f"{SCRIPTS}/30-ci-record.sh": SH},
    ),
    "no-scripts": Case(
        deploying(),
        *(2, "There are no deployment scripts, so nothing would be deployed."),
        "mkdir -p scripts/deployment  # then put an executable 10-ci-deploy.sh there",
        files={f"{SCRIPTS}/10-ci-record.sh": None, f"{SCRIPTS}/20-ci-smoke.sh": None},
    ),
}
CASES = [pytest.param(case, id=name) for name, case in {**ARGUMENTS, **TAGS, **RULES}.items()]


@pytest.mark.parametrize("case", CASES)
def test_refused(checkout: Site, case: Case) -> None:
    before, recorded = checkout.remote_state(), checkout.repository.recorded()
    done = checkout.run(*case.line, env=case.env)
    assert (done.returncode, done.stdout) == (case.code, "")
    assert case.says in done.stderr
    next_line = (case.next_line or "").format(
        remote=checkout.remote, commit=checkout.target("api/v5.0.0")[:12]
    )
    assert done.stderr.partition("\nnext: ")[2].removesuffix("\n") == next_line
    if case.code > 2:
        assert "\nNothing was " in done.stderr
    assert checkout.remote_state() == before
    assert checkout.repository.recorded() == recorded


def answered(site: Site, reply: str, *line: str) -> tuple[int, str]:
    """Type a line at a terminal, and answer what it asks; its exit code, and what the terminal showed."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [program("inv"), *line],
        cwd=site.clone,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(site.temporary), "NO_COLOR": "1"},
        stdin=slave,
        stdout=subprocess.DEVNULL,
        stderr=slave,
    )
    os.close(slave)
    os.write(master, reply.encode())
    shown = b""
    while True:
        try:
            piece = os.read(master, 4096)
        except OSError:  # the other end was closed
            break
        if not piece:
            break
        shown += piece
    os.close(master)
    return process.wait(), shown.decode().replace("\r\n", "\n")


def test_f65_a_downgrade_is_asked_for_on_a_terminal(site: Site) -> None:
    site.version("api/v1.1.0")
    site.ok("deploy", *STAGING)
    before = site.remote_state()
    older = ("deploy", *STAGING, "--version", "v1.0.0")
    question = (
        "v1.0.0 is older than v1.1.0, which is live in eu-west, us-east. Deploy it all the same? [y/N] "
    )

    code, shown = answered(site, "n\n", *older)
    assert (code, site.remote_state()) == (3, before)
    assert question in shown
    assert "Rule: downgrade." in shown

    code, shown = answered(site, "y\n", *older)
    assert code == 0, shown
    assert question in shown
    assert site.ledger().live() == {"eu-west": "v1.0.0", "us-east": "v1.0.0"}
    site.ok("deploy", *STAGING, "--version", "v1.1.0")
    site.ok(*older, "--yes", "--region", "us-east")
    assert site.ledger().live() == {"eu-west": "v1.1.0", "us-east": "v1.0.0"}
    # What was agreed to for one rule is no leave to pass over the others.
    site.version("api/v1.0.0-deprecated")
    before = site.remote_state()
    code, shown = answered(site, "y\n", *older)
    assert (code, site.remote_state()) == (3, before)
    assert "Also: v1.0.0 is older than v1.1.0, which is live in eu-west." in shown


@pytest.mark.parametrize(
    "addresses",
    [
        pytest.param((("--add", "remote.origin.url", "{}x"),), id="F114-two-addresses"),
        pytest.param((("remote.origin.pushurl", "{}x"),), id="F114-push-elsewhere"),
        pytest.param((("url.{}x.pushInsteadOf", "{}"),), id="F114-push-rewritten"),
    ],
)
def test_f114_an_origin_has_one_address(crooked: Site, addresses: tuple[tuple[str, ...], ...]) -> None:
    config = (crooked.clone / ".git/config").read_text()
    before = crooked.remote_state()
    try:
        for arguments in addresses:
            crooked.repository.git("config", *(text.format(crooked.remote) for text in arguments))
        done = crooked.run(*deploying())
    finally:
        (crooked.clone / ".git/config").write_text(config)
    assert done.returncode == 3
    assert f"reads from {crooked.remote}\n" in done.stderr
    assert f"pushes to {crooked.remote}x\n" in done.stderr
    assert "Nothing was changed.\nnext: git config --show-origin --get-regexp" in done.stderr
    assert crooked.remote_state() == before


def test_f54_a_shallow_clone_never_says_no_falsely(site: Site) -> None:
    clone = site.clone.with_name("shallow")
    site.repository.write("environments/staging/config.yml", "branches: [main]\n")
    site.commit()
    site.repository.git("switch", "--quiet", "--create", "other")
    site.repository.git("commit", "--quiet", "--allow-empty", "--message", "On no branch that counts")
    site.repository.git("push", "--quiet", "origin", "other")
    site.version("api/v1.1.0")
    git("clone", "--quiet", "--depth=1", "--no-tags", f"file://{site.remote}", str(clone), cwd=site.remote)
    before = site.remote_state()
    impostor = site.run("deploy", *STAGING, cwd=clone)
    assert impostor.returncode == 3
    assert "Rule: branches (environments/staging/config.yml:1)." in impostor.stderr
    assert site.remote_state() == before
    assert site.repository.recorded() == []
    site.ok("deploy", *STAGING, "--version", "v1.0.0", cwd=clone)
    assert len(site.repository.recorded()) == 4


def test_f118_f98_values_are_the_versions_and_rules_and_scripts_are_the_checkouts(site: Site) -> None:
    site.repository.write("environments/staging/config.yml", "regions: [moon]\nprotected: false\n")
    site.repository.write("environments/staging/us-east/config.yml", "env: {GREETING: old values}\n")
    site.script("exit 1")
    site.commit()
    site.version("api/v1.1.0")
    site.repository.write("environments/staging/config.yml", "regions: [us-east]\nprotected: true\n")
    site.repository.write("environments/staging/us-east/config.yml", "env: {GREETING: new values}\n")
    for name in ("b", "a"):
        site.script(f'echo "{name} $GREETING" >> "$RECORD_TO"', name=f"10-ci-{name}")
    (site.clone / "scripts/deployment/10-ci-record.sh").unlink()
    site.commit()
    refused = site.run("deploy", *STAGING)
    assert (refused.returncode, site.repository.recorded()) == (3, [])
    site.ok("deploy", *STAGING, env={"CI": "true"})
    assert site.repository.recorded() == ["a old values", "b old values", "smoke old values"]
    (record,) = site.ledger().records
    head, old = site.repository.git("rev-parse", "HEAD"), site.repository.git("rev-parse", "HEAD^")
    assert record["commits"] == {
        "code": old,
        "config": old,
        "scripts": head,
        "rules": head,
        "secrets": head,
    }
