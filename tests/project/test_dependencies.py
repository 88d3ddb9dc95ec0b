"""The settings of a checkout become its subprojects and their graph; a mistake is named with its line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ci_tasks.core.checkout import Checkout
from ci_tasks.core.errors import UsageError
from ci_tasks.project.dependencies import Projects, graph_of, read_projects
from ci_tasks.tag.grammar import Grammar
from ci_tasks.tag.store import TagStore
from tests.repositories import git
from tests.tag.remotes import put_tag

if TYPE_CHECKING:
    from tests.repositories import Monorepo

SUBPROJECTS = 'subprojects: [api, web, "services/*"]\n'


def read(monorepo: Monorepo, settings: str, environ: dict[str, str] | None = None) -> Projects:
    monorepo.write("ci_tasks.yaml", settings)
    checkout = Checkout.open(monorepo.clone, environ or {})
    return read_projects(
        checkout, TagStore(checkout.origin, Grammar(checkout.settings.environments)).listing()
    )


def test_the_root_project_is_one_where_it_has_versions_or_is_alone(monorepo: Monorepo) -> None:
    assert read(monorepo, SUBPROJECTS).present == ("api", "services/auth", "web")
    assert read(monorepo, "subprojects: [nowhere]\n").present == ("",)
    head = monorepo.git("rev-parse", "HEAD")
    put_tag(monorepo.remote, "v1.0.0", head)
    assert read(monorepo, SUBPROJECTS).present == ("", "api", "services/auth", "web")


def test_a_subproject_that_was_removed_is_known_but_not_there(monorepo: Monorepo) -> None:
    head = git("rev-parse", "main", cwd=monorepo.remote)
    for name in ("api", "removed", "linked"):
        put_tag(monorepo.remote, f"{name}/v1.0.0", head)
    monorepo.clone.joinpath("linked").symlink_to("api")
    found = read(monorepo, "")
    assert found.known == ("api", "linked", "removed")
    assert found.present == ("api",)


def test_what_the_setting_says_is_the_graph(monorepo: Monorepo) -> None:
    monorepo.write("libs/common/x", "x")
    text = f"{SUBPROJECTS}dependsOn:\n  web: [api, libs/common]\n  services/*: [libs/common, ci_tasks.yaml]\n"
    assert read(monorepo, text).depends_on == {
        "web": ("api", "libs/common"),
        "services/auth": ("libs/common", "ci_tasks.yaml"),
    }
    assert read(monorepo, SUBPROJECTS).depends_on == {}


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        (
            "  web: [api, apj]",
            "ci_tasks.yaml:3: dependsOn: web: there is no subproject, folder or file apj. Did",
        ),
        (
            "  web:\n    - api\n    - link/x",
            "ci_tasks.yaml:5: dependsOn: web: there is no subproject, folder",
        ),
        ("  api: [web]\n  web: [api]", "dependsOn: api: a cycle: "),
        ("  web: [api]\n  api: [api]", "ci_tasks.yaml:4: dependsOn: api: api depends on itself"),
        ("  wep: []", "ci_tasks.yaml:3: dependsOn: wep: there is no subproject, folder or file wep. Did you"),
    ],
)
def test_what_can_not_be_so_is_named_with_its_line(monorepo: Monorepo, lines: str, what: str) -> None:
    monorepo.write("api/x", "x")
    monorepo.clone.joinpath("link").symlink_to("api")
    with pytest.raises(UsageError) as caught:
        read(monorepo, f"{SUBPROJECTS}dependsOn:\n{lines}\n")
    assert what in caught.value.what
    assert "?." not in caught.value.what
    assert caught.value.unchanged == "Nothing was changed."


def test_or_with_its_variable(monorepo: Monorepo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI_TASKS_DEPENDS_ON", '{"web": ["nothing"]}')
    monorepo.write("ci_tasks.yaml", f"{SUBPROJECTS}dependsOn: {{web: [api]}}\n")
    checkout = Checkout.open(monorepo.clone)
    with pytest.raises(UsageError, match=r"^CI_TASKS_DEPENDS_ON: web: there is no subproject"):
        graph_of(checkout, ("api", "web"))
