"""What a deployment is asked for, what is known about it, and its plan."""

from __future__ import annotations

from dataclasses import dataclass, replace
from shlex import quote
from typing import TYPE_CHECKING

from ci_tasks.core.command_line import typed
from ci_tasks.core.entity import Entity
from ci_tasks.core.errors import ExitCode, UsageError
from ci_tasks.environment.names import OnFailure
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag.lines import options
from ci_tasks.tag.names import DeploymentKind
from ci_tasks.tag.plain_git import git_show

if TYPE_CHECKING:
    from collections.abc import Container, Mapping
    from datetime import datetime

    from ci_tasks.core.signing import AllowedSigners, Signature
    from ci_tasks.deploy.rule.requirements import Elsewhere
    from ci_tasks.environment.configuration import Layers
    from ci_tasks.environment.model import Rules
    from ci_tasks.script.mode import Decision
    from ci_tasks.script.model import CIScript
    from ci_tasks.tag.grammar import EnvironmentTag, StateTag
    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.model import Override, Run
    from ci_tasks.tag.names import VersionState
    from ci_tasks.tag.store import EnvironmentFact, VerifiedVersion

MOST_NAMED = 3
"""Newer releases that are named where they were passed over."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was typed, for `deploy`, or (by its kind) for `deploy.rollback`, `deploy.promote` or `tag.assign`.

    `version` None: the newest release; no `regions`: every one. `override` is the reason of an override,
    `wait` the seconds that may be spent in the queue (None: not to queue), `source` the environment that a
    promotion takes its version from, `labels` what exempts from a rule such as `freeze`. `adopt` belongs to
    `tag.assign` alone. `is_picked`: nobody typed the version of a rollback; its lines do not either.
    """

    environment: str
    subproject: str | None = None
    version: str | None = None
    regions: tuple[str, ...] = ()
    parallel: bool = False
    again: bool = False
    yes: bool = False
    kind: DeploymentKind = DeploymentKind.DEPLOY
    override: str | None = None
    reason: str | None = None
    adopt: bool = False
    wait: float | None = None
    sequential: bool = False
    keep_going: bool = False
    labels: tuple[str, ...] = ()
    source: str | None = None
    is_picked: bool = False

    def __post_init__(self) -> None:
        """UsageError for two options of which each takes back what the other says."""
        if self.parallel and self.sequential:
            raise UsageError(
                "--parallel and --sequential exclude each other.", unchanged="Nothing was changed."
            )


@dataclass(frozen=True, kw_only=True)
class ScriptFact:
    """A deployment script and the mode that the environment's variables put it in."""

    script: CIScript
    decision: Decision


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that a plan depends on, read once.

    `tags` are the names of those there are. Where no version was given, `passed_over` are the states because
    of which newer releases are not taken. `state_reason` is what the strongest bad state tag of the version
    gives as its reason.
    `override` is what would be recorded of an override, None where none was typed; `objection` says why
    whoever typed it may not override anything. `unreadable` says why the environment tag has no ledger, where
    a new one is to take its place. `signature` is the version's, None where the rules do not ask for one.
    `is_unsigned`: the environment tag itself lacks the good signature that the settings ask for; it is looked
    at for an assignment alone. `now` is the time by which rules are judged, `elsewhere` what ran in the other
    environments that they ask about, by name. `claim_id` is the claim that waits for its turn with this.
    `is_unpushed`: the rules are of a commit that is on no branch of the remote, as far as this clone knows.
    """

    request: Request
    tag: EnvironmentTag
    version: VerifiedVersion
    version_was_given: bool
    tags: Container[str]
    passed_over: tuple[StateTag, ...]
    states: tuple[VersionState, ...]
    state_reason: str | None
    environment: EnvironmentFact
    regions: tuple[str, ...]
    rules: Rules
    layers: Layers
    scripts: tuple[ScriptFact, ...]
    inputs: str
    changed_paths: tuple[str, ...]
    on_branch: bool
    in_ci: bool
    head: str | None
    run: Run | None
    repository: str
    remote: str | None
    stale_note: str | None
    now: datetime
    elsewhere: Mapping[str, Elsewhere]
    override: Override | None = None
    objection: Refusal | None = None
    unreadable: str | None = None
    signature: Signature | None = None
    allowed_signers: AllowedSigners | None = None
    is_unsigned: bool = False
    is_unpushed: bool = False
    claim_id: str | None = None

    @property
    def ledger(self) -> Ledger | None:
        """The environment's ledger as it has to be judged now; who writes goes on from `environment`."""
        state = self.environment.ledger
        return None if state is None else ledgers.observed(state, self.now)

    @property
    def show_line(self) -> str:
        """The line of plain git that shows what the environment tag says to people."""
        if self.remote is None:
            return git_show(self.tag, f"refs/tags/{self.tag}")
        return f"git fetch {self.remote} refs/tags/{self.tag} && {git_show(self.tag, 'FETCH_HEAD')}"

    @property
    def options(self) -> str:
        """The options that name this environment on a command line."""
        return options(self.tag)


def line_of(request: Request, subproject: str | None, *, version: str | None = None) -> str:
    """The line that asks for the same again; `version` where the line is about that one and no other."""
    words = [*_TASKS[request.kind], *_place(request)]
    words += ["--subproject", subproject] if subproject else []
    version = None if request.is_picked else version or request.version
    if version and request.kind is not DeploymentKind.PROMOTE:  # which takes what runs in the source
        words += ["--to" if request.kind is DeploymentKind.ROLLBACK else "--version", version]
    words += [word for region in request.regions for word in ("--region", region)]
    words += [word for label in request.labels for word in ("--label", label)]
    words += ["--wait", f"{request.wait / 60:g}"] if request.wait is not None else []
    flags = {
        "--parallel": request.parallel,
        "--sequential": request.sequential,
        "--keep-going": request.keep_going,
        "--again": request.again,
        "--yes": request.yes,
        "--adopt": request.adopt,
    }
    words += [flag for flag, is_given in flags.items() if is_given]
    texts = {"--reason": request.reason, "--override": request.override}
    words += [_with_text(option, text) for option, text in texts.items() if text]
    return typed(" ".join(words))


_TASKS = {
    DeploymentKind.DEPLOY: ("deploy",),
    DeploymentKind.ROLLBACK: ("deploy.rollback",),
    DeploymentKind.PROMOTE: ("deploy.promote",),
    DeploymentKind.ASSIGN: ("tag.assign",),
}


def begun_line(request: Request, environment: str) -> str:
    """How a line of this kind begins: the task, and the options that say from where to where."""
    return " ".join([*_TASKS[request.kind], *_place(replace(request, environment=environment))])


def _place(request: Request) -> list[str]:
    """The options that say from where to where."""
    if request.kind is DeploymentKind.PROMOTE and request.source is not None:
        return ["--from", request.source, "--to", request.environment]
    return ["--env", request.environment]


def review_line(tag: EnvironmentTag, identifier: str, note: str | None = None) -> str:
    """The line that closes the review debt of a deployment or a claim; without a note, one is to fill in."""
    words = '--note "what you found"' if note is None else _with_text("--note", note)
    return typed(f"deploy.review {options(tag)} --deployment {quote(identifier)} {words}")


def _with_text(option: str, text: str) -> str:
    """An option with free text, for a shell; a text that looks like an option is tied to it."""
    return f"{option}{'=' if text.startswith('-') else ' '}{quote(text)}"


class Refusal(Entity, frozen=True, kw_only=True):
    """Why the plan must not be carried out: the rule's name, a sentence, and the exit code.

    `source` is the file and line of a rule that stands in one, "environments/production/config.yml:7".
    """

    rule: str
    message: str
    exit_code: ExitCode = ExitCode.REFUSED
    next_step: str | None = None
    source: str | None = None

    @property
    def name(self) -> str:
        """The rule, and where it stands."""
        return f"{self.rule} ({self.source})" if self.source else self.rule


class PlannedRule(Entity, frozen=True, kw_only=True):
    """One rule that holds for the environment, as text; `source` is the file and line where it stands."""

    rule: str
    value: str
    source: str | None


class PlannedScript(Entity, frozen=True, kw_only=True):
    """One script of the plan; `decidedBy` is the variable that chose the mode, null for the default."""

    script_id: str
    script_path: str
    mode: str
    decided_by: str | None
    timeout: float | None


class PlannedRegion(Entity, frozen=True, kw_only=True):
    """One region of the plan (null: the environment has none); `action` is `deploy` or `skip`."""

    region: str | None
    action: str
    previous_version: str | None
    previous_commit_sha: str | None
    is_uncertain: bool
    is_downgrade: bool
    configuration: list[str]
    variables: list[str]


class Plan(Entity, frozen=True, kw_only=True):
    """What would happen; names only, never a value. `timeout` of a script is in seconds.

    `movesTag`: nothing is to be deployed, but the environment's list of regions has changed, so that the tag
    says something else than before. `overridden` are the refusals that `--override` has passed. `passedOver`
    names the state tags because of which newer releases were not taken. `rules` are those that hold for the
    environment, `labels` those that were given for them. `queuePosition` (1 is next) and `estimatedWaitTime`
    (seconds) are those of a preview with `--wait`, null where it would not have to wait.
    """

    environment: str
    environment_tag: str
    subproject: str | None
    version: str
    version_tag: str
    commit_sha: str
    is_newest: bool
    passed_over: list[str]
    is_rehearsal: bool
    is_parallel: bool
    on_failure: OnFailure
    regions: list[PlannedRegion]
    scripts: list[PlannedScript]
    concurrency_group: str
    moves_tag: bool
    refusals: list[Refusal]
    notices: list[str]
    overridden: list[Refusal]
    rules: list[PlannedRule]
    labels: list[str]
    queue_position: int | None = None
    estimated_wait_time: float | None = None

    @property
    def to_do(self) -> list[PlannedRegion]:
        """The regions in which something is to be done."""
        return [region for region in self.regions if region.action == "deploy"]

    @property
    def newest(self) -> str | None:
        """How its version was chosen, in words; None where it was given."""
        if not self.is_newest:
            return None
        said = [" is ".join(name.rpartition("/")[2].rsplit("-", 1)) for name in self.passed_over]
        if not said:
            return "the newest release"
        more = f" and {len(said) - MOST_NAMED} more" if len(said) > MOST_NAMED else ""
        return f"the newest release that may be deployed; {', '.join(said[:MOST_NAMED])}{more}"
