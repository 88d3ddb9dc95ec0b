"""Installing hooks: into the folder that git uses, beside what is there, and away again."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from ci_tasks.core.checkout import Checkout
from ci_tasks.core.errors import RefusedError, UnavailableError, UsageError
from ci_tasks.hook import files, folder
from ci_tasks.hook.install import install_here, install_server
from ci_tasks.hook.names import CLIENT, HookChange
from ci_tasks.hook.script import MARK
from tests.conftest import IDENTITY
from tests.repositories import Monorepo, git, write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.hook.conftest import Hooked

NAMES = [name.value for name in CLIENT]
OTHER = """\
#!/bin/sh
# somebody's own
{{ echo "args: $*"; cat; }} >> {log}
exit ${{OTHER_STATUS:-0}}
"""


def state(hooks: Path) -> dict[str, tuple[int, bytes | str]]:
    """Every entry of a folder with its mode, and its bytes or where it leads to."""
    return {
        path.name: (path.lstat().st_mode, str(path.readlink()) if path.is_symlink() else path.read_bytes())
        for path in hooks.iterdir()
    }


def install(clone: Path, *, uninstall: bool = False) -> list[HookChange]:
    """Install in this process; what became of each hook."""
    return [hook.change for hook in install_here(Checkout.open(clone), uninstall=uninstall).hooks]


def other(monorepo: Monorepo, path: Path) -> Path:
    """Somebody's own hook; what it was given goes to the file beside the clone that is the answer."""
    log = monorepo.clone.parent / "other.log"
    write(path, OTHER.format(log=log), executable=True)
    return log


def test_the_hooks_are_installed_and_taken_away(hooked: Hooked) -> None:
    before = state(hooked.folder)
    said = hooked.install()
    assert said.split("\n", 1)[0].split() == ["Hook", "Status"]
    assert [line.split("  ")[0].strip() for line in said.splitlines()[1:5]] == NAMES
    for name in NAMES:
        assert os.access(hooked.folder / name, os.X_OK)
        first, second = (hooked.folder / name).read_bytes().splitlines()[:2]
        assert (first, second) == (b"#!/bin/sh", MARK + name.encode())
    once = state(hooked.folder)
    assert "installed already" in hooked.install()
    assert state(hooked.folder) == once
    assert "removed" in hooked.install("--uninstall")
    assert state(hooked.folder) == before
    assert "was not installed" in hooked.install("--uninstall")


def test_the_answer_as_json(hooked: Hooked) -> None:
    document = json.loads(hooked.install("--json"))
    assert [(hook["name"], hook["change"], hook["kept"]) for hook in document["hooks"]] == [
        (name, "INSTALLED", None) for name in NAMES
    ]
    assert document["folder"] == str(hooked.folder)


@pytest.mark.parametrize("shell", ["sh", "dash", "bash"])
def test_the_scripts_are_plain_shell(hooked: Hooked, tmp_path: Path, shell: str) -> None:
    hooked.install()
    git("init", "--quiet", "--bare", str(tmp_path / "server.git"), cwd=tmp_path)
    hooked.install("--server", str(tmp_path / "server.git"))
    paths = [*(hooked.folder / name for name in NAMES), tmp_path / "server.git/hooks/update"]
    for path in paths:
        try:
            done = subprocess.run([shell, "-n", path], check=False, capture_output=True, text=True)
        except FileNotFoundError:
            pytest.skip(f"there is no {shell} here")
        assert (done.returncode, done.stderr) == (0, ""), path


def test_an_existing_hook_runs_first_with_the_same_arguments_and_stdin(hooked: Hooked) -> None:
    log = other(hooked.repository, hooked.folder / "pre-push")
    before = state(hooked.folder)
    assert "pre-push.before-ci-tasks runs first" in hooked.install()
    hooked.git("commit", "--allow-empty", "--message", "feat: a thing")
    done = hooked.git("push", "origin", "main")
    assert done.returncode == 0, done.stderr
    first, second = log.read_text(encoding="utf-8").splitlines()
    assert first == f"args: origin {hooked.repository.remote}"
    assert second.startswith("refs/heads/main ")
    assert len(second.split(" ")) == 4
    hooked.git("commit", "--allow-empty", "--message", "feat: another thing")
    done = hooked.git("push", "origin", "main", env={"OTHER_STATUS": "9"})
    assert done.returncode == 1
    hooked.install("--uninstall")
    assert state(hooked.folder) == before


def test_a_push_of_nothing_gives_an_existing_hook_an_empty_stdin(hooked: Hooked) -> None:
    log = other(hooked.repository, hooked.folder / "pre-push")
    hooked.install()
    assert hooked.git("push", "origin", "main").returncode == 0
    assert log.read_text(encoding="utf-8") == f"args: origin {hooked.repository.remote}\n"


@pytest.mark.parametrize("mode", [0o755, 0o711, 0o500, 0o644], ids=oct)
def test_mode_and_bytes_come_back(monorepo: Monorepo, mode: int) -> None:
    hooks = monorepo.clone / ".git/hooks"
    path = hooks / "commit-msg"
    path.write_bytes(b"#!/usr/bin/perl\n\xff\x00 whatever")
    path.chmod(mode)
    before = state(hooks)
    install(monorepo.clone)
    install(monorepo.clone)
    assert stat.S_IMODE((hooks / "commit-msg.before-ci-tasks").stat().st_mode) == mode
    install(monorepo.clone, uninstall=True)
    assert state(hooks) == before


def test_a_hook_that_may_not_run_is_kept_and_not_run(hooked: Hooked) -> None:
    log = other(hooked.repository, hooked.folder / "commit-msg")
    (hooked.folder / "commit-msg").chmod(0o644)
    install(hooked.clone)
    assert hooked.git("commit", "--allow-empty", "--message", "feat: a thing").returncode == 0
    assert not log.exists()


def test_a_linked_hook_is_kept_as_a_link(hooked: Hooked) -> None:
    log = other(hooked.repository, hooked.clone / "team/pre-push")
    (hooked.folder / "pre-push").symlink_to("../../team/pre-push")
    (hooked.folder / "pre-commit").symlink_to("nowhere")
    before = state(hooked.folder)
    install(hooked.clone)
    install(hooked.clone)
    assert hooked.git("push", "origin", "main").returncode == 0
    assert log.exists()
    assert hooked.git("commit", "--allow-empty", "--message", "feat: a thing").returncode == 0
    install(hooked.clone, uninstall=True)
    assert state(hooked.folder) == before
    assert (hooked.clone / "team/pre-push").read_text(encoding="utf-8").startswith("#!/bin/sh\n# somebody")


@pytest.mark.parametrize("shebang", ["#!/bin/sh", "#!/usr/bin/env bash", "#!/bin/sh -e", "#!/usr/bin/env sh"])
def test_a_hook_that_looks_at_its_own_name_still_sees_it(hooked: Hooked, shebang: str) -> None:
    """As husky's do: they run the file of the same name one folder up."""
    hooks = hooked.clone / ".husky/_"
    write(
        hooks / "h",
        'n=$(basename "$0")\ns=$(dirname "$(dirname "$0")")/$n\n[ ! -f "$s" ] && exit 0\nsh -e "$s" "$@"\n',
    )
    write(hooks / "commit-msg", f'{shebang}\n. "${{0%/*}}/h"\n', executable=True)
    write(hooked.clone / ".husky/commit-msg", 'grep -q feat "$1" || { echo husky says no; exit 7; }\n')
    hooked.git("config", "core.hooksPath", ".husky/_")
    said = hooked.install()
    assert "inside the working tree" in said
    assert hooked.git("commit", "--allow-empty", "--message", "feat: a thing").returncode == 0
    done = hooked.git("commit", "--allow-empty", "--message", "fix: a thing")
    assert done.returncode == 1
    assert "husky says no" in done.stdout + done.stderr
    assert (
        "error: The commit's message" in hooked.git("commit", "--allow-empty", "--message", "feat a").stderr
    )
    assert not (hooked.folder / "commit-msg").exists()


PYTHON = """\
#!/usr/bin/env python3
import os, sys
sys.exit(os.path.basename(sys.argv[0]) != "commit-msg")
"""


@pytest.mark.parametrize("is_binary", [False, True], ids=["script", "binary"])
def test_another_program_is_started_under_its_own_name(hooked: Hooked, *, is_binary: bool) -> None:
    hook = hooked.folder / "commit-msg"
    if is_binary:  # one program for many names, as Go's and busybox are
        shutil.copy(shutil.which("true") or "", hook)
    else:
        write(hook, PYTHON, executable=True)
    before = state(hooked.folder)
    install(hooked.clone)
    assert install(hooked.clone) == [HookChange.UNCHANGED] * 4
    assert hooked.git("commit", "--allow-empty", "--message", "feat: a thing").returncode == 0
    link = hooked.folder / "before-ci-tasks/commit-msg"
    assert link.read_bytes() == (hooked.folder / "commit-msg.before-ci-tasks").read_bytes()
    link.unlink()
    assert hooked.git("commit", "--allow-empty", "--message", "feat: a thing").returncode == 1
    assert install(hooked.clone)[1] is HookChange.UPDATED
    assert hooked.git("commit", "--allow-empty", "--message", "feat: a thing").returncode == 0
    install(hooked.clone, uninstall=True)
    assert state(hooked.folder) == before


FOLLOWING = """\
#!/bin/sh
exec "$(dirname "$(readlink -f "$0")")/real" "$@"
"""
BESIDE = """\
#!/bin/sh
exec "$(dirname "$0")/../../tools/real" "$@"
"""


@pytest.mark.parametrize("text", [FOLLOWING, BESIDE], ids=["follows its link", "looks beside it"])
def test_a_linked_hook_finds_what_belongs_to_it(hooked: Hooked, text: str) -> None:
    write(hooked.clone / "tools/hook", text, executable=True)
    write(hooked.clone / "tools/real", '#!/bin/sh\ngrep -q feat "$1" || exit 7\n', executable=True)
    for name in ("commit-msg", "pre-push"):
        (hooked.folder / name).symlink_to("../../tools/hook")
    before = state(hooked.folder)
    install(hooked.clone)
    assert hooked.git("commit", "--allow-empty", "--message", "feat: a thing").returncode == 0
    done = hooked.git("commit", "--allow-empty", "--message", "fix: a thing")
    assert (done.returncode, done.stderr) == (1, "")
    install(hooked.clone, uninstall=True)
    assert state(hooked.folder) == before


def test_what_a_killed_installation_left_is_swept(monorepo: Monorepo) -> None:
    hooks = monorepo.clone / ".git/hooks"
    write(hooks / ".pre-push.mine", "x")
    before = state(hooks)
    for uninstall in (False, True):
        for name in ("pre-push", "commit-msg.before-ci-tasks", "pre-merge-commit.legacy"):
            write(hooks / f".{name}.0123456789abcdef", "half")
        write(hooks / "before-ci-tasks/.pre-push.0123456789abcdef", "half")
        install(monorepo.clone, uninstall=uninstall)
        assert not list(hooks.rglob(".*.0123456789abcdef"))
    (hooks / "before-ci-tasks").rmdir()
    assert state(hooks) == before


@pytest.mark.parametrize("folder", [".git/hooks", "tools/git/hooks"])
def test_a_folder_that_we_made_goes_away_again(monorepo: Monorepo, folder: str) -> None:
    shutil.rmtree(monorepo.clone / ".git/hooks")
    monorepo.git("config", "core.hooksPath", folder)
    before = {path for path in monorepo.clone.rglob("*") if "hooks" in str(path) or "tools" in str(path)}
    install(monorepo.clone)
    install(monorepo.clone, uninstall=True)
    after = {path for path in monorepo.clone.rglob("*") if "hooks" in str(path) or "tools" in str(path)}
    assert after == before


def test_ours_never_calls_itself(hooked: Hooked) -> None:
    """Somebody shares our script by a link, and then installs it."""
    install(hooked.clone)
    shared = hooked.clone / "shared-pre-push"
    (hooked.folder / "pre-push").rename(shared)
    (hooked.folder / "pre-push").symlink_to("../../shared-pre-push")
    before = state(hooked.folder)
    install(hooked.clone)
    assert hooked.git("push", "origin", "main").returncode == 0
    hooked.git("tag", "production")
    assert hooked.git("push", "origin", "production").returncode == 1
    install(hooked.clone, uninstall=True)
    assert state(hooked.folder)["pre-push"] == before["pre-push"]


def test_all_worktrees_share_the_hooks(hooked: Hooked, tmp_path: Path) -> None:
    tree = tmp_path / "linked"
    hooked.git("worktree", "add", "--quiet", str(tree))
    assert f"Folder: {hooked.folder}" in hooked.install(cwd=tree)
    for cwd in (tree, hooked.clone):
        done = hooked.git("commit", "--allow-empty", "--message", "nothing", cwd=cwd)
        assert (done.returncode, "Conventional Commits" in done.stderr) == (1, True)
        assert hooked.git("commit", "--allow-empty", "--message", "feat: it", cwd=cwd).returncode == 0


@pytest.mark.parametrize("scope", ["local", "global"])
def test_a_folder_of_other_repositories_is_refused(
    hooked: Hooked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scope: str
) -> None:
    shared = tmp_path / "shared hooks"
    shared.mkdir()
    config = write(tmp_path / "home/.gitconfig", IDENTITY)
    monkeypatch.setenv("HOME", str(config.parent))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    hooked.git("config", f"--{scope}", "core.hooksPath", str(shared))
    done = hooked.inv("hook.install", cwd=hooked.clone)
    assert done.returncode == 3
    assert f"core.hooksPath ({scope}) is {shared}, outside of this repository" in done.stderr
    assert list(shared.iterdir()) == []
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("next: "))
    subprocess.run(line.removeprefix("next: "), shell=True, check=True, cwd=hooked.clone)  # noqa: S602 - it is to be typed
    hooked.install()
    assert hooked.git("commit", "--allow-empty", "--message", "nothing").returncode == 1


def test_a_folder_that_is_a_link_out_of_the_repository_is_refused(monorepo: Monorepo, tmp_path: Path) -> None:
    hooks = monorepo.clone / ".git/hooks"
    hooks.rename(tmp_path / "elsewhere")
    hooks.symlink_to(tmp_path / "elsewhere")
    before = state(tmp_path / "elsewhere")
    with pytest.raises(RefusedError, match="outside of this repository"):
        install(monorepo.clone)
    assert state(tmp_path / "elsewhere") == before


def test_hooks_that_are_switched_off_are_refused(monorepo: Monorepo) -> None:
    monorepo.git("config", "core.hooksPath", "/dev/null")
    with pytest.raises(RefusedError, match="outside of this repository"):
        install(monorepo.clone)


def test_a_folder_that_is_missing_is_made(monorepo: Monorepo) -> None:
    monorepo.git("config", "core.hooksPath", "tools/hooks")
    assert install(monorepo.clone) == [HookChange.INSTALLED] * 4
    assert sorted(path.name for path in (monorepo.clone / "tools/hooks").iterdir()) == sorted(NAMES)


def test_a_file_where_the_folder_belongs(monorepo: Monorepo) -> None:
    monorepo.git("config", "core.hooksPath", "main.txt")
    monorepo.write("main.txt", "x")
    with pytest.raises(UnavailableError, match="can't be changed"):
        install(monorepo.clone)


def test_a_folder_where_a_hook_belongs_changes_none(monorepo: Monorepo) -> None:
    hooks = monorepo.clone / ".git/hooks"
    (hooks / "pre-commit").mkdir()
    before = sorted(path.name for path in hooks.iterdir())
    with pytest.raises(UsageError, match="is not a file"):
        install(monorepo.clone)
    assert sorted(path.name for path in hooks.iterdir()) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(monorepo: Monorepo) -> None:
    hooks = monorepo.clone / ".git/hooks"
    hooks.chmod(0o500)
    try:
        with pytest.raises(UnavailableError, match="can't be changed: Permission denied"):
            install(monorepo.clone)
    finally:
        hooks.chmod(0o755)


@pytest.mark.parametrize("taken", range(3))
@pytest.mark.parametrize("links", [True, False], ids=["hard links", "copies"])
def test_an_installation_that_was_cut_short(
    hooked: Hooked, monkeypatch: pytest.MonkeyPatch, taken: int, *, links: bool
) -> None:
    """After each step there is a hook that works, and a second try ends well."""
    if not links:
        monkeypatch.setattr(os, "link", _no_links)
    log = other(hooked.repository, hooked.folder / "pre-push")
    before = state(hooked.folder)
    plan = files.installing(files.look(hooked.folder, "pre-push"), _script(hooked))
    assert len(plan.steps) == 2
    for step in plan.steps[:taken]:
        step.take()
    assert hooked.git("push", "origin", "main").returncode == 0
    assert len(log.read_text(encoding="utf-8").splitlines()) == 1
    back = files.uninstalling(files.look(hooked.folder, "pre-push"))
    assert (back.change is HookChange.ABSENT) is (taken == 0)
    assert HookChange.INSTALLED in install(hooked.clone) or taken == 2
    assert hooked.git("push", "origin", "main").returncode == 0
    assert len(log.read_text(encoding="utf-8").splitlines()) == 2
    install(hooked.clone, uninstall=True)
    assert state(hooked.folder) == before


def test_what_was_cut_short_can_be_taken_away(monorepo: Monorepo) -> None:
    hooks = monorepo.clone / ".git/hooks"
    other(monorepo, hooks / "pre-push")
    before = state(hooks)
    os.link(hooks / "pre-push", hooks / "pre-push.before-ci-tasks")
    install(monorepo.clone, uninstall=True)
    assert state(hooks) == before


def _no_links(*_: object, **__: object) -> None:
    raise OSError


def _script(hooked: Hooked) -> bytes:
    """Our pre-push as it is installed where another hook is kept."""
    install(hooked.clone)
    script = (hooked.folder / "pre-push").read_bytes()
    install(hooked.clone, uninstall=True)
    return script


def test_no_hook_is_ever_lost(monorepo: Monorepo) -> None:
    hooks = monorepo.clone / ".git/hooks"
    other(monorepo, hooks / "pre-push")
    install(monorepo.clone)
    write(hooks / "pre-push", "#!/bin/sh\n# a third one\n", executable=True)
    before = state(hooks)
    with pytest.raises(RefusedError, match="one of them would be lost"):
        install(monorepo.clone)
    assert state(hooks) == before


def test_a_hook_that_another_tool_writes_again_is_kept_again(monorepo: Monorepo) -> None:
    hooks = monorepo.clone / ".git/hooks"
    other(monorepo, hooks / "pre-push")
    before = state(hooks)
    install(monorepo.clone)
    other(monorepo, hooks / "pre-push")
    assert install(monorepo.clone)[0] is HookChange.INSTALLED
    install(monorepo.clone, uninstall=True)
    assert state(hooks) == before


def test_a_hook_of_ours_that_somebody_removed_leaves_the_kept_one(monorepo: Monorepo) -> None:
    hooks = monorepo.clone / ".git/hooks"
    other(monorepo, hooks / "pre-push")
    before = state(hooks)
    install(monorepo.clone)
    (hooks / "pre-push").unlink()
    install(monorepo.clone, uninstall=True)
    assert state(hooks) == before


def test_an_older_form_of_ours_is_brought_up_to_date(monorepo: Monorepo) -> None:
    hooks = monorepo.clone / ".git/hooks"
    other(monorepo, hooks / "pre-push")
    install(monorepo.clone)
    now = state(hooks)
    (hooks / "pre-push").write_bytes(b"#!/bin/sh\n# ci-tasks hook: pre-push\nexit 1\n")
    assert install(monorepo.clone) == [HookChange.UPDATED, *[HookChange.UNCHANGED] * 3]
    assert state(hooks) == now


def test_a_hook_of_ours_that_cannot_run_is_mended(monorepo: Monorepo) -> None:
    install(monorepo.clone)
    (monorepo.clone / ".git/hooks/pre-push").chmod(0o644)
    assert install(monorepo.clone)[0] is HookChange.UPDATED
    assert os.access(monorepo.clone / ".git/hooks/pre-push", os.X_OK)


def test_the_remote_is_not_a_server_path(monorepo: Monorepo) -> None:
    for path, reason in {
        "nowhere": "is not a folder",
        ".": "is not a bare",
        ".git": "has a working tree",
    }.items():
        with pytest.raises(UsageError, match=reason):
            install_server(Checkout.open(monorepo.clone), str(monorepo.clone / path), uninstall=False)


def test_the_servers_folder_is_its_own(monorepo: Monorepo, tmp_path: Path) -> None:
    assert folder.of_server(monorepo.remote).path == monorepo.remote / "hooks"
    git("config", "core.hooksPath", str(tmp_path), cwd=monorepo.remote)
    with pytest.raises(RefusedError, match="outside of this repository") as refused:
        folder.of_server(monorepo.remote)
    assert refused.value.next_step is not None
    assert f"--git-dir={monorepo.remote}" in refused.value.next_step


@pytest.mark.parametrize("option", ["--force", "--yes", "-f"])
def test_f86_nothing_is_forced(hooked: Hooked, option: str) -> None:
    done = hooked.inv("hook.install", option, cwd=hooked.clone)
    assert done.returncode != 0
    assert not (hooked.folder / "pre-push").exists()


def test_f124_a_repository_without_a_remote(hooked: Hooked) -> None:
    """Its state is written without a push, and no hook is asked, ours neither."""
    hooked.repository.git("remote", "remove", "origin")
    log = other(hooked.repository, hooked.folder / "pre-push")
    other(hooked.repository, hooked.folder / "reference-transaction")
    hooked.install()
    log.unlink(missing_ok=True)
    for line in (("tag.create", "--version", "v1.0.0"), ("deploy", "--env", "production")):
        done = hooked.inv(*line, "--subproject", "api", cwd=hooked.clone)
        assert done.returncode == 0, done.stderr
    assert not log.exists()
