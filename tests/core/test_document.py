"""YAML: what is read, what is refused, and where the message points to."""

from __future__ import annotations

import json
import re
import tracemalloc
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ci_tasks.core import document
from ci_tasks.core.document import DocumentError, dotted, read_yaml
from ci_tasks.core.errors import ExitCode, UsageError

LOADERS = [pytest.param(yaml.SafeLoader, id="python")]
if hasattr(yaml, "CSafeLoader"):
    LOADERS.append(pytest.param(yaml.CSafeLoader, id="c"))


@pytest.fixture(params=LOADERS, autouse=True)
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs with libyaml and without it."""
    monkeypatch.setattr(document, "LOADER", request.param)


def read(text: str | bytes) -> dict[str, Any]:
    return read_yaml(text.encode() if isinstance(text, str) else text, name="some.yml").value


def refusal(text: str | bytes) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        read(text)
    assert caught.value.exit_code is ExitCode.USAGE
    assert isinstance(caught.value, UsageError)
    return caught.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", {}),
        ("# only a comment\n", {}),
        ("---\n", {}),
        ("~", {}),
        ("a: 1\nb: -2\nc: 1.5\nd: 0\ne: -0.5", {"a": 1, "b": -2, "c": 1.5, "d": 0, "e": -0.5}),
        ("a: true\nb: false", {"a": True, "b": False}),
        ("a:\nb: ~\nc: null", {"a": None, "b": None, "c": None}),
        ("a: 10m\nb: 1.2.3\nc: 10.0.0.1\nd: v1\ne: 8080:80", None),
        ("a: 'NO'\nb: \"1.20\"\nc: '22:22'", {"a": "NO", "b": "1.20", "c": "22:22"}),
        ("a: !!str 1.20\nb: !!int 12\nc: !!bool true\nd: !!float 1.5\ne: !!null ~", None),
        ("a: !!map {}\nb: !!seq [x]", {"a": {}, "b": ["x"]}),
        ("a: |\n  x\n  y\n", {"a": "x\ny\n"}),
        ("on: push\nno: norway\n'12': twelve", {"on": "push", "no": "norway", "12": "twelve"}),
        ("a: [x, {b: [c]}]", {"a": ["x", {"b": ["c"]}]}),
        ("\ufeffa: b", {"a": "b"}),
        ("a: b\r\nc: d\r\n", {"a": "b", "c": "d"}),
        ("a: ü 😀", {"a": "ü 😀"}),
    ],
)
def test_what_is_read(text: str, value: dict[str, Any] | None) -> None:
    expected = value if value is not None else yaml.safe_load(text)
    found = read(text)
    assert found == expected
    assert {key: type(one) for key, one in found.items()} == {key: type(one) for key, one in expected.items()}


@pytest.mark.parametrize(
    "word",
    [
        *("NO", "No", "yes", "on", "OFF", "y", "N", "True", "FALSE", "Null", "NULL"),
        *("1.20", "012", "0o17", "0x1F", "0b11", "1e3", "1.5e+3", "1_000", "+5", ".5", "5.", "-0", "08"),
        *("22:22", "1:30:00", "1.10", ".inf", "-.INF", ".nan", "2024-01-01", "2024-1-1T01:02:03Z", "<<", "="),
        *("9223372036854775808", "1" * 5000, "0.1000000000000000055"),
    ],
)
def test_f24_a_doubtful_word_must_be_quoted(word: str) -> None:
    error = refusal(f"a: 1\nsome:\n  - {{key: {word}}}\n")
    assert error.what.startswith("some.yml:3:11: some.0.key: ")
    assert "quote it" in error.what
    assert (error.line, error.column) == (3, 11)
    assert len(word) < 3 or word not in error.reason
    assert read(f"a: '{word}'") == {"a": word}


@pytest.mark.parametrize(
    "text",
    ["version: 1.20", "enabled: NO", "port: 22:22"],
    ids=["F24-version", "F24-enabled", "F24-port"],
)
def test_the_examples_of_words_that_change(text: str) -> None:
    assert "quote it" in refusal(text).what


@given(st.text(alphabet="0123456789_.:eE+-xobafnN", min_size=1, max_size=8))
def test_a_word_is_read_as_it_is_printed_or_as_text_by_everybody(word: str) -> None:
    try:
        [value] = read_yaml(f"a: {word}".encode(), name="x").value.values()
    except DocumentError:
        return
    if isinstance(value, str):
        assert yaml.safe_load(f"a: {word}") == {"a": word}
        assert not re.fullmatch(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", word)
    elif value is not None:
        assert json.dumps(value) == word
        assert yaml.safe_load(f"a: {word}") == {"a": value}


# JSON writes what lies above as two escapes, which YAML does not join.
TEXTS = st.text(st.characters(codec="utf-8", max_codepoint=0xFFFF), max_size=8)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(TEXTS, JSON_VALUES, max_size=5))
def test_json_is_read_as_what_it_is(value: dict[str, Any]) -> None:
    assert read_yaml(json.dumps(value).encode(), name="x").value == value


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        value = read_yaml(data, name="x").value
    except DocumentError:
        return
    assert isinstance(value, dict)
    json.dumps(value).encode()


@pytest.mark.parametrize(
    ("text", "place", "part"),
    [
        pytest.param("a: &x 1", "1:4", "anchors", id="F19-anchor"),
        pytest.param("a: 1\nb: *x", "2:4", "aliases", id="F19-alias"),
        pytest.param(
            "a: !!python/object/apply:os.system [x]", "1:4", "python/object", id="F21-python-object"
        ),
        pytest.param("a: 1\nb: !include x", "2:4", "!include", id="F21-include"),
        pytest.param("a: !!strange x", "1:4", "!!strange", id="F21-unknown-core-tag"),
        pytest.param("a: ! x", "1:4", "'!'", id="F21-non-specific-tag"),
        pytest.param("a: !<tag:yaml.org,2002:int2> 1", "1:4", "int2", id="F21-almost-a-core-tag"),
        pytest.param("!!set {a: 1}", "1:1", "!!set", id="F21-set"),
        pytest.param("%TAG ! tag:yaml.org,2002:\n---\na: !int 1", "", "directives", id="F21-tag-directive"),
        pytest.param("%YAML 1.1\n---\na: 1", "", "directives", id="F21-yaml-directive"),
        pytest.param("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3", "5:3", "lines 3 and 5", id="F22-duplicate"),
        pytest.param('a: 1\n"a": 2', "2:1", "lines 1 and 2", id="F22-duplicate-quoted"),
        ("a: !!int x", "1:4", "its tag"),
        ("a: !!int 1.5", "1:4", "its tag"),
        ("a: !!str [x]", "1:4", "!!str"),
        ("a: !!map [x]", "1:4", "its tag"),
        ("12: x", "1:1", "quote it"),
        ("true: x", "1:1", "quote it"),
        ("~: x", "1:1", "quote it"),
        ("1.20: x", "1:1", "quote it"),
        ("!!int 1: x", "1:1", "quote it"),
        ("<<: {a: 1}", "1:1", "quote it"),
        ("? [a]\n: b", "1:3", "not a map or a list"),
        ("- a", "1:1", "a map"),
        ("text", "1:1", "a map"),
        ("a: 1\n---\nb: 2", "2:1", "second document"),
        ("a:\n\t- b", "2:1", "not YAML"),
        ("a: 'b", "1:", "not YAML"),
        (r'a: "\ud800"', "1:", ""),
        ("a: b: c", "1:5", "not YAML"),
        ("ok: 1\na: x\x01", "2:5", "U+0001"),
        (b"ok: 1\na: \xff", "2:4", "UTF-8"),
        ("a: 1".encode("utf-16"), "1:1", "UTF-8"),
        ("a: [" + "x," * 60_000 + "]", "1:", "50000"),
        (b"# " + b"x" * 1024 * 1024, "", "1024 KiB"),
    ],
)
def test_what_is_refused_and_where(text: str | bytes, place: str, part: str) -> None:
    error = refusal(text)
    assert error.what.startswith(f"some.yml:{place}")
    assert part in error.what
    assert error.unchanged == "Nothing was changed."


def test_f19_an_alias_bomb_costs_nothing() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40)]
    tracemalloc.start()
    try:
        error = refusal("\n".join(lines))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert error.line == 1
    assert peak < 50 * 1024 * 1024


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a: " + "[" * 5000, id="F23-lists"),
        pytest.param("a: " + "{a: " * 5000, id="F23-maps"),
        pytest.param("\n".join(" " * depth + "a:" for depth in range(1400)), id="F23-block"),
        pytest.param("a:\n" + "- " * 5000 + "x", id="F23-block-lists"),
    ],
)
def test_deep_nesting_is_refused_early(text: str) -> None:
    assert "64 deep" in refusal(text).what


def test_64_deep_is_fine_and_65_is_not() -> None:
    def nested(depth: int) -> str:
        return "a: " + "[" * (depth - 1) + "]" * (depth - 1)

    assert read(nested(64))
    assert "64 deep" in refusal(nested(65)).what


def test_a_long_run_of_digits_is_no_trouble() -> None:
    assert read("a: " + "1" * 500_000 + "x")["a"].endswith("1x")


def test_lines_of_keys_and_entries() -> None:
    found = read_yaml(b"a: 1\nb:\n  c: x\n  d:\n  - e\n  - f: g\n", name="some.yml")
    assert found.line("a") == 1
    assert found.line("b", "c") == 3
    assert found.line("b", "d", "1") == 6
    assert found.line("b", "d", "1", "f") == 6
    assert found.line("z") is None
    assert found.error("is wrong", "b", "c").what == "some.yml:3: b.c: is wrong"
    assert found.error("is wrong").what == "some.yml: is wrong"


@given(st.lists(st.text(min_size=0, max_size=5), min_size=1, max_size=4))
def test_no_two_paths_are_written_alike(keys: list[str]) -> None:
    path = tuple(keys)
    parts = re.findall(r'"(?:[^"\\]|\\.)*"|[A-Za-z0-9_/-]+', dotted(path))
    assert tuple(json.loads(part) if part.startswith('"') else part for part in parts) == path


def test_a_refusal_never_shows_a_value() -> None:
    for text in (
        "a: 0x5ec2e7",
        "a: !!int s3cr3t",
        "a: &x s3cr3t",
        "a: s3cr3t: s3cr3t",
        "a: 's3cr3t",
        "s3cr3t",
    ):
        error = refusal(text)
        assert "s3cr3t" not in error.what
        assert "5ec2e7" not in error.what
