"""Lines that Invoke takes for others than their authors meant."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from invoke.program import Program

from ci_tasks.core.command_line import Line, current, running, speaking, typed
from ci_tasks.core.errors import ExitCode
from tests.core import sample

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Inv

STAGING = ("deploy", "--env", "staging")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The sample tasks beside a task of the user's."""
    (tmp_path / "tasks.py").write_text("from tests.core.sample import beside as ns\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    """The sample tasks under the user's, as `ci`."""
    (tmp_path / "tasks.py").write_text("from tests.core.sample import mounted as ns\n", encoding="utf-8")
    return tmp_path


def run(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Run a line by Invoke in this process: exit code, stdout, stderr."""
    code: object = 0
    try:
        Program(namespace=sample.beside).run(["inv", *words])
    except SystemExit as ended:
        code = ended.code
    assert isinstance(code, int)
    return (code, *capsys.readouterr())


@pytest.mark.parametrize(
    "words",
    [
        pytest.param([*STAGING, "--dry"], id="F120-dry-after"),
        pytest.param([*STAGING, "-R"], id="F120-R-after"),
        pytest.param(["deploy", "--dry", "--env", "staging"], id="F120-dry-between"),
        pytest.param(["--dry", *STAGING], id="F120-dry-before"),
        pytest.param(["-eR", *STAGING], id="F120-in-a-glob-before"),
        pytest.param([*STAGING, "--dry", "--dry-run"], id="F120-both"),
    ],
)
def test_dry_means_dry_run(inv: Inv, folder: Path, words: list[str]) -> None:
    done = inv(*words, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("PLANNED ")


@pytest.mark.parametrize("words", [["tag.list", "--dry"], ["-R", "tag.list"]])
def test_f120_dry_is_refused_where_there_is_no_dry_run(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(*words, capsys=capsys)
    assert (code, out) == (ExitCode.USAGE, "")
    assert "This task has no dry run." in err


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(words, id=f"F120{'_'.join(words)}")
        for words in (
            ["-r", "us-east"],
            ["-V"],
            ["--version"],
            ["-w"],
            ["--warn-only"],
            ["-ew"],
            ["-we"],
            ["-p"],
            ["-e"],
            ["--echo"],
            ["-d"],
            ["-D", "1"],
            ["-D1"],
            ["-T", "5"],
            ["--command-timeout=5"],
            ["-c", "other"],
            ["-f", "x.yaml"],
            ["--hide", "both"],
            ["--no-dedupe"],
            ["--write-pyc"],
            ["--dry=1"],
        )
    ],
)
def test_invokes_own_flags_after_a_task(inv: Inv, folder: Path, words: list[str]) -> None:
    done = inv(*STAGING, *words, cwd=folder)
    assert done.returncode in (ExitCode.USAGE, 1)  # 1: Invoke's own parser refused it
    assert done.stdout == ""
    assert done.stderr
    if done.returncode == ExitCode.USAGE:
        assert "is an option of inv itself" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        pytest.param([*STAGING, "-l"], id="F120-list"),
        pytest.param([*STAGING, "--help"], id="F121-help"),
        pytest.param([*STAGING, "-h"], id="F121-short-help"),
        pytest.param(["tag.show", "--help"], id="F121-help-for-a-positional"),
        pytest.param(["tag.show", "-h"], id="F121-short-help-for-a-positional"),
        pytest.param(["tag.show", "--json", "--help"], id="F121-help-after-a-flag"),
    ],
)
def test_help_and_list_run_nothing(inv: Inv, folder: Path, words: list[str]) -> None:
    done = inv(*words, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(("Usage: ", "Available tasks:"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(["tag.show", "--evn"], "tag.show has no option --evn", id="F121-typo-for-a-positional"),
        pytest.param(["tag.show", "--tga"], "Did you mean --tag?", id="F121-nearest"),
        pytest.param(
            ["tag.show", "-R", "--json"], "tag.show needs a value before -R.", id="F121-dry-as-positional"
        ),
        pytest.param(["tag.show", "-w"], "-w is an option of inv itself", id="F121-core-flag-as-positional"),
        pytest.param(
            [*STAGING, "--region", "a", "--region", "--yes"],
            "--region needs a value, and --yes is an option.",
            id="F121-flag-for-a-value",
        ),
        pytest.param(
            [*STAGING, "--region", "a", "--region=--yes"], "--yes is an option", id="F121-glued-flag"
        ),
        pytest.param([*STAGING, "--region", "a", "--region"], "--region needs a value", id="F121-no-value"),
        pytest.param([*STAGING, "--reason", "-x"], "written --reason=-x", id="dash-apart"),
        pytest.param([*STAGING, "--env", "--yes"], "--env is given twice", id="twice"),
        pytest.param([*STAGING, "--env", "deploy", "--env", "staging"], "--env is given twice", id="task"),
        pytest.param(["tag.show", "-D", "build"], "-D is an option of inv itself", id="F121-core-value"),
        pytest.param(["tag.show", "--json=1"], "--json is a flag", id="value-for-a-flag"),
        pytest.param(["tag.list", "--", "x"], "tag.list takes nothing after `--`.", id="F122-no-rest"),
        pytest.param(["tag.list", "--"], "tag.list takes nothing after `--`.", id="F122-empty-rest"),
    ],
)
def test_refused_lines(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(*words, capsys=capsys)
    assert code == ExitCode.USAGE
    assert message in err
    assert "Nothing was run.\n" in err
    assert out == "" or json.loads(out)["error"]["code"] == ExitCode.USAGE


@pytest.mark.parametrize(
    ("words", "next_step"),
    [
        pytest.param(["build", *STAGING], "inv deploy --env staging", id="user-task-first"),
        pytest.param([*STAGING, "build"], "inv deploy --env staging", id="user-task-last"),
        pytest.param([*STAGING, *STAGING], "inv deploy --env staging", id="twice"),
        pytest.param(["build", "tag.list", "--json"], "inv tag.list --json", id="json"),
        pytest.param(["tag.list", *STAGING], "inv deploy --env staging", id="a-reader-first"),
    ],
)
def test_a_second_task_is_refused_before_anything_ran(
    inv: Inv, folder: Path, words: list[str], next_step: str
) -> None:
    done = inv(*words, cwd=folder)
    assert done.returncode == ExitCode.USAGE
    assert "has to be the only task on its line" in done.stderr
    assert done.stderr.endswith(f"next: {next_step}\n")
    assert "BUILT" not in done.stdout
    assert "TAGS" not in done.stdout


@pytest.mark.parametrize(
    ("words", "out"),
    [
        (["build", "--opt", "tag.list", "tag.list"], "BUILT tag.list\nTAGS None\n"),
        (["build", "-o", "x", "-v", "tag.list", "--prefix", "build"], "BUILT x\nTAGS build\n"),
        (["build", "-vo", "tag.list", "env.list"], "BUILT tag.list\nENVIRONMENTS None\n"),
        (["build", "-e", "tag.list"], "BUILT \nTAGS None\n"),
        (["build", "-otag.list", "-D", "3", "env.list"], "BUILT tag.list\nENVIRONMENTS None\n"),
        (["tag.show", "tag.list", "tag.list"], "SHOWN tag.list\nTAGS None\n"),
        (["tag.show", "-", "build"], "SHOWN -\nBUILT \n"),
        (["tag.show", "--tag", "x", "build"], "SHOWN x\nBUILT \n"),
    ],
)
def test_readers_may_have_company(words: list[str], out: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*words, capsys=capsys) == (0, out, "")


def test_a_line_that_can_be_read_in_two_ways(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run("tag.show", "--evn=build", capsys=capsys)
    assert (code, out) == (ExitCode.USAGE, "")
    assert "read in two ways" in err


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["sh", "-c", 'echo "a  b" $X', ""], id="F122-quotes-and-empty"),
        pytest.param(["--", "-x", "--env", "production", "deploy"], id="F122-options"),
        pytest.param(["a\nb", "\t", "ü"], id="F122-odd-characters"),
        pytest.param([], id="F122-nothing"),
    ],
)
def test_what_follows_the_dashes_is_exact(inv: Inv, folder: Path, words: list[str]) -> None:
    done = inv("secrets.exec", "--env", "staging", "--json", "--", *words, cwd=folder)
    assert json.loads(done.stdout) == {"env": "staging", "command": words}


def test_f120_an_option_that_came_too_late_is_not_repeated(inv: Inv, folder: Path) -> None:
    done = inv(*STAGING, "-r", "us-east", cwd=folder)
    assert done.stderr.endswith("next: inv --help deploy\n")


def test_refusals_are_json_too(inv: Inv, folder: Path) -> None:
    done = inv(*STAGING, "--json", "-w", cwd=folder)
    assert done.returncode == ExitCode.USAGE
    assert json.loads(done.stdout)["error"]["next"] == "inv --help deploy"


@pytest.mark.parametrize(
    ("words", "next_step"),
    [
        (["ci.fail", "--how", "refused"], "inv ci.deploy --env staging"),
        (["ci.deploy"], "inv ci.deploy --env staging"),
        (["ci.tag.show", "--evn"], "inv --help ci.tag.show"),
        (["build", "ci.deploy", "--env", "staging"], "inv ci.deploy --env staging"),
        (["-r", ".", "ci.fail", "--how", "refused"], "inv --search-root=. ci.deploy --env staging"),
    ],
)
def test_next_steps_respect_the_mount(inv: Inv, mounted: Path, words: list[str], next_step: str) -> None:
    done = inv(*words, cwd=mounted)
    assert done.stderr.endswith(f"next: {next_step}\n")


def test_printed_lines_respect_the_mount(inv: Inv, mounted: Path) -> None:
    assert inv("ci.fail", "--how", "quick", cwd=mounted).stdout == "inv ci.deploy.status\n"


@pytest.mark.parametrize(
    ("line", "given", "expected"),
    [
        (Line(), "deploy --env a", "inv deploy --env a"),
        (Line(), "inv deploy --env a", "inv deploy --env a"),
        (Line(mount="ci."), "inv deploy", "inv ci.deploy"),
        (Line(mount="ci."), "inv ci.deploy", "inv ci.deploy"),
        (Line(program="ci-tasks"), "inv deploy", "ci-tasks deploy"),
        (Line(program="ci-tasks"), "ci-tasks deploy", "ci-tasks deploy"),
        (Line(program="ci-tasks"), "inv", "ci-tasks"),
        (Line(program="inv --collection=x", mount="a.b."), "tag.list", "inv --collection=x a.b.tag.list"),
        (None, "deploy", "inv deploy"),
    ],
)
def test_typed(line: Line | None, given: str, expected: str) -> None:
    with speaking(line):
        assert typed(given) == expected
        assert typed(typed(given)) == expected


def test_typed_outside_of_a_task() -> None:
    assert typed("deploy") == "inv deploy"


def test_no_program_runs_a_test() -> None:
    assert running() is None
    assert current() is None


def test_tasks_called_from_python_are_not_checked(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run("twice", "--how", "refused", capsys=capsys)
    assert (code, err.count("The rules say no.")) == (ExitCode.REFUSED, 1)
