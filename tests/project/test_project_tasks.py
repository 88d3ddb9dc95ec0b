"""`inv project.list` and `inv project.changed`, as they are typed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import jsonschema

from ci_tasks.core.checkout import Checkout
from ci_tasks.core.entity import json_schema, to_json
from ci_tasks.project.changed import changed_since
from ci_tasks.project.model import ChangedProjects, ProjectList
from ci_tasks.project.projects import listed
from ci_tasks.project.render import uncommitted_note
from tests.tag.remotes import put_tag

if TYPE_CHECKING:
    from tests.conftest import Inv
    from tests.repositories import Monorepo

SETTINGS = 'subprojects: [api, web, "services/*"]\ndependsOn: {web: [api, libs], "services/*": [libs]}\n'


def test_the_list_names_versions_dependencies_and_places(monorepo: Monorepo, inv: Inv) -> None:
    monorepo.write("ci_tasks.yaml", SETTINGS)
    monorepo.write("libs/x", "x")
    head = monorepo.commit()
    for name in ("api/v1.2.0", "api/v1.10.0", "api/v2.0.0-rc.1", "web/v0.1.0-beta.1", "web/staging"):
        put_tag(monorepo.remote, name, head)
    done = inv("project.list", cwd=monorepo.clone)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["Subproject", "Version", "Depends", "on", "Dependents", "Environments"],
        ["api", "v1.10.0", "web"],
        ["services/auth", "none", "yet", "libs"],
        ["web", "v0.1.0-beta.1", "api,", "libs", "staging"],
    ]
    document = json.loads(to_json(listed(Checkout.open(monorepo.clone / "web", {}))))
    jsonschema.Draft202012Validator(json_schema(ProjectList)).validate(document)
    assert document["projects"][2] == {
        "subproject": "web",
        "version": "v0.1.0-beta.1",
        "dependsOn": ["api", "libs"],
        "dependents": [],
        "environments": ["staging"],
    }


def test_what_has_changed_is_told_with_its_reasons(monorepo: Monorepo, inv: Inv) -> None:
    monorepo.write("ci_tasks.yaml", SETTINGS)
    monorepo.write("libs/x", "x")
    base = monorepo.commit()
    for path in ("api/one", "api/two", "libs/x"):
        monorepo.write(path, "changed")
    monorepo.commit()
    monorepo.write("uncommitted", "x")
    done = inv("project.changed", "--since", "HEAD~1", cwd=monorepo.clone)
    assert (done.returncode, done.stderr) == (0, "note: 1 file is not as committed, and not looked at.\n")
    assert done.stdout == (
        f"Changed since HEAD~1 ({base[:12]}), dependencies first; 0 not changed:\n\n"
        "Subproject     Because\n"
        "api            api/one and 1 more changed\n"
        "services/auth  libs/x changed in libs, which it depends on\n"
        "web            api/one and 1 more changed in api, which it depends on\n"
        "               libs/x changed in libs, which it depends on\n"
    )
    document = json.loads(inv("project.changed", "--since", "HEAD~1", "--json", cwd=monorepo.clone).stdout)
    jsonschema.Draft202012Validator(json_schema(ChangedProjects)).validate(document)
    assert [change["subproject"] for change in document["changed"]] == ["api", "services/auth", "web"]
    assert document["uncommitted"] == 1
    monorepo.write("ci_tasks.yaml", "subprojects: [api, web]\ndependsOn: {api: [web], web: [libs]}\n")
    found = changed_since(Checkout.open(monorepo.clone, {}), "HEAD~1")
    assert [change.subproject for change in found.changed] == ["web", "api"]


def test_files_that_are_not_as_committed_are_counted() -> None:
    assert uncommitted_note(0) is None
    assert uncommitted_note(2) == "2 files are not as committed, and not looked at."
