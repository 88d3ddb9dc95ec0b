"""The good path of `inv deploy`, typed in a real checkout with a real remote."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.deploy.faulty_remote import hook
from tests.repositories import git, write

if TYPE_CHECKING:
    from tests.deploy.conftest import Site

STAGING = ("--env", "staging", "--subproject", "api")
REMEMBER = """\
to="$RECORD_TO.${DEPLOYMENT_REGION:-everywhere}"
env -0 > "$to.env"
pwd > "$to.folder"
cp "$DEPLOYMENT_CONFIG" "$to.config"
cat "$DEPLOYMENT_SOURCE/api/main.txt" > "$to.source"
"""
FROM_THE_SHELL = {"PWD", "OLDPWD", "SHLVL", "_"}
OF_EVERY_PROGRAM = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TERM", "TMPDIR"}
OF_THE_NETWORK = {
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"),
    *("NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    "NODE_EXTRA_CA_CERTS",
}


def environment_of(path: Path) -> dict[str, str]:
    """What `env -0` wrote, without what is in every program's environment."""
    pairs = (entry.partition("=") for entry in path.read_text(encoding="utf-8").split("\0") if entry)
    return {
        name: value
        for name, _, value in pairs
        if name not in FROM_THE_SHELL | OF_THE_NETWORK and not name.startswith("LC_")
    }


def test_what_scripts_are_given(site: Site) -> None:
    site.repository.write("ci_tasks.yaml", "subprojects: [api, web]\npassEnvironment: [MY_CLOUD_*]\n")
    site.repository.write(
        "environments/staging/config.yml",
        "regions: [us-east, eu-west]\nproviders: {us-east: {aws: us-east-1}}\nreplicas: 2\n",
    )
    site.repository.write("api/environments/staging/us-east/config.yml", "env: {GREETING: hi}\nreplicas: 3\n")
    site.script(REMEMBER, folder="api/scripts/deployment", name="30-ci-record")
    commit = site.commit()
    site.version("api/v1.1.0", "api/v1.2.0")
    site.repository.write("api/main.txt", "newer than the version\n")
    ours = {"CANARY": "1", "GITHUB_TOKEN": "t", "MY_PASSWORD": "p", "MY_CLOUD_KEY": "here", "CI_JOB": "no"}

    answer = site.answer("deploy", *STAGING, "--version", "1.1.0", env=ours)

    assert [region["region"] for region in answer["plan"]["regions"]] == ["us-east", "eu-west"]
    us, eu = (Path(f"{site.repository.record}.{region}") for region in ("us-east", "eu-west"))
    claim = answer["deployments"][0]["claimId"]
    found = environment_of(us.with_name(us.name + ".env"))
    assert found["PATH"]
    assert found["HOME"]
    assert found.pop("CI_TASKS_RUN")  # by it we find what a script leaves running
    private = found.pop("TMPDIR")
    assert private == str(site.temporary)
    source, config = Path(found.pop("DEPLOYMENT_SOURCE")), Path(found.pop("DEPLOYMENT_CONFIG"))
    assert source.is_relative_to(private)
    assert config.is_relative_to(private)
    assert not source.exists()
    assert not config.exists()
    assert {name: value for name, value in found.items() if name not in OF_EVERY_PROGRAM} == {
        "MY_CLOUD_KEY": "here",
        "GREETING": "hi",
        "RECORD_TO": str(site.repository.record),
        "DEPLOYMENT_ID": f"{claim}.us-east",
        "DEPLOYMENT_KIND": "deploy",
        "DEPLOYMENT_KEEP_RELEASES": "5",
        "DEPLOYMENT_SUBPROJECT": "api",
        "DEPLOYMENT_ENVIRONMENT": "staging",
        "DEPLOYMENT_REGION": "us-east",
        "DEPLOYMENT_VERSION": "v1.1.0",
        "DEPLOYMENT_PREVIOUS_VERSION": "",
        "DEPLOYMENT_COMMIT": commit,
    }
    assert us.with_name(us.name + ".folder").read_text() == f"{site.clone}\n"
    assert us.with_name(us.name + ".source").read_text() == "api\n"
    assert json.loads(us.with_name(us.name + ".config").read_text()) == {
        "replicas": 3,
        "env": {"RECORD_TO": str(site.repository.record), "GREETING": "hi"},
        "providers": {"us-east": {"aws": "us-east-1"}},
    }
    assert environment_of(eu.with_name(eu.name + ".env"))["GREETING"] == "hello eu-west"
    assert json.loads(eu.with_name(eu.name + ".config").read_text())["replicas"] == 2
    # The root's record was replaced by the subproject's, and its smoke test was run first.
    assert site.repository.recorded() == ["smoke hi", "smoke hello eu-west"]
    assert not list(site.temporary.rglob("source"))


def test_d0_one_life_of_an_environment(site: Site) -> None:
    first = site.ok("deploy", *STAGING, "--region", "us-east")
    assert "api v1.0.0 is live in staging: us-east" in first
    assert "First deployment to staging: there was no tag api/staging." in first
    ledger = site.ledger()
    assert ledger.live() == {"us-east": "v1.0.0"}
    assert ledger.header["settled"] is False

    both = site.run("deploy", *STAGING)
    assert both.returncode == 0
    assert "us-east" not in both.stderr
    ledger = site.ledger()
    assert ledger.live() == {"eu-west": "v1.0.0", "us-east": "v1.0.0"}
    assert ledger.header["settled"] is True
    assert ledger.target == site.target("api/v1.0.0") == ledger.header["target"]
    assert ledger.prose.startswith("api/staging: v1.0.0\n")
    assert site.repository.recorded() == [
        *("record hello us-east", "smoke hello us-east"),
        *("record hello eu-west", "smoke hello eu-west"),
    ]

    before = site.remote_state()
    same = site.run("deploy", *STAGING)
    assert (same.returncode, site.remote_state()) == (0, before)
    assert same.stdout == "Nothing to do: api/v1.0.0 (the newest release) is live in staging already.\n"
    assert len(site.repository.recorded()) == 4

    again = site.run("deploy", *STAGING, "--again", "--region", "eu-west", "--region", "us-east")
    assert again.returncode == 0
    order = [line for line in again.stderr.splitlines() if line.endswith(": starts")]
    assert [line.split(" | ")[0] for line in order] == ["eu-west", "eu-west", "us-east", "us-east"]

    site.script("true", name="20-ci-smoke")
    changed = site.run("deploy", *STAGING)
    assert changed.returncode == 0, changed.stderr
    assert "note: Uncommitted changes: scripts/deployment/20-ci-smoke.sh." in changed.stderr
    assert "Uncommitted" not in changed.stdout, "it is said once, before the first script"
    assert site.repository.recorded()[8:] == ["record hello eu-west", "record hello us-east"]
    assert [status for _, _, status in site.ledger().results()] == ["SUCCESS"] * 6


def test_f84_no_push_has_more_than_three_refs(site: Site, tmp_path: Path) -> None:
    """A host may start no workflow for a push of more; what a push has is counted by the server."""
    counted = tmp_path / "counted"
    hook(site.remote, "pre-receive", f"wc -l >> '{counted}'")
    site.ok("tag.create", "--subproject", "api", "--version", "v3.0.0")
    site.ok("tag.state", "--subproject", "api", "--version", "v3.0.0", "--state", "stable")
    staging = ("--env", "staging", "--subproject", "api")
    site.ok("deploy", *staging, "--version", "v3.0.0", "--parallel")
    site.ok("tag.assign", *staging, "--version", "v1.0.0")
    pushed = [int(line) for line in counted.read_text(encoding="utf-8").split()]
    assert len(pushed) >= 6, "a version, a state, a claim, two results, an assignment"
    assert max(pushed) <= 3


def test_side_by_side_from_the_subprojects_own_folder(site: Site) -> None:
    commit = site.repository.git("rev-parse", "HEAD")
    site.version(*(f"services/auth/v1.{minor}.0" for minor in range(4)))
    site.version("services/auth/v1.2.0-unstable", "services/auth/v1.3.0-deprecated")
    site.version("services/auth/v2.0.0-beta.1", "services/auth/v1.1.0-stable")
    # Each region waits for the other, so that this only ends if they run at the same time.
    site.script(
        'touch "$RECORD_TO.$DEPLOYMENT_REGION"; n=0\n'
        'until [ -e "$RECORD_TO.us-east" ] && [ -e "$RECORD_TO.eu-west" ]; do\n'
        "  n=$((n + 1)); [ $n -lt 400 ] || exit 9; sleep 0.05; done"
    )
    done = site.run("deploy", "--env", "staging", "--parallel", cwd=site.clone / "services/auth")
    assert done.returncode == 0, done.stderr
    assert "Deploying services/auth v1.1.0 (the newest release that may be deployed; " in done.stderr
    assert "v1.3.0 is deprecated, v1.2.0 is unstable) to staging: eu-west, us-east" in done.stderr
    assert "inv deploy.status --env staging --subproject services/auth" in done.stdout
    ledger = site.ledger("services/auth/staging")
    assert ledger.live() == {"eu-west": "v1.1.0", "us-east": "v1.1.0"}
    assert (ledger.header["settled"], ledger.target) == (True, commit)


def test_the_root_project_in_an_environment_without_regions(site: Site) -> None:
    site.version("v0.9.0", "v1.0.0-rc.1")
    done = site.ok("deploy", "--env", "production")
    assert "v0.9.0 is live in production\n" in done
    assert site.ledger("production").live() == {"": "v0.9.0"}
    assert site.repository.recorded() == ["record hello production", "smoke hello production"]
    pre_release = site.answer("deploy", "--env", "production", "--version", "v1.0.0-rc.1")
    assert [record["previousVersion"] for record in pre_release["plan"]["regions"]] == ["v0.9.0"]
    assert pre_release["deployments"][0]["region"] is None
    assert site.ledger("production").live() == {"": "v1.0.0-rc.1"}


HOOK = "#!/bin/sh\necho {name} >> '{canary}'\nexit 0\n"
HOOKS = (
    *("pre-push", "reference-transaction", "post-checkout", "pre-auto-gc", "post-index-change"),
    *("fsmonitor-watchman", "post-rewrite", "update", "pre-receive", "post-receive", "post-update"),
)


def snapshot(root: Path) -> dict[str, tuple[int, bytes]]:
    """Mode and content of every file and link below a folder, but for our own store and the reports."""
    skipped = (root / ".git/ci-tasks", root / "build")
    return {
        str(path.relative_to(root)): (
            path.lstat().st_mode,
            str(path.readlink()).encode() if path.is_symlink() else path.read_bytes(),
        )
        for path in sorted(root.rglob("*"))
        if (path.is_symlink() or path.is_file()) and not path.is_relative_to(skipped[0])
        if not path.is_relative_to(skipped[1])
    }


def test_f33_f34_f113_the_clone_stays_as_it_is(site: Site, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    site.repository.write(".gitattributes", "*.txt filter=evil diff=evil eol=crlf export-ignore\n")
    site.script('cp "$DEPLOYMENT_SOURCE/api/main.txt" "$RECORD_TO.$DEPLOYMENT_REGION"')
    site.commit()
    site.version("api/v1.1.0")
    run_git = site.repository.git
    for key in ("filter.evil.clean", "filter.evil.smudge", "diff.evil.textconv", "core.fsmonitor"):
        run_git("config", key, f"sh -c 'echo {key} >> {canary}; cat'")
    run_git("config", "push.followTags", "true")
    run_git("config", "--add", "remote.origin.fetch", "+refs/tags/*:refs/tags/*")
    run_git("config", "core.logAllRefUpdates", "always")
    for name in HOOKS:
        write(site.clone / ".git/hooks" / name, HOOK.format(name=name, canary=canary), executable=True)
    run_git("tag", "--annotate", "private", "--message", "Nobody is to see this")
    run_git("tag", "--annotate", "api/v1.1.0", "--message", "Not what the remote has")
    site.repository.write("api/main.txt", "staged\n")
    run_git("add", "api/main.txt")
    site.repository.write("api/main.txt", "changed\n")
    site.repository.write("untracked.txt", "untracked\n")
    canary.unlink()
    before, refs = snapshot(site.clone), site.repository.remote_refs()

    site.ok("deploy", *STAGING)

    assert not canary.exists(), canary.read_text()
    assert snapshot(site.clone) == before
    after = site.repository.remote_refs()
    assert {name for name in after if after[name] != refs.get(name)} == {"refs/tags/api/staging"}
    assert refs.keys() <= after.keys()
    copied = Path(f"{site.repository.record}.us-east")
    assert copied.read_bytes() == b"api\n"


def test_f37_f42_a_shallow_clone_without_tags_and_branches_deploys(site: Site, tmp_path: Path) -> None:
    clone = tmp_path / "shallow"
    git("clone", "--quiet", "--depth=1", "--no-tags", f"file://{site.remote}", str(clone), cwd=tmp_path)
    git("checkout", "--quiet", "--detach", cwd=clone)
    git("branch", "--delete", "main", cwd=clone)
    site.repository.write("api/main.txt", "newer\n")
    site.commit()
    site.version("api/v1.1.0")
    for version in ("v1.0.0", "v1.1.0"):
        site.ok("deploy", *STAGING, "--version", version, cwd=clone)
    assert site.ledger().live() == {"eu-west": "v1.1.0", "us-east": "v1.1.0"}
    assert site.target() == site.target("api/v1.1.0")
    assert git("tag", "--list", cwd=clone) == ""
    assert git("rev-list", "--all", "--count", cwd=clone) == "1"
    # Before the first commit of a branch nothing that lies in the folder is committed.
    git("checkout", "--quiet", "--orphan", "new", cwd=clone)
    answer = site.answer("deploy", *STAGING, "--again", cwd=clone)
    assert answer["deployments"][0]["commits"]["scripts"] is None
    assert "Uncommitted changes: environments/config.yml, " in answer["plan"]["notices"][0]


def test_f124_a_repository_without_a_remote_deploys_to_itself(site: Site, tmp_path: Path) -> None:
    site.repository.git("fetch", "--quiet", "--tags")
    site.repository.git("remote", "remove", "origin")
    shutil.rmtree(site.remote)
    canary = tmp_path / "canary"
    for name in HOOKS:
        write(site.clone / ".git/hooks" / name, HOOK.format(name=name, canary=canary), executable=True)
    site.ok("deploy", *STAGING)
    assert not canary.exists(), canary.read_text()
    assert site.repository.git("rev-parse", "api/staging^{commit}") == site.repository.git(
        "rev-parse", "HEAD"
    )
    status = site.ok("deploy.status")
    assert "eu-west  v1.0.0" in status
    before = site.repository.git("rev-parse", "api/staging")
    site.ok("deploy", *STAGING)
    assert site.repository.git("rev-parse", "api/staging") == before


@pytest.mark.parametrize("shell", ["", "CI_TASKS_REMOTE"])
def test_an_empty_option_or_variable_means_not_given(shared_site: Site, shell: str) -> None:
    variables = {shell: ""} if shell else {}
    plan = shared_site.answer(
        *("deploy", *STAGING, "--version", "", "--region", "", "--dry-run"), env=variables
    )["plan"]
    assert plan["isNewest"] is True
    assert len(plan["regions"]) == 2
