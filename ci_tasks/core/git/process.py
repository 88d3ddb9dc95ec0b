"""Starts git, always the same way: through GitPython, in an environment of our own, with a time-out."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import selectors
import shutil
import signal
import subprocess  # noqa: TID251 - GitPython hands out a Popen: PIPE and TimeoutExpired belong to it
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ci_tasks.core.errors import UnavailableError
from ci_tasks.core.process.running import forget, spawning

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

LOCAL_TIMEOUT = 60.0
NETWORK_TIMEOUT = 120.0
_GRACE = 2.0
_NAP = 0.2  # seconds between two questions whether to give up
_OLDEST = (2, 31)
SSH_SIGNATURES = (2, 34)
"""The first version of git that signs and verifies with ssh keys."""
_PIECE = 1 << 16

# How the user logs in and who he is. Every other GIT_* variable says which repository, index or configuration
# to use, or makes git run something: ours alone decide that.
_ADMITTED = frozenset(
    {
        "GIT_SSH",
        "GIT_SSH_COMMAND",
        "GIT_SSH_VARIANT",
        "GIT_ASKPASS",
        "GIT_SSL_CAINFO",
        "GIT_SSL_CAPATH",
        "GIT_COMMITTER_NAME",
        "GIT_COMMITTER_EMAIL",
        "GIT_AUTHOR_NAME",
        "GIT_AUTHOR_EMAIL",
    }
)
# What git tells its hooks of the objects and the index that it is about to accept.
_OF_HOOKS = (
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_QUARANTINE_PATH",
)
_FIXED = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_GRAFT_FILE": os.devnull,
    "LC_ALL": "C",
    "LANGUAGE": "C",
}
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "safe.bareRepository=explicit",
    "protocol.ext.allow=never",
    "core.fsmonitor=false",
    "core.warnAmbiguousRefs=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "color.ui=false",
    "color.push=false",
    "color.remote=false",
    "color.transport=false",
)
_ALWAYS = tuple(part for setting in _SETTINGS for part in ("-c", setting))


class GitAnswer(NamedTuple):
    """What one git process said; `status` is negative if a signal ended it."""

    status: int
    stdout: bytes
    stderr: str
    timed_out: bool = False


def hook_environment() -> dict[str, str]:
    """For the entry points of hooks: the variables that say what git is about to accept, to be handed on.

    No other command wants them: they lead away from the index and the objects of the repository itself.
    """
    given = {name: os.environ[name] for name in _OF_HOOKS if os.environ.get(name)}
    index = given.get("GIT_INDEX_FILE")
    return given if index is None else {**given, "GIT_INDEX_FILE": os.path.abspath(index)}  # noqa: PTH100 - it may be a link


class GitFailedError(Exception):
    """A git process whose output was streamed has ended badly; the caller says to people what it means."""

    def __init__(self, answer: GitAnswer) -> None:
        super().__init__(answer.stderr)
        self.answer = answer


def run_git(
    arguments: Sequence[str],
    *,
    at: Path,
    stdin: bytes = b"",
    timeout: float = LOCAL_TIMEOUT,
    environment: Mapping[str, str] | None = None,
    abandon: Callable[[], bool] | None = None,
) -> GitAnswer:
    """Run `git <arguments>` in the folder `at`; `timeout` in seconds, after which its whole group is ended.

    So it is, as if its time were up, once `abandon` says yes.
    A bad exit status is an answer, not an error. Raises UnavailableError if git is missing or too old.
    """
    return _run(
        arguments, at=at, stdin=stdin, timeout=timeout, environment=environment or {}, abandon=abandon
    )


def stream_git(
    arguments: Sequence[str],
    *,
    at: Path,
    stdin: bytes,
    timeout: float = LOCAL_TIMEOUT,
    environment: Mapping[str, str] | None = None,
) -> Generator[bytes, None, None]:
    """Run git and yield its output in pieces as it comes; `timeout` is for each piece.

    Memory does not grow with the output, and `stdin` is written as git reads: neither waits for the other.
    Raises GitFailedError for a bad end.
    """
    with _started(arguments, at=at, environment=environment or {}) as process:
        errors = Ends()
        for piece in _exchange(process, stdin, errors, timeout):
            if piece is None:
                raise UnavailableError(f"git gave no answer for {timeout:.0f} seconds.")
            if piece:
                yield piece
        status = process.wait(timeout)
        if status:
            raise GitFailedError(GitAnswer(status, b"", errors.text()))


def _run(
    arguments: Sequence[str],
    *,
    at: Path,
    stdin: bytes,
    timeout: float,
    environment: Mapping[str, str],
    abandon: Callable[[], bool] | None = None,
) -> GitAnswer:
    end = time.monotonic() + timeout
    output, errors = bytearray(), Ends()
    with (
        _started(arguments, at=at, environment=environment) as process,
        contextlib.closing(_exchange(process, stdin, errors, _NAP)) as pieces,
    ):
        timed_out = False
        if not _listen(
            process, pieces, output, lambda: time.monotonic() >= end or (abandon is not None and abandon())
        ):
            # If git itself is gone, something that it left behind holds the pipe: its answer is complete.
            timed_out = process.poll() is None
            _end_group(process)
            grace = time.monotonic() + _GRACE  # a process in a session of its own may hold the pipe
            _listen(process, pieces, output, lambda: time.monotonic() >= grace)
        return GitAnswer(process.returncode, bytes(output), errors.text(), timed_out)


def _listen(
    process: subprocess.Popen[bytes],
    pieces: Iterator[bytes | None],
    output: bytearray,
    is_over: Callable[[], bool],
) -> bool:
    """Collect stdout until git has ended; False if `is_over` said yes before that."""
    for piece in pieces:
        output += piece or b""
        if is_over():
            return False
    while process.poll() is None:
        if is_over():
            return False
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_NAP)
    return True


class Ends:
    """The first and the last 64 KiB of what a server may make as long as it likes."""

    def __init__(self) -> None:
        self._first = bytearray()
        self._last = bytearray()
        self._size = 0

    def add(self, piece: bytes) -> None:
        """Take what came next."""
        room = _PIECE - len(self._first)
        self._first += piece[:room]
        self._last += piece[room:]
        self._size += len(piece)
        if len(self._last) > 2 * _PIECE:
            del self._last[:-_PIECE]

    def text(self) -> str:
        """What was kept, with a line for what was not."""
        if self._size == len(self._first) + len(self._last):
            return (self._first + self._last).decode("utf-8", "replace")
        # The last part starts with a whole line: by its start one sees whether git or the server said it.
        last = self._last[-_PIECE:].partition(b"\n")[2]
        left_out = self._size - len(self._first) - len(last)
        middle = f"\n[{left_out} bytes left out]\n".encode()
        return (self._first + middle + last).decode("utf-8", "replace")


@contextlib.contextmanager
def _started(
    arguments: Sequence[str], *, at: Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A git process in a session of its own: Ctrl-C at the terminal does not hit it in mid-push."""
    ours = {**_FIXED, **environment}
    # -C fails loudly for a folder that is not there; GitPython's own working folder would be ignored.
    command = [*_without_inherited(ours), _git_path(), "-C", str(at), *_ALWAYS, *arguments]
    git = _gitpython()
    with spawning() as register:
        try:
            running = git().execute(
                command,
                istream=subprocess.PIPE,
                as_process=True,
                env=ours,
                shell=False,
                start_new_session=True,
            )
        except OSError as error:  # no memory or process left, or not executable
            raise UnavailableError(f"git could not be started: {error.strerror}.") from None
        process: subprocess.Popen[bytes] = running.proc
        register(process.pid)
    try:
        yield process
    finally:
        if process.poll() is None:  # Ctrl-C here, a time-out, or a reader that wants no more
            _end_group(process)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        forget(process.pid)


def _exchange(
    process: subprocess.Popen[bytes], stdin: bytes, errors: Ends, patience: float
) -> Generator[bytes | None, None, None]:
    """Write `stdin` as git reads it, collect stderr, yield stdout.

    Yields None when nothing came for `patience` seconds, and no bytes when something came on stderr: the
    reader is to see that time passes.
    """
    source, output, error = process.stdin, process.stdout, process.stderr
    if source is None or output is None or error is None:
        raise AssertionError("git is always started with three pipes")
    waiting = memoryview(stdin)
    os.set_blocking(source.fileno(), False)
    with selectors.DefaultSelector() as selector:
        selector.register(source, selectors.EVENT_WRITE)
        selector.register(output, selectors.EVENT_READ)
        selector.register(error, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(patience)
            if not ready:
                yield None
            for key, _ in ready:
                if key.fileobj is source:
                    waiting = _feed(source.fileno(), waiting)
                    if not waiting:
                        selector.unregister(source)
                        source.close()
                    continue
                piece = os.read(key.fd, _PIECE)
                if not piece:
                    selector.unregister(key.fileobj)
                elif key.fileobj is error:
                    errors.add(piece)
                    yield b""
                else:
                    yield piece


def _feed(descriptor: int, waiting: memoryview) -> memoryview:
    try:
        return waiting[os.write(descriptor, waiting[:_PIECE]) :] if waiting else waiting
    except BlockingIOError:
        return waiting
    except BrokenPipeError:  # git has ended; its status says why
        return waiting[:0]


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """TERM first: git then removes its lock files. KILL for what is left."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)


def _without_inherited(ours: Mapping[str, str]) -> list[str]:
    """The start of a command line that takes inherited GIT_* variables away; empty where there are none."""
    foreign = sorted(n for n in os.environ if n.startswith("GIT_") and n not in _ADMITTED and n not in ours)
    if not foreign:
        return []
    env = "/usr/bin/env" if Path("/usr/bin/env").exists() else "env"
    return [env, *(part for name in foreign for part in ("-u", name))]


def _git_path() -> str:
    found = shutil.which("git")
    if found is None:
        raise UnavailableError("git is not installed, or not on the PATH.", next_step="git --version")
    return found


def require_version(wanted: tuple[int, int] = _OLDEST, why: str | None = None) -> None:
    """Raise UnavailableError where git is broken or older than `wanted`; `why` goes on after "is needed ".

    Asked when git did not answer as expected, which one that is too old never does: the first question that
    is put to it takes an option that came with the oldest version we can use.
    """
    path = _git_path()
    found = _version_of(path)
    if found < wanted:
        raise _too_old(path, found, wanted, why)


@functools.lru_cache(maxsize=8)
def _version_of(path: str) -> tuple[int, int]:
    answer = _run(["version"], at=Path("/"), stdin=b"", timeout=LOCAL_TIMEOUT, environment={})
    numbers = re.match(rb"git version (\d+)\.(\d+)", answer.stdout)
    if answer.status or not numbers:
        said = (answer.stderr or answer.stdout.decode("utf-8", "replace")).strip()
        raise UnavailableError(
            f"{path} does not work.", details=said.splitlines()[:5], next_step=f"{path} --version"
        )
    return int(numbers[1]), int(numbers[2])


def _too_old(path: str, found: tuple[int, int], wanted: tuple[int, int], why: str | None) -> UnavailableError:
    number = ".".join(map(str, wanted))
    reasons = [
        f"git {number} is the first that takes settings from the environment, so that no token",
        "stands in the list of processes, and that fetches all of several tags or none.",
    ]
    return UnavailableError(
        f"git {found[0]}.{found[1]} ({path}) is too old: git {number} or newer is needed"
        f"{f' {why}' if why else ''}.",
        details=[] if why else reasons,
        next_step="git --version",
    )


@functools.lru_cache(maxsize=1)
def _gitpython() -> Any:
    """GitPython's Git class; its import starts git, so whether there is one is looked at before."""
    name = "GIT_PYTHON_REFRESH"
    before = os.environ.get(name)
    os.environ[name] = "quiet"
    try:
        with spawning():  # the import starts git, and has reaped it when it is done
            from git.cmd import Git  # noqa: PLC0415, TID251 - this is the gateway; its import costs 75 ms
    except (ImportError, OSError) as error:
        raise UnavailableError(
            f"git does not work with GitPython: {error}", next_step="python -m pip install GitPython"
        ) from None
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
    return Git
