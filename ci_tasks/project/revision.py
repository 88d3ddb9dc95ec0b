"""From a ref that somebody typed to the commits that the checkout is compared with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci_tasks.core.errors import UnavailableError, UsageError
from ci_tasks.core.git.difference import changed_files, merge_bases
from ci_tasks.core.git.objects import ObjectDatabase
from ci_tasks.core.git.origin import MovedError, RemoteRef
from ci_tasks.tag.listing import TAGS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci_tasks.core.checkout import Checkout
    from ci_tasks.tag.listing import Listing

_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_NOTHING = re.compile(r"0{40}|0{64}")
_FROM_HEAD = re.compile(r"(?:HEAD|@)(?P<way>(?:[~^][0-9]*)+)")
_HEADS = "refs/heads/"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What has changed in a checkout's commit since a ref; `bases` are the commits where the two part."""

    bases: tuple[str, ...]
    head: str
    files: tuple[str, ...]


def compare(checkout: Checkout, listing: Listing, since: str) -> Comparison:
    """Compare HEAD with its last common ancestors with `since`; of several, a difference to any counts.

    A tag is the remote's; all else is looked for here first, then among the remote's branches. A shallow
    clone has its history fetched. Raises UsageError for a ref that there is not, or whose history has nothing
    in common with HEAD's, UnavailableError where history is missing and can't be had, MovedError where the
    branch or tag has moved since it was listed.
    """
    head = head_of(checkout)
    ref, way = _find(checkout, listing, since, head)
    database = _with_history(checkout, (ref, RemoteRef(head, head)))
    commit = _commit_in(database, f"{ref.peeled or ref.object_id}{way}", since)
    bases = merge_bases(database, commit, head)
    if not bases:
        raise UsageError(
            f"{since} and what is checked out have no commit in common.", unchanged="Nothing was changed."
        )
    found = changed_files(database, [(each, head) for each in bases])
    files = {path for paths in found.values() for path in paths}
    return Comparison(bases=bases, head=head, files=tuple(sorted(files)))


def head_of(checkout: Checkout) -> str:
    """The commit that is checked out. Raises UsageError before the first one."""
    head = checkout.repository.head()
    if head is None:
        raise UsageError("There is no commit yet.", next_step='git commit --allow-empty --message "Begin"')
    return head


def _find(checkout: Checkout, listing: Listing, since: str, head: str) -> tuple[RemoteRef, str]:
    """Where the ref leads to, and the way from there that can only be gone in the whole history (`~1`)."""
    if _NOTHING.fullmatch(since):
        raise UsageError(
            f"{since} is no commit: it stands for a branch that was not there before.",
            unchanged="Nothing was changed.",
            details=["Compare with the branch that it will go to, such as origin/main."],
        )
    tag = listing.refs.get(since.removeprefix(TAGS).removeprefix("tags/"))
    if tag is not None:
        return tag, ""
    try:
        found = checkout.repository.resolve_commit(since)
    except UsageError:
        elsewhere = _look_elsewhere(checkout, since, head)
        if elsewhere is None:
            raise
        return elsewhere
    return RemoteRef(found, found), ""


def _look_elsewhere(checkout: Checkout, since: str, head: str) -> tuple[RemoteRef, str] | None:
    """The same for what this clone does not have; None where it can't be found."""
    if since.startswith("-") or since.endswith("/") or not since.isprintable():
        return None
    if _ID.fullmatch(since):
        return RemoteRef(since, since), ""
    way = _FROM_HEAD.fullmatch(since)
    if way and checkout.repository.is_shallow:
        return RemoteRef(head, head), way["way"]
    remote = checkout.settings.remote
    name = since.removeprefix(_HEADS).removeprefix(f"refs/remotes/{remote}/").removeprefix(f"{remote}/")
    there = checkout.origin.refs(f"{_HEADS}{name}")
    return (there[0], "") if there else None


def _with_history(checkout: Checkout, refs: Sequence[RemoteRef]) -> ObjectDatabase:
    """Where the history of all of these is whole: the clone itself, else the private store."""
    own = ObjectDatabase(checkout.repository.git_dir, at=checkout.root)
    wanted = {ref.object_id for ref in refs}
    if not checkout.repository.is_shallow and len(own.kinds(sorted(wanted))) == len(wanted):
        return own
    try:
        return checkout.origin.whole_history(refs)
    except MovedError as error:
        if not _ID.fullmatch(error.name):
            raise
        raise UnavailableError(
            f"The commit {error.name[:12]} is not on the remote any more, or not yet, and this clone does not"
            " have all of its history.",
            unchanged="Nothing was changed.",
            next_step="git fetch --unshallow" if checkout.repository.is_shallow else "git fetch",
        ) from None


def _commit_in(database: ObjectDatabase, name: str, since: str) -> str:
    """The commit that a name leads to; UsageError where it leads to none."""
    answer = database.git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    found = answer.stdout.decode().strip()
    if answer.status or not found:
        raise UsageError(f"{since!r} leads to no commit.", unchanged="Nothing was changed.")
    return found
