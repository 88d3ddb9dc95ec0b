"""Claims on environments of different subprojects by 1, 4 and 16 processes against the raw git commands.

A claim is what a deployment does to its tag: read it, push it with the claim, push it with the result. Raw
does the same with `git ls-remote`, `git mktag` and `git push --force-with-lease`, started by Python as well.
Starting up is not counted: all processes begin when each of them is ready.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.deploy import build
from bench.timing import ENVIRONMENT
from ci_tasks.core.checkout import Checkout
from ci_tasks.deploy.lease import Lease
from ci_tasks.deploy.records import new_claim_id
from ci_tasks.tag.clock import utc_now
from ci_tasks.tag.grammar import EnvironmentTag, Grammar
from ci_tasks.tag.model import Commits, Deployment
from ci_tasks.tag.names import DeploymentKind, DeploymentStatus
from ci_tasks.tag.store import TagStore

PROCESSES = (1, 4, 16)
CLAIMS = 48
"""Claims of a measurement, whatever the number of processes."""
ROUNDS = 3
GOAL = 0.5


def ready(clone: Path, name: str) -> None:
    """Say that this process is ready, and wait for the others."""
    clone.with_name(f"{name}.ready").touch()
    while not clone.with_name("go").exists():
        time.sleep(0.01)


def work_raw(clone: Path, name: str, count: int) -> None:
    """One process of git commands: read the ref, and push twice with a lease, so many times."""

    def git(*arguments: str, stdin: str = "") -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=clone, check=True, capture_output=True, text=True, input=stdin
        )
        return done.stdout.strip()

    url, commit = git("remote", "get-url", "origin"), git("rev-parse", "HEAD")
    ref = f"refs/tags/{name}/staging"
    ready(clone, name)
    for number in range(count):
        old = git("ls-remote", "--tags", url, ref).partition("\t")[0]
        for step in ("claim", "result"):
            tagger = f"tagger B <b@example.invalid> {int(time.time())} +0000"
            head = f"object {commit}\ntype commit\ntag {name}/staging\n{tagger}\n"
            new = git("mktag", stdin=f"{head}\n{step} {number}\n")
            lease = f"--force-with-lease={ref}:{old}"
            git("push", "--quiet", "--atomic", "--porcelain", "--no-verify", lease, url, f"{new}:{ref}")
            old = new


def work(clone: Path, name: str, count: int) -> None:
    """One process of ours: so many claims on one environment tag, each settled."""
    checkout = Checkout.open(clone)
    store = TagStore(checkout.origin, Grammar(checkout.settings.environments))
    tag = EnvironmentTag(subproject=name, environment="staging")
    (version,) = store.origin.refs("refs/tags/v1.0.0")
    commit = version.peeled or ""
    identity = checkout.repository.identity()
    ready(clone, name)
    for _ in range(count):
        now = utc_now()
        claim_id = new_claim_id(now)
        made = Deployment(
            deployment_id=claim_id,
            version="v1.0.0",
            subproject=name,
            environment="staging",
            region=None,
            status=DeploymentStatus.RUNNING,
            started_at=now,
            completed_at=None,
            triggered_by="bench",
            commit_sha=commit,
            concurrency_group=f"deploy-{name}-staging",
            claim_id=claim_id,
            nonce=claim_id,
            kind=DeploymentKind.DEPLOY,
            commits=Commits(code=commit, config=commit, scripts=commit, rules=commit, secrets=commit),
            inputs="0" * 64,
        )
        lease = Lease(
            store,
            store.environment(tag),
            [made],
            seconds=600,
            identity=identity,
            retry="inv deploy",
            abandon=lambda: False,
            hurry=lambda: False,
        )
        lease.acquire(regions=(), repository="bench", pinned=[version], stop=lambda: False)
        lease.settle({claim_id: (DeploymentStatus.SUCCESS, True, None)})


def per_second(clone: Path, processes: int, *, is_ours: bool, run: int) -> float:
    """Claims in a second, all processes together."""
    count = CLAIMS // processes
    kind = "ours" if is_ours else "raw"
    names = [f"{kind}{run}of{processes}x{number}" for number in range(processes)]
    go = clone.with_name("go")
    go.unlink(missing_ok=True)
    command = [sys.executable, "-m", "bench.claims", kind, str(clone)]
    started = [subprocess.Popen([*command, name, str(count)], env=ENVIRONMENT) for name in names]
    while not all(clone.with_name(f"{name}.ready").exists() for name in names):
        time.sleep(0.01)
    began = time.perf_counter()
    go.touch()
    codes = [each.wait() for each in started]
    seconds = time.perf_counter() - began
    if any(codes):
        sys.exit(f"a process failed: {codes}")
    return count * processes / seconds


def main() -> None:
    """Print the ratios."""
    with tempfile.TemporaryDirectory() as folder:
        clone = build(Path(folder))
        for processes in PROCESSES:
            pairs = [
                tuple(per_second(clone, processes, is_ours=ours, run=run) for ours in (True, False))
                for run in range(ROUNDS)
            ]
            ours, raw = (statistics.median(pair[each] for pair in pairs) for each in (0, 1))
            ratio = statistics.median(pair[0] / pair[1] for pair in pairs)
            print(
                f"claims by {processes:2} processes: ours {ours:6.1f} in a second, raw {raw:6.1f}"
                f"   ratio {ratio:4.2f}   goal {GOAL} at least"
            )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        one = work if sys.argv[1] == "ours" else work_raw
        one(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
    else:
        main()
