"""The user's repository, found from a folder, and what can be asked of it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ci_tasks.core.errors import UnavailableError, UsageError
from ci_tasks.core.git.failures import local_failure, owner_fix, spoken
from ci_tasks.core.git.process import NETWORK_TIMEOUT, GitAnswer, require_version, run_git
from ci_tasks.core.signing import SigningFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci_tasks.core.git.origin import Origin

_QUESTIONS = (
    "--show-toplevel",
    "--git-dir",
    "--git-common-dir",
    "--is-shallow-repository",
    "--show-object-format",
)
_ACTOR = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*(\[bot\])?")
_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SPACE_OR_CONTROL = re.compile(r"[\x00-\x20\x7f]")


class Setting(NamedTuple):
    """One value of git's configuration; `scope` is system, global, local, worktree or command."""

    scope: str
    key: str
    value: str


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who writes a tag."""

    name: str
    email: str


class Repository:
    """The checkout that the command was typed in. Nothing here changes it."""

    def __init__(
        self, root: Path, git_dir: Path, common_dir: Path, *, is_shallow: bool, object_format: str
    ) -> None:
        self.root = root
        self.git_dir = git_dir
        self.common_dir = common_dir
        self.is_shallow = is_shallow
        self.object_format = object_format

    @classmethod
    def discover(cls, start: Path) -> Repository:
        """The repository around a folder.

        Raises UsageError if there is none, UnavailableError if it is another user's or git can't be used.
        """
        if not start.is_dir():
            raise UsageError(f"{start} is not a folder.")
        answer, lines = _asked(start, *_QUESTIONS)
        if not answer.status and len(lines) > len(_QUESTIONS):  # a path has a line end in it
            lines = ["\n".join(_asked(start, question)[1]) for question in _QUESTIONS]
        if answer.status or len(lines) != len(_QUESTIONS):
            raise _no_repository(start, answer)
        root, git_dir, common_dir = (Path(line) for line in lines[:3])
        return cls(root, git_dir, common_dir, is_shallow=lines[3] == "true", object_format=lines[4])

    @cached_property
    def configuration(self) -> tuple[Setting, ...]:
        """The configuration of git in the order in which it applies, read once; includes are followed."""
        answer = self._git("config", "--list", "--show-scope", "-z")
        if answer.status:
            raise local_failure("read its configuration", answer.stderr)
        fields = answer.stdout.decode("utf-8", "surrogateescape").split("\0")
        pairs = zip(fields[::2], (field.partition("\n") for field in fields[1::2]), strict=False)
        return tuple(Setting(scope, key, value if found else "true") for scope, (key, found, value) in pairs)

    @property
    def is_partial(self) -> bool:
        """True if objects are missing here on purpose (git clone --filter)."""
        return any(
            setting.key == "extensions.partialclone"
            or (
                setting.key.startswith("remote.")
                and setting.key.endswith(".promisor")
                and setting.value == "true"
            )
            for setting in self.configuration
        )

    def head(self) -> str | None:
        """The id of the commit that is checked out; None before the first commit."""
        answer = self._git("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        if answer.status > 1 or answer.status < 0:
            raise local_failure("read HEAD", answer.stderr)
        return answer.stdout.decode().strip() or None

    def is_unpushed(self, commit: str, remote: str) -> bool:
        """True where this clone knows branches of the remote, and the commit is on none of them."""
        refs = f"refs/remotes/{remote}/"
        there = self._git("for-each-ref", "--count=1", f"--contains={commit}", "--format=%(refname)", refs)
        if there.status or there.stdout:
            return False
        return bool(self._git("for-each-ref", "--count=1", "--format=%(refname)", refs).stdout)

    def branch(self) -> str | None:
        """The short name of the branch that is checked out; None for a detached HEAD."""
        answer = self._git("symbolic-ref", "--quiet", "--short", "HEAD")
        if answer.status > 1 or answer.status < 0:
            raise local_failure("read HEAD", answer.stderr)
        return answer.stdout.decode().strip() or None

    def resolve_commit(self, revision: str) -> str:
        """The commit id of a revision that a user typed. Raises UsageError for one that git does not know."""
        if not revision or revision.startswith("-") or not revision.isprintable():
            raise UsageError(f"{revision!r} is not a revision.")
        answer = self._git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
        found = answer.stdout.decode().strip()
        if answer.status or not _ID.fullmatch(found):  # `^main` is all commits but those of main
            cut = self.is_shallow
            raise UsageError(
                f"There is no commit {revision!r} here{', but this clone is shallow' if cut else ''}.",
                details=spoken(answer.stderr),
                next_step="git fetch --unshallow" if cut else "git log --oneline -5",
            )
        return found

    def identity(self) -> Identity:
        """Who git says you are; else who started the workflow. Raises UsageError if nobody says so."""
        answer = self._git("-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT")
        said = re.match(
            r"(?P<name>.*) <(?P<email>.*)> \d+ [+-]\d+$", answer.stdout.decode("utf-8", "replace").strip()
        )
        if answer.status == 0 and said and said["name"]:
            return Identity(name=said["name"], email=said["email"])
        actor = os.environ.get("GITHUB_ACTOR", "")
        if _ACTOR.fullmatch(actor):
            return Identity(name=actor, email=f"{actor}@users.noreply.github.com")
        raise UsageError(
            "git does not know who you are, and tags carry the name of who wrote them.",
            unchanged="Nothing was changed.",
            next_step='git config --global user.name "You"; git config --global user.email you@example.org',
        )

    def changed_paths(self, folders: Sequence[str]) -> tuple[str, ...]:
        """Paths below the folders that are not as committed: staged, unstaged or untracked; "" is the root.

        Paths are relative to the root and sorted.
        """
        if not folders:
            return ()
        answer = self._git(
            "--literal-pathspecs",
            "status",
            "--porcelain=v1",
            "-z",
            "--untracked-files=all",
            "--no-renames",
            "--",
            *(folder or "." for folder in folders),
        )
        if answer.status:
            raise local_failure("look for changes", answer.stderr)
        entries = answer.stdout.decode("utf-8", "surrogateescape").split("\0")
        return tuple(sorted({entry[3:] for entry in entries if entry}))

    def origin(
        self,
        remote_name: str,
        *,
        timeout: float = NETWORK_TIMEOUT,
        sign: SigningFormat = SigningFormat.NONE,
    ) -> Origin:
        """The remote of this name, or the repository itself if it has no remote at all.

        Raises UsageError for an unknown remote, RefusedError for one with more than one address. `timeout` in
        seconds is for each call over the network; every tag that is written there is signed as `sign` says.
        """
        from ci_tasks.core.git.remote import find_origin  # noqa: PLC0415 - it needs Repository

        if not remote_name or remote_name.startswith("-") or _SPACE_OR_CONTROL.search(remote_name):
            raise UsageError(f"{remote_name!r} is not the name of a remote.")
        return find_origin(self, remote_name, timeout=timeout, sign=sign)

    def addresses(self, remote_name: str, *, push: bool) -> tuple[str, ...]:
        """The addresses of a remote as git uses them, `url.*.insteadOf` applied."""
        plain = self._plain_addresses(remote_name, push=push)
        if plain:
            return plain
        side = ["--push"] if push else []
        answer = self._git("remote", "get-url", *side, "--all", "--", remote_name)
        if answer.status:
            raise local_failure(f"read the address of the remote {remote_name}", answer.stderr)
        return tuple(answer.stdout.decode("utf-8", "surrogateescape").split("\n")[:-1])

    def _plain_addresses(self, remote_name: str, *, push: bool) -> tuple[str, ...]:
        """The addresses as they are written, where nothing rewrites them; else empty: git has to be asked."""
        if any(setting.key.startswith("url.") for setting in self.configuration):
            return ()
        found = {
            key: tuple(
                setting.value
                for setting in self.configuration
                if setting.key == f"remote.{remote_name}.{key}"
            )
            for key in ("url", "pushurl")
        }
        urls = (push and found["pushurl"]) or found["url"]
        return urls if all(urls) else ()  # an empty one takes back those before it, in newer versions of git

    def _git(self, *arguments: str) -> GitAnswer:
        return run_git(arguments, at=self.root)


def _asked(start: Path, *questions: str) -> tuple[GitAnswer, list[str]]:
    """What git says of the repository around a folder, and its lines; other line ends may be in a path."""
    answer = run_git(["rev-parse", "--path-format=absolute", *questions], at=start)
    return answer, os.fsdecode(answer.stdout).removesuffix("\n").split("\n")


def _no_repository(start: Path, answer: GitAnswer) -> UsageError | UnavailableError:
    require_version()
    fix = owner_fix(answer.stderr)
    if fix or "dubious ownership" in answer.stderr or "unsafe repository" in answer.stderr:
        return UnavailableError(
            f"The repository around {start} belongs to another user, so git does not read it.",
            unchanged="Nothing was changed.",
            details=spoken(answer.stderr)[:1],
            next_step=fix or f"git config --global --add safe.directory {start}",
        )
    if "not a git repository" in answer.stderr:
        return UsageError(f"{start} is not inside a git repository.", next_step="git init")
    if "must be run in a work tree" in answer.stderr or "bare repository" in answer.stderr:
        return UsageError(f"{start} has no work tree: type the command in a checkout.", next_step="git clone")
    return local_failure(f"find the repository around {start}", answer.stderr)
