"""How many examples a property is tried with: some each time, all with `--hypothesis-profile=thorough`."""

from __future__ import annotations

from hypothesis import settings

_USUAL, _ALL = 25, 300

settings.register_profile("usual", settings.default, max_examples=_USUAL, deadline=None)
settings.register_profile("thorough", settings.default, max_examples=_ALL, deadline=None)
settings.load_profile("usual")  # unless the command line names another one, which pytest loads later


def examples(count: int) -> settings:
    """So many examples where the tests are to be thorough, else a quarter of them."""
    is_thorough = settings().max_examples >= _ALL
    return settings(max_examples=count if is_thorough else max(count // 4, 5))
