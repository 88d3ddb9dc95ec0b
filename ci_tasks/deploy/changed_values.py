"""Which values and names differ: pure functions of two configurations, or of two sets of names."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from ci_tasks.core.document import DocumentError, dotted, read_yaml
from ci_tasks.core.redact import STARS, Redactor, secrets_in
from ci_tasks.deploy.diff_model import ChangeKind, NamedChange, ValueChange

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ci_tasks.environment.model import Resolved

WHOLE = ""
"""The key of a secrets file that can't be taken apart."""

_METADATA = "sops"
_HIDDEN = STARS.decode()


def changed_values(before: Resolved | None, after: Resolved) -> tuple[ValueChange, ...]:
    """The values that differ, by key. Raises nothing, and shows no value that looks like a secret."""
    old = _leaves(_tree(before)) if before else {}
    new = _leaves(_tree(after))
    secrets = [*secrets_in(before.env if before else {}), *secrets_in(after.env)]
    redactor = Redactor(secrets)
    return tuple(
        ValueChange(
            key=dotted(path),
            before=_shown(path, old.get(path), redactor),
            after=_shown(path, new.get(path), redactor),
        )
        for path in sorted({*old, *new})
        if old.get(path) != new.get(path)
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


def secret_names(data: bytes, path: str) -> dict[str, str]:
    """The keys of an encrypted file, each with what stands there: encrypted, and for comparison alone.

    A file that is not what SOPS writes has the one key `WHOLE`: of plaintext not even the names are shown.
    """
    try:
        tree = _read(data, path)
    except (DocumentError, ValueError, RecursionError):
        tree = {}
    if _METADATA not in tree:
        return {WHOLE: hashlib.sha256(data).hexdigest()}
    values = {key: value for key, value in tree.items() if key != _METADATA}
    return {dotted(key): value for key, value in _leaves(values).items()}


def _read(data: bytes, path: str) -> dict[str, Any]:
    """The file as a map with the block `sops`; the name's end tells YAML and dotenv, all else is JSON."""
    suffix = path.lower().rpartition(".")[2]
    if suffix in {"yaml", "yml"}:
        return dict(read_yaml(data, name=path).value)
    if suffix != "env":
        tree = json.loads(data)
        return tree if isinstance(tree, dict) else {}
    pairs = [line.partition("=") for line in data.decode().splitlines() if not line.startswith("#")]
    values = {key: value for key, equals, value in pairs if equals}
    flat = f"{_METADATA}_"
    found: dict[str, Any] = {key: value for key, value in values.items() if not key.startswith(flat)}
    return {**found, _METADATA: {}} if len(found) < len(values) else found


def _tree(resolved: Resolved) -> dict[str, Any]:
    return {**resolved.values, "env": resolved.env, "providers": resolved.providers}


def _leaves(tree: Mapping[str, Any], above: tuple[str, ...] = ()) -> dict[tuple[str, ...], str]:
    """Every value as text by the keys above it; a list is one value, an empty map none."""
    found: dict[tuple[str, ...], str] = {}
    for key, value in tree.items():
        path = (*above, key)
        if isinstance(value, dict):
            found |= _leaves(value, path)
        else:
            found[path] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return found


def _shown(path: tuple[str, ...], text: str | None, redactor: Redactor) -> str | None:
    if text is None:
        return None
    if secrets_in(dict.fromkeys(path, text)):
        return _HIDDEN
    return redactor.text(text)
