"""Which mode a script runs in: the most specific environment variable wins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci_tasks.core.errors import UsageError, nearest
from ci_tasks.script.names import Category, Mode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NAME_PREFIX = "ci-"
EVERYBODY = "CI_TEST_MODE"
OPTION = "--mode"


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A mode, and the variable (or `--mode`) that chose it; None for the default."""

    mode: Mode
    variable: str | None

    def __str__(self) -> str:
        why = f"decided by {self.variable}" if self.variable else "the default: no variable is set"
        return f"mode {self.mode.value}, {why}"


def _word(name: str) -> str:
    """The form that a script's, category's or pipeline's name has inside a variable's."""
    return name.upper().replace("-", "_")


def pipeline_variable(script_name: str, pipeline: str) -> str:
    """`CI_TEST_<PIPELINE>_<SCRIPT>_BEHAVIOR`."""
    return f"CI_TEST_{_word(pipeline)}_{_word(script_name.removeprefix(NAME_PREFIX))}_BEHAVIOR"


def script_variable(script_name: str) -> str:
    """`CI_<SCRIPT>_BEHAVIOR`; the name may have its `ci-` or not."""
    return f"CI_{_word(script_name.removeprefix(NAME_PREFIX))}_BEHAVIOR"


def category_variable(category: Category) -> str:
    """`CI_TEST_<CATEGORY>_BEHAVIOR`."""
    return f"CI_TEST_{category.value}_BEHAVIOR"


def variables(script_name: str, category: Category, pipeline: str | None) -> tuple[str, ...]:
    """All variables that can choose this script's mode, the most specific first."""
    own = (pipeline_variable(script_name, pipeline),) if pipeline else ()
    return (*own, script_variable(script_name), category_variable(category), EVERYBODY)


def decide(
    script_name: str,
    category: Category,
    pipeline: str | None,
    environ: Mapping[str, str],
    *,
    option: Mode | None = None,
) -> Decision:
    """The mode of one script; `option` is the value of `--mode`, which beats every variable.

    An empty variable is not set. A bad value is a UsageError even where a more specific variable
    would win: who wrote `CI_TEST_MODE=DRYRUN` did not mean "execute".
    """
    if option is not None:
        return Decision(mode=option, variable=OPTION)
    chosen = [
        Decision(mode=_mode(name, environ[name]), variable=name)
        for name in variables(script_name, category, pipeline)
        if environ.get(name)
    ]
    return chosen[0] if chosen else Decision(mode=Mode.EXECUTE, variable=None)


def _mode(variable: str, value: str) -> Mode:
    names = [mode.value for mode in Mode]
    if value in names:
        return Mode(value)
    close = nearest(value, names)
    hint = f" Did you mean {close}?" if close else ""
    raise UsageError(
        f"{variable}={value!r} is not a mode.{hint}",
        unchanged="Nothing was run.",
        next_step=f"unset {variable}",
        details=[f"Allowed: {', '.join(names)}."],
    )


def unheard(
    environ: Mapping[str, str], script_names: Iterable[str], *, pipelines: Iterable[str] | None = None
) -> tuple[str, ...]:
    """Variables that look like a script's mode but that no script and no category listens to.

    `pipelines` are all that there are; without them any `CI_TEST_…_<SCRIPT>_BEHAVIOR` counts as heard.
    """
    words = [_word(name.removeprefix(NAME_PREFIX)) for name in script_names]
    heard = {category_variable(category) for category in Category} | {script_variable(n) for n in words}
    ends = tuple(f"_{word}_BEHAVIOR" for word in words)
    if pipelines is not None:
        heard |= {pipeline_variable(word, pipeline) for word in words for pipeline in pipelines}
        ends = ()
    return tuple(
        sorted(
            name
            for name, value in environ.items()
            if value
            and name.startswith("CI_")
            and name.endswith(("_BEHAVIOR", "_BEHAVIOUR"))
            and name not in heard
            and not (name.startswith("CI_TEST_") and name.removeprefix("CI_TEST_").endswith(ends))
        )
    )
