"""A monorepo that can be deployed, and what its remote says about it afterwards."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.repositories import Monorepo, build_monorepo, git

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.conftest import Inv


@dataclass(frozen=True)
class Ledger:
    """An environment tag of the remote, taken apart without the code under test."""

    target: str
    prose: str
    header: dict[str, Any]
    records: list[dict[str, Any]]

    def live(self) -> dict[str, str | None]:
        """Region -> the version that is live there, with a `?` where that is uncertain."""
        return {
            region: f"{live['version']}?" if live["uncertain"] else live["version"]
            for region, live in self.header["live"].items()
        }

    def results(self) -> list[tuple[str | None, str, str]]:
        """Region, version and status of each record, in the tag's own order."""
        return [(record["region"], record["version"], record["status"]) for record in self.records]


@dataclass(frozen=True)
class Site:
    """The monorepo, and `inv` typed in it, with these variables; runs leave their files in `temporary`."""

    repository: Monorepo
    inv: Inv
    temporary: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def clone(self) -> Path:
        """The checkout that commands are typed in."""
        return self.repository.clone

    @property
    def remote(self) -> Path:
        """The bare repository that holds the tags."""
        return self.repository.remote

    def run(
        self, *line: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Type `inv` with this line."""
        private = {"TMPDIR": str(self.temporary), **self.variables}
        return self.inv(*line, cwd=cwd or self.clone, env={**private, **(env or {})})

    def ok(self, *line: str, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
        """Type it and expect exit code 0; what it printed on stdout."""
        done = self.run(*line, cwd=cwd, env=env)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def answer(
        self, *line: str, code: int = 0, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> Any:
        """Type it with --json; the document, which has to be all that stdout holds."""
        done = self.run(*line, "--json", cwd=cwd, env=env)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    def version(self, *names: str, commit: str = "HEAD", message: str = "A version") -> None:
        """Create annotated tags on the remote; the clone has no refs of them."""
        target = self.repository.git("rev-parse", "--verify", f"{commit}^{{commit}}")
        is_there = (self.remote / "objects" / target[:2] / target[2:]).exists()
        for name in names:
            git(
                "tag",
                "--annotate",
                name,
                target,
                "--message",
                message,
                cwd=self.remote if is_there else self.clone,
            )
        if not is_there:
            self.repository.git("push", "--quiet", "origin", *(f"refs/tags/{name}" for name in names))
            self.repository.git("tag", "--delete", *names)

    def script(self, body: str, name: str = "10-ci-record", folder: str = "scripts/deployment") -> None:
        """Write a deployment script of /bin/sh."""
        self.repository.write(
            f"{folder}/{name}.sh", f"#!/bin/sh\n# Description: test\n{body}\n", executable=True
        )

    def ledger(self, tag: str = "api/staging") -> Ledger:
        """Read an environment tag from the remote with git alone."""
        text = git("cat-file", "tag", f"refs/tags/{tag}", cwd=self.remote)
        head, _, message = text.partition("\n\n")
        prose, _, documents = message.partition("\n---\n")
        header, *records = [json.loads(line) for line in documents.splitlines()]
        return Ledger(head.splitlines()[0].removeprefix("object "), prose, header, records)

    def rewrite(self, edit: Callable[[Ledger], None], tag: str = "api/staging") -> None:
        """Put a changed ledger into an environment tag, as if somebody else had pushed it."""
        ledger = self.ledger(tag)
        edit(ledger)
        text = git("cat-file", "tag", f"refs/tags/{tag}", cwd=self.remote)
        documents = [
            json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            for document in (ledger.header, *ledger.records)
        ]
        message = "\n".join([text.partition("\n---\n")[0], "---", *documents, ""])
        self.put(tag, message)

    def put(self, tag: str, content: str) -> str:
        """Make a tag of the remote point to a tag object with this content; its id."""
        written = git("hash-object", "-t", "tag", "-w", "--stdin", cwd=self.remote, stdin=content)
        git("update-ref", f"refs/tags/{tag}", written, cwd=self.remote)
        return written

    def target(self, tag: str = "api/staging") -> str:
        """The commit that a tag of the remote stands on."""
        return git("rev-parse", f"refs/tags/{tag}^{{commit}}", cwd=self.remote)

    def remote_state(self) -> dict[str, bytes]:
        """Every file of the remote with its bytes, but for loose objects that nothing points to."""
        return {
            str(path.relative_to(self.remote)): path.read_bytes()
            for path in sorted(self.remote.rglob("*"))
            if path.is_file() and "objects" not in path.relative_to(self.remote).parts
        }

    def commit(self, message: str = "Change something") -> str:
        """Commit all there is and push it; the commit's id."""
        return self.repository.commit(message)


def make_site(folder: Path, inv: Inv) -> Site:
    """A monorepo below `folder` whose api has the version v1.0.0."""
    temporary = folder / "tmp"
    temporary.mkdir()
    site = Site(build_monorepo(folder), inv, temporary)
    site.version("api/v1.0.0")
    return site


@pytest.fixture
def site(tmp_path: Path, inv: Inv) -> Site:
    """A monorepo whose api has the version v1.0.0, on the remote only."""
    return make_site(tmp_path, inv)


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory: pytest.TempPathFactory, inv: Inv) -> Site:
    """The same for all tests of a module: for those that must not change anything."""
    return make_site(tmp_path_factory.mktemp("shared"), inv)
