"""The answers about configuration as text for people."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ci_tasks.core import console
from ci_tasks.core.document import dotted
from ci_tasks.core.duration import format_duration
from ci_tasks.environment.names import Verify

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ci_tasks.environment.model import CheckedConfiguration, ConfigurationList, Rules, ShownConfiguration

RULE = "(rule, from the pipeline checkout)"


def render_list(listed: ConfigurationList) -> str:
    """One line per file."""
    return console.table(
        ("File", "Environment", "Region", "Subproject"),
        [
            (entry.path, entry.environment, entry.region or "", entry.subproject or "")
            for entry in listed.configurations
        ],
    )


def render_shown(shown: ShownConfiguration) -> str:
    """A heading, and one line per key; with its file, if origins were asked for."""
    values = {**shown.values, "env": shown.env, "providers": shown.providers}
    rows = [(dotted(path), _text(value)) for path, value in _leaves(values, ())]
    rules = list(_rules(shown.rules))
    heading = ", ".join(
        part
        for part in (
            shown.environment,
            f"region {shown.region}" if shown.region else "",
            f"subproject {shown.subproject}" if shown.subproject else "the root project",
        )
        if part
    )
    if not rows and not rules:
        return f"{heading}: nothing is set."
    origins = shown.origins
    if origins is None:
        return f"{heading}\n\n{console.table(('Key', 'Value'), rows + rules)}"
    with_origins = [(key, text, origins.get(key, "")) for key, text in rows]
    with_origins += [(key, text, f"{origins.get(key, 'folders')} {RULE}") for key, text in rules]
    return f"{heading}\n\n{console.table(('Key', 'Value', 'From'), with_origins)}"


def render_checked(checked: CheckedConfiguration) -> str:
    """One line per problem, then how many."""
    lines = [str(problem) for problem in checked.problems]
    problems = _count(len(lines), "problem") if lines else "no problems"
    files = _count(checked.configurations, "configuration file")
    return "\n".join([*lines, f"{files} checked, {problems}"])


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _rules(rules: Rules) -> Iterator[tuple[str, str]]:
    if rules.protected:
        yield "protected", "true"
    if rules.branches:
        yield "branches", _text(list(rules.branches))
    if rules.timeout is not None:
        yield "timeout", format_duration(rules.timeout)
    if rules.regions:
        yield "regions", _text(list(rules.regions))
    if rules.verify is not Verify.NONE:
        yield "verify", rules.verify.value


def _leaves(values: Mapping[str, object], above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object]]:
    for key, value in values.items():
        path = (*above, key)
        if isinstance(value, dict) and value:
            yield from _leaves(value, path)
        elif above or key not in {"env", "providers"}:
            yield path, value


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
