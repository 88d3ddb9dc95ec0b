"""What `deploy.diff` shows: all that would be other than it is now."""

from __future__ import annotations

from enum import Enum

from ci_tasks.core.entity import Entity


class CommitSide(Enum):
    """Whether a commit would come or go."""

    COMES = "+"
    GOES = "-"


class ChangeKind(Enum):
    """What would become of a thing that has a name and no value that is shown."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class CommitLine(Entity, frozen=True, kw_only=True):
    """A commit that touches the subproject; `description` is its first line."""

    commit_sha: str
    side: CommitSide
    description: str


class ValueChange(Entity, frozen=True, kw_only=True):
    """A value of the configuration as text, JSON where it is none; null where it is not there.

    What looks like a secret is `***`.
    """

    key: str
    before: str | None
    after: str | None


class NamedChange(Entity, frozen=True, kw_only=True):
    """A file, or one key of an encrypted file (null: the whole of it), and what became of it."""

    path: str
    key: str | None
    change: ChangeKind


class RegionDifference(Entity, frozen=True, kw_only=True):
    """One region (null: the environment has none); `live` is null where nothing runs yet.

    Commits that come stand before those that go, the newest first.
    """

    region: str | None
    live_version: str | None
    live_commit_sha: str | None
    is_uncertain: bool
    commits: tuple[CommitLine, ...]
    values: tuple[ValueChange, ...]


class Difference(Entity, frozen=True, kw_only=True):
    """What `inv deploy.diff --json` prints: `version` against what is live. Names of secrets, never a value.

    `source` is the environment that the version runs in, null where it was typed. `secrets` and `scripts`
    are those of the checkout against those of the last deployment; `notices` say what could not be compared.
    """

    environment: str
    environment_tag: str
    subproject: str | None
    source: str | None
    version: str
    version_tag: str
    commit_sha: str
    regions: tuple[RegionDifference, ...]
    secrets: tuple[NamedChange, ...]
    scripts: tuple[NamedChange, ...]
    notices: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """True where nothing at all would be other than it is."""
        return not (self.secrets or self.scripts or self.notices) and not any(
            each.commits or each.values for each in self.regions
        )
