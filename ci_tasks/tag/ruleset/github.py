"""Asks GitHub about a repository's rulesets, through `gh api`."""

from __future__ import annotations

import os
import re
import shutil
import sys
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec

from ci_tasks.core.command_line import typed
from ci_tasks.core.errors import CiTasksError, RefusedError, UnavailableError, UnknownOutcomeError
from ci_tasks.core.git.failures import spoken
from ci_tasks.core.process.running import capture, child_environment
from ci_tasks.core.redact import Redactor, secrets_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ci_tasks.core.process.running import Captured
    from ci_tasks.tag.ruleset.github_repository import GitHubRepository

T = TypeVar("T")

TIMEOUT = 30.0
"""Seconds that one question to GitHub may take."""
AGAIN = "inv tag.ruleset --apply"
UNCHANGED = "Nothing was changed."
PERMISSION = "It takes the repository permission Administration: write, which GITHUB_TOKEN never has."
_MOST_PAGES = 10
_PER_PAGE = 100
_NOT_LOGGED_IN = 4
"""Exit code of `gh` without a login."""
# Where gh finds its login: in the environment, in its own files, or in the keyring of the session.
_OF_GH = (
    *("GH_TOKEN", "GH_ENTERPRISE_TOKEN", "GH_HOST", "GH_CONFIG_DIR", "XDG_CONFIG_HOME"),
    *("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"),
)
_QUIET = {"GH_PROMPT_DISABLED": "1", "GH_NO_UPDATE_NOTIFIER": "1", "GH_PAGER": "cat", "NO_COLOR": "1"}
_STATUS = re.compile(rb"HTTP/[0-9.]+ (?P<status>[0-9]{3})\b")


_Id = Annotated[int, msgspec.Meta(ge=1)]


# What GitHub answers; fields that we don't know are passed over, for its answers grow.
class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A ruleset in the list of all."""

    id: _Id
    name: str
    source_type: str | None = None


class StandingActor(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody whom a standing ruleset doesn't hold."""

    actor_id: int | None = None
    actor_type: str
    bypass_mode: str = "always"


class StandingRefName(msgspec.Struct, frozen=True, kw_only=True):
    """The refs that a standing ruleset means."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


class StandingConditions(msgspec.Struct, frozen=True, kw_only=True):
    """Where a standing ruleset holds."""

    ref_name: StandingRefName | None = None


class StandingRule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule of a standing ruleset."""

    type: str
    parameters: dict[str, Any] | None = None


class StandingRuleset(msgspec.Struct, frozen=True, kw_only=True):
    """A ruleset as it stands on GitHub; `bypass_actors` is None for a login that may not see them."""

    id: _Id
    name: str
    target: str | None = None
    enforcement: str
    bypass_actors: tuple[StandingActor, ...] | None = None
    conditions: StandingConditions | None = None
    rules: tuple[StandingRule, ...] = ()


class GitHub:
    """The rulesets of one repository. Every method takes `TIMEOUT` seconds at most, for each call of gh."""

    def __init__(
        self,
        repository: GitHubRepository,
        *,
        cwd: Path,
        environ: Mapping[str, str] = os.environ,
        timeout: float = TIMEOUT,
    ) -> None:
        self.repository = repository
        self._cwd = cwd
        self._timeout = timeout
        own = {name: environ[name] for name in _OF_GH if environ.get(name)}
        self._environment = child_environment({**own, **_QUIET})
        self._redactor = Redactor(secrets_in(own))
        self._program = _program(self._environment["PATH"])

    def standing(self, names: Sequence[str]) -> tuple[StandingRuleset, ...]:
        """The repository's own rulesets of these names, as they are now; not those of its organization."""
        found = [
            each for each in self._all() if each.name in names and each.source_type in {None, "Repository"}
        ]
        return tuple(self._one(each) for each in found)

    def create(self, body: bytes) -> None:
        """Make a ruleset. UnknownOutcomeError if GitHub gave no answer: it may be made all the same."""
        self._ask("POST", "rulesets", doing="create a ruleset of", body=body)

    def update(self, ruleset_id: int, body: bytes) -> None:
        """Replace a ruleset by another; errors as for `create`."""
        self._ask("PUT", f"rulesets/{ruleset_id}", doing="change a ruleset of", body=body)

    def _all(self) -> list[Summary]:
        found: list[Summary] = []
        for page in range(1, _MOST_PAGES + 1):
            path = f"rulesets?includes_parents=false&per_page={_PER_PAGE}&page={page}"
            batch = self._read(path, list[Summary])
            found += batch
            if len(batch) < _PER_PAGE:
                return found
        raise self._unreadable(f"it lists more than {_MOST_PAGES * _PER_PAGE} rulesets")

    def _one(self, summary: Summary) -> StandingRuleset:
        found = self._read(f"rulesets/{summary.id}?includes_parents=false", StandingRuleset)
        if (found.id, found.name) != (summary.id, summary.name):
            raise self._unreadable("it answered with another ruleset than it was asked for")
        if found.bypass_actors is None:
            raise UnavailableError(
                f"GitHub does not show who may pass the ruleset {found.name!r} of {self.repository}.",
                unchanged=UNCHANGED,
                details=[PERMISSION],
                next_step=f"gh auth status --hostname {self.repository.host}",
            )
        return found

    def _read(self, path: str, kind: type[T]) -> T:
        body = self._ask("GET", path, doing="read the rulesets of")
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._unreadable(str(error)) from None

    def _ask(self, method: str, path: str, *, doing: str, body: bytes = b"") -> bytes:
        """What GitHub answers to one request; an error unless its status is 2xx."""
        answer = capture(
            [
                *(self._program, "api", "--include", "--hostname", self.repository.host, "--method", method),
                *("--header", "Accept: application/vnd.github+json"),
                *("--header", "X-GitHub-Api-Version: 2022-11-28"),
                *(("--input", "-") if body else ()),
                f"repos/{self.repository}/{path}",
            ],
            cwd=self._cwd,
            env=self._environment,
            timeout=self._timeout,
            input=body,
        )
        head, _, content = answer.stdout.partition(b"\r\n\r\n")
        found = _STATUS.match(head)
        status = int(found["status"]) if found else None
        whole = answer.status == 0 and not answer.timed_out and not answer.truncated
        if whole and status in {HTTPStatus.OK, HTTPStatus.CREATED}:
            return content
        if answer.timed_out:
            status = None  # what came before the end is not the answer
        raise self._error(
            status, head, content, answer, what=f"Could not {doing} {self.repository}", method=method
        )

    def _error(
        self, status: int | None, head: bytes, content: bytes, answer: Captured, *, what: str, method: str
    ) -> CiTasksError:
        """The error for an answer that is not the one that was asked for."""
        said = self._said(content, answer)
        for holds, reason, hints, next_step in self._logins(status, head, said, answer):
            if holds:
                return _unavailable(f"{what}: {reason}.", [*said, *hints], next_step)
        if status and status // 100 == HTTPStatus.BAD_REQUEST // 100:
            hint = "A GitHub App has to be installed on the repository before a ruleset can name it."
            return RefusedError(
                f"{what}: GitHub refuses it.", unchanged=UNCHANGED, details=[*said, hint], next_step=AGAIN
            )
        reason = f"GitHub answered with status {status}" if status else "GitHub gave no answer"
        if answer.timed_out:
            reason += f" within {self._timeout:.0f} seconds"
        if method == "GET":
            return _unavailable(f"{what}: {reason}.", said, AGAIN)
        return UnknownOutcomeError(
            f"{what}: {reason}.",
            unchanged="It may have been done all the same: ask again.",
            details=said,
            next_step=AGAIN,
        )

    def _logins(
        self, status: int | None, head: bytes, said: Sequence[str], answer: Captured
    ) -> tuple[tuple[bool, str, tuple[str, ...], str], ...]:
        """What can be wrong with the login: whether it is so, the reason, hints, what to type."""
        host = self.repository.host
        login, look = f"gh auth login --hostname {host}", f"gh auth status --hostname {host}"
        workflow = "In a workflow, put a token of a person or a GitHub App into the variable GH_TOKEN."
        limited = status == HTTPStatus.FORBIDDEN and _is_rate_limit(head, said)
        return (
            (
                status is None and answer.status == _NOT_LOGGED_IN,
                "gh is not logged in",
                (PERMISSION, workflow),
                login,
            ),
            (status == HTTPStatus.UNAUTHORIZED, "the login was refused", (PERMISSION,), login),
            (
                limited or status == HTTPStatus.TOO_MANY_REQUESTS,
                "too many requests, so wait a while",
                (),
                AGAIN,
            ),
            (status == HTTPStatus.FORBIDDEN, "the login may not do it", (PERMISSION,), look),
            (
                status == HTTPStatus.NOT_FOUND,
                "it is not there, or the login may not see it",
                (PERMISSION,),
                look,
            ),
        )

    def _said(self, content: bytes, answer: Captured) -> list[str]:
        """GitHub's own words, or those of gh: one screen at most, without secrets."""
        try:
            refusal = msgspec.json.decode(content, type=_Refusal)
            errors = [
                each if isinstance(each, str) else str(each.get("message", "")) for each in refusal.errors
            ]
            text = "\n".join([refusal.message, *errors])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            text = answer.stderr.decode("utf-8", "replace")
        return list(spoken(self._redactor.text(text)))

    def _unreadable(self, reason: str) -> UnavailableError:
        return UnavailableError(
            f"What GitHub says about {self.repository} can't be read: {self._redactor.text(reason)}.",
            unchanged=UNCHANGED,
            next_step=AGAIN,
        )


class _Refusal(msgspec.Struct, frozen=True, kw_only=True):
    message: str
    errors: list[str | dict[str, Any]] = []


def _is_rate_limit(head: bytes, said: Sequence[str]) -> bool:
    """GitHub answers 403 for a missing right and for too many requests alike."""
    by_header = re.search(rb"(?im)^(?:retry-after:|x-ratelimit-remaining: *0\s*$)", head)
    return bool(by_header) or any("rate limit" in line.lower() for line in said)


def _unavailable(what: str, details: Sequence[str], next_step: str) -> UnavailableError:
    return UnavailableError(what, unchanged=UNCHANGED, details=details, next_step=next_step)


def _program(path: str) -> str:
    """Where gh is; UnavailableError with how to install it."""
    found = shutil.which("gh", path=path)
    if found:
        return os.path.abspath(found)  # noqa: PTH100 - Path.resolve would follow links, and gh may be one
    raise UnavailableError(
        "gh, the command line of GitHub, is not installed, or not on the PATH.",
        unchanged=UNCHANGED,
        details=[
            "Every way to install it: https://github.com/cli/cli#installation",
            f"Or send each document of `{typed('tag.ruleset')}` to GitHub: POST /repos/OWNER/NAME/rulesets",
        ],
        next_step="brew install gh" if sys.platform == "darwin" else "sudo apt install gh",
    )
