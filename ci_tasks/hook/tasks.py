"""The collection `hook`: hooks of git, in a clone and on the server."""

from invoke.context import Context

from ci_tasks.core.task import Answer, argument, flag, option, rest, task


@task(changes=True)
def install(
    c: Context,
    server: str | None = option("the bare repository that others push to, on this machine", metavar="PATH"),
    uninstall: bool = flag("take our hooks away and put back what was there"),
) -> Answer:
    """Install the hooks, here or on the server.

    Here: pre-push (tags are not moved by hand), commit-msg (Conventional
    Commits), pre-commit and pre-merge-commit (no plaintext where an encrypted
    file belongs), in the folder that git uses. With --server: an update hook
    that keeps the tags of a bare repository, and its configuration from this
    checkout's settings. A hook that is there already is kept beside ours and
    runs first.

    inv hook.install
    """
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.hook.install import install_here, install_server
    from ci_tasks.hook.render import installation_text

    checkout = Checkout.open()
    if server is None:
        answer = install_here(checkout, uninstall=uninstall)
    else:
        answer = install_server(checkout, server, uninstall=uninstall)
    return Answer(answer, lambda: installation_text(answer))


@task
def run(
    c: Context,
    name: str = argument("pre-push, commit-msg, pre-commit, pre-merge-commit or update"),
    typed_as: str | None = option("how our tasks are typed here, for what is shown", metavar="TEXT"),
    arguments: list[str] = rest("what git hands to the hook"),
) -> Answer:
    """Run a hook, as git does.

    Prints nothing where all is well; what is refused ends with exit code 3 and
    the lines to type instead. It looks at what git is about to accept: the
    index or the objects that git names. Changes nothing.

    inv hook.run commit-msg -- .git/COMMIT_EDITMSG
    """
    from ci_tasks.core.command_line import Line, speaking
    from ci_tasks.hook.run import run as run_hook

    program, _, mount = (typed_as or "inv ").rpartition(" ")
    with speaking(Line(program=program, mount=mount)):
        return Answer(run_hook(name, arguments), "")
