"""What the server's hook knows of the settings: `ci-tasks.*` in the configuration of its repository."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci_tasks.core.errors import RefusedError, UnavailableError
from ci_tasks.core.files import write_atomically
from ci_tasks.core.git.failures import local_failure, spoken
from ci_tasks.core.git.process import GitAnswer, run_git
from ci_tasks.core.signing import AllowedSigners, SigningFormat, signer_files

if TYPE_CHECKING:
    from pathlib import Path

    from ci_tasks.core.checkout import Checkout
    from ci_tasks.core.settings import Settings

FOLDER = "ci-tasks"
SIGNERS = f"{FOLDER}/allowed_signers"
"""The server's copy of the allowed signers, in the repository's folder."""

_ENVIRONMENTS = "ci-tasks.environments"
_SIGN = "ci-tasks.sign"
_SIGNERS = "ci-tasks.allowedSigners"
_ADMINS = "ci-tasks.admins"
_KEYS = (_ENVIRONMENTS, _SIGN, _SIGNERS, _ADMINS)


@dataclass(frozen=True, kw_only=True)
class ServerRules:
    """What holds in a server's repository; `signers` is a path in its folder."""

    environments: tuple[str, ...]
    sign: SigningFormat
    signers: str
    admins: tuple[str, ...]


def of_settings(settings: Settings) -> dict[str, str]:
    """The configuration that says the same as these settings; lists are separated by blanks."""
    return {
        _ENVIRONMENTS: " ".join(settings.environments),
        _SIGN: settings.sign.value,
        _SIGNERS: SIGNERS,
        _ADMINS: " ".join(settings.admins),
    }


def write(git_dir: Path, wanted: dict[str, str], checkout: Checkout) -> None:
    """Write the configuration and the copy of the allowed signers; what is there already is not touched.

    Raises RefusedError where signatures are asked for and the checkout names no signer.
    """
    _copy_signers(git_dir, checkout)
    there = _values(git_dir)
    for key, value in wanted.items():
        if there.get(key.lower()) != value:
            answer = _git(git_dir, "config", "--local", "--replace-all", key, value)
            if answer.status:
                raise local_failure(f"write {key} into {git_dir / 'config'}", answer.stderr)


def remove(git_dir: Path) -> None:
    """Take the configuration and the copy of the allowed signers away."""
    for key in _KEYS:
        answer = _git(git_dir, "config", "--local", "--unset-all", key)
        if answer.status not in {0, 5}:  # 5: there is no such key
            raise local_failure(f"remove {key} from {git_dir / 'config'}", answer.stderr)
    try:
        for name in signer_files(SIGNERS):
            (git_dir / name).unlink(missing_ok=True)
        if (git_dir / FOLDER).is_dir() and not any((git_dir / FOLDER).iterdir()):
            (git_dir / FOLDER).rmdir()
    except OSError as error:
        raise UnavailableError(f"{git_dir / FOLDER} can't be removed: {error.strerror}.") from None


def read(git_dir: Path) -> ServerRules:
    """The rules of a server's repository. Raises RefusedError where the hook was never told."""
    there = _values(git_dir)
    missing = [key for key in _KEYS if key.lower() not in there]
    forms = {each.value for each in SigningFormat}
    if missing or not there[_ENVIRONMENTS] or there[_SIGN] not in forms:
        raise RefusedError(
            f"The server's hook does not know its rules: {(missing or [_ENVIRONMENTS])[0]} is not set there.",
            unchanged="Nothing was changed.",
            details=["Whoever keeps the server types: inv hook.install --server PATH"],
        )
    return ServerRules(
        environments=tuple(there[_ENVIRONMENTS].split()),
        sign=SigningFormat(there[_SIGN]),
        signers=there[_SIGNERS.lower()],
        admins=tuple(there[_ADMINS].split()),
    )


def _copy_signers(git_dir: Path, checkout: Checkout) -> None:
    path = checkout.settings.allowed_signers
    allowed = AllowedSigners.read(checkout.root, path)
    if checkout.settings.sign is not SigningFormat.NONE and allowed.is_nobody:
        raise RefusedError(
            f"Signatures are asked for, but {path} names nobody: every tag would be refused.",
            unchanged="Nothing was changed.",
        )
    for name, copy in zip(signer_files(path), signer_files(SIGNERS), strict=True):
        there, data = git_dir / copy, allowed.files.get(name)
        if data is None:
            there.unlink(missing_ok=True)
        elif not there.is_file() or there.read_bytes() != data:
            write_atomically(there, data)


def _values(git_dir: Path) -> dict[str, str]:
    answer = _git(git_dir, "config", "--local", "-z", "--get-regexp", r"^ci-tasks\.")
    if answer.status not in {0, 1}:  # 1: there is none
        raise UnavailableError(
            "git could not read the configuration of the server's repository.", details=spoken(answer.stderr)
        )
    pairs = (entry.partition("\n") for entry in answer.stdout.decode("utf-8", "replace").split("\0") if entry)
    return {key: value for key, _, value in pairs}


def _git(git_dir: Path, *arguments: str) -> GitAnswer:
    return run_git([f"--git-dir={git_dir}", *arguments], at=git_dir)
