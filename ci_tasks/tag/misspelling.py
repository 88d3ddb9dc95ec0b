"""What keeps a text from being a version or a tag's name: the first fault, in words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ci_tasks.core.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

DIGITS = 9
"""A number of a version has no more: every reader of it keeps it exactly."""

_NUMBERS = 3


def version_fault(text: str, *, longest: int) -> str:
    """The first thing wrong with a text that the grammar of versions refuses, as a clause.

    `longest`: characters that it may have. The rules are those of https://semver.org/spec/v2.0.0.html, but
    for build metadata and upper case.
    """
    if len(text) > longest:
        return f"it has {len(text)} characters, and {longest} are the most"
    if "+" in text:
        return "there is no place in a tag for build metadata (+ and what follows)"
    if text != text.lower():
        return "all its letters have to be lower case"
    core, dash, pre = text.removeprefix("v").partition("-")
    return _core_fault(core) or (_pre_fault(pre) if dash else "its form is not that of v1.2.3")


def name_fault(name: str, *, environments: Sequence[str], spelling: str | None) -> str:
    """What a tag's name lacks whose last part has no form of ours, as the end of a sentence.

    `spelling`: what is wrong with the last part as a part of any path.
    """
    leaf = name.rpartition("/")[2]
    close = nearest(leaf, environments)
    if close is not None:
        return f"no environment is called {leaf!r}. Did you mean {close}?"
    if spelling is not None:
        return f"{spelling}."
    return f"it says neither a version ({name}/v1.2.3) nor an environment ({name}/{environments[0]})."


def _core_fault(core: str) -> str | None:
    numbers = core.split(".")
    if len(numbers) != _NUMBERS:
        return "a version has three numbers, as in v1.2.3"
    for number in numbers:
        if not re.fullmatch(r"[0-9]+", number):
            return f"{number!r} is no number"
        if fault := _number_fault(number):
            return fault
    return None


def _pre_fault(pre: str) -> str:
    for identifier in pre.split("."):
        if not identifier:
            return "a part of its pre-release is empty"
        if not re.fullmatch(r"[0-9a-z-]+", identifier):
            return f"{identifier!r} has more in it than a-z, 0-9 and -"
        if identifier.isdigit() and (fault := _number_fault(identifier)):
            return fault
    return "its pre-release has another form than beta.1"


def _number_fault(number: str) -> str | None:
    if number != "0" and number.startswith("0"):
        return f"{number[:DIGITS]} begins with a zero"
    if len(number) > DIGITS:
        return f"a number has {DIGITS} digits at most"
    return None
