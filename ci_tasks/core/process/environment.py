"""What a child is started with: its environment, and why a program can't be started."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from ci_tasks.core.errors import CiTasksError, UnavailableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NOTHING_RUN = "Nothing was run."
_PASSED = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "TERM", "TMPDIR"),
    *("CI", "GITHUB_*", "RUNNER_*"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"),
)
# Faults of the machine at this moment, not of the program.
_PASSING = {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ETXTBSY}
_FIRST_LINE = 256  # bytes that Linux reads of a file to find its `#!` line


def child_environment(extra: Mapping[str, str], *, pass_patterns: Sequence[str] = ()) -> dict[str, str]:
    """The environment of a child: built from what every program needs, not inherited.

    `pass_patterns` (the setting `passEnvironment`, as in `DOCKER_*`) lets more of ours through; they are
    the user's word, so they may name a token. `extra` wins over both.
    """
    built = {
        name: value
        for name, value in os.environ.items()
        if (_matches(name, _PASSED) and "TOKEN" not in name) or _matches(name, pass_patterns)
    }
    return {"PATH": os.defpath, **built, **extra}


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def check_first_line(program: str, *, cwd: Path, env: Mapping[str, str]) -> None:
    r"""Refuse a script whose `#!` line would lead to a message that nobody understands.

    `#!/usr/bin/env bash` with CR LF starts `env`, which then looks for "bash\r"; so this can't wait for the
    start to fail. Raises UsageError.
    """
    if "/" not in program:
        return
    line = _first_bytes(cwd / program).partition(b"\n")
    if not line[0].startswith(b"#!"):
        return
    if line[0].endswith(b"\r"):
        raise UsageError(
            f"{program}: the first line ends in CR LF (Windows line ends).",
            unchanged=NOTHING_RUN,
            next_step=f"sed -i 's/\\r$//' {shlex.quote(program)}",
            details=["Convert it with the line below; `*.sh text eol=lf` in .gitattributes keeps it so."],
        )
    words = line[0][2:].decode("utf-8", "replace").split()
    if words and words[0].startswith("/") and not os.access(words[0], os.X_OK):
        fault = "can't be started" if Path(words[0]).exists() else "does not exist"
        raise UsageError(
            f"{program}: its first line asks for {words[0]!r}, which {fault}.",
            unchanged=NOTHING_RUN,
            next_step=f"head -n 1 {shlex.quote(program)}",
        )
    wanted = _wanted_by_env(words)
    if wanted and shutil.which(wanted, path=env.get("PATH", os.defpath)) is None:
        raise UsageError(
            f"{program}: its first line asks for {wanted!r}, which is not on the PATH.",
            unchanged=NOTHING_RUN,
            next_step=f"command -v {shlex.quote(wanted)}",
        )


def _wanted_by_env(words: list[str]) -> str | None:
    """The program that `#!/usr/bin/env [-S] [NAME=value] PROGRAM` asks for; None where that isn't plain."""
    if not words or Path(words[0]).name != "env":
        return None
    wanted = next((word for word in words[1:] if word != "-S" and "=" not in word), "-")
    return None if wanted.startswith("-") else wanted


def start_error(
    program: str, *, cwd: Path, env: Mapping[str, str], error: OSError | ValueError
) -> CiTasksError:
    """The error for a program that the kernel, or Python on the way to it, would not start."""
    if not isinstance(error, OSError):
        return _usage(
            f"{program}: an argument or variable holds a NUL byte, or a variable's name is not one."
        )
    if not cwd.is_dir():
        return _usage(f"{program} can't be started: there is no folder {cwd}.")
    if error.errno == errno.E2BIG:
        return _usage(f"{program}: its arguments and environment are larger than this system allows.")
    if "/" in program and error.errno not in _PASSING:
        return _file_error(program, cwd / program, error)
    if error.errno not in _PASSING and shutil.which(program, path=env.get("PATH", os.defpath)) is None:
        what, look = f"{program} is not installed, or not on the PATH.", f"command -v {shlex.quote(program)}"
        return UnavailableError(what, unchanged=NOTHING_RUN, next_step=look)
    return UnavailableError(f"{program} can't be started just now: {error.strerror}.", unchanged=NOTHING_RUN)


def _file_error(program: str, path: Path, error: OSError) -> UsageError:
    """What is wrong with a program that was named by its path."""
    name = shlex.quote(program)
    if not path.exists():
        return _usage(f"{program} does not exist.", f"ls -l {shlex.quote(str(Path(program).parent))}")
    if path.is_dir():
        return _usage(f"{program} is a folder, not a program.", f"ls -l {name}")
    if not os.access(path, os.X_OK):
        return _usage(f"{program} is not executable.", f"chmod +x {name}")
    head = _first_bytes(path)
    if not head:
        return _usage(f"{program} is empty.", f"ls -l {name}")
    fault = _content_fault(head, error)
    return _usage(f"{program}{fault}.", f"head -n 1 {name}")


def _content_fault(head: bytes, error: OSError) -> str:
    """Why the kernel can make nothing of a file that begins like this."""
    if head.startswith(b"#!"):
        words = head.partition(b"\n")[0][2:].decode("utf-8", "replace").split()
        if not words:
            return ": its first line names no program after '#!'"
        fault = f"can't be started ({error.strerror})" if Path(words[0]).exists() else "does not exist"
        return f": its first line asks for {words[0]!r}, which {fault}"
    if head.startswith(b"\xef\xbb\xbf"):
        return " begins with a byte order mark; '#!' must be its first two characters"
    if error.errno != errno.ENOEXEC:
        return f" can't be started ({error.strerror})"
    if b"\0" in head:
        return " is not a program for this machine (exec format error)"
    return " has no '#!' line that says what runs it (exec format error)"


def _usage(what: str, next_step: str | None = None) -> UsageError:
    return UsageError(what, unchanged=NOTHING_RUN, next_step=next_step)


def _first_bytes(path: Path) -> bytes:
    """The beginning of a regular file; empty for anything else (a fifo would make us wait)."""
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(_FIRST_LINE)
    except OSError:
        return b""
