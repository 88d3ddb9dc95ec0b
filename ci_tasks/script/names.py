"""Closed sets of the collection `script`."""

from __future__ import annotations

from enum import Enum

from ci_tasks.core.errors import bad_choice


class Category(Enum):
    """What a script is for; its folder is `scripts/<name in lower case>/`."""

    SETUP = "SETUP"
    BUILD = "BUILD"
    TEST = "TEST"
    RELEASE = "RELEASE"
    DEPLOYMENT = "DEPLOYMENT"
    MAINTENANCE = "MAINTENANCE"
    HOOKS = "HOOKS"
    CI = "CI"

    @property
    def folder(self) -> str:
        """The name of the category's folder below `scripts/`."""
        return self.value.lower()

    @classmethod
    def parse(cls, text: str) -> Category:
        """The category of this name in any case; UsageError with the nearest one."""
        for category in cls:
            if text.upper() == category.value:
                return category
        raise bad_choice("script category", text, [category.folder for category in cls])


PIPELINES = ("pre-release", "release", "post-release", "maintenance", "self-healing")
"""The names that `CI_TEST_<PIPELINE>_<SCRIPT>_BEHAVIOR` may carry."""


class Mode(Enum):
    """What happens when it is a script's turn."""

    PASS = "PASS"  # noqa: S105 - a mode, not a password
    FAIL = "FAIL"
    SKIP = "SKIP"
    TIMEOUT = "TIMEOUT"
    DRY_RUN = "DRY_RUN"
    EXECUTE = "EXECUTE"


class ScriptStatus(Enum):
    """How a script's turn ended."""

    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"
    TIMED_OUT = "TIMED_OUT"
    CANCELLED = "CANCELLED"


class Severity(Enum):
    """Whether a finding of `script.check` fails the check."""

    ERROR = "ERROR"
    WARNING = "WARNING"
