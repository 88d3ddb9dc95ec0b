"""The hooks under the pre-commit framework: its own program runs the entries that we offer it."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from ci_tasks.core.checkout import Checkout
from ci_tasks.hook.install import install_here
from ci_tasks.hook.names import CLIENT, HookChange
from tests.conftest import ROOT, program

if TYPE_CHECKING:
    from tests.hook.conftest import Hooked

OFFERED: list[dict[str, Any]] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
HERE = program("pre-commit")
FRAMEWORK = str(HERE) if HERE.exists() else shutil.which("pre-commit")
needs_framework = pytest.mark.skipif(FRAMEWORK is None, reason="pre-commit is not installed")


def test_what_is_offered() -> None:
    assert [stage for hook in OFFERED for stage in hook["stages"]] == [name.value for name in CLIENT]
    for hook in OFFERED:
        first = hook["stages"][0]
        assert (hook["id"], hook["entry"]) == (f"ci-tasks-{first}", f"ci-tasks hook.run {first} --")
        assert hook["language"] == "python"


@pytest.fixture
def framed(hooked: Hooked, monkeypatch: pytest.MonkeyPatch) -> Hooked:
    """A clone in which the framework is installed; our program is on the PATH, so nothing is fetched."""
    hooks = [{**hook, "language": "system"} for hook in OFFERED]
    text = yaml.safe_dump({"repos": [{"repo": "local", "hooks": hooks}]})
    hooked.repository.write(".pre-commit-config.yaml", text)
    hooked.repository.commit("feat: hooks")
    monkeypatch.setenv("PATH", f"{program('ci-tasks').parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PRE_COMMIT_HOME", str(hooked.clone.parent / "framework"))
    install_framework(hooked)
    return hooked


def install_framework(hooked: Hooked) -> None:
    types = [word for name in CLIENT for word in ("--hook-type", name.value)]
    done = hooked.git("-c", f"alias.pc=!{FRAMEWORK} install {' '.join(types)}", "pc")
    assert done.returncode == 0, done.stdout


@needs_framework
def test_commits(framed: Hooked) -> None:
    done = framed.git("commit", "--allow-empty", "--message", "fxi: it")
    assert (done.returncode, "did you mean fix?" in done.stderr + done.stdout) == (1, True)
    assert framed.git("commit", "--allow-empty", "--message", "fix: it").returncode == 0
    framed.repository.write("environments/secrets.enc.yaml", "password: hunter2\n")
    framed.repository.git("add", "--all")
    done = framed.git("commit", "--message", "fix: it")
    said = done.stderr + done.stdout
    assert (done.returncode, "hunter2" in said) == (1, False)
    assert "environments/secrets.enc.yaml: it is plaintext" in said
    framed.repository.git("checkout", "--quiet", "-b", "side")
    framed.repository.git("commit", "--quiet", "--no-verify", "--message", "feat: bad")
    framed.repository.git("checkout", "--quiet", "main")
    done = framed.git("merge", "--no-ff", "--no-edit", "side")
    said = done.stderr + done.stdout
    assert (done.returncode, "environments/secrets.enc.yaml: it is plaintext" in said) == (1, True)


@needs_framework
def test_pushes(framed: Hooked) -> None:
    repository = framed.repository
    repository.git("commit", "--quiet", "--no-verify", "--allow-empty", "--message", "feat: it")
    repository.git("tag", "--annotate", "api/v1.0.0", "--message", "x")
    repository.git("tag", "--annotate", "production", "--message", "x")
    done = framed.git("push", "origin", "production")
    assert (done.returncode, "creates production" in done.stderr + done.stdout) == (1, True)
    done = framed.git("push", "origin", "api/v1.0.0")
    assert done.returncode == 0, done.stdout
    repository.git("commit", "--quiet", "--no-verify", "--allow-empty", "--message", "feat: more")
    repository.git("tag", "--force", "--annotate", "api/v1.0.0", "--message", "x")
    done = framed.git("push", "--force", "origin", "api/v1.0.0")
    assert (done.returncode, "moves api/v1.0.0" in done.stderr + done.stdout) == (1, True)
    assert framed.git("push", "origin", "main").returncode == 0


@needs_framework
def test_ours_beside_the_framework(framed: Hooked) -> None:
    """In both orders: whoever comes second calls the one that came first."""
    framed.repository.write(".pre-commit-config.yaml", "repos: []\n")
    framed.repository.git("add", ".pre-commit-config.yaml")
    before = {path.name: path.read_bytes() for path in framed.folder.iterdir()}

    def install(*, uninstall: bool = False) -> set[HookChange]:
        answer = install_here(Checkout.open(framed.clone), uninstall=uninstall)
        return {hook.change for hook in answer.hooks}

    def refuses() -> bool:
        return framed.git("commit", "--allow-empty", "--message", "whatever").returncode == 1

    assert not refuses()
    assert install() == {HookChange.INSTALLED}
    assert refuses()
    assert install(uninstall=True) == {HookChange.REMOVED}
    assert {path.name: path.read_bytes() for path in framed.folder.iterdir()} == before
    for name in CLIENT:
        (framed.folder / name.value).unlink()
    install()
    install_framework(framed)
    assert (framed.folder / "commit-msg.legacy").exists()
    assert refuses()
    assert install() == {HookChange.UNCHANGED}
    assert refuses()
    assert install(uninstall=True) == {HookChange.REMOVED}
    assert not refuses()
    assert not list(framed.folder.glob("*.legacy"))
