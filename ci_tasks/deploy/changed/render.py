"""The plan of `deploy.plan` as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_tasks.core import console
from ci_tasks.project.render import ROOT

if TYPE_CHECKING:
    from ci_tasks.deploy.changed.change_plan import ChangePlan


def change_plan_text(plan: ChangePlan) -> str:
    """The subprojects that have changed with the reasons, dependencies first."""
    if plan.since is not None:
        since = f"since {plan.since} ({', '.join(commit[:12] for commit in plan.base_commits)})"
    else:
        since = f"since what runs in {plan.environment}"
    absent = ", ".join(name or ROOT for name in plan.without_environment)
    passed_over = (
        [console.prose(f"Passed over, as they have no {plan.environment}: {absent}.")] if absent else []
    )
    if not plan.changed:
        return "\n\n".join([console.prose(f"Nothing has changed {since}."), *passed_over])
    rows = [
        (*head, reason.message)
        for change in plan.changed
        for head, reason in zip(
            [
                (change.subproject or ROOT, change.version or "none yet"),
                *[("", "")] * (len(change.reasons) - 1),
            ],
            change.reasons,
            strict=True,
        )
    ]
    head = f"Changed {since}, dependencies first; {len(plan.unchanged)} not changed:"
    blocks = [
        console.prose(head),
        console.table(("Subproject", "Newest release", "Because"), rows),
        *(
            console.prose(f"{change.subproject or ROOT}: in no release yet. To make one: {change.next_step}")
            for change in plan.changed
            if change.next_step
        ),
        *passed_over,
    ]
    return "\n\n".join(blocks)
