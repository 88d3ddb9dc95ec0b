"""The face of the collection `report`."""

from invoke.context import Context

from ci_tasks.core.task import Answer, option, task
from ci_tasks.report.names import Format


@task(default=True)
def show(
    c: Context,
    format: Format | None = option("how to show it", choices=Format),  # noqa: A002 - the option's name
) -> Answer:
    """Show the last report.

    Reads the reports folder of this checkout; changes nothing.

    inv report.show --format markdown
    """
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.report.read import last
    from ci_tasks.report.render import rendered

    checkout = Checkout.open()
    report = last(checkout.root / checkout.settings.reports)
    return Answer(report, lambda: rendered(report, format or Format.TEXT))
