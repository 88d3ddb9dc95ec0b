"""How long a script may run, and who says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from ci_tasks.core.errors import UsageError
from ci_tasks.script.discovery import discover
from ci_tasks.script.model import CIScript
from ci_tasks.script.names import Category
from ci_tasks.script.timelimit import time_limit

if TYPE_CHECKING:
    from pathlib import Path

    from tests.script.samples import WriteScript

Sample = Callable[[str], CIScript]


@pytest.fixture
def sample(root: Path, write: WriteScript) -> Sample:
    """Makes a script with one line of header."""

    def make(header: str) -> CIScript:
        write("scripts/ci/10-ci-a.sh", f"#!/bin/sh\n{header}\n")
        (script,) = discover(root, Category.CI, None)
        return script

    return make


@pytest.mark.parametrize(
    ("minutes", "header", "given", "expected"),
    [
        ("5", "# Timeout: 10m", 20.0, 300.0),
        ("360", "# Timeout: 10m", 20.0, 21600.0),
        ("1", "", None, 60.0),
        ("", "# Timeout: 10m", 20.0, 600.0),
        ("", "# Timeout: 0.5s", 20.0, 0.5),
        ("", "", 20.0, 20.0),
        ("", "", None, 1800.0),
    ],
)
def test_the_variable_beats_the_header_beats_the_caller_beats_the_default(
    sample: Sample, minutes: str, header: str, given: float | None, expected: float
) -> None:
    script = sample(header)
    assert time_limit(script, given, {"CI_JOB_TIMEOUT_MINUTES": minutes}) == expected
    if not minutes:
        assert time_limit(script, given, {}) == expected


@pytest.mark.parametrize(
    "minutes", ["0", "361", "-1", "1.5", "10m", " 5", "1e2", "\u0665", "007", "999", "1000"]
)
def test_anything_but_1_to_360_whole_minutes_is_refused(sample: Sample, minutes: str) -> None:
    script = sample("# Description: x")
    with pytest.raises(UsageError, match="is not a whole number of minutes from 1 to 360"):
        time_limit(script, None, {"CI_JOB_TIMEOUT_MINUTES": minutes})
