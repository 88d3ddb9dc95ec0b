"""Tasks of the collection `tag` that need the rules of deployments: they stand here, and are listed there."""

import os

from invoke.context import Context

from ci_tasks.core.task import Answer, flag, option, task
from ci_tasks.deploy.tasks import ENV, OVERRIDE, SUBPROJECT


@task(changes=True)
def assign(
    c: Context,
    env: str = option(ENV, required=True),
    subproject: str | None = option(SUBPROJECT, metavar="PATH"),
    version: str = option("version that runs there", required=True),
    region: list[str] = option("region that it runs in; else all", many=True),
    reason: str | None = option("why; it is recorded", metavar="TEXT", env="CI_TASKS_REASON"),
    adopt: bool = flag("begin a new ledger in the place of one that can't be read"),
    override: str | None = option(OVERRIDE, metavar="TEXT"),
    dry_run: bool = flag("print the plan and stop"),
) -> Answer:
    """Record that a version runs somewhere.

    Writes it into the environment's tag, as a deployment does, and runs no
    script: for what runs there already, and for clusters that follow the tag.
    The rules of deployments hold, but an older version is no question. It puts
    a tag back that somebody moved by hand. The same again changes nothing.

    inv tag.assign --env staging --version v1.2.0 --reason "it ran before"
    """
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.core.console import prose
    from ci_tasks.deploy.assign import assign as assign_version
    from ci_tasks.deploy.assign import preview
    from ci_tasks.deploy.model import Request
    from ci_tasks.deploy.render import assigned_text, assignment_plan_text
    from ci_tasks.deploy.rule.override import stated
    from ci_tasks.tag.names import DeploymentKind

    request = Request(
        environment=env,
        subproject=subproject,
        version=version,
        regions=tuple(region),
        kind=DeploymentKind.ASSIGN,
        override=stated("--override", override),
        reason=stated("--reason", reason),
        adopt=adopt,
    )
    if dry_run:
        previewed = preview(Checkout.open(), request, environ=os.environ)
        plan = previewed.document.plan
        return Answer(previewed.document, lambda: assignment_plan_text(plan), previewed.code)
    result = assign_version(Checkout.open(), request, environ=os.environ)
    return Answer(result.document, lambda: prose(assigned_text(result.document)))


@task
def verify(
    c: Context,
    subproject: str | None = option("only this subproject", metavar="PATH"),
    against: str | None = option("an earlier --export to compare with", metavar="FILE"),
    export: str | None = option("write the state of all tags to this file", metavar="FILE"),
) -> Answer:
    """Audit all tags of the remote.

    Looks at what each tag is, at the ledgers and their chains, at review debts
    and at the signatures that the rules ask for. Exits with 3 where something is
    wrong; dates and foreign names are no errors. With --against, immutable tags
    must be what they were and ledgers must go on from there; --export then
    writes the file anew, unless they do not. Changes nothing on the remote. Made
    to run on a schedule.

    inv tag.verify --against tags.json --export tags.json
    """
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.core.console import prose
    from ci_tasks.core.errors import ExitCode
    from ci_tasks.deploy.audit.verify import AuditRequest
    from ci_tasks.deploy.audit.verify import verify as verify_tags
    from ci_tasks.tag.audit.audit_text import audit_text
    from ci_tasks.tag.clock import utc_now

    request = AuditRequest(subproject=subproject, against=against, export=export)
    audit = verify_tags(Checkout.open(), request, now=utc_now())
    code = ExitCode.REFUSED if audit.has_errors else ExitCode.OK
    return Answer(audit, lambda: prose(audit_text(audit)), code)
