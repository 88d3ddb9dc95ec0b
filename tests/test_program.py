"""The `ci-tasks` program, and the tree of tasks in a user's hands."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from invoke.exceptions import ParseError
from invoke.program import Program

import ci_tasks
from ci_tasks.core.command_line import check
from ci_tasks.core.errors import ExitCode
from ci_tasks.core.parameter import example
from ci_tasks.core.task import CommandTask
from ci_tasks.program import CiTasksProgram
from tests.conftest import MEASURING, ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Inv

TASKS = list(ci_tasks.ns.task_names)
HEAVY = {"git", "msgspec", "rich", "yaml", "semver", "cryptography", "pyrage"}
CODE = "from ci_tasks.program import main; import sys; sys.argv[0] = '/usr/bin/ci-tasks'; main()"


def ci_tasks_program(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the program as its script in the interpreter's bin folder does."""
    return subprocess.run(
        [sys.executable, "-c", CODE, *words],
        cwd=cwd,
        env={**os.environ, **MEASURING, "PYTHONPATH": str(ROOT), "COLUMNS": "80"},
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("words", "message", "next_step"),
    [
        (["env.sho"], "There is no task env.sho. Did you mean env.show?", "ci-tasks --list"),
        (["reprt"], "There is no task reprt. Did you mean report?", "ci-tasks --list"),
        (["zzzz"], "There is no task zzzz.", "ci-tasks --list"),
        (["--help", "env.sho"], "Did you mean env.show?", "ci-tasks --list"),
        (["--verison"], "--verison is not an option. Did you mean --version?", "ci-tasks --list"),
        (
            ["env.show", "--evn", "x"],
            "--evn is not an option of env.show. Did you mean --env?",
            "ci-tasks --help env.show",
        ),
        (["env.show", "--env"], "--env needs a value.", "ci-tasks --help env.show"),
        (["-T", "abc", "env.show"], "An option needs a number.", "ci-tasks --help"),
        (["env.show"], "--env is missing", "ci-tasks env.show --env staging"),
    ],
)
def test_f121_a_line_that_cannot_be_read(
    tmp_path: Path, words: list[str], message: str, next_step: str
) -> None:
    done = ci_tasks_program(*words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
    assert message in done.stderr
    assert "Nothing was run.\n" in done.stderr
    assert f"next: {next_step}" in done.stderr


def test_a_missing_positional_is_usage(capsys: pytest.CaptureFixture[str]) -> None:
    from tests.core import sample  # noqa: PLC0415 - only here

    with pytest.raises(SystemExit) as ended:
        CiTasksProgram(namespace=sample.beside).run(["ci-tasks", "tag.show"])
    assert ended.value.code == ExitCode.USAGE
    assert "error: tag.show needs a value: tag.\n" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["overview"]])
def test_the_program_works_without_a_tasks_file(tmp_path: Path, words: list[str]) -> None:
    done = ci_tasks_program(*words, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "ci-tasks deploy --env staging " in done.stdout


@pytest.mark.parametrize("words", [["--list"], ["--help"], ["--help", "env.show"], ["env.show", "--help"]])
def test_help(tmp_path: Path, words: list[str]) -> None:
    done = ci_tasks_program(*words, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "env" in done.stdout


@pytest.mark.parametrize("name", TASKS)
def test_help_breaks_no_word(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    Program(namespace=ci_tasks.ns).run(["inv", "--help", name], exit=False)
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) < 80, "the terminal would break it"
    task = ci_tasks.ns[name]
    words = " ".join(shown.split())
    for option in task.get_arguments(ignore_unknown_help=True):
        assert " ".join((option.help or "").split()) in words
    assert " ".join((task.__doc__ or "").split()) in words


def test_version(tmp_path: Path) -> None:
    done = ci_tasks_program("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"ci-tasks {ci_tasks.__version__}\n")


@pytest.mark.parametrize(("signal_name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_before_a_task_has_begun(tmp_path: Path, signal_name: str, code: int) -> None:
    interrupted = (
        "import os, signal; from ci_tasks import program;"
        f"program.CiTasksProgram.parse_core = lambda *_: os.kill(os.getpid(), signal.{signal_name});"
        "program.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", interrupted],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, "Nothing was run." in done.stderr) == (code, True)


def test_the_package_has_no_other_names() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        getattr(ci_tasks, "nothing")  # noqa: B009 - the checker knows that it is not there


BUILD = """
@task
def build(c):
    print("BUILT")
"""


def test_their_task_under_ours(inv: Inv, tmp_path: Path) -> None:
    tasks = f"from invoke import task\nfrom ci_tasks import ns\n{BUILD}\nns.add_task(build)\n"
    (tmp_path / "tasks.py").write_text(tasks, encoding="utf-8")
    assert inv("build", cwd=tmp_path).stdout == "BUILT\n"
    assert "inv deploy --env staging " in inv(cwd=tmp_path).stdout
    assert "next: inv env.show --env staging" in inv("env.show", cwd=tmp_path).stderr


def test_ours_under_theirs(inv: Inv, tmp_path: Path) -> None:
    imports = "import ci_tasks\nfrom invoke import Collection, task\n"
    tasks = f"{imports}{BUILD}\nns = Collection(build, ci=ci_tasks.ns)\n"
    (tmp_path / "tasks.py").write_text(tasks, encoding="utf-8")
    assert inv("build", "ci.overview", cwd=tmp_path).stdout.startswith("BUILT\n")
    assert "inv ci.deploy --env staging " in inv("ci", cwd=tmp_path).stdout
    assert "next: inv ci.env.show --env staging" in inv("ci.env.show", cwd=tmp_path).stderr


def loaded(folder: Path, words: list[str], tasks: str) -> tuple[set[str], str]:
    """The modules that `inv` has loaded at its end, and what it printed."""
    code = (
        "import atexit, sys; from invoke.main import program\n"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
        "program.run(['inv', *sys.argv[1:]])"
    )
    (folder / "tasks.py").write_text(tasks, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        capture_output=True,
        text=True,
    )
    return set(done.stderr.splitlines()[-1].split()), done.stdout


@pytest.mark.parametrize(
    "words",
    [["--list"], ["--help", "env.show"], ["--complete", "--", "inv", "env."], ["env.show", "--help"], []],
)
def test_start_up_loads_nothing_heavy(tmp_path: Path, words: list[str]) -> None:
    bare, _ = loaded(tmp_path, ["--list"], "from invoke import task\n\n\n@task\ndef build(c):\n    pass\n")
    ours, shown = loaded(tmp_path, words, "from ci_tasks import ns\n")
    assert "ci_tasks.environment.tasks" in ours
    assert (ours - bare) & HEAVY == set()
    assert "env" in shown


def test_the_package_itself_loads_not_even_invoke() -> None:
    code = "import sys, ci_tasks; print('invoke' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "False\n"


@pytest.mark.parametrize("name", TASKS)
def test_docstrings(name: str) -> None:
    task = ci_tasks.ns[name]
    assert isinstance(task, CommandTask)
    first = (task.__doc__ or "").strip().splitlines()[0]
    assert len(first) <= 50
    assert first.endswith(".")


@pytest.mark.parametrize("name", TASKS)
def test_the_example_of_every_task_can_be_typed(name: str) -> None:
    line = example(ci_tasks.ns[name].__doc__)
    assert line is not None
    read(line, name)
    # It is the next step after a line that lacks something: these would act without a version to name.
    assert line.endswith(" --dry-run") is (name in ("deploy.rollback", "deploy.promote"))


def read(line: str, name: str) -> None:
    """Parse a line as Invoke does, and check it as we do."""
    program = Program()
    program.argv = shlex.split(line)
    program.create_config()
    program.parse_core_args()
    program.collection = ci_tasks.ns
    program.parse_tasks()
    contexts = program.tasks
    names = {one: primary for primary, aliases in ci_tasks.ns.task_names.items() for one in aliases}
    typed_names = [context.name for context in contexts] or [ci_tasks.ns.default]
    assert typed_names == [names.get(name, name)]
    check(program)


def test_the_example_check_can_fail() -> None:
    with pytest.raises(ParseError, match="No idea what"):
        read("inv overview --nothing", "overview")


def test_json_answers_are_one_document(tmp_path: Path) -> None:
    done = ci_tasks_program("overview", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["everyday"][2]["line"] == "ci-tasks deploy --env staging"
