"""What is said of a claim: who holds it, until when, and what became of one that is gone."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from ci_tasks.core.command_line import typed
from ci_tasks.core.errors import ConflictError
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag.clock import utc_now
from ci_tasks.tag.lines import options

if TYPE_CHECKING:
    from ci_tasks.tag.grammar import EnvironmentTag
    from ci_tasks.tag.model import Deployment


class ClaimHeldError(ConflictError):
    """Somebody else's deployment is running there."""


class ClaimLostError(ConflictError):
    """Our claim was broken or taken over while we worked: nothing more may be written."""


class StopAskedError(ClaimLostError):
    """Somebody asked us to stop (`deploy.unlock`); the claim is still ours to settle."""


def lease_line(record: Deployment) -> str:
    """Until when a running record holds, as a sentence; one without a lease never ends by itself."""
    if record.lease_end is None:
        return "It has no lease."
    if record.lease_end > utc_now():
        return f"Its lease ends at {record.lease_end:%Y-%m-%d %H:%M:%S} UTC unless it is renewed."
    over = record.lease_end + ledgers.TAKEOVER_GRACE
    return (
        f"Its lease ended at {record.lease_end:%Y-%m-%d %H:%M:%S} UTC without being renewed: "
        f"it can be taken over from {over:%H:%M:%S} UTC."
    )


def held_error(tag: EnvironmentTag, record: Deployment, *, retry: str) -> ClaimHeldError:
    """The error that names who holds a claim, until when, and what to type; `retry` is our own line."""
    where = f" in {record.region}" if record.region else ""
    details = [f"Deployment {record.deployment_id} of {record.version}{where}, by {record.triggered_by}."]
    if record.run is not None:
        details.append(
            f"CI run {record.run.url or record.run.id}, job {record.run.job}, attempt {record.run.attempt}."
        )
    if record.lease_end is not None:
        details.append(lease_line(record))
    details.append(
        "Try again when it is done, or ask it to stop: "
        + typed(f'deploy.unlock {options(tag)} --deployment {quote(record.deployment_id)} --reason "why"')
    )
    return ClaimHeldError(
        f"{tag} is being deployed to{where}: somebody else holds the claim.",
        unchanged="Nothing was changed and no script was run.",
        next_step=retry,
        details=details,
    )


def lost_error(tag: EnvironmentTag, state: ledgers.Ledger | None, deployment_id: str) -> ClaimLostError:
    """The error for a claim of ours that the ledger (None: there is no tag) does not have open any more."""
    return ClaimLostError(
        f"The claim {deployment_id} is gone: {_what_ended(state, deployment_id)}.",
        unchanged=f"{tag} was not moved.",
        next_step=typed(f"deploy.status {options(tag)}"),
    )


def _what_ended(state: ledgers.Ledger | None, deployment_id: str) -> str:
    if state is None:
        return "the environment tag was deleted"
    for record in state.closed:
        if record.deployment_id == deployment_id:
            return f"it was closed as {record.status.value}, {record.ended_by or 'nobody said why'}"
    return "the ledger does not hold it any more"
