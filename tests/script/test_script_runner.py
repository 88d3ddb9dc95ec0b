"""One real script in each mode, and what happens when it can't be run."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ci_tasks.core.errors import UnavailableError, UsageError
from ci_tasks.core.process.running import StopRequest, child_environment
from ci_tasks.core.redact import Redactor
from ci_tasks.script import runner
from ci_tasks.script.discovery import discover
from ci_tasks.script.names import Category, Mode, ScriptStatus
from ci_tasks.script.runner import run_script

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci_tasks.script.model import CIScript, ScriptResult
    from tests.script.samples import WriteScript

MARK = "touch ran\n"


def the_script(root: Path) -> CIScript:
    (script,) = discover(root, Category.BUILD, None)
    return script


def run(
    root: Path,
    mode: Mode = Mode.EXECUTE,
    *,
    lines: list[str] | None = None,
    env: Mapping[str, str] | None = None,
    **more: Any,
) -> ScriptResult:
    """Run the one build script with the checkout as current folder."""
    options = {
        "cwd": root,
        "timeout": 20.0,
        "redactor": Redactor(),
        "stop": StopRequest(),
        "environ": {},
        **more,
    }
    return run_script(
        the_script(root),
        mode,
        root=root,
        env=child_environment(env or {}),
        on_line=(lines if lines is not None else []).append,
        **options,
    )


def is_alive(pid: int) -> bool:
    """Whether a process is there and is more than a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("10-ci-a.sh", '#!/bin/sh\necho "out $NAME $(pwd)"\necho err >&2\n'),
        (
            "10-ci-a.bash",
            '#!/usr/bin/env bash\nwords=(out "$NAME" "$PWD"); echo "${words[*]}"\necho err >&2\n',
        ),
        (
            "10-ci-a.py",
            f"#!{sys.executable}\nimport os, sys\n"  # noqa: ISC004 - one file's text
            "print('out', os.environ['NAME'], os.getcwd(), flush=True)\nprint('err', file=sys.stderr)\n",
        ),
        (
            "10-ci-a.pl",
            '#!/usr/bin/perl\nuse Cwd; $|=1; print "out $ENV{NAME} ", getcwd(), "\\n"; warn "err\\n";\n',
        ),
    ],
)
def test_execute_runs_a_script_of_any_language(
    root: Path, tmp_path: Path, write: WriteScript, file: str, text: str
) -> None:
    write(f"scripts/build/{file}", text)
    lines: list[str] = []
    elsewhere = tmp_path / "source tree"
    elsewhere.mkdir()
    result = run(root, lines=lines, env={"NAME": "ada"}, cwd=elsewhere)
    assert sorted(lines) == ["err", f"out ada {elsewhere}"]
    assert (result.script_id, result.mode, result.status) == ("build/a", Mode.EXECUTE, ScriptStatus.SUCCESS)
    assert (result.exit_status, result.truncated, result.leftovers) == (0, False, ())
    assert sorted(result.tail) == sorted(lines)


def test_f91_a_failure_is_a_value_with_the_last_twenty_redacted_lines(root: Path, write: WriteScript) -> None:
    write(
        "scripts/build/10-ci-a.sh",
        '#!/bin/sh\ni=0; while [ $i -lt 40 ]; do i=$((i+1)); echo "$i $WORD"; done\nexit 3\n',
    )
    lines: list[str] = []
    result = run(root, lines=lines, env={"WORD": "a-hidden-word"}, redactor=Redactor(["a-hidden-word"]))
    assert (result.status, result.exit_status) == (ScriptStatus.FAILED, 3)
    assert result.tail == tuple(f"{number} ***" for number in range(21, 41))
    assert len(lines) == 40


def test_a_script_that_a_signal_ends_has_failed(root: Path, write: WriteScript) -> None:
    write("scripts/build/10-ci-a.sh", "#!/bin/sh\nkill -9 $$\n")
    result = run(root)
    assert (result.status, result.exit_status) == (ScriptStatus.FAILED, -9)


def test_the_environment_is_the_given_one_alone(
    root: Path, write: WriteScript, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOT_FOR_SCRIPTS", "1")
    write("scripts/build/10-ci-a.sh", '#!/bin/sh\necho "[$NOT_FOR_SCRIPTS][$CI_DRY_RUN]"\n')
    lines: list[str] = []
    run(root, lines=lines)
    assert lines == ["[][]"]


@pytest.mark.parametrize(
    ("mode", "status"),
    [
        (Mode.PASS, ScriptStatus.SUCCESS),
        (Mode.FAIL, ScriptStatus.FAILED),
        (Mode.SKIP, ScriptStatus.SKIPPED),
    ],
)
def test_f117_these_modes_start_nothing_even_if_the_file_could_not_be_started(
    root: Path, write: WriteScript, mode: Mode, status: ScriptStatus
) -> None:
    write("scripts/build/10-ci-a.sh", "#!/bin/sh\n# Requires: no-such-program\n" + MARK)
    lines: list[str] = []
    result = run(root, mode, lines=lines)
    assert (result.status, result.exit_status, result.mode) == (status, None, mode)
    assert lines == []
    write("scripts/build/10-ci-a.sh", "no shebang\n", mode=0o644)
    assert run(root, mode).status is status
    assert not (root / "ran").exists()


def test_f117_a_dry_run_of_a_script_without_support_prints_it_and_runs_nothing(
    root: Path, write: WriteScript
) -> None:
    write("scripts/build/10-ci-a.sh", "#!/bin/sh\n# Description: x\n" + MARK)
    lines: list[str] = []
    result = run(root, Mode.DRY_RUN, lines=lines)
    assert (result.status, result.exit_status) == (ScriptStatus.SUCCESS, None)
    assert lines == [
        "would run scripts/build/10-ci-a.sh; it is not run, as its header has no 'Dry-run: supported'"
    ]
    assert not (root / "ran").exists()


def test_a_dry_run_of_a_script_with_support_tells_it_so(root: Path, write: WriteScript) -> None:
    write("scripts/build/10-ci-a.sh", '#!/bin/sh\n# Dry-run: supported\necho "$CI_DRY_RUN $#"\n')
    lines: list[str] = []
    result = run(root, Mode.DRY_RUN, lines=lines)
    assert (result.status, result.exit_status, lines) == (ScriptStatus.SUCCESS, 0, ["1 0"])


def test_execute_is_never_taken_for_a_dry_run(root: Path, write: WriteScript) -> None:
    write("scripts/build/10-ci-a.sh", '#!/bin/sh\n# Dry-run: supported\necho "[$CI_DRY_RUN]"\n')
    lines: list[str] = []
    run(root, lines=lines, env={"CI_DRY_RUN": "1"})
    assert lines == ["[]"]


def test_timeout_lets_a_real_time_out_end_a_real_process(root: Path, write: WriteScript) -> None:
    write("scripts/build/10-ci-a.sh", "#!/bin/sh\n" + MARK)
    result = run(root, Mode.TIMEOUT, timeout=3600.0)
    assert result.status is ScriptStatus.TIMED_OUT
    assert result.exit_status is not None
    assert result.exit_status < 0
    assert result.seconds >= 0.9
    assert not (root / "ran").exists()


def test_timeout_takes_no_longer_than_the_script_s_own_time_out(
    root: Path, write: WriteScript, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "HANG_SECONDS", 3600.0)
    write("scripts/build/10-ci-a.sh", "#!/bin/sh\n# Timeout: 0.1s\n" + MARK)
    assert run(root, Mode.TIMEOUT).status is ScriptStatus.TIMED_OUT
    assert not (root / "ran").exists()


def test_f92_a_time_out_ends_the_whole_process_tree(root: Path, write: WriteScript) -> None:
    write(
        "scripts/build/10-ci-a.sh",
        "#!/bin/sh\n# Timeout: 1s\n"
        "echo $$ >>pids\n"
        "sh -c 'echo $$ >>pids; sleep 300 & echo $! >>pids; wait' &\n"
        "setsid sh -c 'trap \"\" TERM; echo $$ >>pids; sleep 300 & echo $! >>pids; wait; wait' &\n"
        "wait\n",
    )
    result = run(root, timeout=300.0)
    assert result.status is ScriptStatus.TIMED_OUT
    pids = [int(line) for line in (root / "pids").read_text().split()]
    assert len(pids) == 5
    assert [pid for pid in pids if is_alive(pid)] == []


def test_what_a_script_leaves_behind_is_ended_and_named(root: Path, write: WriteScript) -> None:
    write(
        "scripts/build/10-ci-a.sh", "#!/bin/sh\nsetsid sleep 300 >/dev/null 2>&1 &\necho $! >pid\nsleep 0.3\n"
    )
    result = run(root)
    assert result.status is ScriptStatus.SUCCESS
    assert any("sleep" in name for name in result.leftovers)
    assert not is_alive(int((root / "pid").read_text()))


@pytest.mark.parametrize("is_before", [True, False])
def test_a_stop_cancels_the_script(root: Path, write: WriteScript, is_before: bool) -> None:  # noqa: FBT001 - a table's column
    write("scripts/build/10-ci-a.sh", "#!/bin/sh\necho $$ >pid.new; mv pid.new pid\nexec sleep 300\n")
    stop = StopRequest()
    if is_before:
        stop.request("the claim is lost")
        result = run(root, stop=stop)
        assert not (root / "pid").exists()
    else:

        def watch() -> None:
            while not (root / "pid").exists():
                time.sleep(0.01)
            stop.request("the claim is lost")

        watcher = threading.Thread(target=watch)
        watcher.start()
        result = run(root, stop=stop, timeout=60.0)
        watcher.join()
        assert not is_alive(int((root / "pid").read_text()))
    assert result.status is ScriptStatus.CANCELLED


def test_a_stop_before_a_skipped_script_cancels_it_too(root: Path, write: WriteScript) -> None:
    write("scripts/build/10-ci-a.sh")
    stop = StopRequest()
    stop.request("Ctrl-C")
    assert run(root, Mode.SKIP, stop=stop).status is ScriptStatus.CANCELLED


@pytest.mark.parametrize("mode", [Mode.EXECUTE, Mode.DRY_RUN])
def test_a_missing_program_is_named_before_anything_runs(root: Path, write: WriteScript, mode: Mode) -> None:
    write(
        "scripts/build/10-ci-a.sh",
        "#!/bin/sh\n# Requires: sh, no-such-program, nor-this\n# Dry-run: supported\n" + MARK,
    )
    with pytest.raises(UnavailableError) as caught:
        run(root, mode)
    assert caught.value.what == "build/a requires no-such-program, nor-this: not found on the PATH."
    assert not (root / "ran").exists()


def test_a_program_is_looked_for_on_the_script_s_path_not_on_ours(
    root: Path, tmp_path: Path, write: WriteScript
) -> None:
    tool = tmp_path / "bin" / "own-tool"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho own\n")
    tool.chmod(0o755)
    write("scripts/build/10-ci-a.sh", "#!/bin/sh\n# Requires: own-tool\nown-tool\n")
    lines: list[str] = []
    run(root, lines=lines, env={"PATH": f"{tool.parent}:{os.environ['PATH']}"})
    assert lines == ["own"]
    with pytest.raises(UnavailableError):
        run(root)


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        pytest.param("#!/bin/sh\n" + MARK, 0o644, "1: is not executable", id="F97-not-executable"),
        pytest.param(MARK, 0o755, "1: has no shebang", id="F97-no-shebang"),
        pytest.param("#!sh\n" + MARK, 0o755, "1: has a shebang without an absolute path", id="F97-relative"),
        pytest.param("#!/bin/sh\r\n" + MARK, 0o755, "1: has Windows line ends", id="F97-crlf"),
    ],
)
def test_a_file_that_can_t_be_started_is_refused_with_file_and_line(
    root: Path, write: WriteScript, text: str, mode: int, message: str
) -> None:
    write("scripts/build/10-ci-a.sh", text, mode=mode)
    with pytest.raises(UsageError) as caught:
        run(root)
    assert caught.value.what.startswith(f"scripts/build/10-ci-a.sh:{message}")
    assert caught.value.unchanged == "Nothing was run."
    assert not (root / "ran").exists()


def test_f97_an_interpreter_that_is_not_there_is_a_precise_error(root: Path, write: WriteScript) -> None:
    write("scripts/build/10-ci-a.sh", "#!/no/such/interpreter\n" + MARK)
    with pytest.raises((UsageError, UnavailableError), match="/no/such/interpreter"):
        run(root)


def test_a_script_that_became_a_link_is_refused(root: Path, tmp_path: Path, write: WriteScript) -> None:
    file = write("scripts/build/10-ci-a.sh", "#!/bin/sh\n" + MARK)
    script = the_script(root)
    file.rename(tmp_path / "elsewhere.sh")
    file.symlink_to(tmp_path / "elsewhere.sh")
    with pytest.raises(UsageError, match="symbolic link"):
        run_script(
            script,
            Mode.EXECUTE,
            root=root,
            cwd=root,
            env=child_environment({}),
            timeout=None,
            on_line=print,
        )
    assert not (root / "ran").exists()


def test_f100_endless_output_is_bounded_and_said_to_be(root: Path, write: WriteScript) -> None:
    write("scripts/build/10-ci-a.sh", "#!/bin/sh\nhead -c 40000000 /dev/zero | tr '\\0' x\nexit 0\n")
    lines: list[str] = []
    result = run(root, lines=lines, timeout=60.0)
    assert (result.status, result.truncated) == (ScriptStatus.SUCCESS, True)
    assert sum(map(len, lines)) < 20_000_000


def test_the_variable_for_the_time_out_is_asked_in_every_mode(root: Path, write: WriteScript) -> None:
    write("scripts/build/10-ci-a.sh", "#!/bin/sh\n" + MARK)
    for mode in Mode:
        with pytest.raises(UsageError, match="CI_JOB_TIMEOUT_MINUTES='soon'"):
            run(root, mode, environ={"CI_JOB_TIMEOUT_MINUTES": "soon"})
    assert not (root / "ran").exists()
