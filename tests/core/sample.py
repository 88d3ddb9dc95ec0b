"""Tasks for the tests of the wrapper: some of ours, and one that a user wrote with plain Invoke."""
# ruff: noqa: ARG001, B008, FBT001, FBT002, PLR0917 - the form of a face, as in pyproject.toml

import os
import signal
import time
from enum import Enum

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import task as plain_task

from ci_tasks.core import console, errors
from ci_tasks.core.command_line import RootCollection, typed
from ci_tasks.core.task import Answer, argument, flag, option, rest, task


class Environment(Enum):
    """A closed set."""

    STAGING = "staging"
    PRODUCTION = "production"


@plain_task
def build(c: Context, opt: str = "", verbose: bool = False) -> None:
    """Build, as a user's own task does."""
    print("BUILT", opt)  # noqa: T201 - likewise


@task(default=True, changes=True)
def deploy(
    c: Context,
    env: Environment = option("where to deploy", required=True, choices=Environment, metavar="ENVIRONMENT"),
    region: list[str] = option("where in there", many=True),
    category: list[str] = option("what kind", many=True, choices=("test", "build")),
    reason: str | None = option("why", env="CI_TASKS_REASON"),
    yes: bool = flag("don't ask"),
    dry_run: bool = flag("only show the plan"),
) -> Answer:
    """Deploy something.

    inv deploy --env staging
    """
    got = {"env": env.value, "region": region, "category": category, "reason": reason, "yes": yes}
    got["dryRun"] = dry_run
    return Answer(got, lambda: f"{'PLANNED' if dry_run else 'DEPLOYED'} {got}")


@task(name="list")
def list_tags(c: Context, prefix: str | None = option("how they begin")) -> Answer:
    """List tags.

    inv tag.list --prefix api
    """
    return Answer({"tags": [prefix]}, f"TAGS {prefix}")


@task(name="list")
def list_environments(c: Context, prefix: str | None = option("how they begin")) -> Answer:
    """List environments.

    Example: inv env.list
    """
    return Answer({"environments": [prefix]}, f"ENVIRONMENTS {prefix}")


@task
def show(c: Context, tag: str = argument("the tag")) -> Answer:
    """Show a tag.

    inv tag.show api/v1.2.3
    """
    return Answer({"tag": tag}, f"SHOWN {tag}")


@task(name="exec")
def execute(
    c: Context,
    env: str = option("environment", required=True),
    command: list[str] = rest("what to run"),
) -> Answer:
    """Show what would be run.

    inv secrets.exec --env staging -- printenv
    """
    return Answer({"env": env, "command": command}, f"{len(command)} words")


@task
def fail(
    c: Context,
    how: str = option("in which way", required=True),
) -> Answer:
    """Fail in some way.

    inv fail --how refused
    """
    password = "hunter2"  # noqa: S105 - stands for a secret in a local
    if how == "bug":
        raise ValueError(f"could not log in with {password}")
    if how == "refused":
        raise errors.RefusedError(
            "The rules say no.",
            unchanged="Nothing was changed.",
            next_step="inv deploy --env staging",
            details=["first", "second"],
        )
    if how == "git":
        raise errors.UnavailableError("No login.", next_step="git config user.name Me")
    if how == "partial":
        return Answer({"done": ["a"]}, "one of two", errors.ExitCode.PARTIAL)
    if how == "hostile":
        return Answer({"text": "::add-mask::x ##[group]y"}, "::add-mask::x\n\x1b[2Jgone ##[group]y")
    if how == "long":
        return Answer({}, "\n".join(f"line {number}" for number in range(100_000)))
    console.progress("waiting")
    time.sleep(0 if how == "quick" else 60)
    return Answer({}, typed("deploy.status"))


@task
def twice(c: Context, how: str = option("in which way", required=True)) -> Answer:
    """Call another task from this one.

    inv twice --how refused
    """
    fail(c, how=how)
    return Answer({}, "")


@task
def interrupt(c: Context, number: str = option("of the signal", required=True)) -> Answer:
    """Send a signal to this process.

    inv interrupt --number 15
    """
    os.kill(os.getpid(), int(number))
    signal.pause()
    return Answer({}, "not reached")


root = RootCollection(
    fail,
    twice,
    interrupt,
    deploy=Collection(deploy),
    tag=Collection(list_tags, show),
    env=Collection(list_environments),
    secrets=Collection(execute),
)
beside = Collection(
    build,
    fail,
    twice,
    interrupt,
    deploy=Collection(deploy),
    tag=Collection(list_tags, show),
    env=Collection(list_environments),
    secrets=Collection(execute),
)
mounted = Collection(build, ci=root)
