"""The rule `freeze`: whether it holds now, until when, and what passes."""

from __future__ import annotations

from dataclasses import replace
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
    """Every freeze that holds now and that no label of the request passes."""
    closed = _not_exempt(facts)
    for freeze in closed:
        if holding(freeze, facts.now) is not None:
            yield Refusal(
                rule="freeze",
                message=f"{facts.tag.environment} is frozen{_until(freeze, thaw(closed, facts.now))}.",
                next_step=_way_round(facts, freeze),
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
    """The line for what can't wait: with the label that passes, else with an override."""
    version = str(facts.version.tag.version)
    takes_labels = facts.request.kind is not DeploymentKind.ASSIGN
    others: Sequence[Freeze] = [one for one in _not_exempt(facts) if holding(one, facts.now) is not None]
    for label in freeze.exempt if takes_labels else ():
        if all(label in one.exempt for one in others):
            request = replace(facts.request, labels=(*facts.request.labels, label))
            return line_of(request, facts.tag.subproject, version=version)
    return f'{line_of(facts.request, facts.tag.subproject, version=version)} --override "why"'
