"""Durations: how they are written, and that they are read back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_tasks.core.duration import format_duration, parse_duration
from ci_tasks.core.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("2h", 7200), ("7d", 604800), ("1.5h", 5400), ("0.25s", 0.25), ("0s", 0)],
)
def test_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (90, "90s"),
        (600, "10m"),
        (7200, "2h"),
        (604800, "7d"),
        (0, "0s"),
        (0.25, "0.25s"),
        (86400, "1d"),
        (61, "61s"),
    ],
)
def test_write(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    "text", ["", "10", "m", "10 m", "-1s", "1h30m", "10M", "1e3s", "٣s", "9" * 5000 + "s", "99999999d", "1.s"]
)
def test_refused(text: str) -> None:
    with pytest.raises(UsageError, match="90s, 10m, 2h or 7d"):
        parse_duration(text)


@given(st.from_regex(r"[0-9]{1,6}(\.[0-9]{1,3})?[smhd]", fullmatch=True).filter(str.isascii))
def test_what_is_written_is_read_back(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except UsageError:
        assert int(text[:-1].partition(".")[0]) > 10_000  # more than 31 years
        return
    assert parse_duration(format_duration(seconds)) == seconds
