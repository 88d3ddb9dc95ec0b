"""The wrapper around tasks, through the real `inv`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from enum import Enum
from typing import TYPE_CHECKING, Any

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from ci_tasks.core.errors import ExitCode, UsageError
from ci_tasks.core.parameter import Parameter, declaration, example, help_text, values
from ci_tasks.core.task import NOBODY_READS, Answer, argument, flag, option, rest, task
from tests.conftest import ROOT, Inv, program
from tests.core import sample

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the sample tasks."""
    (tmp_path / "tasks.py").write_text("from tests.core.sample import beside as ns\n", encoding="utf-8")
    return tmp_path


def started(*arguments: str, cwd: Path, **how: Any) -> subprocess.Popen[str]:
    """`inv` in the background."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([program("inv"), *arguments], cwd=cwd, env=environment, text=True, **how)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param([], {}, id="nothing-optional"),
        pytest.param(["--reason", ""], {}, id="empty-is-not-given"),
        pytest.param(["--reason=  "], {}, id="blank-is-not-given"),
        pytest.param(["--region="], {}, id="empty-list"),
        pytest.param(["--region", "a,b", "--region=c, a"], {"region": ["a", "b", "c"]}, id="list"),
        pytest.param(["--category=test,build"], {"category": ["test", "build"]}, id="list-of-choices"),
        pytest.param(["--reason=-x y"], {"reason": "-x y"}, id="value-with-a-dash"),
        pytest.param(["--reason", "-"], {"reason": "-"}, id="dash-alone"),
        pytest.param(["--yes", "--dry-run"], {"yes": True, "dryRun": True}, id="flags"),
        pytest.param(["--reason", "a=b; $(id)"], {"reason": "a=b; $(id)"}, id="F2-free-text-is-text"),
    ],
)
def test_values(inv: Inv, folder: Path, arguments: list[str], expected: dict[str, object]) -> None:
    done = inv("deploy", "--env", "staging", "--json", *arguments, cwd=folder)
    nothing: dict[str, object] = {"region": [], "category": [], "reason": None, "yes": False, "dryRun": False}
    assert json.loads(done.stdout) == {"env": "staging", **nothing, **expected}
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--env", "prod;rm -rf ."], "'prod;rm -rf .' is not an environment", id="F1-injection"),
        pytest.param(["--env", "$(id)"], "'$(id)' is not an environment", id="F2-substitution"),
        pytest.param(["--env", "`id`|'&"], '"`id`|\'&" is not an environment', id="F2-quotes"),
        pytest.param(["--env=--upload-pack=x"], "'--upload-pack=x' is not", id="F3-glued-option"),
        pytest.param(["--env=-x"], "'-x' is not an environment", id="F3-glued-dash"),
        pytest.param(["--env", "-x"], "--env needs a value", id="F3-dash"),
        pytest.param(["--env", "stagng"], "Did you mean staging?", id="F14-typo"),
        pytest.param(["--env", "staging", "--category", "tset"], "Did you mean test?", id="F14-in-a-list"),
        pytest.param(["--env", "1" * 5000], "is not an environment", id="F15-long"),
        pytest.param([], "--env is missing: where to deploy.", id="missing"),
        pytest.param(["--env="], "--env is missing", id="empty-is-missing"),
    ],
)
def test_bad_values(inv: Inv, folder: Path, arguments: list[str], message: str) -> None:
    done = inv("deploy", *arguments, cwd=folder)
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
    assert message in done.stderr
    assert "Nothing was run.\n" in done.stderr
    assert "next: inv " in done.stderr


def test_missing_value_shows_the_set_and_the_example(inv: Inv, folder: Path) -> None:
    done = inv("deploy", cwd=folder)
    assert done.stderr.splitlines() == [
        "error: --env is missing: where to deploy.",
        "  Allowed: staging, production.",
        "Nothing was run.",
        "next: inv deploy --env staging",
    ]


def test_bytes_that_are_not_text_are_refused(folder: Path) -> None:
    line = [os.fsencode(program("inv")), b"deploy", b"--env", b"staging", b"--reason", b"\xff"]
    done = subprocess.run(
        line, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False, capture_output=True
    )
    assert done.returncode == ExitCode.USAGE
    assert b"not valid UTF-8" in done.stderr


def test_free_text_from_the_environment(inv: Inv, folder: Path) -> None:
    given = {"CI_TASKS_REASON": "Friday"}
    line = ("deploy", "--env", "staging", "--json")
    assert json.loads(inv(*line, cwd=folder, env=given).stdout)["reason"] == "Friday"
    assert json.loads(inv(*line, "--reason", "no", cwd=folder, env=given).stdout)["reason"] == "no"


@pytest.mark.parametrize(
    "environment",
    [
        {"INVOKE_RUN_ECHO": "1", "INVOKE_RUN_DRY": "1", "INVOKE_RUN_SHELL": "/bin/false"},
        {"INVOKE_RUN_WARN": "1", "INVOKE_RUN_HIDE": "both", "INVOKE_RUN_PTY": "1"},
    ],
)
def test_f18_invokes_own_settings_have_no_effect(inv: Inv, folder: Path, environment: dict[str, str]) -> None:
    (folder / "invoke.yaml").write_text("run:\n  dry: true\n  echo: true\n", encoding="utf-8")
    done = inv("deploy", "--env", "staging", "--json", cwd=folder, env=environment)
    assert json.loads(done.stdout)["dryRun"] is False
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("how", "code", "lines"),
    [
        pytest.param(
            "refused",
            ExitCode.REFUSED,
            [
                "error: The rules say no.",
                "  first",
                "  second",
                "Nothing was changed.",
                "next: inv deploy --env staging",
            ],
            id="ours",
        ),
        pytest.param(
            "git",
            ExitCode.UNAVAILABLE,
            ["error: No login.", "next: git config user.name Me"],
            id="a-line-of-another-program",
        ),
    ],
)
def test_errors_for_people(inv: Inv, folder: Path, how: str, code: ExitCode, lines: list[str]) -> None:
    done = inv("fail", "--how", how, cwd=folder)
    assert (done.returncode, done.stdout, done.stderr.splitlines()) == (code, "", lines)


def test_errors_as_json(inv: Inv, folder: Path) -> None:
    done = inv("fail", "--how", "refused", "--json", cwd=folder)
    assert done.returncode == ExitCode.REFUSED
    assert json.loads(done.stdout) == {
        "error": {
            "code": 3,
            "name": "REFUSED",
            "message": "The rules say no.",
            "details": ["first", "second"],
            "unchanged": "Nothing was changed.",
            "next": "inv deploy --env staging",
        }
    }
    assert "The rules say no." in done.stderr


def test_an_answer_brings_its_exit_code(inv: Inv, folder: Path) -> None:
    done = inv("fail", "--how", "partial", cwd=folder)
    assert (done.returncode, done.stdout) == (ExitCode.PARTIAL, "one of two\n")


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_f106_a_bug_shows_where_and_no_secret(inv: Inv, folder: Path, more: list[str]) -> None:
    done = inv("fail", "--how", "bug", *more, cwd=folder)
    assert done.returncode == ExitCode.INTERNAL
    assert "ValueError at ci_tasks/core/task.py:" in done.stderr
    for secret in ("hunter2", "password", "log in", "--how", "Traceback"):
        assert secret not in done.stderr + done.stdout
    again = inv("fail", "--how", "bug", *more, cwd=folder)
    assert again.stderr == done.stderr, "the same bug has the same id"
    if more:
        assert json.loads(done.stdout)["error"]["name"] == "INTERNAL"


def test_a_task_that_calls_another_says_everything_once(inv: Inv, folder: Path) -> None:
    done = inv("twice", "--how", "refused", cwd=folder)
    assert done.returncode == ExitCode.REFUSED
    assert done.stderr.count("The rules say no.") == 1


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGINT, ExitCode.CANCELLED, id="F94-ctrl-c"),
        pytest.param(signal.SIGTERM, ExitCode.TERMINATED, id="F95-sigterm"),
        pytest.param(signal.SIGHUP, ExitCode.TERMINATED, id="hang-up"),
    ],
)
def test_signals_end_a_task(folder: Path, number: signal.Signals, code: ExitCode) -> None:
    running = started("fail", "--how", "wait", cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    assert running.stderr is not None
    assert running.stderr.readline() == "waiting\n"
    running.send_signal(number)
    stdout, stderr = running.communicate(timeout=60)
    assert (running.returncode, stdout) == (code, "")
    assert stderr.startswith("error: Cancelled by ")
    assert stderr.endswith("Nothing was changed.\n")


def test_cancelled_in_json(inv: Inv, folder: Path) -> None:
    done = inv("interrupt", "--number", "15", "--json", cwd=folder)
    assert done.returncode == ExitCode.TERMINATED
    assert json.loads(done.stdout)["error"]["name"] == "CANCELLED"


@pytest.mark.parametrize(("how", "code"), [("long", NOBODY_READS), ("partial", ExitCode.PARTIAL)])
def test_a_reader_who_goes_away(folder: Path, how: str, code: int) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    running = started("fail", "--how", how, cwd=folder, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    _, stderr = running.communicate(timeout=60)
    assert (running.returncode, stderr) == (code, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no full disk to write to")  # noqa: PTH110 - a device
def test_a_result_that_cannot_be_written(folder: Path) -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        running = started("deploy", "--env", "staging", cwd=folder, stdout=full, stderr=subprocess.PIPE)
        _, stderr = running.communicate(timeout=60)
    assert running.returncode == ExitCode.UNAVAILABLE
    assert stderr == "error: The result could not be written: No space left on device.\n"


def test_an_answer_gives_no_commands_to_terminal_or_runner(inv: Inv, folder: Path) -> None:
    done = inv("fail", "--how", "hostile", cwd=folder)
    assert done.stdout == ": :add-mask::x\ngone # #[group]y\n"
    in_json = inv("fail", "--how", "hostile", "--json", cwd=folder).stdout
    assert "##[" not in in_json
    assert json.loads(in_json) == {"text": "::add-mask::x ##[group]y"}


def test_help_is_invokes_own(inv: Inv, folder: Path) -> None:
    done = inv("--help", "deploy", cwd=folder, env={"COLUMNS": "80"})
    assert done.returncode == 0
    assert "Deploy something." in done.stdout
    text = " ".join(done.stdout.split())
    assert "--env=STRING ENVIRONMENT; where to deploy; one of staging, production (required)" in text
    assert "--region REGION; where in there (repeatable)" in text
    assert "--json print one JSON document and nothing else" in text


def test_tasks_of_one_name_are_two_tasks(inv: Inv, folder: Path) -> None:
    done = inv("tag.list", "env.list", cwd=folder)
    assert done.stdout.splitlines() == ["TAGS None", "ENVIRONMENTS None"]


def test_called_from_python(capsys: pytest.CaptureFixture[str]) -> None:
    answer = sample.deploy(Context(), env=sample.Environment.STAGING, region="a,b", dry_run=True)
    assert isinstance(answer, Answer)
    assert capsys.readouterr().out.startswith("PLANNED {'env': 'staging', 'region': ['a', 'b']")
    sample.execute(Context(), env="x", command=["a b", ""])
    assert capsys.readouterr().out == "2 words\n"
    with pytest.raises(Exit) as ended:
        sample.deploy(Context(), env="nowhere")
    assert ended.value.code == ExitCode.USAGE


def test_a_wrong_argument_from_python_is_a_bug(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Exit) as ended:
        sample.deploy(Context(), env="staging", regoin="a")
    assert ended.value.code == ExitCode.INTERNAL
    assert "TypeError at ci_tasks/core/task.py" in capsys.readouterr().err


def test_parameters_have_to_be_declared() -> None:
    def undeclared(c: Context, env: str = "staging") -> Answer:
        raise AssertionError((c, env))

    def taken(c: Context, json: bool = flag("its own")) -> Answer:  # noqa: FBT001 - the form of a face
        raise AssertionError((c, json))

    with pytest.raises(TypeError, match="env is not declared"):
        task(undeclared)
    with pytest.raises(TypeError, match="json is not declared"):
        task(taken)


class Size(Enum):
    """A closed set whose values are no texts."""

    SMALL = 1
    LARGE = 2


def face(
    c: Context,
    tag: str = argument("the tag"),
    size: Size | None = option("how big", choices=Size),  # noqa: B008 - the form of a face
    words: list[str] = rest("words"),  # noqa: B008 - likewise
) -> Answer:
    """No example here."""
    raise AssertionError((c, tag, size, words))


def test_conversion() -> None:
    declared = declaration(face, changes=False)
    assert values(declared, {"tag": "x", "size": "2"}, after_dashes=("a", "")) == {
        "tag": "x",
        "size": Size.LARGE,
        "words": ["a", ""],
    }
    with pytest.raises(UsageError) as refused:
        values(declared, {"tag": ""}, after_dashes=())
    assert (refused.value.what, refused.value.next_step) == ("The tag is missing: the tag.", None)


@pytest.mark.parametrize(
    ("docstring", "line"),
    [
        ("Do it.\n\n    inv it --now\n    ", "inv it --now"),
        ("Do it.\n\nExample: inv it", "inv it"),
        ("Show it.\n\ninv", "inv"),
        ("Do it.\n\ninvite somebody", None),
        ("", None),
        (None, None),
    ],
)
def test_example(docstring: str | None, line: str | None) -> None:
    assert example(docstring) == line


def test_help_text() -> None:
    required = Parameter(kind="option", help="which", required=True, many=True, choices=("a", "b"))
    assert help_text("some_name", required) == "SOME-NAME; which; one of a, b (required) (repeatable)"
    assert help_text("yes", Parameter(kind="flag", help="don't ask")) == "don't ask"


def test_the_wrapper_starts_fast() -> None:
    heavy = {"git", "msgspec", "rich", "yaml", "semver", "cryptography", "difflib", "subprocess"}
    code = f"import sys, ci_tasks.core.task; print(sorted({heavy!r} & set(sys.modules)))"
    before = "import sys, invoke; print(sorted(set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def printed(source: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", source], env=environment, check=True, capture_output=True, text=True
        )
        found: list[str] = json.loads(done.stdout.replace("'", '"'))
        return found

    assert set(printed(code)) <= set(printed(before))
