"""What every run of the harness needs: the process that forks `inv`, and an arena."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT
from tests.stress.launcher import Launcher

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def launcher(clean_environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    """Forks `inv`; skips where the system can't."""
    assert clean_environment
    if not hasattr(os, "memfd_create"):
        pytest.skip("needs Linux")
    started = Launcher(tmp_path_factory.mktemp("launcher"), {**os.environ, "PYTHONPATH": str(ROOT)})
    yield started
    started.close()
