"""A clone whose hooks are installed by the real `inv`, and git typed in it as people do."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.deploy.conftest import Site, make_site
from tests.repositories import Monorepo, build_monorepo

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.conftest import Inv


@dataclass(frozen=True)
class Hooked:
    """A monorepo and its clone; `git` gives what git said instead of failing the test."""

    repository: Monorepo
    inv: Inv

    @property
    def clone(self) -> Path:
        """The folder that git is typed in."""
        return self.repository.clone

    @property
    def folder(self) -> Path:
        """Where git looks for hooks, unless somebody says otherwise."""
        return self.clone / ".git/hooks"

    def git(
        self,
        *arguments: str,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
    ) -> subprocess.CompletedProcess[str]:
        """Type git, whatever comes of it."""
        done = subprocess.run(
            ["git", *arguments],
            cwd=cwd or self.clone,
            env={**os.environ, **(env or {})},
            input=stdin,
            check=False,
            capture_output=True,
        )
        said = (done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))
        return subprocess.CompletedProcess(done.args, done.returncode, *said)

    def install(self, *options: str, cwd: Path | None = None) -> str:
        """Type `inv hook.install`, expect exit code 0; what it said."""
        done = self.inv("hook.install", *options, cwd=cwd or self.clone)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def site(tmp_path: Path, inv: Inv) -> Site:
    """A monorepo whose api has the version v1.0.0, on the remote only."""
    return make_site(tmp_path, inv)


@pytest.fixture
def hooked(monorepo: Monorepo, inv: Inv) -> Hooked:
    """A clone without hooks; the test installs them."""
    return Hooked(monorepo, inv)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, inv: Inv) -> Hooked:
    """A clone with the client's hooks, for all tests of a module: for those that leave nothing behind."""
    found = Hooked(build_monorepo(tmp_path_factory.mktemp("installed")), inv)
    found.install()
    return found
