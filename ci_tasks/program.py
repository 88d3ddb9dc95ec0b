"""The `ci-tasks` executable: our tasks where a repository has no tasks.py of its own."""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from invoke.exceptions import Exit, ParseError
from invoke.program import Program

from ci_tasks.core import console
from ci_tasks.core.command_line import NOTHING_RUN, Line, speaking
from ci_tasks.core.errors import CancelledError, UsageError, nearest
from ci_tasks.core.signals import raising

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "ci-tasks"
_UNKNOWN = re.compile(r"No idea what '(.*)' is!", re.DOTALL)
_NO_VALUE = re.compile(r"Flag '?<Argument: (\S+?)[ >(].*needed value", re.DOTALL)
_NO_POSITIONAL = re.compile(r"'(\S+)' did not receive required positional arguments: '(.*)'")


class CiTasksProgram(Program):
    """Invoke with our tasks built in; a line that it can't read is USAGE, with the nearest name."""

    def parse_core(self, argv: list[str] | None) -> None:
        """Read the options before the first task."""
        with self._usage_errors():
            super().parse_core(argv)

    def parse_tasks(self) -> None:
        """Read the tasks with their options."""
        with self._usage_errors():
            super().parse_tasks()

    def parse_cleanup(self) -> None:
        """Obey --help and --list."""
        with self._usage_errors():
            super().parse_cleanup()

    def print_version(self) -> None:
        """Print our version, looked up when it is asked for."""
        from ci_tasks import __version__  # noqa: PLC0415 - importlib.metadata is slow

        print(f"{NAME} {__version__}")  # noqa: T201 - as the method that it replaces does

    @contextmanager
    def _usage_errors(self) -> Iterator[None]:
        try:
            yield
        except ParseError as error:
            _refuse(self._explained(error))
        except ValueError:  # Invoke converts its own options without a check
            _refuse(UsageError("An option needs a number.", unchanged=NOTHING_RUN, next_step="inv --help"))

    def _explained(self, error: ParseError) -> UsageError:
        """Say in our words what Invoke's parser didn't understand."""
        text = str(error)
        task = error.context.name if error.context is not None else None
        next_step = f"inv --help {task}" if task else "inv --list"
        if found := _UNKNOWN.fullmatch(text):
            word = found[1]
            if word.startswith("-"):
                own = list(error.context.flags) if error.context is not None else []
                known = [*own, *self.initial_context.flags]
                text = f"{word} is not an option of {task}." if task else f"{word} is not an option."
            else:
                names = self.collection.task_names
                known = [*names, *(alias for aliases in names.values() for alias in aliases)]
                text, next_step = f"There is no task {word}.", "inv --list"
            close = nearest(word, known)
            text += f" Did you mean {close}?" if close else ""
        elif found := _NO_VALUE.match(text):
            text = f"--{found[1].replace('_', '-')} needs a value."
        elif found := _NO_POSITIONAL.fullmatch(text):
            text = f"{found[1]} needs a value: {found[2]}."
        return UsageError(text, unchanged=NOTHING_RUN, next_step=next_step)


def _refuse(error: UsageError) -> NoReturn:
    with speaking(Line(program=NAME)):
        console.error(error)
    raise Exit(code=int(error.exit_code)) from None


def main() -> None:
    """Run `ci-tasks`; Ctrl-C before a task has begun ends it as Ctrl-C in a task does."""
    try:
        with raising():
            from ci_tasks import ns  # noqa: PLC0415 - makes the tree of all tasks

            CiTasksProgram(namespace=ns, name=NAME, binary=NAME).run()
    except CancelledError as error:
        error.unchanged = NOTHING_RUN
        with speaking(Line(program=NAME)):
            console.error(error)
        sys.exit(int(error.exit_code))
