"""What the hooks do where the Python that they name is gone, or does not work any more."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import ci_tasks
from ci_tasks.__main__ import _search_path  # what keeps the folder that git stands in out
from ci_tasks.core.checkout import Checkout
from ci_tasks.hook.install import install_here, install_server
from tests.repositories import git, write

if TYPE_CHECKING:
    from tests.hook.conftest import Hooked

GONE = "/nowhere/venv/bin/python"


@pytest.fixture(params=["gone", "broken", "unimportable"])
def without_python(hooked: Hooked, tmp_path: Path, request: pytest.FixtureRequest) -> Hooked:
    """A clone and a server whose hooks name a Python that is no good."""
    python = GONE
    if request.param == "broken":
        python = str(write(tmp_path / "python", "#!/nowhere/python\n", executable=True))
    elif request.param == "unimportable":
        python = str(
            write(tmp_path / "python", "#!/bin/sh\necho 'No module named x' >&2\nexit 1\n", executable=True)
        )
    checkout = Checkout.open(hooked.clone)
    install_here(checkout, uninstall=False)
    install_server(checkout, str(hooked.repository.remote), uninstall=False)
    for path in (*hooked.folder.iterdir(), *(hooked.repository.remote / "hooks").iterdir()):
        if b"# ci-tasks hook: " in (text := path.read_bytes()):
            path.write_bytes(re.sub(rb"(?m)^python=.*", b"python=" + python.encode(), text))
    return hooked


def test_commits_go_on_with_a_warning(without_python: Hooked) -> None:
    done = without_python.git("commit", "--allow-empty", "--message", "whatever")
    assert done.returncode == 0
    warnings = [line for line in done.stderr.splitlines() if line.startswith("ci-tasks: warning: ")]
    assert len(warnings) == 2
    assert all("python" in line and line.endswith("Type: inv hook.install") for line in warnings)


def test_branches_go_on_in_silence(without_python: Hooked) -> None:
    done = without_python.git("push", "origin", "main:refs/heads/production", "main:refs/heads/other")
    assert (done.returncode, "ci-tasks" in done.stderr) == (0, False)


@pytest.mark.parametrize("name", ["production", "services/auth/staging"])
def test_environment_tags_are_refused(without_python: Hooked, name: str) -> None:
    without_python.git("tag", "--annotate", name, "--message", "x")
    done = without_python.git("push", "origin", f"refs/tags/{name}", "main:refs/heads/other")
    assert done.returncode == 1
    assert f"ci-tasks: refused: refs/tags/{name} is an environment tag" in done.stderr
    assert "inv hook.install" in done.stderr
    assert without_python.repository.remote_refs().keys() == {"refs/heads/main"}


def test_other_tags_pass_with_a_warning_and_the_server_refuses_them(without_python: Hooked) -> None:
    without_python.git("tag", "--annotate", "nightly", "--message", "x")
    done = without_python.git("push", "origin", "refs/tags/nightly")
    assert "ci-tasks: warning: tags are not checked" in done.stderr
    assert done.returncode == 1
    assert "remote: ci-tasks: refs/tags/nightly is refused: the server's hook does not work" in done.stderr
    assert "hook declined" in done.stderr


def test_f34_the_folder_that_git_stands_in_is_not_searched_for_modules(
    hooked: Hooked, tmp_path: Path
) -> None:
    """A hook stands in the working tree: what is checked out there must not be what checks it."""
    install_here(Checkout.open(hooked.clone), uninstall=False)
    mark = tmp_path / "ran"
    for name in ("ci_tasks", "invoke", "msgspec", "git", "sitecustomize", "schema", "root"):
        write(hooked.clone / f"{name}.py", f"open({str(mark)!r}, 'w')\n")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for message, status in {"feat: it": 0, "it": 1}.items():
        done = subprocess.run(
            ["git", "commit", "--allow-empty", "--message", message],
            cwd=hooked.clone,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == status, done.stderr
    assert not mark.exists()


@pytest.mark.parametrize("module", ["msgspec", "json", "sitecustomize", "usercustomize"])
def test_f34_no_variable_says_which_modules_are_loaded(hooked: Hooked, tmp_path: Path, module: str) -> None:
    """Whoever pushes has an environment too: a module that ends Python with 0 would be a yes."""
    checkout = Checkout.open(hooked.clone)
    install_here(checkout, uninstall=False)
    install_server(checkout, str(hooked.repository.remote), uninstall=False)
    write(tmp_path / f"modules/{module}.py", "import os\nos._exit(0)\n")
    base = tmp_path / "base"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    write(base / f"lib/{version}/site-packages/{module}.py", "import os\nos._exit(0)\n")
    hostile = {"PYTHONPATH": str(tmp_path / "modules"), "PYTHONUSERBASE": str(base), "PYTHONHOME": str(base)}
    for options in ((), ("--no-verify",)):  # ours in the clone, and that of the server
        done = hooked.git("push", *options, "origin", "main:refs/tags/staging", env=hostile)
        assert done.returncode == 1, done.stderr
        assert "staging" in done.stderr
        assert "does not work" not in done.stderr
    assert hooked.git("commit", "--allow-empty", "--message", "whatever", env=hostile).returncode == 1
    assert hooked.git("commit", "--allow-empty", "--message", "feat: it", env=hostile).returncode == 0


def test_where_modules_are_looked_for() -> None:
    package = Path(ci_tasks.__file__).parent
    above = str(package.parent)
    assert _search_path([str(package), "/usr/lib/python3", above]) == ["/usr/lib/python3", above]
    assert _search_path([str(package), "/usr/lib/python3"]) == [above, "/usr/lib/python3"]


@pytest.mark.usefixtures("measured")
def test_the_program_can_be_started_as_a_module(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ci_tasks", "hook.run", "pre-psuh"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(ci_tasks.__file__).parent.parent)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "Did you mean pre-push?" in done.stderr


def test_a_path_that_a_shell_would_read(hooked: Hooked, tmp_path: Path) -> None:
    """An interpreter below a folder with blanks, quotes and dollars."""
    folder = tmp_path / 'it\'s $HOME `id` "x"'
    folder.mkdir()
    python = folder / "bin/python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    # A virtual environment with the packages of this one, but for ours: that is found by the program's path.
    write(folder / "pyvenv.cfg", f"home = {Path(sys.base_exec_prefix) / 'bin'}\n")
    packages = Path(sysconfig.get_path("purelib"))
    for path in packages.iterdir():
        if "ci_tasks" not in path.name and path.suffix != ".pth":
            there = folder / packages.relative_to(sys.prefix) / path.name
            there.parent.mkdir(parents=True, exist_ok=True)
            there.symlink_to(path)
    environment = {"PYTHONPATH": str(Path(ci_tasks.__file__).parent.parent)}
    code = (
        f"import sys; sys.executable = {str(python)!r}; from pathlib import Path;"
        "from ci_tasks.core.checkout import Checkout; from ci_tasks.hook.install import install_here;"
        "install_here(Checkout.open(Path.cwd()), uninstall=False)"
    )
    started = subprocess.run(
        [sys.executable, "-c", code], cwd=hooked.clone, env={**os.environ, **environment}, check=False
    )
    assert started.returncode == 0
    done = hooked.git("commit", "--allow-empty", "--message", "whatever")
    assert (done.returncode, "Conventional Commits" in done.stderr) == (1, True)
    assert git("status", "--porcelain", cwd=hooked.clone) == ""
