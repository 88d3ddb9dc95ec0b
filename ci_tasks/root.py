"""The tree of all tasks: which face is listed under which name."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from invoke.collection import Collection

from ci_tasks.core.command_line import RootCollection
from ci_tasks.demo.tasks import demo
from ci_tasks.deploy import tasks as deploy
from ci_tasks.environment import tasks as environment
from ci_tasks.overview import overview
from ci_tasks.report import tasks as report
from ci_tasks.script import tasks as script
from ci_tasks.tag import tasks as tag

if TYPE_CHECKING:
    from types import ModuleType


class Listed(NamedTuple):
    """A collection: its name, its face, and what it is about, for the overview."""

    name: str
    face: ModuleType
    about: str


COLLECTIONS = (
    Listed("deploy", deploy, "bringing versions into environments"),
    Listed("tag", tag, "versions, and what stands beside them"),
    Listed("env", environment, "what is configured where"),
    Listed("report", report, "what the last pipeline did"),
    Listed("script", script, "the scripts that pipelines run"),
)


def root_collection() -> Collection:
    """All tasks, with the overview as what the bare program shows."""
    root = RootCollection(overview, demo)
    for name, face, about in COLLECTIONS:
        collection = Collection.from_module(face, name=name)
        collection.__doc__ = about
        root.add_collection(collection)
    return root
