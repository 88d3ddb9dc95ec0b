"""What to say to somebody who changes a tag by hand: why not, and the line that does it properly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_tasks.core.command_line import typed
from ci_tasks.tag.grammar import EnvironmentTag, StateTag

if TYPE_CHECKING:
    from ci_tasks.tag.grammar import Tag, VersionTag


def for_change(tag: Tag, *, old: str | None, new: str | None) -> tuple[str, tuple[str, ...]]:
    """A clause with the rule, and lines for what was perhaps meant; ids are None where there is no object."""
    does = "deletes" if new is None else "creates" if old is None else "moves"
    if isinstance(tag, EnvironmentTag):
        return f"{does} {tag}: an environment tag is the record of what runs there", for_environment(tag)
    option = _option(tag)
    if isinstance(tag, StateTag):
        line = f"tag.state --version {tag.version} --state deprecated{option}"
        reason = f"{does} {tag}: what was said of a version stays; the strongest word counts"
        return reason, (_line("to say more", line),)
    return f"{does} {tag}: a version is immutable", (_instead(tag, option, is_deleted=new is None),)


def for_environment(tag: EnvironmentTag) -> tuple[str, ...]:
    """The lines that write an environment tag."""
    option = _option(tag)
    assign = f"tag.assign --env {tag.environment} --version VERSION{option}"
    return (
        _line("to deploy", f"deploy --env {tag.environment}{option}"),
        _line("to record what runs already", assign),
    )


def for_new(tag: VersionTag | StateTag) -> tuple[str, ...]:
    """The line that creates such a tag."""
    option = _option(tag)
    if isinstance(tag, StateTag):
        return (_line("to do it", f"tag.state --version {tag.version} --state {tag.state.value}{option}"),)
    return (_line("to do it", f"tag.create --version {tag.version}{option}"),)


def _option(tag: Tag) -> str:
    return f" --subproject {tag.subproject}" if tag.subproject else ""


def _instead(tag: VersionTag, option: str, *, is_deleted: bool) -> str:
    version = tag.version
    if is_deleted and version.is_release:
        return _line("to warn of it", f"tag.state --version {version} --state deprecated{option}")
    following = f"v{version.major}.{version.minor}.{version.patch + 1}"
    return _line("to make the next one", f"tag.create --version {following}{option}")


def _line(why: str, line: str) -> str:
    return f"{why}: {typed(line)}"
