"""Labels of a deployment, such as `hotfix`: which names there can be, and which ones a rule knows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ci_tasks.core.errors import UsageError, bad_choice
from ci_tasks.deploy.model import line_of
from ci_tasks.environment.names import is_label

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ci_tasks.deploy.model import Facts


def labelled(given: Iterable[str]) -> tuple[str, ...]:
    """The labels that were typed, each once; UsageError for one that can be none."""
    labels = tuple(dict.fromkeys(given))
    for label in labels:
        if not is_label(label):
            raise UsageError(
                f"{label[:60]!r} can't be a label: a-z, 0-9 and -, not - first, at most 40 characters, "
                "such as hotfix.",
                unchanged="Nothing was changed.",
            )
    return labels


def refuse_unknown(facts: Facts) -> None:
    """Raise UsageError for a label that no freeze of this environment lets pass: it would mean nothing."""
    environment = facts.tag.environment
    known = tuple(dict.fromkeys(label for freeze in facts.rules.freeze for label in freeze.exempt))
    for label in facts.request.labels:
        if known and label not in known:
            raise bad_choice(f"label of {environment}", label, known)
        if not known:
            raise UsageError(
                f"{environment} has no freeze that lets a label pass, so --label {label} means nothing.",
                unchanged="Nothing was changed.",
                next_step=line_of(replace(facts.request, labels=()), facts.tag.subproject),
            )
