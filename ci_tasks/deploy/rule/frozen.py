"""The rule `freeze`: whether it holds now, until when, and what passes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_tasks.deploy.model import Refusal, line_of
from ci_tasks.environment.freeze import exempts, holding, in_zone, thaw
from ci_tasks.tag.names import DeploymentKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from ci_tasks.deploy.model import Facts
    from ci_tasks.environment.model import Freeze


def refusals(facts: Facts) -> Iterator[Refusal]:
    """Every freeze that holds now and that no label of the request passes.

    The next line passes none of them: whoever copies it does not mean that yet.
    """
    closed = _not_exempt(facts)
    line = line_of(facts.request, facts.tag.subproject, version=str(facts.version.tag.version))
    for freeze in closed:
        if holding(freeze, facts.now) is not None:
            yield Refusal(
                rule="freeze",
                message=(
                    f"{facts.tag.environment} is frozen{_until(freeze, thaw(closed, facts.now))}"
                    f"{_way_round(facts, freeze)}."
                ),
                next_step=f"{line} --dry-run",
                source=freeze.source,
            )


def notices(facts: Facts) -> Iterator[str]:
    """That a freeze holds which a label passes."""
    for freeze in facts.rules.freeze:
        labels = [label for label in facts.request.labels if label in freeze.exempt]
        if labels and holding(freeze, facts.now) is not None:
            source = f" ({freeze.source})" if freeze.source else ""
            yield f"{facts.tag.environment} is frozen{source}; the label {labels[0]} passes."


def _not_exempt(facts: Facts) -> list[Freeze]:
    return [freeze for freeze in facts.rules.freeze if not exempts(freeze, facts.request.labels)]


def _until(freeze: Freeze, end: datetime | None) -> str:
    """When nothing is frozen any more, on the clocks of the freeze and in UTC."""
    if end is None:
        return ", and no end is in sight"
    said = f" until {end:%Y-%m-%d %H:%M} UTC"
    if freeze.timezone == "UTC":
        return said
    return f"{said} ({in_zone(freeze, end):%Y-%m-%d %H:%M} in {freeze.timezone})"


def _way_round(facts: Facts, freeze: Freeze) -> str:
    """What passes, for what can't wait: a label, else an override; a rollback is told nothing of it."""
    if facts.request.kind is DeploymentKind.ROLLBACK:
        return ""
    takes_labels = facts.request.kind is not DeploymentKind.ASSIGN
    others: Sequence[Freeze] = [one for one in _not_exempt(facts) if holding(one, facts.now) is not None]
    for label in freeze.exempt if takes_labels else ():
        if all(label in one.exempt for one in others):
            return f"; what can't wait takes --label {label}"
    return '; what can\'t wait takes --override "why"'
