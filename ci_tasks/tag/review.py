"""Review debt: overrides that nobody has looked at since, and the record that closes one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag.names import DeploymentKind, DeploymentStatus

if TYPE_CHECKING:
    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.model import Deployment


def answers(review: Deployment, record: Deployment) -> bool:
    """True where one record is the review of the other: it names its deployment or its whole claim."""
    return record.override is not None and review.reviews in (record.deployment_id, record.claim_id)


def debts(ledger: Ledger) -> tuple[Deployment, ...]:
    """The records with an override that no review answers, newest first; those at work are among them.

    One that was called off before a script of it started, or that waits, has passed nothing so far.
    A ledger that was read as a summary has all that this needs.
    """
    answered = {record.reviews for record in ledger.closed if record.kind is DeploymentKind.REVIEW}
    return tuple(
        record
        for record in (*reversed(ledger.open), *ledger.closed)
        if _has_passed_a_rule(record) and answered.isdisjoint((record.deployment_id, record.claim_id))
    )


def _has_passed_a_rule(record: Deployment) -> bool:
    is_called_off = record.status is DeploymentStatus.CANCELLED and not record.scripts_started
    return record.override is not None and not (is_called_off or record.status is DeploymentStatus.PENDING)


def reviewed(ledger: Ledger, review: Deployment) -> Ledger:
    """Add a closed record of kind REVIEW: it closes a debt, and what is live stays as it was."""
    state = msgspec.structs.replace(ledger, open=(*ledger.open, review))
    return ledgers.close(
        state,
        review.deployment_id,
        DeploymentStatus.SUCCESS,
        at=review.started_at,
        scripts_started=False,
    )
