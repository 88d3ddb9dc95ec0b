"""Running one script in one mode."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

from ci_tasks.core.errors import UnavailableError, UsageError
from ci_tasks.core.files import read_file
from ci_tasks.core.process.running import Finished, run
from ci_tasks.script.model import ScriptResult
from ci_tasks.script.names import Mode, ScriptStatus
from ci_tasks.script.source import start_problems
from ci_tasks.script.timelimit import time_limit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from ci_tasks.core.process.running import StopRequest
    from ci_tasks.core.redact import Redactor
    from ci_tasks.script.model import CIScript

DRY_RUN_VARIABLE = "CI_DRY_RUN"
HANG_SECONDS = 1.0
"""How long mode TIMEOUT lets its process hang at most."""

_HANGS: Sequence[str] = (sys.executable, "-I", "-S", "-c", "import time; time.sleep(3600)")
_WITHOUT_PROCESS = {
    Mode.PASS: ScriptStatus.SUCCESS,
    Mode.FAIL: ScriptStatus.FAILED,
    Mode.SKIP: ScriptStatus.SKIPPED,
}


def run_script(
    script: CIScript,
    mode: Mode,
    *,
    root: Path,
    cwd: Path,
    env: Mapping[str, str],
    timeout: float | None,
    on_line: Callable[[str], None],
    redactor: Redactor | None = None,
    stop: StopRequest | None = None,
    environ: Mapping[str, str] = os.environ,
    decided_by: str | None = None,
) -> ScriptResult:
    """Run a script of the checkout `root` in the folder `cwd`; a failure is a value, not an exception.

    `env` is the script's whole environment; `environ` is asked for `CI_JOB_TIMEOUT_MINUTES` alone;
    `timeout` in seconds, None for the default. `on_line` gets the redacted output line by line.
    `decided_by` is what chose the mode, and goes into the result.
    Raises UsageError if the script can't be started as it is, UnavailableError if a program that it
    requires is missing; in both cases nothing was run.
    """
    limit = time_limit(script, timeout, environ)
    if stop is not None and stop.reason is not None:
        return _not_run(script, mode, ScriptStatus.CANCELLED, decided_by)
    if mode in _WITHOUT_PROCESS:
        return _not_run(script, mode, _WITHOUT_PROCESS[mode], decided_by)
    if mode is Mode.DRY_RUN and not script.dry_run:
        on_line(f"would run {script.script_path}; it is not run, as its header has no 'Dry-run: supported'")
        return _not_run(script, mode, ScriptStatus.SUCCESS, decided_by)
    if mode is Mode.TIMEOUT:
        argv, limit = _HANGS, min(limit, HANG_SECONDS)
    else:
        require_startable(script, root, env)
        argv = (str(root / script.script_path),)
    finished = run(
        argv,
        cwd=cwd,
        env=_environment(env, mode),
        timeout=limit,
        on_line=on_line,
        redactor=redactor,
        stop=stop,
    )
    return _result(script, mode, finished, decided_by)


def require_startable(script: CIScript, root: Path, env: Mapping[str, str]) -> None:
    """Raise UsageError for a file that the system can't start, UnavailableError for a missing program."""
    path = script.script_path
    file = root / path
    data = read_file(file, root=root)
    problems = list(start_problems(data, executable=os.access(file, os.X_OK), path=path))
    if problems:
        lines = [f"{path}:{problem.line}: {problem.message}" for problem in problems]
        raise UsageError(
            lines[0], unchanged="Nothing was run.", next_step="inv script.check", details=lines[1:]
        )
    missing = [name for name in script.dependencies if shutil.which(name, path=env.get("PATH")) is None]
    if missing:
        raise UnavailableError(
            f"{script.script_id} requires {', '.join(missing)}: not found on the PATH.",
            unchanged="Nothing was run.",
            next_step=f"command -v {missing[0]}",
            details=[f"{path} says: Requires: {', '.join(script.dependencies)}"],
        )


def _environment(env: Mapping[str, str], mode: Mode) -> dict[str, str]:
    """The mode alone decides whether a script sees a dry run, whatever the caller's environment holds."""
    built = {name: value for name, value in env.items() if name != DRY_RUN_VARIABLE}
    return {**built, DRY_RUN_VARIABLE: "1"} if mode is Mode.DRY_RUN else built


def _not_run(script: CIScript, mode: Mode, status: ScriptStatus, decided_by: str | None) -> ScriptResult:
    return ScriptResult(
        script_id=script.script_id,
        mode=mode,
        status=status,
        exit_status=None,
        seconds=0.0,
        decided_by=decided_by,
    )


def _result(script: CIScript, mode: Mode, finished: Finished, decided_by: str | None) -> ScriptResult:
    if finished.stopped is not None:
        status = ScriptStatus.CANCELLED
    elif finished.timed_out:
        status = ScriptStatus.TIMED_OUT
    else:
        status = ScriptStatus.FAILED if finished.status else ScriptStatus.SUCCESS
    return ScriptResult(
        script_id=script.script_id,
        mode=mode,
        status=status,
        exit_status=finished.status,
        seconds=finished.seconds,
        tail=finished.tail,
        leftovers=finished.leftovers,
        truncated=finished.truncated,
        decided_by=decided_by,
    )
