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

    from ci_tasks.environment.model import (
        CheckedConfiguration,
        ConfigurationList,
        Freeze,
        Requirement,
        Rules,
        ShownConfiguration,
    )

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
    rules = list(shown_rules(shown.rules))
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
        rows += [(key, text) for key, text, _ in rules]
        return f"{heading}\n\n{console.table(('Key', 'Value'), rows)}"
    with_origins = [(key, text, origins.get(key, "")) for key, text in rows]
    with_origins += [
        (key, text, f"{source or origins.get(key, 'folders')} {RULE}") for key, text, source in rules
    ]
    return f"{heading}\n\n{console.table(('Key', 'Value', 'From'), with_origins)}"


def render_checked(checked: CheckedConfiguration) -> str:
    """One line per problem, then how many."""
    lines = [str(problem) for problem in checked.problems]
    problems = _count(len(lines), "problem") if lines else "no problems"
    files = _count(checked.configurations, "configuration file")
    return "\n".join([*lines, f"{files} checked, {problems}"])


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def shown_rules(rules: Rules) -> Iterator[tuple[str, str, str | None]]:
    """Each rule that asks for something: its key, its value as text, and its file and line if it has one.

    A rule of several entries comes once for each.
    """
    texts = {
        "protected": "true" if rules.protected else "",
        "branches": ", ".join(rules.branches),
        "timeout": format_duration(rules.timeout) if rules.timeout is not None else "",
        "regions": ", ".join(rules.regions),
        "verify": rules.verify.value if rules.verify is not Verify.NONE else "",
    }
    yield from ((key, text, rules.sources.get(key)) for key, text in texts.items() if text)
    for requirement in rules.requires:
        yield "requires", requirement_text(requirement), requirement.source
    for freeze in rules.freeze:
        yield "freeze", freeze_text(freeze), freeze.source
    words = {
        "strategy": rules.strategy.value,
        "onFailure": rules.on_failure.value,
        "keepReleases": str(rules.keep_releases),
    }
    yield from ((key, text, rules.sources[key]) for key, text in words.items() if key in rules.sources)


def requirement_text(requirement: Requirement) -> str:
    """One entry of `requires` in words."""
    lasting = f" for {format_duration(requirement.soak)}" if requirement.soak is not None else ""
    said = [f"is marked {requirement.state.value}"] if requirement.state else []
    if requirement.environment is not None:
        said.append(f"has run in {requirement.environment}{lasting}")
    elif requirement.is_canary:
        said.append(f"has run in one region{lasting} before it comes to the others")
    return ", ".join(said)


def freeze_text(freeze: Freeze) -> str:
    """One entry of `freeze` in words."""
    days = ", ".join(day.value for day in freeze.days)
    times = f"{freeze.begins} to {freeze.ends}" if freeze.begins and freeze.ends else ""
    labels = f"except {', '.join(freeze.exempt)}" if freeze.exempt else ""
    return ", ".join(part for part in (days, times, freeze.timezone, labels) if part)


def _leaves(values: Mapping[str, object], above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object]]:
    for key, value in values.items():
        path = (*above, key)
        if isinstance(value, dict) and value:
            yield from _leaves(value, path)
        elif above or key not in {"env", "providers"}:
            yield path, value


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
