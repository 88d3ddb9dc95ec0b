"""What an audit of the tags found: one entity for each thing, and the whole of it."""

from __future__ import annotations

from enum import Enum

from ci_tasks.core.entity import Entity


class Severity(Enum):
    """An error makes `tag.verify` exit 3; a warning is only shown."""

    ERROR = "ERROR"
    WARNING = "WARNING"


class FindingKind(Enum):
    """What is wrong with a tag, in a word."""

    LIGHTWEIGHT = "LIGHTWEIGHT"
    OBJECT = "OBJECT"
    STATE = "STATE"
    UNREADABLE = "UNREADABLE"
    DRIFT = "DRIFT"
    CHAIN = "CHAIN"
    LIVE = "LIVE"
    NOT_LIVE = "NOT_LIVE"
    FORM = "FORM"
    LEASE = "LEASE"
    VERSION = "VERSION"
    DEBT = "DEBT"
    SIGNATURE = "SIGNATURE"
    RULES = "RULES"
    CHANGED = "CHANGED"
    VANISHED = "VANISHED"
    REWRITTEN = "REWRITTEN"
    NAME = "NAME"
    DATE = "DATE"
    LEFT_BEHIND = "LEFT_BEHIND"

    @property
    def severity(self) -> Severity:
        """What may be as it should, or is nobody's lie: names that may clash, dates, claims left behind."""
        mild = (FindingKind.NAME, FindingKind.DATE, FindingKind.LEFT_BEHIND, FindingKind.NOT_LIVE)
        return Severity.WARNING if self in mild else Severity.ERROR


class Finding(Entity, frozen=True, kw_only=True):
    """One thing that is wrong with one tag: a sentence, and the line to type."""

    tag_name: str
    kind: FindingKind
    severity: Severity
    message: str
    next_step: str


def finding(tag: object, kind: FindingKind, message: str, next_step: str) -> Finding:
    """A finding with the severity of its kind."""
    return Finding(tag_name=str(tag), kind=kind, severity=kind.severity, message=message, next_step=next_step)


class Audit(Entity, frozen=True, kw_only=True):
    """What `tag.verify --json` prints: how many tags were looked at, and what was found, errors first.

    `foreign` are names that are none of ours; that is no fault. `against` is the file that was compared with,
    `exported` the one that was written.
    """

    versions: int
    states: int
    environments: int
    findings: list[Finding]
    foreign: list[str]
    against: str | None
    exported: str | None

    @property
    def has_errors(self) -> bool:
        """True where something is wrong that must not be."""
        return any(found.severity is Severity.ERROR for found in self.findings)
