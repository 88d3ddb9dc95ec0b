"""Pushes as compare-and-swap: the values, what the answers mean, and how an unknown outcome becomes known."""

from __future__ import annotations

import random
import re
import time
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING

from ci_tasks.core.errors import UnavailableError
from ci_tasks.core.failpoint import failpoint
from ci_tasks.core.git.failures import before_announcement, kind_of, spoken, unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ci_tasks.core.git.process import GitAnswer

_FULL_REF = re.compile(r"refs/[^\x00-\x20\x7f~^:?*\[\\]+")
_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_DONE = frozenset(" *+-=")
_SETTINGS = (
    "push.followTags=false",
    "push.gpgSign=false",
    "push.recurseSubmodules=no",
    "push.autoSetupRemote=false",
    "push.useForceIfIncludes=false",
    "push.negotiate=false",
    "push.pushOption=",
)
_PUSH = (
    *(part for setting in _SETTINGS for part in ("-c", setting)),
    "push",
    "--atomic",
    "--porcelain",
    "--no-verify",
    "--no-follow-tags",
)
_DECLINED = re.compile(
    r"hook declined|push declined|protected branch|protected tag|repository rule violations|prohibited"
    r"|deny updating a hidden ref|denying|\bGH006\b|\bGH013\b"
)
_CLASH = re.compile(
    r"' exists; cannot create '|non-empty directory '.*' blocking reference"
    r"|cannot process '.*' and '.*' at the same time|dst refspec \S+ matches more than one"
)
# git matches the tails of the remote's names; it stops here before it sends anything.
_AMBIGUOUS = re.compile(r"dst refspec (\S+) matches more than one")
_LOCKED = re.compile(r"Unable to create '(?P<path>[^']+\.lock)': File exists")
_RACE = re.compile(r"stale info|is at [0-9a-f]{40,64} but expected [0-9a-f]{40,64}|reference already exists")
_DOUBTFUL_TRIES = 3
_BEGINNINGS = 3
_BEGINS_WITHIN = 20.0  # seconds; git may have waited for minutes before it gave up
_LONGEST_PAUSE = 8.0
_NAP = 0.1


class NotBegunError(UnavailableError):
    """A push ended before anything was sent, by what may be over in a moment."""


class PushResult(Enum):
    """What became of a push."""

    APPLIED = "APPLIED"
    NOT_APPLIED = "NOT_APPLIED"
    UNKNOWN = "UNKNOWN"


class NotApplied(Enum):
    """Why a push was not applied."""

    RACE = "RACE"
    STALE_LOCK = "STALE_LOCK"
    NAME_CLASH = "NAME_CLASH"
    DECLINED = "DECLINED"
    OTHER = "OTHER"


@dataclass(frozen=True, kw_only=True)
class RefUpdate:
    """One ref's move: `ref` in full; `new` None deletes it; `old` None means that it must not exist yet."""

    ref: str
    new: str | None
    old: str | None

    def __post_init__(self) -> None:
        """A mistake here is one of the caller: names and ids come out of a grammar or out of git."""
        if not _FULL_REF.fullmatch(self.ref) or not all(
            _ID.fullmatch(i) for i in (self.new, self.old) if i is not None
        ):
            raise ValueError(f"not a move of a ref: {self}")


@dataclass(frozen=True, kw_only=True)
class PushOutcome:
    """What became of all updates of a push; `message` is what git and the server said.

    `retried`: an earlier attempt of the same push got no answer. NOT_APPLIED then means that the refs hold
    something else now; whether ours was there in between, only what is written in them can tell.
    """

    result: PushResult
    reason: NotApplied | None = None
    message: str = ""
    retried: bool = False


@dataclass(frozen=True, kw_only=True)
class RefStatus:
    """One line of `git push --porcelain`: flag, ref and what follows ("[rejected] (stale info)")."""

    flag: str
    ref: str
    text: str


def push_command(url: str, updates: Sequence[RefUpdate]) -> list[str]:
    """Arguments of the one kind of push there is: full names, each with the value that it must have now."""
    if not updates:
        raise ValueError("a push without updates would push what the user's configuration says")
    leases = [f"--force-with-lease={update.ref}:{update.old or ''}" for update in updates]
    return [*_PUSH, *leases, "--", url, *(f"{update.new or ''}:{update.ref}" for update in updates)]


def parse_porcelain(stdout: str) -> tuple[RefStatus, ...]:
    """The lines of `git push --porcelain` that speak of a ref (git-push, "Output")."""
    found = []
    for line in stdout.splitlines():
        parts = line.split("\t", 2)
        if len(parts) == 3 and len(parts[0]) == 1 and ":" in parts[1]:  # noqa: PLR2004 - flag, refs, summary
            found.append(RefStatus(flag=parts[0], ref=parts[1].split(":", 1)[1], text=parts[2]))
    return tuple(found)


def outcome_of(answer: GitAnswer, updates: Sequence[RefUpdate], *, address: str) -> PushOutcome:
    """What a finished `git push` means. Raises UnavailableError if it ended before anything was sent.

    It is a NotBegunError where the same push may succeed a moment later.
    """
    lines = parse_porcelain(answer.stdout.decode("utf-8", "replace"))
    status = {line.ref: line for line in lines}
    flags = {status[update.ref].flag if update.ref in status else None for update in updates}
    if answer.status == 0 and flags <= _DONE:
        return PushOutcome(result=PushResult.APPLIED, message=_message(answer, lines))
    answered = not any("[remote failure]" in line.text for line in lines)
    if answer.status == 1 and "!" in flags and flags <= {"!", "="} and answered:
        refused = "\n".join(line.text for line in lines if line.flag == "!")
        return not_applied(refused, answer.stderr, message=_message(answer, lines))
    ambiguous = _AMBIGUOUS.search(answer.stderr)
    if ambiguous and not lines:
        return not_applied(
            "", answer.stderr, message=f"{_message(answer, lines)}\n{_in_the_way(ambiguous[1])}"
        )
    if not answer.timed_out and answer.status > 0 and not lines and before_announcement(answer.stderr):
        error = unreachable(address, answer.stderr, doing="push to")
        if kind_of(answer.stderr).may_pass:
            raise NotBegunError(
                error.what, unchanged=error.unchanged, next_step=error.next_step, details=error.details
            )
        raise error
    said = _message(answer, lines) or f"git ended with status {answer.status}"
    return PushOutcome(
        result=PushResult.UNKNOWN, message=f"git timed out\n{said}" if answer.timed_out else said
    )


def not_applied(refused: str, stderr: str, *, message: str) -> PushOutcome:
    """Tell a lost race from what looks like one; `refused` are git's own words, `stderr` has the server's."""
    lock = _LOCKED.search(stderr)
    # A hook's own words stand in stderr too, so a refusal by a hook is known by git's words first.
    if _DECLINED.search(refused):
        reason = NotApplied.DECLINED
    elif _RACE.search(refused):
        reason = NotApplied.RACE
    elif _CLASH.search(stderr):
        reason = NotApplied.NAME_CLASH
    elif lock:
        reason = NotApplied.STALE_LOCK
        message += (
            "\nA lock file is in the way, left by a git process that crashed there."
            f"\nWhere the tags are, when no git process runs: rm '{lock['path']}'"
        )
    elif _RACE.search(stderr):
        reason = NotApplied.RACE
    elif _DECLINED.search(stderr):
        reason = NotApplied.DECLINED
    else:
        reason = NotApplied.OTHER
    return PushOutcome(result=PushResult.NOT_APPLIED, reason=reason, message=message)


def until_known(
    attempt: Callable[[], PushOutcome],
    *,
    tries: int,
    stop: Callable[[], bool],
    landed: Callable[[], bool],
) -> PushOutcome:
    """Make the same push again until its outcome is known, at most `tries` times.

    `landed` reads the refs and says whether all have the values that the push would give them.
    A push that could not begin is tried again at most twice, and not after 20 s: then its UnavailableError is
    passed on, unless an earlier attempt got no answer: it is one more missing answer then.
    """
    tally = _Tally()
    last = PushOutcome(result=PushResult.UNKNOWN, message="Nothing was tried.")
    for number in range(tries):
        if number and not _paused(number, stop):
            break
        try:
            last = _answer(attempt, tally)
        except NotBegunError as error:
            tally.failed_to_begin(error)
            continue
        if tally.is_final(last):
            last = _seen(last, landed, retried=tally.unknown)
            if last.result is not PushResult.UNKNOWN:
                return last
    if tally.not_begun is not None:
        raise tally.not_begun
    return replace(last, result=PushResult.UNKNOWN, reason=None, retried=True) if tally.unknown else last


@dataclass
class _Tally:
    """What the attempts have told so far."""

    unknown: bool = False
    doubts: int = 0
    beginnings: int = 0
    began: float = field(default_factory=time.monotonic)
    not_begun: NotBegunError | None = None

    def failed_to_begin(self, error: NotBegunError) -> None:
        """Note that the last attempt did not begin; raises the error where that was the last time."""
        self.beginnings += 1
        self.not_begun = error
        if self.beginnings == _BEGINNINGS or time.monotonic() - self.began > _BEGINS_WITHIN:
            raise error

    def is_final(self, outcome: PushOutcome) -> bool:
        """True where nothing would be learnt from another attempt."""
        self.not_begun = None
        if outcome.result is PushResult.UNKNOWN:
            self.unknown = True
            return False
        if outcome.reason in {NotApplied.STALE_LOCK, NotApplied.OTHER}:
            # The lock of a writer at work goes away, and a race without words becomes "stale info".
            self.doubts += 1
            return self.doubts == _DOUBTFUL_TRIES and not self.unknown
        # A refusal of this attempt says nothing of one that got no answer: that may be on its way still.
        return outcome.reason in {None, NotApplied.RACE} or not self.unknown


def _answer(attempt: Callable[[], PushOutcome], tally: _Tally) -> PushOutcome:
    try:
        failpoint("before_push")
        outcome = attempt()
        failpoint("after_push")
    except UnavailableError as error:
        if not tally.unknown:
            raise
        return PushOutcome(result=PushResult.UNKNOWN, message="\n".join([error.what, *error.details]))
    return outcome


def _seen(outcome: PushOutcome, landed: Callable[[], bool], *, retried: bool) -> PushOutcome:
    """A final outcome, looked at once more: a race may have been lost to the very same push.

    One without an answer landed late, or curl has sent a request twice because its connection died. Nobody
    else makes our tag object; and a deletion never answers "=". Any other value is final: a push of ours
    that is still under way will fail, for the old value is gone.
    """
    if outcome.reason is not NotApplied.RACE:
        return replace(outcome, retried=retried)
    try:
        if landed():
            return PushOutcome(result=PushResult.APPLIED, message=outcome.message, retried=retried)
    except UnavailableError as error:
        if retried:
            return PushOutcome(result=PushResult.UNKNOWN, message=error.what, retried=True)
    return replace(outcome, retried=retried)


def _paused(number: int, stop: Callable[[], bool]) -> bool:
    """Wait before attempt `number`, longer each time; False as soon as the caller wants to stop."""
    pause = min(_LONGEST_PAUSE, 0.5 * 2 ** (number - 1))
    end = time.monotonic() + random.uniform(pause / 2, pause)  # noqa: S311 - spreads writers, guards no secret
    while not stop():
        left = end - time.monotonic()
        if left <= 0:
            return True
        time.sleep(min(left, _NAP))
    return False


def _in_the_way(ref: str) -> str:
    return (
        f"The remote has another ref whose name ends in {ref}, so git can't tell them apart: delete that one."
    )


def _message(answer: GitAnswer, lines: Sequence[RefStatus]) -> str:
    refused = [f"{line.ref}: {line.text}" for line in lines if line.flag == "!"]
    return "\n".join(spoken("\n".join([*refused, answer.stderr])))
