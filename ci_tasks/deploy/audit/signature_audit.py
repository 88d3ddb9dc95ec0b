"""Signatures that the rules ask for, looked at after the fact: of live versions, and of environment tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from ci_tasks.core.command_line import typed
from ci_tasks.core.errors import UsageError
from ci_tasks.core.signing import AllowedSigners, SignatureStatus, SigningFormat
from ci_tasks.deploy.rule.verification import signed_anew
from ci_tasks.environment.configuration import parse_layers
from ci_tasks.environment.layout import FOLDER
from ci_tasks.environment.names import Verify
from ci_tasks.environment.tree import gather
from ci_tasks.tag import tag_object
from ci_tasks.tag.audit.audit import show_line
from ci_tasks.tag.audit.finding import FindingKind, Severity, finding
from ci_tasks.tag.grammar import StateTag, VersionTag, parse_version
from ci_tasks.tag.lines import options

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping
    from datetime import datetime

    from ci_tasks.core.checkout import Checkout
    from ci_tasks.core.git.origin import RawObject, RemoteRef
    from ci_tasks.core.signing import Signature
    from ci_tasks.environment.configuration import Layers
    from ci_tasks.tag.audit.finding import Finding
    from ci_tasks.tag.grammar import EnvironmentTag
    from ci_tasks.tag.listing import Listing
    from ci_tasks.tag.store import EnvironmentFact


_ONCE_GOOD = frozenset({SignatureStatus.UNSIGNED, SignatureStatus.EXPIRED, SignatureStatus.REVOKED})
"""What a tag can come to without anybody's doing: when signing is switched on, and when a key is given up."""


class SignatureAudit:
    """Looks at signatures where the settings or an environment's rules ask: one git process for each."""

    def __init__(self, checkout: Checkout, listing: Listing) -> None:
        self._checkout = checkout
        self._listing = listing
        self._layers: dict[str, Layers] = {}
        self._has_own: dict[str, bool] = {}
        self._wants: dict[tuple[str, str], bool] = {}
        self._allowed: AllowedSigners | None = None
        self._seen: dict[str, Signature] = {}
        self._running: set[str] = set()
        self._told: set[str] = set()

    def findings(self, fact: EnvironmentFact) -> Iterator[Finding]:
        """What is wrong with the signature of an environment tag, and of the versions that run there."""
        if self._checkout.settings.sign is not SigningFormat.NONE and fact.object_id is not None:
            signature = self._signature(fact.object_id)
            if not signature.is_good:
                line = _again_line(fact, signature)
                yield finding(fact.tag, FindingKind.SIGNATURE, f"It {_fault(signature)}.", line)
        try:
            is_wanted = self._is_wanted(fact.tag)
        except UsageError as error:
            message = f"Its rules can't be read: {error.what}"
            yield finding(fact.tag, FindingKind.RULES, message, typed("env.check"))
            return
        self._running |= set(self._versions(fact))
        if is_wanted:
            yield from self._version_findings(fact)

    def tag_findings(
        self,
        tags: Iterable[tuple[VersionTag | StateTag, RemoteRef]],
        objects: Mapping[str, RawObject],
        known: Container[str] | None,
    ) -> list[Finding]:
        """State tags, and versions that run somewhere, without a good signature where every tag is signed.

        The environment tags are looked at before. What is older than the switch can't be signed any more, and
        is a warning: a tag that is `known` by an export; without one, a tag that is no younger than the first
        with a good signature, by its own date.
        """
        if self._checkout.settings.sign is SigningFormat.NONE:
            return []
        looked = [
            (tag, self._signature(ref.object_id), _date(objects[ref.object_id]))
            for tag, ref in tags
            if ref.peeled
            and ref.object_id in objects
            and (isinstance(tag, StateTag) or str(tag) in self._running - self._told)
        ]
        first = min((date for _, signature, date in looked if signature.is_good and date), default=None)
        found = []
        for tag, signature, date in looked:
            if signature.is_good:
                continue
            is_older = first is None or (date is not None and date <= first)
            is_mild = str(tag) in known if known is not None else is_older
            message = f"It {_fault(signature)}, and every tag is to be signed."
            if known is not None and not is_mild:
                message += " It is not in the export: where it is right all the same, begin a new one."
            one = finding(tag, FindingKind.SIGNATURE, message, show_line(tag))
            found.append(replace(one, severity=Severity.WARNING) if is_mild else one)
        return found

    def _versions(self, fact: EnvironmentFact) -> dict[str, VersionTag]:
        """The tags of the versions that are live in an environment, or on their way."""
        if fact.ledger is None:
            return {}
        live = [one.version for one in fact.ledger.header.live.values() if one.version]
        tags = [
            VersionTag(subproject=fact.tag.subproject, version=parse_version(text))
            for text in (*live, *(record.version for record in fact.ledger.open))
        ]
        return {str(tag): tag for tag in tags}

    def _version_findings(self, fact: EnvironmentFact) -> Iterator[Finding]:
        """Versions that are live, or on their way, in an environment that takes signed ones only."""
        for name, tag in self._versions(fact).items():
            ref = self._listing.refs.get(name)
            if ref is None or ref.peeled is None:
                continue
            signature = self._signature(ref.object_id)
            if not signature.is_good:
                self._told.add(name)
                yield finding(
                    tag,
                    FindingKind.SIGNATURE,
                    f"It runs in {fact.tag}, which takes signed versions only, and it {_fault(signature)}.",
                    signed_anew(signature, tag, commit=ref.peeled, taken=self._listing.refs),
                )

    def _signature(self, object_id: str) -> Signature:
        """What the signature of a tag object that was read is worth."""
        if self._allowed is None:
            settings = self._checkout.settings
            self._allowed = AllowedSigners.read(self._checkout.root, settings.allowed_signers)
        if object_id not in self._seen:
            self._seen[object_id] = self._checkout.origin.signature(object_id, self._allowed)
        return self._seen[object_id]

    def _is_wanted(self, tag: EnvironmentTag) -> bool:
        """Whether an environment takes signed versions only; UsageError where its rules can't be read."""
        subproject = tag.subproject
        if subproject not in self._has_own:
            own = self._checkout.root / subproject / FOLDER
            self._has_own[subproject] = own.is_dir() or own.is_symlink()
        if not self._has_own[subproject]:
            subproject = ""
        place = (subproject, tag.environment)
        if place not in self._wants:
            if subproject not in self._layers:
                files = gather(self._checkout.root, (subproject,))
                known = self._checkout.settings.environments
                self._layers[subproject] = parse_layers(files, environments=known)
            layers = self._layers[subproject]
            self._wants[place] = (
                tag.environment in layers.existing(subproject)
                and layers.rules(tag.environment, subproject).verify is Verify.TAG
            )
        return self._wants[place]


def _date(obj: RawObject) -> datetime | None:
    content = tag_object.read(obj.data)
    return content.tagged_at if content else None


def _fault(signature: Signature) -> str:
    """What is wrong with a signature, as the end of a sentence."""
    by = signature.signer or signature.key
    return f"has no good signature: {signature.status.value}{f' ({by})' if by else ''}"


def _again_line(fact: EnvironmentFact, signature: Signature) -> str:
    """The line that has a tag signed anew: an assignment of what is live; else the one that shows the tag."""
    header = fact.ledger.header if fact.ledger else None
    sound = [
        (key, live.version)
        for key, live in (header.live.items() if header else ())
        if header and key in (header.regions or ("",)) and live.version and not live.uncertain
    ]
    if not sound or fact.drift is not None or signature.status not in _ONCE_GOOD:
        return show_line(fact.tag)
    ((region, version), *_) = sound
    option = f" --region {region}" if region else ""
    return typed(f"tag.assign {options(fact.tag)} --version {version}{option}")
