"""The place that holds the tags: a remote's one address, or the repository itself where it has no remote."""

from __future__ import annotations

import random
import re
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

from ci_tasks.core.errors import ConflictError, RefusedError, UnavailableError, UsageError
from ci_tasks.core.git_failures import kind_of, local_failure, spoken, unreachable
from ci_tasks.core.git_objects import ObjectDatabase, RawObject, TreeEntry
from ci_tasks.core.git_process import NETWORK_TIMEOUT, GitAnswer
from ci_tasks.core.git_store import WHOLE_HISTORY, PrivateStore
from ci_tasks.core.push import (
    PushOutcome,
    PushResult,
    RefUpdate,
    not_applied,
    outcome_of,
    push_command,
    until_known,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

__all__ = ["MovedError", "Origin", "OwnOrigin", "RawObject", "RemoteOrigin", "RemoteRef", "TreeEntry"]

_FEW = 20  # names that are worth handing to ls-remote: it compares every ref with every name
_LARGEST = 1 << 24  # bytes; a tag or commit is far smaller, but a tag may lead to any file
_READ_TRIES = 3
_PASSING = re.compile(r"\.lock': File exists|shallow file has changed")
_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_MISSING_REF = re.compile(r"couldn't find remote ref (\S+)")
_PEELED = "^{}"


class RemoteRef(NamedTuple):
    """A ref as the remote lists it; `peeled` is what an annotated tag leads to, None for everything else."""

    name: str
    object_id: str
    peeled: str | None = None


class MovedError(ConflictError):
    """A ref has moved between its listing and its reading; `name` is the full ref. Read again."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} was moved while it was being read.", unchanged="Nothing was changed.")
        self.name = name


class Origin(ABC):
    """Reads and writes the refs of one place; a remote and the repository itself answer alike.

    `address` is for people and records: it has no user info. Every method raises UnavailableError where git,
    the network or the login fails; a failed read is never an empty answer.
    """

    is_self: bool

    def __init__(self, address: str, database: ObjectDatabase) -> None:
        self.address = address
        self._database = database

    @abstractmethod
    def refs(self, *patterns: str) -> tuple[RemoteRef, ...]:
        """The refs with these full names ("refs/tags/v1"), or below these prefixes ("refs/tags/")."""

    @abstractmethod
    def objects(self, refs: Sequence[RemoteRef]) -> dict[str, RawObject]:
        """The objects that the refs point to, by id. Raises MovedError if one has moved since its listing."""

    @abstractmethod
    def ensure_commit(self, ref: RemoteRef) -> str:
        """Make the commit that the ref leads to readable here with all its files; gives its id."""

    @abstractmethod
    def push(self, updates: Sequence[RefUpdate]) -> PushOutcome:
        """Move all refs or none, in one attempt. Raises UnavailableError if it ended before a push began."""

    @abstractmethod
    def is_ancestor(self, commit: str, refs: Sequence[RemoteRef]) -> bool:
        """True if the commit is in the history of one of these branches; missing history is never a "no"."""

    def commit_files(self, commit: str, *, under: Sequence[str] = ()) -> tuple[TreeEntry, ...]:
        """All files of a commit that `ensure_commit` gave, or those under some folders."""
        return self._database.files(_checked_id(commit), under)

    def blobs(self, ids: Sequence[str]) -> Iterator[RawObject]:
        """Objects in the order asked for, one in memory at a time."""
        return self._database.read([_checked_id(object_id) for object_id in ids])

    def write_tag(self, content: bytes) -> str:
        """Write a tag object, checked by git, where `push` finds it; gives its id."""
        return self._database.write_tag(content)

    def push_until_known(
        self, updates: Sequence[RefUpdate], *, tries: int = 5, stop: Callable[[], bool] = lambda: False
    ) -> PushOutcome:
        """Push, and push the same objects again until it is known what became of them, `tries` times at most.

        `stop` is asked between attempts; giving up leaves UNKNOWN if an attempt got no answer. Raises
        UnavailableError if the first attempt failed before a push began.
        """
        return until_known(
            lambda: self.push(updates), tries=tries, stop=stop, landed=lambda: self._has(updates)
        )

    def _has(self, updates: Sequence[RefUpdate]) -> bool:
        """True if every ref has the value that the updates give it."""
        now = {ref.name: ref.object_id for ref in self.refs(*(update.ref for update in updates))}
        return all(now.get(update.ref) == update.new for update in updates)


class RemoteOrigin(Origin):
    """A remote, named by its address in every call; what is fetched goes to a private store."""

    is_self = False

    def __init__(
        self,
        url: str,
        store: PrivateStore,
        *,
        address: str,
        local_git_dir: Path,
        timeout: float = NETWORK_TIMEOUT,
    ) -> None:
        super().__init__(address, store)
        self._url = url
        self._store = store
        self._local_git_dir = local_git_dir
        self._timeout = timeout

    def refs(self, *patterns: str) -> tuple[RemoteRef, ...]:
        """One `ls-remote`, whose answers are filtered by full name: git itself matches the tails of names."""
        if not patterns:
            return ()
        sides = [
            side for side in ("tags", "heads") if any(name.startswith(f"refs/{side}/") for name in patterns)
        ]
        listed = all(name.startswith(("refs/tags/", "refs/heads/")) for name in patterns)
        options = [f"--{side}" for side in sides] if listed else []
        exact = not any(name.endswith("/") for name in patterns)
        names = (
            [part for name in patterns for part in (name, name + _PEELED)]
            if exact and len(patterns) <= _FEW
            else []
        )
        answer = self._ask(["ls-remote", *options, "--", self._url, *names], doing="read the refs of")
        return parse_listing(answer.stdout, patterns)

    def objects(self, refs: Sequence[RemoteRef]) -> dict[str, RawObject]:
        """What is here needs no fetch: the listing says which object it is, and objects never change."""
        by_id = {ref.object_id: ref for ref in refs}
        here = self._store.kinds(list(by_id))
        self._fetch([ref for object_id, ref in by_id.items() if object_id not in here])
        try:
            return _by_id(self._store, by_id)
        except UnavailableError:
            self._store.replace()  # an object that is listed and can't be read: the store is damaged
            here = self._store.kinds(list(by_id))
            self._fetch([ref for object_id, ref in by_id.items() if object_id not in here])
            return _by_id(self._store, by_id)

    def ensure_commit(self, ref: RemoteRef) -> str:
        """Fetches only if the commit, a tree or a file is missing."""
        commit = ref.peeled or ref.object_id
        if not self._store.is_whole(commit):
            self._fetch([ref])
            if not self._store.is_whole(commit):
                raise UnavailableError(
                    f"{ref.name} was fetched, but not all of its files.", unchanged="Nothing was changed."
                )
        return _require_commit(self._store, ref, commit)

    def write_tag(self, content: bytes) -> str:
        """As in Origin; a commit that only the user's shallow clone has is brought to the store first."""
        target = re.match(rb"object ([0-9a-f]+)\n", content)
        if target and not self._store.lends:
            self._bring(target[1].decode())
        return super().write_tag(content)

    def push(self, updates: Sequence[RefUpdate]) -> PushOutcome:
        """One `git push` with a lease on every ref."""
        answer = self._store.git(*push_command(self._url, updates), timeout=self._timeout)
        return outcome_of(answer, updates, address=self.address)

    def is_ancestor(self, commit: str, refs: Sequence[RemoteRef]) -> bool:
        """A "yes" is believed; before a "no", the branches' whole history is fetched."""
        _checked_id(commit)
        tips = {ref.object_id: ref for ref in refs}
        here = self._store.kinds(list(tips))
        self._fetch([ref for object_id, ref in tips.items() if object_id not in here])
        if self._reaches(commit, tips):
            return True
        if not tips or not self._cut(tips):
            return False
        self._fetch(list(tips.values()), depth=WHOLE_HISTORY)
        if self._reaches(commit, tips):
            return True
        if self._cut(tips):
            raise UnavailableError(
                f"Can't tell whether {commit} is in the history of {_names(refs)}: the remote itself"
                " has only a part of that history.",
                unchanged="Nothing was changed.",
                next_step="git fetch --unshallow",
            )
        return False

    def _reaches(self, commit: str, tips: dict[str, RemoteRef]) -> bool:
        return any(self._store.has_ancestor(commit, tip) for tip in tips)

    def _cut(self, tips: dict[str, RemoteRef]) -> bool:
        """True if the history of a tip is cut in the store."""
        cut = self._store.shallow_commits()
        if not cut:
            return False
        answer = self._store.git("rev-list", "--stdin", stdin="".join(f"{tip}\n" for tip in tips).encode())
        return answer.status != 0 or not cut.isdisjoint(answer.stdout.decode().split())

    def _fetch(self, refs: Sequence[RemoteRef], *, depth: int | None = None) -> None:
        """Fetch these refs into a namespace that is deleted at once; the objects stay.

        Without a lent history only the newest commit of each is fetched, unless `depth` says more.
        """
        if not refs:
            return
        space = self._store.new_space()
        wanted = {f"{space}{number}": ref for number, ref in enumerate(refs)}
        command = self._store.fetch_command(self._url, depth=depth or (None if self._store.lends else 1))
        specs = "".join(f"{ref.name}:{name}\n" for name, ref in wanted.items()).encode()
        try:
            self._ask(command, stdin=specs, doing="fetch from", repairs=True)
        finally:
            fetched = self._store.take_refs(space)
        for name, ref in wanted.items():
            if fetched.get(name) != ref.object_id:
                raise MovedError(ref.name)
        self._store.collect_garbage()

    def _bring(self, commit: str) -> None:
        """Copy a commit into the store: from the user's clone, else by its id from the remote."""
        if commit in self._store.kinds([commit]):
            return
        space = self._store.new_space()
        spec = f"{commit}:{space}0\n".encode()
        try:
            for url, depth in ((str(self._local_git_dir), None), (self._url, 1)):
                command = self._store.fetch_command(url, depth=depth, update_shallow=depth is None)
                answer = self._store.git(*command, stdin=spec, timeout=self._timeout)
                if answer.status == 0:
                    return
        finally:
            self._store.take_refs(space)
        raise UnavailableError(
            f"The commit {commit} is neither here nor at {self.address}.",
            unchanged="Nothing was changed.",
            details=spoken(answer.stderr),
            next_step="git fetch --unshallow",
        )

    def _ask(
        self, command: Sequence[str], *, doing: str, stdin: bytes = b"", repairs: bool = False
    ) -> GitAnswer:
        """A read over the network; tried again, three times at most, where the failure may pass."""
        end = time.monotonic() + self._timeout
        for tries_left in reversed(range(_READ_TRIES)):
            answer = self._store.git(*command, stdin=stdin, timeout=self._timeout)
            if answer.status == 0:
                return answer
            gone = _MISSING_REF.search(answer.stderr)
            if gone:
                raise MovedError(gone[1])
            if repairs and self._store.is_damaged(answer.stderr):
                self._store.replace()
            elif not (kind_of(answer.stderr).may_pass or _PASSING.search(answer.stderr)):
                break
            if not tries_left or answer.timed_out or time.monotonic() > end:
                break
            time.sleep(random.uniform(0.3, 1.0))  # noqa: S311 - spreads readers, guards no secret
        if answer.timed_out:
            raise unreachable(
                self.address, f"timed out after {self._timeout:.0f} seconds\n{answer.stderr}", doing=doing
            )
        raise unreachable(self.address, answer.stderr, doing=doing)


class OwnOrigin(Origin):
    """The repository itself, where it has no remote; no hook of it runs."""

    is_self = True

    def __init__(
        self, database: ObjectDatabase, *, address: str, object_format: str, is_shallow: bool
    ) -> None:
        super().__init__(address, database)
        self._absent = "0" * (64 if object_format == "sha256" else 40)
        self._is_shallow = is_shallow

    def refs(self, *patterns: str) -> tuple[RemoteRef, ...]:
        """One `for-each-ref`."""
        if not patterns:
            return ()
        answer = self._database.git(
            "for-each-ref", "--format=%(objectname)%09%(refname)%0a%(*objectname)%09%(refname)^{}", *patterns
        )
        if answer.status:
            raise local_failure("list the refs", answer.stderr)
        return parse_listing(answer.stdout, patterns)

    def objects(self, refs: Sequence[RemoteRef]) -> dict[str, RawObject]:
        """Everything is here."""
        return _by_id(self._database, {ref.object_id for ref in refs})

    def ensure_commit(self, ref: RemoteRef) -> str:
        """Checks that the commit and its files are here."""
        commit = ref.peeled or ref.object_id
        if not self._database.is_whole(commit):
            raise UnavailableError(f"Some files of {ref.name} are not here.", next_step=f"git fsck {commit}")
        return _require_commit(self._database, ref, commit)

    def is_ancestor(self, commit: str, refs: Sequence[RemoteRef]) -> bool:
        """As in Origin; nothing can be fetched, so a "no" of a shallow clone is an error."""
        _checked_id(commit)
        if any(self._database.has_ancestor(commit, ref.object_id) for ref in refs):
            return True
        if self._is_shallow and refs:
            raise UnavailableError(
                f"Can't tell whether {commit} is in the history of {_names(refs)}: this clone is shallow.",
                unchanged="Nothing was changed.",
                next_step="git fetch --unshallow",
            )
        return False

    def push(self, updates: Sequence[RefUpdate]) -> PushOutcome:
        """One `git update-ref` transaction with old values."""
        now = {ref.name: ref.object_id for ref in self.refs(*(update.ref for update in updates))}
        commands = "".join(self._command(update, now.get(update.ref)) for update in updates)
        answer = self._database.git(
            "update-ref", "--stdin", "-z", stdin=f"start\0{commands}prepare\0commit\0".encode()
        )
        message = "\n".join(spoken(answer.stderr))
        if answer.status == 0:
            return PushOutcome(result=PushResult.APPLIED, message=message)
        if answer.status > 0 and b"prepare: ok" not in answer.stdout:
            return not_applied("", answer.stderr, message=message)
        return PushOutcome(
            result=PushResult.UNKNOWN, message=message or f"git ended with status {answer.status}"
        )

    def _command(self, update: RefUpdate, now: str | None) -> str:
        """What is there already is only verified, so that it answers as a push does ("=")."""
        if now == update.new and now is not None:
            return f"verify {update.ref}\0{now}\0"
        if update.new is None:
            return f"delete {update.ref}\0{update.old or self._absent}\0"
        return f"update {update.ref}\0{update.new}\0{update.old or self._absent}\0"


def parse_listing(output: bytes, patterns: Sequence[str]) -> tuple[RemoteRef, ...]:
    """Lines of "<id> TAB <full name>", a tag's peeled id after it; filtered by full name or prefix."""
    exact = {name for name in patterns if not name.endswith("/")}
    prefixes = tuple(name for name in patterns if name.endswith("/"))
    found: dict[str, RemoteRef] = {}
    for line in output.decode("utf-8", "surrogateescape").split("\n"):
        object_id, _, name = line.partition("\t")
        if not object_id:
            continue
        if name.endswith(_PEELED):
            name = name[:-3]
            if name in found:
                found[name] = RemoteRef(name, found[name].object_id, object_id)
        elif name in exact or name.startswith(prefixes):
            found[name] = RemoteRef(name, object_id, None)
    return tuple(found.values())


def _names(refs: Sequence[RemoteRef]) -> str:
    return ", ".join(ref.name for ref in refs)


def _by_id(database: ObjectDatabase, ids: Iterable[str]) -> dict[str, RawObject]:
    return {found.object_id: found for found in database.read(list(ids), limit=_LARGEST)}


def _require_commit(database: ObjectDatabase, ref: RemoteRef, object_id: str) -> str:
    kind = database.kinds([object_id]).get(object_id)
    if kind != "commit":
        raise RefusedError(
            f"{ref.name} leads to a {kind}, not to a commit.", unchanged="Nothing was changed."
        )
    return object_id


def _checked_id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise UsageError(f"{text!r} is not the full id of a git object.")
    return text
