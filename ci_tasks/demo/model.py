"""The entities of the demo."""

from __future__ import annotations

from ci_tasks.core.entity import Entity


class TypedLine(Entity, frozen=True, kw_only=True):
    """A line that was typed, and what came of it; stdout and stderr are in `output` as they came."""

    line: str
    exit_code: int
    output: tuple[str, ...]


class DemoStep(Entity, frozen=True, kw_only=True):
    """One step of the story."""

    title: str
    about: str
    lines: tuple[TypedLine, ...]


class DemoAnswer(Entity, frozen=True, kw_only=True):
    """What `inv demo --json` prints; `folder` is null unless it was kept, `seconds` is how long it took."""

    steps: tuple[DemoStep, ...]
    seconds: float
    folder: str | None
