"""The rule `verify`: what it reads, and when it speaks against a version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_tasks.core.signing import AllowedSigners, SignatureStatus, SigningFormat, signer_files
from ci_tasks.deploy.model import Refusal
from ci_tasks.tag.store import next_patch

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from ci_tasks.core.checkout import Checkout
    from ci_tasks.core.git.origin import RemoteRef
    from ci_tasks.core.signing import Signature
    from ci_tasks.deploy.model import Facts
    from ci_tasks.tag.grammar import VersionTag


def signature_of(checkout: Checkout, ref: RemoteRef, allowed: AllowedSigners | None) -> Signature | None:
    """What the signature of a version tag that was read is worth; None where nobody asks."""
    return None if allowed is None else checkout.origin.signature(ref.object_id, allowed)


def is_unsigned(checkout: Checkout, ref: RemoteRef | None) -> bool:
    """Whether an environment tag that was read lacks a good signature, where the settings ask for one."""
    settings = checkout.settings
    if settings.sign is SigningFormat.NONE or ref is None or ref.peeled is None:
        return False
    allowed = AllowedSigners.read(checkout.root, settings.allowed_signers)
    return not checkout.origin.signature(ref.object_id, allowed).is_good


def refusals(facts: Facts) -> Iterator[Refusal]:
    """Why the version's signature does not do, where the environment asks for one."""
    signature, allowed = facts.signature, facts.allowed_signers
    if signature is None or allowed is None or signature.is_good:
        return
    environment, tag = facts.tag.environment, facts.version.tag
    if allowed.is_nobody:
        path = signer_files(allowed.path)[0]
        yield Refusal(
            rule="verify",
            message=f"{environment} takes signed versions only, and {path} names nobody who may sign them.",
            next_step=f'echo "$(git config user.email) $(cat ~/.ssh/id_ed25519.pub)" >> {path}',
            source=facts.rules.sources.get("verify"),
        )
        return
    yield Refusal(
        rule="verify",
        message=f"{environment} takes signed versions only, and {tag} {_fault(signature, allowed)}.",
        next_step=signed_anew(signature, tag, commit=facts.version.commit, taken=facts.tags),
        source=facts.rules.sources.get("verify"),
    )


def signed_anew(signature: Signature, tag: VersionTag, *, commit: str, taken: Container[str]) -> str:
    """The line that signs the next version, on the same commit; not with a key that is revoked."""
    line = f"{next_patch(tag, taken)} --commit {commit} --sign"
    is_revoked = signature.status is SignatureStatus.REVOKED
    return f"git config user.signingKey ANOTHER_KEY && {line}" if is_revoked else line


def notices(facts: Facts) -> Iterator[str]:
    """Who signed the version, where the environment asks for a signature."""
    signature = facts.signature
    if signature is not None and signature.is_good:
        by = "" if signature.signer == signature.key else f"by {signature.signer}, "
        yield f"{facts.version.tag} is signed {by}with the key {signature.key}."


def _fault(signature: Signature, allowed: AllowedSigners) -> str:
    """What is wrong with it, as the end of a sentence that begins with the tag."""
    by = f" by {signature.signer}" if signature.signer not in {None, signature.key} else ""
    key = f"the key {signature.key}" if signature.key else "a key"
    return {
        SignatureStatus.GOOD: "is signed",
        SignatureStatus.UNSIGNED: "is not signed",
        SignatureStatus.BAD: (
            f"has a bad signature ({signature.signer or signature.key or 'of nobody'}): it is not over what"
            " stands in the tag"
        ),
        SignatureStatus.EXPIRED: f"is signed{by} with {key}, which had expired",
        SignatureStatus.REVOKED: f"is signed{by} with {key}, which is revoked",
        SignatureStatus.UNKNOWN_SIGNER: (
            f"is signed with {key}, which is not one of those in {allowed.path}, here in your checkout"
        ),
    }[signature.status]
