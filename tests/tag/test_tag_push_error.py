"""What a user is told whose push a server's rules decline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ci_tasks.core.errors import CiTasksError, RefusedError
from ci_tasks.core.git.push import RefUpdate
from ci_tasks.tag.push_error import push_error
from tests.core.places import TAG, hook, origin_of, tag_content

if TYPE_CHECKING:
    from tests.repositories import Monorepo

ADDRESS = "https://github.com/acme/shop/rules"
GITHUB = f"""\
error: GH013: Repository rule violations found for {TAG}.
Review all repository rules at {ADDRESS}?ref=refs%2Ftags

- RULE

"""


def declined(monorepo: Monorepo, words: str, *, is_environment: bool = True) -> CiTasksError:
    """The error of a push that the remote declines with these words."""
    says = "".join(f"echo '{line}' >&2\n" for line in words.splitlines())
    hook(monorepo.remote, "pre-receive", f"{says}exit 1")
    origin = origin_of(monorepo.clone)
    created = origin.write_tag(tag_content(monorepo.git("rev-parse", "HEAD"), "one"))
    outcome = origin.push([RefUpdate(ref=TAG, new=created, old=None)])
    assert TAG not in monorepo.remote_refs()
    return push_error(
        outcome,
        what="move it",
        unchanged="Nothing was changed.",
        later="inv tag.list",
        is_environment=is_environment,
    )


@pytest.mark.parametrize(
    ("rule", "is_burned"),
    [
        pytest.param("Cannot update this protected ref.", False, id="F80-update"),
        pytest.param("Cannot create ref due to creations being restricted.", True, id="F81-creation"),
    ],
)
def test_a_ruleset_is_named_with_the_actor_that_it_wants(
    monorepo: Monorepo, rule: str, *, is_burned: bool
) -> None:
    error = declined(monorepo, GITHUB.replace("RULE", rule))
    assert isinstance(error, RefusedError)
    assert error.what == f"Could not move it: a ruleset on GitHub declines it ({rule.removesuffix('.')})."
    details = "\n".join(error.details)
    assert "the GitHub App or the deploy key of the setting tagWriter" in details
    assert "GITHUB_TOKEN" in details
    assert ADDRESS in details
    assert ("immutable release" in details) == is_burned


def test_f80_who_writes_environment_tags_is_no_matter_of_a_version(monorepo: Monorepo) -> None:
    error = declined(monorepo, GITHUB.replace("RULE", "Cannot update this ref."), is_environment=False)
    assert error.what == "Could not move it: a ruleset on GitHub declines it (Cannot update this ref)."
    assert "An environment tag has one writer" not in "\n".join(error.details)


def test_f80_a_ruleset_without_its_rule_is_one_all_the_same(monorepo: Monorepo) -> None:
    error = declined(monorepo, "error: GH013: Repository rule violations found")
    assert error.what == "Could not move it: a ruleset on GitHub declines it."


def test_f80_another_hook_keeps_its_own_words(monorepo: Monorepo) -> None:
    error = declined(monorepo, "- not on a Friday")
    assert isinstance(error, RefusedError)
    assert error.what == "Could not move it: the remote's rules decline it."
    assert "remote: - not on a Friday" in error.details
