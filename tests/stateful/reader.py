"""Reads the remote with dulwich, and takes environment tags apart: by neither git nor the code under test."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dulwich.objects import Tag
from dulwich.refs import Ref
from dulwich.repo import Repo

if TYPE_CHECKING:
    from pathlib import Path

OPEN = ("PENDING", "RUNNING")


@dataclass(frozen=True)
class Seen:
    """An environment tag: the commit that it points to, its header, its records as they stand there."""

    stands_on: str
    header: dict[str, Any]
    lines: list[str]

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]

    @property
    def open(self) -> list[dict[str, Any]]:
        return [record for record in self.records if record["status"] in OPEN]

    @property
    def closed(self) -> list[dict[str, Any]]:
        return [record for record in self.records if record["status"] not in OPEN]

    def check_chain(self) -> None:
        """Every closed record names the bytes of the next older one; no deployment is there twice."""
        lines = [line for line in self.lines if json.loads(line)["status"] not in OPEN]
        assert [json.loads(line)["seq"] for line in lines] == list(range(len(lines), 0, -1))
        older = [hashlib.sha256(line.encode()).hexdigest() for line in lines[1:]]
        assert [json.loads(line)["prev"] for line in lines] == [*older, None][: len(lines)]
        names = [record["deploymentId"] for record in self.records]
        assert len(set(names)) == len(names)


def tags(remote: Path) -> dict[str, str]:
    """Every tag by its name, with the id that the ref holds."""
    with Repo(str(remote)) as repository:
        prefix = Ref(b"refs/tags")
        return {
            name.decode(): repository.refs[Ref(b"refs/tags/" + name)].decode()
            for name in repository.refs.keys(prefix)
        }


def environment(remote: Path, name: str) -> Seen | None:
    """An environment tag; None where there is none."""
    with Repo(str(remote)) as repository:
        ref = Ref(b"refs/tags/" + name.encode())
        if ref not in repository.refs:
            return None
        tag = repository[repository.refs[ref]]
        assert isinstance(tag, Tag)
        assert tag.name == name.encode()
        _, _, documents = tag.message.decode().partition("\n---\n")
        header, *lines = documents.splitlines()
        return Seen(tag.object[1].decode(), json.loads(header), lines)


def move(remote: Path, name: str, commit: str) -> None:
    """Let an environment tag point to another commit, as a hand with `git tag --force` does."""
    with Repo(str(remote)) as repository:
        ref = Ref(b"refs/tags/" + name.encode())
        old = repository[repository.refs[ref]]
        assert isinstance(old, Tag)
        new = old.copy()
        assert isinstance(new, Tag)
        new.object = (old.object[0], commit.encode())
        repository.object_store.add_object(new)
        repository.refs[ref] = new.id


def delete(remote: Path, name: str) -> None:
    """Delete a tag, as a hand with `git push --delete` does."""
    with Repo(str(remote)) as repository:
        del repository.refs[Ref(b"refs/tags/" + name.encode())]
