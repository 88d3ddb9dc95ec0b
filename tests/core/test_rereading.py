"""Reading again what moved while it was being read."""

from __future__ import annotations

import pytest

from ci_tasks.core.git import rereading
from ci_tasks.core.git.origin import MovedError


@pytest.mark.parametrize("moves", [0, 1, rereading.READINGS - 1])
def test_what_moves_is_read_again(moves: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rereading, "_LONGEST_PAUSE", 0.0)  # the jitter of a test is lost time
    readings: list[int] = []

    def read() -> int:
        readings.append(1)
        if len(readings) <= moves:
            raise MovedError("refs/tags/api/staging")
        return len(readings)

    assert rereading.until_still(read) == moves + 1


def test_what_never_stands_still_is_a_conflict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rereading, "_LONGEST_PAUSE", 0.0)
    readings: list[int] = []

    def read() -> None:
        readings.append(1)
        raise MovedError("refs/tags/api/staging")

    with pytest.raises(MovedError, match="api/staging was moved"):
        rereading.until_still(read)
    assert len(readings) == rereading.READINGS
