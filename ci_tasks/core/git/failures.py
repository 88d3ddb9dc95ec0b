"""Reads what git says when it fails: whose fault it is, and what to type next."""

from __future__ import annotations

import re
import shlex
from enum import Enum

from ci_tasks.core.errors import UnavailableError

_LINES = 20
_WIDTH = 300


class FailureKind(Enum):
    """Why a remote could not be reached; the value says it to people."""

    LOGIN = "the login was refused"
    ADDRESS = "the address is wrong, or the login may not see it"
    OWNER = "the repository belongs to another user"
    PROXY = "the proxy refused"
    TLS = "the secure connection (TLS) could not be made"
    NETWORK = "the network failed"
    OTHER = "git failed"

    @property
    def may_pass(self) -> bool:
        """True if the same call can succeed a second later."""
        return self in {FailureKind.NETWORK, FailureKind.TLS, FailureKind.PROXY}


# The first match decides, so the special stands before the general. Texts are those of git, curl and OpenSSH.
_KINDS = (
    (FailureKind.OWNER, r"dubious ownership|unsafe repository"),
    (
        FailureKind.PROXY,
        r"returned error: 407\b|HTTP code 407|CONNECT tunnel failed|[Pp]roxy CONNECT aborted|resolve proxy",
    ),
    (FailureKind.TLS, r"\bSSL|\bTLS|certificate|gnutls_handshake"),
    (
        FailureKind.LOGIN,
        (
            r"Authentication failed|could not read (?:Username|Password)|Permission denied"
            r"|returned error: 40[13]\b|Host key verification failed|HTTP Basic: Access denied"
            r"|Permission to \S+ denied|remote error: access denied|Invalid username or"
            r"|Support for password authentication was removed"
        ),
    ),
    (
        FailureKind.ADDRESS,
        (
            r"does not appear to be a git repository|[Rr]epository .*not found|returned error: (?:404|410)\b"
            r"|No such file or directory|not valid: is this a git repository|transport .* not allowed"
            r"|remote helper|not exported|strange hostname|protocol .* is not supported|disabled in libcurl"
        ),
    ),
    (
        FailureKind.NETWORK,
        (
            r"Could(?: not|n't) resolve|Could not connect|Failed to connect|[Tt]imed out"
            r"|Connection (?:refused|reset|closed)|[Uu]nable to (?:connect|look up)|Network is unreachable"
            r"|No route to host|early EOF|hung up|RPC failed|unexpected disconnect|Empty reply"
            r"|returned error: (?:429|5\d\d)\b|Broken pipe|Could not read from remote repository"
            r"|transfer closed|HTTP/2 stream|expected (?:flush|response end packet) after"
            r"|bytes of length header were received"
        ),
    ),
)
# These end git before the server has announced its refs, so nothing can have been pushed. "unable to access"
# and "not found" come from the first request of the HTTP transport only; the second says "RPC failed".
_BEFORE_ANNOUNCEMENT = re.compile(
    r"unable to access '|Authentication failed for|^fatal: repository '.*' not found"
    r"|could not read (?:Username|Password)|Could not read from remote repository"
    r"|hung up upon initial contact|does not appear to be a git repository|unable to connect to"
    r"|[Uu]nable to look up|remote error: access denied|transport '.*' not allowed"
    r"|unable to find remote helper|not valid: is this a git repository|does not support --atomic push"
    r"|src refspec .* does not match any|protocol '.*' is not supported|strange hostname",
    re.MULTILINE,
)
_QUOTED = re.compile(r"'[^']*'")
_SAID_BY_SERVER = re.compile(r"^remote:.*$", re.MULTILINE)
# Up to the last "@" before the path. What stands there unquoted may hold blanks, and after a colon that no
# port follows also a slash: git can't use such an address, but it repeats it.
_USER_INFO = re.compile(
    r"(?<=://)(?:[^/?#\n]*@|[^/@:\n]*:(?!\d{1,5}(?:[/'\"]|$))(?:(?!://)[^\n])*@)", re.MULTILINE
)
_QUERY_IN_QUOTES = re.compile(r"(?P<kept>(?P<quote>['\"])https?://[^'\"?\n]*)\?(?:(?!(?P=quote))[^\n])*")
_QUERY = re.compile(r"(?P<kept>\bhttps?://[^\s'\"?]*)\?[^\s'\"]*")
_OWNER_FIX = re.compile(r"^\s*(git config --global --add safe\.directory .+)$", re.MULTILINE)


def kind_of(stderr: str) -> FailureKind:
    """The kind of failure that git's error output tells of."""
    # What stands in quotes is an address or a path: somebody chose it, so it says nothing about the failure.
    said = _QUOTED.sub("''", stderr)
    return next((kind for kind, text in _KINDS if re.search(text, said)), FailureKind.OTHER)


def before_announcement(stderr: str) -> bool:
    """True if git surely ended before the server had said anything that a push could follow."""
    # A hook on the server may run git itself and print the like: only our own git's words count.
    return bool(_BEFORE_ANNOUNCEMENT.search(_SAID_BY_SERVER.sub("", stderr)))


def without_user_info(text: str) -> str:
    """The text with `user:password@` taken out of every URL."""
    return _USER_INFO.sub("", text)


def _without_query(text: str) -> str:
    """The text with what follows a question mark taken out of every URL of the web: it may be a token."""
    for query in (_QUERY_IN_QUOTES, _QUERY):
        text = query.sub(lambda found: found["kept"], text)
    return text


def spoken(text: str) -> tuple[str, ...]:
    """What git and the server said, one screen at most: no blank lines, no hints, no user info."""
    lines = (_without_query(without_user_info(line)).rstrip() for line in text.splitlines())
    kept = [line[:_WIDTH] for line in lines if line.strip() and not line.startswith("hint:")]
    return tuple(kept[:_LINES])


def owner_fix(stderr: str) -> str | None:
    """The line that git itself names for a repository of another user."""
    found = _OWNER_FIX.search(stderr)
    return found[1].strip() if found else None


def unreachable(address: str, stderr: str, *, doing: str) -> UnavailableError:
    """The error for a remote that did not answer; `doing` is what was tried ("read the tags of")."""
    kind = kind_of(stderr)
    return UnavailableError(
        f"Could not {doing} {address}: {kind.value}.",
        unchanged="Nothing was changed.",
        details=spoken(stderr),
        next_step=owner_fix(stderr) or f"git ls-remote {shlex.quote(address)}",
    )


def local_failure(doing: str, stderr: str) -> UnavailableError:
    """The error for a git command that failed on this machine; `doing` is what was tried."""
    return UnavailableError(
        f"git could not {doing}.",
        unchanged="Nothing was changed.",
        details=spoken(stderr),
        next_step=owner_fix(stderr),
    )
