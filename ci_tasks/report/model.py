"""The entities of reports: PipelineReport, ActionLink, and what a report says of regions and scripts."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from msgspec import Meta, field
from msgspec.structs import force_setattr, replace

from ci_tasks.core.entity import Entity
from ci_tasks.core.errors import ExitCode
from ci_tasks.report.names import (
    LinkType,
    PipelineType,
    RegionStatus,
    ReportStatus,
)

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

ID = "[A-Za-z0-9][A-Za-z0-9._-]{0,119}"
OUTCOMES = tuple(dict.fromkeys(code.outcome for code in ExitCode))

ReportId = Annotated[str, Meta(pattern=f"^{ID}$", max_length=120)]
Outcome = Annotated[str, Meta(pattern=f"^({'|'.join(OUTCOMES)})$")]
Time = Annotated[datetime, Meta(tz=True)]
Seconds = Annotated[float, Meta(ge=0)]


class ReportEntity(Entity, frozen=True, kw_only=True):
    r"""Base of the entities here: whatever they are given, they can be written as UTF-8 JSON.

    Lone surrogates (from output that was not UTF-8) are spelt out as `\udcff`; times become UTC.
    Raises ValueError for a time without a zone: a guess would be wrong in half of the world.
    """

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            given = getattr(self, name)
            if isinstance(given, datetime):
                force_setattr(self, name, _in_utc(given))
            elif not _is_encodable(given):
                force_setattr(self, name, _each_text(given, _encodable))


class ScriptLine(ReportEntity, frozen=True, kw_only=True):
    """One script's run in one region; `mode` and `status` are the script collection's words."""

    name: str
    mode: str
    decided_by: str
    status: str
    seconds: Seconds


class RegionResult(ReportEntity, frozen=True, kw_only=True):
    """What happened in one region; `region` is null where the environment has none."""

    region: str | None
    version: str
    status: RegionStatus
    started_at: Time | None = None
    completed_at: Time | None = None
    deployment_id: str | None = None
    previous_version: str | None = None
    scripts: tuple[ScriptLine, ...] = ()


class ActionLink(ReportEntity, frozen=True, kw_only=True):
    """One thing that can be done next.

    Added to the data model: `command`, the line that does the same from a terminal; `isAvailable`, false
    when the server that the link leads to did not answer (`url` may then be empty).
    """

    link_id: str
    link_type: LinkType
    title: str
    url: str
    parameters: dict[str, str] = field(default_factory=dict)
    description: str = ""
    command: str | None = None
    is_available: bool = True


class PipelineReport(ReportEntity, frozen=True, kw_only=True):
    """What one pipeline did.

    `duration` is in seconds. `logs` are the last lines of each script, redacted by who hands them in,
    oldest first, each prefixed as it was streamed. `summary` is plain text of one or more lines.

    Added to the data model: `outcome`, the exit code's name; `regions`; `notices`, warnings for people;
    `isRehearsal`, true when nothing was executed for real; `recordedIn`, the name of the environment tag
    that holds the record, null when nothing was recorded; `claimId`, the id that `inv deploy.*` takes for
    all regions at once; `nextSteps`, lines to type that no action link stands for; `rollbacks`, what the rule
    `onFailure: rollback` did after a failure, region by region.

    Raises ValueError for a `reportId` that could not be a file's name (it becomes one), and for an
    `outcome` that is none.
    """

    report_id: ReportId
    pipeline_run_id: str
    pipeline_type: PipelineType
    status: ReportStatus
    completed_at: Time
    duration: Seconds
    version: str
    subproject: str | None = None
    environment: str | None = None
    action_links: tuple[ActionLink, ...] = ()
    summary: str = ""
    logs: tuple[str, ...] = ()
    outcome: Outcome
    regions: tuple[RegionResult, ...] = ()
    notices: tuple[str, ...] = ()
    is_rehearsal: bool = False
    recorded_in: str | None = None
    claim_id: str | None = None
    next_steps: tuple[str, ...] = ()
    rollbacks: tuple[RegionResult, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not re.fullmatch(ID, self.report_id) or self.report_id.lower() == "last":
            raise ValueError("a report's id is 1 to 120 of A-Z a-z 0-9 . _ -, and not 'last'")
        if self.outcome not in OUTCOMES:
            raise ValueError("a report's outcome is the name of an exit code")


def redacted(report: PipelineReport, hide: Callable[[str], str]) -> PipelineReport:
    """The report with every text passed through `hide`, a redactor's `text`; closed sets and the id stay."""
    return _each_text(report, hide)


def _each_text(value: T, change: Callable[[str], str]) -> T:
    changed: Any = value
    if isinstance(value, str):
        changed = change(value)
    elif isinstance(value, tuple):
        changed = tuple(_each_text(item, change) for item in value)
    elif isinstance(value, dict):
        changed = {change(key): _each_text(item, change) for key, item in value.items()}
    elif isinstance(value, Entity):
        texts = [name for name in value.__struct_fields__ if name not in ("report_id", "outcome")]
        changed = replace(value, **{name: _each_text(getattr(value, name), change) for name in texts})
    return changed  # type: ignore[no-any-return]  # every branch keeps the type


def _is_encodable(value: object) -> bool:
    if isinstance(value, str):
        return value == _encodable(value)
    if isinstance(value, (tuple, dict)):
        pieces = value if isinstance(value, tuple) else (*value, *value.values())
        return all(_is_encodable(piece) for piece in pieces)
    return True  # nested entities have seen to themselves


def _encodable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def _in_utc(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise ValueError("a time in a report needs a time zone")
    try:
        return time.astimezone(timezone.utc)
    except OverflowError:
        raise ValueError("a time in a report is out of range") from None
