"""What the model knows of versions, of records, and of one environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True)
class Name:
    """A version's name; the order is that of Semantic Versioning."""

    text: str

    @property
    def is_release(self) -> bool:
        return "-" not in self.text

    @cached_property
    def order(self) -> tuple[tuple[int, ...], bool, str]:
        """A release comes after its pre-releases."""
        numbers, _, label = self.text.removeprefix("v").partition("-")
        return tuple(map(int, numbers.split("."))), self.is_release, label


@dataclass
class Version:
    """A version: its commit, and the states that somebody gave to it."""

    commit: str
    states: set[str] = field(default_factory=set)

    @property
    def is_bad(self) -> bool:
        return bool(self.states & {"unstable", "deprecated"})


@dataclass(frozen=True)
class Record:
    """What became of one attempt in one region."""

    region: str
    version: str
    status: str
    kind: str
    scripts_started: bool = True

    @property
    def is_success(self) -> bool:
        return self.status == "SUCCESS"


@dataclass
class Live:
    """What runs in a region; `ran`: by scripts, and not by an assignment."""

    version: str
    commit: str
    ran: bool = True


@dataclass
class Claim:
    """What a process that was killed has left behind."""

    regions: tuple[str, ...]
    version: str
    kind: str


@dataclass
class Place:
    """An environment: what its tag should say."""

    regions: tuple[str, ...]
    exists: bool = False
    target: str = ""
    is_settled: bool = False
    moved_to: str | None = None
    claims: list[Claim] = field(default_factory=list)
    live: dict[str, Live] = field(default_factory=dict)
    uncertain: set[str] = field(default_factory=set)
    closed: list[Record] = field(default_factory=list)

    @property
    def held(self) -> set[str]:
        """The regions that nobody else may deploy to."""
        return {region for claim in self.claims for region in claim.regions}

    @property
    def stands_on(self) -> str:
        """The commit that the tag points to."""
        return self.moved_to or self.target

    def begin(self, commit: str) -> None:
        """The first record makes the tag, on the commit that is tried."""
        if not self.exists:
            self.exists, self.target = True, commit

    def close(self, record: Record, commit: str) -> None:
        """A record is closed for good."""
        self.closed.insert(0, record)
        if record.is_success:
            self.live[record.region] = Live(record.version, commit, ran=record.kind != "assign")
            self.uncertain.discard(record.region)
        elif record.scripts_started:
            self.uncertain.add(record.region)

    def settle(self, *, confirms: bool = False) -> None:
        """The target follows once all regions have one commit; a tag that was moved stays till then.

        `confirms`: something succeeded in this step, or was assigned.
        """
        commits = {self.live[region].commit if region in self.live else None for region in self.regions}
        before = self.target
        self.is_settled = len(commits) == 1 and None not in commits
        if self.is_settled:
            self.target = self.live[self.regions[0]].commit
        if self.target != before or (confirms and self.is_settled):
            self.moved_to = None

    def past(self, region: str) -> list[Record]:
        """What happened in a region, oldest first, as far as it changed something."""
        return [
            record
            for record in reversed(self.closed)
            if record.region == region and (record.is_success or record.scripts_started)
        ]
