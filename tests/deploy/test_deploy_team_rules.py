"""The rules `requires` and `freeze`: what a plan says, by facts that are changed in memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from ci_tasks.core.checkout import Checkout
from ci_tasks.core.errors import UsageError
from ci_tasks.deploy import assign
from ci_tasks.deploy import facts as reading
from ci_tasks.deploy.configuration import guarded
from ci_tasks.deploy.model import Request
from ci_tasks.deploy.plan import plan
from ci_tasks.deploy.rule.requirements import Elsewhere
from ci_tasks.environment.model import Freeze, Requirement, Rules
from ci_tasks.environment.names import RequiredState, Weekday
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag.grammar import EnvironmentTag
from ci_tasks.tag.model import Override
from ci_tasks.tag.names import DeploymentKind, DeploymentStatus, VersionState
from ci_tasks.tag.store import EnvironmentFact
from tests.tag.records import HOUR, NOON, deployed, empty, record

if TYPE_CHECKING:
    from ci_tasks.deploy.model import Facts
    from ci_tasks.tag.ledger import Ledger
    from tests.deploy.conftest import Site

EU, US = "eu-west", "us-east"
FAILED = DeploymentStatus.FAILED
CANARY = EnvironmentTag(subproject="api", environment="canary")
LINE = "inv deploy --env staging --subproject api"
SOURCE = "environments/staging/config.yml:3"


@pytest.fixture(scope="module")
def known(shared_site: Site) -> Facts:
    """Facts of api v1.0.0 for staging with its two regions, at noon of a Monday."""
    request = Request(environment="staging", subproject="api")
    found = reading.gather(Checkout.open(shared_site.clone, {}), request, environ={}).facts
    return replace(found, now=NOON)


def with_rules(facts: Facts, **rules: Any) -> Facts:
    return replace(facts, rules=msgspec.structs.replace(facts.rules, **rules))


def asking(facts: Facts, **fields: Any) -> Facts:
    return replace(facts, request=replace(facts.request, **fields))


def history(facts: Facts, *steps: tuple[str | None, str, float], status: Any = None) -> Ledger:
    """A ledger of attempts: the region, the version, and how many hours before noon each ended."""
    ledger = empty()
    for number, (region, version, hours) in enumerate(steps):
        commit = facts.version.commit if version == "v1.0.0" else "f" * 40
        made = record(number, region, version, NOON - hours * HOUR, commit_sha=commit)
        last = number == len(steps) - 1
        done = (status if last else None) or DeploymentStatus.SUCCESS
        ledger = deployed(ledger, made, done, (EU, US), took=timedelta())
    return ledger


def here(facts: Facts, ledger: Ledger) -> Facts:
    """The same, with this ledger in the environment itself."""
    environment = EnvironmentFact(
        tag=facts.tag, object_id="a" * 40, target=ledger.header.target, ledger=ledger
    )
    return replace(facts, environment=environment)


def there(facts: Facts, ledger: Ledger | None, *regions: str, soak: float | None = 7200.0) -> Facts:
    """The same, where a version must have run in canary, which has this ledger and these regions."""
    asked = with_rules(facts, requires=(Requirement(environment="canary", soak=soak, source=SOURCE),))
    return replace(asked, elsewhere={"canary": Elsewhere(tag=CANARY, regions=regions, ledger=ledger)})


def said(facts: Facts) -> list[str]:
    """What the plan refuses: the rule with its place, the message and the next step."""
    return [f"{refusal.name}: {refusal.message} {refusal.next_step}" for refusal in plan(facts).refusals]


RULE = f"requires ({SOURCE}): staging takes what has run in canary"


def test_what_has_run_elsewhere_for_long_enough(known: Facts) -> None:
    assert said(there(known, history(known, (None, "v1.0.0", 2)))) == []
    assert said(there(known, history(known, (None, "v1.0.0", 5), (None, "v2.0.0", 3)))) == []
    assert said(there(known, history(known, (None, "v1.0.0", 0)), soak=None)) == []
    assert said(there(known, history(known, (EU, "v1.0.0", 3), (US, "v1.0.0", 2)), EU, US)) == []


def test_what_still_has_to_wait(known: Facts) -> None:
    assert said(there(known, history(known, (None, "v1.0.0", 2 / 3)))) == [
        f"{RULE} for 2h, and v1.0.0 ran there for 40m of 2h; come back at 13:20 UTC. {LINE} --version v1.0.0"
    ]
    longer = there(known, history(known, (None, "v1.0.0", 25.5)), soak=2 * 86400.0)
    assert "ran there for 1d 1h of 2d; come back at 2026-01-06 10:30 UTC." in said(longer)[0]
    almost = there(known, history(known, (None, "v1.0.0", 119.5 / 60)))
    assert "ran there for 1h 59m of 2h; come back at 12:01 UTC." in said(almost)[0]
    later = there(known, history(known, (None, "v1.0.0", -1)))
    assert "ran there for 0s of 2h; come back at 15:00 UTC." in said(later)[0]


def test_what_did_not_run_there(known: Facts) -> None:
    line = "inv deploy --env canary --subproject api --version v1.0.0"
    nothing = f"{RULE} for 2h, and v1.0.0 has not run there yet, where nothing runs. {line}"
    assert said(there(known, None)) == [nothing]
    assert said(there(known, empty())) == [nothing]
    other = there(known, history(known, (None, "v2.0.0", 9)), soak=None)
    assert said(other) == [f"{RULE}, and v1.0.0 has not run there yet, where v2.0.0 runs. {line}"]
    gone = there(known, history(known, (None, "v1.0.0", 3), (None, "v2.0.0", 2)))
    assert said(gone) == [f"{RULE} for 2h, and v1.0.0 ran there for 1h of 2h, until 10:00 UTC. {line}"]
    broken = there(known, history(known, (None, "v1.0.0", 1), status=FAILED))
    assert "v1.0.0 has not run there yet, where nothing runs" in said(broken)[0]
    moved = history(replace(known, version=replace(known.version, commit="e" * 40)), (None, "v1.0.0", 9))
    assert "v1.0.0 has not run there yet, where v1.0.0 runs" in said(there(known, moved))[0]


def test_every_region_that_is_there_today_counts(known: Facts) -> None:
    only = there(known, history(known, (EU, "v1.0.0", 9)), EU, US)
    assert said(only) == [
        (
            f"{RULE} for 2h, and v1.0.0 has not run in {US} of canary yet, where nothing runs. "
            f"inv deploy --env canary --subproject api --version v1.0.0 --region {US}"
        )
    ]
    assert said(there(known, history(known, (EU, "v1.0.0", 9)), EU)) == []
    begun = said(there(known, history(known, (EU, "v1.0.0", 1)), EU, US))
    assert f"has not run in {US} of canary yet" in begun[0]
    both = said(there(known, history(known, (EU, "v1.0.0", 1), (US, "v1.0.0", 0.5)), EU, US))
    assert "ran there for 30m of 2h; come back at 13:30 UTC" in both[0]


def test_what_cannot_be_read_is_not_taken_for_nothing(known: Facts) -> None:
    asked = there(known, None)
    unreadable = replace(asked.elsewhere["canary"], problem="it can't be read.", repair="repair")
    assert said(replace(asked, elsewhere={"canary": unreadable})) == [
        f"requires ({SOURCE}): staging asks what ran in canary: it can't be read. repair"
    ]


def test_what_is_live_here_already_does_not_come(known: Facts) -> None:
    asked = asking(there(known, None), again=True)
    live = history(known, (EU, "v1.0.0", 1), (US, "v1.0.0", 1))
    assert said(here(asked, live)) == []
    assert len(said(here(asked, history(known, (EU, "v1.0.0", 1))))) == 1


def test_only_what_is_stable(known: Facts) -> None:
    asked = with_rules(known, requires=(Requirement(state=RequiredState.STABLE, source=SOURCE),))
    assert said(asked) == [
        (
            f"requires ({SOURCE}): api/v1.0.0 is not marked stable, and staging takes stable versions. "
            'inv tag.state --subproject api --version v1.0.0 --state stable --reason "why"'
        )
    ]
    assert said(replace(asked, states=(VersionState.STABLE,))) == []
    rules = [one.rule for one in plan(replace(asked, states=(VersionState.UNSTABLE,))).refusals]
    assert rules == ["state", "requires"]


@pytest.fixture
def canary(known: Facts) -> Facts:
    """A version has to run in one region for two hours before it comes to the others."""
    return with_rules(known, requires=(Requirement(soak=7200.0, source=SOURCE),))


FIRST = f"requires ({SOURCE}): staging takes a version in one region first, and in others after 2h there"


def test_a_canary_is_one_region(canary: Facts) -> None:
    assert said(canary) == [f"{FIRST}. {LINE} --version v1.0.0 --region {EU}"]
    assert said(asking(canary, regions=(US,))) == []
    assert said(asking(canary, regions=(EU,))) == []


def test_the_others_wait_for_the_canary(canary: Facts) -> None:
    begun = here(canary, history(canary, (EU, "v1.0.0", 2 / 3)))
    waiting = f"{FIRST}: v1.0.0 ran in {EU} for 40m of 2h; come back at 13:20 UTC. {LINE} --version v1.0.0"
    assert said(begun) == [waiting]
    assert said(asking(begun, regions=(US,))) == [f"{waiting} --region {US}"]
    assert said(asking(begun, regions=(EU,), again=True)) == []
    done = here(canary, history(canary, (EU, "v1.0.0", 2)))
    assert said(done) == []
    gone = here(canary, history(canary, (EU, "v1.0.0", 5), (EU, "v0.9.0", 1)))
    assert said(gone) == []


def test_a_canary_that_broke_off_comes_first(canary: Facts) -> None:
    broken = here(canary, history(canary, (EU, "v1.0.0", 1), status=FAILED))
    assert said(broken) == [
        f"{FIRST}: v1.0.0 has not run in {EU} yet, where nothing runs. {LINE} --version v1.0.0 --region {EU}"
    ]
    assert said(asking(broken, regions=(EU,))) == []


def test_a_canary_that_is_under_way_is_the_canary(canary: Facts) -> None:
    running = ledgers.claim(empty(), (record(1, EU, "v1.0.0", commit_sha=canary.version.commit),), regions=())
    assert f"v1.0.0 has not run in {EU} yet" in said(asking(here(canary, running), regions=(US,)))[0]
    (waiting,) = (msgspec.structs.replace(one, status=DeploymentStatus.PENDING) for one in running.open)
    assert len(said(here(canary, msgspec.structs.replace(running, open=(waiting,))))) == 1


def test_where_there_is_one_region_there_is_no_canary(canary: Facts) -> None:
    alone = with_rules(canary, regions=())
    assert said(replace(alone, regions=(EU,))) == []
    assert said(replace(alone, regions=())) == []


def test_f118_the_regions_that_are_committed_count_for_a_canary(canary: Facts) -> None:
    begun = here(canary, history(canary, (EU, "v1.0.0", 1)))
    waiting = said(replace(begun, regions=(US,)))
    assert f"v1.0.0 ran in {EU} for 1h of 2h; come back at 13:00 UTC" in waiting[0]
    assert said(replace(canary, regions=(EU,))) == [], "to begin with it is free"


def test_a_canary_that_was_left_is_still_the_canary(canary: Facts) -> None:
    left = here(canary, history(canary, (EU, "v1.0.0", 3), (EU, "v2.0.0", 2)))
    line = f"{LINE} --version v1.0.0 --region {EU}"
    assert said(asking(left, regions=(US,))) == [
        f"{FIRST}: v1.0.0 ran in {EU} for 1h of 2h, until 10:00 UTC. {line}"
    ]
    assert said(asking(left, regions=(EU,), yes=True)) == []
    both = here(
        canary, history(canary, (EU, "v1.0.0", 3), (US, "v1.0.0", 2.5), (EU, "v2.0.0", 2), (US, "v2.0.0", 1))
    )
    assert said(asking(both, yes=True)) == [
        (
            f"{FIRST}: v1.0.0 ran in {US} for 1h 30m of 2h, until 11:00 UTC. "
            f"{LINE} --version v1.0.0 --region {US} --yes"
        )
    ]
    assert said(asking(both, regions=(US,), yes=True)) == []


HOTFIX = Freeze(days=(Weekday.MONDAY,), exempt=("hotfix", "security"), source=SOURCE)
CLOSED = Freeze(begins="10:00", ends="13:00", timezone="Europe/Berlin", source=SOURCE)


def test_a_freeze(known: Facts) -> None:
    frozen = with_rules(known, freeze=(HOTFIX,))
    assert said(frozen) == [
        (
            f"freeze ({SOURCE}): staging is frozen until 2026-01-06 00:00 UTC; "
            f"what can't wait takes --label hotfix. {LINE} --version v1.0.0 --dry-run"
        )
    ]
    assert said(replace(frozen, now=NOON + 12 * HOUR)) == []
    passed = plan(asking(frozen, labels=("security",)))
    assert (passed.refusals, passed.labels) == ([], ["security"])
    assert f"staging is frozen ({SOURCE}); the label security passes." in passed.notices


def test_a_freeze_without_labels_takes_an_override(known: Facts) -> None:
    frozen = with_rules(known, freeze=(CLOSED,))
    before = replace(frozen, now=NOON - HOUR)
    assert said(frozen) == []
    assert said(before) == [
        (
            f"freeze ({SOURCE}): staging is frozen until 2026-01-05 12:00 UTC "
            '(2026-01-05 13:00 in Europe/Berlin); what can\'t wait takes --override "why". '
            f"{LINE} --version v1.0.0 --dry-run"
        )
    ]
    overridden = plan(replace(before, override=Override(reason="it burns", signer=None)))
    assert (overridden.refusals, [one.rule for one in overridden.overridden]) == ([], ["freeze"])
    both = with_rules(before, freeze=(HOTFIX, CLOSED))
    assert [one.message.endswith('takes --override "why".') for one in plan(both).refusals] == [True] * 2
    labelled = plan(asking(both, labels=("hotfix",)))
    assert [one.message.partition(" until ")[2][:16] for one in labelled.refusals] == ["2026-01-05 12:00"]


def test_a_freeze_without_an_end(known: Facts) -> None:
    frozen = with_rules(known, freeze=(Freeze(days=tuple(Weekday)),))
    said = 'staging is frozen, and no end is in sight; what can\'t wait takes --override "why".'
    assert plan(frozen).refusals[0].message == said


def test_a_label_that_no_freeze_knows(known: Facts) -> None:
    frozen = with_rules(known, freeze=(HOTFIX,))
    with pytest.raises(UsageError, match="'hotfixx' is not a label of staging"):
        plan(asking(frozen, labels=("hotfixx",)))
    with pytest.raises(UsageError, match="--label hotfix means nothing") as caught:
        plan(asking(known, labels=("hotfix",)))
    assert caught.value.next_step == LINE


def test_a_rollback_is_not_held_up(known: Facts) -> None:
    asked = with_rules(there(known, None), freeze=(HOTFIX,), protected=True)
    back = plan(asking(asked, kind=DeploymentKind.ROLLBACK))
    assert [one.rule for one in back.refusals] == ["protected"]
    held = [notice for notice in back.notices if notice.startswith("A rollback is not held up by the rule")]
    assert [notice.split()[9] for notice in held] == ["requires", "freeze"]
    forth = plan(asking(asked, kind=DeploymentKind.PROMOTE, source="canary"))
    assert [one.rule for one in forth.refusals] == ["requires", "freeze", "protected"]
    assert "inv deploy.promote --from canary --to staging" in str(forth.refusals[1].next_step)


def test_a_rollback_to_what_is_newer_is_none(known: Facts) -> None:
    frozen = asking(with_rules(known, freeze=(HOTFIX,)), kind=DeploymentKind.ROLLBACK, version="v1.0.0")
    older = history(known, (EU, "v1.0.0", 5), (EU, "v0.9.0", 4), (EU, "v0.8.0", 3))
    (refusal,) = plan(here(frozen, older)).refusals
    newer_than = f"v1.0.0 is newer than what runs there in {EU}, so this is no way back"
    assert refusal.message.endswith(f'{newer_than}: it takes --override "why".')
    assert refusal.next_step == "inv deploy.rollback --env staging --subproject api --to v1.0.0 --dry-run"
    assert "--label" not in refusal.message, "a rollback takes no label"
    undone = history(known, (EU, "v1.0.0", 5), (EU, "v0.9.0", 4))
    assert plan(here(frozen, undone)).refusals == [], "it ran right before the live one"
    (back,) = (msgspec.structs.replace(one, kind=DeploymentKind.ROLLBACK) for one in undone.closed[:1])
    left = msgspec.structs.replace(undone, closed=(back, *undone.closed[1:]))
    assert [one.rule for one in plan(here(frozen, left)).refusals] == ["freeze"], "it was rolled back from"
    newer = history(known, (EU, "v1.0.0", 5), (EU, "v3.0.0", 4), (EU, "v2.0.0", 3))
    assert plan(here(frozen, newer)).refusals == []


def test_a_bad_version_leads_to_no_other_bad_one(known: Facts) -> None:
    bad = asking(
        replace(known, states=(VersionState.UNSTABLE,)), kind=DeploymentKind.ROLLBACK, version="v1.0.0"
    )
    assert [one.next_step for one in plan(bad).refusals] == [
        "inv deploy.rollback --env staging --subproject api"
    ]


def test_an_assignment_of_what_is_live_brings_nothing_new(known: Facts) -> None:
    frozen = asking(with_rules(known, freeze=(HOTFIX,)), kind=DeploymentKind.ASSIGN)
    live = history(known, (EU, "v1.0.0", 1), (US, "v1.0.0", 1))
    adrift = replace(here(frozen, live).environment, target="e" * 40)
    assert [one.rule for one in assign.plan(replace(frozen, environment=adrift)).refusals] == []
    (refusal,) = assign.plan(frozen).refusals
    assert (refusal.rule, refusal.message.endswith('takes --override "why".')) == ("freeze", True)


def test_the_plan_shows_the_rules_that_hold(known: Facts) -> None:
    rules = plan(with_rules(there(known, empty()), freeze=(CLOSED,))).rules
    assert [(one.rule, one.value, one.source) for one in rules] == [
        ("requires", "has run in canary for 2h", SOURCE),
        ("freeze", "10:00 to 13:00, Europe/Berlin", SOURCE),
    ]


def test_f118_an_edit_takes_no_committed_rule_away() -> None:
    staging, long = Requirement(environment="staging", source="a:1"), Requirement(soak=60.0, source="a:9")
    kept = Rules(requires=(staging,), freeze=(HOTFIX,), sources={"requires": "a:1"})
    assert guarded(Rules(), kept) == Rules(requires=(staging,), freeze=(HOTFIX,))
    moved = msgspec.structs.replace(staging, source="a:2")
    wide, edited = Rules(regions=("eu", "us")), Rules(regions=("us", "ap"))
    assert guarded(edited, wide).regions == ("eu", "us", "ap")
    added = guarded(Rules(requires=(long, moved), freeze=(CLOSED,)), kept)
    assert (added.requires, added.freeze) == ((staging, long), (HOTFIX, CLOSED))
