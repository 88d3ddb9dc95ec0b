"""Sessions: each makes a clean environment and runs one thing in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import nox

if TYPE_CHECKING:
    from collections.abc import Iterator

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_external_run = True
nox.options.sessions = ["tests", "lint", "types"]

MEMORY = "/dev/shm"  # noqa: S108 - a folder of our own is made in it
ROOM = 2 << 30
"""Bytes. The tests need a tenth of them."""


def interpreter(version: str) -> str | None:
    """A Python of this version that starts: on PATH, else among those of pyenv (whose shims may not)."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv", "versions")
    found = [shutil.which(f"python{version}"), *map(str, sorted(pyenv.glob(f"{version}.*/bin/python")))]
    for candidate in filter(None, found):
        if subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
            return candidate
    return None


def install(session: nox.Session) -> None:
    """Install the package and what its contributors need."""
    session.install("--quiet", "--editable", ".[dev]")


@contextmanager
def memory() -> Iterator[list[str]]:
    """Options that let pytest work in memory, which it does twice as fast; none where that does not go."""
    try:
        folder = tempfile.TemporaryDirectory(dir=MEMORY, prefix="t")
    except OSError:
        yield []
        return
    with folder as name:
        script = Path(name, "script")
        script.write_text("#!/bin/sh\n", encoding="ascii")
        script.chmod(0o755)
        try:
            is_fit = shutil.disk_usage(name).free >= ROOM
            subprocess.run([script], check=True)
        except (OSError, subprocess.CalledProcessError):  # containers often mount it without leave to execute
            is_fit = False
        yield [f"--basetemp={name}/t"] if is_fit else []


def run_tests(session: nox.Session) -> None:
    """Run the suite on every core, with branch coverage as a gate; options add to that, paths replace it."""
    install(session)
    if not all(each.startswith("--") for each in session.posargs):
        session.run("pytest", *session.posargs)
        return
    # Many tests wait for processes, so there is work for more of them than there are processors.
    workers = 2 * (os.cpu_count() or 1)
    spread = (f"--numprocesses={workers}", "--dist=worksteal", "--cov", "--cov-report=term")
    with memory() as options:
        session.run("pytest", *spread, *options, *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests on this interpreter; arguments go to pytest."""
    run_tests(session)


@nox.session(name="lint")
def lint(session: nox.Session) -> None:
    """Check style, format, and who may import whom."""
    install(session)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")


@nox.session(name="bench")
def bench(session: nox.Session) -> None:
    """Measure start-up, status, tags and deployment against raw git; prints ratios."""
    install(session)
    for name in session.posargs or ["startup", "deploy", "status", "tags", "claims", "queue"]:
        session.run("python", "-m", f"bench.{name}")


@nox.session(name="stress")
def stress(session: nox.Session) -> None:
    """Let a crowd deploy while everything goes wrong; STRESS_SEED and others choose how."""
    install(session)
    defaults = {"STRESS_SEED": time.time_ns() % 10**9, "STRESS_PROCESSES": 8, "STRESS_DEPLOYMENTS": 25}
    env = {name: os.environ.get(name, str(default)) for name, default in defaults.items()}
    session.run("pytest", "tests/stress", *session.posargs, env=env)


@nox.session(name="types")
def types(session: nox.Session) -> None:
    """Check types with mypy, strictly."""
    install(session)
    session.run("mypy")


for _version in ("3.10", "3.11", "3.12", "3.13"):
    # An absent interpreter is no failure, and no line in `nox -l`.
    if _python := interpreter(_version):
        nox.session(name=f"tests-{_version}", python=_python)(run_tests)
