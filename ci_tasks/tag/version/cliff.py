"""git-cliff: reads commit messages by the rules of Conventional Commits (https://git-cliff.org)."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import msgspec

from ci_tasks.core.control_characters import without_controls
from ci_tasks.core.entity import from_json
from ci_tasks.core.errors import UnavailableError, UsageError
from ci_tasks.core.git.message_repository import write_message_repository
from ci_tasks.core.process.running import capture, child_environment
from ci_tasks.tag.version.change import Change, change

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

INSTALL = "pip install 'git-cliff>=2.14,<3'"
_TIMEOUT = 120.0  # seconds for one batch
_BATCH_COMMITS, _BATCH_CHARACTERS = 2000, 1 << 19  # so that the answer stays below what `capture` keeps
_LONGEST = 1 << 16  # characters that are read of one message
_OURS_ALONE = ("GITHUB_", "RUNNER_")
# Nothing in it runs a command, drops a commit or asks a server; a configuration file of the repository could.
_CONFIGURATION = """\
[changelog]
body = ""
[git]
conventional_commits = true
require_conventional = false
filter_unconventional = false
filter_commits = false
split_commits = false
protect_breaking_commits = false
commit_preprocessors = []
commit_parsers = []
link_parsers = []
"""


class _Author(msgspec.Struct):
    name: str


class _Commit(msgspec.Struct):
    """What we read of a commit in git-cliff's context; the rest is left alone."""

    author: _Author
    message: str
    conventional: bool
    group: str | None = None
    scope: str | None = None
    breaking: bool = False
    breaking_description: str | None = None


class _Release(msgspec.Struct):
    commits: list[_Commit]


class Cliff:
    """The program, found beside the interpreter or on the PATH."""

    def __init__(self, program: Path) -> None:
        self._program = program

    @classmethod
    def find(cls) -> Cliff:
        """Raises UnavailableError with the line that installs it."""
        beside = Path(sys.executable).parent / "git-cliff"
        found = str(beside) if os.access(beside, os.X_OK) else shutil.which("git-cliff")
        if found is None:
            raise UnavailableError(
                "git-cliff is not installed: it reads the commits that a release is made of.",
                unchanged="Nothing was changed.",
                next_step=INSTALL,
            )
        return cls(Path(found))

    def changes(self, messages: Iterable[tuple[str, str]]) -> Iterator[Change]:
        """The change of each commit (id, message), in the order given."""
        for batch in _batches(messages):
            read = self._read(batch)
            read |= self._headers(batch, read)
            for commit, message in batch:
                found = read[commit]
                yield change(
                    commit,
                    message,
                    kind=found.group if found.conventional else None,
                    scope=found.scope,
                    description=found.message.partition("\n")[0],
                    breaking=_breaking(found),
                )

    def _headers(self, batch: list[tuple[str, str]], read: dict[str, _Commit]) -> dict[str, _Commit]:
        """What git-cliff says of header lines alone where it refused a message: an empty footer does it."""
        headers = [
            (commit, header)
            for commit, message in batch
            for header, _, rest in [message.partition("\n")]
            if rest and ":" in header and not read[commit].conventional
        ]
        return self._read(headers) if headers else {}

    def _read(self, batch: list[tuple[str, str]]) -> dict[str, _Commit]:
        """What git-cliff says of each commit, by its id; all of them or UnavailableError."""
        with TemporaryDirectory(prefix="ci-tasks-") as name:
            folder = Path(name).resolve()
            configuration, repository = folder / "cliff.toml", folder / "messages.git"
            configuration.write_text(_CONFIGURATION, encoding="utf-8")
            repository.mkdir()
            write_message_repository(repository, batch)
            answer = capture(
                [
                    *(str(self._program), "--offline", "--no-exec", "--context"),
                    *("--config", str(configuration), "--repository", str(repository)),
                ],
                cwd=folder,
                env=_environment(folder),
                timeout=_TIMEOUT,
            )
        if answer.status or answer.timed_out or answer.truncated:
            said = "it took too long" if answer.timed_out else f"it ended with status {answer.status}"
            lines = without_controls(answer.stderr.decode("utf-8", "replace")).splitlines()
            raise _failure(said, lines[-5:])
        try:
            releases = from_json(answer.stdout, list[_Release], what="The answer of git-cliff")
        except UsageError as error:
            raise _failure("its answer can't be read", [error.what]) from None
        found = {commit.author.name: commit for release in releases for commit in release.commits}
        if found.keys() != {commit for commit, _ in batch}:
            raise _failure("it left commits out", [])
        return found


def _breaking(found: _Commit) -> str | None:
    """What breaks; empty where the header's `!` alone says so: git-cliff then repeats the description."""
    if not found.breaking:
        return None
    said = found.breaking_description or ""
    return "" if said == found.message else said


def _batches(messages: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    batch: list[tuple[str, str]] = []
    size = 0
    for commit, message in messages:
        text = _normal(message)
        if batch and (len(batch) == _BATCH_COMMITS or size + len(text) > _BATCH_CHARACTERS):
            yield batch
            batch, size = [], 0
        batch.append((commit, text))
        size += len(text)
    if batch:
        yield batch


def _normal(message: str) -> str:
    """The message with a header of one line, as git-cliff wants it: others write what follows right below."""
    text = without_controls(message[:_LONGEST]).strip()
    header, _, rest = text.partition("\n")
    return f"{header.rstrip()}\n\n{rest.lstrip(chr(10))}" if rest else header


def _environment(folder: Path) -> dict[str, str]:
    """An environment without the user's configuration, and without names of repositories to ask about."""
    home = str(folder)
    built = child_environment({"HOME": home, "XDG_CONFIG_HOME": home, "NO_COLOR": "1"})
    return {name: value for name, value in built.items() if not name.startswith(_OURS_ALONE)}


def _failure(said: str, details: list[str]) -> UnavailableError:
    return UnavailableError(
        f"git-cliff could not read the commits: {said}.",
        unchanged="Nothing was changed.",
        details=details,
        next_step=INSTALL,
    )
