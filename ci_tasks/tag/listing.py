"""One reading of the remote's tags, sorted by what their names say."""

from __future__ import annotations

from functools import cached_property
from shlex import quote
from typing import TYPE_CHECKING

from ci_tasks.core.errors import RefusedError
from ci_tasks.tag.grammar import EnvironmentTag, Grammar, StateTag, Tag, VersionTag, ref_of
from ci_tasks.tag.names import VersionState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ci_tasks.core.git.origin import RemoteRef

TAGS = "refs/tags/"


class Listing:
    """One reading of the remote's tags, sorted by what their names say."""

    def __init__(self, refs: Iterable[RemoteRef], grammar: Grammar) -> None:
        start = len(TAGS)
        self.refs: dict[str, RemoteRef] = {
            ref.name[start:] if ref.name.isascii() else _readable(ref.name[start:]): ref for ref in refs
        }
        self.grammar = grammar

    def tags(self) -> list[tuple[Tag, RemoteRef]]:
        """Every tag of ours."""
        read = self.grammar.read
        return [(tag, ref) for name, ref in self.refs.items() if (tag := read(name)) is not None]

    def foreign(self) -> list[str]:
        """The names that are none of ours."""
        return [name for name in self.refs if self.grammar.read(name) is None]

    def versions(self, subproject: str) -> list[VersionTag]:
        """The versions of one subproject, newest first in SemVer's order."""
        found = [tag for tag, _ in self._of(subproject) if isinstance(tag, VersionTag)]
        return sorted(found, key=lambda tag: tag.version.precedence, reverse=True)

    @cached_property
    def _state_names(self) -> frozenset[str]:
        """The names that end like a state tag's: few or none, where there are 100,000 versions."""
        endings = tuple(f"-{state.value}" for state in VersionState)
        return frozenset(name for name in self.refs if name.endswith(endings))

    def states(self, tag: VersionTag) -> tuple[VersionState, ...]:
        """What state tags say of a version, strongest first; their targets are not asked."""
        if not self._state_names:
            return ()
        return tuple(
            state
            for state in reversed(VersionState)
            if str(StateTag(subproject=tag.subproject, version=tag.version, state=state)) in self._state_names
        )

    def environments(self) -> list[EnvironmentTag]:
        """Every environment tag, by subproject, in the settings' order of environments.

        Only names that end in an environment's are looked at, so that 100,000 versions cost little.
        """
        known = {name: index for index, name in enumerate(self.grammar.environments)}
        found = [
            tag
            for name in self.refs
            if name[name.rfind("/") + 1 :] in known
            and isinstance(tag := self.grammar.read(name), EnvironmentTag)
        ]
        return sorted(found, key=lambda tag: (tag.subproject, known[tag.environment]))

    def subprojects(self) -> set[str]:
        """The subprojects that have a version tag; the empty one is the root project."""
        return {tag.subproject for tag, _ in self.tags() if isinstance(tag, VersionTag)}

    def _of(self, subproject: str) -> list[tuple[Tag, RemoteRef]]:
        prefix = f"{subproject}/" if subproject else ""
        return [
            (tag, ref)
            for name, ref in self.refs.items()
            if name.startswith(prefix)
            and "/" not in name[len(prefix) :]
            and (tag := self.grammar.read(name)) is not None
        ]

    def clash(self, tag: Tag) -> str | None:
        """The existing tag that git can't keep beside this one (`api` and `api/v1.0.0`), if there is one."""
        parts = str(tag).split("/")
        for length in range(1, len(parts)):
            shorter = "/".join(parts[:length])
            if shorter in self.refs:
                return shorter
        below = f"{tag}/"
        return next((name for name in self.refs if name.startswith(below)), None)

    def refuse_clash(self, tag: Tag, address: str) -> None:
        """Raise RefusedError where git can't keep a tag of this name; `address` is the remote's."""
        clash = self.clash(tag)
        if clash is not None:
            raise RefusedError(
                f"git can't keep the tags {clash} and {tag} side by side: one is a folder of the other.",
                unchanged="Nothing was changed.",
                next_step=f"git ls-remote {quote(address)} {quote(ref_of(clash))}",
            )


def _readable(name: str) -> str:
    r"""A tag's name as text: one that is not UTF-8 is foreign, and its other bytes are shown as `\xff`.

    git has no names with a backslash, so no two tags are shown alike, and what is shown can be typed.
    """
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
