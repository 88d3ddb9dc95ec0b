"""Ending another's claim, and finding out what became of a deployment whose answer was lost."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ci_tasks.core.command_line import typed
from ci_tasks.core.entity import Entity
from ci_tasks.core.errors import ExitCode, UnknownOutcomeError, UsageError
from ci_tasks.deploy.claim import lease_line
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag.clock import utc_now
from ci_tasks.tag.limits import shortened
from ci_tasks.tag.lines import history_line, options
from ci_tasks.tag.model import Deployment
from ci_tasks.tag.names import DeploymentStatus
from ci_tasks.tag.writer import LedgerWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci_tasks.core.git.repository import Identity
    from ci_tasks.tag.grammar import EnvironmentTag
    from ci_tasks.tag.store import TagStore


IDENTIFIER = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}(\.[a-z0-9-]+)?")
"""A deployment's id, or that of its claim."""


class RecordsAnswer(Entity, frozen=True, kw_only=True):
    """What `deploy.history`, `deploy.unlock` and `deploy.cancel` print as JSON."""

    deployments: list[Deployment]


def unlock(
    store: TagStore,
    tag: EnvironmentTag,
    identifier: str,
    *,
    reason: str,
    now: bool,
    identity: Identity,
) -> list[Deployment]:
    """Ask the owner of a claim to stop, or (`now`) break the claim at once; returns the records.

    Who is asked stops as a whole, whichever of his records was named; `now` ends the named ones alone.
    One who only waits is taken out of the queue at once. Raises UsageError where no open record has that id.
    """
    line = typed(f'deploy.unlock {options(tag)} --deployment {identifier} --reason "why"')
    return _end(store, tag, identifier, verb="unlock", why=reason, now=now, identity=identity, line=line)


def cancel(
    store: TagStore, tag: EnvironmentTag, identifier: str, *, reason: str | None, identity: Identity
) -> list[Deployment]:
    """Ask a running deployment to stop, or take a waiting one out of the queue; returns the records.

    That is the whole claim, whichever of its records was named.
    Raises UsageError where no open record has that id.
    """
    line = typed(f"deploy.cancel {options(tag)} --deployment {identifier}")
    return _end(store, tag, identifier, verb="cancel", why=reason, now=False, identity=identity, line=line)


def _end(
    store: TagStore,
    tag: EnvironmentTag,
    identifier: str,
    *,
    verb: str,
    why: str | None,
    now: bool,
    identity: Identity,
    line: str,
) -> list[Deployment]:
    done, who = "cancelled" if verb == "cancel" else "unlocked", shortened(identity.name, 80)
    words = f"{shortened(why, 200)} ({who})" if why else f"{who} gave no reason"
    ended_by = f"{done}: {words}" if why else f"{done} by {who}"
    is_again = False

    def asked(state: ledgers.Ledger | None) -> ledgers.Ledger:
        nonlocal is_again
        if is_again and state is not None and _has_come(state.find(identifier), ended_by, words):
            return state  # a push of ours arrived although its answer was lost, and somebody wrote after it
        is_again = True
        named = _open_records(state, tag, identifier)
        assert state is not None  # noqa: S101 - _open_records raises for None
        claims = {record.claim_id for record in named}
        records = named if now else [record for record in state.open if record.claim_id in claims]
        for record in records:
            if now or record.status is DeploymentStatus.PENDING:
                # Its scripts may still be running, and nobody will tell: the region is uncertain.
                state = ledgers.close(
                    state,
                    record.deployment_id,
                    DeploymentStatus.CANCELLED,
                    at=utc_now(),
                    ended_by=ended_by,
                    scripts_started=record.status is DeploymentStatus.RUNNING,
                )
            else:
                state = ledgers.change(state, record.deployment_id, stop_requested=words)
        return state

    writer = LedgerWriter(store, tag, identity=identity)
    writer.update(asked, what=f"{verb} {identifier}", later=history_line(tag), retry=line)
    if writer.fact.ledger is None:
        return []
    found = list(writer.fact.ledger.find(identifier))
    return found if now or not found else list(writer.fact.ledger.find(found[0].claim_id))


def _has_come(found: Sequence[Deployment], ended_by: str, words: str) -> bool:
    """True where these records tell of this very wish."""
    return any(record.ended_by == ended_by or record.stop_requested == words for record in found)


def _open_records(state: ledgers.Ledger | None, tag: EnvironmentTag, identifier: str) -> list[Deployment]:
    records = [record for record in (state.find(identifier) if state else ()) if record.status.is_open]
    if not records:
        there = [
            f"{record.deployment_id} {'waits' if record.status is DeploymentStatus.PENDING else 'is running'}"
            for record in (state.open if state else ())
        ]
        raise UsageError(
            f"{identifier} is neither running nor waiting in {tag}.",
            unchanged="Nothing was changed.",
            details=[
                f"There: {', '.join(there)}." if there else "Nothing is running there, and nobody waits."
            ],
            next_step=history_line(tag),
        )
    return records


class Settlement(Entity, frozen=True, kw_only=True):
    """What `deploy.settle` found out; `verdict` is a sentence."""

    deployments: list[Deployment]
    verdict: str


def settle(
    store: TagStore, tag: EnvironmentTag, identifier: str, *, identity: Identity
) -> tuple[Settlement, ExitCode]:
    """What became of a deployment. A claim whose lease is long over is closed; a late push is locked out.

    A deployment that the ledger does not know may still arrive, pushed by a server that is slow. One more
    move of the tag makes its lease fail for good: then nothing of it was, or will be, recorded.
    Raises UsageError for what is no id, UnknownOutcomeError where there is no tag that could be moved.
    """
    writer = LedgerWriter(store, tag, identity=identity)
    line = typed(f"deploy.settle {options(tag)} --deployment {identifier}")

    def over(state: ledgers.Ledger | None) -> ledgers.Ledger:
        if state is None:
            raise UnknownOutcomeError(
                f"There is no tag {tag}: nothing of {identifier} was recorded so far; it may still arrive.",
                unchanged="Nothing was changed: there is no tag yet that could keep it out.",
                details=[
                    "If it stays so, type the line of that deployment or assignment again: it makes the tag,",
                    "or finds it made. What arrives after that is kept out.",
                ],
                next_step=line,
            )
        found = state.find(identifier)
        if not found:
            return ledgers.touched(state)
        now = utc_now()
        for record in found:
            if record.status.is_open and ledgers.is_expired(record, now):
                is_running = record.status is DeploymentStatus.RUNNING
                what = "lease" if is_running else "wait"
                state = ledgers.close(
                    state,
                    record.deployment_id,
                    DeploymentStatus.CANCELLED,
                    at=now,
                    ended_by=f"settled by {shortened(identity.name, 80)}: its {what} was over",
                    scripts_started=is_running,
                )
        return state

    if not IDENTIFIER.fullmatch(identifier):
        raise UsageError(
            f"{identifier[:60]!r} is not a deployment's id: one is like 20260102T030405Z-1a2b3c.",
            unchanged="Nothing was changed.",
            next_step=typed(f"deploy.history {options(tag)}"),
        )
    writer.update(over, what=f"settle {identifier}", later=line, retry=line)
    found = list(writer.fact.ledger.find(identifier)) if writer.fact.ledger else []
    return Settlement(deployments=found, verdict=_verdict(tag, identifier, found)), _code(found)


def _verdict(tag: EnvironmentTag, identifier: str, found: list[Deployment]) -> str:
    if not found:
        return (
            f"{identifier} never reached {tag}, and can't any more: nothing of it was recorded. Deploy again."
        )
    waiting = [record for record in found if record.status is DeploymentStatus.PENDING]
    if waiting:
        return f"{identifier} waits in the queue of {tag}: none of its scripts has run."
    running = [record for record in found if record.status.is_open]
    if running:
        return f"{identifier} still holds its claim on {tag}. {lease_line(running[0])}"
    states = {record.status for record in found}
    if states == {DeploymentStatus.SUCCESS}:
        return f"{identifier} succeeded and is recorded in {tag}."
    return f"{identifier} is closed: " + ", ".join(
        f"{record.region or tag.environment} {record.status.value}" for record in found
    )


def _code(found: list[Deployment]) -> ExitCode:
    states = {record.status for record in found}
    if any(state.is_open for state in states):
        return ExitCode.CONFLICT
    if DeploymentStatus.SUCCESS in states:
        return ExitCode.OK if len(states) == 1 else ExitCode.PARTIAL
    return ExitCode.FAILED
