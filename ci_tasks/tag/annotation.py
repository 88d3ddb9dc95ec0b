"""The text of an environment tag: lines for people, `---`, then the ledger as one JSON document per line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ci_tasks.core.command_line import typed
from ci_tasks.core.entity import canonical_json
from ci_tasks.core.errors import ConflictError, RefusedError, UsageError
from ci_tasks.tag import ledger as ledgers
from ci_tasks.tag import retention, soundness
from ci_tasks.tag.grammar import EnvironmentTag
from ci_tasks.tag.model import SCHEMA, Deployment, Header, Live
from ci_tasks.tag.names import DeploymentStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

SHRINK_ABOVE = 256 * 1024
REFUSE_ABOVE = 1024 * 1024
SEPARATOR = "---"


class _AnyForm(msgspec.Struct):
    """What every form of the header has, also one that is newer than this program."""

    schema: int


_any_form = msgspec.json.Decoder(_AnyForm)
_header = msgspec.json.Decoder(Header)
_record = msgspec.json.Decoder(Deployment)


class UnreadableLedgerError(ConflictError):
    """The annotation is not a ledger of ours, or of a newer form: nobody may write over it."""


class NewerLedgerError(UnreadableLedgerError):
    """The annotation is of a newer form: the way out is a newer program, and never another ledger."""


def write(ledger: ledgers.Ledger) -> tuple[str, bool]:
    """The annotation's text, and whether old records had to be shrunk (256 KiB) or dropped (1 MiB) to fit.

    Raises RefusedError where what is never dropped is more than 1 MiB by itself.
    """
    fitting = fit(ledger)
    text = _text(fitting)
    if len(text) > REFUSE_ABOVE:
        header = ledger.header
        option = f" --subproject {header.subproject}" if header.subproject else ""
        raise RefusedError(
            f"The ledger of {_name(header)} would be larger than 1 MiB ({len(text)} bytes).",
            unchanged="Nothing was written.",
            details=["What is running, what a rollback needs, and what waits for a review is never dropped."],
            next_step=typed(f"deploy.history --env {header.environment}{option}"),
        )
    return text.decode(), fitting is not ledger


def fit(ledger: ledgers.Ledger) -> ledgers.Ledger:
    """The same ledger where its text fits 256 KiB; else one whose oldest closed records are shrunk.

    Above 1 MiB the oldest of them are dropped, but none that a rollback needs or that waits for a review.
    """
    size = len(_text(ledger))
    if size <= SHRINK_ABOVE:
        return ledger
    closed = list(ledger.closed)
    changed = False
    for index, record in reversed(list(enumerate(closed))):
        shrunk = retention.shrink(record)
        saved = len(ledgers.line(record)) - len(ledgers.line(shrunk))
        if saved > 0:
            closed[index] = shrunk
            changed = True
            size -= saved
        if size <= SHRINK_ABOVE:
            break
    fitting = msgspec.structs.replace(ledger, closed=tuple(closed)) if changed else ledger
    return retention.drop_oldest(fitting, size - REFUSE_ABOVE) if size > REFUSE_ABOVE else fitting


def size(ledger: ledgers.Ledger) -> int:
    """Bytes of the annotation's text for this ledger as it stands."""
    return len(_text(ledger))


def _text(ledger: ledgers.Ledger) -> bytes:
    documents = [canonical_json(ledger.header)]
    documents += [canonical_json(record) for record in ledger.open]
    documents += [ledgers.line(record) for record in ledger.closed]
    above = "\n".join([*prose(ledger), SEPARATOR])
    return above.encode() + b"\n" + b"\n".join(documents) + b"\n"


def _name(header: Header) -> str:
    return str(EnvironmentTag(subproject=header.subproject or "", environment=header.environment))


def prose(ledger: ledgers.Ledger) -> list[str]:
    """What `git show` prints first: what is live where, since when, by whom."""
    header = ledger.header
    versions = sorted({live.version for live in header.live.values() if live.version})
    headline = f"{_name(header)}: {', '.join(versions) if versions else 'nothing is live yet'}"
    if not header.settled:
        headline += " (not settled)"
    width = max((len(key) for key in header.live), default=0)
    lines = [headline, ""]
    lines += [f"{key:{width}}  {_live_line(live)}".strip() for key, live in sorted(header.live.items())]
    for record in ledger.open:
        where = f" in {record.region}" if record.region else ""
        state = "running" if record.status is DeploymentStatus.RUNNING else "waiting"
        lines.append(f"{state}: {record.version}{where}, by {record.triggered_by}, {record.deployment_id}")
    return [_plain(line).rstrip() for line in lines]


def _live_line(live: Live) -> str:
    if live.version is None:
        text = "nothing succeeded yet"
    else:
        since = f"{live.since:%Y-%m-%d %H:%M:%S} UTC" if live.since else "?"
        text = f"{live.version}  since {since}  by {live.triggered_by or '?'}"
    return f"{text}  UNCERTAIN: {live.attempted} broke off half-way" if live.uncertain else text


def _plain(text: str) -> str:
    """One line, whatever people are called: it can't end before its time, and no terminal obeys it."""
    return "".join(char if char.isprintable() else "?" for char in text)


def read(message: str, *, name: str, is_summary: bool = False) -> ledgers.Ledger:
    """The ledger in a tag's message; `name` is the tag's, for the error.

    A summary has no closed records but those that `review.debts` asks for: overrides, and reviews of them.
    Raises UnreadableLedgerError: nobody may write over what he can't read.
    """
    try:
        body = message.split("\n-----BEGIN ", 1)[0].split(f"\n{SEPARATOR}\n", 1)[1]
        documents = [line for line in body.split("\n") if line]
        header = _header_of(documents[0], name)
        soundness.check_header(header)
        find = _summary if is_summary else _records
        records = tuple(find(documents[1:]))
        soundness.check_records(records)
    except (ValueError, IndexError, RecursionError, UsageError) as error:  # msgspec's are ValueErrors
        raise UnreadableLedgerError(
            f"The ledger in {name} can't be read: {_cause(error)}.",
            unchanged="Nothing was changed: what can't be read is never written over.",
        ) from None
    if _name(header) != name:
        raise UnreadableLedgerError(
            f"The ledger in {name} is that of {_name(header)}: somebody copied a tag.",
            unchanged="Nothing was changed.",
        )
    return ledgers.Ledger(
        header=header,
        open=tuple(record for record in records if record.status.is_open),
        closed=tuple(record for record in records if not record.status.is_open),
    )


_OVERRIDES, _REVIEWS = '"override":{', '"kind":"review"'
"""In a record's line: within a text of it the quotes would be escaped."""


def _records(documents: list[str]) -> Iterator[Deployment]:
    for document in documents:
        record = _record.decode(document)
        yield record if record.status.is_open else ledgers.with_line(record, document.encode())


def _summary(documents: list[str]) -> Iterator[Deployment]:
    """The records of a summary; the open ones stand first, so that few of those behind them are decoded."""
    for index, document in enumerate(documents):
        record = _record.decode(document)
        if not record.status.is_open:
            if _OVERRIDES in "".join(documents):
                closed = documents[index:]
                said = _records([line for line in closed if _OVERRIDES in line or _REVIEWS in line])
                yield from (one for one in said if one.override is not None or one.reviews is not None)
            return
        yield record


def _header_of(document: str, name: str) -> Header:
    try:
        header = _header.decode(document)
    except msgspec.ValidationError:
        _refuse_other_form(_any_form.decode(document).schema, name)  # a newer form may have other fields
        raise
    _refuse_other_form(header.schema, name)
    return header


def _refuse_other_form(schema: int, name: str) -> None:
    if schema > SCHEMA:
        raise NewerLedgerError(
            f"The ledger in {name} was written by a newer ci-tasks (form {schema}, this one knows {SCHEMA}).",
            unchanged="Nothing was changed.",
            next_step="pip install --upgrade ci-tasks",
        )
    if schema < SCHEMA:
        raise msgspec.ValidationError(f"there is no form {schema}")


def _cause(error: Exception) -> str:
    if isinstance(error, IndexError):
        return "there is no ledger in its message"
    if isinstance(error, RecursionError):
        return "its JSON is nested too deeply"
    return str(error).removesuffix(".")
