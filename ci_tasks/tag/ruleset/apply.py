"""Brings the rulesets on GitHub to what they should be: read, plan, ask, write, read again."""

from __future__ import annotations

import os
from enum import Enum
from typing import TYPE_CHECKING

from ci_tasks.core import console
from ci_tasks.core.entity import Entity, canonical_json, to_json
from ci_tasks.core.errors import (
    CancelledError,
    CiTasksError,
    ConflictError,
    FailedError,
    PartialError,
    RefusedError,
    UnknownOutcomeError,
)
from ci_tasks.tag.ruleset.documents import Ruleset, rulesets
from ci_tasks.tag.ruleset.github import AGAIN, UNCHANGED, GitHub
from ci_tasks.tag.ruleset.github_repository import repository_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci_tasks.core.checkout import Checkout
    from ci_tasks.tag.ruleset.github import StandingRule, StandingRuleset

_HARMLESS = {"update_allows_fetch_and_merge": False}
"""A parameter that GitHub adds to `update` by itself; it speaks of branches of a fork."""


class RulesetAction(Enum):
    """What is done with a ruleset."""

    CREATE = "create"
    UPDATE = "update"
    KEEP = "keep"


class RulesetChange(Entity, frozen=True, kw_only=True):
    """What is done with one ruleset; `differences` are lines that begin with + (to come) or - (to go)."""

    name: str
    action: RulesetAction
    ruleset_id: int | None
    differences: tuple[str, ...]


class RulesetAnswer(Entity, frozen=True, kw_only=True):
    """What `tag.ruleset` prints as JSON; `repository` is None where GitHub was not asked."""

    repository: str | None
    changed: bool
    rulesets: tuple[Ruleset, ...]
    changes: tuple[RulesetChange, ...]


def printed(checkout: Checkout) -> RulesetAnswer:
    """The rulesets, without asking anybody."""
    return RulesetAnswer(repository=None, changed=False, rulesets=rulesets(checkout.settings), changes=())


def apply(checkout: Checkout, *, yes: bool, environ: Mapping[str, str] = os.environ) -> RulesetAnswer:
    """Create the rulesets that are missing on GitHub, and change those that differ.

    `yes`: without a question. Raises RefusedError where nobody agrees, PartialError with what stands now if
    GitHub took one ruleset and not the other, UnavailableError where it can't be asked.
    """
    wanted = rulesets(checkout.settings)
    github = GitHub(repository_of(checkout.origin.address, environ), cwd=checkout.root, environ=environ)
    changes = plan(wanted, github.standing(_names(wanted)))
    pending = [each for each in changes if each.action is not RulesetAction.KEEP]
    if pending:
        _agree(pending, github, yes=yes)
        changes = _write(github, wanted, pending)
    return RulesetAnswer(
        repository=str(github.repository), changed=bool(pending), rulesets=wanted, changes=changes
    )


def plan(wanted: Sequence[Ruleset], standing: Sequence[StandingRuleset]) -> tuple[RulesetChange, ...]:
    """What is to be done with each ruleset. Raises ConflictError where two on GitHub have its name."""
    return tuple(_change(each, [other for other in standing if other.name == each.name]) for each in wanted)


def _change(wanted: Ruleset, standing: Sequence[StandingRuleset]) -> RulesetChange:
    if len(standing) > 1:
        ids = ", ".join(str(each.id) for each in standing)
        raise ConflictError(
            f"GitHub has more than one ruleset {wanted.name!r}: {ids}.",
            unchanged=UNCHANGED,
            details=["Delete all but one under Settings, Rules, Rulesets."],
            next_step=AGAIN,
        )
    should = list(_lines_wanted(wanted))
    if not standing:
        return RulesetChange(
            name=wanted.name,
            action=RulesetAction.CREATE,
            ruleset_id=None,
            differences=tuple(f"+ {line}" for line in should),
        )
    found = list(_lines_standing(standing[0]))
    differences = (
        *(f"- {line}" for line in found if line not in should),
        *(f"+ {line}" for line in should if line not in found),
    )
    action = RulesetAction.UPDATE if differences else RulesetAction.KEEP
    return RulesetChange(name=wanted.name, action=action, ruleset_id=standing[0].id, differences=differences)


def _lines_wanted(ruleset: Ruleset) -> Iterator[str]:
    yield f"target: {ruleset.target}"
    yield f"enforcement: {ruleset.enforcement}"
    for actor in ruleset.bypass_actors:
        yield _actor_line(actor.actor_type.value, actor.actor_id, actor.bypass_mode)
    refs = ruleset.conditions.ref_name
    yield from (f"include: {pattern}" for pattern in refs.include)
    yield from (f"exclude: {pattern}" for pattern in refs.exclude)
    yield from (f"rule: {rule.type.value}" for rule in ruleset.rules)


def _lines_standing(ruleset: StandingRuleset) -> Iterator[str]:
    yield f"target: {ruleset.target}"
    yield f"enforcement: {ruleset.enforcement}"
    for actor in ruleset.bypass_actors or ():
        yield _actor_line(actor.actor_type, actor.actor_id, actor.bypass_mode)
    refs = ruleset.conditions.ref_name if ruleset.conditions else None
    if refs:
        yield from (f"include: {pattern}" for pattern in refs.include)
        yield from (f"exclude: {pattern}" for pattern in refs.exclude)
    yield from (f"rule: {rule.type}{_parameters(rule)}" for rule in ruleset.rules)


def _actor_line(kind: str, actor_id: int | None, mode: str) -> str:
    return f"bypass: {kind}{f' {actor_id}' if actor_id else ''} ({mode})"


def _parameters(rule: StandingRule) -> str:
    harmless = rule.type == "update" and rule.parameters == _HARMLESS
    return f" {canonical_json(rule.parameters).decode()}" if rule.parameters and not harmless else ""


def _agree(pending: Sequence[RulesetChange], github: GitHub, *, yes: bool) -> None:
    """Show what will change, and ask; RefusedError without a yes."""
    for change in pending:
        console.progress(f"{change.action.value} {change.name} of {github.repository}")
        for line in change.differences:
            console.progress(f"  {line}")
    if yes or console.ask(f"Change the rulesets of {github.repository}?"):
        return
    raise RefusedError(
        "The rulesets are not changed without a yes: on a terminal to the question, elsewhere by --yes.",
        unchanged=UNCHANGED,
        next_step=f"{AGAIN} --yes",
    )


def _write(
    github: GitHub, wanted: Sequence[Ruleset], pending: Sequence[RulesetChange]
) -> tuple[RulesetChange, ...]:
    """Write one after the other, up to the first failure; gives what was done, with what GitHub says now."""
    bodies = {each.name: to_json(each) for each in wanted}
    written: list[str] = []
    failure: CiTasksError | None = None
    for change in pending:
        try:
            if change.ruleset_id is None:
                github.create(bodies[change.name])
            else:
                github.update(change.ruleset_id, bodies[change.name])
        except CancelledError as error:
            error.unchanged = f"Written before: {', '.join(written) or 'nothing'}. Ask again what stands."
            error.next_step = AGAIN
            raise
        except CiTasksError as error:
            failure = error
            break
        written.append(change.name)
    now = _read_again(github, wanted, written, failure)
    left = [each for each in now if each.action is not RulesetAction.KEEP]
    if left:
        raise _unfinished(pending, left, failure)
    ids = {each.name: each.ruleset_id for each in now}
    done = {each.name: each for each in pending}
    return tuple(
        RulesetChange(
            name=each.name,
            action=done[each.name].action if each.name in done else RulesetAction.KEEP,
            ruleset_id=ids[each.name],
            differences=done[each.name].differences if each.name in done else (),
        )
        for each in wanted
    )


def _read_again(
    github: GitHub, wanted: Sequence[Ruleset], written: Sequence[str], failure: CiTasksError | None
) -> tuple[RulesetChange, ...]:
    """What is true now; if GitHub does not say, the error that is left to tell."""
    try:
        return plan(wanted, github.standing(_names(wanted)))
    except CancelledError:
        raise
    except CiTasksError as unread:
        if failure is None:
            raise UnknownOutcomeError(
                "GitHub took the rulesets, but what stands now could not be read.",
                unchanged="Ask again: it changes nothing that is right.",
                details=[unread.what, *unread.details],
                next_step=AGAIN,
            ) from None
        if not written:
            raise failure from None
        raise PartialError(
            f"Written: {', '.join(written)}. {failure.what}",
            unchanged="What stands now could not be read.",
            details=failure.details,
            next_step=AGAIN,
        ) from None


def _unfinished(
    pending: Sequence[RulesetChange], left: Sequence[RulesetChange], failure: CiTasksError | None
) -> CiTasksError:
    """The error for rulesets that are not as they should be after the writing."""
    missing = [each.name for each in left]
    stands = [each.name for each in pending if each.name not in missing]
    if failure is None:
        return FailedError(
            f"GitHub took {', '.join(missing)}, but shows something else than it was given.",
            details=[line for each in left for line in each.differences],
            next_step=AGAIN,
        )
    if not stands:
        return failure
    return PartialError(
        f"{', '.join(stands)} stands now, {', '.join(missing)} does not. {failure.what}",
        unchanged=failure.unchanged if isinstance(failure, UnknownOutcomeError) else None,
        details=failure.details,
        next_step=failure.next_step,
    )


def _names(wanted: Sequence[Ruleset]) -> tuple[str, ...]:
    return tuple(each.name for each in wanted)


def told(answer: RulesetAnswer) -> str:
    """What was done, for people."""
    words = {
        RulesetAction.CREATE: "Created",
        RulesetAction.UPDATE: "Changed",
        RulesetAction.KEEP: "Unchanged",
    }
    if not answer.changed:
        return f"Nothing to do: the rulesets of {answer.repository} are as they should be."
    return "\n".join(
        f"{words[each.action]} {each.name} of {answer.repository} (id {each.ruleset_id})."
        for each in answer.changes
    )
