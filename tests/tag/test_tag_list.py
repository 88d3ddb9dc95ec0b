"""`inv tag.list`: what is on the remote, in order, and by a fixed number of git processes."""

from __future__ import annotations

import json
import subprocess
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest
from dulwich.objects import Tag as DulwichTag
from dulwich.refs import Ref
from dulwich.repo import Repo
from jsonschema import Draft202012Validator

from ci_tasks.core.entity import json_schema
from ci_tasks.tag.catalogue import TagList
from tests.repositories import git, write
from tests.tag.remotes import DATE, git_wrapper, once_before, put_object, put_ref, put_tag, tag_content

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repositories import Monorepo
    from tests.tag.conftest import Run

FOREIGN = ("release-1.2", "v1.2", "2024.01.3", "@scope/pkg@1.2.3", "pkg-v1.2.3", "a/b/c/d", "🚀", "api/v1")
GIT_TAG = {
    "tagId",
    "tagName",
    "tagType",
    "subproject",
    "commitSha",
    "createdAt",
    "createdBy",
    "isMovable",
    "isProtected",
}


def _listed(run: Run, *arguments: str, **options: Any) -> dict[str, Any]:
    done = run("tag.list", "--json", *arguments, **options)
    assert (done.returncode, done.stderr) == (0, "")
    document: dict[str, Any] = json.loads(done.stdout)
    Draft202012Validator(json_schema(TagList)).validate(document)
    return document


def _names(document: dict[str, Any]) -> list[str]:
    return [tag["tagName"] for tag in document["tags"]]


@pytest.fixture
def head(monorepo: Monorepo) -> str:
    return monorepo.git("rev-parse", "HEAD")


def test_environments_first_then_versions_newest_first(run: Run, monorepo: Monorepo, head: str) -> None:
    for name in (
        "v0.1.0",
        "api/v1.0.0-alpha",
        "api/v1.0.0-rc.2",
        "api/v1.0.0-rc.10",
        "api/v1.0.0",
        "api/v1.0.0-deprecated",
        "api/v1.0.0-stable",
        "api/v1.10.0",
        "api/v1.9.0",
        "api/canary",
        "api/production",
        "services/auth/v2.0.0",
        *FOREIGN,
    ):
        put_tag(monorepo.remote, name, head)
    document = _listed(run)
    assert _names(document) == [
        "v0.1.0",
        "api/production",
        "api/canary",
        "api/v1.10.0",
        "api/v1.9.0",
        "api/v1.0.0",
        "api/v1.0.0-deprecated",
        "api/v1.0.0-stable",
        "api/v1.0.0-rc.10",
        "api/v1.0.0-rc.2",
        "api/v1.0.0-alpha",
        "services/auth/v2.0.0",
    ]
    assert document["foreign"] == sorted(FOREIGN)
    assert _names(_listed(run, "--subproject", "services/auth")) == ["services/auth/v2.0.0"]
    unknown = run("tag.list", "--subproject", "services")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "There is no subproject services. Did you mean services/auth?" in unknown.stderr
    assert _names(_listed(run, "--type", "environment")) == ["api/production", "api/canary"]
    assert _names(_listed(run, "--type", "state", "--subproject", "api")) == [
        "api/v1.0.0-deprecated",
        "api/v1.0.0-stable",
    ]
    assert "api/v1.0.0-rc.2" in _names(_listed(run, "--type", "version"))
    text = run("tag.list").stdout
    assert text.splitlines()[0].split() == ["Tag", "Type", "Commit", "Created", "By"]
    assert f"Foreign tags, left alone: {', '.join(sorted(FOREIGN))}" in text


def test_what_a_tag_says(run: Run, monorepo: Monorepo, head: str) -> None:
    object_id = put_tag(monorepo.remote, "api/v1.0.0", head)
    environment_id = put_tag(monorepo.remote, "production", head)
    tags = _listed(run)["tags"]
    assert all(tag.keys() == GIT_TAG for tag in tags)
    assert tags[1] == {
        "tagId": object_id,
        "tagName": "api/v1.0.0",
        "tagType": "VERSION",
        "subproject": "api",
        "commitSha": head,
        "createdAt": "2026-01-05T12:00:00Z",
        "createdBy": "Somebody",
        "isMovable": False,
        "isProtected": True,
    }
    movable = {"tagId": environment_id, "isMovable": True, "isProtected": True, "subproject": None}
    assert {name: tags[0][name] for name in movable} == movable


def test_no_tags_yet(run: Run) -> None:
    assert _listed(run) == {"tags": [], "foreign": []}
    assert run("tag.list").stdout == "No tags of ours yet. Create one: inv tag.create --version v0.1.0\n"


@pytest.mark.parametrize("arguments", [("--type", "versions"), ("--subproject", "../x"), ("--type", "-x")])
def test_f2_refused_arguments(run: Run, arguments: tuple[str, ...]) -> None:
    done = run("tag.list", *arguments)
    assert (done.returncode, done.stdout) == (2, "")


def _independent(remote: Path) -> dict[str, dict[str, Any]]:
    """All tags of a repository, read by dulwich."""
    repository = Repo(str(remote))
    found: dict[str, dict[str, Any]] = {}
    for ref, object_id in repository.refs.as_dict(Ref(b"refs/tags")).items():
        tag = repository[object_id]
        found[ref.decode()] = {
            "tagId": object_id.decode(),
            "commitSha": object_id.decode(),
            "createdAt": None,
            "createdBy": None,
        }
        if isinstance(tag, DulwichTag):
            date = datetime.fromtimestamp(tag.tag_time or 0, timezone.utc)
            found[ref.decode()] |= {
                "commitSha": tag.object[1].decode(),
                "createdAt": f"{date:%Y-%m-%dT%H:%M:%SZ}",
                "createdBy": (tag.tagger or b"").decode().partition(" <")[0],
            }
    repository.close()
    return found


def test_another_reader_sees_the_same(run: Run, monorepo: Monorepo, head: str) -> None:
    run("tag.create", "--subproject", "api", "--version", "v1.0.0")
    run("tag.create", "--subproject", "web", "--version", "v0.1.0-beta.1", "--message", "ünï")
    for name in ("v0.1.0", "api/v0.9.0", "api/staging", "api/v1.0.0-stable"):
        put_tag(monorepo.remote, name, head)
    put_ref(monorepo.remote, "web/v0.0.1", head)
    seen = _independent(monorepo.remote)
    git("pack-refs", "--all", cwd=monorepo.remote)
    listed = {tag["tagName"]: tag for tag in _listed(run)["tags"]}
    assert listed.keys() == seen.keys()
    for name, facts in seen.items():
        assert {key: listed[name][key] for key in facts} == facts


def test_f50_a_lightweight_tag_is_listed_as_what_it_is(run: Run, monorepo: Monorepo, head: str) -> None:
    put_ref(monorepo.remote, "api/v1.0.0", head)
    (tag,) = _listed(run)["tags"]
    assert (tag["tagId"], tag["commitSha"], tag["createdAt"], tag["createdBy"]) == (head, head, None, None)
    assert "nobody: lightweight" in run("tag.list").stdout


def test_f50_a_lightweight_tag_on_something_huge_is_not_even_fetched(run: Run, monorepo: Monorepo) -> None:
    huge = put_ref(monorepo.remote, "api/v1.0.0", put_object(monorepo.remote, bytes(17 << 20), "blob"))
    assert [tag["tagId"] for tag in _listed(run)["tags"]] == [huge]


def test_f52_odd_objects_are_listed_without_an_error(run: Run, monorepo: Monorepo, head: str) -> None:
    remote = monorepo.remote
    inner = put_tag(remote, "inner", head)
    nested = put_ref(remote, "api/v1.0.0", put_object(remote, tag_content(inner, "api/v1.0.0", kind="tag")))
    tree = git("rev-parse", f"{head}^{{tree}}", cwd=remote)
    put_ref(remote, "api/v1.1.0", put_object(remote, tag_content(tree, "api/v1.1.0", kind="tree")))
    put_ref(remote, "api/v1.2.0", tree)
    listed = {tag["tagName"]: tag for tag in _listed(run)["tags"]}
    assert (listed["api/v1.0.0"]["tagId"], listed["api/v1.0.0"]["commitSha"]) == (nested, head)
    assert listed["api/v1.1.0"]["commitSha"] == listed["api/v1.2.0"]["commitSha"] == tree


def test_f63_dates_do_not_make_the_order(run: Run, monorepo: Monorepo, head: str) -> None:
    for name, seconds in (("v1.0.0", 9 * DATE), ("v1.1.0", 0), ("v1.2.0", 10**14), ("v1.3.0", -DATE)):
        content = tag_content(head, name, tagger=f"A <a@b> {seconds} +0000")
        put_ref(monorepo.remote, name, put_object(monorepo.remote, content))
    tags = _listed(run)["tags"]
    assert [(tag["tagName"], tag["createdAt"]) for tag in tags] == [
        ("v1.3.0", "1913-12-27T12:00:00Z"),
        ("v1.2.0", None),
        ("v1.1.0", "1970-01-01T00:00:00Z"),
        ("v1.0.0", "2474-02-13T12:00:00Z"),
    ]


def test_names_and_people_that_a_terminal_would_obey(run: Run, monorepo: Monorepo, head: str) -> None:
    content = tag_content(head, "v1.0.0", tagger=f"\x1b[2J\u202e::add-mask::x <a@b> {DATE} +0000")
    put_ref(monorepo.remote, "v1.0.0", put_object(monorepo.remote, content))
    put_ref(monorepo.remote, "\u202eodd", head)
    subprocess.run(
        [b"git", b"update-ref", b"refs/tags/not-utf-8-\xff", head.encode()], cwd=monorepo.remote, check=True
    )
    text = run("tag.list").stdout
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "not-utf-8-\\xff" in text
    assert _listed(run)["foreign"] == ["not-utf-8-\\xff", "\u202eodd"]


def test_f47_local_tags_are_neither_believed_nor_touched(run: Run, monorepo: Monorepo, head: str) -> None:
    put_tag(monorepo.remote, "api/v1.0.0", head)
    monorepo.commit()
    monorepo.git("tag", "-a", "-m", "stale", "api/v1.0.0")
    monorepo.git("tag", "-a", "-m", "only here", "api/v2.0.0")
    monorepo.git("tag", "api/v3.0.0")
    (tag,) = _listed(run)["tags"]
    assert (tag["tagName"], tag["commitSha"]) == ("api/v1.0.0", head)


def test_f49_branches_are_no_tags(run: Run, monorepo: Monorepo, head: str) -> None:
    put_tag(monorepo.remote, "api/v1.0.0", head)
    monorepo.commit()
    for name in ("api/v1.0.0", "api/v2.0.0", "refs/tags/api/v3.0.0", "production"):
        monorepo.git("push", "--quiet", "origin", f"HEAD:refs/heads/{name}")
    (tag,) = _listed(run)["tags"]
    assert (tag["tagName"], tag["commitSha"]) == ("api/v1.0.0", head)


def test_f87_a_failed_read_is_never_an_empty_list(run: Run, monorepo: Monorepo) -> None:
    monorepo.remote.rename(monorepo.remote.with_name("gone"))
    done = run("tag.list", "--json")
    assert done.returncode == 5
    assert json.loads(done.stdout)["error"]["name"] == "UNAVAILABLE"


def test_f55_a_tag_that_moves_while_it_is_read_is_read_again(
    run: Run, monorepo: Monorepo, head: str, tmp_path: Path
) -> None:
    put_tag(monorepo.remote, "api/staging", head)
    new = put_object(monorepo.remote, tag_content(head, "api/staging", "Moved"))
    move = f"git -C {monorepo.remote} update-ref refs/tags/api/staging {new}"
    (tag,) = _listed(run, env=once_before(tmp_path, "fetch", move))["tags"]
    assert tag["tagId"] == new


def _fill(remote: Path, head: str, count: int) -> None:
    """Make that many annotated versions at once."""
    lines = [
        f"tag api/v1.{number}.0\nfrom {head}\ntagger A <a@b> {DATE} +0000\ndata 2\nx\n\n"
        for number in range(count)
    ]
    git("fast-import", "--quiet", cwd=remote, stdin="".join(lines))


def test_f64_many_tags_take_no_more_git_processes_than_few(
    run: Run, monorepo: Monorepo, head: str, tmp_path: Path
) -> None:
    counts = []
    for count in (5, 2000):
        _fill(monorepo.remote, head, count)
        log = write(tmp_path / "log", "")
        env = git_wrapper(tmp_path / "bin", f"echo \"$*\" >> '{log}'")
        document = _listed(run, env=env)
        assert len(document["tags"]) == count
        assert _names(document)[0] == f"api/v1.{count - 1}.0"
        counts.append(len(log.read_text(encoding="utf-8").splitlines()))
    assert counts[1] <= counts[0] <= 20
