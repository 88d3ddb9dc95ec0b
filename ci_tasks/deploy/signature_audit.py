"""Signatures that the rules ask for, looked at after the fact: of live versions, and of environment tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_tasks.core.command_line import typed
from ci_tasks.core.errors import UsageError
from ci_tasks.core.signing import AllowedSigners, SigningFormat
from ci_tasks.environment.configuration import parse_layers
from ci_tasks.environment.layout import FOLDER
from ci_tasks.environment.names import Verify
from ci_tasks.environment.tree import gather
from ci_tasks.tag.audit.audit import show_line
from ci_tasks.tag.audit.finding import FindingKind, finding
from ci_tasks.tag.grammar import VersionTag, parse_version
from ci_tasks.tag.store import next_patch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci_tasks.core.checkout import Checkout
    from ci_tasks.core.signing import Signature
    from ci_tasks.environment.configuration import Layers
    from ci_tasks.tag.audit.finding import Finding
    from ci_tasks.tag.grammar import EnvironmentTag
    from ci_tasks.tag.listing import Listing
    from ci_tasks.tag.store import EnvironmentFact


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

    def findings(self, fact: EnvironmentFact) -> Iterator[Finding]:
        """What is wrong with the signature of an environment tag, and of the versions that run there."""
        if self._checkout.settings.sign is not SigningFormat.NONE and fact.object_id is not None:
            fault = self._fault(fact.object_id)
            if fault is not None:
                yield finding(fact.tag, FindingKind.SIGNATURE, f"It {fault}.", show_line(fact.tag))
        try:
            is_wanted = self._is_wanted(fact.tag)
        except UsageError as error:
            message = f"Its rules can't be read: {error.what}"
            yield finding(fact.tag, FindingKind.RULES, message, typed("env.check"))
            return
        if is_wanted:
            yield from self._version_findings(fact)

    def _version_findings(self, fact: EnvironmentFact) -> Iterator[Finding]:
        """Versions that are live, or on their way, in an environment that takes signed ones only."""
        if fact.ledger is None:
            return
        live = [one.version for one in fact.ledger.header.live.values() if one.version]
        for text in dict.fromkeys([*live, *(record.version for record in fact.ledger.open)]):
            tag = VersionTag(subproject=fact.tag.subproject, version=parse_version(text))
            ref = self._listing.refs.get(str(tag))
            fault = self._fault(ref.object_id) if ref and ref.peeled else None
            if fault is not None and ref is not None:
                yield finding(
                    tag,
                    FindingKind.SIGNATURE,
                    f"It runs in {fact.tag}, which takes signed versions only, and it {fault}.",
                    f"{next_patch(tag)} --commit {ref.peeled} --sign",
                )

    def _fault(self, object_id: str) -> str | None:
        """What is wrong with the signature of a tag object that was read, as the end of a sentence."""
        if self._allowed is None:
            settings = self._checkout.settings
            self._allowed = AllowedSigners.read(self._checkout.root, settings.allowed_signers)
        if object_id not in self._seen:
            self._seen[object_id] = self._checkout.origin.signature(object_id, self._allowed)
        signature = self._seen[object_id]
        if signature.is_good:
            return None
        by = signature.signer or signature.key
        return f"has no good signature: {signature.status.value}{f' ({by})' if by else ''}"

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
