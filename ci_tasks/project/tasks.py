"""The face of the collection `project`."""

from invoke.context import Context

from ci_tasks.core.task import Answer, option, task


@task(name="list")
def list_(c: Context) -> Answer:
    """List the subprojects.

    Their newest versions, what each depends on (dependsOn in ci_tasks.yaml),
    and the environments that they run in. Reads the tags of the remote; changes
    nothing.

    inv project.list
    """
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.project.projects import listed
    from ci_tasks.project.render import projects_text

    answer = listed(Checkout.open())
    return Answer(answer, lambda: projects_text(answer))


@task
def changed(
    c: Context,
    since: str = option("tag, branch or commit to compare with", required=True, metavar="REF"),
) -> Answer:
    """List what has changed since a ref.

    Compares the commit that is checked out with the one where it parted from
    REF. A change of a dependency changes what depends on it; scripts/,
    environments/, ci_tasks.yaml and tasks.py in the root change everything.
    Changes nothing.

    inv project.changed --since origin/main
    """
    from ci_tasks.core import console
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.project.changed import changed_since
    from ci_tasks.project.render import changed_text, uncommitted_note

    answer = changed_since(Checkout.open(), since)
    note = uncommitted_note(answer.uncommitted)
    if note:
        console.note(note)
    return Answer(answer, lambda: changed_text(answer))
