"""Merging layers: what holds for every set of layers, and a few that one can read."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ci_tasks.environment.merge import merge

KEYS = st.sampled_from(["a", "b", "c", "a.b"])
SCALARS = st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["x", "y"])
VALUES = st.recursive(
    SCALARS | st.lists(SCALARS, max_size=2),
    lambda inner: st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
MAPS = st.dictionaries(KEYS, VALUES, max_size=3)
LAYERS = st.lists(MAPS, max_size=5).map(lambda maps: [(f"{n}.yml", one) for n, one in enumerate(maps)])


def at(value: Any, path: tuple[str, ...]) -> Any:
    """What stands at the path; KeyError if nothing does."""
    for key in path:
        if not isinstance(value, dict):
            raise KeyError(key)
        value = value[key]
    return value


def has(value: Any, path: tuple[str, ...]) -> bool:
    try:
        at(value, path)
    except KeyError:
        return False
    return True


def leaves(value: dict[str, Any], above: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    found: set[tuple[str, ...]] = set()
    for key, child in value.items():
        path = (*above, key)
        found |= leaves(child, path) if isinstance(child, dict) and child else {path}
    return found


def turned(value: Any) -> Any:
    """The same, with all keys in the opposite order."""
    if isinstance(value, dict):
        return {key: turned(child) for key, child in reversed(value.items())}
    return value


def test_maps_merge_and_lists_and_scalars_replace() -> None:
    found = merge(
        [
            ("low", {"map": {"kept": 1, "changed": 1, "list": [1, 2]}, "gone": {"x": 1}, "scalar": 1}),
            ("high", {"map": {"changed": 2, "list": [3], "new": None}, "gone": "text", "scalar": {"y": {}}}),
        ]
    )
    assert found.values == {
        "map": {"kept": 1, "changed": 2, "list": [3], "new": None},
        "gone": "text",
        "scalar": {"y": {}},
    }
    assert found.origins == {
        ("map", "kept"): "low",
        ("map", "changed"): "high",
        ("map", "list"): "high",
        ("map", "new"): "high",
        ("gone",): "high",
        ("scalar", "y"): "high",
    }


def test_an_empty_map_is_of_the_last_layer_that_has_it() -> None:
    assert merge([("low", {"a": {}}), ("high", {"a": {}}), ("other", {})]).origins == {("a",): "high"}


@given(LAYERS)
def test_the_order_of_keys_does_not_matter(layers: list[tuple[str, dict[str, Any]]]) -> None:
    one, other = merge(layers), merge([(path, turned(values)) for path, values in layers])
    assert one == other
    assert str(one) == str(other)


@given(LAYERS)
def test_merging_again_changes_nothing(layers: list[tuple[str, dict[str, Any]]]) -> None:
    once = merge(layers).values
    assert merge([("x", once)]).values == once
    assert merge([("x", once), ("y", once)]).values == once
    assert merge([*layers, ("x", once)]).values == once


@given(LAYERS)
def test_it_does_not_matter_which_layers_are_merged_first(layers: list[tuple[str, dict[str, Any]]]) -> None:
    for at_index in range(len(layers) + 1):
        left = ("left", merge(layers[:at_index]).values)
        assert merge([left, *layers[at_index:]]).values == merge(layers).values


@given(LAYERS)
def test_an_origin_has_the_key_with_that_value(layers: list[tuple[str, dict[str, Any]]]) -> None:
    found = merge(layers)
    assert set(found.origins) == leaves(found.values)
    files = dict(layers)
    for path, origin in found.origins.items():
        assert at(files[origin], path) == at(found.values, path)


@given(LAYERS)
def test_the_rightmost_layer_wins(layers: list[tuple[str, dict[str, Any]]]) -> None:
    found = merge(layers)
    for path in {path for _, values in layers for path in leaves(values)}:
        last = [values for _, values in layers if has(values, path)][-1]
        after = layers[[values is last for _, values in layers].index(True) + 1 :]
        # Nothing to the right has the key, or something else in the place of a map above it.
        if isinstance(at(last, path), dict) or any(
            has(values, path[:length]) and not isinstance(at(values, path[:length]), dict)
            for _, values in after
            for length in range(1, len(path))
        ):
            continue
        assert at(found.values, path) == at(last, path)


@given(LAYERS)
def test_what_was_merged_is_shared_with_nobody(layers: list[tuple[str, dict[str, Any]]]) -> None:
    before = str(layers)
    found = merge(layers)
    for path in leaves(found.values):
        value = at(found.values, path)
        (value.append if isinstance(value, list) else at(found.values, path[:-1]).__delitem__)(path[-1])
    assert str(layers) == before
