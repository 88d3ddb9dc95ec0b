"""`inv script.list`, `script.run` and `script.check`, typed in a real checkout."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ci_tasks.core.entity import from_json
from ci_tasks.script.model import CheckReport, ScriptList, ScriptResult

if TYPE_CHECKING:
    from tests.conftest import Inv
    from tests.script.samples import WriteScript

TASKS = """\
from invoke import Collection
from ci_tasks.script import tasks
ns = Collection()
ns.add_collection(Collection.from_module(tasks), name="script")
"""
SMOKE = "#!/bin/sh\n# Description: asks the service\n# Dry-run: supported\n"
PACKAGE = Path(__file__).parent.parent.parent


@pytest.fixture
def checkout(root: Path, write: WriteScript) -> Path:
    """A repository with a smoke test and a push, and a subproject with its own push."""
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    write("tasks.py", TASKS, mode=0o644)
    write("scripts/deployment/20-ci-smoke.sh", SMOKE + 'echo "in $PWD dry=$CI_DRY_RUN"\n')
    write("scripts/deployment/10-ci-push.sh", "#!/bin/sh\n# Description: pushes\ntouch pushed\n")
    write("api/scripts/deployment/30-ci-push.sh", "#!/bin/sh\n# Description: pushes api\ntouch pushed-api\n")
    write("api/environments/config.yml", "{}\n", mode=0o644)
    return root


def document(output: str, kind: type) -> Any:
    """The one JSON document on stdout; it has the entity's fields and no others."""
    from_json(output, kind, what="stdout")
    return json.loads(output)


def test_list_shows_all_scripts_in_their_order(inv: Inv, checkout: Path) -> None:
    done = inv("script.list", cwd=checkout)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "Script            Order  Path                                  Description",
        "deployment/push   10     scripts/deployment/10-ci-push.sh      pushes",
        "deployment/smoke  20     scripts/deployment/20-ci-smoke.sh     asks the service",
        "deployment/push   30     api/scripts/deployment/30-ci-push.sh  pushes api",
    ]


def test_list_of_a_subproject_shows_what_it_would_run(inv: Inv, checkout: Path) -> None:
    done = inv("script.list", "--subproject", "api", "--json", cwd=checkout)
    scripts = document(done.stdout, ScriptList)["scripts"]
    assert [script["scriptPath"] for script in scripts] == [
        "scripts/deployment/20-ci-smoke.sh",
        "api/scripts/deployment/30-ci-push.sh",
    ]


def test_list_of_a_category_without_scripts_says_so(inv: Inv, checkout: Path) -> None:
    assert "No scripts." in inv("script.list", "--category", "build", cwd=checkout).stdout
    done = inv("script.list", "--category", "build", "--json", cwd=checkout)
    assert json.loads(done.stdout) == {"scripts": []}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--category", "deploymnt"], "Did you mean deployment?"),
        (["--subproject", "apy"], "Did you mean api?"),
        (["--subproject", "../api"], "is not a subproject"),
    ],
)
def test_list_names_the_nearest(inv: Inv, checkout: Path, arguments: list[str], message: str) -> None:
    done = inv("script.list", *arguments, cwd=checkout)
    assert done.returncode == 2
    assert message in done.stderr


def test_run_streams_to_stderr_and_answers_on_stdout(inv: Inv, checkout: Path) -> None:
    (checkout / "docs").mkdir()
    done = inv("script.run", "deployment/smoke", cwd=checkout / "docs")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [
        "deployment/smoke: mode EXECUTE, the default: no variable is set",
        f"smoke | in {checkout} dry=",
    ]
    assert done.stdout.startswith("deployment/smoke: succeeded (mode EXECUTE, ")


@pytest.mark.parametrize(
    ("env", "arguments", "code", "decided", "status"),
    [
        ({"CI_TEST_MODE": "DRY_RUN"}, [], 0, "mode DRY_RUN, decided by CI_TEST_MODE", "SUCCESS"),
        (
            {"CI_TEST_MODE": "FAIL", "CI_TEST_DEPLOYMENT_BEHAVIOR": "SKIP"},
            [],
            0,
            "mode SKIP, decided by CI_TEST_DEPLOYMENT_BEHAVIOR",
            "SKIPPED",
        ),
        ({"CI_SMOKE_BEHAVIOR": "FAIL"}, [], 1, "mode FAIL, decided by CI_SMOKE_BEHAVIOR", "FAILED"),
        ({"CI_SMOKE_BEHAVIOR": "FAIL"}, ["--mode", "PASS"], 0, "mode PASS, decided by --mode", "SUCCESS"),
        ({}, ["--mode", "TIMEOUT"], 124, "mode TIMEOUT, decided by --mode", "TIMED_OUT"),
    ],
)
def test_f117_every_run_says_which_variable_decided(  # noqa: PLR0917 - a table's columns
    inv: Inv,
    checkout: Path,
    env: dict[str, str],
    arguments: list[str],
    code: int,
    decided: str,
    status: str,
) -> None:
    done = inv("script.run", "deployment/smoke", *arguments, "--json", cwd=checkout, env=env)
    assert done.returncode == code, done.stderr
    assert f"deployment/smoke: {decided}" in done.stderr.splitlines()
    result = document(done.stdout, ScriptResult)
    assert (result["scriptId"], result["status"]) == ("deployment/smoke", status)
    assert result["decidedBy"] == decided.rpartition(" ")[2]


def test_f117_a_dry_run_runs_only_what_declares_support(inv: Inv, checkout: Path) -> None:
    dry = {"CI_TEST_MODE": "DRY_RUN"}
    supported = inv("script.run", "deployment/smoke", cwd=checkout, env=dry)
    assert f"smoke | in {checkout} dry=1" in supported.stderr
    other = inv("script.run", "deployment/push", cwd=checkout, env=dry)
    assert other.returncode == 0
    assert "push | would run scripts/deployment/10-ci-push.sh" in other.stderr
    assert "was not run" in other.stdout
    assert not (checkout / "pushed").exists()


@pytest.mark.parametrize("how", ["option", "folder"])
def test_run_takes_the_subproject_s_script(inv: Inv, checkout: Path, how: str) -> None:
    if how == "option":
        done = inv("script.run", "deployment/push", "--subproject", "api", cwd=checkout)
    else:
        done = inv("script.run", "deployment/push", cwd=checkout / "api" / "scripts")
    assert done.returncode == 0, done.stderr
    assert (checkout / "pushed-api").exists()
    assert not (checkout / "pushed").exists()


def test_f91_a_failed_script_is_exit_code_1_with_its_last_lines(
    inv: Inv, checkout: Path, write: WriteScript
) -> None:
    write("scripts/test/10-ci-unit.sh", "#!/bin/sh\necho one of two is wrong\nexit 3\n")
    done = inv("script.run", "test/unit", cwd=checkout)
    assert done.returncode == 1
    assert done.stdout.startswith("test/unit: FAILED with exit status 3 (mode EXECUTE, ")
    assert "  one of two is wrong" in done.stdout.splitlines()
    assert "unit | one of two is wrong" in done.stderr.splitlines()


@pytest.mark.parametrize(
    ("arguments", "env", "message"),
    [
        (["deployment/smok"], {}, "Did you mean deployment/smoke?"),
        (["smoke"], {}, "Did you mean deployment/smoke?"),
        (["deployment/smoke", "--mode", "DRYRUN"], {}, "Did you mean DRY_RUN?"),
        (["deployment/smoke"], {"CI_TEST_MODE": "dry"}, "CI_TEST_MODE='dry' is not a mode."),
        (["deployment/smoke"], {"CI_JOB_TIMEOUT_MINUTES": "361"}, "from 1 to 360"),
        (["deployment/smoke", "--dry"], {}, "This task has no dry run."),
    ],
)
def test_bad_values_are_exit_code_2_and_run_nothing(
    inv: Inv, checkout: Path, arguments: list[str], env: dict[str, str], message: str
) -> None:
    done = inv("script.run", *arguments, cwd=checkout, env=env)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Nothing was run." in done.stderr
    assert "smoke | " not in done.stderr


def test_a_missing_program_is_exit_code_5(inv: Inv, checkout: Path, write: WriteScript) -> None:
    write("scripts/test/10-ci-unit.sh", "#!/bin/sh\n# Requires: no-such-program\necho hello\n")
    done = inv("script.run", "test/unit", cwd=checkout)
    assert done.returncode == 5
    assert "test/unit requires no-such-program" in done.stderr


def test_a_variable_with_a_typing_error_is_a_warning(inv: Inv, checkout: Path) -> None:
    done = inv("script.run", "deployment/smoke", cwd=checkout, env={"CI_SMOK_BEHAVIOR": "SKIP"})
    assert done.returncode == 0
    assert "warning: CI_SMOK_BEHAVIOR is set, but no script" in done.stderr


def test_what_is_passed_on_is_redacted_if_its_name_says_secret(
    inv: Inv, checkout: Path, write: WriteScript
) -> None:
    write("scripts/test/10-ci-unit.sh", '#!/bin/sh\necho "$SERVICE_TOKEN $SERVICE_URL"\n')
    passed = {"SERVICE_TOKEN": "hush-hush", "SERVICE_URL": "u", "CI_TASKS_PASS_ENVIRONMENT": '["SERVICE_*"]'}
    done = inv("script.run", "test/unit", "--json", cwd=checkout, env=passed)
    assert "unit | *** u" in done.stderr
    assert "hush-hush" not in done.stdout + done.stderr


def test_f121_help_is_help(inv: Inv, checkout: Path) -> None:
    done = inv("script.run", "--help", cwd=checkout)
    assert done.returncode == 0
    assert "Run one script of this checkout." in done.stdout
    assert not (checkout / "pushed").exists()


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGINT, 130, id="F94-ctrl-c"),
        pytest.param(signal.SIGTERM, 143, id="F95-sigterm"),
    ],
)
def test_a_signal_ends_the_script_and_all_it_started(
    checkout: Path, write: WriteScript, number: signal.Signals, code: int
) -> None:
    write(
        "scripts/test/10-ci-slow.sh",
        "#!/bin/sh\nsetsid sleep 300 &\necho $! >pids.new\necho $$ >>pids.new\nmv pids.new pids\nwait\n",
    )
    process = subprocess.Popen(
        [Path(sys.executable).parent / "inv", "script.run", "test/slow"],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (checkout / "pids").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    for pid in (checkout / "pids").read_text().split():
        state = Path(f"/proc/{pid}/stat")
        assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


def test_check_finds_nothing_wrong_with_good_scripts(inv: Inv, checkout: Path) -> None:
    done = inv("script.check", cwd=checkout)
    assert done.returncode == 0, done.stdout
    assert done.stdout == "3 scripts checked, no problems\n"


def test_check_lists_all_with_file_and_line(inv: Inv, checkout: Path, write: WriteScript) -> None:
    write("api/scripts/test/10-ci-unit.sh", "#!/bin/sh\necho\n", mode=0o644)
    write("scripts/deployment/20-ci-late.sh", SMOKE)
    smoke = "scripts/deployment/20-ci-smoke.sh"
    done = inv("script.check", cwd=checkout)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "api/scripts/test/10-ci-unit.sh:1: has no header comment Description:",
        "api/scripts/test/10-ci-unit.sh:1: is not executable; type: chmod +x api/scripts/test/10-ci-unit.sh",
        f"{smoke}:1: warning: has the same number as 20-ci-late.sh; the two run in the order of their names",
        "5 scripts checked, 2 problems, 1 warning",
    ]
    report = document(inv("script.check", "--json", cwd=checkout).stdout, CheckReport)
    assert [finding["severity"] for finding in report["findings"]] == ["ERROR", "ERROR", "WARNING"]
    own = document(inv("script.check", "--subproject", "api", "--json", cwd=checkout).stdout, CheckReport)
    assert {finding["path"] for finding in own["findings"]} == {"api/scripts/test/10-ci-unit.sh"}


def test_the_face_imports_nothing_heavy() -> None:
    program = "import sys, ci_tasks.script.tasks; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=PACKAGE
    )
    # Invoke itself brings yaml along.
    assert {"msgspec", "git", "rich", "semver", "ci_tasks.core.process.running"}.isdisjoint(
        done.stdout.split()
    )
