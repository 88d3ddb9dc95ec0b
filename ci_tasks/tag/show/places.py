"""What an environment tag's ledger says is live, region by region."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_tasks.tag.show.model import Place

if TYPE_CHECKING:
    from ci_tasks.tag.grammar import EnvironmentTag
    from ci_tasks.tag.ledger import Ledger
    from ci_tasks.tag.model import Live


def places(tag: EnvironmentTag, ledger: Ledger) -> list[Place]:
    """What is live in each region that the environment has, or that something is known of."""
    header = ledger.header
    keys = list(dict.fromkeys([*header.regions, *header.live])) or [""]
    return [_place(tag, key, header.live.get(key)) for key in keys]


def _place(tag: EnvironmentTag, key: str, live: Live | None) -> Place:
    return Place(
        environment_tag=str(tag),
        region=key or None,
        version=live.version if live else None,
        commit_sha=live.commit_sha if live else None,
        since=live.since if live else None,
        triggered_by=live.triggered_by if live else None,
        deployment_id=live.deployment_id if live else None,
        is_uncertain=bool(live and live.uncertain),
        attempted=live.attempted if live else None,
    )
