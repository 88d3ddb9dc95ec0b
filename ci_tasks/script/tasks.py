"""The face of the collection `script`."""

from invoke.context import Context

from ci_tasks.core.task import Answer, argument, option, task
from ci_tasks.script.names import Category, Mode

FOLDERS = tuple(category.folder for category in Category)


@task(name="list")
def list_(
    c: Context,
    category: str | None = option("only this category", choices=FOLDERS),
    subproject: str | None = option("only what this subproject would run"),
) -> Answer:
    """List the scripts in their order.

    Reads scripts/<category>/ of the root and of the subprojects; runs nothing.

    inv script.list --category deployment
    """
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.script.command import listed
    from ci_tasks.script.render import scripts_text

    answer = listed(Checkout.open(), Category.parse(category) if category else None, subproject)
    return Answer(answer, lambda: scripts_text(answer))


@task(changes=True)
def run(
    c: Context,
    script: str = argument("<category>/<name>, such as deployment/smoke"),
    mode: Mode | None = option("how to run it; beats every variable", choices=Mode),
    subproject: str | None = option("the subproject whose own script wins over the root's"),
) -> Answer:
    """Run one script of this checkout.

    It runs in the repository's root, in the mode that the environment chooses:
    CI_<SCRIPT>_BEHAVIOR, then CI_TEST_<CATEGORY>_BEHAVIOR, then CI_TEST_MODE,
    else EXECUTE. Its output goes to stderr. Exit code 1 if it failed, 124 if it
    ran longer than it may.

    inv script.run deployment/smoke --mode DRY_RUN
    """
    import os

    from ci_tasks.core import console
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.script.command import performed, prepared
    from ci_tasks.script.render import EXIT_CODES, result_text

    checkout = Checkout.open()
    turn = prepared(checkout, script, mode=mode, subproject=subproject, environ=os.environ)
    for variable in turn.unheard:
        console.warn(f"{variable} is set, but no script and no category has that name")
    console.progress(f"{turn.script.script_id}: {turn.decision}")
    name = turn.script.script_id.partition("/")[2]
    result = performed(checkout, turn, on_line=lambda line: console.progress(f"{name} | {line}"))
    return Answer(result, lambda: result_text(result), EXIT_CODES[result.status])


@task
def check(
    c: Context,
    subproject: str | None = option("only this subproject's own scripts"),
) -> Answer:
    """Check all scripts against the rules.

    Names, order, executable bit, shebang, line ends, encoding, header, length.
    Runs nothing. Exit code 1 if something is wrong.

    inv script.check
    """
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.script.command import checked
    from ci_tasks.script.render import check_code, check_text

    report = checked(Checkout.open(), subproject)
    return Answer(report, lambda: check_text(report), check_code(report))
