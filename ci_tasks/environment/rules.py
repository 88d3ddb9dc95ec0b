"""The reserved keys of a `config.yml`: what may stand in them, and what they mean."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

from ci_tasks.core.errors import nearest
from ci_tasks.core.field import FieldError, as_flag, as_map, as_seconds, as_text, as_texts, kind_of
from ci_tasks.environment import freeze, requirement
from ci_tasks.environment.model import Rules
from ci_tasks.environment.names import ConfigType, OnFailure, Strategy, Verify, is_region

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from enum import Enum

LONGEST_TIMEOUT = 6 * 3600.0  # seconds; a hosted CI job ends then anyway
MOST_RELEASES = 100
_BRANCH = re.compile(r"[A-Za-z0-9*][A-Za-z0-9._/*+@#-]{0,199}", re.ASCII)
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,99}", re.ASCII)
_OUR_VARIABLES = ("DEPLOYMENT_", "CI_TASKS_", "GIT_", "LD_", "DYLD_", "GITHUB_", "RUNNER_", "PYTHON", "PERL5")
# They steer the shell or the interpreter, and so what a script of the checkout does: the version must not.
_SHELL = {
    "PATH",
    "HOME",
    "SHELL",
    "IFS",
    "BASH_ENV",
    "ENV",
    "SHELLOPTS",
    "BASHOPTS",
    "PS4",
    "CDPATH",
    "TMPDIR",
}
_INTERPRETERS = {"NODE_OPTIONS", "RUBYOPT", "RUBYLIB", "JAVA_TOOL_OPTIONS", "CI", "CI_DRY_RUN"}
_STEERING = frozenset(_SHELL | _INTERPRETERS)
_PROVIDER = re.compile(r"[a-z][a-z0-9-]{0,39}", re.ASCII)
_LONGEST_LOCATION = 100
# Keys that would promise a rule, and that no part of this version keeps.
_NOT_KEPT = frozenset({"deploy"})
# A typing error in these would leave an environment without its rule, and nobody would notice.
_GUARDS = (
    *("protected", "branches", "verify", "requires", "freeze"),
    *("strategy", "onFailure", "keepReleases"),
)
_SO_ALIKE = 0.9
_RATHER_LIKE = 0.8
_LIKE = 0.7
_TELLING = frozenset({"freeze", "requires"})  # what else has such a value?
_OF_REQUIRES = frozenset({"soak"})


def _regions(value: object) -> tuple[str, ...]:
    regions = as_texts(value)
    for region in regions:
        if not is_region(region):
            raise FieldError(f"{region[:60]!r} can't be a region: a-z, 0-9 and -, at most 40 characters")
    return regions


def _branches(value: object) -> tuple[str, ...]:
    branches = as_texts(value)
    for branch in branches:
        if not _BRANCH.fullmatch(branch) or ".." in branch:
            raise FieldError(f"{branch[:60]!r} is no branch; write main or release/*")
    return branches


def _timeout(value: object) -> float:
    seconds = as_seconds(value)
    if not 1 <= seconds <= LONGEST_TIMEOUT:
        raise FieldError("a time limit is at least 1s and at most 6h")
    return seconds


def _one_of(kind: type[Enum]) -> Callable[[object], Enum]:
    """What reads one word of a closed set."""
    words = [str(each.value) for each in kind]

    def read(value: object) -> Enum:
        if not isinstance(value, str) or value not in words:
            close = nearest(value, words) if isinstance(value, str) else None
            hint = f"; did you mean {close}?" if close else ""
            raise FieldError(f"{', '.join(words[:-1])} or {words[-1]} is expected{hint}")
        return kind(value)

    return read


def _keep_releases(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise FieldError(f"a whole number is expected, not {kind_of(value)}")
    if not 1 <= value <= MOST_RELEASES:
        raise FieldError(f"at least 1 and at most {MOST_RELEASES} releases can be kept")
    return value


_READERS = {
    "protected": as_flag,
    "branches": _branches,
    "timeout": _timeout,
    "regions": _regions,
    "verify": _one_of(Verify),
    "requires": requirement.read,
    "freeze": freeze.read,
    "strategy": _one_of(Strategy),
    "onFailure": _one_of(OnFailure),
    "keepReleases": _keep_releases,
}
_FIELDS = {"onFailure": "on_failure", "keepReleases": "keep_releases"}
RULES = frozenset(_READERS)
"""Keys that are read from the pipeline checkout."""
RESERVED = RULES | {"env", "providers"}


def read_rules(values: Mapping[str, Any]) -> Rules:
    """The rules among merged values whose files have no problems; they do not know their sources."""
    given: dict[str, Any] = {
        _FIELDS.get(key, key): read(values[key]) for key, read in _READERS.items() if key in values
    }
    return Rules(**given)


def variable_text(value: object) -> str:
    """The text of a variable's value: as it is written in the file."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if not isinstance(value, str):
        raise FieldError("text, a number, true or false is expected")
    if "\0" in value:
        raise FieldError("a variable can't hold the character U+0000")
    return value


def problems_of(
    values: Mapping[str, Any],
    config_type: ConfigType,
    *,
    environment: str | None = None,
    environments: Sequence[str] = (),
) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong with the reserved keys of one file: the path of a key, and the reason.

    `environment` is the one that the file is for, None for all; `environments` are those that there can be.
    """
    for key, value in values.items():
        reason = _reason_of_key(key, value, config_type)
        if reason is not None:
            yield (key,), reason
        elif key == "env":
            yield from _env_problems(value)
        elif key == "providers":
            yield from _provider_problems(value)
        elif key == "freeze":
            yield from (((key, *path), what) for path, what in freeze.problems(value))
        elif key == "requires":
            found = requirement.problems(value, environment=environment, environments=environments)
            yield from (((key, *path), what) for path, what in found)
        elif key in RULES:
            reason = _reason(_READERS[key], value)
            if reason is not None:
                yield (key,), reason


def _reason_of_key(key: str, value: object, config_type: ConfigType) -> str | None:
    if key in _NOT_KEPT:
        return "this key is reserved, and nothing is done with it yet: take it out"
    if key in RULES and config_type is ConfigType.REGION:
        return "a rule holds for the whole environment: write it in the environment's config.yml"
    if key in RESERVED:
        return None
    plain = re.sub("[-_]", "", key).lower()
    for guard in _GUARDS:
        if _is_misspelt(plain, guard.lower()) or (_is_like(plain, guard.lower()) and _is_meant(guard, value)):
            return f"this key is not known; did you mean {guard}?"
    if plain in _OF_REQUIRES and not list(
        requirement.problems({plain: value}, environment="", environments=())
    ):
        return f"this key is not known; did you mean requires: {{{plain}: ...}}?"
    return None


def _is_like(key: str, guard: str) -> bool:
    """True for a word that begins as the rule does, or is nearly it: `protect`, `freezeWindow`, `verifi`.

    That alone says nothing, as other words are free: the value has to be one that the rule could have.
    """
    ratio = difflib.SequenceMatcher(None, key, guard).ratio()
    if guard in _TELLING and (guard in key or ratio >= _LIKE):
        return True
    return key.startswith(guard[:-2]) or ratio >= _RATHER_LIKE


def _is_meant(guard: str, value: object) -> bool:
    """True for a value that says something, and that the rule could have."""
    if value in ([], {}):
        return False
    if guard == "freeze":
        return not list(freeze.problems([value] if isinstance(value, dict) else value))
    if guard == "requires":
        return not list(requirement.problems(value, environment="", environments=()))
    return _reason(_READERS[guard], value) is None


def _is_misspelt(key: str, guard: str) -> bool:
    """True for letters in another order, one too many, a missing one, and a wrong one doubled (frezze)."""
    if sorted(key) == sorted(guard) or _doubles_a_letter(key, guard):
        return True
    ratio = difflib.SequenceMatcher(None, key, guard).ratio()
    return abs(len(key) - len(guard)) <= 1 and ratio >= _SO_ALIKE


def _doubles_a_letter(key: str, guard: str) -> bool:
    """True where one letter is wrong, and is the one beside it once more."""
    wrong = [index for index, letter in enumerate(key) if letter != guard[index : index + 1]]
    if len(key) != len(guard) or len(wrong) != 1:
        return False
    (index,) = wrong
    return key[index] in key[max(index - 1, 0) : index] + key[index + 1 : index + 2]


def _reason(read: Any, value: object) -> str | None:
    try:
        read(value)
    except FieldError as error:
        return str(error)
    return None


def _env_problems(value: object) -> Iterator[tuple[tuple[str, ...], str]]:
    reason = _reason(as_map, value)
    if reason is not None or not isinstance(value, dict):
        yield ("env",), str(reason)
        return
    for name, content in value.items():
        if not _VARIABLE.fullmatch(name):
            yield ("env", name), "the name of a variable has A-Z, 0-9 and _, and no digit first"
        elif name in _STEERING or name.startswith(_OUR_VARIABLES):
            yield ("env", name), "this variable is not yours to set: it steers the shell, git or ci_tasks"
        else:
            reason = _reason(variable_text, content)
            if reason is not None:
                yield ("env", name), reason


def _provider_problems(value: object) -> Iterator[tuple[tuple[str, ...], str]]:
    reason = _reason(as_map, value)
    if reason is not None or not isinstance(value, dict):
        yield ("providers",), str(reason)
        return
    for region, entries in value.items():
        if not is_region(region):
            yield ("providers", region), "this can't be a region: a-z, 0-9 and -, at most 40 characters"
        elif not isinstance(entries, dict):
            yield ("providers", region), "a map is expected, such as {aws: us-east-1}"
        else:
            for provider, location in entries.items():
                reason = _reason(_location, location)
                if not _PROVIDER.fullmatch(provider):
                    reason = "this can't be a provider: a-z, 0-9 and -, a letter first, at most 40 characters"
                if reason is not None:
                    yield ("providers", region, provider), reason


def _location(value: object) -> str:
    text = as_text(value)
    if len(text) > _LONGEST_LOCATION or not text.isprintable():
        raise FieldError("one line of at most 100 characters is expected")
    return text
