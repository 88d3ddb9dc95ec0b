"""Where the commands of the stateful test are typed: a remote, a clone of today, and a stale clone."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.deploy.faulty_remote import KILL_SERVER, hook, once, remove_hook
from tests.repositories import git, write

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping
    from pathlib import Path

    from tests.conftest import Inv

REGIONS = {"staging": ("eu-west", "us-east"), "production": ("",)}
SCRIPT = """\
#!/bin/sh
# Description: Writes down that it ran
# Idempotent: yes
place="$DEPLOYMENT_ENVIRONMENT.$DEPLOYMENT_REGION"
echo "$place.$DEPLOYMENT_VERSION" >> ../recorded
test ! -e "../fail.$place"
"""
_GONE = {"lost answer": "post-receive", "lost request": "pre-receive"}


def template(folder: Path) -> Path:
    """A remote with one commit and two clones of it; no path stands in it, so that it can be copied."""
    folder.mkdir()
    git("init", "--quiet", "--template=", "--bare", "--initial-branch=main", "remote.git", cwd=folder)
    git("init", "--quiet", "--template=", "--initial-branch=main", "today", cwd=folder)
    clone = folder / "today"
    git("remote", "add", "origin", "../remote.git", cwd=clone)
    write(clone / "tasks.py", "from ci_tasks import ns  # noqa: F401\n")
    write(clone / "ci_tasks.yaml", "subprojects: [api]\n")
    write(clone / ".gitignore", "build/\n__pycache__/\n")
    write(clone / "api/main.txt", "one\n")
    for environment, regions in REGIONS.items():
        for region in regions:
            write(clone / "environments" / environment / region / "config.yml", "env: {}\n")
    write(clone / "scripts/deployment/10-ci-record.sh", SCRIPT, executable=True)
    git("add", "--all", cwd=clone)
    git("commit", "--quiet", "--message", "Begin", cwd=clone)
    git("push", "--quiet", "origin", "main", cwd=clone)
    shutil.copytree(clone, folder / "stale", symlinks=True)
    (folder / "tmp").mkdir()
    return folder


@dataclass(frozen=True)
class Site:
    """A copy of the template, and `inv` typed in its clones."""

    folder: Path
    inv: Inv

    def copy(self, to: Path) -> Site:
        """Another one as this one is now."""
        shutil.copytree(self.folder, to, symlinks=True)
        return Site(to, self.inv)

    @property
    def remote(self) -> Path:
        return self.folder / "remote.git"

    def run(
        self, *line: str, stale: bool = False, wire: str | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Type a line; `wire` says what happens to the answers of its pushes."""
        private = {"TMPDIR": str(self.folder / "tmp"), **(env or {})}
        clone = self.folder / ("stale" if stale else "today")
        if wire is None:
            return self.inv(*line, cwd=clone, env=private)
        name = _GONE[wire]
        hook(self.remote, name, once(self.folder / "tmp" / wire.replace(" ", "-"), KILL_SERVER))
        try:
            return self.inv(*line, cwd=clone, env=private)
        finally:
            remove_hook(self.remote, name)
            (self.folder / "tmp" / wire.replace(" ", "-")).unlink(missing_ok=True)

    def head(self, *, stale: bool = False) -> str:
        """What is checked out."""
        return git("rev-parse", "HEAD", cwd=self.folder / ("stale" if stale else "today"))

    def commit(self, text: str) -> str:
        """A commit of today, pushed; the stale clone does not hear of it."""
        clone = self.folder / "today"
        write(clone / "api/main.txt", f"{text}\n")
        git("commit", "--quiet", "--all", "--message", text, cwd=clone)
        git("push", "--quiet", "origin", "main", cwd=clone)
        return self.head()

    def fail(self, environment: str, regions: frozenset[str]) -> None:
        """From now on the scripts fail in these regions of the environment, and in no other one."""
        for region in REGIONS[environment]:
            path = self.folder / f"fail.{environment}.{region}"
            if region in regions:
                path.touch()
            else:
                path.unlink(missing_ok=True)

    def recorded(self) -> list[str]:
        """What the scripts wrote down, in their order."""
        path = self.folder / "recorded"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []
