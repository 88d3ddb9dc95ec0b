"""The checker finds each broken promise in a history made by hand, and nothing in a sound one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.stress.checker import RULES, check
from tests.stress.story import LEASE, START, Ledger, Story, put

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.stress.history import History

EAST = ("us-east",)


def broken_rules(history: History) -> set[str]:
    """The rules that something is said about."""
    return {violation.rule for violation in check(history)}


def unlocked(story: Story, name: str, region: str = "us-east") -> Story:
    """Somebody breaks a claim at once."""
    story.begin("unlocker", "unlock", asked=())
    return story.close(name, region, "CANCELLED", author="unlocker").end("unlocker", 0)


def waiting(story: Story) -> Story:
    """One deploys, another waits for it."""
    story.begin("one", asked=EAST).claim("one")
    return story.begin("two", asked=EAST, version="v1.1.0").claim("two", status="PENDING")


# --- sound histories


def two_in_turn() -> Story:
    return Story().deployed("one").deployed("two", "v1.1.0")


def an_environment_without_regions() -> Story:
    story = Story(regions=())
    story.begin("one", asked=(None,)).claim("one").run("one", None).close("one", None)
    return story.end("one", 0)


def side_by_side() -> Story:
    story = Story().begin("one", asked=EAST).begin("two", asked=("eu-west",))
    story.claim("one").claim("two").run("one", outcome=None).run("two", "eu-west")
    story.scripts[0] = replace(story.scripts[0], ended=story.tick(), outcome="done")
    return story.close("two", "eu-west").close("one").end("one", 0).end("two", 0)


def conflict() -> Story:
    story = Story().begin("one", asked=EAST).begin("two", asked=EAST).claim("one")
    return story.end("two", 4).run("one").close("one").end("one", 0)


def failed_and_tried_again() -> Story:
    story = Story().begin("one", asked=EAST).claim("one").run("one", outcome="failed")
    return story.close("one", status="FAILED").end("one", 1).deployed("two")


def half_done() -> Story:
    story = Story().begin("one", asked=("us-east", "eu-west")).claim("one").run("one").close("one")
    story.run("one", "eu-west", outcome="failed").close("one", "eu-west", "FAILED")
    return story.end("one", 7)


def nothing_to_do() -> Story:
    return Story().deployed("one").begin("two", asked=("us-east", "eu-west")).end("two", 0)


def unlocked_while_it_ran() -> Story:
    story = Story().begin("one", asked=EAST).claim("one").run("one", outcome=None)
    unlocked(story, "one").deployed("two", "v1.1.0", "us-east")
    return story.end("one", 4)


def killed_and_taken_over() -> Story:
    story = Story().begin("one", asked=EAST).claim("one").run("one", outcome=None).end("one", -9)
    story.tick(LEASE + 6)
    story.begin("two", asked=EAST).close("one", status="CANCELLED", author="two").claim("two").run("two")
    return story.close("two").end("two", 0)


def killed_and_run_again() -> Story:
    story = Story().begin("one", asked=EAST, run="7", attempt=1).claim("one").end("one", -9)
    story.begin("two", asked=EAST, run="7", attempt=2)
    story.close("one", status="CANCELLED", author="two").claim("two").run("two")
    return story.close("two").end("two", 0)


def an_answer_that_was_lost_and_a_late_push() -> Story:
    story = Story().begin("one", asked=EAST).offer("one", "a" * 40, "late").offer("one", "a" * 40)
    return story.claim("one").end("one", 6).run("one").close("one")


def one_that_waits_its_turn() -> Story:
    story = waiting(Story()).run("one").close("one").end("one", 0).start("two")
    return story.run("two").close("two").end("two", 0)


def one_that_leaves_the_queue() -> Story:
    story = waiting(Story()).vanish("two").end("two", 4)
    return story.run("one").close("one").end("one", 0)


def one_that_is_passed_as_it_died() -> Story:
    story = waiting(Story()).end("two", -9).run("one").close("one").end("one", 0)
    return story.begin("three", asked=EAST).claim("three").run("three").close("three").end("three", 0)


def one_that_is_passed_as_it_sleeps() -> Story:
    story = waiting(Story()).run("one").close("one").end("one", 0)
    story.tick(7)
    return story.begin("three", asked=EAST).claim("three").run("three").close("three").end("three", 0)


def one_that_makes_sure_that_it_has_left() -> Story:
    story = Story().deployed("one").begin("two", asked=EAST)
    return story.write("two", lambda _: None).end("two", 4)


def one_that_could_not_leave() -> Story:
    story = Story().begin("one", asked=EAST).claim("one").begin("two", asked=EAST, faulty=True)
    story.claim("two", status="PENDING").end("two", 4)
    return story.run("one").close("one").end("one", 0)


def one_whose_wait_is_over() -> Story:
    story = waiting(Story()).run("one").close("one").end("one", 0)
    story.now = START + LEASE + 9
    story.begin("three", asked=EAST).close("two", status="CANCELLED", author="three", scripts_started=False)
    return story.claim("three").run("three").close("three").end("three", 0).end("two", -9)


def one_that_a_dead_claim_kept_waiting() -> Story:
    story = waiting(Story()).end("one", -9)
    story.now = START + LEASE + 5 + 7
    story.begin("three", asked=EAST).close("one", status="CANCELLED", author="three")
    return story.claim("three").run("three").close("three").end("three", 0).vanish("two").end("two", 4)


def gone_back_after_a_failure() -> Story:
    story = Story().deployed("zero").begin("one", version="v1.1.0", asked=("us-east", "eu-west")).claim("one")
    story.run("one").close("one").run("one", "eu-west", outcome="failed").close("one", "eu-west", "FAILED")
    story.write("one", lambda ledger: ledger.open.extend(going_back(ledger)))
    for region in ("us-east", "eu-west"):
        story.run("one", region, deployment=f"back.{region}", version="v1.0.0")
        story.close("back", region, author="one")
    return story.end("one", 1)


def going_back(ledger: Ledger) -> list[dict[str, Any]]:
    """The records of a rollback to what is live in both regions before."""
    fields = {
        "claimId": "back",
        "kind": "rollback",
        "triggeredBy": "one",
        "status": "RUNNING",
        "nonce": "back",
    }
    nothing = {"seq": None, "prev": None, "scriptsStarted": False}
    old = ledger.closed[-2:]
    return [{**record, **fields, **nothing, "deploymentId": f"back.{record['region']}"} for record in old]


def asked_to_stop() -> Story:
    def ask(ledger: Ledger) -> None:
        ledger.open[0]["stopRequested"] = "please"

    story = Story().begin("one", asked=EAST).claim("one").run("one", outcome=None)
    story.begin("unlocker", "unlock", asked=()).write("unlocker", ask).end("unlocker", 0)
    return story.close("one", status="CANCELLED").end("one", 4)


SOUND = [
    two_in_turn,
    an_environment_without_regions,
    side_by_side,
    conflict,
    failed_and_tried_again,
    half_done,
    nothing_to_do,
    unlocked_while_it_ran,
    killed_and_taken_over,
    killed_and_run_again,
    an_answer_that_was_lost_and_a_late_push,
    one_that_waits_its_turn,
    one_that_leaves_the_queue,
    one_that_is_passed_as_it_died,
    one_that_is_passed_as_it_sleeps,
    one_that_makes_sure_that_it_has_left,
    one_that_could_not_leave,
    one_whose_wait_is_over,
    one_that_a_dead_claim_kept_waiting,
    gone_back_after_a_failure,
    asked_to_stop,
]


@pytest.mark.parametrize("story", [pytest.param(story, id=story.__name__) for story in SOUND])
def test_a_sound_history(story: Callable[[], Story]) -> None:
    assert check(story().history()) == []


# --- a promise broken in each; the rules that have to find it, and no others


def both_claim() -> Story:
    """Two claims on one place, neither broken: their scripts overlap."""
    story = Story().begin("one", asked=EAST).begin("two", asked=EAST).claim("one").claim("two")
    story.run("one", outcome=None).run("two").close("two").end("two", 0)
    return story.close("one", status="FAILED").end("one", 1)


def a_script_that_outlives_its_owner() -> Story:
    story = Story().begin("one", asked=EAST).claim("one").run("one", outcome=None)
    story.close("one", status="FAILED").end("one", 1).begin("two", asked=EAST).claim("two").run("two")
    story.scripts[0] = replace(story.scripts[0], ended=story.tick(), outcome="done")
    return story.close("two").end("two", 0)


def a_script_before_its_claim() -> Story:
    return Story().begin("one", asked=EAST).run("one").claim("one").close("one").end("one", 0)


def a_script_without_any_claim() -> Story:
    return Story().deployed("zero").begin("one", asked=EAST).run("one").end("one", 1)


def a_script_for_another_version() -> Story:
    story = Story().begin("one", asked=EAST).claim("one").run("one", version="v9.0.0")
    return story.close("one").end("one", 0)


def a_script_while_it_only_waits() -> Story:
    story = waiting(Story()).run("one").close("one").end("one", 0)
    return story.run("two").start("two").close("two").end("two", 0)


def twice_the_same_script() -> Story:
    story = Story().begin("one", asked=EAST).claim("one").run("one").run("one")
    return story.close("one").end("one", 0)


def zero_without_a_success() -> Story:
    return Story().begin("one", asked=EAST).end("one", 0)


def zero_and_half_of_it() -> Story:
    story = Story().begin("one", asked=("us-east", "eu-west")).claim("one").run("one").close("one")
    return story.close("one", "eu-west", "CANCELLED", scripts_started=False).end("one", 0)


def zero_and_two_of_it() -> Story:
    def again(ledger: Ledger) -> None:
        put(ledger, {**ledger.closed[0], "deploymentId": "other.us-east"})

    story = Story().begin("one", asked=EAST).claim("one").run("one").close("one")
    story.write("one", again)
    story.scripts.append(replace(story.scripts[0], deployment="other.us-east", began=5, ended=5))
    return story.end("one", 0)


def zero_where_another_version_runs() -> Story:
    return Story().deployed("one").begin("two", version="v1.1.0", asked=EAST).end("two", 0)


def zero_where_it_is_uncertain() -> Story:
    story = Story().deployed("one").begin("two", version="v1.1.0", asked=EAST).claim("two")
    story.run("two", outcome="failed").close("two", status="FAILED").end("two", 1)
    return story.begin("three", asked=EAST).end("three", 0)


def zero_of_a_rollback_that_did_nothing() -> Story:
    return Story().deployed("one").begin("two", "rollback", version=None, asked=EAST).end("two", 0)


def a_success_before_its_end() -> Story:
    return Story().begin("one", asked=EAST).claim("one").close("one").end("one", 0)


def a_success_of_a_failure() -> Story:
    story = Story().begin("one", asked=EAST).claim("one").run("one", outcome="failed").close("one")
    return story.end("one", 0)


def a_success_that_is_called_a_conflict() -> Story:
    story = Story().begin("one", asked=EAST).claim("one").run("one").close("one")
    return story.end("one", 4)


def an_end_that_is_a_bug() -> Story:
    return Story().begin("one", asked=EAST).end("one", 70)


def a_success_that_is_called_a_failure() -> Story:
    story = Story().begin("one", asked=EAST).claim("one").run("one").close("one")
    return story.end("one", 1)


def a_record_of_nobody() -> Story:
    story = Story().deployed("one")
    del story.operations["one"]
    return story


def refused_and_moved() -> Story:
    story = Story().begin("one", asked=EAST).claim("one").run("one").begin("two", "unlock", asked=())
    story.close("one", status="CANCELLED", author="two").end("two", 3)
    return story.end("one", 4)


def refused_and_moved_the_target() -> Story:
    story = Story().deployed("one").begin("two", version="v1.1.0", asked=EAST)
    story.claim("two", status="PENDING", peeled="e" * 40)
    return story.vanish("two").end("two", 4)


def a_claim_left_behind() -> Story:
    return Story().begin("one", asked=EAST).claim("one").run("one", outcome="failed").end("one", 1)


def a_waiter_left_behind() -> Story:
    story = waiting(Story()).end("two", 4)
    return story.run("one").close("one").end("one", 0)


def written_after_its_end() -> Story:
    story = Story().begin("one", asked=EAST).end("one", 5)
    return story.claim("one").run("one", outcome=None).close("one", status="CANCELLED")


def another_object_after_no_answer() -> Story:
    return Story().deployed("one").offer("one", "a" * 40, "late").offer("one", "b" * 40)


def a_gap_in_the_chain() -> Story:
    story = Story().deployed("one", "v1.0.0", "us-east").begin("two", asked=EAST).claim("two").run("two")

    def ended(ledger: Ledger) -> None:
        put(ledger, {**ledger.open.pop(), "status": "SUCCESS", "leaseEnd": None, "scriptsStarted": True})
        ledger.closed[0]["seq"] = 3

    return story.write("two", ended).end("two", 0)


def a_link_that_does_not_fit() -> Story:
    story = Story().deployed("one", "v1.0.0", "us-east").begin("two", asked=EAST).claim("two").run("two")

    def ended(ledger: Ledger) -> None:
        put(ledger, {**ledger.open.pop(), "status": "SUCCESS", "leaseEnd": None, "scriptsStarted": True})
        ledger.closed[0]["prev"] = "0" * 64

    return story.write("two", ended).end("two", 0)


def a_closed_record_that_changes() -> Story:
    def edit(ledger: Ledger) -> None:
        ledger.closed[0]["nonce"] = "another"

    story = Story().deployed("one").begin("two", "settle", asked=())
    return story.write("one", edit).end("one", None).end("two", 0)


def a_closed_record_that_vanishes() -> Story:
    def drop(ledger: Ledger) -> None:
        ledger.closed.clear()

    story = Story().deployed("one").begin("two", asked=EAST).write("one", drop, live={})
    return story.end("one", None).end("two", 4)


def an_open_record_that_vanishes() -> Story:
    return Story().begin("one", asked=EAST).claim("one").vanish("one").end("one", 1)


def a_record_twice() -> Story:
    def doubled(ledger: Ledger) -> None:
        put(ledger, {**ledger.closed[0], "status": "CANCELLED", "scriptsStarted": False})

    story = Story().begin("one", asked=EAST).claim("one").run("one").close("one").write("one", doubled)
    return story.end("one", None)


def a_move_from_something_else() -> Story:
    return (
        Story()
        .begin("one", asked=EAST)
        .claim("one", author="")
        .run("one")
        .close("one", replaces="f" * 40)
        .end("one", 0)
    )


def a_target_too_early() -> Story:
    story = Story().deployed("zero").begin("one", version="v1.1.0", asked=("us-east", "eu-west"))
    story.claim("one").run("one").close("one", target="d" * 40, settled=True)
    return story.run("one", "eu-west").close("one", "eu-west").end("one", 0)


def a_target_that_stays_behind() -> Story:
    story = Story().deployed("zero").begin("one", version="v1.1.0", asked=("us-east", "eu-west"))
    story.claim("one").run("one").close("one").run("one", "eu-west")
    before = story.moves[-1].peeled
    return story.close("one", "eu-west", target=before, settled=False).end("one", 0)


def a_tag_that_peels_to_something_else() -> Story:
    story = Story().begin("one", asked=EAST).claim("one").run("one")
    return story.close("one", peeled="d" * 40).end("one", 0)


def a_live_map_that_is_wrong() -> Story:
    story = Story().begin("one", asked=EAST).claim("one").run("one", outcome="failed")
    return story.close("one", status="FAILED", live={}).end("one", 1)


def a_record_for_somebody_else() -> Story:
    story = Story().begin("one", asked=EAST).begin("two", asked=EAST).claim("one", author="two")
    story.run("one").close("one").end("one", 0)
    return story.end("two", None)


def another_ones_success() -> Story:
    story = Story().begin("one", asked=EAST).begin("two", "unlock", asked=()).claim("one").run("one")
    return story.close("one", author="two").end("one", 0).end("two", 0)


def another_ones_lease() -> Story:
    def longer(ledger: Ledger) -> None:
        ledger.open[0]["leaseEnd"] = "2030-01-01T00:00:00Z"

    story = Story().begin("one", asked=EAST).begin("two", "unlock", asked=()).claim("one")
    story.write("two", longer).run("one").close("one").end("one", 0)
    return story.end("two", 0)


def taken_over_too_early() -> Story:
    return _taken_over("6", 1)


def taken_over_by_an_earlier_attempt() -> Story:
    return _taken_over("7", 3)


def _taken_over(run: str, attempt: int) -> Story:
    story = Story().begin("one", asked=EAST, run=run, attempt=attempt).claim("one").end("one", -9)
    story.begin("two", asked=EAST, run="7", attempt=1)
    story.close("one", status="CANCELLED", author="two").claim("two").run("two")
    return story.close("two").end("two", 0)


def written_after_the_claim_was_broken() -> Story:
    story = Story().begin("one", asked=EAST).claim("one").run("one", outcome=None)
    unlocked(story, "one")
    return (
        story.claim("one", "eu-west")
        .close("one", "eu-west", "CANCELLED", scripts_started=False)
        .end("one", None)
    )


def begun_out_of_turn() -> Story:
    story = waiting(Story()).run("one").close("one").end("one", 0)
    story.begin("three", asked=EAST).claim("three").run("three").close("three").end("three", 0)
    return story.vanish("two").end("two", 4)


def begun_before_those_who_joined_earlier() -> Story:
    story = waiting(Story()).begin("three", asked=EAST).claim("three", status="PENDING")
    story.run("one").close("one").end("one", 0).start("three").run("three").close("three").end("three", 0)
    return story.vanish("two").end("two", 4)


BROKEN = [
    (both_claim, {"overlap"}),
    (a_script_that_outlives_its_owner, {"overlap"}),
    (a_script_before_its_claim, {"unclaimed"}),
    (a_script_without_any_claim, {"unclaimed"}),
    (a_script_for_another_version, {"unclaimed"}),
    (a_script_while_it_only_waits, {"unclaimed"}),
    (twice_the_same_script, {"twice"}),
    (zero_without_a_success, {"success"}),
    (zero_and_half_of_it, {"success"}),
    (zero_and_two_of_it, {"success", "unclaimed"}),
    (zero_where_another_version_runs, {"success"}),
    (zero_where_it_is_uncertain, {"success"}),
    (zero_of_a_rollback_that_did_nothing, {"success"}),
    (a_success_before_its_end, {"truthful"}),
    (a_success_of_a_failure, {"truthful"}),
    (a_success_that_is_called_a_conflict, {"exit"}),
    (an_end_that_is_a_bug, {"crash"}),
    (a_success_that_is_called_a_failure, {"exit"}),
    (a_record_of_nobody, {"exit", "late"}),
    (refused_and_moved, {"untouched"}),
    (refused_and_moved_the_target, {"untouched", "target"}),
    (a_claim_left_behind, {"left-over"}),
    (a_waiter_left_behind, {"left-over"}),
    (written_after_its_end, {"late"}),
    (another_object_after_no_answer, {"rebuilt"}),
    (a_gap_in_the_chain, {"chain"}),
    (a_link_that_does_not_fit, {"chain"}),
    (a_closed_record_that_changes, {"chain"}),
    (a_closed_record_that_vanishes, {"chain", "target"}),
    (an_open_record_that_vanishes, {"chain"}),
    (a_record_twice, {"chain"}),
    (a_move_from_something_else, {"chain"}),
    (a_target_too_early, {"target"}),
    (a_target_that_stays_behind, {"target"}),
    (a_tag_that_peels_to_something_else, {"target"}),
    (a_live_map_that_is_wrong, {"target"}),
    (a_record_for_somebody_else, {"authority"}),
    (another_ones_success, {"authority"}),
    (another_ones_lease, {"authority"}),
    (taken_over_too_early, {"takeover"}),
    (taken_over_by_an_earlier_attempt, {"takeover"}),
    (written_after_the_claim_was_broken, {"broken"}),
    (begun_out_of_turn, {"queue"}),
    (begun_before_those_who_joined_earlier, {"queue"}),
]


@pytest.mark.parametrize(("story", "rules"), [pytest.param(*row, id=row[0].__name__) for row in BROKEN])
def test_a_broken_promise(story: Callable[[], Story], rules: set[str]) -> None:
    assert broken_rules(story().history()) == rules


def test_what_was_committed_and_overwritten() -> None:
    history = replace(two_in_turn().history(), lost=(("api/staging", "a" * 40),))
    assert broken_rules(history) == {"lost"}


def test_each_rule_is_broken_in_some_history() -> None:
    assert set().union(*(rules for _, rules in BROKEN)) | {"lost"} == set(RULES)


def test_clocks_that_are_wrong_excuse_a_takeover_within_the_bound() -> None:
    story = Story().begin("one", asked=EAST).claim("one").end("one", -9)
    story.now = START + LEASE + 3
    story.begin("two", asked=EAST).close("one", status="CANCELLED", author="two").claim("two").run("two")
    story.close("two").end("two", 0)
    assert broken_rules(story.history(skew=2.0)) == set()
    assert broken_rules(story.history(skew=0.0)) == {"takeover"}
