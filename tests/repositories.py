"""Builds real repositories for the tests: a bare remote and a clone of a small monorepo."""

from __future__ import annotations

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


def git(*arguments: str, cwd: Path, stdin: str | None = None) -> str:
    """What git prints, without the last line end; fails the test if git fails."""
    done = subprocess.run(
        ["git", *arguments], cwd=cwd, check=False, capture_output=True, text=True, input=stdin
    )
    assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr}"
    return done.stdout.removesuffix("\n")


def write(path: Path, text: str, *, executable: bool = False) -> Path:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
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


def lay_out(root: Path, record: Path) -> None:
    """Write the monorepo's files: subprojects, two environments, two deployment scripts."""
    write(root / "tasks.py", "from ci_tasks import ns  # noqa: F401\n")
    write(root / "ci_tasks.yaml", 'subprojects: [api, web, "services/*"]\n')
    write(root / ".gitignore", "build/\n__pycache__/\n")
    for subproject in ("api", "web", "services/auth"):
        write(root / subproject / "main.txt", f"{subproject}\n")
    environments = root / "environments"
    write(environments / "config.yml", f"env:\n  RECORD_TO: {record}\n  GREETING: hello\n")
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
    git("init", "--quiet", "--bare", "--initial-branch=main", str(repository.remote), cwd=folder)
    git("init", "--quiet", "--initial-branch=main", str(repository.clone), cwd=folder)
    repository.git("remote", "add", "origin", str(repository.remote))
    lay_out(repository.clone, repository.record)
    repository.commit("Begin")
    return repository
