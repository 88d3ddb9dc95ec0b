"""Builds real repositories for the tests: a bare remote and a clone of a small monorepo."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

RECORD = """\
#!/bin/sh
# Description: Writes down what it was given
# Timeout: 30s
# Idempotent: yes
# Dry-run: supported
printf '%s %s\\n' "{name}" "${{GREETING:-}}" >> "$RECORD_TO"
echo "{name} said ${{GREETING:-}}"
"""


CONFIGURATION = "environments/config.yml"
ORIGIN = """\
[remote "origin"]
	url = {remote}
	fetch = +refs/heads/*:refs/remotes/origin/*
"""


def git(*arguments: str, cwd: Path, stdin: str | None = None) -> str:
    """What git prints, without the last line end; fails the test if git fails."""
    done = subprocess.run(
        ["git", *arguments], cwd=cwd, check=False, capture_output=True, text=True, input=stdin
    )
    assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr}"
    return done.stdout.removesuffix("\n")


def write(path: Path, content: str | bytes, *, executable: bool = False) -> Path:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(0o755 if executable else 0o644)
    return path


@dataclass(frozen=True)
class Monorepo:
    """A clone with one pushed commit on `main`, its bare remote, and the file that scripts write to."""

    clone: Path
    remote: Path
    record: Path

    def git(self, *arguments: str) -> str:
        """Run git in the clone."""
        return git(*arguments, cwd=self.clone)

    def write(self, path: str, text: str, *, executable: bool = False) -> Path:
        """Write a file of the clone."""
        return write(self.clone / path, text, executable=executable)

    def commit(self, message: str = "Change something") -> str:
        """Commit all there is and push it; returns the commit's id."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        self.git("push", "--quiet", "origin", "main")
        return self.git("rev-parse", "HEAD")

    def remote_refs(self) -> dict[str, str]:
        """Full name of every ref of the remote, with the id it holds (of the tag object, if it has one)."""
        listed = git("for-each-ref", "--format=%(refname) %(objectname)", cwd=self.remote)
        return dict(line.split(" ") for line in listed.splitlines())

    def recorded(self) -> list[str]:
        """What the deployment scripts wrote down: one "script greeting" line per run of a script."""
        return self.record.read_text(encoding="utf-8").splitlines() if self.record.exists() else []


def _configuration(record: Path) -> str:
    return f"env:\n  RECORD_TO: {record}\n  GREETING: hello\n"


def lay_out(root: Path, record: Path) -> None:
    """Write the monorepo's files: subprojects, two environments, two deployment scripts."""
    write(root / "tasks.py", "from ci_tasks import ns  # noqa: F401\n")
    write(root / "ci_tasks.yaml", 'subprojects: [api, web, "services/*"]\n')
    write(root / ".gitignore", "build/\n__pycache__/\n")
    for subproject in ("api", "web", "services/auth"):
        write(root / subproject / "main.txt", f"{subproject}\n")
    environments = root / "environments"
    write(root / CONFIGURATION, _configuration(record))
    write(environments / "staging/config.yml", "env:\n  GREETING: hello staging\n")
    for region in ("us-east", "eu-west"):
        write(environments / f"staging/{region}/config.yml", f"env:\n  GREETING: hello {region}\n")
    write(environments / "production/config.yml", "env:\n  GREETING: hello production\n")
    for name in ("10-ci-record", "20-ci-smoke"):
        script = RECORD.format(name=name.partition("-ci-")[2])
        write(root / f"scripts/deployment/{name}.sh", script, executable=True)


def build_monorepo(folder: Path) -> Monorepo:
    """Make the remote, the clone and their first commit below `folder`."""
    repository = Monorepo(folder / "clone", folder / "remote.git", folder / "recorded.txt")
    if not _STAGED:
        _STAGED.update(_staged(repository))
    for name, (mode, content) in _STAGED.items():
        _put(folder / name, mode, content)
    with (repository.clone / ".git/config").open("a", encoding="utf-8") as config:
        config.write(ORIGIN.format(remote=json.dumps(str(repository.remote), ensure_ascii=False)))
    write(repository.clone / CONFIGURATION, _configuration(repository.record))
    repository.git("commit", "--quiet", "--all", "--message", "Begin")
    _hand_over(repository)
    return repository


_STAGED: dict[str, tuple[int, bytes]] = {}
"""Mode and content of all there is before the first commit. Git would take ten times as long."""


def _staged(repository: Monorepo) -> dict[str, tuple[int, bytes]]:
    folder = repository.clone.parent
    git("init", "--quiet", "--bare", "--initial-branch=main", str(repository.remote), cwd=folder)
    git("init", "--quiet", "--initial-branch=main", str(repository.clone), cwd=folder)
    lay_out(repository.clone, repository.record)
    repository.git("add", "--all")
    repository.git("write-tree")
    repository.git("repack", "-a", "-d", "-n", "-q")
    objects = repository.clone / ".git/objects"
    shutil.copytree(objects, repository.remote / "objects", dirs_exist_ok=True)
    paths = [each for top in (repository.clone, repository.remote) for each in (top, *sorted(top.rglob("*")))]
    staged = {
        str(path.relative_to(folder)): (path.stat().st_mode, b"" if path.is_dir() else path.read_bytes())
        for path in paths
    }
    shutil.rmtree(repository.clone)
    shutil.rmtree(repository.remote)
    return staged


def _put(path: Path, mode: int, content: bytes) -> None:
    if stat.S_ISDIR(mode):
        path.mkdir()
        return
    path.write_bytes(content)
    if mode & 0o777 != 0o644:
        path.chmod(mode)


def _hand_over(repository: Monorepo) -> None:
    """What a first push of `main` does, without its six processes."""
    own = repository.clone / ".git"
    for loose in own.glob("objects/??/*"):
        write(repository.remote / loose.relative_to(own), loose.read_bytes())
    head = (own / "refs/heads/main").read_bytes()
    write(repository.remote / "refs/heads/main", head)
    write(own / "refs/remotes/origin/main", head)
