"""The rule `freeze`: how it is written, and from when to when it holds."""

from __future__ import annotations

import os
import re
import zoneinfo
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from ci_tasks.core.errors import nearest
from ci_tasks.core.field import FieldError, as_text, as_texts
from ci_tasks.environment import entries
from ci_tasks.environment.model import Freeze
from ci_tasks.environment.names import Weekday, is_label

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_MOMENT = re.compile(r"(2[0-9]{3}-[0-9]{2}-[0-9]{2})(?:T([0-9]{2}:[0-9]{2}))?", re.ASCII)
_TIME = re.compile(r"[0-9]{2}:[0-9]{2}", re.ASCII)
_MIDNIGHT = "24:00"
_OF_A_MACHINE = frozenset({"localtime", "posixrules"})  # the database may hold them, and no two are alike
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_WEEK = tuple(Weekday)
_FAR = 400
"""Freezes that follow on one another before nobody looks for the end any more."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """One time that is frozen: from its first moment to the first one after it, both in UTC."""

    begins: datetime
    ends: datetime


def _text_of(value: object) -> str:
    """A moment or a time of the day, as it is written."""
    text = as_text(value)
    if text == _MIDNIGHT:
        return text
    try:
        if _TIME.fullmatch(text):
            time.fromisoformat(text)
            return text
        moment = _MOMENT.fullmatch(text)
        if moment is not None:
            datetime.fromisoformat(text)
            return text
    except ValueError:
        raise FieldError(f"there is no {text}") from None
    raise FieldError('a moment such as "2026-12-20T18:00", a date, or a time such as "16:00" is expected')


def _days(value: object) -> tuple[Weekday, ...]:
    names = [day.value for day in Weekday]
    texts = as_texts(value)
    if not texts:
        raise FieldError("at least one day is expected")
    for text in texts:
        if text not in names:
            raise FieldError(f"{text[:20]!r} is no day of the week; there are {', '.join(names)}")
    return tuple(Weekday(text) for text in texts)


def _zone(name: str) -> ZoneInfo:
    """A time zone of this machine, or of the package tzdata: a variable gives a freeze no other clocks."""
    if os.environ.get("PYTHONTZPATH") is not None:
        import sysconfig  # noqa: PLC0415 - costs time, and hardly anybody sets the variable

        usual = (sysconfig.get_config_var("TZPATH") or "").split(os.pathsep)
        usual = [path for path in usual if path]
        if list(zoneinfo.TZPATH) != usual:
            zoneinfo.reset_tzpath(usual)
            ZoneInfo.clear_cache()
    return ZoneInfo(name)


def _timezone(value: object) -> str:
    name = as_text(value)
    try:
        _zone(name if name not in _OF_A_MACHINE else "")
    except (ZoneInfoNotFoundError, ValueError, OSError):  # unknown; a path; a folder of the database
        close = nearest(name, sorted(available_timezones()))
        hint = f"did you mean {close}?" if close else "write one such as Europe/Berlin"
        raise FieldError(f"{name[:60]!r} is no time zone; {hint}") from None
    return name


def _labels(value: object) -> tuple[str, ...]:
    labels = as_texts(value)
    for label in labels:
        if not is_label(label):
            raise FieldError(f"{label[:60]!r} can't be a label: a-z, 0-9 and -, at most 40 characters")
    return labels


# The key in the file, its field, and what reads it.
_FIELDS = {
    "from": ("begins", _text_of),
    "to": ("ends", _text_of),
    "days": ("days", _days),
    "timezone": ("timezone", _timezone),
    "except": ("exempt", _labels),
}
_READERS: entries.Readers = {key: read for key, (_, read) in _FIELDS.items()}


def problems(value: object) -> Iterator[tuple[entries.Path, str]]:
    """What is wrong with the rule: the path of a key in it, and the reason."""
    return entries.problems(value, _READERS, _whole, is_list=True)


def _whole(entry: dict[str, Any]) -> str | None:
    begins, ends = entry.get("from"), entry.get("to")
    if begins is None and ends is None:
        return None if entry.get("days") else "from and to are expected, or days"
    if begins is None or ends is None:
        return "from and to belong together, and one of them is missing"
    if _is_time(begins) is not _is_time(ends):
        return "from and to are two moments or two times of the day, and not one of each"
    return _daily(begins, ends) if _is_time(begins) else _period(begins, ends, entry.get("days"))


def _daily(begins: str, ends: str) -> str | None:
    if begins == _MIDNIGHT:
        return "24:00 is the end of a day: write 00:00"
    return "from and to are the same time: for whole days write days alone" if begins == ends else None


def _period(begins: str, ends: str, days: object) -> str | None:
    if days:
        return "days belong to times of the day, and from and to are moments here"
    return None if _local_begin(begins) < _local_end(ends) else "it ends before it begins"


def read(value: object) -> tuple[Freeze, ...]:
    """The freezes of a value that has no problems."""
    return tuple(
        Freeze(**{_FIELDS[key][0]: _READERS[key](text) for key, text in entry.items()})
        for _, entry in entries.entries(value)
    )


def holding(freeze: Freeze, now: datetime) -> Window | None:
    """The window of this freeze that `now` lies in; None where it does not hold."""
    return next((window for window in _near(freeze, now) if window.begins <= now < window.ends), None)


def thaw(freezes: Sequence[Freeze], now: datetime) -> datetime | None:
    """The first moment from `now` on at which none of them holds, UTC; None where none is in sight."""
    for _ in range(_FAR):
        ends = [window.ends for window in (holding(freeze, now) for freeze in freezes) if window is not None]
        if not ends:
            return now
        now = max(ends)
    return None


def exempts(freeze: Freeze, labels: Iterable[str]) -> bool:
    """True where one of these labels lets a deployment pass."""
    return not set(labels).isdisjoint(freeze.exempt)


def in_zone(freeze: Freeze, moment: datetime) -> datetime:
    """The moment on the clocks of the freeze's time zone."""
    return moment.astimezone(_zone(freeze.timezone))


def _near(freeze: Freeze, now: datetime) -> Iterator[Window]:
    """The windows that could hold `now`: the period, or those that begin today and yesterday over there."""
    zone = _zone(freeze.timezone)
    if freeze.begins is not None and freeze.ends is not None and not _is_time(freeze.begins):
        yield _window(_local_begin(freeze.begins), _local_end(freeze.ends), zone)
        return
    today = now.astimezone(zone).date()
    for day in (today - _DAY, today):
        if not freeze.days or _WEEK[day.weekday()] in freeze.days:
            begins = _at(day, freeze.begins or "00:00")
            ends = _at(day, freeze.ends or _MIDNIGHT)
            yield _window(begins, ends if ends > begins else ends + _DAY, zone)


def _window(begins: datetime, ends: datetime, zone: ZoneInfo) -> Window:
    """A window of local times; of an hour that comes twice, it begins in the first and ends in the second."""
    return Window(begins=_instant(begins, zone, fold=0), ends=_instant(ends, zone, fold=1))


def _instant(local: datetime, zone: ZoneInfo, *, fold: int) -> datetime:
    """When clocks show this local time; where they skip it, the moment at which they do (PEP 495)."""
    found = local.replace(tzinfo=zone, fold=fold).astimezone(timezone.utc)
    if found.astimezone(zone).replace(tzinfo=None) == local:
        return found
    after = local.replace(tzinfo=zone, fold=0).astimezone(timezone.utc)
    before = local.replace(tzinfo=zone, fold=1).astimezone(timezone.utc)
    offset = after.astimezone(zone).utcoffset()
    while after - before > _SECOND:
        middle = before + ((after - before) / 2 // _SECOND) * _SECOND
        if middle.astimezone(zone).utcoffset() == offset:
            after = middle
        else:
            before = middle
    return after


def _is_time(text: str) -> bool:
    return _TIME.fullmatch(text) is not None


def _local_begin(text: str) -> datetime:
    return datetime.fromisoformat(text)  # a date alone is its first moment


def _local_end(text: str) -> datetime:
    """The first moment after it: a date alone belongs to it whole."""
    moment = datetime.fromisoformat(text)
    return moment if "T" in text else moment + _DAY


def _at(day: date, text: str) -> datetime:
    if text == _MIDNIGHT:
        return datetime.combine(day, time()) + _DAY
    return datetime.combine(day, time.fromisoformat(text))
