"""The face of the collection `report`."""

from invoke.context import Context

from ci_tasks.core.task import Answer, option, task
from ci_tasks.report.names import Format


@task(default=True)
def show(
    c: Context,  # noqa: ARG001 - Invoke hands it to every task
    format: Format | None = option("how to show it", choices=Format),  # noqa: A002 - the option's name
) -> Answer:
    """Show the last report.

    Reads the reports folder of this checkout; changes nothing.

    inv report.show --format markdown
    """
    from ci_tasks.core.checkout import Checkout  # noqa: PLC0415 - a face starts fast
    from ci_tasks.report.read import last  # noqa: PLC0415 - likewise
    from ci_tasks.report.render import rendered  # noqa: PLC0415 - likewise

    checkout = Checkout.open()
    report = last(checkout.root / checkout.settings.reports)
    return Answer(report, lambda: rendered(report, format or Format.TEXT))
