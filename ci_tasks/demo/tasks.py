"""The task `demo`."""

from invoke.context import Context

from ci_tasks.core.task import Answer, flag, task


@task
def demo(
    c: Context,
    keep: bool = flag("leave the demo's folder, to look around in it"),
) -> Answer:
    """Show a deployment from the version to the tag.

    Makes a small monorepo and its remote in a temporary folder, and types the
    everyday lines in it. Exits with 0 only if every step did what it should.
    Your repository and your git configuration are neither read nor changed.

    inv demo --keep
    """
    from ci_tasks.core import console
    from ci_tasks.demo.play import ending, play

    answer = play(keep=keep, say=console.progress)
    return Answer(answer, lambda: ending(answer))
