"""Passing a rule on purpose: which ones can be passed, by whom, and what is recorded of it."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ci_tasks.core.errors import UsageError
from ci_tasks.core.settings import FILE
from ci_tasks.core.signing import AllowedSigners, SigningFormat, signer_files
from ci_tasks.deploy.model import Refusal, line_of
from ci_tasks.deploy.rule.rules import is_assignment
from ci_tasks.tag.model import Override

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci_tasks.core.checkout import Checkout
    from ci_tasks.core.signing import Signature
    from ci_tasks.deploy.model import Facts

OVERRIDABLE = frozenset({"state", "protected", "branches", "drift", "requires", "freeze"})
"""The rules that a reason may pass; a bad signature, a version that was moved and a claim are no rules."""

LONGEST_TEXT = 500
"""Characters of a reason or a note: it is kept in the tag, and shown in tables."""

OVERRIDDEN = "An override passes the rule"
"""How the notice begins that names a rule which was passed."""

_VARIABLES = ("CI_TASKS_SIGN", "CI_TASKS_ALLOWED_SIGNERS", "CI_TASKS_ADMINS")


def stated(option: str, text: str | None) -> str | None:
    """A reason or a note as it is recorded; None where there is nothing but spaces.

    Raises UsageError for more than one line, for characters that can't be printed, and for more than 500.
    """
    text = (text or "").strip()
    if not text.isprintable():
        raise UsageError(f"{option} takes one line of text, without control characters.")
    if len(text) > LONGEST_TEXT:
        raise UsageError(f"{option} takes at most {LONGEST_TEXT} characters, and these are {len(text)}.")
    return text or None


def authority(
    checkout: Checkout, reason: str | None, *, environ: Mapping[str, str]
) -> tuple[Override | None, Refusal | None]:
    """What would be recorded of an override for this reason, and why whoever typed it may not do it.

    Where tags are signed it takes the signature of an admin, and a throw-away object is signed to see whose
    key it is. An objection without a next step is one that somebody else's typing meets. Raises what signing
    raises.
    """
    if reason is None:
        return None, None
    settings = checkout.settings
    if settings.sign is SigningFormat.NONE:
        return Override(reason=reason, signer=None), _unsettled(checkout, environ)
    allowed = AllowedSigners.read(checkout.root, settings.allowed_signers)
    signature = checkout.origin.own_signature(allowed)
    objection = _unsettled(checkout, environ) or _not_an_admin(signature, settings.admins)
    return Override(reason=reason, signer=signature.signer), objection


def _objection(message: str, next_step: str | None = None) -> Refusal:
    return Refusal(rule="override", message=message, next_step=next_step)


def _unsettled(checkout: Checkout, environ: Mapping[str, str]) -> Refusal | None:
    """An edit of one's own makes nobody an admin, and switches no signing off."""
    variable = next((name for name in _VARIABLES if environ.get(name)), None)
    if variable is not None:
        said = f"{variable} is set, and who may override a rule is not for a variable to say."
        return _objection(said, f"unset {variable}")
    files = [FILE, *signer_files(checkout.settings.allowed_signers)]
    changed = checkout.repository.changed_paths(files)
    if changed:
        said = f"{changed[0]} has uncommitted changes, and it says who may override a rule: commit it first."
        return _objection(said, f"git add {quote(changed[0])} && git commit")
    return None


def _not_an_admin(signature: Signature, admins: Sequence[str]) -> Refusal | None:
    who = signed_by(signature)
    if signature.is_of(admins):
        return None
    is_none = ", who is none" if signature.is_good else ""
    said = f"An override takes the signature of an admin, and {who}{is_none}."
    if admins:
        return _objection(f"{said} Admins are: {', '.join(admins)}.")
    said += f" There are no admins in {FILE}: name them there, commit and push it."
    admin = signature.signer if signature.is_good and signature.signer else "name@example.org"
    return _objection(said, f"echo {quote(f'admins: [{admin}]')} >> {FILE}")


def signed_by(signature: Signature) -> str:
    """Whose signature yours is, as a part of a sentence."""
    if signature.is_good:
        return f"yours is that of {signature.signer}"
    named = signature.signer or signature.key
    kind = signature.status.name.lower().replace("_", " ")
    return f"yours is not good ({kind}{f': {named}' if named else ''})"


def passed(facts: Facts, refusals: Sequence[Refusal]) -> tuple[list[Refusal], list[Refusal]]:
    """The refusals that stay, and those that the override of these facts passes."""
    if facts.override is None:
        return list(refusals), []
    overridden = [refusal for refusal in refusals if refusal.rule in OVERRIDABLE]
    if overridden and facts.objection is not None:
        line = line_of(facts.request, facts.tag.subproject, version=str(facts.version.tag.version))
        objection = facts.objection
        return [replace(objection, next_step=objection.next_step or line), *refusals], []
    return [refusal for refusal in refusals if refusal.rule not in OVERRIDABLE], overridden


def notices(
    facts: Facts, overridden: Sequence[Refusal], *, is_preview: bool, is_recorded: bool = True
) -> list[str]:
    """What a plan says of its override; `is_recorded` is false in a rehearsal."""
    if facts.override is None or facts.objection is not None:
        return []
    if not overridden:
        return ["--override was not needed: no rule that it can pass stood in the way. It is not recorded."]
    said = [f"{OVERRIDDEN} {refusal.name}: {refusal.message}" for refusal in overridden]
    if is_recorded:
        # An assignment ends by saying so itself.
        waits = "" if is_assignment(facts) else ", and waits for a review"
        becomes = "would be recorded, and wait for a review" if is_preview else f"is recorded{waits}"
        said.append(f"The override {becomes}. Its reason: {facts.override.reason}")
    return said
