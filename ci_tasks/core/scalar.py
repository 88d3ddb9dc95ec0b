"""What an unquoted word of YAML means: text, number, boolean or nothing; what is doubtful is refused."""

from __future__ import annotations

import re

_NOTHING = frozenset({"", "~", "null"})
_BOOLEANS = {"true": True, "false": False}
# Words that YAML 1.1 takes for a boolean, or other spellings of true, false and null.
_BOOLEAN_WORDS = frozenset({"y", "n", "yes", "no", "on", "off"})
_SPELLINGS = frozenset({"true", "false", "null"})

_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+")
_LONGEST_NUMBER = 20
_INT64 = 2**63

# What YAML 1.1 or the core schema of 1.2 read as a number or a date (yaml.org/type, YAML 1.2.2 part 10.3.2).
_NUMBER_LIKE = re.compile(
    r"""[-+]?(?:
        0b[01_]+ | 0o[0-7]+ | 0x[0-9a-fA-F_]+        # other bases
      | [0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?  # to the base of 60: 22:22
      | (?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?  # 012, 1_000, 1.20, 1e3
      | \.(?:inf|Inf|INF|nan|NaN|NAN)
    )""",
    re.VERBOSE,
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}.*)?")


class ScalarError(ValueError):
    """Readers of YAML disagree about this word; the text says what to write and never shows the value."""


def read_scalar(text: str) -> str | int | float | bool | None:
    """The value of an unquoted scalar.

    Numbers are decimal and written as they are printed; every other word that YAML 1.1 or 1.2 would take
    for something else than text raises ScalarError.
    """
    if text in _NOTHING:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _NUMBER_LIKE.fullmatch(text):
        return _number(text)
    _refuse_doubtful(text)
    return text


def read_key(text: str) -> str:
    """An unquoted key as text. A key is never a boolean, so `on:` and `no:` are fine; numbers are not."""
    if text.lower() in _BOOLEAN_WORDS:
        return text
    if not isinstance(read_scalar(text), str):
        raise ScalarError("a key is text: quote it")
    return text


def _number(text: str) -> int | float:
    if len(text) <= _LONGEST_NUMBER:
        if _WHOLE.fullmatch(text) and text != "-0" and -_INT64 <= int(text) < _INT64:
            return int(text)
        if _DECIMAL.fullmatch(text) and repr(float(text)) == text:
            return float(text)
    raise ScalarError(
        "read as a number, this would not stay as it is written (1.50 would become 1.5): quote it"
    )


def _refuse_doubtful(text: str) -> None:
    folded = text.lower()
    if folded in _SPELLINGS:
        raise ScalarError(f"write {folded}, or quote it")
    if folded in _BOOLEAN_WORDS:
        raise ScalarError(
            "some readers of YAML take this word for true or false: write true or false, or quote it"
        )
    if _DATE.fullmatch(text):
        raise ScalarError("some readers of YAML take this for a date: quote it")
    if text in {"<<", "="}:
        raise ScalarError("some readers of YAML give this a meaning of its own: quote it")
