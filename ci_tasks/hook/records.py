"""What the records of a pushed ledger must hold beyond its form: versions, overrides, reviews.

Each function gives what is wrong, as sentences without a full stop; nothing where all is well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_tasks.core.git.failures import local_failure
from ci_tasks.tag import queue
from ci_tasks.tag import review as reviews
from ci_tasks.tag.grammar import StateTag, VersionTag, parse_version, ref_of
from ci_tasks.tag.names import DeploymentKind, DeploymentStatus, VersionState

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci_tasks.core.git.objects import ObjectDatabase
    from ci_tasks.core.signing import Signature
    from ci_tasks.tag.grammar import EnvironmentTag
    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.model import Deployment, Override

MOST_VERSIONS = 20
"""New versions in one push; our own commands record one."""

_BAD = tuple(state for state in VersionState if state.is_bad)


def version_faults(
    database: ObjectDatabase, tag: EnvironmentTag, before: Ledger | None, after: Ledger
) -> Iterator[str]:
    """Records of a version that is not on this server, on another commit, or marked bad and not overridden.

    So the target is always the commit of a version.
    """
    known = {(record.deployment_id, record.version, record.commit_sha) for record in _all(before)}
    turned = _turned(before, after)
    fresh = {
        (record.version, record.commit_sha, record.override is not None)
        for record in _all(after)
        if (
            record.deployment_id in turned
            or (record.deployment_id, record.version, record.commit_sha) not in known
        )
        and record.kind is not DeploymentKind.REVIEW  # it brings nothing there
    }
    if len(fresh) > MOST_VERSIONS:
        yield f"it records {len(fresh)} versions at once"
        return
    versions = {
        name: VersionTag(subproject=tag.subproject, version=parse_version(name)) for name, _, _ in fresh
    }
    marks = {
        name: [StateTag(subproject=tag.subproject, version=each.version, state=state) for state in _BAD]
        for name, each in versions.items()
    }
    there = commits(
        database,
        [*map(ref_of, versions.values()), *(ref_of(mark) for each in marks.values() for mark in each)],
    )
    for name, commit, is_overridden in sorted(fresh):
        stands_on = there.get(ref_of(versions[name]))
        if stands_on != commit:
            where = f"stands on {stands_on[:12]}" if stands_on else "does not exist here"
            yield f"it records {versions[name]} on {commit[:12]}, but that tag {where}"
        bad = next((mark for mark in marks[name] if ref_of(mark) in there), None)
        if bad is not None and not is_overridden:
            yield f"it brings {versions[name]} there without an override, although there is {bad}"


def override_faults(
    signature: Signature | None, admins: Sequence[str], before: Ledger | None, after: Ledger
) -> Iterator[str]:
    """An override is an admin's, and says whose it is; where nothing is signed, nobody signed it."""
    overrides = _new_overrides(before, after)
    signer = signature.signer if signature else None
    by = signer or (signature.key if signature else None) or "nobody"
    if overrides and signature is not None and not signature.is_of(admins):
        yield f"it overrides a rule, which takes the signature of an admin; {by} is none"
    for override in overrides:
        if override.signer != signer:
            yield f"its override says that {override.signer} signed it, but {by} did"


def review_faults(signature: Signature | None, before: Ledger | None, after: Ledger) -> Iterator[str]:
    """Nobody reviews an override of his own, as far as signatures tell."""
    if signature is None:
        return
    known = {record.deployment_id for record in _all(before)}
    overridden = [record for record in _all(after) if record.override is not None]
    for review in after.closed:
        if review.kind is not DeploymentKind.REVIEW or review.deployment_id in known:
            continue
        for record in overridden:
            by = record.override.signer if record.override else None
            if reviews.answers(review, record) and by == signature.signer:
                yield f"{by} made the override of {record.deployment_id}, so somebody else has to review it"


def _new_overrides(before: Ledger | None, after: Ledger) -> list[Override]:
    """Those of new records, and of waiting ones whose turn has come."""
    known = {record.deployment_id for record in _all(before)}
    turned = _turned(before, after)
    return [
        record.override
        for record in _all(after)
        if record.override is not None
        and (record.deployment_id in turned or record.deployment_id not in known)
    ]


def _turned(before: Ledger | None, after: Ledger) -> set[str]:
    """The records that waited, and run now."""
    waited = {record.deployment_id for record in queue.waiting(before)} if before else set()
    return {
        record.deployment_id
        for record in after.open
        if record.deployment_id in waited and record.status is DeploymentStatus.RUNNING
    }


def _all(ledger: Ledger | None) -> tuple[Deployment, ...]:
    return (*ledger.open, *ledger.closed) if ledger else ()


def commits(database: ObjectDatabase, names: Sequence[str]) -> dict[str, str]:
    """The commits that refs of the server lead to, by their full names; one that is not there is left out.

    `rev-parse` would also take a branch called `refs/tags/api/v1.0.0` for that tag.
    """
    if not names:
        return {}
    form = "%(refname) %(objecttype) %(objectname) %(*objecttype) %(*objectname)"
    answer = database.git("for-each-ref", f"--format={form}", "--", *names)
    if answer.status:
        raise local_failure("read the refs", answer.stderr)
    found: dict[str, str] = {}
    for line in answer.stdout.decode("utf-8", "replace").splitlines():
        name, *objects = line.split()
        kind, object_id = objects[-2:]
        if name in names and kind == "commit":
            found[name] = object_id
    return found
