"""Types lines in clones, lets things go wrong, and notes when each line began and how it ended."""

from __future__ import annotations

import json
import os
import signal
import threading
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tests.conftest import ROOT
from tests.deploy.running import processes_with, until
from tests.stress import journal, launcher
from tests.stress.arena import ENVIRONMENTS, SUBPROJECT, VERSIONS, Arena
from tests.warm import Job

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.stress.history import History, Region

SKEW = 1.0
"""Seconds that a clock may be wrong."""
GRACE = 3.0
"""Seconds after the end of a lease at which another may take over, in place of two minutes."""
PATIENCE = 6.0
"""Seconds for which a turn in the queue may be left unused, in place of one minute."""
LEASE = "10s"
"""The shortest that there is."""
BOUND = 110.0
"""Seconds after which an operation hangs."""
STOPPED = 16.0
"""Seconds: longer than a lease and what is added to it."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """What is typed, and what it is for. `run` and `attempt`: it is a job of CI."""

    words: tuple[str, ...]
    kind: str
    environment: str
    asked: tuple[Region, ...] = ()
    version: str | None = None
    run: str | None = None
    attempt: int = 0

    @property
    def place(self) -> tuple[str, ...]:
        """The options that name the environment tag."""
        return ("--env", self.environment, "--subproject", SUBPROJECT)

    @property
    def tag(self) -> str:
        """The environment tag."""
        return f"{SUBPROJECT}/{self.environment}"


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a line ended; `status` is negative for a signal."""

    status: int
    said: str


@dataclass(frozen=True, kw_only=True)
class Blow:
    """A signal, some seconds after the start."""

    number: int
    after: float


@dataclass
class Harness:
    """Runs operations in an arena; safe to use from several threads."""

    arena: Arena
    launcher: launcher.Launcher
    count: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def operate(
        self,
        line: Line,
        clone: int,
        *,
        faults: Sequence[str] = (),
        blow: Blow | None = None,
        env: Mapping[str, str] | None = None,
        skew: float = 0.0,
    ) -> Ended:
        """Type a line in a clone and wait for its end."""
        return self.start(line, clone, faults=faults, blow=blow, env=env, skew=skew).end()

    def start(
        self,
        line: Line,
        clone: int,
        *,
        faults: Sequence[str] = (),
        blow: Blow | None = None,
        env: Mapping[str, str] | None = None,
        skew: float = 0.0,
    ) -> Running:
        """Type a line in a clone; its pushes meet `faults`, and its clock is `skew` seconds ahead."""
        with self._lock:
            self.count += 1
            name = f"{line.kind}-{self.count}"
        given = {
            "kind": line.kind,
            "tag": line.tag,
            "version": line.version,
            "asked": line.asked,
            "run": line.run,
            "attempt": line.attempt,
            "faulty": bool(faults),
        }
        variables = self._variables(line, name, self.arena.path_for(name, faults))
        folder = self.arena.folder_of(name)
        variables |= {launcher.PID_FILE: str(folder / "pid"), launcher.SKEW: str(skew), **(env or {})}
        self.arena.note("operation-start", name, json.dumps(given))
        job = Job(list(line.words), str(self.arena.clones[clone]), {**os.environ, **variables})
        running = Running(name=name, folder=folder, harness=self, job=job, blow=blow)
        running.start()
        return running

    def _variables(self, line: Line, name: str, path: str) -> dict[str, str]:
        variables = {
            "PATH": path,
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(self.arena.folder),
            "GIT_COMMITTER_NAME": name,
            "GIT_COMMITTER_EMAIL": "operation@example.invalid",
            "CI_TASKS_LEASE": LEASE,
            launcher.GRACE: str(GRACE),
            launcher.PATIENCE: str(PATIENCE),
        }
        if line.run:
            variables |= {
                "GITHUB_RUN_ID": line.run,
                "GITHUB_JOB": "deploy",
                "GITHUB_REPOSITORY": "example/shop",
                "GITHUB_RUN_ATTEMPT": str(line.attempt),
            }
        return variables

    def rest(self) -> None:
        """Wait until nothing of what was killed is at work any more, on the server's side or on ours."""
        until(lambda: not processes_with(str(self.arena.remote)), "the end of the last push")

    def history(self) -> History:
        """What took place so far."""
        return journal.read(self.arena, skew=SKEW, grace=GRACE, patience=PATIENCE)


class Running(threading.Thread):
    """A line that was typed, and the signal that it may get."""

    def __init__(self, *, name: str, folder: Path, harness: Harness, job: Job, blow: Blow | None) -> None:
        super().__init__(name=name)
        self.folder = folder
        self._harness, self._job, self._blow = harness, job, blow
        self._over = threading.Event()
        self._ended: Ended | None = None

    def run(self) -> None:
        """Wait for its end, and note it."""
        striker = threading.Thread(target=self._strike, args=(self._blow,)) if self._blow else None
        if striker:
            striker.start()
        status, out, err = self._harness.launcher.run(self._job, b"", BOUND)
        self._over.set()
        if striker:
            striker.join()
        self._harness.arena.note("operation-end", self.name, str(status))
        said = f"{out.decode()}\n{err.decode()}"
        (self.folder / "said").write_text(f"{' '.join(self._job.arguments)}\n{said}", encoding="utf-8")
        self._ended = Ended(status=status, said=said)

    def end(self) -> Ended:
        """How it ended."""
        self.join()
        assert self._ended is not None, f"{self.name} hangs: {self._job.arguments}"
        return self._ended

    def _strike(self, blow: Blow) -> None:
        """Send the signal unless the process has ended before; one that is stopped goes on after a while."""
        pid_file = self.folder / "pid"
        while not pid_file.exists() and not self._over.wait(0.01):
            pass
        if self._over.wait(blow.after):
            return
        with suppress(ProcessLookupError, ValueError):
            pid = int(pid_file.read_text(encoding="ascii"))
            os.kill(pid, blow.number)
            if blow.number == signal.SIGSTOP:
                self._over.wait(STOPPED)
                os.kill(pid, signal.SIGCONT)


def environment_of(name: str) -> tuple[Region, ...]:
    """All regions of an environment, spelt out."""
    return ENVIRONMENTS[name] or (None,)


def deploy_line(
    environment: str,
    *options: str,
    regions: Sequence[Region] = (),
    version: str = VERSIONS[0],
    run: str | None = None,
    attempt: int = 0,
) -> Line:
    """A line that brings a version to regions of an environment, all of them if none are given."""
    line = Line(
        words=(),
        kind="deploy",
        environment=environment,
        asked=tuple(regions) or environment_of(environment),
        version=version,
        run=run,
        attempt=attempt,
    )
    return replace(line, words=("deploy", *line.place, *_regions(regions), "--version", version, *options))


def rollback_line(environment: str, regions: Sequence[Region]) -> Line:
    """A line that goes back in some regions."""
    line = Line(words=(), kind="rollback", environment=environment, asked=tuple(regions))
    return replace(line, words=("deploy.rollback", *line.place, *_regions(regions), "--reason", "it is bad"))


def promote_line(source: str, environment: str, *options: str) -> Line:
    """A line that brings what runs in one environment to all regions of another."""
    line = Line(words=(), kind="promote", environment=environment, asked=environment_of(environment))
    place = ("--from", source, "--to", environment, "--subproject", SUBPROJECT)
    return replace(line, words=("deploy.promote", *place, *options))


def line_about(kind: str, environment: str, deployment: str, *options: str) -> Line:
    """A line about a deployment that somebody else has typed: unlock, cancel, settle."""
    line = Line(words=(), kind=kind, environment=environment)
    return replace(line, words=(f"deploy.{kind}", *line.place, "--deployment", deployment, *options))


def _regions(regions: Sequence[Region]) -> list[str]:
    return [word for region in regions if region for word in ("--region", region)]
