"""The face of the collection `env`: what is configured where."""

from invoke.context import Context

from ci_tasks.core.errors import ExitCode
from ci_tasks.core.task import Answer, flag, option, task

SUBPROJECT = "path of the subproject, such as services/auth; . for the root"


@task(name="list")
def list_environments(_: Context, subproject: str = option(SUBPROJECT)) -> Answer:
    """List the configuration files by environment.

    Reads the `environments/` folders of the current checkout; changes nothing.

    inv env.list --subproject api
    """
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.environment.render import render_list
    from ci_tasks.environment.view import list_configurations

    listed = list_configurations(Checkout.open(), subproject)
    return Answer(listed, lambda: render_list(listed))


@task
def show(
    _: Context,
    env: str = option("environment, such as staging", required=True),
    region: str = option("region, such as us-east"),
    subproject: str = option(SUBPROJECT),
    origins: bool = flag("say which file each key is from"),
) -> Answer:
    """Show the merged configuration of an environment.

    Reads the `environments/` folders of the current checkout; changes nothing.
    Without --subproject it is the one whose folder you stand in, else the root
    project.

    inv env.show --env staging --region us-east --origins
    """
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.environment.render import render_shown
    from ci_tasks.environment.view import show_configuration

    shown = show_configuration(
        Checkout.open(), environment=env, region=region, subproject=subproject, origins=origins
    )
    return Answer(shown, lambda: render_shown(shown))


@task
def check(_: Context) -> Answer:
    """Check every configuration file and folder.

    Reads the `environments/` folders of the current checkout and of all its
    subprojects; changes nothing. Lists every problem with its file and line,
    and exits 2 if there is one.

    inv env.check
    """
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.environment.render import render_checked
    from ci_tasks.environment.view import check_configuration

    checked = check_configuration(Checkout.open())
    return Answer(
        checked, lambda: render_checked(checked), ExitCode.USAGE if checked.problems else ExitCode.OK
    )
