"""Sessions: each makes a clean environment and runs one thing in it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import nox

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_external_run = True
nox.options.sessions = ["tests", "lint", "types"]


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


def run_tests(session: nox.Session) -> None:
    """Run the suite on every core, with branch coverage as a gate."""
    install(session)
    # Many tests wait for processes, so there is work for more of them than there are processors.
    workers = 2 * (os.cpu_count() or 1)
    arguments = session.posargs or [f"--numprocesses={workers}", "--cov", "--cov-report=term"]
    session.run("pytest", *arguments)


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
    for name in session.posargs or ["startup", "deploy", "status", "tags"]:
        session.run("python", "-m", f"bench.{name}")


@nox.session(name="types")
def types(session: nox.Session) -> None:
    """Check types with mypy, strictly."""
    install(session)
    session.run("mypy")


for _version in ("3.10", "3.11", "3.12", "3.13"):
    # An absent interpreter is no failure, and no line in `nox -l`.
    if _python := interpreter(_version):
        nox.session(name=f"tests-{_version}", python=_python)(run_tests)
