"""Names of tags: the one parser, and the one place that builds a tag's name.

Versions follow SemVer 2.0 (https://semver.org) without build metadata, in lower case. A state tag is
also a legal pre-release in SemVer, so the order of the attempts matters: state, environment, version.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from ci_tasks.core.errors import UsageError, bad_choice
from ci_tasks.tag.misspelling import name_fault, version_fault
from ci_tasks.tag.names import TagType, VersionState

if TYPE_CHECKING:
    from collections.abc import Sequence

    import semver

MAX_LENGTH = 120
"""Characters of a tag's whole name: with `refs/tags/` and a lock suffix it fits every file system."""

_STATES = "|".join(state.value for state in VersionState)
_IDENTIFIER = r"(?:0|[1-9][0-9]{0,8}|[0-9]*[a-z-][0-9a-z-]*)"
_VERSION = re.compile(
    r"v(?P<major>0|[1-9][0-9]{0,8})\.(?P<minor>0|[1-9][0-9]{0,8})\.(?P<patch>0|[1-9][0-9]{0,8})"
    rf"(?:-(?P<pre>{_IDENTIFIER}(?:\.{_IDENTIFIER})*))?"
)
_STATE = re.compile(rf"(?P<version>v[0-9]+\.[0-9]+\.[0-9]+)-(?P<state>{_STATES})")
_STATE_WORD = re.compile(rf"(?:^|[.-])(?:{_STATES})$")
_COMPONENT = re.compile(r"[a-z0-9_][a-z0-9._-]*")
_LOCK = ".lock"
_NEAR_VERSION = re.compile(r"v?[0-9]+\.[0-9]")
"""How a name begins whose author will have meant a version."""
_LIKE_VERSION = re.compile(r"v?[0-9]+(?:\.[0-9]+)+.*|v[0-9]+")
_PORTS = frozenset(f"{port}{number}" for port in ("com", "lpt") for number in range(10))
_RESERVED = _PORTS | {"con", "prn", "aux", "nul", "head", "refs", "tags", "heads", "remotes"}
"""Names that a file system or git has a use for; on some systems also with an extension (`con.txt`)."""

_FAULTS = {
    "absolute": "a path that starts with / is not inside the repository",
    "empty": "it has an empty part, '.' or '..'",
    "letters": "a part is of a-z, 0-9, '.', '_' and '-', and starts with none of '.' and '-'",
    "git": "git has no names with '..', or that end in '.' or '.lock'",
}

VERSION_FORM = "v1.2.3 or v1.2.3-beta.1"


@dataclass(frozen=True, kw_only=True)
class Version:
    """A SemVer version without build metadata; `str()` gives `v1.2.3-beta.1`."""

    major: int
    minor: int
    patch: int
    pre: str | None = None

    def __str__(self) -> str:
        return f"v{self.major}.{self.minor}.{self.patch}" + (f"-{self.pre}" if self.pre else "")

    @property
    def is_release(self) -> bool:
        """True where there is no pre-release part."""
        return self.pre is None

    @cached_property
    def precedence(self) -> semver.Version:
        """Something to sort by, in the order of SemVer 2.0, section 11."""
        import semver  # noqa: PLC0415 - faces import this module; only sorting needs the library

        return semver.Version(self.major, self.minor, self.patch, self.pre)


@dataclass(frozen=True, kw_only=True)
class VersionTag:
    """`api/v1.2.3`; the empty subproject is the root project."""

    subproject: str
    version: Version
    tag_type = TagType.VERSION

    def __str__(self) -> str:
        return join(self.subproject, str(self.version))


@dataclass(frozen=True, kw_only=True)
class StateTag:
    """`api/v1.2.3-stable`."""

    subproject: str
    version: Version
    state: VersionState
    tag_type = TagType.STATE

    def __str__(self) -> str:
        return join(self.subproject, f"{self.version}-{self.state.value}")

    @property
    def version_tag(self) -> VersionTag:
        """The tag of the version that it speaks of."""
        return VersionTag(subproject=self.subproject, version=self.version)


@dataclass(frozen=True, kw_only=True)
class EnvironmentTag:
    """`api/production`."""

    subproject: str
    environment: str
    tag_type = TagType.ENVIRONMENT

    def __str__(self) -> str:
        return join(self.subproject, self.environment)


Tag = VersionTag | StateTag | EnvironmentTag


def join(subproject: str, leaf: str) -> str:
    """A tag's name from its subproject (empty for the root project) and its last part."""
    return f"{subproject}/{leaf}" if subproject else leaf


def ref_of(tag: Tag | str) -> str:
    """The full ref name of a tag: a branch of the same name must not confuse anybody."""
    return f"refs/tags/{tag}"


@lru_cache(maxsize=4096)
def parse_version(text: str) -> Version:
    """Read `v1.2.3`, `1.2.3` or a pre-release of these.

    Raises UsageError for all that is not SemVer 2.0 or that could be read as a state tag.
    """
    match = None
    if len(text) <= MAX_LENGTH:
        match = _VERSION.fullmatch(text if text.startswith("v") else f"v{text}")
    if match is None:
        raise UsageError(
            f"{_shown(text)} is not a version: {version_fault(text, longest=MAX_LENGTH)}.",
            details=[
                f"A version is {VERSION_FORM}: SemVer 2.0, lower case, no build metadata, 9 digits a number."
            ],
        )
    pre = match["pre"]
    if pre and pre.endswith(_LOCK):
        raise UsageError(f"{_shown(text)} is not a version: git has no names that end in {_LOCK}.")
    if pre and _STATE_WORD.search(pre):
        raise UsageError(
            f"{_shown(text)} is not a version: a pre-release must not end in {_STATES.replace('|', ', ')}.",
            details=["Such a name is a state tag: it says what a version is worth."],
        )
    return Version(major=int(match["major"]), minor=int(match["minor"]), patch=int(match["patch"]), pre=pre)


class Grammar:
    """The grammar for one set of environment names."""

    def __init__(self, environments: Sequence[str]) -> None:
        self.environments = tuple(environments)
        # Few subprojects have many tags: 100,000 names are read in a third of the time.
        self._is_subproject = lru_cache(maxsize=4096)(self.is_subproject)

    def environment(self, text: str) -> str:
        """The environment of that name; UsageError with the nearest one otherwise."""
        if text not in self.environments:
            raise bad_choice("environment", text[:MAX_LENGTH], self.environments)
        return text

    def subproject(self, text: str) -> str:
        """A subproject's path without `./` and a last `/`: `services/auth`; empty for the root project, `.`.

        Raises UsageError with the reason, also where no room is left for the name of an environment.
        """
        if text in {"", ".", "./"}:
            return ""
        path = text.removeprefix("./").removesuffix("/")  # as a shell completes it
        most = MAX_LENGTH - 1 - max(map(len, self.environments))
        if len(path) > most:
            raise UsageError(f"A subproject has at most {most} characters here; this one has {len(path)}.")
        for component in path.split("/"):
            fault = _FAULTS["absolute"] if text.startswith("/") else self._fault(component)
            if fault:
                lower = path.lower()
                hint = f" Did you mean {lower}?" if lower != path and self.is_subproject(lower) else ""
                raise UsageError(
                    f"{text!r} is not a subproject: {fault}.{hint}",
                    details=["A subproject is a path inside the repository, such as api or services/auth."],
                )
        return path

    def is_subproject(self, text: str) -> bool:
        """True where `subproject` accepts the text."""
        return len(text) <= MAX_LENGTH and all(self._fault(part) is None for part in text.split("/"))

    def _fault(self, component: str) -> str | None:
        fault = _spelling_fault(component)
        if fault is None and component in self.environments:
            fault = f"{component} is the name of an environment"
        if fault is None and _LIKE_VERSION.fullmatch(component):
            fault = f"{component} looks like a version"
        if fault is None and component.split(".", 1)[0] in _RESERVED:
            fault = f"{component} is a reserved name"
        return fault

    def parse(self, name: str) -> Tag:
        """The meaning of a tag's name, without `refs/tags/`; UsageError with the reason for a foreign one."""
        found = self.read(name)
        if found is not None:
            return found
        raise UsageError(self._fault_of_name(name), details=self.forms)

    def reason(self, name: str) -> str | None:
        """Why a tag of this name is none of ours, in a sentence; None where it is one."""
        return None if self.read(name) is not None else self._fault_of_name(name)

    @property
    def forms(self) -> tuple[str, str]:
        """The three forms of a tag's name, in two lines."""
        return (
            "A tag is a version (api/v1.2.3, api/v1.2.3-beta.1), a state (api/v1.2.3-stable)",
            f"or an environment (api/production; one of {', '.join(self.environments)}).",
        )

    def _fault_of_name(self, name: str) -> str:
        """The most helpful thing to say of a foreign name: which form it comes near, and what is wrong."""
        if len(name) > MAX_LENGTH:
            return f"A tag's name has at most {MAX_LENGTH} characters; this one has {len(name)}."
        subproject, slash, leaf = name.rpartition("/")
        if "" in name.split("/"):
            what = "a part of it" if slash else "it"
            return f"{_shown(name)} is not a tag of ours: {what} is empty."
        folded = leaf.lower()
        if not leaf.startswith("v") and self.read(join(subproject, f"v{leaf}")) is not None:
            return f"{_shown(name)} is not a tag of ours: a version's begins with v, as in v{leaf}."
        try:
            if folded in self.environments:
                self.subproject(subproject)
                self.environment(leaf)
            elif _NEAR_VERSION.match(folded):
                self.subproject(subproject)
                parse_version(leaf)
            else:
                self.subproject(subproject)
        except UsageError as error:
            return error.what
        fault = name_fault(name, environments=self.environments, spelling=_spelling_fault(leaf))
        return f"{_shown(name)} is not a tag of ours: {fault}"

    def read(self, name: str) -> Tag | None:
        """The meaning of a tag's name, or None for a foreign one; linear in its length."""
        if len(name) > MAX_LENGTH:
            return None
        subproject, slash, leaf = name.rpartition("/")
        if slash and not self._is_subproject(subproject):
            return None
        if leaf in self.environments:
            return EnvironmentTag(subproject=subproject, environment=leaf)
        state = _STATE.fullmatch(leaf)
        if state is not None:
            leaf = state["version"]
        version = _version_or_none(leaf)
        if version is None:
            return None
        if state is not None:
            return StateTag(subproject=subproject, version=version, state=VersionState(state["state"]))
        return VersionTag(subproject=subproject, version=version)


def _version_or_none(leaf: str) -> Version | None:
    """The version that a tag's last part names; the regular expression sorts most of the foreign out."""
    if not _VERSION.fullmatch(leaf):
        return None
    try:
        return parse_version(leaf)
    except UsageError:
        return None


def _spelling_fault(component: str) -> str | None:
    """What is wrong with one part of a path, whatever it may mean."""
    if component in {"", ".", ".."}:
        return _FAULTS["empty"]
    if not _COMPONENT.fullmatch(component):
        return _FAULTS["letters"]
    if ".." in component or component.endswith((".", _LOCK)):
        return _FAULTS["git"]
    return None


def _shown(text: str) -> str:
    return repr(text if len(text) <= MAX_LENGTH else f"{text[:MAX_LENGTH]}…")
