"""What is said of a claim: who holds it, until when, and what became of one that is gone."""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING

from ci_tasks.core.command_line import typed
from ci_tasks.core.errors import ConflictError
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag.clock import utc_now
from ci_tasks.tag.lines import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci_tasks.tag.grammar import EnvironmentTag
    from ci_tasks.tag.model import Deployment


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What a deployment with `--wait` claims with: its waiting records, and whom it has seen miss his turn.

    No records: nobody was in the way, so it never waited. `goes_first` where it is still somebody's turn that
    goes on, as when a deployment that failed is taken back.
    """

    records: tuple[Deployment, ...] = ()
    passed: frozenset[str] = frozenset()
    goes_first: bool = False


class ClaimHeldError(ConflictError):
    """Somebody else's deployment is running there, or is waited for there."""


class PlanOutdatedError(ConflictError):
    """What the plan was made for has changed: it has to be made anew."""


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


def held_error(
    tag: EnvironmentTag, record: Deployment, *, retry: str, waiting: str | None = None
) -> ClaimHeldError:
    """The error that names who holds a claim, until when, and what to type.

    `retry` is our own line, `waiting` the one that waits, where ours did not and can.
    """
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
        + typed(f'deploy.cancel {options(tag)} --deployment {quote(record.claim_id)} --reason "why"')
    )
    details += _offer(waiting)
    return ClaimHeldError(
        f"{tag} is being deployed to{where}: somebody else holds the claim.",
        unchanged="Nothing was changed and no script was run.",
        next_step=retry,
        details=details,
    )


def queued_error(
    tag: EnvironmentTag, records: Sequence[Deployment], *, retry: str, waiting: str | None = None
) -> ClaimHeldError:
    """The error that names who waits there and goes first; the lines are those of `held_error`."""
    first = records[0]
    count = len({record.claim_id for record in records})
    where = f" in {first.region}" if first.region else ""
    others = f"{count} deployments wait there, and go" if count > 1 else "a deployment waits there, and goes"
    details = [
        f"Deployment {first.deployment_id} of {first.version}{where}, by {first.triggered_by}, is the first.",
        *_offer(waiting),
        "If nobody waits there any more: "
        + typed(f"deploy.cancel {options(tag)} --deployment {quote(first.claim_id)}"),
    ]
    return ClaimHeldError(
        f"{tag} has a queue: {others} first.",
        unchanged="Nothing was changed and no script was run.",
        next_step=retry,
        details=details,
    )


def _offer(line: str | None) -> list[str]:
    return [f"To wait for your turn, 10 minutes at most: {line}"] if line else []


def lost_error(tag: EnvironmentTag, state: ledgers.Ledger | None, deployment_id: str) -> ClaimLostError:
    """The error for a claim of ours that the ledger (None: there is no tag) does not have open any more."""
    return ClaimLostError(
        f"The claim {deployment_id} is gone: {what_ended(state, deployment_id)}.",
        unchanged=f"{tag} was not moved.",
        next_step=typed(f"deploy.status {options(tag)}"),
    )


def left_error(tag: EnvironmentTag, state: ledgers.Ledger | None, deployment_id: str) -> ClaimLostError:
    """The error for a place in the queue that somebody else has taken away."""
    return ClaimLostError(
        f"{deployment_id} does not wait for {tag} any more: {what_ended(state, deployment_id)}.",
        unchanged="No script was run.",
        next_step=typed(f"deploy.status {options(tag)}"),
    )


_BY_SOMEBODY = ("cancelled: ", "cancelled by ", "unlocked: ")


def what_ended(state: ledgers.Ledger | None, deployment_id: str) -> str:
    """What became of a record, as a part of a sentence."""
    if state is None:
        return "the environment tag was deleted"
    for record in state.closed:
        if record.deployment_id == deployment_id and (record.ended_by or "").startswith(_BY_SOMEBODY):
            return f"it was {record.ended_by}"
        if record.deployment_id == deployment_id:
            return f"it was closed as {record.status.value}, {record.ended_by or 'nobody said why'}"
    return "the ledger does not hold it any more"
