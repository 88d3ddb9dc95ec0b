"""The types of Conventional Commits that release something; every other type releases nothing by itself."""

from __future__ import annotations

from ci_tasks.tag.version.next_version import Bump

RELEASES = {
    "feat": Bump.MINOR,
    "fix": Bump.PATCH,
    "perf": Bump.PATCH,
    "revert": Bump.PATCH,
    "deps": Bump.PATCH,
    "security": Bump.PATCH,
}
"""What a commit of a type releases, where nothing breaks."""
