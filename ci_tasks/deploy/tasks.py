"""The collection `deploy`: bringing versions into environments, and seeing what runs where."""

import os

from invoke.context import Context

from ci_tasks.core.task import Answer, flag, option, task

ENV = "environment, such as staging"
SUBPROJECT = "subproject, . for the root; else the one whose folder you stand in"
WAIT = "wait in the queue where somebody deploys already, so long at most"
LABEL = "label that the rule freeze lets pass, such as hotfix"
OVERRIDE = "why to pass a rule on states, soaks, freezes, protection and the like; recorded, to be reviewed"


@task(default=True, changes=True)
def run(
    c: Context,
    env: str = option(ENV, required=True),
    subproject: str | None = option(SUBPROJECT, metavar="PATH"),
    version: str | None = option("version to deploy; else the newest release"),
    region: list[str] = option("region to deploy to; else all", many=True),
    parallel: bool = flag("all regions side by side"),
    sequential: bool = flag("one region after the other, whatever the rule strategy says"),
    keep_going: bool = flag("go on with the other regions where one fails"),
    again: bool = flag("deploy even what is live already"),
    dry_run: bool = flag("print the plan and stop"),
    yes: bool = flag("deploy without the question, if it is older than what is live"),
    wait: str | None = option(WAIT, metavar="MINUTES"),
    label: list[str] = option(LABEL, many=True),
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
    from ci_tasks.deploy.queue.wait import wait_seconds
    from ci_tasks.deploy.render import plan_text, result_text
    from ci_tasks.deploy.rule.labels import labelled
    from ci_tasks.deploy.rule.override import stated

    request = Request(
        environment=env,
        subproject=subproject,
        version=version,
        regions=tuple(region),
        parallel=parallel,
        sequential=sequential,
        keep_going=keep_going,
        again=again,
        yes=yes,
        wait=wait_seconds(wait),
        labels=labelled(label),
        override=stated("--override", override),
    )
    if dry_run:
        previewed = preview(Checkout.open(), request, environ=os.environ)
        return Answer(previewed.document, lambda: plan_text(previewed.plan), previewed.code)
    result = deploy(Checkout.open(), request, environ=os.environ)
    return Answer(result.document, lambda: result_text(result), result.code)


@task(changes=True)
def rollback(
    c: Context,
    env: str = option(ENV, required=True),
    subproject: str | None = option(SUBPROJECT, metavar="PATH"),
    region: list[str] = option("region to go back in; else all that have the newest version", many=True),
    to: str | None = option("version to go back to; else what ran before", metavar="VERSION"),
    reason: str | None = option("why; it is recorded", metavar="TEXT", env="CI_TASKS_REASON"),
    dry_run: bool = flag("print the plan and stop"),
    override: str | None = option(OVERRIDE, metavar="TEXT"),
) -> Answer:
    """Go back to what ran before.

    Deploys, with today's scripts, the version that ran before in each region:
    after an attempt that broke off the last one that succeeded, else an earlier
    one, stable ones first. Says why each other version was passed over. What was
    rolled back from is not chosen again until somebody deploys it again.

    inv deploy.rollback --env staging --subproject api --dry-run
    """
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.deploy.model import Request
    from ci_tasks.deploy.rollout.render import rollback_plan_text, rollout_text
    from ci_tasks.deploy.rollout.rollback import preview
    from ci_tasks.deploy.rollout.rollback import rollback as go_back
    from ci_tasks.deploy.rule.override import stated
    from ci_tasks.tag.names import DeploymentKind

    request = Request(
        environment=env,
        subproject=subproject,
        version=to,
        regions=tuple(region),
        kind=DeploymentKind.ROLLBACK,
        reason=stated("--reason", reason),
        override=stated("--override", override),
    )
    if dry_run:
        previewed = preview(Checkout.open(), request, environ=os.environ)
        return Answer(previewed.document, lambda: rollback_plan_text(previewed), previewed.code)
    done = go_back(Checkout.open(), request, environ=os.environ)
    return Answer(done.document, lambda: rollout_text(done), done.code)


@task
def plan(
    c: Context,
    changed_since: str | None = option("tag, branch or commit to compare with", metavar="REF"),
    env: str | None = option("environment to deploy to; without a REF, compare with what runs there"),
    matrix: bool = flag("print a matrix for GitHub Actions in one line, and nothing else"),
) -> Answer:
    """Find what has to be deployed.

    Compares the commit that is checked out with the one where it parted from
    REF, or with what runs in the environment: subprojects with changes of their
    own or of a dependency, and those where it is not certain what runs. Changes
    nothing. --matrix takes 256 subprojects at most.

    inv deploy.plan --env staging --matrix
    """
    from ci_tasks.core import console
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.deploy.changed.change_plan import change_plan, matrix_line
    from ci_tasks.deploy.changed.render import change_plan_text
    from ci_tasks.project.render import uncommitted_note

    answer = change_plan(Checkout.open(), since=changed_since, environment=env)
    note = uncommitted_note(answer.uncommitted)
    if note:
        console.note(note)
    return Answer(answer, matrix_line(answer) if matrix else lambda: change_plan_text(answer))


@task(changes=True)
def promote(
    c: Context,
    from_: str = option("environment whose version is taken, such as staging", required=True, metavar="ENV"),
    to: str = option("environment that it goes to, such as production", required=True, metavar="ENV"),
    subproject: list[str] = option(SUBPROJECT, many=True, metavar="PATH"),
    all_: bool = flag("every subproject in which the two differ"),
    region: list[str] = option("region to deploy to; else all", many=True),
    wait: str | None = option(WAIT, metavar="MINUTES"),
    label: list[str] = option(LABEL, many=True),
    again: bool = flag("deploy even what is live already"),
    dry_run: bool = flag("print the plan and stop"),
    yes: bool = flag("deploy without the question, if it is older than what is live"),
    override: str | None = option(OVERRIDE, metavar="TEXT"),
) -> Answer:
    """Deploy what runs in another environment.

    Takes the version that all regions of one environment have for certain, and
    deploys it to another one. Several subprojects are one plan: refused as a
    whole, then deployed one after the other, dependencies first. After a failure
    only those go on that do not depend on it.

    inv deploy.promote --from staging --to production --subproject api --dry-run
    """
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.deploy.model import Request
    from ci_tasks.deploy.queue.wait import wait_seconds
    from ci_tasks.deploy.rollout.promote import Promotion, preview
    from ci_tasks.deploy.rollout.promote import promote as bring
    from ci_tasks.deploy.rollout.render import promotion_plan_text, rollout_text
    from ci_tasks.deploy.rule.labels import labelled
    from ci_tasks.deploy.rule.override import stated
    from ci_tasks.tag.names import DeploymentKind

    request = Request(
        environment=to,
        source=from_,
        regions=tuple(region),
        again=again,
        yes=yes,
        kind=DeploymentKind.PROMOTE,
        wait=wait_seconds(wait),
        labels=labelled(label),
        override=stated("--override", override),
    )
    promotion = Promotion(request=request, subprojects=tuple(subproject), everything=all_)
    if dry_run:
        previewed = preview(Checkout.open(), promotion, environ=os.environ)
        return Answer(previewed.document, lambda: promotion_plan_text(previewed), previewed.code)
    done = bring(Checkout.open(), promotion, environ=os.environ)
    return Answer(done.document, lambda: rollout_text(done), done.code)


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
def diff(
    c: Context,
    env: str = option(ENV, required=True),
    subproject: str | None = option(SUBPROJECT, metavar="PATH"),
    to: str | None = option("version that would come", metavar="VERSION"),
    with_: str | None = option("environment whose version would come", metavar="ENV"),
) -> Answer:
    """Show what a deployment would change.

    Commits that touch the subproject and would come (+) or go (-), values of the
    configuration in each region, and what the checkout has otherwise than the
    last deployment: scripts, and keys of encrypted files. Shows no secret.

    inv deploy.diff --env production --subproject api --with staging
    """
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.deploy.diff.difference import difference
    from ci_tasks.deploy.diff.render import difference_text

    answer = difference(Checkout.open(), environment=env, subproject=subproject, to=to, source=with_)
    return Answer(answer, lambda: difference_text(answer))


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
    """Break a deployment's claim, or ask it to stop.

    Without --now its owner is asked, as by deploy.cancel: it sees that within 15
    seconds, ends its scripts and records CANCELLED. With --now the claim is
    broken at once, and the region counts as uncertain: nobody ends the scripts.

    inv deploy.unlock --env staging --deployment ID --reason "wrong build"
    """
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.core.console import prose
    from ci_tasks.deploy.render import stopped_text
    from ci_tasks.deploy.status import place
    from ci_tasks.deploy.unlock import RecordsAnswer
    from ci_tasks.deploy.unlock import unlock as unlock_claim

    checkout = Checkout.open()
    store, tag = place(checkout, environment=env, subproject=subproject, line="deploy.unlock")
    records = unlock_claim(
        store, tag, deployment, reason=reason, now=now, identity=checkout.repository.identity()
    )
    answer = RecordsAnswer(deployments=records)
    named = deployment if now else records[0].claim_id
    return Answer(answer, lambda: prose(stopped_text(tag, named, records, broken=now)))


@task(changes=True)
def cancel(
    c: Context,
    env: str = option(ENV, required=True),
    subproject: str | None = option(SUBPROJECT, metavar="PATH"),
    deployment: str = option("deployment to stop, running or waiting", required=True, metavar="ID"),
    reason: str | None = option("why; it is recorded", metavar="TEXT", env="CI_TASKS_REASON"),
) -> Answer:
    """Call off a deployment that runs or waits.

    One that runs is asked to stop: its owner sees it when it next looks at the
    tag (within 15 seconds), ends its scripts and records CANCELLED. One that
    waits in the queue is taken out of it at once.

    inv deploy.cancel --env staging --deployment ID --reason "wrong version"
    """
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.core.console import prose
    from ci_tasks.deploy.render import stopped_text
    from ci_tasks.deploy.status import place
    from ci_tasks.deploy.unlock import RecordsAnswer
    from ci_tasks.deploy.unlock import cancel as call_off

    checkout = Checkout.open()
    store, tag = place(checkout, environment=env, subproject=subproject, line="deploy.cancel")
    records = call_off(store, tag, deployment, reason=reason, identity=checkout.repository.identity())
    answer = RecordsAnswer(deployments=records)
    return Answer(answer, lambda: prose(stopped_text(tag, records[0].claim_id, records, broken=False)))


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
    from ci_tasks.deploy.render import reviewed_text
    from ci_tasks.deploy.review import review as close_debt
    from ci_tasks.deploy.rule.override import stated
    from ci_tasks.deploy.status import place

    said = stated("--note", note)
    checkout = Checkout.open()
    store, tag = place(checkout, environment=env, subproject=subproject, line="deploy.review")
    answer = close_debt(checkout, store, tag, deployment, note=said, environ=os.environ)
    return Answer(answer, lambda: prose(reviewed_text(tag, answer)))
