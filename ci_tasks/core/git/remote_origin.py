"""A remote as the place that holds the tags: each call names its one address; objects go to the store."""

from __future__ import annotations

import random
import re
import time
from typing import TYPE_CHECKING

from ci_tasks.core.errors import UnavailableError
from ci_tasks.core.git.failures import kind_of, spoken, unreachable
from ci_tasks.core.git.origin import (
    PEELED,
    MovedError,
    Origin,
    RawObject,
    RemoteRef,
    by_id,
    checked_id,
    names_of,
    parse_listing,
    require_commit,
)
from ci_tasks.core.git.process import NETWORK_TIMEOUT, GitAnswer
from ci_tasks.core.git.push import PushOutcome, RefUpdate, outcome_of, push_command
from ci_tasks.core.git.signer import SignerError
from ci_tasks.core.git.store import WHOLE_HISTORY, PrivateStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ci_tasks.core.git.objects import ObjectDatabase
    from ci_tasks.core.git.signer import Signer

_FEW = 20  # names that are worth handing to ls-remote: it compares every ref with every name
_MANY = 64  # refs that are fetched by id: git compares every refspec with every ref of the remote
_READ_TRIES = 3
_PASSING = re.compile(r"\.lock': File exists|shallow file has changed")
_MISSING_REF = re.compile(r"couldn't find remote ref (\S+)|not our ref ([0-9a-f]+)")


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
        signer: Signer,
        timeout: float = NETWORK_TIMEOUT,
    ) -> None:
        super().__init__(address, store, signer)
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
            [part for name in patterns for part in (name, name + PEELED)]
            if exact and len(patterns) <= _FEW
            else []
        )
        answer = self._ask(["ls-remote", *options, "--", self._url, *names], doing="read the refs of")
        return parse_listing(answer.stdout, patterns)

    def tip(self, name: str) -> str | None:
        """One fetch of just this ref: `ls-remote` would have the remote list all its tags.

        The object comes along, so reading it costs nothing more.
        """
        command = self._store.fetch_command(self._url, depth=None if self._store.lends else 1)
        space = self._store.new_space()
        fetched: dict[str, str] = {}
        try:
            self._ask(command, stdin=f"{name}:{space}0\n".encode(), doing="read the refs of")
        except MovedError:
            return None
        finally:
            fetched = self._store.take_refs(space)
        return fetched.get(f"{space}0")

    def objects(self, refs: Sequence[RemoteRef]) -> dict[str, RawObject]:
        """What is here needs no fetch: the listing says which object it is, and objects never change."""
        wanted = {ref.object_id: ref for ref in refs}
        try:
            here = by_id(self._store, wanted, skip_missing=True)
        except UnavailableError:
            self._store.replace()  # an object that is listed and can't be read: the store is damaged
            here = by_id(self._store, wanted, skip_missing=True)
        missing = [ref for object_id, ref in wanted.items() if object_id not in here]
        self._fetch(missing)
        return {**here, **by_id(self._store, [ref.object_id for ref in missing])}

    def ensure_commit(self, ref: RemoteRef) -> str:
        """Fetches only if the commit, a tree or a file is missing.

        A complete clone that has a commit has its files as well, so there the commit alone is looked for.
        """
        commit = ref.peeled or ref.object_id
        if self._store.lends and self._store.kinds([commit]).get(commit) == "commit":
            return commit
        if not self._store.is_whole(commit):
            self._fetch([ref])
            if not self._store.is_whole(commit):
                raise UnavailableError(
                    f"{ref.name} was fetched, but not all of its files.", unchanged="Nothing was changed."
                )
        return require_commit(self._store, ref, commit)

    def write_tag(self, content: bytes, *, sign: bool = False) -> str:
        """As in Origin; a commit that only the user's shallow clone has is brought to the store first.

        A store that was damaged or removed since it was made ready (a script may do that) is made anew.
        """
        target = re.match(rb"object ([0-9a-f]{40,64})\n", content)
        self._store.make_ready()
        if target and not self._store.lends:
            self._bring(target[1].decode())
        try:
            return super().write_tag(content, sign=sign)
        except SignerError:
            raise
        except UnavailableError as error:
            self._store.mend("\n".join(error.details))
            if target:
                self._bring(target[1].decode())
            return super().write_tag(content, sign=sign)

    def push(self, updates: Sequence[RefUpdate], *, abandon: Callable[[], bool] | None = None) -> PushOutcome:
        """One `git push` with a lease on every ref."""
        command = push_command(self._url, updates)
        answer = self._store.git(*command, timeout=self._timeout, abandon=abandon)
        return outcome_of(answer, updates, address=self.address)

    def is_ancestor(self, commit: str, refs: Sequence[RemoteRef]) -> bool:
        """A "yes" is believed; before a "no", the branches' whole history is fetched."""
        checked_id(commit)
        tips = self._fetched(refs)
        answer = self._reaches(commit, tips)
        if answer is None:
            self._fetch(list(tips.values()), depth=WHOLE_HISTORY)
            answer = self._reaches(commit, tips)
        if answer is None:
            raise UnavailableError(
                f"Can't tell whether {commit} is in the history of {names_of(refs)}: the remote itself"
                " has only a part of that history.",
                unchanged="Nothing was changed.",
                next_step="git fetch --unshallow",
            )
        return answer

    def whole_history(self, refs: Sequence[RemoteRef]) -> ObjectDatabase:
        """As in Origin; fetched only where a part is missing."""
        tips = self._fetched(refs)
        if not self._is_complete(tips):
            self._fetch(list(tips.values()), depth=WHOLE_HISTORY)
        if not self._is_complete(tips):
            raise UnavailableError(
                f"The remote itself has only a part of the history of {names_of(refs)}.",
                unchanged="Nothing was changed.",
            )
        return self._store

    def _fetched(self, refs: Sequence[RemoteRef]) -> dict[str, RemoteRef]:
        """The refs by the objects that they point to, all of which are here now."""
        tips = {ref.object_id: ref for ref in refs}
        here = self._store.kinds(list(tips))
        self._fetch([ref for object_id, ref in tips.items() if object_id not in here])
        return tips

    def _reaches(self, commit: str, tips: dict[str, RemoteRef]) -> bool | None:
        """Whether the commit is in the history of a tip; None if that history is cut before it is found."""
        answers = set()
        for tip in tips:
            answers.add(self._store.has_ancestor(commit, tip))
            if True in answers:
                return True
        return None if (None in answers or self._store.is_shallow) and not self._is_complete(tips) else False

    def _is_complete(self, tips: dict[str, RemoteRef]) -> bool:
        """True if the whole history of the tips is in the store."""
        answer = self._store.git("rev-list", "--stdin", stdin="".join(f"{tip}\n" for tip in tips).encode())
        return answer.status == 0 and self._store.shallow_commits().isdisjoint(answer.stdout.decode().split())

    def _fetch(self, refs: Sequence[RemoteRef], *, depth: int | None = None) -> None:
        """Fetch these refs into a namespace that is deleted at once; the objects stay.

        Many of them are fetched by the ids that were listed, and into no ref: 10,000 refspecs against 100,000
        refs take git minutes. Without a lent history only the newest commit of each is fetched, unless
        `depth` says more.
        """
        if not refs:
            return
        command = self._store.fetch_command(self._url, depth=depth or (None if self._store.lends else 1))
        if len(refs) > _MANY:
            ids = "".join(f"{ref.object_id}\n" for ref in refs)
            self._ask(command, stdin=ids.encode(), doing="fetch from")
            self._store.collect_garbage()
            return
        space = self._store.new_space()
        wanted = {f"{space}{number}": ref for number, ref in enumerate(refs)}
        specs = "".join(f"{ref.name}:{name}\n" for name, ref in wanted.items()).encode()
        try:
            self._ask(command, stdin=specs, doing="fetch from")
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

    def _ask(self, command: Sequence[str], *, doing: str, stdin: bytes = b"") -> GitAnswer:
        """A read over the network; tried again, three times at most, where the failure may pass."""
        end = time.monotonic() + self._timeout
        for tries_left in reversed(range(_READ_TRIES)):
            answer = self._store.git(*command, stdin=stdin, timeout=self._timeout)
            if answer.status == 0:
                return answer
            gone = _MISSING_REF.search(answer.stderr)
            if gone:
                raise MovedError(gone[1] or gone[2])
            if self._store.is_damaged(answer.stderr):
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
