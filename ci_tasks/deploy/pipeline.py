"""What the pipeline checkout supplies: rules, scripts and signers, and which of them are not as committed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci_tasks.core.errors import UsageError, nearest
from ci_tasks.core.files import read_file
from ci_tasks.core.signing import AllowedSigners, signer_files
from ci_tasks.core.subprojects import subprojects as all_subprojects
from ci_tasks.deploy import configuration
from ci_tasks.deploy.model import ScriptFact
from ci_tasks.environment.names import Verify
from ci_tasks.script.discovery import discover, known_ids
from ci_tasks.script.mode import decide, script_variable, unheard
from ci_tasks.script.names import PIPELINES, Category

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci_tasks.core.checkout import Checkout
    from ci_tasks.environment.configuration import Layers
    from ci_tasks.environment.model import Rules
    from ci_tasks.script.model import CIScript
    from ci_tasks.tag.grammar import EnvironmentTag

PIPELINE = "release"
"""The pipeline that a deployment belongs to: CI_TEST_RELEASE_<SCRIPT>_BEHAVIOR."""


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """The checkout as it stands on disk. `inputs` is the SHA-256 of the scripts, `head` what is checked out.

    `allowed_signers` is None where the rules ask for no signature, `changed_paths` what is not as committed.
    `committed` are the layers of `head`, None where they are the same.
    """

    layers: Layers
    committed: Layers | None
    rules: Rules
    scripts: tuple[ScriptFact, ...]
    inputs: str
    allowed_signers: AllowedSigners | None
    head: str | None
    changed_paths: tuple[str, ...]


def read(
    checkout: Checkout, tag: EnvironmentTag, *, environ: Mapping[str, str], is_assignment: bool
) -> Pipeline:
    """Read it once; an assignment runs no script and uses no value, so it needs the rules alone."""
    subproject = tag.subproject
    files = configuration.files_of_checkout(checkout, subproject)
    layers = configuration.of_checkout(checkout, files)
    rules = layers.rules(tag.environment, subproject)
    scripts = () if is_assignment else _scripts(checkout, subproject, environ)
    script_files = _script_files(checkout, [fact.script for fact in scripts])
    signers = AllowedSigners.read(checkout.root, checkout.settings.allowed_signers)
    head = checkout.repository.head()
    used = {path: data for path, data in files.items() if not path.endswith("/")}
    changed = _changed_paths(checkout, subproject, head, {**used, **script_files, **signers.files})
    if is_assignment:
        signing = signer_files(checkout.settings.allowed_signers)
        changed = tuple(path for path in changed if path in signing or "environments" in path.split("/"))
    committed = configuration.committed(checkout, subproject, head) if changed else None
    rules = configuration.guarded(rules, configuration.committed_rules(committed, tag))
    return Pipeline(
        layers=layers,
        committed=committed,
        rules=rules,
        scripts=scripts,
        inputs=_inputs(script_files),
        allowed_signers=None if rules.verify is Verify.NONE else signers,
        head=head,
        changed_paths=changed,
    )


def _pipeline_folders(subproject: str) -> list[str]:
    """The folders whose uncommitted changes would make a deployment that nobody can repeat."""
    folders = ["scripts", "environments"]
    return folders + [f"{subproject}/{folder}" for folder in folders] if subproject else folders


def _scripts(checkout: Checkout, subproject: str, environ: Mapping[str, str]) -> tuple[ScriptFact, ...]:
    scripts = discover(checkout.root, Category.DEPLOYMENT, subproject or None)
    if not scripts:
        raise UsageError(
            "There are no deployment scripts, so nothing would be deployed.",
            unchanged="Nothing was changed.",
            next_step="mkdir -p scripts/deployment  # then put an executable 10-ci-deploy.sh there",
        )
    _refuse_unheard(checkout, environ)
    return tuple(
        ScriptFact(script=script, decision=decide(script.script_name, Category.DEPLOYMENT, PIPELINE, environ))
        for script in scripts
    )


def _refuse_unheard(checkout: Checkout, environ: Mapping[str, str]) -> None:
    """A mistyped CI_..._BEHAVIOR was meant for a rehearsal: it must not become a deployment."""
    places = (None, *all_subprojects(checkout.root, checkout.settings.subprojects))
    ids = [script_id for place in places for script_id in known_ids(checkout.root, place)]
    lost = unheard(environ, [script_id.partition("/")[2] for script_id in ids], pipelines=PIPELINES)
    if lost:
        close = nearest(lost[0], [script_variable(script_id.partition("/")[2]) for script_id in ids])
        raise UsageError(
            f"No script listens to {lost[0]}.{f' Did you mean {close}?' if close else ''}",
            unchanged="Nothing was changed and no script was run.",
            details=["Without it this would have been a real deployment, and no rehearsal."],
            next_step=f"unset {lost[0]}",
        )


def _script_files(checkout: Checkout, scripts: Sequence[CIScript]) -> dict[str, bytes]:
    paths = [script.script_path for script in scripts]
    return {path: read_file(checkout.root / path, root=checkout.root) for path in paths}


def _changed_paths(
    checkout: Checkout, subproject: str, head: str | None, used: Mapping[str, bytes]
) -> tuple[str, ...]:
    """What is not as committed: all that git sees in the pipeline's folders, and what is used in any case."""
    signing = signer_files(checkout.settings.allowed_signers)
    seen = checkout.repository.changed_paths([*_pipeline_folders(subproject), *signing])
    unseen = configuration.uncommitted(checkout, subproject, head, used, others=signing)
    return tuple(sorted({*seen, *unseen}))


def _inputs(files: Mapping[str, bytes]) -> str:
    """SHA-256 over the names and bytes of the scripts: equal inputs would do the same again."""
    total = hashlib.sha256()
    for path, content in files.items():
        total.update(f"{path}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()
