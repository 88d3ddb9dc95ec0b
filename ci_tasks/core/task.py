"""The wrapper around every task: it reads the line, calls the function, and is where every error ends."""

from __future__ import annotations

import functools
import gc
import signal
import zlib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, overload

from invoke.exceptions import Exit
from invoke.tasks import Task

from ci_tasks.core import bytecode, command_line, console, signals
from ci_tasks.core.answer import NOBODY_READS, Answer, put_document, say
from ci_tasks.core.errors import CancelledError, CiTasksError, ExitCode, UsageError
from ci_tasks.core.parameter import (
    Declaration,
    argument,
    dashed,
    declaration,
    example,
    flag,
    help_text,
    option,
    rest,
    values,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from invoke.context import Context
    from invoke.program import Program

__all__ = [
    "NOBODY_READS",
    "Answer",
    "CommandTask",
    "argument",
    "example",
    "flag",
    "option",
    "rest",
    "task",
]

_ALLOCATIONS = 100_000
"""After how many of them Python looks for garbage: by itself it does so a thousand times for 100,000 tags."""


class InternalError(CiTasksError):
    """A bug of ours."""

    exit_code = ExitCode.INTERNAL


class CommandTask(Task[Any]):
    """An Invoke task that knows its own grammar, and looks at the whole line before any of it runs."""

    grammar: command_line.Grammar

    @property
    def pre(self) -> list[Any]:
        """Tasks to run before this one: none.

        Invoke asks for them after it has read the line and before it runs the first task, and at no other
        time: the only moment in which a line can be refused whole.
        """
        program = command_line.running()
        if program is not None:
            _check_line(program)
        return []

    @pre.setter
    def pre(self, tasks: object) -> None:
        """Take no tasks: only Invoke's constructor sets them, to what it was not given."""

    def __eq__(self, other: object) -> bool:
        """Tell tasks apart by their bodies: Invoke compares code, and all our wrappers share theirs."""
        return isinstance(other, Task) and self.body is other.body

    def __hash__(self) -> int:
        return hash(self.body)


@overload
def task(face: Callable[..., Answer], /) -> CommandTask: ...
@overload
def task(
    *, default: bool = ..., changes: bool = ..., name: str | None = ...
) -> Callable[[Callable[..., Answer]], CommandTask]: ...
def task(
    face: Callable[..., Answer] | None = None,
    /,
    *,
    default: bool = False,
    changes: bool = False,
    name: str | None = None,
) -> CommandTask | Callable[[Callable[..., Answer]], CommandTask]:
    """Make a task of a function whose parameters' defaults are option(), flag(), argument() or rest().

    `default`: what the bare name of its collection runs. `changes`: it changes something, so it never runs
    beside a second task. `name`: where the function's name is not the one to type. Every task takes --json.
    """
    if face is None:
        return lambda face: _wrap(face, default=default, changes=changes, name=name)
    return _wrap(face, default=default, changes=changes, name=name)


def _wrap(face: Callable[..., Answer], *, default: bool, changes: bool, name: str | None) -> CommandTask:
    declared = declaration(face, changes=changes)

    @functools.wraps(face)
    def body(c: Context, **given: Any) -> Answer:
        return _perform(declared, c, given)

    body.__signature__ = declared.signature()  # type: ignore[attr-defined]  # what inspect.signature looks for
    made = CommandTask(
        body,
        name=name,
        default=default,
        positional=[key for key, one in declared.on_line.items() if one.kind == "argument"],
        iterable=[key for key, one in declared.on_line.items() if one.many],
        auto_shortflags=False,
        help={dashed(key).removeprefix("--"): help_text(key, one) for key, one in declared.on_line.items()},
    )
    made.grammar = declared.grammar()
    return made


def _check_line(program: Program) -> None:
    """Refuse a line that Invoke accepts and we do not."""
    try:
        command_line.check(program)
    except CiTasksError as error:
        line = command_line.current()
        with command_line.speaking(line and replace(line, mount="")):  # tasks are named as they were typed
            _fail(error, as_json=command_line.wants_json(program))


def _perform(declared: Declaration, c: Context, given: dict[str, Any]) -> Answer:
    """Run the function of a task: the one place where errors end."""
    gc.set_threshold(_ALLOCATIONS, 50, 50)
    as_json = bool(given.pop("json", False))
    line = command_line.current()
    with command_line.speaking(line):
        try:
            with signals.raising(), bytecode.kept():
                arguments = _arguments(declared, given, line)
                answer: Answer = declared.face(c, **arguments)
                say(answer, as_json=as_json)
        except Exit:
            raise  # from a task that this one called: it has said all there is to say
        except CiTasksError as error:
            if isinstance(error, CancelledError) and error.unchanged is None and not declared.changes:
                error.unchanged = "Nothing was changed."
            if isinstance(error, UsageError) and error.unchanged is None:
                error.unchanged = command_line.NOTHING_RUN
            _fail(error, as_json=as_json)
        except KeyboardInterrupt:
            _fail(signals.cancellation(signal.SIGINT), as_json=as_json)
        except Exception as error:  # noqa: BLE001 - the boundary: whatever else it is, it is a bug of ours
            _fail(_bug(error), as_json=as_json)
    if answer.code is not ExitCode.OK:
        raise Exit(code=int(answer.code))
    return answer


def _arguments(
    declared: Declaration, given: dict[str, Any], line: command_line.Line | None
) -> dict[str, Any]:
    """The arguments of the task's function; Invoke's --dry means --dry-run, or nothing that we could obey."""
    unknown = given.keys() - declared.parameters.keys()
    if unknown:
        raise TypeError(f"{declared.face.__qualname__} has no parameter {min(unknown)}")
    if line is not None and line.dry:
        if "dry_run" not in declared.parameters:
            raise UsageError(
                "This task has no dry run.",
                unchanged=command_line.NOTHING_RUN,
                next_step=declared.example,
            )
        given["dry_run"] = True
    return values(declared, given, after_dashes=(line and line.rest) or ())


def _fail(error: CiTasksError, *, as_json: bool) -> NoReturn:
    """Tell the user, and end the program with the error's code."""
    console.error(error)
    code = error.exit_code
    if as_json:
        document = {
            "code": int(code),
            "name": code.outcome,
            "message": error.what,
            "details": error.details,
            "unchanged": error.unchanged,
            "next": console.next_line(error.next_step) if error.next_step else None,
        }
        with suppress(CiTasksError, BrokenPipeError):  # the code to exit with is the first failure's
            put_document({"error": document})
    raise Exit(code=int(code)) from None


def _bug(error: Exception) -> InternalError:
    """Where an unforeseen error was raised, and nothing else: its text and its locals may hold secrets."""
    package = Path(__file__).parent.parent
    places = []
    trace = error.__traceback__
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        if path.is_relative_to(package):
            places.append(f"{path.relative_to(package.parent).as_posix()}:{trace.tb_lineno}")
        trace = trace.tb_next
    kind = type(error).__name__
    identity = zlib.crc32("\n".join([kind, *places]).encode())
    where = places[-1] if places else "an unknown place"
    return InternalError(
        f"This is a bug in ci_tasks: {kind} at {where} (id {identity:08x}).",
        details=["Its text is not shown, as it could hold a secret. The same id is the same bug."],
    )
