"""The GitHub rulesets that protect our tags, in the form of GitHub's REST API."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from ci_tasks.core.entity import Entity, to_json
from ci_tasks.core.errors import UsageError

if TYPE_CHECKING:
    from ci_tasks.core.settings import Settings

IMMUTABLE_NAME = "ci-tasks: versions and states"
ENVIRONMENT_NAME = "ci-tasks: environments"
_VERSION = "v[0-9]*.[0-9]*.[0-9]*"


class ActorType(Enum):
    """Who may pass a ruleset, of those that we name; GitHub knows more."""

    INTEGRATION = "Integration"
    DEPLOY_KEY = "DeployKey"


class RuleType(Enum):
    """What a ruleset forbids."""

    CREATION = "creation"
    UPDATE = "update"
    DELETION = "deletion"


class BypassActor(Entity, frozen=True, kw_only=True, rename="lower"):
    """Somebody whom the rules don't hold; `actor_id` is the id of the GitHub App, None for deploy keys."""

    actor_id: int | None
    actor_type: ActorType
    bypass_mode: str = "always"


class RefName(Entity, frozen=True, kw_only=True, rename="lower"):
    """The refs that are meant, as fnmatch patterns of full names."""

    include: tuple[str, ...]
    exclude: tuple[str, ...] = ()


class Conditions(Entity, frozen=True, kw_only=True, rename="lower"):
    """Where the rules hold."""

    ref_name: RefName


class Rule(Entity, frozen=True, kw_only=True, rename="lower"):
    """One thing that is forbidden to everybody who is not a bypass actor."""

    type: RuleType


class Ruleset(Entity, frozen=True, kw_only=True, rename="lower"):
    """The body of `POST /repos/{owner}/{repo}/rulesets`: named as GitHub names it, not as our own JSON."""

    name: str
    target: str = "tag"
    enforcement: str = "active"
    bypass_actors: tuple[BypassActor, ...] = ()
    conditions: Conditions
    rules: tuple[Rule, ...]


def rulesets(settings: Settings) -> tuple[Ruleset, ...]:
    """The ruleset of versions and states, and the one of environment tags.

    UsageError if the settings don't say who writes environment tags: a ruleset without that actor would
    stop every deployment.
    """
    if settings.tag_writer is None:
        raise UsageError(
            "The setting tagWriter is missing: a ruleset has to know who may move environment tags.",
            details=[
                "app:ID: a GitHub App of yours (Contents: write), on the repository, and nobody else.",
                "deploy-key: quicker to make, and weaker: every deploy key of the repository that may write.",
            ],
            next_step="echo 'tagWriter: app:ID' >> ci_tasks.yaml  # or: 'tagWriter: deploy-key'",
        )
    return immutable(), environments(settings.environments, _actor(settings.tag_writer))


def immutable() -> Ruleset:
    """Versions and states: anybody who may push creates them, nobody moves or deletes them.

    The pattern asks for two dots, which no environment's name has, and which `v1`, a tag that many projects
    move, has not either.
    """
    return Ruleset(
        name=IMMUTABLE_NAME,
        conditions=Conditions(ref_name=RefName(include=_everywhere(_VERSION))),
        rules=(Rule(type=RuleType.UPDATE), Rule(type=RuleType.DELETION)),
    )


def environments(names: tuple[str, ...], writer: BypassActor) -> Ruleset:
    """Environment tags of every subproject: the writer alone creates, moves and deletes them."""
    include = tuple(pattern for name in names for pattern in _everywhere(name))
    return Ruleset(
        name=ENVIRONMENT_NAME,
        bypass_actors=(writer,),
        conditions=Conditions(ref_name=RefName(include=include)),
        rules=tuple(Rule(type=each) for each in RuleType),
    )


def documents(wanted: tuple[Ruleset, ...]) -> str:
    """The rulesets as JSON documents, one below the other, as the API takes them and as jq reads them."""
    return "\n".join(to_json(each, indent=2).decode() for each in wanted)


def _everywhere(leaf: str) -> tuple[str, str]:
    """A tag of the root project, and of every subproject.

    GitHub matches with Ruby's File.fnmatch and FNM_PATHNAME: `*` stops at a slash, `**/` is any number of
    folders. Ruby's "any number" includes none; the first pattern is there for whoever reads it otherwise.
    """
    return f"refs/tags/{leaf}", f"refs/tags/**/{leaf}"


def _actor(writer: str) -> BypassActor:
    """The actor that the setting names; the settings have checked its form."""
    kind, _, number = writer.partition(":")
    if kind == "app":
        return BypassActor(actor_id=int(number), actor_type=ActorType.INTEGRATION)
    return BypassActor(actor_id=None, actor_type=ActorType.DEPLOY_KEY)
