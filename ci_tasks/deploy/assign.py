"""Assigning a version: the tag says that it runs somewhere, and no script is run to bring it there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ci_tasks.core import console
from ci_tasks.core.command_line import typed
from ci_tasks.core.entity import Entity
from ci_tasks.core.errors import ConflictError, ExitCode, UsageError
from ci_tasks.deploy import facts as reading
from ci_tasks.deploy.ci import triggered_by
from ci_tasks.deploy.claim import held_error
from ci_tasks.deploy.model import Facts, Refusal, line_of
from ci_tasks.deploy.plan import moves_tag, notices, selected
from ci_tasks.deploy.records import new_records
from ci_tasks.deploy.rule import override
from ci_tasks.deploy.rule.rules import refusals, refuse
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag.clock import utc_now
from ci_tasks.tag.model import Commits, Deployment, region_key
from ci_tasks.tag.writer import LedgerWriter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci_tasks.core.checkout import Checkout
    from ci_tasks.deploy.facts import Reading
    from ci_tasks.deploy.model import Request
    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.model import Live


class AssignedRegion(Entity, frozen=True, kw_only=True):
    """One region of an assignment (null: the environment has none); `action` is `assign` or `skip`."""

    region: str | None
    action: str
    previous_version: str | None
    previous_commit_sha: str | None
    is_uncertain: bool


class Assignment(Entity, frozen=True, kw_only=True):
    """What `tag.assign` would write. `replaces` is the object that can't be read and is to be replaced.

    `movesTag`: nothing is to be assigned, but the environment's list of regions has changed. `signsTag`:
    nothing is to be assigned, but the tag lacks the good signature that the settings ask for. `overridden`
    are the refusals that `--override` has passed.
    """

    environment: str
    environment_tag: str
    subproject: str | None
    version: str
    version_tag: str
    commit_sha: str
    regions: list[AssignedRegion]
    replaces: str | None
    moves_tag: bool
    signs_tag: bool
    refusals: list[Refusal]
    notices: list[str]
    overridden: list[Refusal]

    @property
    def to_do(self) -> list[AssignedRegion]:
        """The regions that are to be assigned."""
        return [region for region in self.regions if region.action == "assign"]


class AssignmentAnswer(Entity, frozen=True, kw_only=True):
    """What `tag.assign --json` prints; `isSettled` says whether all regions have one version now."""

    deployments: list[Deployment]
    plan: Assignment
    is_settled: bool | None


@dataclass(frozen=True, kw_only=True)
class Result:
    """How an assignment ended."""

    document: AssignmentAnswer
    code: ExitCode = ExitCode.OK


def preview(checkout: Checkout, request: Request, *, environ: Mapping[str, str]) -> Result:
    """The plan alone (`--dry-run`); its code says whether it would be refused."""
    _require_reason(request)
    made = plan(reading.gather(checkout, request, environ=environ).facts, is_preview=True)
    code = made.refusals[0].exit_code if made.refusals else ExitCode.OK
    return Result(document=AssignmentAnswer(deployments=[], plan=made, is_settled=None), code=code)


def assign(checkout: Checkout, request: Request, *, environ: Mapping[str, str]) -> Result:
    """Record in one push that the version runs there; where the tag says so already, nothing is written.

    Raises UsageError, RefusedError for a rule, ClaimHeldError where somebody deploys there, ConflictError
    where somebody else was faster, UnknownOutcomeError where no answer comes.
    """
    _require_reason(request)
    read = reading.gather(checkout, request, environ=environ)
    made = plan(read.facts)
    refuse(made.refusals)
    if not (made.to_do or made.moves_tag or made.signs_tag):
        ledger = read.facts.environment.ledger
        settled = ledger.header.settled if ledger else None
        return Result(document=AssignmentAnswer(deployments=[], plan=made, is_settled=settled))
    written, records = _write(checkout, read, made, environ)
    return Result(
        document=AssignmentAnswer(deployments=records, plan=made, is_settled=written.header.settled)
    )


def _require_reason(request: Request) -> None:
    if request.adopt and request.reason is None:
        raise UsageError(
            "--adopt replaces what stands in the tag, so it takes a --reason, which is recorded.",
            unchanged="Nothing was changed.",
            next_step=f'{line_of(request, request.subproject)} --reason "why"',
        )


def plan(facts: Facts, *, is_preview: bool = False) -> Assignment:
    """What would be written, and every rule that speaks against it. Pure; `is_preview`: it stays a plan.

    There is no question about an older version: an assignment says what is, and not what should be.
    """
    regions = [_region(facts, region) for region in selected(facts)]
    is_needed = any(region.action == "assign" for region in regions)
    coming = [region.region for region in regions if region.action == "assign"]
    found = [*_no_adoption(facts), *refusals(facts, coming)] if is_needed else []
    standing, overridden = override.passed(facts, found)
    return Assignment(
        environment=facts.tag.environment,
        environment_tag=str(facts.tag),
        subproject=facts.tag.subproject or None,
        version=str(facts.version.tag.version),
        version_tag=str(facts.version.tag),
        commit_sha=facts.version.commit,
        regions=regions,
        replaces=facts.environment.object_id if facts.unreadable else None,
        moves_tag=not is_needed and not facts.request.regions and moves_tag(facts),
        signs_tag=not is_needed and facts.is_unsigned,
        refusals=standing,
        notices=[*notices(facts), *override.notices(facts, overridden, is_preview=is_preview)],
        overridden=overridden,
    )


def _region(facts: Facts, region: str | None) -> AssignedRegion:
    ledger = facts.ledger
    live = ledger.header.live.get(region_key(region)) if ledger else None
    skip = facts.environment.drift is None and _is_live(live, facts)
    return AssignedRegion(
        region=region,
        action="skip" if skip else "assign",
        previous_version=live.version if live else None,
        previous_commit_sha=live.commit_sha if live else None,
        is_uncertain=bool(live and live.uncertain),
    )


def _is_live(live: Live | None, facts: Facts) -> bool:
    wanted = (str(facts.version.tag.version), facts.version.commit)
    return live is not None and not live.uncertain and (live.version, live.commit_sha) == wanted


def _no_adoption(facts: Facts) -> list[Refusal]:
    if not facts.request.adopt or facts.unreadable is not None:
        return []
    tag = facts.tag
    what = f"{tag} can be read" if facts.environment.ledger else f"There is no tag {tag}"
    line = line_of(replace(facts.request, adopt=False), tag.subproject)
    return [Refusal(rule="adopt", message=f"{what}: leave --adopt out.", next_step=line)]


def _write(
    checkout: Checkout, read: Reading, made: Assignment, environ: Mapping[str, str]
) -> tuple[Ledger, list[Deployment]]:
    """Push the records; those that are in the ledger now, and the ledger."""
    facts = read.facts
    identity = checkout.repository.identity()
    commit = facts.version.commit
    records = new_records(
        facts,
        [region.region for region in made.to_do],
        concurrency_group=f"deploy-{made.environment_tag.replace('/', '-')}",
        commits=Commits(code=commit, config=commit, scripts=None, rules=facts.head, secrets=None),
        inputs=None,
        is_overridden=bool(made.overridden),
        by=triggered_by(environ, identity),
        now=utc_now(),
    )
    for notice in made.notices:
        console.note(notice)
    line = line_of(facts.request, facts.tag.subproject)
    later = line  # where there is no tag yet, the same again finds out, and keeps a late push out
    if records and facts.environment.object_id is not None:
        later = typed(f"deploy.settle {facts.options} --deployment {records[0].claim_id}")
    writer = LedgerWriter(read.store, facts.tag, identity=identity, fact=facts.environment)
    writer.update(
        lambda state: _step(facts, records, state, writer, retry=line),
        what=f"assign {made.version} in {facts.tag}",
        later=later,
        retry=line,
        pinned=[facts.version.ref],
    )
    written = writer.fact.ledger
    assert written is not None  # noqa: S101 - the step never answers with nothing
    return written, list(written.find(records[0].claim_id)) if records else []


def _step(
    facts: Facts,
    records: tuple[Deployment, ...],
    state: Ledger | None,
    writer: LedgerWriter,
    *,
    retry: str,
) -> Ledger:
    """The ledger with these records; the one that it is given where there is nothing left to say."""
    nonces = {record.nonce for record in records}
    if state is not None and any(record.nonce in nonces for record in state.closed):
        return state  # it has arrived after all
    now = utc_now()
    base = state or ledgers.empty(
        repository=facts.repository,
        subproject=facts.tag.subproject,
        environment=facts.tag.environment,
        target=facts.version.commit,
    )
    live = ledgers.observed(base, now).header.live
    left = tuple(
        record
        for record in records
        if writer.fact.drift is not None or not _is_live(live.get(region_key(record.region)), facts)
    )
    if state is not None and not left:
        return _without_records(facts, state, writer)
    _refuse_changed(facts, state, writer, retry=retry)
    regions = tuple(record.region for record in left)
    base = ledgers.close_expired(base, regions, at=now)
    held = ledgers.holders(base, regions)
    if held:
        raise held_error(facts.tag, held[0], retry=retry)
    return ledgers.assign(base, left, regions=facts.regions, at=now)


def _without_records(facts: Facts, state: Ledger, writer: LedgerWriter) -> Ledger:
    """Follow the list of regions, unless only some were named, and have the tag signed where it is not."""
    listed = state if facts.request.regions else ledgers.with_regions(state, facts.regions)
    after = ledgers.settle_target(listed)
    if after.header != state.header:
        return after
    is_as_read = writer.fact.object_id == facts.environment.object_id
    return ledgers.touched(state) if facts.is_unsigned and is_as_read else state


def _refuse_changed(facts: Facts, state: Ledger | None, writer: LedgerWriter, *, retry: str) -> None:
    """The plan was made for what the tag said then: somebody else may have said something else since."""
    planned = facts.environment
    keys = [region_key(region) for region in selected(facts)]
    same = _live(state, keys) == _live(planned.ledger, keys) and writer.fact.drift in (None, planned.drift)
    is_gone = state is None and planned.ledger is not None
    is_another = facts.unreadable is not None and writer.fact.object_id != planned.object_id
    if same and not is_gone and not is_another:
        return
    raise ConflictError(
        f"{facts.tag} changed while this assignment was being prepared: its plan does not hold any more.",
        unchanged="Nothing was changed.",
        next_step=retry,
    )


def _live(state: Ledger | None, keys: list[str]) -> list[Live | None]:
    return [state.header.live.get(key) if state else None for key in keys]
