"""The one sentence that says what happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_tasks.report.names import PipelineType, RegionStatus

if TYPE_CHECKING:
    from ci_tasks.report.model import PipelineReport

SHOWN_REGIONS = 8  # the table below the sentence has them all

_ENDINGS = {
    "OK": "is done",
    "FAILED": "failed",
    "USAGE": "was not started: a value or the configuration is wrong",
    "REFUSED": "was refused",
    "CONFLICT": "gave way: somebody else holds the claim or was faster",
    "UNAVAILABLE": "could not be done: something that it needs can't be reached",
    "UNKNOWN": "may or may not be recorded: the remote did not answer",
    "PARTIAL": "is done in part",
    "INTERNAL": "met an error in ci_tasks itself",
    "TIMEOUT": "ran out of time",
    "CANCELLED": "was cancelled",
}
_NOUNS = {
    PipelineType.PRE_RELEASE: "pre-release pipeline",
    PipelineType.MAINTENANCE: "maintenance",
    PipelineType.SELF_HEALING: "self-healing",
}
_WHERE = {
    RegionStatus.SUCCESS: "live in",
    RegionStatus.UNCHANGED: "already live in",
    RegionStatus.FAILED: "failed in",
    RegionStatus.CANCELLED: "cancelled in",
    RegionStatus.RUNNING: "still running in",
    RegionStatus.UNKNOWN: "not known in",
    RegionStatus.PENDING: "waiting in",
    RegionStatus.SKIPPED: "not tried in",
}
_THERE = (RegionStatus.SUCCESS, RegionStatus.UNCHANGED)


def headline(report: PipelineReport) -> str:
    """What happened, as a sentence without a full stop; the names in it are as they came: escape them."""
    is_deployment = report.pipeline_type in (PipelineType.RELEASE, PipelineType.POST_RELEASE)
    if report.is_rehearsal:
        ending = "found nothing wrong" if report.outcome == "OK" else _ENDINGS[report.outcome]
        return f"The rehearsal of the {_subject(report)} {ending}; nothing was deployed, nothing was recorded"
    if is_deployment and report.outcome == "OK":
        return _success(report)
    is_ours = report.claim_id is not None and report.outcome == "CONFLICT"
    ending = _stopped(report) if is_ours else _ENDINGS[report.outcome]
    return f"The {_subject(report)} {ending}{_by_status(report)}"


def _stopped(report: PipelineReport) -> str:
    """What ended a deployment that had its claim: who is called off still records it, who lost it can't."""
    is_lost = any(result.status is RegionStatus.UNKNOWN for result in report.regions)
    return "was stopped: its claim is gone" if is_lost else "was called off"


def version_name(report: PipelineReport) -> str:
    """Which version of what: "api v1.2.3", "v1.2.3" for the root project."""
    return " ".join(part for part in (report.subproject, report.version) if part) or "the repository"


def _subject(report: PipelineReport) -> str:
    name, environment = version_name(report), report.environment
    if report.pipeline_type is PipelineType.POST_RELEASE:
        return f"rollback of {environment} to {name}" if environment else f"rollback to {name}"
    if report.pipeline_type is PipelineType.RELEASE:
        return f"deployment of {name} to {environment}" if environment else f"release of {name}"
    place = f" in {environment}" if environment else ""
    return f"{_NOUNS[report.pipeline_type]} of {name}{place}"


def _success(report: PipelineReport) -> str:
    name = version_name(report)
    if not report.environment:
        return f"{name} is released"
    place = report.environment
    names = [result.region for result in report.regions if result.region]
    if names:
        place += f": {_listed(names)}"
    if report.regions and all(result.status is RegionStatus.UNCHANGED for result in report.regions):
        return f"{name} is live already in {place}; nothing was to be done"
    again = " again" if report.pipeline_type is PipelineType.POST_RELEASE else ""
    return f"{name} is live{again} in {place}"


def _by_status(report: PipelineReport) -> str:
    clauses = []
    tried = [result.region for result in report.rollbacks]
    for status, words in _WHERE.items():
        names = [result.region for result in report.regions if result.status is status and result.region]
        if status is RegionStatus.SUCCESS:
            names = [name for name in names if name not in tried]
        if names:
            clauses.append(f"{words} {_listed(names)}")
    for words, is_back in (("back to what ran before", True), ("the way back did not succeed", False)):
        back = [result.region for result in report.rollbacks if (result.status in _THERE) == is_back]
        where = _listed([name for name in back if name])
        if back:
            clauses.append(f"{words} in {where}" if where else words)
    return f" ({'; '.join(clauses)})" if clauses else ""


def _listed(names: list[str]) -> str:
    more = len(names) - SHOWN_REGIONS
    shown = ", ".join(names[:SHOWN_REGIONS])
    return f"{shown} and {more} more" if more > 0 else shown
