"""Versions that were rolled back from: that one comes once more is said, and why somebody left it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_tasks.tag.names import DeploymentKind
from ci_tasks.tag.past import Past

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci_tasks.deploy.model import Facts
    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.model import Deployment

LEFT = "Rolled back from"
"""How the notice begins that has to be seen before the first script."""


def notices(facts: Facts, regions: Sequence[str | None]) -> Iterator[str]:
    """That the version was rolled back from in some of these regions; a rollback goes there on purpose."""
    ledger, version = facts.ledger, str(facts.version.tag.version)
    if ledger is None or facts.request.kind not in (DeploymentKind.DEPLOY, DeploymentKind.PROMOTE):
        return
    found: dict[str, list[str | None]] = {}
    for region in regions:
        if version in Past.of(ledger, region).left:
            found.setdefault(_reason(ledger, region, version), []).append(region)
    for reason, places in found.items():
        where = ", ".join(region for region in places if region) or facts.tag.environment
        yield f"{LEFT} before: {facts.version.tag} in {where}{f': {reason}' if reason else ''}."


def _reason(ledger: Ledger, region: str | None, version: str) -> str:
    """Why it was left: the reason of the first rollback after it."""
    left: Deployment | None = None
    for record in ledger.closed:
        if record.region == region and record.version == version:
            break
        if record.region == region and record.kind is DeploymentKind.ROLLBACK:
            left = record
    return (left.reason or "").rstrip(".") if left else ""
