"""The tree of all tasks: which face is listed under which name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.collection import Collection

from ci_tasks.core.command_line import RootCollection
from ci_tasks.demo.tasks import demo
from ci_tasks.deploy import tag_tasks
from ci_tasks.deploy import tasks as deploy
from ci_tasks.environment import tasks as environment
from ci_tasks.hook import tasks as hook
from ci_tasks.overview import COLLECTIONS, overview
from ci_tasks.project import tasks as project
from ci_tasks.report import tasks as report
from ci_tasks.schema import schema
from ci_tasks.script import tasks as script
from ci_tasks.tag import tasks as tag

if TYPE_CHECKING:
    from types import ModuleType

FACES: dict[str, ModuleType] = {
    "deploy": deploy,
    "tag": tag,
    "env": environment,
    "project": project,
    "report": report,
    "script": script,
    "hook": hook,
}
"""The face of each collection."""


def root_collection() -> Collection:
    """All tasks, with the overview as what the bare program shows."""
    root = RootCollection(overview, demo)
    for name, face in FACES.items():
        collection = Collection.from_module(face, name=name)
        collection.__doc__ = COLLECTIONS[name]
        if face is report:
            collection.add_task(schema)  # it knows every collection, so it lives under none of them
        if face is tag:
            collection.add_task(tag_tasks.assign)  # the rules of deployments stand above tags
            collection.add_task(tag_tasks.verify)
        root.add_collection(collection)
    return root
