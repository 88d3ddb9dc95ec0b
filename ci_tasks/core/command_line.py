"""The line that was typed, read again: Invoke takes some lines for others than their authors meant."""

from __future__ import annotations

import inspect
import shlex
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.collection import Collection
from invoke.exceptions import Exit
from invoke.program import Program

from ci_tasks.core.errors import UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from invoke.parser.argument import Argument
    from invoke.parser.context import ParserContext

NOTHING_RUN = "Nothing was run."
HELP = ("--help", "-h")
DRY = ("--dry", "-R")


class RootCollection(Collection):
    """Our whole tree of tasks; wherever a user's collection holds it, our task names begin there."""


@dataclass(frozen=True, kw_only=True)
class Grammar:
    """What a task of ours takes, with options as they are typed (`--dry-run`)."""

    single: frozenset[str] = frozenset()
    many: frozenset[str] = frozenset()
    flags: frozenset[str] = frozenset()
    takes_rest: bool = False
    changes: bool = False

    @property
    def options(self) -> frozenset[str]:
        """Every option."""
        return self.single | self.many | self.flags


@dataclass(frozen=True, kw_only=True)
class Line:
    """What the typed line says beside the options of its tasks."""

    program: str = "inv"
    mount: str = ""
    dry: bool = False
    rest: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Segment:
    """One task of the line with its own words."""

    name: str
    words: list[str]
    grammar: Grammar | None

    @property
    def line(self) -> str:
        """The task alone, as it was typed."""
        return f"inv {shlex.join([self.name, *self.words])}"


_spoken: list[Line] = []


@contextmanager
def speaking(line: Line | None) -> Iterator[None]:
    """Make `typed` answer for this line, in all threads."""
    _spoken.append(line or Line())
    try:
        yield
    finally:
        _spoken.pop()


def typed(line: str) -> str:
    """A command line of ours as the user has to type it here: their program, our place in their tree.

    `typed("deploy --env staging")`, or the same with `inv` in front, is `inv ci.deploy --env staging`
    where our collection is mounted as `ci`.
    """
    here = _spoken[-1] if _spoken else Line()
    start = f"{here.program} {here.mount}"
    if line.startswith(start) or line in {"inv", here.program}:
        return line if line != "inv" else here.program
    return start + line.removeprefix("inv ")


def running() -> Program | None:
    """The Invoke program that runs us, found on the stack: a task is not told, and it need not be `inv`."""
    frame = inspect.currentframe()
    while frame is not None:
        candidate = frame.f_locals.get("self")
        if isinstance(candidate, Program):
            return candidate
        frame = frame.f_back
    return None


def current() -> Line | None:
    """The line that the running program was started with; None if no program runs (a test, a script)."""
    program = running()
    if program is None or getattr(program, "tasks", None) is None:
        return None
    return Line(
        program=_program_words(program),
        mount=_mount(program.collection) or "",
        dry=bool(program.args.dry.value),
        rest=_rest(program.argv),
    )


def _rest(argv: Sequence[str]) -> tuple[str, ...] | None:
    """What follows the first `--`, word by word; None without one."""
    words = list(argv)
    return tuple(words[words.index("--") + 1 :]) if "--" in words else None


def _program_words(program: Program) -> str:
    """The program's name with the core options that decide which tasks are found."""
    path = Path(program.argv[0])
    words = [path.name] if path.name != "__main__.py" else ["python", "-m", path.parent.name]
    for name in ("search-root", "collection"):
        if name in program.args and not program.core_via_tasks.args[name].got_value:
            value = program.args[name].value
            words += [f"--{name}={value}"] if value else []
    return shlex.join(words)


def _mount(collection: Collection, path: str = "") -> str | None:
    """Where in the tree our root is ("ci."); None if it is the tree itself, or is not in it."""
    for name, part in collection.collections.items():
        here = f"{path}{name}."
        found = here if isinstance(part, RootCollection) else _mount(part, here)
        if found is not None:
            return found
    return None


def wants_json(program: Program) -> bool:
    """Whether a task on the line was asked for JSON, however wrong the rest of the line is."""
    return "--json" in program.core.unparsed


def check(program: Program) -> None:
    """Refuse a line that could mean something else than it does: before any of its tasks has run.

    Raises UsageError; prints help and ends the program where Invoke took `--help` for a positional value.
    """
    contexts: list[ParserContext] = getattr(program, "tasks", None) or []
    grammars = [getattr(program.collection[context.name], "grammar", None) for context in contexts]
    if not any(grammars):
        return
    known = program.parser.contexts
    cut_up = _cut(program.core.unparsed, known, program.initial_context.flags)
    if [known[name].name for name, _ in cut_up] != [context.name for context in contexts]:
        raise UsageError(
            "This line can be read in two ways.",
            details=["Write values as --option=value, and one task per line."],
            unchanged=NOTHING_RUN,
        )
    segments = [
        Segment(name, words, grammar) for (name, words), grammar in zip(cut_up, grammars, strict=True)
    ]
    for segment, context in zip(segments, contexts, strict=True):
        if segment.grammar is not None:
            _check_words(segment.name, segment.words, segment.grammar, program)
            _check_positionals(segment.name, context.positional_args)
    _check_company(segments)
    last = segments[-1]
    if last.grammar is not None and not last.grammar.takes_rest and "--" in program.argv:
        raise UsageError(f"{last.name} takes nothing after `--`.", unchanged=NOTHING_RUN, next_step=last.line)


def _check_company(segments: Sequence[Segment]) -> None:
    """A task that changes something, or answers in JSON, is alone on its line."""
    if len(segments) < 2:  # noqa: PLR2004 - company begins at two
        return
    for segment in segments:
        if segment.grammar is None:
            continue
        if segment.grammar.changes or "--json" in segment.words:
            why = "changes something" if segment.grammar.changes else "was asked for JSON"
            raise UsageError(
                f"{segment.name} {why}, so it has to be the only task on its line.",
                unchanged=NOTHING_RUN,
                next_step=segment.line,
            )


def _check_words(name: str, words: Sequence[str], grammar: Grammar, program: Program) -> None:
    """Read the words of one task strictly: what is not plainly an option, a flag or a value is refused."""
    core = program.initial_context.flags
    given: set[str] = set()
    remaining = iter(words)
    for word in remaining:
        if not word.startswith("-") or word == "-":
            continue
        option, equals, value = word.partition("=")
        if option in HELP:
            program.print_task_help(name)
            raise Exit(code=0)
        if option in grammar.flags:
            if equals:
                raise _wrong(f"{option} is a flag: it takes no value.", name)
        elif option in grammar.options:
            if option in given and option in grammar.single:
                raise _wrong(f"{option} is given twice.", name)
            _check_value(option, value if equals else next(remaining, None), bool(equals), grammar, name)
        elif word not in DRY:
            raise _stranger(word, name, grammar, core)
        given.add(option)


def _check_positionals(name: str, positionals: Sequence[Argument]) -> None:
    """Refuse Invoke's --dry where Invoke took it for the value that the task was still waiting for."""
    for argument in positionals:
        if argument.value in DRY:
            raise _wrong(f"{name} needs a value before {argument.value}.", name)


def _check_value(option: str, value: str | None, attached: bool, grammar: Grammar, name: str) -> None:  # noqa: FBT001 - private
    """A value stands after its option; one that begins with `-` is glued to it by `=`."""
    if value is None:
        raise _wrong(f"{option} needs a value.", name)
    if value in grammar.options:
        raise _wrong(f"{option} needs a value, and {value} is an option.", name)
    if value.startswith("-") and value != "-" and not attached:
        hint = f" A value that begins with - is written {option}={value}"
        raise _wrong(f"{option} needs a value, and {value!r} looks like an option.{hint}", name)


def _stranger(word: str, name: str, grammar: Grammar, core: Mapping[str, Argument]) -> UsageError:
    """The error for a word that looks like an option and is none of the task's."""
    option = word.partition("=")[0]
    short = option[:2] if not option.startswith("--") else option
    if option in core or short in core:
        return _wrong(f"{word} is an option of inv itself, and means nothing to {name}.", name)
    close = nearest(option, grammar.options)
    hint = f" Did you mean {close}?" if close else ""
    return _wrong(f"{name} has no option {option}.{hint}", name)


def _wrong(what: str, name: str) -> UsageError:
    return UsageError(what, unchanged=NOTHING_RUN, next_step=f"inv --help {name}")


def _cut(
    words: Sequence[str], contexts: Mapping[str, ParserContext], core: Mapping[str, Argument]
) -> list[tuple[str, list[str]]]:
    """Cut the words after the core options into tasks, by the rules of Invoke's parser."""
    tasks: list[tuple[str, list[str]]] = []
    flags: Mapping[str, Argument] = {}
    open_positionals: list[Argument] = []
    waiting: Argument | None = None
    seen: list[Argument] = []
    for word in words:
        if waiting is not None and word not in flags:
            waiting = None
        elif word in flags or (word.startswith("-") and word != "-"):
            found = _flag(word, flags, {} if open_positionals else core)
            waiting = None
            if found is None and open_positionals:
                open_positionals.pop(0)
            elif found is not None:
                argument, complete = found
                if not complete and argument.takes_value and (argument.kind is list or argument not in seen):
                    waiting = argument
                seen.append(argument)
                open_positionals = [one for one in open_positionals if one is not argument]
        elif open_positionals:
            open_positionals.pop(0)
        elif word in contexts:
            context = contexts[word]
            flags, open_positionals, waiting, seen = context.flags, list(context.positional_args), None, []
            tasks.append((word, []))
            continue
        if tasks:
            tasks[-1][1].append(word)
    return tasks


def _flag(
    word: str, flags: Mapping[str, Argument], core: Mapping[str, Argument]
) -> tuple[Argument, bool] | None:
    """The option that a word ends with, and whether its value is in the word already; None if it has none."""
    name, equals, _ = word.partition("=")
    if name in flags or name in core:
        return (flags[name] if name in flags else core[name]), bool(equals)
    if name.startswith("--"):
        return None
    first, last = name[:2], f"-{name[-1]}"
    if first in flags and flags[first].takes_value:
        return flags[first], True
    if last in flags or last in core:
        return (flags[last] if last in flags else core[last]), bool(equals)
    return None
