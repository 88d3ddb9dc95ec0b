"""What may stand in each setting: readers that give its value, or raise FieldError with what was expected."""

from __future__ import annotations

import re

from ci_tasks.core.errors import nearest
from ci_tasks.core.field import FieldError, as_map, as_seconds, as_text, as_texts
from ci_tasks.core.signing import SigningFormat

SHORTEST_LEASE, LONGEST_LEASE = 10.0, 86400.0  # seconds
SHORTEST_REVIEW, LONGEST_REVIEW = 3600.0, 90 * 86400.0  # seconds

_REMOTE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_ENVIRONMENT = re.compile(r"[a-z][a-z0-9-]{0,39}")
_PATTERN = re.compile(r"[a-z0-9*][a-z0-9._*-]{0,119}")
_PATH_PART = re.compile(r"[^\x00-\x1f\x7f/*\\-][^\x00-\x1f\x7f/*\\]{0,119}")
_FOLDER = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._-]{0,99}")
_FILE = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9._-]{0,99}")
_SIGNER = re.compile(r"[^\s,*?!\"#][^\s,*?!\"]{0,199}")
_TAG_WRITER = re.compile(r"app:[1-9][0-9]{0,11}|deploy-key")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\*?")
# Names that git or a file system has a use for: a tag or folder of that name would be trouble.
_RESERVED = frozenset(
    {"head", "refs", "heads", "tags", "remotes", "notes", "stash", "con", "prn", "aux", "nul"}
    | {f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10)}
)


def remote(value: object) -> str:
    """The name of a git remote."""
    name = as_text(value)
    if not _REMOTE.fullmatch(name) or ".." in name or name.endswith(".lock"):
        raise FieldError("the name of a git remote is expected, such as origin")
    return name


def environments(value: object) -> tuple[str, ...]:
    """Names of environments."""
    names = as_texts(value)
    if not names:
        raise FieldError("at least one environment is needed")
    for name in names:
        if not _ENVIRONMENT.fullmatch(name):
            same = [other for other in names if other != name and other.lower() == name.lower()]
            clash = f"; it differs from {same[0]} only by case" if same else ""
            raise FieldError(
                f"{name[:60]!r} can't be an environment: a-z, 0-9 and -, a letter first, 40 at most{clash}"
            )
        if name in _RESERVED:
            raise FieldError(
                f"{name!r} can't be an environment: git or a file system has a use for that name"
            )
    return names


def subprojects(value: object) -> tuple[str, ...]:
    """Paths of subprojects, a `*` for any part of a name."""
    patterns = as_texts(value)
    for pattern in patterns:
        parts = pattern.split("/")
        if "**" in pattern or not all(_PATTERN.fullmatch(part) and ".." not in part for part in parts):
            raise FieldError(
                f"{pattern[:60]!r} is no subproject's path: write api or services/* (a-z, 0-9 and ._-)"
            )
    return patterns


def depends_on(value: object) -> dict[str, tuple[str, ...]]:
    """What each subproject depends on: paths of subprojects, folders or files; `.` is the root project."""
    found: dict[str, tuple[str, ...]] = {}
    for key, below in as_map(value).items():
        try:
            found[key] = as_texts(below)
        except FieldError as error:
            raise FieldError(f"{key[:60]!r}: {error}") from None
        if not _is_path(key.replace("*", "x")):
            raise FieldError(f"{key[:60]!r} is no path: write web, services/* or .")
        for path in found[key]:
            if "*" in path:
                raise FieldError(f"{key[:60]!r}: {path[:60]!r} has a *, and each dependency has to be named")
            if not _is_path(path):
                raise FieldError(f"{key[:60]!r}: {path[:60]!r} is no path: write api or libs/common")
    return found


def _is_path(text: str) -> bool:
    parts = text.split("/")
    return text == "." or (
        not {".", "..", ".git"} & set(parts) and all(_PATH_PART.fullmatch(part) for part in parts)
    )


def lease(value: object) -> float:
    """Seconds of a lease."""
    seconds = as_seconds(value)
    if not SHORTEST_LEASE <= seconds <= LONGEST_LEASE:
        raise FieldError("a lease is at least 10s and at most 24h")
    return seconds


def reports(value: object) -> str:
    """A folder inside the repository."""
    path = as_text(value)
    parts = path.split("/")
    if not all(_FOLDER.fullmatch(part) for part in parts) or {".", "..", ".git"} & set(parts):
        raise FieldError("a folder inside the repository is expected, such as build/reports")
    if {"scripts", "environments"} & set(parts):
        raise FieldError("a folder of its own is expected: scripts/ and environments/ are read")
    return path


def variables(value: object) -> tuple[str, ...]:
    """Names of variables, a `*` at the end for any ending."""
    names = as_texts(value)
    for name in names:
        if not _VARIABLE.fullmatch(name):
            raise FieldError(f"{name[:60]!r} is not the name of a variable, such as KUBECONFIG or AWS_*")
    return names


def sign(value: object) -> SigningFormat:
    """With which format tags are signed."""
    word = as_text(value)
    try:
        return SigningFormat(word)
    except ValueError:
        close = nearest(word, [each.value for each in SigningFormat])
        hint = f"; did you mean {close}?" if close else ""
        raise FieldError(
            f"one of {', '.join(each.value for each in SigningFormat)} is expected{hint}"
        ) from None


def allowed_signers(value: object) -> str:
    """A file inside the repository."""
    path = as_text(value)
    parts = path.split("/")
    if not all(_FILE.fullmatch(part) for part in parts) or {".", "..", ".git"} & set(parts):
        raise FieldError("a file inside the repository is expected, such as environments/allowed_signers")
    return path


def admins(value: object) -> tuple[str, ...]:
    """Signers as the file of allowed signers names them."""
    names = as_texts(value)
    for name in names:
        if not _SIGNER.fullmatch(name):
            raise FieldError(
                f"{name[:60]!r} is no signer: write the name as the file of allowed signers has it, or the"
                " fingerprint of a GPG key"
            )
    return names


def review_within(value: object) -> float:
    """Seconds until a review is due."""
    seconds = as_seconds(value)
    if not SHORTEST_REVIEW <= seconds <= LONGEST_REVIEW:
        raise FieldError("the time for a review is at least 1h and at most 90d")
    return seconds


def tag_writer(value: object) -> str:
    """The actor of a hosting service that may write environment tags."""
    actor = as_text(value)
    if not _TAG_WRITER.fullmatch(actor):
        raise FieldError("app:ID (the id of a GitHub App) or deploy-key is expected")
    return actor
