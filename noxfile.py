"""Sessions: each makes a clean environment and runs one thing in it."""

from __future__ import annotations

import shutil

import nox

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_external_run = True
nox.options.sessions = ["tests", "lint", "types"]

PYTHONS = [version for version in ("3.10", "3.11", "3.12", "3.13") if shutil.which(f"python{version}")]


def install(session: nox.Session) -> None:
    """Install the package and what its contributors need."""
    session.install("--quiet", "--editable", ".[dev]")


def run_tests(session: nox.Session) -> None:
    """Run the suite on every core, with branch coverage as a gate."""
    install(session)
    arguments = session.posargs or ["--numprocesses=auto", "--cov", "--cov-report=term"]
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


@nox.session(name="types")
def types(session: nox.Session) -> None:
    """Check types with mypy, strictly."""
    install(session)
    session.run("mypy")


for _version in PYTHONS:
    # Only interpreters that are there: an absent one is no failure, and no line in `nox -l`.
    nox.session(name=f"tests-{_version}", python=_version, reuse_venv=False)(run_tests)
