"""Lines to type about an environment tag."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_tasks.core.command_line import typed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ci_tasks.tag.grammar import EnvironmentTag

BY_HAND = '--reason "it was moved by hand"'
"""What a line says that puts a tag back."""


def options(tag: EnvironmentTag) -> str:
    """The options that name an environment tag on a command line: `--env staging --subproject api`."""
    return f"--env {tag.environment}" + (f" --subproject {tag.subproject}" if tag.subproject else "")


def history_line(tag: EnvironmentTag) -> str:
    """The line that shows an environment's ledger."""
    return typed(f"deploy.history {options(tag)}")


def put_back_line(tag: EnvironmentTag, versions: Iterable[str | None]) -> str:
    """The line that puts a tag back which was moved by hand; `versions` are what is live by its ledger.

    Where they are more than one, no line does that: the ledger is to be looked at.
    """
    found = set(versions)
    version = found.pop() if len(found) == 1 else None
    if version is None:
        return history_line(tag)
    return typed(f"tag.assign {options(tag)} --version {version} {BY_HAND}")
