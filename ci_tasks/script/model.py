"""Entities of the collection `script`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from ci_tasks.core.entity import Entity
from ci_tasks.script.names import (
    Category,
    Mode,
    ScriptStatus,
    Severity,
)


class ModeVariables(Entity, frozen=True, kw_only=True):
    """The names of the environment variables that choose a script's mode."""

    hierarchical: tuple[str, ...]
    """Those it shares with others, the more specific first: its category's, then everybody's."""
    pattern: str
    """Its own within one pipeline: `CI_TEST_<PIPELINE>_SMOKE_BEHAVIOR`."""
    script_specific: str
    """Its own in every pipeline: `CI_SMOKE_BEHAVIOR`."""


class Testability(Entity, frozen=True, kw_only=True):
    """How a script's run can be rehearsed."""

    __test__ = False  # its name looks like a test's to pytest

    modes: tuple[Mode, ...]
    variables: ModeVariables
    timeout_override: str
    """The name of the variable that overrides its time-out."""


class CIScript(Entity, frozen=True, kw_only=True):
    """One script of the pipeline checkout."""

    script_id: str
    """`<category>/<name>`: `deployment/smoke`."""
    script_name: str
    """The file's name without number and extension: `ci-smoke`."""
    script_path: str
    """Relative to the repository's root, with `/`."""
    category: Category
    order: Annotated[int, Meta(ge=0, le=99)]
    description: str
    testability: Testability
    dependencies: tuple[str, ...]
    """Programs that must be there before it starts (`Requires:`)."""
    line_count: Annotated[int, Meta(ge=0)]
    """Lines that are neither blank nor a comment."""
    secrets: tuple[str, ...] = ()
    """Names of the secrets that it wants (`Secrets:`)."""
    timeout: Annotated[float, Meta(gt=0)] | None = None
    """Its own time-out in seconds (`Timeout:`)."""
    idempotent: bool | None = None
    """What it says of itself (`Idempotent:`); None if it says nothing."""
    dry_run: bool = False
    """It says `Dry-run: supported`: with `CI_DRY_RUN=1` it changes nothing."""
    subproject: str | None = None
    """The subproject in whose folder it stands; None for the root's."""


class ScriptResult(Entity, frozen=True, kw_only=True):
    """How one script's turn ended."""

    script_id: str
    mode: Mode
    status: ScriptStatus
    exit_status: int | None
    """The process's exit status, -N if signal N ended it; None if the script was not started."""
    seconds: float
    tail: tuple[str, ...] = ()
    """The last 20 lines of its output, redacted."""
    leftovers: tuple[str, ...] = ()
    """Processes that it left behind and that were ended."""
    truncated: bool = False
    """It printed more than the limit; the rest was dropped."""
    decided_by: str | None = None
    """The variable (or `--mode`) that chose the mode; None for the default."""


class Finding(Entity, frozen=True, kw_only=True):
    """Something that is wrong with a script or its place."""

    path: str
    line: int
    severity: Severity
    message: str


class ScriptList(Entity, frozen=True, kw_only=True):
    """The answer of `script.list`."""

    scripts: tuple[CIScript, ...]


class CheckReport(Entity, frozen=True, kw_only=True):
    """The answer of `script.check`."""

    checked: int
    """How many scripts were looked at."""
    findings: tuple[Finding, ...]
