"""Promises of the protocol broken on purpose, in a process that was forked for a test.

Each replaces one function of the program by one that makes a mistake which a simpler program would make.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from ci_tasks.core.git import origin, push, remote_origin
from ci_tasks.deploy import lease
from ci_tasks.tag import ledger, store
from ci_tasks.tag.grammar import ref_of
from ci_tasks.tag.names import DeploymentStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ci_tasks.core.git.origin import RemoteRef
    from ci_tasks.core.git.push import PushOutcome, RefUpdate
    from ci_tasks.tag.grammar import EnvironmentTag
    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.model import Deployment
    from ci_tasks.tag.store import TagStore


def without_lease() -> None:
    """Pushes move what they meet, whatever it is by now."""
    honest = push.push_command

    def forced(url: str, updates: Sequence[RefUpdate]) -> list[str]:
        words = [word for word in honest(url, updates) if not word.startswith("--force-with-lease=")]
        return [f"+{word}" if word.count(":") == 1 and ":refs/" in word else word for word in words]

    vars(remote_origin)["push_command"] = forced


def holders_ignored() -> None:
    """Claims are made where somebody holds one."""
    vars(ledger)["holders"] = lambda *_: ()


def old_value_believed() -> None:
    """A push without an answer counts as not applied, as soon as an old value is read."""

    def believing(
        attempt: Callable[[], PushOutcome], *, landed: Callable[[], bool], **_: object
    ) -> PushOutcome:
        outcome = attempt()
        if outcome.result is not push.PushResult.UNKNOWN:
            return outcome
        if landed():
            return replace(outcome, result=push.PushResult.APPLIED)
        return replace(outcome, result=push.PushResult.NOT_APPLIED, reason=push.NotApplied.OTHER)

    vars(origin)["until_known"] = believing


def object_rebuilt() -> None:
    """After a push without an answer another object is pushed, with the same in it."""

    def swap(
        self: TagStore,
        tag: EnvironmentTag,
        new: str,
        *,
        old: str | None,
        pinned: Sequence[RemoteRef] = (),
        abandon: Callable[[], bool] | None = None,
        **_: object,
    ) -> PushOutcome:
        updates = [push.RefUpdate(ref=ref.name, new=ref.object_id, old=ref.object_id) for ref in pinned]
        outcome = self.origin.push(
            [push.RefUpdate(ref=ref_of(tag), new=new, old=old), *updates], abandon=abandon
        )
        if outcome.result is not push.PushResult.UNKNOWN:
            return outcome
        (found,) = self.origin.blobs([new])
        again = re.sub(rb"> (\d+) ", lambda time: b"> %d " % (int(time[1]) + 1), found.data, count=1)
        return swap(self, tag, self.origin.write_tag(again), old=old, pinned=pinned, abandon=abandon)

    vars(store)["TagStore"].swap = swap


def nonce_ignored() -> None:
    """A result is recorded though somebody else has ended the claim."""
    honest = ledger.close

    def close(state: Ledger, deployment_id: str, status: DeploymentStatus, **given: Any) -> Ledger:
        if not any(record.deployment_id == deployment_id for record in state.open):
            (record,) = (record for record in state.closed if record.deployment_id == deployment_id)
            again = msgspec.structs.replace(
                record,
                status=DeploymentStatus.RUNNING,
                completed_at=None,
                ended_by=None,
                seq=None,
                prev=None,
            )
            state = msgspec.structs.replace(state, open=(*state.open, again))
        return honest(state, deployment_id, status, **given)

    def mine(self: lease.Lease, _state: Ledger | None, **_: object) -> list[Deployment]:
        return list(self.records.values())

    vars(ledger)["close"] = close
    setattr(lease.Lease, "_still_running", mine)  # noqa: B010 - a method that looks for the nonce


FAULTS: dict[str, Callable[[], None]] = {
    fault.__name__: fault
    for fault in (without_lease, holders_ignored, old_value_believed, object_rebuilt, nonce_ignored)
}
