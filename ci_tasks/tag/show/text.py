"""One tag, with its story, as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_tasks.core import console
from ci_tasks.core.columns import used
from ci_tasks.core.command_line import typed
from ci_tasks.tag.grammar import EnvironmentTag
from ci_tasks.tag.lines import history_line
from ci_tasks.tag.records import minute, records_text
from ci_tasks.tag.show.model import ShownKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci_tasks.tag.show.model import (
        Place,
        ShownEnvironment,
        ShownSignature,
        ShownState,
        ShownTag,
        ShownVersion,
    )
    from ci_tasks.tag.state import MarkedVersion

LINES = 10
"""Lines of a tag's text that are shown."""
_ORDER = "deprecated is stronger than unstable, and unstable than stable"


def marked_text(answer: MarkedVersion) -> str:
    """What `tag.state` did."""
    verb = "Created" if answer.created else "Nothing to do: there is already"
    text = f"{verb} {answer.tag.tag_name} on commit {answer.tag.commit_sha[:12]}."
    if answer.tag.tag_name == f"{answer.version_tag}-{answer.state}":
        return text
    return f"{text}\n{answer.version_tag} stays {answer.state}: {_ORDER}."


def shown_text(shown: ShownTag) -> str:
    """All of `tag.show`: a line that says what the tag is, its facts, and its story."""
    blocks = [console.prose(_headline(shown)), _facts(shown)]
    if shown.version:
        blocks += _version(shown.version)
    if shown.environment:
        tag = EnvironmentTag(subproject=shown.subproject or "", environment=shown.tag_name.rpartition("/")[2])
        blocks += _environment(tag, shown.environment)
    notes = [console.prose(f"note: {shown.local_note}")] if shown.local_note else []
    if shown.git_line:
        notes.append(console.prose(f"To see it with git: {shown.git_line}"))
    return "\n\n".join([*blocks, "\n".join(notes)]).rstrip("\n")


def _headline(shown: ShownTag) -> str:
    name = console.one_line(shown.tag_name)
    if shown.kind is ShownKind.FOREIGN:
        return f"{name} is a foreign tag, and left alone: {shown.foreign_because}"
    if shown.version:
        state = f", and {shown.version.state}" if shown.version.state else ""
        return f"{name} is a version{state}."
    if shown.state:
        return f"{name} is a state tag: {_meaning(shown.state)}"
    return f"{name} is an environment tag: it says what runs there."


def _meaning(state: ShownState) -> str:
    text = f"it says that {state.version_tag} is {state.state}."
    if state.strongest != state.state:
        text += f" But the version is {state.strongest}, says another one: {_ORDER}."
    return text


def _facts(shown: ShownTag) -> str:
    """The lines of a word and what it is, the words in a column."""
    rows = [row for row in _rows(shown) if row[1]]
    width = max(len(word) for word, _ in rows)
    return "\n".join(
        f"{word if not index else '':{width}}  {line}".rstrip()
        for word, text in rows
        for index, line in enumerate(console.column(console.plain(text), indent=width + 2))
    )


def _rows(shown: ShownTag) -> Iterator[tuple[str, str]]:
    leads_to = shown.target_type or "object"
    yield "Commit" if leads_to == "commit" else f"Leads to a {leads_to}", shown.commit_sha
    if shown.state and shown.state.is_on_version is False:
        yield "Version on", shown.state.version_commit_sha or ""
    yield "Tag object", shown.tag_id if shown.object_type == "tag" else "none: it is a lightweight tag"
    if shown.created_at or shown.created_by:
        yield "Created", " ".join(_created(shown))
    if shown.kind is not ShownKind.FOREIGN:
        yield "Verified", _verified(shown)
    if shown.signature:
        yield "Signature", _signature(shown.signature)
    yield "Why" if shown.state else "Text", _first_lines(shown.message)


def _created(shown: ShownTag) -> Iterator[str]:
    if shown.created_at:
        yield f"{minute(shown.created_at)} UTC"
    yield f"by {shown.created_by or 'nobody'}"


def _verified(shown: ShownTag) -> str:
    if shown.problem:
        word = "UNREADABLE" if shown.kind is ShownKind.ENVIRONMENT else "NOT TRUSTED"
        return f"{word}: {shown.problem}"
    on = "on its version's commit" if shown.kind is ShownKind.STATE else "on a commit"
    return f"it is annotated, named inside like its ref, and {on}"


def _signature(signature: ShownSignature) -> str:
    if signature.status == "UNSIGNED":
        return "none"
    who = f" by {signature.signer}" if signature.signer not in {None, signature.key} else ""
    key = f" (key {signature.key})" if signature.key else ""
    if signature.status in {"REVOKED", "EXPIRED"}:
        words = f"{who.lstrip()}, with " if who else ""
        return f"{words}{'a' if signature.status == 'REVOKED' else 'an'} {signature.status} key" + (
            f" ({signature.key})" if signature.key else ""
        )
    return f"{signature.status.lower().replace('_', ' ')}{who}{key}"


def _first_lines(message: str | None) -> str:
    lines = (message or "").splitlines()
    more = len(lines) - LINES
    return "\n".join([*lines[:LINES], *([f"... and {more} more lines"] if more > 0 else [])])


def _version(version: ShownVersion) -> Iterator[str]:
    if version.states:
        rows = [
            (
                mark.state,
                minute(mark.created_at),
                mark.created_by or "nobody",
                f"NOT TRUSTED: {mark.problem}" if mark.problem else mark.reason or "",
            )
            for mark in version.states
        ]
        yield _table(("State", "Since (UTC)", "By", "Why"), rows)
    if len(version.states) > 1:
        yield console.prose(f"The strongest state counts: {_ORDER}.")
    if version.runs_in:
        places = [
            (
                place.environment_tag,
                place.region or "",
                minute(place.since),
                place.triggered_by or "",
                _uncertain(place),
            )
            for place in version.runs_in
        ]
        yield _table(("Runs in", "Region", "Since (UTC)", "By", "Note"), places)
    elif not version.unreadable:
        yield "It runs nowhere now."
    for name in version.unreadable:
        yield console.prose(
            f"UNREADABLE: what runs in {name} can't be told. See: {typed(f'tag.show {name}')}"
        )


def _uncertain(place: Place) -> str:
    return f"UNCERTAIN: {place.attempted} broke off half-way" if place.is_uncertain else ""


def _environment(tag: EnvironmentTag, found: ShownEnvironment) -> Iterator[str]:
    rows = [
        (
            place.region or "",
            place.version or "none",
            (place.commit_sha or "")[:12],
            minute(place.since),
            place.triggered_by or "",
            _uncertain(place),
        )
        for place in found.places
    ]
    yield _table(("Region", "Live", "Commit", "Since (UTC)", "By", "Note"), rows)
    if not found.is_settled:
        yield console.prose("Not settled: not every region runs the commit that the tag stands on.")
    if found.drift:
        yield console.prose(f"DRIFT: {found.drift}.")
    for fault in found.chain_faults:
        yield console.prose(f"BROKEN LEDGER: {fault}.")
    if found.open:
        yield records_text(found.open, title="Open")
    if found.closed:
        yield records_text(found.closed, title="Closed")
    more = found.closed_count - len(found.closed)
    if more > 0:
        older = f"{more} older one{'' if more == 1 else 's'}"
        yield console.prose(f"{older}: {history_line(tag)}")


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table without the columns that have nothing in them."""
    return console.table(*used(columns, rows)).rstrip("\n")
