"""Which values and names differ: pure functions of two configurations, or of two sets of names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ci_tasks.core.document import DocumentError, dotted, read_yaml
from ci_tasks.deploy.diff.model import ChangeKind, NamedChange, ValueChange
from ci_tasks.deploy.diff.shown_values import Shown, as_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ci_tasks.environment.model import Resolved

_METADATA = "sops"
_ENCRYPTED = "ENC["


def changed_values(before: Resolved | None, after: Resolved) -> tuple[ValueChange, ...]:
    """The values that differ, by key. Raises nothing, and shows no value that looks like a secret."""
    old, new = _leaves(_tree(before)) if before else {}, _leaves(_tree(after))
    shown = Shown(*([_tree(before)] if before else []), _tree(after))
    return tuple(
        ValueChange(
            key=dotted(path),
            before=shown.text(path, old[path]) if path in old else None,
            after=shown.text(path, new[path]) if path in new else None,
        )
        for path in sorted({*old, *new})
        if (path in old, as_text(old.get(path))) != (path in new, as_text(new.get(path)))
    )


def changed_names(
    before: Mapping[tuple[str, str], str], after: Mapping[tuple[str, str], str]
) -> Iterator[NamedChange]:
    """What differs between two maps from a path and a key to something that stands for the content."""
    for path, key in sorted({*before, *after}):
        old, new = before.get((path, key)), after.get((path, key))
        if old == new:
            continue
        kind = ChangeKind.ADDED if old is None else ChangeKind.REMOVED if new is None else ChangeKind.CHANGED
        yield NamedChange(path=path, key=key or None, change=kind)


def secret_names(data: bytes, path: str) -> dict[str, str] | None:
    """The keys of an encrypted file, each with what stands there: encrypted, and for comparison alone.

    None for a file that is not what SOPS writes: of plaintext not even the names are shown.
    """
    try:
        tree = _read(data, path)
    except (DocumentError, ValueError, RecursionError):
        tree = {}
    metadata = tree.get(_METADATA)
    mac = metadata.get("mac") if isinstance(metadata, dict) else None
    if not str(mac).startswith(_ENCRYPTED):
        return None
    values = {key: value for key, value in tree.items() if key != _METADATA}
    return {dotted(key): as_text(value) for key, value in _leaves(values).items()}


def _read(data: bytes, path: str) -> dict[str, Any]:
    """The file as a map with the block `sops`; the name's end tells YAML and dotenv, all else is JSON."""
    suffix = path.lower().rpartition(".")[2]
    if suffix in {"yaml", "yml"}:
        return dict(read_yaml(data, name=path).value)
    if suffix != "env":
        tree = json.loads(data)
        return tree if isinstance(tree, dict) else {}
    return _of_dotenv(data.decode())


def _of_dotenv(text: str) -> dict[str, Any]:
    """The variables; nothing at all of a text with a line that SOPS does not write, which may be a secret."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    pairs = {key: value for key, equals, value in (line.partition("=") for line in lines) if equals}
    flat = f"{_METADATA}_"
    values: dict[str, Any] = {key: value for key, value in pairs.items() if not key.startswith(flat)}
    if len(pairs) < len(lines) or not all(_is_written_by_sops(key, value) for key, value in values.items()):
        return {}
    return {**values, _METADATA: {key.removeprefix(flat): pairs[key] for key in pairs if key not in values}}


def _is_written_by_sops(key: str, value: str) -> bool:
    """True for an encrypted value, an empty one, and one that is meant to be readable."""
    return value == "" or value.startswith(_ENCRYPTED) or key.endswith("_unencrypted")


def _tree(resolved: Resolved) -> dict[str, Any]:
    return {**resolved.values, "env": resolved.env, "providers": resolved.providers}


def _leaves(tree: Mapping[str, Any], above: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Every value by the keys above it; a list is one value, an empty map none."""
    found: dict[tuple[str, ...], Any] = {}
    for key, value in tree.items():
        path = (*above, key)
        if isinstance(value, dict):
            found |= _leaves(value, path)
        else:
            found[path] = value
    return found
