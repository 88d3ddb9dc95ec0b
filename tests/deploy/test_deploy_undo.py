"""The way back after a failure: when, where to, in which order, and what its ends mean."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from ci_tasks.core.errors import CancelledError, ConflictError, ExitCode, UnknownOutcomeError
from ci_tasks.deploy import undo
from ci_tasks.deploy.model import Plan, PlannedRegion, Request
from ci_tasks.deploy.plan import is_parallel, on_failure
from ci_tasks.deploy.region import RegionRun
from ci_tasks.deploy.run import Course
from ci_tasks.environment.model import Rules
from ci_tasks.environment.names import OnFailure, Strategy
from ci_tasks.tag.clock import utc_now
from ci_tasks.tag.names import DeploymentKind, DeploymentStatus

CLAIM = "20260102T030405Z-abcdef"


def course_of(plan: Plan, *runs: RegionRun) -> Course:
    """What became of a plan."""
    return Course(plan=plan, started_at=utc_now(), regions=list(runs))


def plan_of(**before: str | None) -> Plan:
    """A plan that brings v2.0.0 to regions that had these versions before."""
    regions = [
        PlannedRegion(
            region=region,
            action="deploy",
            previous_version=version,
            previous_commit_sha=None,
            is_uncertain=False,
            is_downgrade=False,
            configuration=[],
            variables=[],
        )
        for region, version in before.items()
    ]
    return Plan(
        environment="staging",
        environment_tag="api/staging",
        subproject="api",
        version="v2.0.0",
        version_tag="api/v2.0.0",
        commit_sha="a" * 40,
        is_newest=True,
        passed_over=[],
        is_rehearsal=False,
        is_parallel=False,
        on_failure=OnFailure.ROLLBACK,
        regions=regions,
        scripts=[],
        concurrency_group="deploy-api-staging",
        moves_tag=False,
        rules=[],
        labels=[],
        refusals=[],
        notices=[],
        overridden=[],
    )


def ran(region: str, status: DeploymentStatus, *, started: bool = True) -> RegionRun:
    """What became of a region."""
    return RegionRun(region=region, deployment_id=f"{CLAIM}.{region}", status=status, scripts_started=started)


SUCCESS, FAILED, STOPPED = DeploymentStatus.SUCCESS, DeploymentStatus.FAILED, DeploymentStatus.CANCELLED
THREE = {"a": "v1.0.0", "b": "v1.1.0", "c": "v1.0.0"}


def carried(*endings: DeploymentStatus | Exception) -> tuple[list[Request], undo.Carry]:
    """What is asked for, and who answers with these endings, one after the other."""
    asked: list[Request] = []
    left = list(endings)

    def carry(request: Request) -> tuple[Plan, Course | None]:
        asked.append(request)
        ending = left.pop(0)
        if isinstance(ending, Exception):
            raise ending
        made = plan_of(**dict.fromkeys(request.regions, "v2.0.0"))
        return made, course_of(made, *(ran(region, ending) for region in request.regions))

    return asked, carry


def test_each_version_is_gone_back_to_in_one_deployment() -> None:
    made = plan_of(**THREE)
    course = course_of(made, ran("a", SUCCESS), ran("b", SUCCESS), ran("c", FAILED))
    asked, carry = carried(SUCCESS, SUCCESS)
    wanted = Request(
        environment="staging",
        subproject="api",
        override="because",
        yes=True,
        labels=("hotfix",),
        parallel=True,
    )
    undone = undo.go_back(wanted, made, course, carry=carry)
    shared = Request(
        environment="staging",
        subproject="api",
        kind=DeploymentKind.ROLLBACK,
        override="because",
        parallel=True,
        reason="v2.0.0 failed in c (onFailure: rollback)",
    )
    assert asked == [
        replace(shared, version="v1.0.0", regions=("a", "c")),
        replace(shared, version="v1.1.0", regions=("b",)),
    ]
    assert (undone.stays, undone.errors, undone.regions) == ([], [], {"a", "b", "c"})
    assert undo.exit_code(course, undone) is ExitCode.FAILED


@pytest.mark.parametrize(
    ("endings", "code", "stays"),
    [
        pytest.param(
            (FAILED, SUCCESS),
            ExitCode.PARTIAL,
            ["a, c: not gone back to v1.0.0. Its scripts did not succeed."],
            id="fails",
        ),
        pytest.param(
            (ConflictError("Somebody else holds the claim."), SUCCESS),
            ExitCode.PARTIAL,
            ["a, c: not gone back to v1.0.0. Somebody else holds the claim."],
            id="claim-held",
        ),
        pytest.param(
            (SUCCESS, UnknownOutcomeError("No answer.")),
            ExitCode.UNKNOWN,
            ["b: not gone back to v1.1.0. No answer."],
            id="F75-no-answer",
        ),
        pytest.param(
            (CancelledError("Cancelled by Ctrl-C."),),
            ExitCode.CANCELLED,
            [
                "a, c: not gone back to v1.0.0. Cancelled by Ctrl-C.",
                "b: not gone back to v1.1.0. It was cancelled before that.",
            ],
            id="F94-cancelled",
        ),
    ],
)
def test_a_way_back_that_is_not_gone_to_its_end(
    endings: tuple[DeploymentStatus | Exception, ...], code: ExitCode, stays: list[str]
) -> None:
    made = plan_of(**THREE)
    course = course_of(made, ran("a", SUCCESS), ran("b", SUCCESS), ran("c", FAILED))
    _, carry = carried(*endings)
    undone = undo.go_back(Request(environment="staging"), made, course, carry=carry)
    assert undone.stays == stays
    assert undo.exit_code(course, undone) is code


def test_what_was_not_touched_needs_no_way_back() -> None:
    made = plan_of(a="v1.0.0", b="v1.0.0", c="v1.0.0", d=None, e="v2.0.0")
    course = course_of(
        made,
        ran("a", FAILED, started=False),
        ran("b", STOPPED, started=False),
        ran("c", STOPPED),
        ran("d", FAILED),
        ran("e", SUCCESS),
    )
    asked, carry = carried(SUCCESS)
    undone = undo.go_back(Request(environment="staging"), made, course, carry=carry)
    assert [request.regions for request in asked] == [("c",)]
    assert undone.stays == [
        "d: nothing ran there before v2.0.0, so there is nothing to go back to.",
        "e: v2.0.0 ran there before, too, so there is nothing to go back to.",
    ]
    assert undo.exit_code(course, undone) is ExitCode.PARTIAL


def test_where_there_is_no_way_back_it_is_not_as_before() -> None:
    made = plan_of(a=None)
    course = course_of(made, ran("a", FAILED))
    asked, carry = carried()
    undone = undo.go_back(Request(environment="staging"), made, course, carry=carry)
    assert (asked, undo.exit_code(course, undone)) == ([], ExitCode.PARTIAL)


@pytest.mark.parametrize("case", ["due", "stop", "rehearsal", "cancelled", "nothing failed"])
def test_when_the_way_back_is_gone(case: str) -> None:
    made = plan_of(a="v1.0.0")
    if case == "stop":
        made = msgspec.structs.replace(made, on_failure=OnFailure.STOP)
    if case == "rehearsal":
        made = msgspec.structs.replace(made, is_rehearsal=True)
    course = course_of(made, ran("a", STOPPED if case == "nothing failed" else FAILED))
    if case == "cancelled":
        course.errors.append(CancelledError("Cancelled by Ctrl-C."))
    assert undo.is_due(made, course) == (case == "due")


@pytest.mark.parametrize(
    ("typed", "rule", "side_by_side"),
    [
        ({}, Strategy.SEQUENTIAL, False),
        ({}, Strategy.PARALLEL, True),
        ({"parallel": True}, Strategy.SEQUENTIAL, True),
        ({"sequential": True}, Strategy.PARALLEL, False),
    ],
)
def test_what_was_typed_wins_over_the_strategy(
    typed: dict[str, bool],
    rule: Strategy,
    side_by_side: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    request = Request(environment="staging", **typed)  # type: ignore[arg-type]  # the names are those above
    assert is_parallel(request, Rules(strategy=rule)) is side_by_side


@pytest.mark.parametrize(
    ("request_", "rule", "expected"),
    [
        (Request(environment="staging"), OnFailure.STOP, OnFailure.STOP),
        (Request(environment="staging"), OnFailure.ROLLBACK, OnFailure.ROLLBACK),
        (Request(environment="staging", keep_going=True), OnFailure.ROLLBACK, OnFailure.KEEP_GOING),
        (
            Request(environment="staging", kind=DeploymentKind.ROLLBACK),
            OnFailure.ROLLBACK,
            OnFailure.KEEP_GOING,
        ),
        (Request(environment="staging", kind=DeploymentKind.ROLLBACK), OnFailure.STOP, OnFailure.STOP),
    ],
)
def test_what_was_typed_wins_over_on_failure(request_: Request, rule: OnFailure, expected: OnFailure) -> None:
    assert on_failure(request_, Rules(on_failure=rule)) is expected
