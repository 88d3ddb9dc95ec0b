"""The version after the last one: pure rules over names, no git and no clock."""

from __future__ import annotations

import re
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING

from ci_tasks.core.errors import UsageError
from ci_tasks.tag.grammar import Version, parse_version
from ci_tasks.tag.names import VersionState

if TYPE_CHECKING:
    from collections.abc import Iterable

FIRST = Version(major=0, minor=1, patch=0)
_LABEL = re.compile(r"[a-z][a-z0-9-]{0,39}")


class Bump(Enum):
    """Which number of a version grows, the weakest first."""

    PATCH = "patch"
    MINOR = "minor"
    MAJOR = "major"

    @property
    def weight(self) -> int:
        """Something to compare by: the heaviest change of a release decides."""
        return list(Bump).index(self)


def heaviest(bumps: Iterable[Bump | None]) -> Bump | None:
    """The one that decides; None where nothing is released."""
    return max((bump for bump in bumps if bump is not None), key=lambda bump: bump.weight, default=None)


def before_one(bump: Bump, last: Version) -> Bump:
    """What a bump that was derived from commits means: before 1.0.0 a breaking change is a minor one.

    SemVer 2.0, section 4: anything may change before 1.0.0. So 1.0.0 is never reached by accident.
    """
    return Bump.MINOR if bump is Bump.MAJOR and last.major == 0 else bump


def next_release(last: Version | None, bump: Bump, *, begun: Version | None = None) -> Version:
    """The release after `last` (a release); the first is v0.1.0, whatever the bump.

    `begun` is the newest pre-release in the history: a first release that was prepared as v1.0.0-rc.1 is
    v1.0.0. Raises UsageError where a number would have more than nine digits.
    """
    if last is None:
        prepared = replace(begun, pre=None) if begun else FIRST
        return max(FIRST, prepared, key=lambda version: version.precedence)
    grown = {
        Bump.MAJOR: Version(major=last.major + 1, minor=0, patch=0),
        Bump.MINOR: Version(major=last.major, minor=last.minor + 1, patch=0),
        Bump.PATCH: Version(major=last.major, minor=last.minor, patch=last.patch + 1),
    }[bump]
    return parse_version(str(grown))


def checked_label(text: str) -> str:
    """The label of a pre-release (`beta`); UsageError for one that is none."""
    states = [state.value for state in VersionState]
    fault = None
    if not _LABEL.fullmatch(text):
        fault = "it is of a-z, 0-9 and '-', begins with a letter, and has 40 characters at most"
    elif text.endswith(tuple(states)):
        fault = f"{', '.join(states)} are states of a version"
    if fault is not None:
        raise UsageError(f"{text[:60]!r} is not the label of a pre-release: {fault}.")
    return text


def newest_of_label(base: Version, label: str, versions: Iterable[Version]) -> Version | None:
    """The newest `<base>-<label>.<number>` that there is."""
    numbered = [(number, version) for version in versions if (number := _number(version, base, label))]
    return max(numbered, key=lambda pair: pair[0])[1] if numbered else None


def next_of_label(base: Version, label: str, versions: Iterable[Version]) -> Version:
    """`<base>-<label>.<number>` with the number after the newest one; the first is 1."""
    newest = newest_of_label(base, label, versions)
    number = _number(newest, base, label) + 1 if newest else 1
    return parse_version(f"{base}-{label}.{number}")


def _number(version: Version, base: Version, label: str) -> int:
    """The number of a pre-release of this base and label; 0 for every other version."""
    if replace(version, pre=None) != base or version.pre is None:
        return 0
    found, _, number = version.pre.rpartition(".")
    return int(number) if found == label and number.isdigit() else 0
