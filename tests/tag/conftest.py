"""The real `inv` in a clone that no command may change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from tests.tag.remotes import snapshot

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping
    from pathlib import Path

    from tests.conftest import Inv
    from tests.repositories import Monorepo


class Run(Protocol):
    """Runs `inv` in the clone, or in another folder of one, and sees that the clone stays as it was."""

    def __call__(
        self, *arguments: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture
def run(inv: Inv, monorepo: Monorepo) -> Run:
    def run(
        *arguments: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        before = snapshot(monorepo.clone)
        done = inv(*arguments, cwd=cwd or monorepo.clone, env=env)
        after = snapshot(monorepo.clone)
        changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
        assert changed == set(), "W0: the clone is as it was, byte for byte"
        assert "Traceback" not in done.stderr
        return done

    return run
