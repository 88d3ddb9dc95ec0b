"""What `script.list`, `script.run` and `script.check` do in a checkout."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci_tasks.core.process.running import StopRequest, child_environment
from ci_tasks.core.redact import Redactor, secrets_in
from ci_tasks.core.signals import deferred
from ci_tasks.core.subprojects import known, standing_in, subprojects
from ci_tasks.script import check as rules
from ci_tasks.script.discovery import discover, everywhere, find, known_ids
from ci_tasks.script.mode import Decision, decide, unheard
from ci_tasks.script.model import CheckReport, CIScript, ScriptList, ScriptResult
from ci_tasks.script.names import Category
from ci_tasks.script.runner import run_script

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ci_tasks.core.checkout import Checkout
    from ci_tasks.script.names import Mode


def listed(checkout: Checkout, category: Category | None, subproject: str | None) -> ScriptList:
    """All scripts, the root's and the subprojects'; with a subproject those that it would run."""
    there = subprojects(checkout.root, checkout.settings.subprojects)
    categories = [category] if category else list(Category)
    if subproject:
        chosen = known(subproject, there) or None
        found = [script for one in categories for script in discover(checkout.root, one, chosen)]
    else:
        found = [script for one in categories for script in everywhere(checkout.root, one, there)]
    return ScriptList(scripts=tuple(found))


def checked(checkout: Checkout, subproject: str | None) -> CheckReport:
    """What is wrong with the scripts of the root and of all subprojects, or with one subproject's own."""
    there = subprojects(checkout.root, checkout.settings.subprojects)
    return rules.check(checkout.root, [known(subproject, there) or None] if subproject else [None, *there])


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A script, the mode it is about to run in, and variables that were perhaps meant for it."""

    script: CIScript
    decision: Decision
    unheard: tuple[str, ...]


def prepared(
    checkout: Checkout, name: str, *, mode: Mode | None, subproject: str | None, environ: Mapping[str, str]
) -> Turn:
    """Find the script for the subproject given, else for the one that the current folder belongs to."""
    root = checkout.root
    there = subprojects(root, checkout.settings.subprojects)
    chosen = known(subproject, there) or None if subproject else standing_in(checkout.folder, root, there)
    script = find(root, name, chosen)
    decision = decide(script.script_name, script.category, None, environ, option=mode)
    names = [script_id.partition("/")[2] for where in (None, *there) for script_id in known_ids(root, where)]
    return Turn(script=script, decision=decision, unheard=unheard(environ, names))


def performed(checkout: Checkout, turn: Turn, *, on_line: Callable[[str], None]) -> ScriptResult:
    """Run it in the repository's root; Ctrl-C and SIGTERM end it, and are raised once it is gone.

    Variables that `passEnvironment` lets through may be secrets; their names are all there is to tell by.
    """
    env = child_environment({}, pass_patterns=checkout.settings.pass_environment)
    redactor = Redactor(secrets_in(env))
    stop = StopRequest()
    with deferred(lambda count: stop.request("cancelled", now=count > 1)) as interruption:
        result = run_script(
            turn.script,
            turn.decision.mode,
            root=checkout.root,
            cwd=checkout.root,
            env=env,
            timeout=None,
            on_line=on_line,
            redactor=redactor,
            stop=stop,
            environ=os.environ,
            decided_by=turn.decision.variable,
        )
    if interruption.error is not None:
        raise interruption.error
    return result
