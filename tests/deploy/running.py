"""Deployments that are still at work: started, watched, signalled, and looked at when they have ended."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.conftest import MEASURING, ROOT, program
from tests.repositories import git

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import IO

    from tests.deploy.conftest import Ledger, Site

BOUND = 60.0
"""Seconds after which something that is waited for will not come any more."""

STAGING = ("--env", "staging", "--subproject", "api")

REMEMBER = 'echo $$ >> "$RECORD_TO.pids"'
"""A line of a script: the test can look for its process later."""


def wait_for(file: str) -> str:
    """A line of a script: wait until somebody makes `<record>.<file>`; it gives up after a minute."""
    return (
        f'n=0; until [ -e "$RECORD_TO.{file}" ]; do n=$((n + 1)); [ $n -lt 1200 ] || exit 9; sleep 0.05; done'
    )


GATED = f'{REMEMBER}; echo "$DEPLOYMENT_REGION" >> "$RECORD_TO"; {wait_for("go")}'
"""A script that says where it runs, and ends well once somebody makes `<record>.go`."""


def until(condition: Callable[[], object], what: str) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + BOUND
    while not condition():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Whether a process is there and has not ended; one that nobody has reaped yet has."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


def peak_memory(pid: int) -> int:
    """The most memory that a process has had so far, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) // 1024


def processes_with(words: str) -> list[int]:
    """The processes with these words on their command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            if words in line and is_alive(int(folder.name)):
                found.append(int(folder.name))
    return found


def lease_ends(stage: Stage, seconds_ago: float) -> None:
    """Let the lease of whoever is running, and the wait of whoever waits, have ended so long ago."""
    end = datetime.now(timezone.utc) - timedelta(seconds=seconds_ago)

    def edit(ledger: Ledger) -> None:
        for record in ledger.records:
            if record["status"] in {"RUNNING", "PENDING"}:
                record["leaseEnd"] = f"{end:%Y-%m-%dT%H:%M:%SZ}"

    stage.site.rewrite(edit)


@dataclass(frozen=True)
class Ended:
    """How it ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def report(self) -> str:
        """What it printed, without its line ends: they stand where the window was full."""
        return " ".join(self.stdout.split())


@dataclass(frozen=True)
class Started:
    """An `inv` at work, in a session of its own as a terminal's jobs are."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    @property
    def said(self) -> str:
        """What it wrote to stderr so far."""
        return self.err.read_text(encoding="utf-8", errors="replace")

    def signal(self, number: int, *, group: bool = False) -> None:
        """Send a signal to it alone, or to all in its process group as a terminal does."""
        (os.killpg if group else os.kill)(self.process.pid, number)

    def end(self) -> Ended:
        """Wait for its end."""
        code = self.process.wait(BOUND)
        return Ended(code, self.out.read_text(encoding="utf-8"), self.said)

    def kill(self) -> None:
        """`kill -9`, and wait for the end of it."""
        self.process.kill()
        self.process.wait(BOUND)


@dataclass(frozen=True)
class Stage:
    """A site whose deployments run beside the test."""

    site: Site
    started: list[Started] = field(default_factory=list)

    def start(
        self,
        *line: str,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdout: IO[bytes] | int | None = None,
    ) -> Started:
        """Type `inv` with this line and do not wait for it."""
        number = len(self.started)
        out, err = (self.site.temporary / f"{number}.{name}" for name in ("out", "err"))
        with out.open("wb") as to, err.open("wb") as errors:
            process = subprocess.Popen(
                [program("inv"), *line],
                cwd=cwd or self.site.clone,
                env={
                    **os.environ,
                    **MEASURING,
                    "PYTHONPATH": str(ROOT),
                    "TMPDIR": str(self.site.temporary),
                    **(env or {}),
                },
                stdin=subprocess.DEVNULL,
                stdout=to if stdout is None else stdout,
                stderr=errors,
                start_new_session=True,
            )
        started = Started(process, out, err)
        self.started.append(started)
        return started

    def file(self, name: str) -> Path:
        """A file that scripts and the test talk through."""
        return Path(f"{self.site.repository.record}.{name}")

    def go(self) -> None:
        """Let the scripts go on that wait for it."""
        self.file("go").touch()

    def scripts_started(self, count: int = 1) -> None:
        """Wait until so many scripts have said that they run."""
        until(lambda: len(self.site.repository.recorded()) >= count, "the script's start")

    def pids(self) -> list[int]:
        """The processes of the scripts, as they wrote them down."""
        return [int(line) for line in self.file("pids").read_text(encoding="ascii").split()]

    def survivors(self) -> list[int]:
        """Those of the scripts' processes that have not ended."""
        return [pid for pid in self.pids() if is_alive(pid)]

    def records(self, tag: str = "api/staging") -> list[dict[str, Any]]:
        """The records of an environment tag, open ones first; none where there is no tag."""
        name = f"refs/tags/{tag}"
        return self.site.ledger(tag).records if name in self.site.repository.remote_refs() else []

    def statuses(self, tag: str = "api/staging") -> list[tuple[str | None, str]]:
        """Region and status of each record."""
        return [(record["region"], record["status"]) for record in self.records(tag)]

    def check_chain(self, tag: str = "api/staging") -> None:
        """Every closed record names the bytes of the next older one, and no deployment is there twice."""
        text = git("cat-file", "tag", f"refs/tags/{tag}", cwd=self.site.remote)
        _, *lines = text.partition("\n---\n")[2].splitlines()
        records = [(json.loads(line), line) for line in lines]
        closed = [(record, line) for record, line in records if record["status"] != "RUNNING"]
        assert [record["seq"] for record, _ in closed] == list(range(len(closed), 0, -1))
        older = [hashlib.sha256(line.encode()).hexdigest() for _, line in closed[1:]]
        assert [record["prev"] for record, _ in closed] == [*older, None][: len(closed)]
        names = [record["deploymentId"] for record, _ in records]
        assert len(set(names)) == len(names)

    def clean(self) -> None:
        """End what a failed test has left behind."""
        for started in self.started:
            with suppress(ProcessLookupError):
                os.killpg(started.process.pid, signal.SIGKILL)
            started.process.wait(BOUND)
        self.go()
        if self.file("pids").exists():
            for pid in self.survivors():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
