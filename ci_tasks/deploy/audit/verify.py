"""The audit of all tags: what `tag.verify` reads, in which order, and what it writes down."""

from __future__ import annotations

from dataclasses import dataclass, field
from shlex import quote
from typing import TYPE_CHECKING

from ci_tasks.core.command_line import typed
from ci_tasks.core.errors import UsageError
from ci_tasks.core.git.rereading import until_still
from ci_tasks.deploy.audit.signature_audit import SignatureAudit
from ci_tasks.tag import subproject as subprojects
from ci_tasks.tag import tag_object
from ci_tasks.tag.annotation import UnreadableLedgerError
from ci_tasks.tag.audit import export as exports
from ci_tasks.tag.audit.audit import immutable_findings, name_findings
from ci_tasks.tag.audit.finding import Audit, Finding, FindingKind, Severity, finding
from ci_tasks.tag.audit.ledger_audit import environment_findings, form_findings
from ci_tasks.tag.grammar import EnvironmentTag, Grammar
from ci_tasks.tag.lines import history_line
from ci_tasks.tag.names import TagType
from ci_tasks.tag.store import TagStore

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from ci_tasks.core.checkout import Checkout
    from ci_tasks.core.git.origin import RemoteRef
    from ci_tasks.tag.audit.export import Export
    from ci_tasks.tag.grammar import StateTag, VersionTag
    from ci_tasks.tag.listing import Listing


@dataclass(frozen=True, kw_only=True)
class AuditRequest:
    """What was typed: the subproject, the file to compare with, and the one to write."""

    subproject: str | None = None
    against: str | None = None
    export: str | None = None


@dataclass(kw_only=True)
class _Reading:
    """What one reading of the remote gave: `gaps` and `newest` are of the ledgers that can be read.

    `unsigned` are findings about tags that an export may vouch for.
    """

    listing: Listing
    immutable: list[tuple[VersionTag | StateTag, RemoteRef]] = field(default_factory=list)
    environments: list[EnvironmentTag] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    unsigned: list[Finding] = field(default_factory=list)
    newest: dict[str, exports.NewestRecord] = field(default_factory=dict)
    gaps: dict[str, str | None] = field(default_factory=dict)


def verify(checkout: Checkout, request: AuditRequest, *, now: datetime) -> Audit:
    """Look at every tag, or at those of one subproject; nothing on the remote is changed.

    The export is written unless the comparison finds an error: so the file stays the witness of what was
    there before. Raises UsageError for a file that is none of ours.
    """
    grammar = Grammar(checkout.settings.environments)
    store = TagStore(checkout.origin, grammar)
    wanted = grammar.subproject(request.subproject) if request.subproject is not None else None
    before = _before(checkout.folder, request, wanted)
    reading = _current(checkout, store, wanted, before, now)
    changed = reading.unsigned
    if before is not None and request.against is not None:
        changed += exports.changes(
            before, reading.listing, reading.gaps, subproject=wanted, file=request.against
        )
    exported = None
    is_as_before = before is None or not any(found.severity is Severity.ERROR for found in changed)
    if request.export is not None and is_as_before:
        taken = exports.taken(
            repository=checkout.origin.address,
            subproject=wanted,
            at=now,
            immutable=reading.immutable,
            newest=reading.newest,
        )
        exports.write(checkout.folder / request.export, taken)
        exported = request.export
    findings = [*reading.findings, *changed]
    findings.sort(key=lambda found: (found.severity is not Severity.ERROR, found.tag_name, found.kind.value))
    states = sum(tag.tag_type is TagType.STATE for tag, _ in reading.immutable)
    return Audit(
        versions=len(reading.immutable) - states,
        states=states,
        environments=len(reading.environments),
        findings=findings,
        foreign=sorted(reading.foreign),
        against=request.against if before is not None else None,
        exported=exported,
    )


def _before(folder: Path, request: AuditRequest, wanted: str | None) -> Export | None:
    """The export to compare with; none yet where the same file is to be written for the first time."""
    if request.export is not None:
        _refuse_narrower(request.export, exports.replaced(folder / request.export), wanted)
    if request.against is None:
        return None
    path = folder / request.against
    if request.against == request.export and not path.exists():
        return None
    return exports.read(path)


def _refuse_narrower(file: str, replaced: Export | None, wanted: str | None) -> None:
    """An export of one subproject in place of one of all would forget the others."""
    if replaced is None or wanted is None or replaced.subproject == wanted:
        return
    raise UsageError(
        f"{file} has the tags of {replaced.subproject or 'all subprojects'}, not of {wanted} alone.",
        unchanged="Nothing was changed.",
        next_step=typed(f"tag.verify --against {quote(file)} --subproject {wanted}"),
    )


def _current(
    checkout: Checkout, store: TagStore, subproject: str | None, before: Export | None, now: datetime
) -> _Reading:
    """The remote as it is now; where a tag moves between its listing and its reading, all is read again."""
    return until_still(lambda: _once(checkout, store, subproject, before, now))


def _once(
    checkout: Checkout, store: TagStore, subproject: str | None, before: Export | None, now: datetime
) -> _Reading:
    listing = store.listing(subproject)
    reading = _Reading(listing=listing)
    if subproject and not listing.refs:
        subprojects.checked(subproject, checkout=checkout, grammar=store.grammar, listing=store.listing())
    for name, ref in listing.refs.items():
        tag = store.grammar.read(name)
        if tag is None:
            reading.foreign.append(name)
        elif subproject in {None, tag.subproject}:
            if isinstance(tag, EnvironmentTag):
                reading.environments.append(tag)
            else:
                reading.immutable.append((tag, ref))
    refs = [ref for _, ref in reading.immutable] + [listing.refs[str(tag)] for tag in reading.environments]
    objects = store.objects([ref for ref in refs if ref.peeled])
    reading.findings += immutable_findings(reading.immutable, listing, objects, now=now)
    known = subprojects.known(checkout, store.grammar)
    reading.findings += name_findings(reading.foreign, listing, known)
    signatures = SignatureAudit(checkout, listing)
    for tag in reading.environments:
        try:
            fact = store.environment_of(tag, listing.refs[str(tag)], objects, listing=listing)
        except UnreadableLedgerError as error:
            found = finding(tag, FindingKind.UNREADABLE, error.what, error.next_step or history_line(tag))
            reading.findings.append(found)
            continue
        assert fact.ledger is not None  # noqa: S101 - environment_of raises where there is none
        reading.findings += environment_findings(
            fact, listing, now=now, review_within=checkout.settings.review_within
        )
        content = tag_object.read(objects[listing.refs[str(tag)].object_id].data)
        reading.findings += form_findings(tag, content.message if content else "", fact.ledger)
        reading.findings += signatures.findings(fact)
        name = str(tag)
        reading.newest[name] = exports.newest_of(fact.ledger)
        if before is not None and name in before.environments:
            reading.gaps[name] = exports.gap(fact.ledger, before.environments[name], now=now)
    reading.unsigned = signatures.tag_findings(
        reading.immutable, objects, before.immutable if before else None
    )
    return reading
