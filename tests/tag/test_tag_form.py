"""The text of an environment tag: only what annotation writes for a ledger is that ledger's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from ci_tasks.core.entity import canonical_json
from ci_tasks.tag import annotation, form
from tests.tag.moves import Tag

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "api/staging"
SIGNATURE = "-----BEGIN SSH SIGNATURE-----\nU1NIU0lHAAAAAQ\n-----END SSH SIGNATURE-----\n"


def _text() -> str:
    """A tag with closed records, one that runs, and one who waits."""
    tag = Tag()
    tag.deploy("v1.0.0")
    tag.join("v1.2.0", "eu-west")
    tag.claim("v1.1.0", "us-east")
    return annotation.write(tag.state())[0]


def _faults(text: str) -> list[str]:
    return form.form_faults(text, annotation.read(text, name=NAME))


def test_what_we_write_is_without_fault() -> None:
    assert _faults(_text()) == []
    assert _faults(_text() + SIGNATURE) == []


def _line(index: int, change: Callable[[str], str]) -> Callable[[str], str]:
    """A change of one line behind `---`: the header, the two open records, the closed ones."""

    def changed(text: str) -> str:
        prose, mark, body = text.partition("\n---\n")
        lines = body.split("\n")
        lines[index] = change(lines[index])
        return prose + mark + "\n".join(lines)

    return changed


def _swapped(text: str) -> str:
    prose, mark, body = text.partition("\n---\n")
    header, first, second, third, *others = body.split("\n")
    return prose + mark + "\n".join([header, first, third, second, *others])


LIES: dict[str, tuple[Callable[[str], str], str]] = {
    "another version": (lambda text: text.replace("api/staging: v1.0.0", "api/staging: v9.9.9"), "above ---"),
    "a line more": (lambda text: text.replace("\n---\n", "\nall is well\n---\n"), "above ---"),
    "something for the terminal": (lambda text: f"\x1b[2J{text}", "above ---"),
    "blanks behind the header": (_line(0, lambda line: f"{line} "), "header or an open record"),
    "the header says it twice": (
        _line(0, lambda line: line.replace("{", '{"settled":false,"live":{},', 1)),
        "header or an open record",
    ),
    "an open record says it twice": (
        _line(1, lambda line: line.replace("{", '{"version":"v6.6.6",', 1)),
        "header or an open record",
    ),
    "other escapes": (
        _line(2, lambda line: line.replace("Test Person", "Test\\u0020Person")),
        "header or an open record",
    ),
    "another order of fields": (
        _line(1, lambda line: '{"version":"v1.2.0",' + line.replace('"version":"v1.2.0",', "")[1:]),
        "header or an open record",
    ),
    "an open record behind a closed one": (_swapped, "the open ones first"),
    "an empty line": (lambda text: f"{text}\n", "one in a line"),
    "more than a signature": (
        lambda text: f"{text}-----BEGIN SSH SIGNATURE-----\n{'x' * 70_000}\n",
        "more behind its ledger",
    ),
}


@pytest.mark.parametrize(("lie", "reason"), LIES.values(), ids=LIES)
def test_another_text_of_the_same_ledger_is_found(lie: Callable[[str], str], reason: str) -> None:
    text = lie(_text())
    assert text != _text()
    assert reason in "\n".join(_faults(text))


def test_a_closed_line_of_long_ago_stays_as_it_is() -> None:
    text = _text()
    lines = text.split("\n")
    lines[-2] = lines[-2].replace('"uncommitted":[],', "") + " "
    assert _faults("\n".join(lines)) == []


@pytest.mark.parametrize(
    "line",
    [
        '{"a": 1}',
        '{"a":1,"a":1}',
        '{"b":1,"a":1}',
        '{"a":1} ',
        '{"a":"\\u0061"}',
        '{"a":1e0}',
        "{",
        "[" * 5000,
    ],
)
def test_a_document_has_one_form(line: str) -> None:
    assert not form.is_canonical(line)
    assert form.is_canonical(canonical_json({"b": [1, 1.5, None], "a": "\u00e4\n"}))


def test_a_form_with_other_fields_is_a_form() -> None:
    """Another version of the program may know more or fewer of them."""
    record = msgspec.to_builtins(Tag().claim().new.open[0])
    del record["uncommitted"]
    assert form.is_canonical(canonical_json({**record, "zeal": 1}))
