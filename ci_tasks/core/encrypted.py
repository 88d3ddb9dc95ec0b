"""Which files are encrypted ones, by their names."""

from __future__ import annotations

import re

FOLDER = "environments"
_ENCRYPTED = re.compile(r".+\.enc(?:\..+)?", re.IGNORECASE | re.DOTALL)


def belongs_encrypted(path: str) -> bool:
    """True for `secrets.enc` and all `*.enc` and `*.enc.*` below a folder `environments`."""
    *folders, name = path.split("/")
    return FOLDER in folders and _ENCRYPTED.fullmatch(name) is not None
