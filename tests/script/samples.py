"""What the tests of scripts write down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

SH = "#!/bin/sh\n# Description: says something\n"


class WriteScript(Protocol):
    """Puts a script below the root and answers with its path."""

    def __call__(self, path: str, text: str = ..., *, mode: int = ...) -> Path: ...
