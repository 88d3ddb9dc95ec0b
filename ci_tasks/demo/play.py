"""Plays the story in a folder of its own, and tidies up."""

from __future__ import annotations

import shlex
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ci_tasks.core.errors import FailedError
from ci_tasks.demo.model import DemoAnswer, DemoStep
from ci_tasks.demo.story import STEPS
from ci_tasks.demo.terminal import SurpriseError, Terminal

if TYPE_CHECKING:
    from collections.abc import Callable


def play(*, keep: bool, say: Callable[[str], None]) -> DemoAnswer:
    """Play every step; the folder is removed unless it is to be kept.

    Raises FailedError, and keeps the folder, if a step goes otherwise than it should.
    """
    begun = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="ci-demo-")).resolve()
    try:
        terminal = Terminal(folder, say)
        steps = tuple(_step(number, terminal) for number in range(len(STEPS)))
    except FailedError:
        raise  # with the folder, which shows what went wrong
    except BaseException:
        if not keep:
            _remove(folder)
        raise
    if not keep:
        _remove(folder)
    return DemoAnswer(
        steps=steps, seconds=round(time.monotonic() - begun, 1), folder=str(folder) if keep else None
    )


def ending(answer: DemoAnswer) -> str:
    """What is said at the end."""
    lines = [
        "",
        f"All {len(answer.steps)} steps did what they should, in {answer.seconds:.0f} s.",
        "A repository of your own needs tasks.py, environments/ and scripts/deployment/:",
        "the README has the lines.",
    ]
    if answer.folder:
        clone = Path(answer.folder) / "monorepo"
        lines += [f"Kept: {answer.folder}", f"next: cd {shlex.quote(str(clone))} && inv deploy.status"]
    return "\n".join(lines)


def _step(number: int, terminal: Terminal) -> DemoStep:
    step = STEPS[number]
    if number:
        terminal.say("")
    terminal.say(f"== {number + 1}. {step.title}")
    for line in step.about.splitlines():
        terminal.say(line)
    terminal.say("")
    try:
        step.act(terminal)
    except SurpriseError as error:
        raise FailedError(
            f"Step {number + 1} of the demo ({step.title}) went wrong: {error}.",
            unchanged=f"Nothing of yours was changed. The demo's folder is kept: {terminal.folder}",
            next_step=f"ls {shlex.quote(str(terminal.folder))}",
        ) from error
    return DemoStep(title=step.title, about=" ".join(step.about.splitlines()), lines=terminal.forget())


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
