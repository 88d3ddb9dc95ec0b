"""The only module that reads YAML: each event is checked before anything is built from it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml  # noqa: TID251 - this is the gateway

from ci_tasks.core.errors import UsageError
from ci_tasks.core.scalar import ScalarError, read_key, read_scalar

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST = 1024 * 1024  # bytes
DEEPEST = 64  # maps and lists inside one another
MOST = 50_000  # keys and values; keeps time and memory small for what 1 MiB can hold
# Some builds of PyYAML come without libyaml; the guard is the same for both.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_CORE = "tag:yaml.org,2002:"
_SCALAR_TAGS: Mapping[str, type] = {"int": int, "float": float, "bool": bool, "null": type(None)}
# What YAML 1.2.2 part 5.1 does not allow in a file.
_NOT_PRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LONGEST_SHOWN = 120
_SIMPLE_KEY = re.compile(r"[A-Za-z0-9_/-]+")
_SURROGATE = re.compile("[\ud800-\udfff]")


class DocumentError(UsageError):
    """A file that is not what it should be, with the place: name, line and column (1-based, or None)."""

    def __init__(self, reason: str, *, name: str, line: int | None = None, column: int | None = None) -> None:
        place = ":".join(str(part) for part in (name, line, column) if part is not None)
        super().__init__(f"{place}: {reason}", unchanged="Nothing was changed.")
        self.reason = reason
        self.name = name
        self.line = line
        self.column = column


def dotted(path: tuple[str, ...]) -> str:
    """The path of a key as one text, `a.b`; a key with a dot of its own is quoted, so no two are alike."""
    return ".".join(key if _SIMPLE_KEY.fullmatch(key) else json.dumps(key) for key in path)


def shown(path: tuple[str, ...]) -> str:
    """The same for a message: not longer than a line or two."""
    text = dotted(path)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "..."


@dataclass(frozen=True, kw_only=True)
class Document:
    """A map that was read from YAML, and where its keys stand."""

    name: str
    value: dict[str, Any]
    lines: Mapping[tuple[str, ...], int] = field(repr=False)
    columns: Mapping[tuple[str, ...], int] = field(repr=False, default_factory=dict)

    def line(self, *path: str) -> int | None:
        """1-based line of a key, or of a list's entry ("regions", "0"); None if there is none."""
        return self.lines.get(path)

    def position(self, *path: str) -> tuple[int | None, int | None]:
        """The same with the 1-based column."""
        return self.lines.get(path), self.columns.get(path)

    def error(self, reason: str, *path: str) -> DocumentError:
        """An error that names the place of this key."""
        text = f"{shown(path)}: {reason}" if path else reason
        return DocumentError(text, name=self.name, line=self.line(*path))


def read_yaml(data: bytes, *, name: str) -> Document:
    """The one map in these bytes; nothing at all is an empty map. `name` is the file, for messages.

    Raises DocumentError (a UsageError) with line and column; it names keys and never shows a value.
    """
    text = _decode(data, name)
    builder = _Builder(name)
    try:
        for event in yaml.parse(text, Loader=LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = f"this is not YAML: {error.problem or error.context}"
        raise _at(name, mark, reason) from None
    except yaml.YAMLError:
        raise DocumentError("this is not YAML", name=name) from None
    return Document(name=name, value=builder.root, lines=builder.lines, columns=builder.columns)


def _decode(data: bytes, name: str) -> str:
    if len(data) > LARGEST:
        raise DocumentError(f"the file is larger than {LARGEST // 1024} KiB", name=name)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _position(data[: error.start].decode("utf-8", "replace"))
        raise DocumentError("this is not UTF-8 text", name=name, line=line, column=column) from None
    strange = _NOT_PRINTABLE.search(text)
    if strange:
        line, column = _position(text[: strange.start()])
        reason = f"the control character U+{ord(strange[0]):04X} can't stand in YAML"
        raise DocumentError(reason, name=name, line=line, column=column)
    return text


def _position(before: str) -> tuple[int, int]:
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _line(event: Any) -> int:
    """1-based line; events of a parser always have a mark."""
    return int(event.start_mark.line) + 1


def _at(name: str, mark: Any, reason: str) -> DocumentError:
    if mark is None:
        return DocumentError(reason, name=name)
    return DocumentError(reason, name=name, line=mark.line + 1, column=mark.column + 1)


@dataclass(kw_only=True)
class _Open:
    """A map or list whose end has not come yet."""

    into: dict[str, Any] | list[Any]
    path: tuple[str, ...]
    key: str | None = None  # of a map: the key whose value comes next


class _Builder:
    """Builds the map from events without recursion; refuses what the guard does not allow."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.root: dict[str, Any] = {}
        self.lines: dict[tuple[str, ...], int] = {}
        self.columns: dict[tuple[str, ...], int] = {}
        self._open: list[_Open] = []
        self._documents = 0
        self._count = 0

    def take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self._start(event)
        elif isinstance(event, yaml.NodeEvent):
            self._node(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._open.pop()

    def _start(self, event: yaml.DocumentStartEvent) -> None:
        self._documents += 1
        if self._documents > 1:
            raise self._refuse(event, "there is a second document (---) in the file; one is expected")
        if event.version or event.tags:
            raise self._refuse(event, "directives (%YAML, %TAG) are not read")

    def _node(self, event: yaml.NodeEvent) -> None:
        self._count += 1
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise self._refuse(event, "anchors (&) and aliases (*) are not read: write the value out")
        if self._count > MOST:
            raise self._refuse(event, f"the file has more than {MOST} keys and values")
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        else:
            self._collection(event)

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        if _SURROGATE.search(event.value):  # only the Python parser lets such an escape pass
            raise self._refuse(event, "half a surrogate pair is no character")
        top = self._open[-1] if self._open else None
        if top is not None and isinstance(top.into, dict) and top.key is None:
            self._key(event, top, top.into)
            return
        try:
            value = self._value(event)
        except ScalarError as error:
            where = shown(self._here()) + ": " if self._open else ""
            raise self._refuse(event, f"{where}{error}") from None
        if top is None:
            if value is not None:
                raise self._refuse(event, "a map (key: value) is expected at the top of the file")
            return
        self._add(event, value)

    def _value(self, event: yaml.ScalarEvent) -> object:
        tag = self._core_tag(event)
        if tag == "str" or (tag is None and event.style):
            return event.value
        value = read_scalar(event.value)
        if tag is not None and type(value) is not _SCALAR_TAGS.get(tag):
            raise ScalarError(f"this is not what its tag !!{tag[:20]} says")
        return value

    def _key(self, event: yaml.ScalarEvent, top: _Open, into: dict[str, Any]) -> None:
        tag = self._core_tag(event)
        if tag not in {None, "str"}:
            raise self._refuse(event, "a key is text: quote it")
        try:
            key = event.value if tag or event.style else read_key(event.value)
        except ScalarError as error:
            raise self._refuse(event, str(error)) from None
        path = (*top.path, key)
        if key in into:
            lines = f"lines {self.lines[path]} and {_line(event)}"
            raise self._refuse(event, f"the key {shown(path)} stands twice: {lines}")
        into[key] = None
        self._place(path, event)
        top.key = key

    def _collection(self, event: yaml.NodeEvent) -> None:
        is_map = isinstance(event, yaml.MappingStartEvent)
        tag = self._core_tag(event)
        if tag not in {None, "map" if is_map else "seq"}:
            raise self._refuse(event, f"this is not what its tag !!{str(tag)[:20]} says")
        into: dict[str, Any] | list[Any] = {} if is_map else []
        if not self._open:
            if not isinstance(into, dict):
                raise self._refuse(event, "a map (key: value) is expected at the top of the file")
            self.root = into
            self._open.append(_Open(into=into, path=()))
            return
        if len(self._open) >= DEEPEST:
            raise self._refuse(event, f"maps and lists are more than {DEEPEST} deep")
        top = self._open[-1]
        if isinstance(top.into, dict) and top.key is None:
            raise self._refuse(event, "a key is text, not a map or a list")
        path = self._here()
        self._add(event, into)
        self._open.append(_Open(into=into, path=path))

    def _add(self, event: yaml.NodeEvent, value: object) -> None:
        top = self._open[-1]
        if isinstance(top.into, list):
            self._place(self._here(), event)
            top.into.append(value)
        elif top.key is not None:
            top.into[top.key] = value
            top.key = None

    def _place(self, path: tuple[str, ...], event: Any) -> None:
        self.lines[path] = _line(event)
        self.columns[path] = int(event.start_mark.column) + 1

    def _here(self) -> tuple[str, ...]:
        """The path of the value that comes now."""
        top = self._open[-1]
        return (*top.path, str(len(top.into)) if isinstance(top.into, list) else str(top.key))

    def _core_tag(self, event: Any) -> str | None:
        """The name of an explicit core tag; every other tag is refused."""
        tag: str | None = event.tag
        if tag is None:
            return None
        known = {"map", "seq"} if isinstance(event, yaml.CollectionStartEvent) else {"str", *_SCALAR_TAGS}
        for name in known:
            if tag == _CORE + name:
                return name
        shown = "!!" + tag[len(_CORE) :] if tag.startswith(_CORE) else tag
        raise self._refuse(event, f"the tag {shown[:80]!r} is not read; leave it out")

    def _refuse(self, event: yaml.Event, reason: str) -> DocumentError:
        return _at(self.name, event.start_mark, reason)
