"""Which repository on GitHub a remote's address means."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci_tasks.core.command_line import typed
from ci_tasks.core.errors import RefusedError
from ci_tasks.core.git.failures import without_user_info

if TYPE_CHECKING:
    from collections.abc import Mapping

_SAME_HOST = {"ssh.github.com": "github.com", "www.github.com": "github.com"}
_PATH = r"/*(?P<owner>[A-Za-z0-9_][A-Za-z0-9_-]*)/(?P<name>[A-Za-z0-9._-]+?)(?:\.git)?/*"
_HOST = r"(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*)"
_ADDRESSES = tuple(
    re.compile(form)
    for form in (
        rf"https?://{_HOST}(?::443)?/{_PATH}",
        rf"ssh://{_HOST}(?::\d+)?/{_PATH}",
        rf"{_HOST}:{_PATH}",
    )
)
_NAMED = re.compile(_PATH)
_HAS_HOST = re.compile(r"[a-z+]+://(?P<host>[^/]+)|(?P<short>[^/:]{2,}):(?!//)")


@dataclass(frozen=True, kw_only=True)
class GitHubRepository:
    """A repository and the host that it is on."""

    host: str
    owner: str
    name: str

    def __str__(self) -> str:
        return f"{self.owner}/{self.name}"


def repository_of(address: str, environ: Mapping[str, str]) -> GitHubRepository:
    """The repository that a remote's address names, or GITHUB_REPOSITORY where it names no host.

    Raises RefusedError for a host that is neither github.com nor GH_HOST.
    """
    ours = environ.get("GH_HOST", "").lower()
    address = re.sub(r"^[^/@:]+@(?=[^/:]+:)", "", without_user_info(address))
    found = next(filter(None, (form.fullmatch(address) for form in _ADDRESSES)), None)
    if found:
        host = _SAME_HOST.get(found["host"].lower(), found["host"].lower())
        if host in {"github.com", ours} and found["name"] not in {".", ".."}:
            return GitHubRepository(host=host, owner=found["owner"], name=found["name"])
    named = _NAMED.fullmatch(environ.get("GITHUB_REPOSITORY", ""))
    if named and named["name"] not in {".", ".."} and not _HAS_HOST.match(address):
        return GitHubRepository(host=ours or "github.com", owner=named["owner"], name=named["name"])
    raise RefusedError(
        f"The remote is not a repository on GitHub: {address}.",
        unchanged="Nothing was changed.",
        details=[
            "Rulesets are GitHub's. A GitHub of your own is named by the variable GH_HOST.",
            f"On a git server of your own, `{typed('hook.install --server PATH')}` does the same and more.",
        ],
        next_step="inv tag.ruleset --json",
    )
