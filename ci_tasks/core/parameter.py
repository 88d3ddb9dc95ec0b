"""How a task declares what it takes, and how the typed text becomes values."""

from __future__ import annotations

import inspect
import os
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from ci_tasks.core.command_line import NOTHING_RUN, Grammar
from ci_tasks.core.errors import UsageError, bad_choice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Choices = type[Enum] | Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One declared parameter of a task; `kind` is option, flag, argument or rest."""

    kind: str
    help: str
    required: bool = False
    many: bool = False
    choices: Choices | None = None
    metavar: str | None = None
    env: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The closed set of values, as typed; empty if every text will do."""
        if self.choices is None:
            return ()
        if isinstance(self.choices, type):
            return tuple(str(member.value) for member in self.choices)
        return tuple(self.choices)


def option(
    help: str,  # noqa: A002 - named as in Invoke
    *,
    required: bool = False,
    many: bool = False,
    choices: Choices | None = None,
    metavar: str | None = None,
    env: str | None = None,
) -> Any:
    """Declare an option with a value: `str | None`, with `many` a list of different strings.

    `choices` is an enum class (the task gets its members) or the allowed strings; `env` names the environment
    variable that gives the value where the line doesn't.
    """
    return Parameter(
        kind="option",
        help=help,
        required=required,
        many=many,
        choices=choices,
        metavar=metavar,
        env=env,
    )


def flag(help: str) -> Any:  # noqa: A002 - named as in Invoke
    """Declare a switch: False unless given."""
    return Parameter(kind="flag", help=help)


def argument(help: str) -> Any:  # noqa: A002 - named as in Invoke
    """Declare the one positional value, always required."""
    return Parameter(kind="argument", help=help, required=True)


def rest(help: str) -> Any:  # noqa: A002 - named as in Invoke
    """Declare what follows `--`: a list of strings, exactly as typed."""
    return Parameter(kind="rest", help=help)


JSON = Parameter(kind="flag", help="print one JSON document and nothing else")


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """A task's function with the parameters that its signature declares."""

    face: Callable[..., Any]
    parameters: Mapping[str, Parameter]
    changes: bool

    @property
    def on_line(self) -> dict[str, Parameter]:
        """The parameters that Invoke is to know: all but what follows `--`, and `json`."""
        return {key: one for key, one in self.parameters.items() if one.kind != "rest"} | {"json": JSON}

    @property
    def example(self) -> str | None:
        """The line that the docstring ends with."""
        return example(self.face.__doc__)

    def signature(self) -> inspect.Signature:
        """What Invoke reads the options from: strings without a default, and booleans."""
        kind = inspect.Parameter.KEYWORD_ONLY
        options = [
            inspect.Parameter(key, kind, default=False if one.kind == "flag" else None)
            for key, one in self.on_line.items()
        ]
        return inspect.Signature([inspect.Parameter("c", inspect.Parameter.POSITIONAL_OR_KEYWORD), *options])

    def grammar(self) -> Grammar:
        """What the task takes, as `command_line` checks it."""

        def spelled(kinds: Iterable[str], *, many: bool = False) -> frozenset[str]:
            return frozenset(
                dashed(key) for key, one in self.on_line.items() if one.kind in kinds and one.many is many
            )

        return Grammar(
            single=spelled(("option", "argument")),
            many=spelled(("option",), many=True),
            flags=spelled(("flag",)),
            takes_rest=any(one.kind == "rest" for one in self.parameters.values()),
            changes=self.changes,
        )


def declaration(face: Callable[..., Any], *, changes: bool) -> Declaration:
    """Read the function's signature; TypeError for a parameter that is not declared as one."""
    _context, *parameters = inspect.signature(face).parameters.values()
    declared = {one.name: one.default for one in parameters}
    for key, one in declared.items():
        if not isinstance(one, Parameter) or key == "json":
            raise TypeError(f"{face.__module__}.{face.__qualname__}: {key} is not declared as a parameter")
    return Declaration(face=face, parameters=declared, changes=changes)


def dashed(key: str) -> str:
    """The option as it is typed; `from_` is `--from`: Python has a use for some words."""
    return f"--{key.strip('_').replace('_', '-')}"


def example(docstring: str | None) -> str | None:
    """The example line that a docstring ends with: `inv ...`, with or without `Example:` before it."""
    last = inspect.cleandoc(docstring or "").rpartition("\n")[2].removeprefix("Example: ")
    return last if last.split(" ")[0] == "inv" else None


def help_text(key: str, parameter: Parameter) -> str:
    """The line of --help: `NAME; what it is; one of a, b (required) (repeatable)`."""
    if parameter.kind == "flag":
        return parameter.help
    parts = [parameter.metavar or key.upper().replace("_", "-"), parameter.help]
    if parameter.names:
        parts.append(f"one of {', '.join(parameter.names)}")
    marks = {"(required)": parameter.required, "(repeatable)": parameter.many}
    return " ".join(["; ".join(parts), *(mark for mark, holds in marks.items() if holds)])


def values(declared: Declaration, given: Mapping[str, Any], *, after_dashes: Sequence[str]) -> dict[str, Any]:
    """Convert what was given into the arguments of the task's function.

    Raises UsageError, which shows the docstring's example line.
    """
    try:
        converted = {
            key: list(given.get(key, after_dashes))
            if one.kind == "rest"
            else _value(key, one, given.get(key))
            for key, one in declared.parameters.items()
        }
    except UsageError as error:
        error.unchanged, error.next_step = NOTHING_RUN, declared.example
        raise
    missing = [
        key for key, one in declared.parameters.items() if one.required and converted[key] in (None, [])
    ]
    if missing:
        first = declared.parameters[missing[0]]
        name = f"The {missing[0]}" if first.kind == "argument" else dashed(missing[0])
        raise UsageError(
            f"{name} is missing: {first.help}.",
            details=[
                *([f"Allowed: {', '.join(first.names)}."] if first.names else []),
                *(f"Missing too: {dashed(key)}." for key in missing[1:]),
            ],
            unchanged=NOTHING_RUN,
            next_step=declared.example,
        )
    return converted


def _value(key: str, parameter: Parameter, given: Any) -> Any:
    """One parameter's value; a blank text is the same as none."""
    if parameter.kind == "flag":
        return bool(given)
    if _blank(given) and parameter.env is not None:
        given = os.environ.get(parameter.env)
    if parameter.many:
        texts = given if isinstance(given, (list, tuple)) else [given]
        words = [word for text in texts for word in (text.split(",") if isinstance(text, str) else [text])]
        return list(dict.fromkeys(_chosen(key, parameter, word) for word in words if not _blank(word)))
    return None if _blank(given) else _chosen(key, parameter, given)


def _blank(given: Any) -> bool:
    return not (given.strip() if isinstance(given, str) else given)


def _chosen(key: str, parameter: Parameter, given: Any) -> Any:
    """The text, or the member of the closed set that it names."""
    if isinstance(given, Enum):
        return given
    text: str = given.strip() if parameter.many or parameter.choices is not None else given
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"The value of {dashed(key)} is not valid UTF-8.") from None
    if parameter.choices is not None and text not in parameter.names:
        raise bad_choice((parameter.metavar or key).lower().replace("_", " "), text, parameter.names)
    if isinstance(parameter.choices, type):
        return next(member for member in parameter.choices if str(member.value) == text)
    return text
