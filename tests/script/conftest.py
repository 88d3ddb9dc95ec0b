"""Real scripts on a real disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.script.samples import SH

if TYPE_CHECKING:
    from pathlib import Path

    from tests.script.samples import WriteScript


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    return folder


@pytest.fixture
def write(root: Path) -> WriteScript:
    def write(path: str, text: str = SH + "echo hello\n", *, mode: int = 0o755) -> Path:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode())
        file.chmod(mode)
        return file

    return write
