"""The scripts and names of secrets that a region's deployment uses: of the checkout, or of a commit."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ci_tasks.core.encrypted import belongs_encrypted
from ci_tasks.core.files import read_file
from ci_tasks.deploy.configuration import LINK, blob_id
from ci_tasks.deploy.diff.changed_values import secret_names
from ci_tasks.environment.layout import chain
from ci_tasks.script.names import Category

if TYPE_CHECKING:
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.core.git.objects import ObjectDatabase
    from ci_tasks.tag.grammar import EnvironmentTag

WHOLE = ""
"""The key of a secrets file that can't be taken apart, and of a script."""

_EXECUTABLE = "100755"
_PLAIN = "100644"
_LARGEST = 1 << 24
"""Bytes of a file that is looked into; of a larger one it is known whether it has changed."""

_LARGEST_ON_DISK = 1 << 30


@dataclass(frozen=True, kw_only=True)
class Content:
    """A file's content: the id that git gives it, and the bytes, None where they are too many."""

    object_id: str
    data: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class PipelineFiles:
    """What there is, by path and key, each with something that is another one where the content is."""

    secrets: dict[tuple[str, str], str] = field(default_factory=dict)
    scripts: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, path: str, content: Content) -> None:
        """Take the keys of an encrypted file; of one that can't be taken apart, the whole of it."""
        names = secret_names(content.data, path) if content.data is not None else None
        found = {WHOLE: content.object_id} if names is None else names
        self.secrets.update({(path, key): value for key, value in found.items()})


def on_disk(checkout: Checkout, tag: EnvironmentTag, region: str | None) -> PipelineFiles:
    """Those of the checkout as it stands on disk; links are passed over, as no deployment follows them."""
    found = PipelineFiles()
    for folder in _secret_folders(tag, region):
        for path in _files(checkout, folder):
            if belongs_encrypted(path):
                found.add(path, _on_disk(checkout, path))
    for folder in _script_folders(tag):
        for path in _files(checkout, folder):
            content = _on_disk(checkout, path)
            mode = _EXECUTABLE if os.access(checkout.root / path, os.X_OK) else _PLAIN
            found.scripts[path, WHOLE] = f"{mode} {content.object_id}"
    return found


def of_commit(
    database: ObjectDatabase, commit: str, tag: EnvironmentTag, region: str | None
) -> PipelineFiles:
    """Those of a commit. Raises CiTasksError where the database does not have it."""
    folders, scripts = _secret_folders(tag, region), _script_folders(tag)
    found = PipelineFiles()
    files = [entry for entry in database.files(commit, [*folders, *scripts]) if entry.mode != LINK]
    for entry in files:
        if _folder(entry.path) in scripts:
            found.scripts[entry.path, WHOLE] = f"{entry.mode} {entry.object_id}"
    encrypted = [entry for entry in files if _folder(entry.path) in folders and belongs_encrypted(entry.path)]
    sizes = database.sizes([entry.object_id for entry in encrypted])
    small = [entry for entry in encrypted if sizes.get(entry.object_id, 0) <= _LARGEST]
    for entry, blob in zip(small, database.read([entry.object_id for entry in small]), strict=True):
        found.add(entry.path, Content(object_id=entry.object_id, data=blob.data))
    for entry in encrypted:
        if sizes.get(entry.object_id, 0) > _LARGEST:
            found.add(entry.path, Content(object_id=entry.object_id))
    return found


def _on_disk(checkout: Checkout, path: str) -> Content:
    """The content of a file of the checkout."""
    data = read_file(checkout.root / path, root=checkout.root, largest=_LARGEST_ON_DISK)
    name = blob_id(data, checkout.repository.object_format)
    return Content(object_id=name, data=data if len(data) <= _LARGEST else None)


def _secret_folders(tag: EnvironmentTag, region: str | None) -> list[str]:
    """The folders whose files count for the region, as its configuration's do."""
    return [_folder(place.path) for place in chain(tag.environment, region, tag.subproject)]


def _script_folders(tag: EnvironmentTag) -> list[str]:
    folder = f"scripts/{Category.DEPLOYMENT.folder}"
    return [folder, *([f"{tag.subproject}/{folder}"] if tag.subproject else [])]


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _files(checkout: Checkout, folder: str) -> list[str]:
    """The files right in a folder, by name; none where it is not there."""
    try:
        with os.scandir(checkout.root / folder) as opened:
            names = [entry.name for entry in opened if entry.is_file(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [f"{folder}/{name}" for name in sorted(names)]
