"""What is typed in the demo, step by step, and how each step is checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci_tasks.core.errors import ExitCode
from ci_tasks.demo.repository import DEPLOYED, GREETING, REGIONS, SERVICES, UNFINISHED, make, write
from ci_tasks.demo.terminal import SurpriseError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ci_tasks.demo.terminal import Terminal

GOOD, BAD = SERVICES["api"], "v1.1.0"


@dataclass(frozen=True)
class Step:
    """One step: a title, a sentence, and what is done; `act` raises SurpriseError if it goes wrong."""

    title: str
    about: str
    act: Callable[[Terminal], None]


def _look(terminal: Terminal) -> None:
    make(terminal)
    terminal.type("git ls-files")


def _create(terminal: Terminal) -> None:
    for service, version in SERVICES.items():
        terminal.type(f"inv tag.create --subproject {service} --version {version}")
    for service, version in SERVICES.items():
        _check_tag(terminal, f"{service}/{version}", "main")


def _deploy(terminal: Terminal) -> None:
    terminal.type("inv deploy --env staging --subproject api")
    _check_staging(terminal, GOOD)


def _status(terminal: Terminal) -> None:
    terminal.type("inv deploy.status")
    terminal.type(f"readlink {DEPLOYED}/staging/us-east/api/current")


def _break(terminal: Terminal) -> None:
    write(terminal, GREETING, UNFINISHED)
    terminal.type(f"cat {GREETING}")
    terminal.type("git commit --quiet --all --message 'Merge the new greeting'")
    terminal.type("git push --quiet origin main")
    terminal.type(f"inv tag.create --subproject api --version {BAD}")
    _check_tag(terminal, f"api/{BAD}", "main")
    terminal.type("inv deploy --env staging --subproject api", expect=ExitCode.FAILED)


def _untouched(terminal: Terminal) -> None:
    terminal.type("inv deploy.status --env staging")
    terminal.type(f"readlink {DEPLOYED}/staging/us-east/api/current")
    _check_staging(terminal, GOOD)


def _go_live(terminal: Terminal) -> None:
    terminal.type(f"inv deploy --env production --subproject api --version {GOOD}")
    _check_live(terminal, "production", GOOD)
    _check_tag(terminal, "api/production", f"api/{GOOD}")


def _record(terminal: Terminal) -> None:
    terminal.type("git fetch --quiet origin refs/tags/api/production")
    terminal.type("git show --no-patch FETCH_HEAD", cut=True)
    shown = terminal.typed[-1].output
    if shown[:1] != ("tag api/production",) or not any(GOOD in line for line in shown):
        raise SurpriseError("the tag api/production does not say what is live")


STEPS = (
    Step(
        "A monorepo",
        "api, web and services/auth have versions of their own; staging has two regions.",
        _look,
    ),
    Step("Create versions", "A version is an annotated tag on the remote; it never changes.", _create),
    Step("Deploy api to staging", "What lies in scripts/deployment/ runs once for each region.", _deploy),
    Step(
        "See what runs where", "This is read from the tags on the remote. There is no other record.", _status
    ),
    Step("Deploy a bad version", "Somebody commits a merge that was never finished.", _break),
    Step(
        "Staging is untouched",
        "The check stands before the switch: v1.0.0 is live as before, and the tag did\n"
        "not move. UNCERTAIN means that an attempt broke off since then.",
        _untouched,
    ),
    Step("Deploy to production", f"{GOOD} has proven itself in staging.", _go_live),
    Step(
        "Read the record",
        "All of it stands in the tag, for plain git too (long lines are cut here).",
        _record,
    ),
)


def _check_staging(terminal: Terminal, version: str) -> None:
    for region in REGIONS:
        _check_live(terminal, f"staging/{region}", version)
    _check_tag(terminal, "api/staging", f"api/{version}")


def _check_live(terminal: Terminal, place: str, version: str) -> None:
    """The link leads to that version, and the file behind it is the one of the version's commit."""
    current = terminal.clone / DEPLOYED / place / "api" / "current"
    live = current.readlink().name if current.is_symlink() else "nothing"
    if live != version:
        raise SurpriseError(f"{live} is live in {place}, not {version}")
    released = terminal.ask("git", "show", f"{_commit(terminal, f'api/{version}')}:{GREETING}")
    file = current / "greeting.txt"
    if not file.is_file() or file.read_text(encoding="utf-8").rstrip("\n") != released:
        raise SurpriseError(f"what is live in {place} is not what {version} holds")


def _check_tag(terminal: Terminal, tag: str, other: str) -> None:
    """The remote's tag is annotated, and on the same commit as another tag, or as our branch `main`."""
    commit = terminal.ask("git", "rev-parse", "main") if other == "main" else _commit(terminal, other)
    if _commit(terminal, tag) != commit:
        raise SurpriseError(f"the tag {tag} is not on the commit of {other}")


def _commit(terminal: Terminal, tag: str) -> str:
    """The commit of an annotated tag of the remote."""
    found = terminal.ask("git", "ls-remote", "origin", f"refs/tags/{tag}^{{}}").split()
    if not found:
        raise SurpriseError(f"there is no annotated tag {tag} on the remote")
    return found[0]
