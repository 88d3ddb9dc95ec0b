"""Which subprojects a set of changed files changes; nothing is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_tasks.core.subprojects import nodes_of
from ci_tasks.project.change import is_of_pipeline, reasons, sort_out
from ci_tasks.project.dependencies import Projects

KNOWN = ("api", "services", "services/auth", "web")
PROJECTS = Projects(
    known=KNOWN,
    present=("", *KNOWN),
    depends_on={"web": ("api", "libs/common"), "api": ("libs/base",), "services": ("api/proto",)},
)
ENVIRONMENTS = ("staging", "production")


def changed(
    *paths: str, environment: str | None = None, projects: Projects = PROJECTS
) -> dict[str, list[str]]:
    """Subproject -> what its reasons say, those without any left out."""
    found = sort_out(paths, projects, environment=environment, environments=ENVIRONMENTS)
    why = {name: reasons(name, found, projects) for name in projects.present}
    return {name: [f"{each.kind.value} {each.path}" for each in said] for name, said in why.items() if said}


def test_a_file_belongs_to_the_innermost_subproject() -> None:
    assert changed("services/auth/x") == {"services/auth": ["OWN services/auth/x"]}
    assert changed("services/x", "services/author/x") == {"services": ["OWN services/author/x"]}
    assert changed("web2/x", "README.md") == {"": ["OWN README.md"]}
    assert changed() == {}


def test_a_dependency_changes_what_depends_on_it_however_far() -> None:
    assert changed("libs/base/deep/x") == {
        "": ["OWN libs/base/deep/x"],
        "api": ["DEPENDENCY libs/base/deep/x"],
        "web": ["DEPENDENCY libs/base/deep/x"],
    }
    found = sort_out(["libs/base/x", "libs/base/y"], PROJECTS)
    (reason,) = reasons("web", found, PROJECTS)
    assert reason.through == ("api", "libs/base")
    assert reason.files == 2
    assert reason.message == "libs/base/x and 1 more changed in api -> libs/base, which it depends on"


def test_a_part_of_another_subproject_can_be_a_dependency() -> None:
    assert changed("api/proto/x") == {
        "api": ["OWN api/proto/x"],
        "services": ["DEPENDENCY api/proto/x"],
        "web": ["DEPENDENCY api/proto/x"],
    }
    assert "services" not in changed("api/x")


def test_a_file_can_be_a_dependency_and_so_can_the_root_project() -> None:
    projects = Projects(known=KNOWN, present=KNOWN, depends_on={"web": ("go.work",), "api": ("",)})
    assert changed("go.work", projects=projects) == {
        "api": ["DEPENDENCY go.work"],
        "web": ["DEPENDENCY go.work"],
    }
    assert changed("scripts/x", projects=projects)["api"] == ["DEPENDENCY scripts/x"]


@pytest.mark.parametrize(
    "path", ["scripts/deployment/x", "environments/config.yml", "ci_tasks.yaml", "tasks.py"]
)
def test_what_all_share_changes_all(path: str) -> None:
    assert changed(path) == {"": [f"OWN {path}"]} | {name: [f"SHARED {path}"] for name in KNOWN}
    assert changed(f"web/{path}") == {"web": [f"OWN web/{path}"]}


def test_what_all_share_is_shared_whoever_it_belongs_to() -> None:
    projects = Projects(known=("scripts", "web"), present=("scripts", "web"), depends_on={})
    path = "scripts/deployment/x"
    assert changed(path, projects=projects) == {
        "scripts": [f"OWN {path}", f"SHARED {path}"],
        "web": [f"SHARED {path}"],
    }
    assert is_of_pipeline(path, projects)


def test_another_environment_is_in_nobody_s_way() -> None:
    others = ("environments/production/x", "web/environments/production/x")
    assert changed(*others, environment="staging") == {}
    assert set(changed(others[0])) == {"", *KNOWN}
    assert set(changed(others[1])) == {"web"}
    for path in ("environments/staging/x", "environments/production", "environments/keys/x"):
        assert set(changed(path, environment="staging")) == {"", *KNOWN}, path
    assert set(changed("lib/environments/production/x", environment="staging")) == {""}


def test_the_pipeline_s_files_are_those_that_no_version_brings() -> None:
    yes = ("scripts/deployment/x", "web/scripts/x", "ci_tasks.yaml", "tasks.py")
    no = ("environments/config.yml", "web/tasks.py", "lib/scripts/x", "scripts", "web/main")
    assert [path for path in (*yes, *no) if is_of_pipeline(path, PROJECTS)] == list(yes)


def test_a_name_that_is_no_text_is_shown_and_not_believed() -> None:
    strange = b"web/\xff\n\"'".decode("utf-8", "surrogateescape")
    assert changed(strange) == {"web": ["OWN web/\\xff\n\"'"]}


@given(
    st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=5),
    st.sets(st.sampled_from(["a", "a/b", "b/c/a"])),
)
def test_a_file_has_one_subproject(parts: list[str], among: set[str]) -> None:
    path = "/".join(parts)
    *_, owner = nodes_of(path, (), among)
    around = [name for name in among if path == name or path.startswith(f"{name}/")]
    assert owner == max(around, key=len, default="")
