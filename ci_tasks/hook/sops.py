"""Whether a file is encrypted as SOPS does it: every value but those that its own metadata leaves out."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ci_tasks.core.document import DocumentError, read_yaml
from ci_tasks.hook.comments import Comment, comments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_LARGEST = 1 << 24  # bytes
_VALUE = re.compile(
    r"ENC\[AES256_GCM,data:[A-Za-z0-9+/=]*,iv:[A-Za-z0-9+/=]+,tag:[A-Za-z0-9+/=]+,type:[a-z]+\]"
)
_COMMENT = re.compile(rf"(?:{_VALUE.pattern})?")  # SOPS leaves an empty one as it is
_METADATA = "sops"
_FLAT = f"{_METADATA}_"  # dotenv has no maps: there the metadata are variables
_RULES = (
    "unencrypted_suffix",
    "encrypted_suffix",
    "unencrypted_regex",
    "encrypted_regex",
    "unencrypted_comment_regex",
    "encrypted_comment_regex",
)
_OWN = frozenset(
    (
        *_RULES,
        *("mac", "mac_only_encrypted", "lastmodified", "version", "shamir_threshold", "key_groups"),
        *("kms", "gcp_kms", "azure_kv", "hc_vault", "hckms", "age", "pgp"),
    )
)
"""What SOPS itself writes into its block."""


def fault_of(data: bytes, name: str) -> str | None:
    """Why a file is not encrypted, by the keys and never by a value; None where it is.

    The name's end tells YAML and dotenv; all else is JSON, as SOPS writes binary files.
    """
    if len(data) > _LARGEST:
        return f"it is larger than {_LARGEST >> 20} MiB"
    try:
        return _reader(name)(data)
    except DocumentError as error:
        place = f"line {error.line}: " if error.line else ""
        return f"it can't be read: {place}{error.reason}"
    except (UnicodeDecodeError, RecursionError):
        return "it is no text that SOPS writes"
    except ValueError as error:
        return str(error)


def _reader(name: str) -> Callable[[bytes], str | None]:
    suffix = name.lower().rpartition(".")[2]
    if suffix in {"yaml", "yml"}:
        return lambda data: _fault_of_yaml(data, name)
    if suffix == "env":
        return lambda data: _fault_of_dotenv(data.decode())
    return lambda data: _fault_of_tree(_json(data))


def _json(data: bytes) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """A key that stands twice could hide a value."""
        if len({key for key, _ in pairs}) < len(pairs):
            raise ValueError("it has a key twice")
        return dict(pairs)

    try:
        tree = json.loads(data, object_pairs_hook=once)
    except json.JSONDecodeError:
        raise ValueError("it is plaintext") from None
    if not isinstance(tree, dict):
        raise ValueError("it is plaintext")  # noqa: TRY004 - one kind of error for whoever calls
    return tree


def _fault_of_dotenv(text: str) -> str | None:
    pairs: dict[str, Any] = {}
    found: list[Comment] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#"):
            found.append(Comment(text=line[1:], line=number, above=()))
        if not line.strip() or line.startswith("#"):
            continue
        key, equals, value = line.partition("=")
        if not equals:
            return "it has a line that is no variable"
        if key in pairs:
            return "it has a variable twice"
        pairs[key] = value
    metadata = {key.removeprefix(_FLAT): value for key, value in pairs.items() if key.startswith(_FLAT)}
    values = {key: value for key, value in pairs.items() if not key.startswith(_FLAT)}
    return _fault(values, metadata, found)


def _fault_of_yaml(data: bytes, name: str) -> str | None:
    document = read_yaml(data, name=name)
    return _fault_of_tree(document.value, comments(document, data))


def _fault_of_tree(tree: Mapping[str, Any], found: Iterable[Comment] = ()) -> str | None:
    metadata = tree.get(_METADATA)
    if not isinstance(metadata, dict):
        return "it is plaintext: it has no block `sops`"
    return _fault({key: value for key, value in tree.items() if key != _METADATA}, metadata, found)


def _fault(values: Mapping[str, Any], metadata: Mapping[str, Any], found: Iterable[Comment]) -> str | None:
    mac = metadata.get("mac")
    if not (isinstance(mac, str) and _VALUE.fullmatch(mac)):
        return "it is plaintext: its block `sops` has no mac"
    # In dotenv what is below a name comes behind `__`.
    strange = next((key for key in metadata if key.partition("__")[0] not in _OWN), None)
    if strange is not None:
        return f"its block `sops` has {strange[:100]!r}, which SOPS does not write"
    is_meant = _meant(metadata)
    for path, value in _leaves(values):
        # SOPS leaves empty texts and nulls as they are.
        if value is None or value == "" or (isinstance(value, str) and _VALUE.fullmatch(value)):
            continue
        if is_meant(path):
            return f"the value of {'.'.join(path)[:100]} is plaintext"
    plain = (each for each in found if not _COMMENT.fullmatch(each.text))
    comment = next((each for each in plain if each.above[:1] == (_METADATA,) or is_meant(each.above)), None)
    return f"the comment in line {comment.line} is plaintext" if comment else None


def _meant(metadata: Mapping[str, Any]) -> Callable[[tuple[str, ...]], bool]:
    """Which values SOPS was told to encrypt, by the keys above them (README of SOPS)."""
    rules = [name for name in _RULES if metadata.get(name)]
    name = rules[0] if rules else "unencrypted_suffix"
    told = metadata.get(name) if rules else "_unencrypted"
    if len(rules) > 1 or not isinstance(told, str):
        raise ValueError("its block `sops` says in two ways what is encrypted")
    if "comment" in name:
        return lambda _: False  # comments decide: what belongs to which one is for SOPS to know
    if name.endswith("suffix"):
        return _with(lambda key: key.endswith(told), encrypts=not name.startswith("un"))
    try:
        pattern = re.compile(told)
    except re.error:
        raise ValueError(f"its block `sops` has no regular expression in {name}") from None
    return _with(lambda key: pattern.search(key) is not None, encrypts=not name.startswith("un"))


def _with(fits: Callable[[str], bool], *, encrypts: bool) -> Callable[[tuple[str, ...]], bool]:
    return lambda path: any(map(fits, path)) is encrypts


def _leaves(tree: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """Every value with the keys above it; places in a list are no keys."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _leaves(value, (*path, key))
    elif isinstance(tree, list):
        for value in tree:
            yield from _leaves(value, path)
    else:
        yield path, tree
