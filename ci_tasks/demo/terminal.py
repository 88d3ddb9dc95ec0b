"""A terminal in the demo's folder: lines are typed, shown, and run as real processes."""

from __future__ import annotations

import shlex
import site
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import ci_tasks
from ci_tasks.core.errors import ExitCode
from ci_tasks.core.process.running import capture, child_environment, run
from ci_tasks.demo.model import TypedLine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LINE_TIMEOUT = 60.0
"""Seconds that one line may take."""

WIDTH = 79
_INV = "import sys; from invoke.main import program; sys.argv[0] = 'inv'; program.run()"
# What says in which job of which workflow we run: the demo is in none.
_OF_A_JOB = ("CI", "GITHUB_", "RUNNER_")
_GIT_CONFIG = """\
[user]
  name = Demo
  email = demo@example.invalid
[init]
  defaultBranch = main
"""


class SurpriseError(Exception):
    """Something went otherwise than the story says."""


class Terminal:
    """Runs lines in the folder `clone` below `folder`, and keeps what was typed since `forget`."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.clone = folder / "monorepo"
        self.typed: list[TypedLine] = []
        self.say = say
        self._environment = _environment(folder)

    def type(self, line: str, *, expect: ExitCode = ExitCode.OK, cut: bool = False) -> None:
        """Show the line, run it and show its output, with `cut` at most 79 columns of each line.

        Raises SurpriseError if it ends with another exit code than expected.
        """
        self.say(f"$ {line}")
        output: list[str] = []

        def show(text: str) -> None:
            output.append(text)
            self.say(f"{text[: WIDTH - 3]}..." if cut and len(text) > WIDTH else text)

        finished = run(
            _command(line), cwd=self.clone, env=self._environment, timeout=LINE_TIMEOUT, on_line=show
        )
        self.typed.append(TypedLine(line=line, exit_code=finished.status, output=tuple(output)))
        if finished.timed_out:
            raise SurpriseError(f"`{line}` took longer than {LINE_TIMEOUT:.0f} s")
        if finished.status:
            known = {int(code): f": {code.outcome}" for code in ExitCode}
            self.say(f"(exit code {finished.status}{known.get(finished.status, '')})")
        if finished.status != expect:
            raise SurpriseError(f"`{line}` ended with exit code {finished.status}, not {int(expect)}")

    def ask(self, *command: str) -> str:
        """What a command answers, shown to nobody; raises SurpriseError if it fails."""
        answer = capture(command, cwd=self.clone, env=self._environment, timeout=LINE_TIMEOUT)
        if answer.status:
            raise SurpriseError(f"`{shlex.join(command)}` failed: {answer.stderr.decode('utf-8', 'replace')}")
        return answer.stdout.decode("utf-8", "replace").rstrip("\n")

    def forget(self) -> tuple[TypedLine, ...]:
        """The lines typed since the last time."""
        typed, self.typed = tuple(self.typed), []
        return typed


def _command(line: str) -> Sequence[str]:
    """The words of a line. `inv` need not be on the PATH: our own interpreter has it."""
    program, *words = shlex.split(line)
    return [sys.executable, "-c", _INV, *words] if program == "inv" else [program, *words]


def _environment(folder: Path) -> dict[str, str]:
    """An environment without a trace of the user's git configuration or of a CI job around us."""
    home, temporary = folder / "home", folder / "tmp"
    for made in (home, temporary):
        made.mkdir()
    (home / ".gitconfig").write_text(_GIT_CONFIG, encoding="utf-8")
    own = {
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "GIT_CONFIG_NOSYSTEM": "1",
        "PYTHONPATH": str(Path(ci_tasks.__file__).parent.parent),  # the ci_tasks that runs the demo
        "PYTHONUSERBASE": site.getuserbase(),  # Invoke may be installed in the home that we replace
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    built = child_environment({})
    return {name: value for name, value in built.items() if not name.startswith(_OF_A_JOB)} | own
