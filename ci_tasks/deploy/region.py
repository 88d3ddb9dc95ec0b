"""The scripts of one region: what they are given, and what became of them."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ci_tasks.core.entity import to_json
from ci_tasks.core.errors import CiTasksError
from ci_tasks.core.failpoint import failpoint
from ci_tasks.core.process.running import child_environment
from ci_tasks.script.names import Mode, ScriptStatus
from ci_tasks.script.runner import run_script
from ci_tasks.tag.names import DeploymentStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ci_tasks.core.process.running import StopRequest
    from ci_tasks.core.redact import Redactor
    from ci_tasks.deploy.model import Facts, Plan, PlannedRegion
    from ci_tasks.script.model import CIScript, ScriptResult
    from ci_tasks.tag.model import Deployment


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What the scripts of every region share."""

    facts: Facts
    root: Path
    private: Path
    pass_environment: Sequence[str]
    redactor: Redactor
    say: Callable[[str], None]


@dataclass(kw_only=True)
class RegionRun:
    """What became of one region; `ended_by` says why where it was not a script's own doing."""

    region: str | None
    deployment_id: str | None = None
    status: DeploymentStatus = DeploymentStatus.RUNNING
    scripts: list[ScriptResult] = field(default_factory=list)
    scripts_started: bool = False
    ended_by: str | None = None
    is_recorded: bool = True

    @property
    def timed_out(self) -> bool:
        """True where a script ran longer than it may."""
        return any(result.status is ScriptStatus.TIMED_OUT for result in self.scripts)


def source_of(private: Path, region: str | None) -> Path:
    """Where a region's own source tree is laid out."""
    return private / f"source-{region or 'all'}"


def run_scripts(
    stage: Stage,
    plan: Plan,
    region: PlannedRegion,
    *,
    stop: StopRequest,
    record: Deployment | None,
    run: RegionRun | None = None,
) -> RegionRun:
    """Run a region's scripts in order until one does not succeed; `record` is None in a rehearsal."""
    run = run or RegionRun(region=region.region)
    prefix = f"{region.region} | " if region.region else ""
    try:
        environment = _environment(stage, region, record)
    except OSError as error:  # a full disk, or a script before this one that cleaned up too much
        run.status = DeploymentStatus.FAILED
        run.ended_by = f"its configuration could not be written down for its scripts: {error.strerror}"
        stage.say(f"{prefix}{run.ended_by}")
        return run
    for fact, planned in zip(stage.facts.scripts, plan.scripts, strict=True):
        if stop.reason is not None:
            break
        mode = Mode(planned.mode)
        stage.say(f"{prefix}{planned.script_id}: {_announcement(mode, planned.decided_by)}")
        failpoint("before_script")
        result = _run_one(
            stage,
            fact.script,
            mode,
            environment,
            decided_by=planned.decided_by,
            prefix=prefix,
            stop=stop,
            run=run,
        )
        failpoint("after_script")
        if result is None:
            break
        run.scripts.append(result)
        run.scripts_started |= mode is Mode.EXECUTE and result.exit_status is not None
        _say_end(stage, prefix, result)
        if result.status not in (ScriptStatus.SUCCESS, ScriptStatus.SKIPPED):
            break
    run.status = _status(run, stop, expected=len(plan.scripts))
    if run.status is DeploymentStatus.CANCELLED:
        run.ended_by = run.ended_by or stop.reason
    return run


def _run_one(
    stage: Stage,
    script: CIScript,
    mode: Mode,
    environment: dict[str, str],
    *,
    decided_by: str | None,
    prefix: str,
    stop: StopRequest,
    run: RegionRun,
) -> ScriptResult | None:
    """One script; None where it could not even be started, which is a failure, not the end of the world."""
    name = script.script_id.rpartition("/")[2]
    try:
        return run_script(
            script,
            mode,
            root=stage.root,
            cwd=stage.root,
            env=environment,
            timeout=stage.facts.rules.timeout,
            on_line=lambda line: stage.say(f"{prefix}{name} | {line}"),
            redactor=stage.redactor,
            stop=stop,
            decided_by=decided_by,
        )
    except CiTasksError as error:
        run.ended_by = error.what
        stage.say(f"{prefix}{name} | {error.what}")
        return None


def _announcement(mode: Mode, decided_by: str | None) -> str:
    return "starts" if mode is Mode.EXECUTE else f"mode {mode.value}, decided by {decided_by}"


def _say_end(stage: Stage, prefix: str, result: ScriptResult) -> None:
    """Say how a script ended, unless it succeeded: then what comes next says it."""
    words = {
        ScriptStatus.SKIPPED: "skipped",
        ScriptStatus.FAILED: _failure(result.exit_status),
        ScriptStatus.TIMED_OUT: "TIMED OUT",
        ScriptStatus.CANCELLED: "was stopped",
    }
    if result.status in words:
        stage.say(f"{prefix}{result.script_id}: {words[result.status]} after {result.seconds:.1f} s")
    if result.leftovers:
        stage.say(f"{prefix}{result.script_id}: left running and ended: {', '.join(result.leftovers)}")


def _failure(exit_status: int | None) -> str:
    if exit_status is None:
        return "FAILED without being run"
    if exit_status < 0:
        return f"FAILED, ended by signal {-exit_status} ({signal.strsignal(-exit_status)})"
    return f"FAILED with exit status {exit_status}"


def _status(run: RegionRun, stop: StopRequest, *, expected: int) -> DeploymentStatus:
    if len(run.scripts) == expected and all(
        result.status in (ScriptStatus.SUCCESS, ScriptStatus.SKIPPED) for result in run.scripts
    ):
        return DeploymentStatus.SUCCESS
    last = run.scripts[-1].status if run.scripts else ScriptStatus.SUCCESS
    was_going_well = last in (ScriptStatus.SUCCESS, ScriptStatus.SKIPPED) and run.ended_by is None
    if last is ScriptStatus.CANCELLED or (stop.reason is not None and was_going_well):
        return DeploymentStatus.CANCELLED
    return DeploymentStatus.FAILED


def _environment(stage: Stage, region: PlannedRegion, record: Deployment | None) -> dict[str, str]:
    """The scripts' whole environment: ours, the configuration's `env:`, and the DEPLOYMENT_ variables."""
    facts = stage.facts
    resolved = facts.layers.resolve(facts.tag.environment, region.region, facts.tag.subproject)
    config = stage.private / f"config-{region.region or 'all'}.json"
    merged = {**resolved.values, "env": resolved.env, "providers": resolved.providers}
    config.write_bytes(to_json(merged, indent=2))
    values = {
        "DEPLOYMENT_ID": record.deployment_id if record else "rehearsal",
        "DEPLOYMENT_KIND": facts.request.kind.value,
        "DEPLOYMENT_SUBPROJECT": facts.tag.subproject,
        "DEPLOYMENT_ENVIRONMENT": facts.tag.environment,
        "DEPLOYMENT_REGION": region.region or "",
        "DEPLOYMENT_VERSION": str(facts.version.tag.version),
        "DEPLOYMENT_PREVIOUS_VERSION": region.previous_version or "",
        "DEPLOYMENT_COMMIT": facts.version.commit,
        "DEPLOYMENT_SOURCE": str(source_of(stage.private, region.region)),
        "DEPLOYMENT_CONFIG": str(config),
        "DEPLOYMENT_KEEP_RELEASES": str(facts.rules.keep_releases),
    }
    return child_environment({**resolved.env, **values}, pass_patterns=stage.pass_environment)
