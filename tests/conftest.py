"""Fixtures for every test: a clean environment, the real `inv`, a small monorepo."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

ROOT = Path(__file__).parent.parent
if str(ROOT) not in sys.path:  # the tests also run from a checkout that nobody installed
    sys.path.insert(0, str(ROOT))

from tests import examples as examples  # noqa: E402, PLC0414 - loads how many of them there are
from tests.repositories import Monorepo, build_monorepo, write  # noqa: E402 - needs the path above
from tests.warm import Job, Warm  # noqa: E402 - needs the path above

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FOREIGN = ("CI_", "GITHUB_", "RUNNER_", "INVOKE_", "GIT_", "NOX_", "DEPLOYMENT_", "XDG_")
IDENTITY = """\
[user]
  name = Test Person
  email = test@example.invalid
[init]
  defaultBranch = main
[commit]
  gpgSign = false
[tag]
  gpgSign = false
"""
THRIFT = """\
[init]
  defaultRefFormat = files
  templateDir = {template}
[core]
  fsync = none
[gc]
  auto = 0
[maintenance]
  auto = false
[receive]
  autoGC = false
"""
"""No repository of a test lives until it has to be swept, or is missed when the power fails."""
MEASURING: dict[str, str] = {}
"""Variables with which a Python that is started measures what runs in it, where the suite is measured.

That doubles the time of a start, and hooks and scripts start hundreds: only those have it who ask for it."""
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="session", autouse=True)
def clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test sees the developer's git configuration, home, time zone or CI variables; yields the home."""
    home = tmp_path_factory.mktemp("home")
    identity = home / ".gitconfig"
    template = home / "template"  # git's own has a dozen examples of hooks to copy into each repository
    write(template / "hooks/pre-push.sample", "#!/bin/sh\n", executable=True)
    write(template / "info/exclude", "# nothing\n")
    identity.write_text(IDENTITY + THRIFT.format(template=template), encoding="utf-8")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a job in the background: Ctrl-C would be lost
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # under nohup
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("COVERAGE_PROCESS"):
                MEASURING[name] = os.environ[name]
                patch.delenv(name)
            if name == "CI" or name.startswith(FOREIGN):
                patch.delenv(name)
        # Without compiled modules each of a thousand `inv` would compile all of ours again.
        for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "PYTHONDONTWRITEBYTECODE"):
            patch.delenv(name, raising=False)
        patch.setenv("HOME", str(home))
        patch.setenv("GIT_CONFIG_GLOBAL", str(identity))
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        patch.setenv("TZ", "UTC")
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            patch.setenv(name, NOWHERE)
        patch.setenv("no_proxy", "localhost,127.0.0.1")
        yield home


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each Python that the test starts is measured too; see MEASURING."""
    for name, value in MEASURING.items():
        monkeypatch.setenv(name, value)


class Inv(Protocol):
    """Runs the real `inv` and returns what it did; `env` adds to the clean environment."""

    def __call__(
        self,
        *arguments: str,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        input: str | None = None,  # noqa: A002 - named as in subprocess
    ) -> subprocess.CompletedProcess[str]: ...


def program(name: str) -> Path:
    """A program of the interpreter that runs the tests."""
    return Path(sys.executable).parent / name


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cold", action="store_true", help="start every inv from nothing, as a user does")


@pytest.fixture(scope="session")
def warm(
    request: pytest.FixtureRequest, clean_environment: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Warm | None]:
    """Forks `inv` quickly; None where each is to be started from nothing."""
    assert clean_environment
    if request.config.getoption("--cold") or not hasattr(os, "memfd_create"):
        yield None
        return
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"PYTHONPATH": str(ROOT), **MEASURING}.items():
            patch.setenv(name, value)
        started = Warm(tmp_path_factory.mktemp("warm"))
    yield started
    started.close()


@pytest.fixture(scope="session")
def inv(warm: Warm | None) -> Inv:
    """The real `inv`, in a process of its own; see tests/warm.py."""

    def run(
        *arguments: str,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        input: str | None = None,  # noqa: A002 - named as in subprocess
    ) -> subprocess.CompletedProcess[str]:
        command = [str(program("inv")), *arguments]
        whole = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
        if warm is not None and warm.suits(whole):
            job = Job(list(arguments), str(cwd), whole)
            status, *said = warm.run(job, (input or "").encode(), timeout=100)
            return subprocess.CompletedProcess(command, status, *(_text(each) for each in said))
        return subprocess.run(
            command,
            cwd=cwd,
            env={**whole, **MEASURING},
            input=input if input is not None else "",
            check=False,
            capture_output=True,
            text=True,
            timeout=100,
        )

    return run


def _text(data: bytes) -> str:
    """As subprocess reads text: universal line ends."""
    return data.decode().replace("\r\n", "\n").replace("\r", "\n")


@pytest.fixture
def monorepo(tmp_path: Path) -> Monorepo:
    """A bare remote and a clone of a monorepo with one pushed commit."""
    return build_monorepo(tmp_path)
