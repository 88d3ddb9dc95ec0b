"""The closed sets of configuration, and the grammar of regions."""

from __future__ import annotations

import re
from enum import Enum

from ci_tasks.core.errors import UsageError, bad_choice

_REGION = re.compile(r"[a-z0-9][a-z0-9-]{0,39}", re.ASCII)
_LABEL = _REGION


class ConfigType(Enum):
    """How far a `config.yml` reaches."""

    GLOBAL = "GLOBAL"
    ENVIRONMENT = "ENVIRONMENT"
    REGION = "REGION"


class Verify(Enum):
    """The words of the rule `verify`: which versions an environment takes."""

    NONE = "none"
    TAG = "tag"


class Strategy(Enum):
    """The words of the rule `strategy`: one region after the other, or all at once."""

    SEQUENTIAL = "sequential"
    PARALLEL = "parallel"


class OnFailure(Enum):
    """The words of the rule `onFailure`: what becomes of the other regions when one fails."""

    STOP = "stop"
    ROLLBACK = "rollback"
    KEEP_GOING = "keep-going"


class RequiredState(Enum):
    """The words that `state` may have in the rule `requires`."""

    STABLE = "stable"


class Weekday(Enum):
    """The words of `days` in the rule `freeze`, in the order of `datetime.weekday()`."""

    MONDAY = "mon"
    TUESDAY = "tue"
    WEDNESDAY = "wed"
    THURSDAY = "thu"
    FRIDAY = "fri"
    SATURDAY = "sat"
    SUNDAY = "sun"


def is_region(text: str) -> bool:
    """True for a name that can be a region: never a path, never an option."""
    return _REGION.fullmatch(text) is not None


def is_label(text: str) -> bool:
    """True for a name that can be a label; the grammar is that of regions."""
    return _LABEL.fullmatch(text) is not None


def parse_region(text: str) -> str:
    """The region of that name; UsageError with the grammar otherwise."""
    if not is_region(text):
        raise UsageError(
            f"{text[:60]!r} can't be a region: a-z, 0-9 and -, not - first, at most 40 characters, "
            "such as us-east.",
            unchanged="Nothing was changed.",
        )
    return text


def choose_region(text: str, regions: tuple[str, ...], environment: str) -> str:
    """One of the environment's regions; UsageError with the nearest one otherwise."""
    region = parse_region(text)
    if not regions:
        raise UsageError(f"{environment} has no regions.", unchanged="Nothing was changed.")
    if region not in regions:
        raise bad_choice(f"region of {environment}", region, regions)
    return region
