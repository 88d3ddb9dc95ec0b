"""Finding the scripts of a category on disk."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ci_tasks.core.errors import UsageError, nearest
from ci_tasks.core.files import read_file
from ci_tasks.script import header as headers
from ci_tasks.script.folder import FileName, entries, fault, file_name, place
from ci_tasks.script.mode import (
    EVERYBODY,
    NAME_PREFIX,
    category_variable,
    pipeline_variable,
    script_variable,
)
from ci_tasks.script.model import CIScript, Finding, ModeVariables, Testability
from ci_tasks.script.names import Category, Mode, Severity
from ci_tasks.script.source import code_lines
from ci_tasks.script.timelimit import TIMEOUT_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Found:
    """A script with what its file holds."""

    script: CIScript
    data: bytes
    executable: bool
    header: headers.Header


@dataclass(frozen=True, kw_only=True)
class Survey:
    """One folder: the scripts in the order in which they run, and what is wrong."""

    scripts: tuple[Found, ...] = ()
    findings: tuple[Finding, ...] = ()


def discover(root: Path, category: Category, subproject: str | None = None) -> tuple[CIScript, ...]:
    """The scripts of a category in the order in which they run: by number, then by name.

    A subproject's script wins over the root's of the same category and name. Raises UsageError for a
    file that could be meant as a script but is none, and for a header that can't be read.
    """
    winners = {script.script_name: script for script in _accepted(_surveys(root, category, subproject))}
    return tuple(sorted(winners.values(), key=_order))


def everywhere(root: Path, category: Category, subprojects: Iterable[str]) -> tuple[CIScript, ...]:
    """The scripts of a category, the root's and then each subproject's own; errors as in `discover`."""
    return tuple(_accepted([survey(root, category, where) for where in (None, *subprojects)]))


def _accepted(surveys: Iterable[Survey]) -> list[CIScript]:
    seen = list(surveys)
    errors = [each for one in seen for each in one.findings if each.severity is Severity.ERROR]
    if errors:
        lines = [f"{each.path}:{each.line}: {each.message}" for each in errors]
        raise UsageError(
            lines[0], unchanged="Nothing was run.", next_step="inv script.check", details=lines[1:]
        )
    return [found.script for one in seen for found in one.scripts]


def find(root: Path, wanted: str, subproject: str | None = None) -> CIScript:
    """The script called `category/name`, with or without the name's `ci-`; UsageError with the nearest."""
    folder, _, name = wanted.partition("/")
    if name:
        category = Category.parse(folder)
        for script in discover(root, category, subproject):
            if script.script_name == NAME_PREFIX + name.removeprefix(NAME_PREFIX):
                return script
    known = known_ids(root, subproject)
    close = _closest(wanted, known)
    where = f" for {subproject}" if subproject else ""
    hint = f" Did you mean {close}?" if close else ""
    raise UsageError(
        f"There is no script {wanted!r}{where}.{hint}",
        unchanged="Nothing was run.",
        next_step="inv script.list",
        details=[f"A script is called <category>/<name>; there are: {', '.join(known) or 'none'}."],
    )


def _closest(wanted: str, known: Iterable[str]) -> str | None:
    """Who leaves out the category, or takes the wrong one, mostly has the name right."""
    by_name = {script_id.partition("/")[2]: script_id for script_id in known}
    name = wanted.rpartition("/")[2].removeprefix(NAME_PREFIX)
    return by_name.get(name) or nearest(wanted, known) or by_name.get(nearest(name, by_name) or "")


def known_ids(root: Path, subproject: str | None) -> tuple[str, ...]:
    """The ids of all scripts, whatever else may be wrong with their folders."""
    surveys = [each for category in Category for each in _surveys(root, category, subproject)]
    return tuple(sorted({found.script.script_id for each in surveys for found in each.scripts}))


def _surveys(root: Path, category: Category, subproject: str | None) -> list[Survey]:
    """The root's first, so that the subproject's can win."""
    return [survey(root, category, where) for where in ((None, subproject) if subproject else (None,))]


def _order(script: CIScript) -> tuple[int, str]:
    return script.order, script.script_name


def survey(root: Path, category: Category, subproject: str | None) -> Survey:
    """Look through one folder, `[<subproject>/]scripts/<category>/`; one that is not there is empty."""
    folder = place(root, subproject, category.folder)
    scripts: list[Found] = []
    findings: list[Finding] = []
    for entry in entries(folder) if folder else ():
        path = entry.relative_to(root).as_posix()
        reason = fault(entry)
        name = file_name(entry.name)
        if reason:
            findings.append(finding(path, 1, reason))
        elif name:
            try:
                found = _read(root, path, name, category, subproject)
            except UsageError as error:
                findings.append(finding(path, 1, error.what))
                continue
            scripts.append(found)
            findings += [finding(path, each.line, each.message) for each in found.header.problems]
    findings += _clashes(scripts)
    scripts.sort(key=lambda found: _order(found.script))
    return Survey(scripts=tuple(scripts), findings=tuple(findings))


def finding(path: str, line: int, message: str, severity: Severity = Severity.ERROR) -> Finding:
    """A finding whose path can be printed on a terminal, whatever bytes the file's name has."""
    printable = path if path.isprintable() else ascii(path)
    return Finding(path=printable, line=line, severity=severity, message=message)


def _read(root: Path, path: str, name: FileName, category: Category, subproject: str | None) -> Found:
    file = root / path
    data = read_file(file, root=root)
    text = data.decode("utf-8", errors="replace")
    header = headers.parse(text)
    script = CIScript(
        script_id=f"{category.folder}/{name.name.removeprefix(NAME_PREFIX)}",
        script_name=name.name,
        script_path=path,
        category=category,
        order=name.order,
        description=header.description,
        testability=_testability(name.name, category),
        dependencies=header.requires,
        line_count=code_lines(text, header.marker),
        secrets=header.secrets,
        timeout=header.timeout,
        idempotent=header.idempotent,
        dry_run=header.dry_run,
        subproject=subproject,
    )
    executable = bool(file.lstat().st_mode & stat.S_IXUSR)
    return Found(script=script, data=data, executable=executable, header=header)


def _testability(script_name: str, category: Category) -> Testability:
    return Testability(
        modes=tuple(Mode),
        variables=ModeVariables(
            hierarchical=(category_variable(category), EVERYBODY),
            pattern=pipeline_variable(script_name, "<PIPELINE>"),
            script_specific=script_variable(script_name),
        ),
        timeout_override=TIMEOUT_VARIABLE,
    )


def _clashes(scripts: Iterable[Found]) -> list[Finding]:
    """Two files of one name can't both be run; two of one number can, in the order of their names."""
    names: dict[str, str] = {}
    orders: dict[int, str] = {}
    findings = []
    for script in (found.script for found in scripts):
        path, file = script.script_path, PurePosixPath(script.script_path).name
        twin = names.setdefault(script.script_name, file)
        if twin != file:
            findings.append(finding(path, 1, f"has the same category and name as {twin}"))
        before = orders.setdefault(script.order, file)
        if before != file:
            message = f"has the same number as {before}; the two run in the order of their names"
            findings.append(finding(path, 1, message, Severity.WARNING))
    return findings
