"""What the environment says about the CI run that we are part of."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ci_tasks.tag.model import Run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci_tasks.core.git.repository import Identity

_NUMBER = re.compile(r"[0-9]{1,9}")
_FALSE = frozenset({"", "0", "false", "no", "off"})


def readable(text: str) -> str:
    """Text that can be written down: bytes of the environment that are not UTF-8 become question marks."""
    return text.encode("utf-8", "replace").decode()


def is_ci(environ: Mapping[str, str]) -> bool:
    """True in a CI job: every CI service sets `CI`."""
    return environ.get("CI", "").lower() not in _FALSE


def triggered_by(environ: Mapping[str, str], identity: Identity) -> str:
    """Who a record names: whoever started the workflow, else who git says you are."""
    return readable(environ.get("GITHUB_ACTOR", "")) or identity.name


def current_run(environ: Mapping[str, str]) -> Run | None:
    """The GitHub Actions run around us, from its default variables; None elsewhere."""
    environ = {name: readable(value) for name, value in environ.items() if name.startswith("GITHUB_")}
    run_id = environ.get("GITHUB_RUN_ID", "")
    if not run_id:
        return None
    server, repository = environ.get("GITHUB_SERVER_URL", ""), environ.get("GITHUB_REPOSITORY", "")
    attempt = environ.get("GITHUB_RUN_ATTEMPT", "1")
    return Run(
        id=run_id,
        job=environ.get("GITHUB_JOB", ""),
        attempt=int(attempt) if _NUMBER.fullmatch(attempt) else 1,
        repository=repository,
        url=f"{server}/{repository}/actions/runs/{run_id}" if server and repository else None,
    )
