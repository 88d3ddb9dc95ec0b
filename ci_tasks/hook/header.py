"""The lines of a commit's message, by Conventional Commits 1.0.0 (https://www.conventionalcommits.org)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ci_tasks.core.errors import nearest
from ci_tasks.tag.version.change_types import RELEASES

TYPES = (*RELEASES, "docs", "style", "refactor", "test", "build", "ci", "chore")
EXAMPLE = "fix(api): answer when the queue is empty"

_TYPE = re.compile(r"[A-Za-z]+")
_SCOPE = re.compile(r"[\w@*./-]+(?:,[\w@*./-]+)*")
_OF_GIT = re.compile(
    r"(?:fixup|squash|amend)! \S|(?:Revert|Reapply) \""
    r"|Merge (?:(?:remote-tracking )?branch(?:es)? '|tags? '|commits? '|pull request #)"
)
_EMPTY_FOOTER = re.compile(r"\S+(?::| #)")
_UNTOLD = frozenset({"BREAKING CHANGE:", "BREAKING-CHANGE:"})


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is wrong, and where: `column` counts characters from 0."""

    column: int
    reason: str


def is_of_git(line: str) -> bool:
    """True for the lines that git writes itself: merges, reverts, and what `rebase --autosquash` takes in."""
    return bool(_OF_GIT.match(line))


def footer_fault(line: str, *, is_last: bool) -> Fault | None:
    """The fault of a line below the header: a footer without a value is no Conventional Commit.

    Elsewhere than in the last line, a word and a colon are text; a breaking change never is.
    """
    if line in _UNTOLD:
        return Fault(column=len(line), reason="what breaks is expected here, on the same line")
    if is_last and _EMPTY_FOOTER.fullmatch(line):
        return Fault(column=len(line), reason="a value is expected here: the last line reads as a footer")
    return None


def fault_of(line: str) -> Fault | None:
    """The first fault of a header `type(scope)!: description`; None where there is none."""
    word = _TYPE.match(line)
    if word is None:
        return Fault(column=0, reason="a type is expected here")
    at = word.end()
    rest = line[at:]
    if not rest.startswith(("(", "!", ":")):
        return _after_type(line, at)
    if word[0] not in TYPES:
        return Fault(column=0, reason=_not_a_type(word[0]))
    if rest.startswith("("):
        fault, at = _scope(line, at)
        if fault is not None:
            return fault
    if line.startswith("!", at):
        at += 1
    return _description(line, at)


def _scope(line: str, at: int) -> tuple[Fault | None, int]:
    """The fault of a scope that begins at `at`, and where the line goes on behind it."""
    end = line.find(")", at)
    if end < 0:
        return Fault(column=at, reason="this bracket is never closed"), at
    scope = line[at + 1 : end]
    found = _SCOPE.match(scope)
    good = found.end() if found else 0
    if not scope or good < len(scope):
        reason = "a scope is the name of a part, such as api or services/auth"
        return Fault(column=at + 1 + good, reason=reason), end + 1
    return None, end + 1


def _after_type(line: str, at: int) -> Fault:
    """The fault of a line whose first word is followed by nothing that follows a type."""
    word = line[:at]
    gap = re.match(r"\s+[(!:]", line[at:])
    if gap and word in TYPES:
        return Fault(column=at, reason="no blank stands between a type and what follows")
    if word in TYPES:
        return Fault(column=at, reason="a colon and a blank are expected after the type")
    if ":" not in line:
        return Fault(column=0, reason="the line begins with no type, as in `fix: ...`")
    return Fault(column=0, reason=_not_a_type(line.split(":", 1)[0].split("(", 1)[0].strip()))


def _description(line: str, at: int) -> Fault | None:
    """The fault of what begins at `at`: a colon, a blank, some words."""
    if not line.startswith(":", at):
        return Fault(column=at, reason="a colon is expected here")
    if not line[at + 1 :].strip():
        return Fault(column=at + 1, reason="a description is missing")
    if not line.startswith(" ", at + 1):
        return Fault(column=at + 1, reason="a blank is expected after the colon")
    if line[at + 2].isspace():
        return Fault(column=at + 2, reason="one blank is enough")
    return None


def _not_a_type(word: str) -> str:
    if word.lower() in TYPES:
        return f"types are written in lower case: {word.lower()}"
    close = nearest(word, TYPES) if len(word) <= 40 else None  # noqa: PLR2004 - no type is that long
    return f"this is no type{f'; did you mean {close}?' if close else ''}"
