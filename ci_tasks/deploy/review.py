"""Closing a review debt: somebody has looked at what an override did, and says so in the tag."""

from __future__ import annotations

import secrets
import socket
from shlex import quote
from typing import TYPE_CHECKING

from ci_tasks.core.command_line import typed
from ci_tasks.core.entity import Entity
from ci_tasks.core.errors import ConflictError, RefusedError, UsageError
from ci_tasks.core.signing import AllowedSigners, SigningFormat
from ci_tasks.deploy.ci import current_run, triggered_by
from ci_tasks.deploy.model import review_line
from ci_tasks.deploy.records import new_claim_id
from ci_tasks.deploy.rule.override import signed_by
from ci_tasks.tag import review as reviews
from ci_tasks.tag.clock import utc_now
from ci_tasks.tag.limits import fitted
from ci_tasks.tag.lines import options
from ci_tasks.tag.model import Deployment
from ci_tasks.tag.names import DeploymentKind, DeploymentStatus
from ci_tasks.tag.writer import LedgerWriter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci_tasks.core.checkout import Checkout
    from ci_tasks.tag.grammar import EnvironmentTag
    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.store import TagStore


class ReviewAnswer(Entity, frozen=True, kw_only=True):
    """What `deploy.review --json` prints.

    `review` is the record that closes the debt; `closed` says whether it was written now, and `isOwn` whether
    the reviewer has overridden the rule himself.
    """

    review: Deployment
    closed: bool
    is_own: bool


def review(
    checkout: Checkout,
    store: TagStore,
    tag: EnvironmentTag,
    identifier: str,
    *,
    note: str | None,
    environ: Mapping[str, str],
) -> ReviewAnswer:
    """Close the debt of a deployment, or of all regions of a claim, with one record.

    What is closed already stays as it is. Raises UsageError where there is no such override, RefusedError
    where tags are signed and the signature is not good or that of the override, ConflictError while the
    deployment is running.
    """
    if note is None:
        raise UsageError("--note says nothing: write down what you have looked at, and found.")
    identity = checkout.repository.identity()
    writer = LedgerWriter(store, tag, identity=identity)
    found, waiting = _overridden(writer.fact.ledger, tag, identifier)
    if waiting:
        _require_another_signer(checkout, waiting, line=review_line(tag, identifier, note))
    who = triggered_by(environ, identity)
    record = fitted(_record(found, identifier, note=note, who=who, environ=environ))

    def closed(state: Ledger | None) -> Ledger:
        _, waiting = _overridden(state, tag, identifier)
        assert state is not None  # noqa: S101 - _overridden raises for None
        return reviews.reviewed(state, record) if waiting else state

    line = review_line(tag, identifier, note)
    writer.update(closed, what=f"record the review in {tag}", later=line, retry=line)
    assert writer.fact.ledger is not None  # noqa: S101 - the step raises for None
    written = next(
        other for other in writer.fact.ledger.closed if any(reviews.answers(other, one) for one in found)
    )
    return ReviewAnswer(
        review=written,
        closed=written.nonce == record.nonce,
        is_own=any(_is_own(checkout, one, written) for one in found),
    )


def _is_own(checkout: Checkout, overridden: Deployment, review: Deployment) -> bool:
    """Whether one person did both: a name is anybody's to set, so signers are compared where there are some.

    Where tags are signed, that they differ was required before the review was written.
    """
    signer = overridden.override.signer if overridden.override else None
    if signer is not None and checkout.settings.sign is not SigningFormat.NONE:
        return False
    return overridden.triggered_by == review.triggered_by


def _record(
    found: Sequence[Deployment], identifier: str, *, note: str, who: str, environ: Mapping[str, str]
) -> Deployment:
    """The record of the review: about one region, or about all of a claim."""
    now = utc_now()
    claim_id = new_claim_id(now)
    first = found[0]
    region = first.region if identifier == first.deployment_id else None
    return Deployment(
        deployment_id=f"{claim_id}.{region}" if region else claim_id,
        version=first.version,
        subproject=first.subproject,
        environment=first.environment,
        region=region,
        status=DeploymentStatus.RUNNING,
        started_at=now,
        completed_at=None,
        triggered_by=who,
        commit_sha=first.commit_sha,
        concurrency_group=first.concurrency_group,
        claim_id=claim_id,
        nonce=secrets.token_hex(16),
        kind=DeploymentKind.REVIEW,
        reason=note,
        run=current_run(environ),
        host=socket.gethostname(),
        reviews=identifier,
    )


def _overridden(
    state: Ledger | None, tag: EnvironmentTag, identifier: str
) -> tuple[list[Deployment], list[Deployment]]:
    """The records with an override of that id, and those of them that no review answers yet."""
    open_debts = reviews.debts(state) if state else ()
    named = state.find(identifier) if state else ()
    found = [record for record in named if record.override is not None]
    if not found:
        raise _nothing_there(tag, identifier, open_debts, is_known=bool(named))
    waiting = [record for record in open_debts if identifier in (record.deployment_id, record.claim_id)]
    running = [record for record in waiting if record.status.is_open]
    if running:
        raise ConflictError(
            f"{running[0].deployment_id} is still running: there is something to review when it has ended.",
            unchanged="Nothing was changed.",
            next_step=typed(f"deploy.status {options(tag)}"),
        )
    return found, waiting


def _nothing_there(
    tag: EnvironmentTag, identifier: str, open_debts: Sequence[Deployment], *, is_known: bool
) -> UsageError:
    what = f"{identifier} overrode no rule" if is_known else f"{tag} has no deployment {identifier[:60]!r}"
    details = [
        f"{record.deployment_id} of {record.version} by {record.triggered_by}: {record.override.reason}"
        for record in open_debts
        if record.override is not None
    ]
    return UsageError(
        f"{what}, so there is nothing to review.",
        unchanged="Nothing was changed.",
        details=["Waiting for a review:", *details] if details else ["Nothing there waits for a review."],
        next_step=(
            review_line(tag, open_debts[0].claim_id)
            if open_debts
            else typed(f"deploy.history {options(tag)}")
        ),
    )


def _require_another_signer(checkout: Checkout, waiting: Sequence[Deployment], *, line: str) -> None:
    """Where tags are signed, a review is that of a known signer other than the one who overrode.

    `line` is what such a one types.
    """
    settings = checkout.settings
    if settings.sign is SigningFormat.NONE:
        return
    allowed = AllowedSigners.read(checkout.root, settings.allowed_signers)
    signature = checkout.origin.own_signature(allowed)
    overrode = {record.override.signer for record in waiting if record.override is not None}
    if signature.is_good and signature.signer not in overrode:
        return
    is_the_same = ", which is that of the override itself" if signature.is_good else ""
    others = [name for name in _signers(allowed) if name not in overrode]
    asked = [f"Ask one of these to type the line: {', '.join(others)}."] if others else []
    raise RefusedError(
        f"A review takes another signature than the override, and {signed_by(signature)}{is_the_same}.",
        unchanged="Nothing was changed.",
        details=["Rule: review.", *asked],
        next_step=line if signature.is_good and others else f"cat {quote(settings.allowed_signers)}",
    )


def _signers(allowed: AllowedSigners) -> list[str]:
    """The names in the list of ssh keys that may sign (ssh-keygen(1), ALLOWED SIGNERS)."""
    lines = (line.split() for line in allowed.ssh.decode("utf-8", "replace").splitlines())
    firsts = (words[0].strip('"') for words in lines if words and not words[0].startswith("#"))
    return list(dict.fromkeys(name for first in firsts for name in first.split(",") if name))
