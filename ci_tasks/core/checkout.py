"""The checkout that a command is typed in: its repository, its settings, and where its tags live."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ci_tasks.core import settings as settings_file
from ci_tasks.core.git.repository import Repository

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci_tasks.core.git.origin import Origin
    from ci_tasks.core.settings import Settings


class Checkout:
    """What every command starts from."""

    def __init__(self, repository: Repository, settings: Settings, folder: Path) -> None:
        self.repository = repository
        self.settings = settings
        self.folder = folder

    @classmethod
    def open(cls, folder: Path | None = None, environ: Mapping[str, str] | None = None) -> Checkout:
        """Find the repository around a folder (the current one) and read its settings."""
        folder = Path.cwd() if folder is None else folder
        repository = Repository.discover(folder)
        settings = settings_file.load(repository.root, os.environ if environ is None else environ)
        return cls(repository, settings, folder)

    @property
    def root(self) -> Path:
        """The top folder of the working tree."""
        return self.repository.root

    @cached_property
    def origin(self) -> Origin:
        """The remote that the settings name, or the repository itself where it has none."""
        return self.repository.origin(self.settings.remote, sign=self.settings.sign)
