"""`inv deploy.status --json` over many tags against the raw git commands that read the same refs.

The remote has 2,000 subprojects with 5 environment tags each, and versions up to 100,000 tags.
"""

from __future__ import annotations

import subprocess
import tempfile
from datetime import datetime, timezone
from pathlib import Path

from bench.timing import INV, in_turn, run, say
from ci_tasks.tag import annotation, ledger
from ci_tasks.tag.grammar import EnvironmentTag
from ci_tasks.tag.model import Commits, Deployment
from ci_tasks.tag.names import DeploymentKind, DeploymentStatus

SUBPROJECTS = 2_000
ENVIRONMENTS = ("production", "staging", "canary", "sandbox", "performance")
TAGS = 100_000
REGIONS = ("us-east", "eu-west")
ROUNDS = 5
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def ledger_text(subproject: str, environment: str, commit: str) -> str:
    """An environment tag's annotation with three versions deployed to two regions."""
    state = ledger.empty(repository="bench", subproject=subproject, environment=environment, target=commit)
    for number in range(3):
        claim = f"20260102T03040{number}Z-abcdef"
        records = tuple(
            Deployment(
                deployment_id=f"{claim}.{region}",
                version=f"v1.{number}.0",
                subproject=subproject,
                environment=environment,
                region=region,
                status=DeploymentStatus.RUNNING,
                started_at=NOW,
                completed_at=None,
                triggered_by="bench",
                commit_sha=commit,
                concurrency_group=f"deploy-{subproject}-{environment}",
                claim_id=claim,
                nonce="0" * 32,
                kind=DeploymentKind.DEPLOY,
                commits=Commits(code=commit, config=commit, scripts=commit, rules=commit, secrets=commit),
                inputs="0" * 64,
            )
            for region in REGIONS
        )
        state = ledger.claim(state, records, regions=REGIONS)
        for record in records:
            state = ledger.close(
                state, record.deployment_id, DeploymentStatus.SUCCESS, at=NOW, scripts_started=True
            )
    return annotation.write(ledger.settle_target(state))[0]


def tag_stream(commit: str) -> bytes:
    """Input for `git fast-import`: all tags, annotated."""
    parts: list[bytes] = []

    def add(name: str, text: str) -> None:
        data = text.encode()
        parts.append(f"tag {name}\nfrom {commit}\ntagger B <b@example.invalid> 1767323045 +0000\n".encode())
        parts.append(f"data {len(data)}\n".encode() + data + b"\n")

    names = [f"group{number % 50}/project{number}" for number in range(SUBPROJECTS)]
    for name in names:
        for environment in ENVIRONMENTS:
            tag = EnvironmentTag(subproject=name, environment=environment)
            add(str(tag), ledger_text(name, environment, commit))
    left = TAGS - len(names) * len(ENVIRONMENTS)
    for number in range(left):
        name = names[number % len(names)]
        add(f"{name}/v1.{number // len(names)}.0", f"{name} v1.{number // len(names)}.0\n")
    return b"".join(parts)


def build(folder: Path) -> tuple[Path, Path]:
    """The bare remote and a clone without tags."""
    remote, clone = folder / "remote.git", folder / "clone"

    def git(*arguments: str, cwd: Path = folder, stdin: bytes = b"") -> str:
        command = ["git", "-c", "user.name=B", "-c", "user.email=b@example.invalid", *arguments]
        done = subprocess.run(command, cwd=cwd, input=stdin, capture_output=True, check=True)
        return done.stdout.decode().strip()

    git("init", "--quiet", "--bare", "--initial-branch=main", str(remote))
    git("init", "--quiet", "--initial-branch=main", str(clone))
    (clone / "tasks.py").write_text("from ci_tasks import ns\n")
    git("add", "--all", cwd=clone)
    git("commit", "--quiet", "--message", "Begin", cwd=clone)
    git("remote", "add", "origin", f"file://{remote}", cwd=clone)
    git("push", "--quiet", "origin", "main", cwd=clone)
    git("fast-import", "--quiet", cwd=remote, stdin=tag_stream(git("rev-parse", "HEAD", cwd=clone)))
    git("pack-refs", "--all", cwd=remote)
    return remote, clone


def main() -> None:
    """Print the ratios."""
    with tempfile.TemporaryDirectory() as name:
        remote, clone = build(Path(name))
        first = run([INV, "deploy.status", "--json"], cwd=clone)
        print(f"{'first deploy.status (fetches 10,000 tags)':46} ours {first * 1000:7.0f} ms")
        start = run([INV, "--list"], cwd=clone)

        def ours() -> float:
            return run([INV, "deploy.status", "--json"], cwd=clone) - start

        def listing() -> float:
            return run(["git", "ls-remote", "--tags", f"file://{remote}"], cwd=clone)

        def contents(*patterns: str) -> float:
            form = "--format=%(objectname) %(refname) %(contents)"
            return run(["git", "for-each-ref", form, *patterns], cwd=remote)

        def all_contents() -> float:
            return contents("refs/tags/")

        def environment_contents() -> float:
            return contents(*(f"refs/tags/**/{environment}" for environment in ENVIRONMENTS))

        print(f"start-up ({'inv --list'}), taken off below: {start * 1000:.0f} ms")
        say("status / for-each-ref of all, with contents", *in_turn(ours, all_contents, rounds=ROUNDS))
        say(
            "status / the same of environment tags alone", *in_turn(ours, environment_contents, rounds=ROUNDS)
        )
        say("status / git ls-remote --tags", *in_turn(ours, listing, rounds=ROUNDS))


if __name__ == "__main__":
    main()
