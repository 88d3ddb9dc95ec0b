"""update: the server's own rule for tags, whoever pushes and with whatever program."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci_tasks.core.errors import RefusedError, UsageError
from ci_tasks.core.git.origin import RawObject, RemoteRef
from ci_tasks.core.signing import AllowedSigners, SigningFormat
from ci_tasks.hook import advice, configuration, records
from ci_tasks.hook.place import here
from ci_tasks.tag import annotation, authenticity, form, tag_object, transition
from ci_tasks.tag.clock import utc_now
from ci_tasks.tag.grammar import EnvironmentTag, Grammar, StateTag, ref_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ci_tasks.core.git.objects import ObjectDatabase
    from ci_tasks.core.signing import Signature
    from ci_tasks.hook.configuration import ServerRules
    from ci_tasks.hook.place import Place
    from ci_tasks.tag.grammar import Tag
    from ci_tasks.tag.ledger import Ledger

_TAGS = "refs/tags/"
_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LARGEST = 5 << 18  # bytes; a ledger is at most 1 MiB
_SHOWN = 20
"""Faults that a refusal names at most."""


@dataclass(frozen=True, kw_only=True)
class Move:
    """What a push does to one tag; ids are None where there is no object before or after."""

    tag: Tag
    old: str | None
    new: str | None


def check(ref: str, *, old: str, new: str) -> int:
    """1 if the ref is a tag of ours, else 0. Raises RefusedError with the rule that forbids the change."""
    if not (_ID.fullmatch(old) and _ID.fullmatch(new)):
        raise UsageError("The ids that an update hook gets are full ones, as git gives them.")
    place = here()
    if not ref.startswith(_TAGS) or old == new:
        return 0
    rules = configuration.read(place.git_dir)
    grammar = Grammar(rules.environments)
    tag = grammar.read(ref.removeprefix(_TAGS))
    if tag is None:
        _check_foreign(grammar, ref.removeprefix(_TAGS), is_new=_known(new) is not None)
        return 0
    move = Move(tag=tag, old=_known(old), new=_known(new))
    if isinstance(tag, EnvironmentTag):
        _check_environment(place, rules, move)
    else:
        _check_immutable(place, rules, move)
    return 1


def _known(object_id: str) -> str | None:
    return object_id if object_id.strip("0") else None


def _check_foreign(grammar: Grammar, name: str, *, is_new: bool) -> None:
    """A foreign tag may not take the place of one of ours: git keeps no tag beside a folder of its name."""
    parts = name.split("/")
    above = (grammar.read("/".join(parts[:length])) for length in range(1, len(parts)))
    tag = next((each for each in above if each is not None), None)
    if is_new and tag is not None:
        raise _refused(name, f"git could never keep {tag} beside it", lines=())


def _check_immutable(place: Place, rules: ServerRules, move: Move) -> None:
    """A version or a state: it comes to be once, as an annotated tag of its own name."""
    tag, new = move.tag, move.new
    if move.old is not None or new is None or isinstance(tag, EnvironmentTag):
        raise _by_hand(move)
    obj, content = _sound_tag(place.database, move, new, lines=advice.for_new(tag))
    if isinstance(tag, StateTag):
        name = ref_of(tag.version_tag)
        version = records.commits(place.database, [name]).get(name)
        if version != content.target:
            where = f"stands on {version[:12]}" if version else "does not exist"
            raise _refused(
                tag, f"its version {tag.version_tag} {where}", lines=advice.for_new(tag.version_tag)
            )
    _check_signature(place, rules, move, obj, content)


def _check_environment(place: Place, rules: ServerRules, move: Move) -> None:
    """An environment: it moves only as a deployment of ours moves it."""
    tag, new = move.tag, move.new
    if new is None or not isinstance(tag, EnvironmentTag):
        raise _by_hand(move)
    lines = advice.for_environment(tag)
    obj, content = _sound_tag(place.database, move, new, lines=lines)
    try:
        after = annotation.read(content.message, name=str(tag))
    except annotation.UnreadableLedgerError as error:
        raise _refused(tag, error.what.removesuffix("."), lines=lines) from None
    before, target = _before(place.database, tag, move.old)
    faults = transition.faults(
        before, after, old_id=move.old, old_target=target, new_target=content.target, now=utc_now()
    )
    faults += form.form_faults(content.message, after)
    faults = faults or list(records.version_faults(place.database, tag, before, after))
    if faults:
        raise _refused(tag, *faults, lines=lines)
    signature = _check_signature(place, rules, move, obj, content)
    faults = [
        *records.override_faults(signature, rules.admins, before, after),
        *records.review_faults(signature, before, after),
    ]
    if faults:
        raise _refused(tag, *faults, lines=())


def _sound_tag(
    database: ObjectDatabase, move: Move, object_id: str, *, lines: Iterable[str]
) -> tuple[RawObject, tag_object.TagObject]:
    """The tag object that is pushed, if it is an annotated tag of that name on a commit."""
    name = str(move.tag)
    obj = _object(database, object_id)
    content = tag_object.read(obj.data) if obj and obj.kind == "tag" else None
    leads_to = database.kinds([content.target]).get(content.target) if content else None
    if content is not None and content.kind == "commit" and leads_to != "commit":
        raise _refused(move.tag, f"it leads to {f'a {leads_to}' if leads_to else 'nothing'}", lines=lines)
    peeled = None if obj is not None and obj.kind != "tag" else content.target if content else ""
    fault = authenticity.fault(name, RemoteRef(ref_of(move.tag), object_id, peeled), obj)
    if fault is not None or obj is None or content is None:
        raise _refused(move.tag, str(fault), lines=lines)
    return obj, content


def _before(
    database: ObjectDatabase, tag: EnvironmentTag, old: str | None
) -> tuple[Ledger | None, str | None]:
    """The ledger that is replaced, None where there is none or nobody can read it, and its commit.

    Raises RefusedError for one of a newer form.
    """
    if old is None:
        return None, None
    obj = _object(database, old)
    content = tag_object.read(obj.data) if obj and obj.kind == "tag" else None
    if content is None or content.kind != "commit":
        return None, None
    if content.name != str(tag):
        return None, content.target
    try:
        return annotation.read(content.message, name=str(tag)), content.target
    except annotation.NewerLedgerError as error:
        raise _refused(
            tag, error.what.removesuffix("."), lines=["the server needs a newer ci-tasks"]
        ) from None
    except annotation.UnreadableLedgerError:
        return None, content.target


def _object(database: ObjectDatabase, object_id: str) -> RawObject | None:
    """An object; None where it is too large for a tag. Raises UnavailableError where it is missing."""
    try:
        (found,) = database.read([object_id], limit=_LARGEST)
    except RefusedError:
        return None
    return found


def _check_signature(
    place: Place, rules: ServerRules, move: Move, obj: RawObject, content: tag_object.TagObject
) -> Signature | None:
    """The signature, where the server asks for one: RefusedError unless an allowed signer made it just now.

    Whether a key had expired is asked for the tag's own date, which whoever signs chooses.
    """
    if rules.sign is SigningFormat.NONE:
        return None
    from ci_tasks.core.git.verification import verify  # noqa: PLC0415 - most servers ask for none

    signature = verify(place.database, obj, AllowedSigners.read(place.git_dir, rules.signers))
    if not signature.is_good:
        raise _refused(
            move.tag,
            f"it needs the signature of an allowed signer; this one is: {signature.status.value}",
            lines=["to sign tags: set `sign` in ci_tasks.yaml, and user.signingKey in git's configuration"],
        )
    if content.tagged_at is None or abs(content.tagged_at - utc_now()) > transition.CLOCKS:
        raise _refused(move.tag, "its date is not today's, so its signature proves little", lines=())
    return signature


def _by_hand(move: Move) -> RefusedError:
    reason, lines = advice.for_change(move.tag, old=move.old, new=move.new)
    return _refused(move.tag, f"this push {reason}", lines=lines)


def _refused(tag: Tag | str, *reasons: str, lines: Iterable[str]) -> RefusedError:
    """What is refused, the rules that it breaks, and the lines to type instead."""
    shown = [f"{reason}." for reason in reasons[:_SHOWN]]
    if len(reasons) > _SHOWN:
        shown.append(f"And {len(reasons) - _SHOWN} more.")
    return RefusedError(
        f"{tag} is refused by this server's rules.",
        details=[*shown, *lines],
        unchanged="The tag was not changed.",
    )
