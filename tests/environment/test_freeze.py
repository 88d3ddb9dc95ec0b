"""The rule `freeze`: which moments are frozen, until when, and how it may be written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zoneinfo
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_tasks.environment import freeze

if TYPE_CHECKING:
    from ci_tasks.environment.model import Freeze

UTC = timezone.utc
BERLIN = ZoneInfo("Europe/Berlin")
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def one(**entry: Any) -> Freeze:
    """The freeze of one entry, whose key `from` is written `begin` here and `except` is `labels`."""
    names = {"begin": "from", "labels": "except"}
    value = [{names.get(key, key): text for key, text in entry.items()}]
    assert not list(freeze.problems(value))
    (found,) = freeze.read(value)
    return found


def at(text: str, zone: ZoneInfo | timezone = UTC) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


def holds(rule: Freeze, text: str, zone: ZoneInfo | timezone = UTC) -> bool:
    return freeze.holding(rule, at(text, zone).astimezone(UTC)) is not None


def test_a_period_has_its_first_moment_and_not_its_last() -> None:
    rule = one(begin="2026-12-20T18:00", to="2027-01-02T08:00")
    assert not holds(rule, "2026-12-20T17:59:59")
    assert holds(rule, "2026-12-20T18:00:00")
    assert holds(rule, "2027-01-02T07:59:59")
    assert not holds(rule, "2027-01-02T08:00:00")


def test_a_date_means_its_whole_day() -> None:
    rule = one(begin="2026-12-20", to="2027-01-02")
    assert [holds(rule, text) for text in ("2026-12-19T23:59:59", "2026-12-20T00:00:00")] == [False, True]
    assert [holds(rule, text) for text in ("2027-01-02T23:59:59", "2027-01-03T00:00:00")] == [True, False]
    assert holds(one(begin="2026-12-24", to="2026-12-24"), "2026-12-24T12:00:00")


def test_the_time_zone_decides_when_a_day_begins() -> None:
    rule = one(begin="2026-12-20", to="2026-12-20", timezone="Europe/Berlin")
    assert not holds(rule, "2026-12-19T22:59:59")
    assert holds(rule, "2026-12-19T23:00:00")
    assert holds(rule, "2026-12-20T22:59:59")
    assert not holds(rule, "2026-12-20T23:00:00")


def test_a_time_of_each_day() -> None:
    rule = one(begin="16:00", to="18:30")
    for day in ("05", "10"):
        assert not holds(rule, f"2026-01-{day}T15:59:59")
        assert holds(rule, f"2026-01-{day}T16:00:00")
        assert holds(rule, f"2026-01-{day}T18:29:59")
        assert not holds(rule, f"2026-01-{day}T18:30:00")


def test_over_midnight_the_day_is_the_one_on_which_it_begins() -> None:
    rule = one(begin="22:00", to="06:00", days=["fri"])  # 2026-01-09 was a Friday
    assert not holds(rule, "2026-01-09T05:00:00")
    assert not holds(rule, "2026-01-09T21:59:59")
    assert holds(rule, "2026-01-09T22:00:00")
    assert holds(rule, "2026-01-10T05:59:59")
    assert not holds(rule, "2026-01-10T06:00:00")
    assert not holds(rule, "2026-01-10T23:00:00")


def test_until_midnight_is_written_24_or_00() -> None:
    for ends in ("24:00", "00:00"):
        rule = one(begin="16:00", to=ends, days=["fri"])
        assert holds(rule, "2026-01-09T23:59:59")
        assert not holds(rule, "2026-01-10T00:00:00")


def test_days_alone_are_frozen_whole() -> None:
    rule = one(days=["sat", "sun"], timezone="America/New_York")
    assert not holds(rule, "2026-01-10T04:59:59")
    assert holds(rule, "2026-01-10T05:00:00")
    assert holds(rule, "2026-01-12T04:59:59")
    assert not holds(rule, "2026-01-12T05:00:00")


def test_a_time_that_the_clocks_skip_is_the_moment_at_which_they_do() -> None:
    # In Berlin 02:00 became 03:00 on 2026-03-29, at 01:00 UTC.
    begins = one(begin="02:30", to="05:00", timezone="Europe/Berlin")
    assert not holds(begins, "2026-03-29T00:59:59")
    assert holds(begins, "2026-03-29T01:00:00")
    ends = one(begin="01:00", to="02:30", timezone="Europe/Berlin")
    assert holds(ends, "2026-03-29T00:59:59")
    assert not holds(ends, "2026-03-29T01:00:00")
    nothing = one(begin="02:15", to="02:45", timezone="Europe/Berlin")
    moments = [at("2026-03-29T00:00:00") + minutes * MINUTE for minutes in range(180)]
    assert not any(freeze.holding(nothing, moment) for moment in moments)
    assert holds(nothing, "2026-03-30T02:30:00", BERLIN)


def test_an_hour_that_comes_twice_is_frozen_both_times() -> None:
    # In Berlin 03:00 became 02:00 on 2026-10-25, at 01:00 UTC.
    rule = one(begin="02:15", to="02:45", timezone="Europe/Berlin")
    assert not holds(rule, "2026-10-25T00:14:59")
    assert holds(rule, "2026-10-25T00:15:00")
    assert holds(rule, "2026-10-25T01:44:59")
    assert not holds(rule, "2026-10-25T01:45:00")


def test_a_day_that_begins_with_a_skipped_hour() -> None:
    # In Cairo 00:00 became 01:00 on Friday 2026-04-24, at 22:00 UTC the day before.
    rule = one(days=["fri"], timezone="Africa/Cairo")
    assert not holds(rule, "2026-04-23T21:59:59")
    assert holds(rule, "2026-04-23T22:00:00")
    assert not holds(rule, "2026-04-24T21:00:00")


zones = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Kathmandu"]
)
times = st.builds(lambda minutes: f"{minutes // 60:02}:{minutes % 60:02}", st.integers(0, 1439))
moments = st.integers(0, 3 * 365 * 86400).map(
    lambda seconds: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)


@given(zones, times, times, moments)
def test_by_the_clock_on_the_wall(zone: str, begin: str, end: str, moment: datetime) -> None:
    """Away from the days on which clocks change, a moment is frozen if the clock on the wall says so."""
    if begin == end:
        return
    local = moment.astimezone(ZoneInfo(zone))
    offsets = {(local + timedelta(days=days)).utcoffset() for days in (-2, -1, 1, 2)}
    if len(offsets) > 1:
        return
    wall = f"{local:%H:%M}"
    is_frozen = begin <= wall < end if begin < end else wall >= begin or wall < end
    rule = one(begin=begin, to=end, timezone=zone)
    assert (freeze.holding(rule, moment) is not None) is is_frozen


@given(zones, times, times, moments)
def test_the_thaw_is_the_first_moment_that_is_free(zone: str, begin: str, end: str, moment: datetime) -> None:
    if begin == end:
        return
    rules = [one(begin=begin, to=end, timezone=zone), one(days=["sat", "sun"], timezone=zone)]
    thaw = freeze.thaw(rules, moment)
    assert thaw is not None
    assert not any(freeze.holding(rule, thaw) for rule in rules)
    if thaw > moment:
        for before in (moment, thaw - timedelta(seconds=1)):
            assert any(freeze.holding(rule, before) for rule in rules)


def test_the_thaw_of_freezes_that_follow_on_one_another() -> None:
    rules = [
        one(days=["fri", "sat", "sun"]),
        one(begin="2026-01-12", to="2026-01-12T09:00"),
        one(begin="2026-01-12T10:00", to="2026-01-13"),
    ]
    assert freeze.thaw(rules, at("2026-01-09T10:00:00")) == at("2026-01-12T09:00:00")
    assert freeze.thaw(rules, at("2026-01-08T10:00:00")) == at("2026-01-08T10:00:00")
    every = one(days=["mon", "tue", "wed", "thu", "fri", "sat", "sun"])
    assert freeze.thaw([every], at("2026-01-09T10:00:00")) is None


def test_labels_that_pass() -> None:
    rule = one(days=["sat"], labels=["hotfix", "security"])
    assert freeze.exempts(rule, ["security"])
    assert not freeze.exempts(rule, ["docs"])
    assert not freeze.exempts(rule, [])


@pytest.mark.parametrize(
    ("value", "path", "part"),
    [
        ({}, (), "a list of maps is expected"),
        (["x"], ("0",), "a map is expected, not text"),
        ([{"days": ["sat"]}] * 101, (), "at most 100"),
        ([{}], ("0",), "from and to are expected, or days"),
        ([{"form": "16:00"}], ("0", "form"), "did you mean from?"),
        ([{"days": ["sat"], "excpet": ["hotfix"]}], ("0", "excpet"), "did you mean except?"),
        ([{"days": ["sat"], "time zone": "UTC"}], ("0", "time zone"), "did you mean timezone?"),
        ([{"from": "16:00"}], ("0",), "belong together"),
        ([{"to": "16:00", "days": ["fri"]}], ("0",), "belong together"),
        ([{"from": "16:00", "to": "2026-12-20"}], ("0",), "not one of each"),
        ([{"from": "16:00", "to": "16:00"}], ("0",), "the same time"),
        ([{"from": "24:00", "to": "16:00"}], ("0",), "write 00:00"),
        ([{"from": "2026-12-20", "to": "2026-12-19"}], ("0",), "ends before it begins"),
        ([{"from": "2026-12-20T18:00", "to": "2026-12-20T18:00"}], ("0",), "ends before it begins"),
        ([{"from": "2026-12-20", "to": "2026-12-24", "days": ["fri"]}], ("0",), "are moments here"),
        ([{"from": "2026-02-29", "to": "2026-03-01"}], ("0", "from"), "there is no 2026-02-29"),
        ([{"from": "25:00", "to": "16:00"}], ("0", "from"), "there is no 25:00"),
        ([{"from": "4pm", "to": "16:00"}], ("0", "from"), "is expected"),
        ([{"from": "16:00:00", "to": "17:00"}], ("0", "from"), "is expected"),
        ([{"from": "2026-12-20T18:00Z", "to": "2026-12-24"}], ("0", "from"), "is expected"),
        ([{"from": 16, "to": "16:00"}], ("0", "from"), "quote it"),
        ([{"days": []}], ("0", "days"), "at least one day"),
        ([{"days": ["friday"]}], ("0", "days"), "there are mon, tue"),
        ([{"days": ["fri", "fri"]}], ("0", "days"), "stands twice"),
        ([{"days": "fri"}], ("0", "days"), "a list of texts"),
        ([{"days": ["fri"], "timezone": "Europe/Berlni"}], ("0", "timezone"), "did you mean Europe/Berlin?"),
        ([{"days": ["fri"], "timezone": "../../etc/passwd"}], ("0", "timezone"), "no time zone"),
        ([{"days": ["fri"], "timezone": "Europe"}], ("0", "timezone"), "no time zone"),
        ([{"days": ["fri"], "timezone": "localtime"}], ("0", "timezone"), "no time zone"),
        ([{"days": ["fri"], "except": ["Hot fix"]}], ("0", "except"), "can't be a label"),
        ([{"days": ["fri"]}, {"days": ["x"]}], ("1", "days"), "there are mon"),
    ],
)
def test_f25_how_it_may_not_be_written(value: object, path: tuple[str, ...], part: str) -> None:
    ((found, reason),) = freeze.problems(value)
    assert found == path
    assert part in reason


def test_every_problem_is_told() -> None:
    value = [{"days": ["x"], "timezone": "y"}, 1, {"from": "16:00"}]
    assert [path for path, _ in freeze.problems(value)] == [("0", "days"), ("0", "timezone"), ("1",), ("2",)]


def test_a_variable_gives_a_freeze_no_other_clocks(tmp_path: Path) -> None:
    (tmp_path / "Europe").mkdir()
    usual = next(Path(path) for path in zoneinfo.TZPATH if (Path(path) / "Etc/GMT+12").exists())
    shutil.copy(usual / "Etc/GMT+12", tmp_path / "Europe/Berlin")
    code = (
        "from datetime import datetime, timezone\n"
        "from ci_tasks.environment import freeze\n"
        "rule, = freeze.read([{'from': '00:00', 'to': '02:00', 'timezone': 'Europe/Berlin'}])\n"
        "print(freeze.holding(rule, datetime(2026, 1, 5, 0, 30, tzinfo=timezone.utc)) is not None)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONTZPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "True\n"
