"""The collection `deploy`: bringing versions into environments, and seeing what runs where."""

import os

from invoke.context import Context

from ci_tasks.core.task import Answer, flag, option, task

ENV = "environment, such as staging"
SUBPROJECT = "subproject, . for the root; else the one whose folder you stand in"
OVERRIDE = "why to pass a rule on states, branches, protection or drift; recorded, has to be reviewed"


@task(default=True, changes=True)
def run(
    c: Context,
    env: str = option(ENV, required=True),
    subproject: str | None = option(SUBPROJECT, metavar="PATH"),
    version: str | None = option("version to deploy; else the newest release"),
    region: list[str] = option("region to deploy to; else all", many=True),
    parallel: bool = flag("all regions side by side"),
    again: bool = flag("deploy even what is live already"),
    dry_run: bool = flag("print the plan and stop"),
    yes: bool = flag("deploy without the question, if it is older than what is live"),
    override: str | None = option(OVERRIDE, metavar="TEXT"),
) -> Answer:
    """Deploy a version to an environment.

    Claims the environment in its tag on the remote, lays the version's own
    commit out in a private folder, runs scripts/deployment/ in order for each
    region, and records each result in the tag. The tag moves only when every
    region has the version. Your checkout, branches and tags stay as they are.

    inv deploy --env staging --subproject api
    """
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.deploy.deployment import deploy, preview
    from ci_tasks.deploy.model import Request
    from ci_tasks.deploy.override import stated
    from ci_tasks.deploy.render import plan_text, result_text

    request = Request(
        environment=env,
        subproject=subproject,
        version=version,
        regions=tuple(region),
        parallel=parallel,
        again=again,
        yes=yes,
        override=stated("--override", override),
    )
    if dry_run:
        previewed = preview(Checkout.open(), request, environ=os.environ)
        return Answer(previewed.document, lambda: plan_text(previewed.plan), previewed.code)
    result = deploy(Checkout.open(), request, environ=os.environ)
    return Answer(result.document, lambda: result_text(result), result.code)


@task
def status(
    c: Context,
    env: str | None = option("only this environment", metavar="ENV"),
    subproject: str | None = option("only this subproject", metavar="PATH"),
) -> Answer:
    """Show what runs where.

    One line per subproject, environment and region: version, state, since when,
    by whom, whether somebody is deploying there now or moved the tag by hand,
    and which overrides wait for a review. Reads the remote; changes nothing.

    inv deploy.status --env staging
    """
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.deploy.render import status_text
    from ci_tasks.deploy.status import first_line, overview

    checkout = Checkout.open()
    answer = overview(checkout, environment=env, subproject=subproject)
    return Answer(answer, lambda: status_text(answer, first_line(checkout, subproject)))


@task
def history(
    c: Context,
    env: str = option(ENV, required=True),
    subproject: str | None = option(SUBPROJECT, metavar="PATH"),
) -> Answer:
    """Show an environment's ledger.

    Every deployment that its tag still holds, those at work first, then the
    newest. Changes nothing.

    inv deploy.history --env staging --subproject api
    """
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.deploy.render import history_text
    from ci_tasks.deploy.status import ledger_of

    answer = ledger_of(Checkout.open(), environment=env, subproject=subproject)
    return Answer(answer, lambda: history_text(answer))


@task(changes=True)
def unlock(
    c: Context,
    env: str = option(ENV, required=True),
    subproject: str | None = option(SUBPROJECT, metavar="PATH"),
    deployment: str = option("deployment to stop", required=True, metavar="ID"),
    reason: str = option("why; it is recorded", required=True, metavar="TEXT", env="CI_TASKS_REASON"),
    now: bool = flag("break the claim at once: its scripts may still be running"),
) -> Answer:
    """Ask a running deployment to stop.

    Its owner sees it when it next renews its lease (within 3 minutes), ends its
    scripts and records CANCELLED. With --now the claim is broken at once, and
    the region counts as uncertain: nobody ends the scripts.

    inv deploy.unlock --env staging --deployment ID --reason "wrong build"
    """
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.core.console import prose
    from ci_tasks.deploy.render import unlocked_text
    from ci_tasks.deploy.status import place
    from ci_tasks.deploy.unlock import RecordsAnswer
    from ci_tasks.deploy.unlock import unlock as unlock_claim

    checkout = Checkout.open()
    store, tag = place(checkout, environment=env, subproject=subproject, line="deploy.unlock")
    records = unlock_claim(
        store, tag, deployment, reason=reason, now=now, identity=checkout.repository.identity()
    )
    answer = RecordsAnswer(deployments=records)
    return Answer(answer, lambda: prose(unlocked_text(tag, deployment, broken=now)))


@task(changes=True)
def settle(
    c: Context,
    env: str = option(ENV, required=True),
    subproject: str | None = option(SUBPROJECT, metavar="PATH"),
    deployment: str = option("deployment to ask about", required=True, metavar="ID"),
) -> Answer:
    """Find out what became of a deployment.

    For one whose answer was lost (exit code 6): says how it ended, closes it if
    its lease is long over, and makes sure that a push which never arrived can't
    arrive later.

    inv deploy.settle --env staging --deployment 20260101T120000Z-1a2b3c
    """
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.core.console import prose
    from ci_tasks.deploy.status import place
    from ci_tasks.deploy.unlock import settle as settle_deployment

    checkout = Checkout.open()
    store, tag = place(checkout, environment=env, subproject=subproject, line="deploy.settle")
    answer, code = settle_deployment(store, tag, deployment, identity=checkout.repository.identity())
    return Answer(answer, lambda: prose(answer.verdict), code)


@task(changes=True)
def review(
    c: Context,
    env: str = option(ENV, required=True),
    subproject: str | None = option(SUBPROJECT, metavar="PATH"),
    deployment: str = option("deployment that overrode a rule, or its claim", required=True, metavar="ID"),
    note: str = option("what you looked at, and found; it is recorded", required=True, metavar="TEXT"),
) -> Answer:
    """Close the review debt of an override.

    Whoever deploys or assigns with --override leaves a debt: deploy.status shows
    it with its id, until somebody has looked at it. The review is a record in
    the tag; what is live stays as it is. Where tags are signed it takes another
    signer.

    inv deploy.review --env production --deployment ID --note "all is well"
    """
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.core.console import prose
    from ci_tasks.deploy.override import stated
    from ci_tasks.deploy.render import reviewed_text
    from ci_tasks.deploy.review import review as close_debt
    from ci_tasks.deploy.status import place

    said = stated("--note", note)
    checkout = Checkout.open()
    store, tag = place(checkout, environment=env, subproject=subproject, line="deploy.review")
    answer = close_debt(checkout, store, tag, deployment, note=said, environ=os.environ)
    return Answer(answer, lambda: prose(reviewed_text(tag, answer)))
