"""From a remote's name to its one address, and the user's transport settings that reach it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ci_tasks.core.errors import RefusedError, UsageError, nearest
from ci_tasks.core.git.failures import without_user_info
from ci_tasks.core.git.objects import ObjectDatabase
from ci_tasks.core.git.origin import OwnOrigin
from ci_tasks.core.git.remote_origin import RemoteOrigin
from ci_tasks.core.git.signer import Signer
from ci_tasks.core.git.store import PrivateStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ci_tasks.core.git.origin import Origin
    from ci_tasks.core.git.repository import Repository, Setting
    from ci_tasks.core.signing import SigningFormat

_TRANSPORT = ("http.", "credential.", "url.", "ssh.", "protocol.")
_TRANSPORT_OF_CORE = frozenset({"core.sshcommand", "core.askpass", "core.gitproxy"})
_PROXY = {"proxy": "http.proxy", "proxyauthmethod": "http.proxyAuthMethod"}
# The second form is for a password with a slash, which git itself would take for the end of the host.
_LOGINS = tuple(
    re.compile(rf"(?P<site>https?://)(?P<user>[^/:?#]*){password}@(?P<rest>.*)", re.DOTALL)
    for password in (r"(?::(?P<password>[^/?#]*))?", r":(?!\d{1,5}(?:/|$))(?P<password>.*)")
)
_QUERY = re.compile(r"(?<=^http)(s?://[^?]*)\?.*", re.DOTALL)
_SCP_USER = re.compile(r"^[^/@:]+@(?=[^/:]+:)")
_HELPER = (
    "!f() { if test \"$1\" = get; then printf 'username=%s\\npassword=%s\\n'"
    ' "$CI_TASKS_URL_USER" "$CI_TASKS_URL_PASSWORD"; fi; }; f'
)


def find_origin(repository: Repository, name: str, *, timeout: float, sign: SigningFormat) -> Origin:
    """The remote of this name, or the repository itself where there is no remote at all."""
    remotes = _remote_names(repository.configuration)
    if not remotes:
        return OwnOrigin(
            ObjectDatabase(repository.git_dir, at=repository.root),
            address=str(repository.root),
            object_format=repository.object_format,
            is_shallow=repository.is_shallow,
            signer=Signer(repository, objects=repository.common_dir / "objects", sign=sign),
        )
    if name not in remotes:
        close = nearest(name, remotes)
        raise UsageError(
            f"There is no remote {name!r}.{f' Did you mean {close}?' if close else ''}",
            unchanged="Nothing was changed.",
            details=[f"Remotes here: {', '.join(remotes)}."],
            next_step=f"export CI_TASKS_REMOTE={close or remotes[0]}",
        )
    effective = _one_address(repository, name)
    url, login = _without_login(_url_for_git(repository, name, effective))
    settings = [*_handed_over(repository.configuration, name), *_login_settings(url, login)]
    bare, rewritten_login = _without_login(effective)
    if login is None and rewritten_login is not None:
        # `insteadOf` puts the login in, and git would write it into the arguments of its helper. So git gets
        # the address without it, and a rule for the whole of it: the longest match wins, so nothing changes.
        url, login = bare, rewritten_login
        kept = [(f"url.{bare}.{key}", bare) for key in ("insteadOf", "pushInsteadOf")]
        settings = [*kept, *settings, *_login_settings(url, login)]
    store = PrivateStore(
        repository.common_dir,
        at=repository.root,
        environment={**_as_environment(settings), **_login_environment(login)},
        object_format=repository.object_format,
        lends=not (repository.is_shallow or repository.is_partial),
    )
    return RemoteOrigin(
        url,
        store,
        address=_for_people(effective),
        local_git_dir=repository.common_dir,
        signer=Signer(repository, objects=store.git_dir / "objects", sign=sign),
        timeout=timeout,
    )


def _remote_names(configuration: Iterable[Setting]) -> list[str]:
    ends = (".url", ".pushurl")
    return list(
        dict.fromkeys(
            setting.key[len("remote.") :].rpartition(".")[0]
            for setting in configuration
            if setting.key.startswith("remote.") and setting.key.endswith(ends)
        )
    )


def _one_address(repository: Repository, name: str) -> str:
    """The only address that the remote is read from and pushed to, `url.*.insteadOf` applied."""
    reads = repository.addresses(name, push=False)
    pushes = repository.addresses(name, push=True)
    if len(reads) != 1 or pushes != reads:
        raise RefusedError(
            f"The remote {name!r} must have one address, the same for reading and for pushing: else what is"
            " read is not what was written.",
            unchanged="Nothing was changed.",
            details=[
                *(f"reads from {_for_people(address)}" for address in reads),
                *(f"pushes to {_for_people(address)}" for address in pushes),
            ],
            next_step=f"git config --show-origin --get-regexp '^(remote[.]{name}[.]|url[.])'",
        )
    if reads[0].startswith("ext::"):
        raise RefusedError(
            f"The address of the remote {name!r} is a command (ext::), which is never run.",
            unchanged="Nothing was changed.",
            next_step=f"git remote set-url {name} <address>",
        )
    return reads[0]


def _url_for_git(repository: Repository, name: str, effective: str) -> str:
    """The address as git is to get it: as it was written, for git applies `insteadOf` itself."""
    if _is_path(effective):
        # A bare word could be taken for the name of a remote.
        return effective if effective.startswith("~") else str(repository.root / effective)
    written = [s.value for s in repository.configuration if s.key == f"remote.{name}.url" and s.value]
    return written[0] if len(written) == 1 else effective


def _is_path(url: str) -> bool:
    """True for a path, by the rule of git (connect.c): no colon, or a slash before the first one."""
    return "://" not in url and ":" not in url.partition("/")[0]


def _without_login(url: str) -> tuple[str, tuple[str, str | None] | None]:
    """The URL without user info, and the user and password in it: arguments are seen by every process."""
    found = next(filter(None, (login.fullmatch(url) for login in _LOGINS)), None)
    if not found:
        return url, None
    password = found["password"]
    return found["site"] + found["rest"], (
        unquote(found["user"]),
        None if password is None else unquote(password),
    )


def _login_settings(url: str, login: tuple[str, str | None] | None) -> list[tuple[str, str]]:
    if login is None:
        return []
    site = "/".join(url.split("/", 3)[:3])
    user = [(f"credential.{site}.username", login[0])]
    if login[1] is None:
        return user
    # An empty value first: as with a password in the URL, no other helper is asked.
    return [*user, (f"credential.{site}.helper", ""), (f"credential.{site}.helper", _HELPER)]


def _login_environment(login: tuple[str, str | None] | None) -> dict[str, str]:
    if login is None or login[1] is None:
        return {}
    return {"CI_TASKS_URL_USER": login[0], "CI_TASKS_URL_PASSWORD": login[1]}


def _handed_over(configuration: Iterable[Setting], name: str) -> list[tuple[str, str]]:
    """Settings of the user's repository that say how to reach the remote; git reads the global ones itself.

    Workflows put the token of a job there (actions/checkout: http.<url>.extraheader, also by includeIf).
    """
    handed = []
    proxy = f"remote.{name}."
    for scope, key, value in configuration:
        transport = key.startswith(_TRANSPORT) or key in _TRANSPORT_OF_CORE
        if scope in {"local", "worktree"} and transport and not key.startswith("protocol.ext."):
            handed.append((key, value))
        elif key.startswith(proxy) and key[len(proxy) :] in _PROXY:
            handed.append((_PROXY[key[len(proxy) :]], value))
    return handed


def _as_environment(settings: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Settings as git takes them from the environment (GIT_CONFIG_COUNT): they may hold tokens."""
    if not settings:
        return {}
    environment = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings):
        environment[f"GIT_CONFIG_KEY_{number}"] = key
        environment[f"GIT_CONFIG_VALUE_{number}"] = value
    return environment


def _for_people(address: str) -> str:
    return _QUERY.sub(r"\1", _SCP_USER.sub("", without_user_info(address)))
