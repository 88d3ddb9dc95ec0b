"""`inv tag.ruleset`: which tags its patterns hit, and what it does to GitHub (see tests/tag/github.py)."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ci_tasks.core.checkout import Checkout
from ci_tasks.core.command_line import Line, speaking
from ci_tasks.core.entity import json_schema, to_builtins
from ci_tasks.core.errors import (
    CiTasksError,
    ConflictError,
    FailedError,
    PartialError,
    RefusedError,
    UnavailableError,
    UnknownOutcomeError,
    UsageError,
)
from ci_tasks.core.settings import Settings
from ci_tasks.tag.grammar import EnvironmentTag, Grammar, StateTag, Tag, VersionTag, parse_version, ref_of
from ci_tasks.tag.names import VersionState
from ci_tasks.tag.ruleset import github as ruleset_github
from ci_tasks.tag.ruleset.apply import RulesetAnswer, apply, plan
from ci_tasks.tag.ruleset.documents import ENVIRONMENT_NAME, IMMUTABLE_NAME, Ruleset, rulesets
from ci_tasks.tag.ruleset.github import StandingRuleset
from ci_tasks.tag.ruleset.github_repository import repository_of
from tests.conftest import ROOT, program
from tests.repositories import write
from tests.tag.github import HOST, PATH, TOKEN, GitHubServer, Reply, Seen, gh_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Inv
    from tests.repositories import Monorepo

APP = Settings(tag_writer="app:12345")
GRAMMAR = Grammar(APP.environments)
BOTH = [IMMUTABLE_NAME, ENVIRONMENT_NAME]


# Which tags are hit ---------------------------------------------------------------------------------------


def fnmatch(pattern: str, name: str) -> bool:
    """Ruby's File.fnmatch with FNM_PATHNAME, as far as GitHub takes it: `*`, `?`, `[a-z]` and `**/`."""
    tokens = re.split(r"((?<![^/])\*\*/|\*+|\?|\[[^\]]+\])", pattern)
    meaning = {"**/": r"(?:[^/.][^/]*/)*", "?": "[^/]"}
    parts = [
        meaning.get(token)
        or ("[^/]*" if set(token) == {"*"} else token if token.startswith("[") else re.escape(token))
        for token in tokens
        if token
    ]
    return re.fullmatch("".join(parts), name) is not None


@pytest.mark.parametrize(
    ("pattern", "name", "is_hit"),
    [
        # From the documents of GitHub and of Ruby.
        ("qa/*", "qa/foo", True),
        ("qa/*", "qa/foo/bar", False),
        ("qa/**/*", "qa/foo/bar/foobar/hello-world", True),
        ("**/foo", "a/b/c/foo", True),
        ("**/foo", "foo", True),
        ("**/foo", "a/.b/c/foo", False),
        ("ca[a-z]", "cat", True),
        ("c{at,ub}s", "cats", False),
        ("cat", "category", False),
        ("c?t", "c/t", False),
    ],
)
def test_the_translation_knows_what_the_documents_say(pattern: str, name: str, *, is_hit: bool) -> None:
    assert fnmatch(pattern, name) is is_hit


def hits(tag: Tag | str, settings: Settings = APP) -> list[str]:
    """The names of the rulesets that a tag is under."""
    return [
        each.name
        for each in rulesets(settings)
        if any(fnmatch(pattern, ref_of(tag)) for pattern in each.conditions.ref_name.include)
    ]


subprojects = st.lists(st.from_regex(r"[a-z0-9_][a-z0-9._-]{0,9}", fullmatch=True), max_size=3).map("/".join)
numbers = st.integers(min_value=0, max_value=999_999_999)
releases = st.builds("v{}.{}.{}".format, numbers, numbers, numbers)
pre_releases = st.builds("{}-{}.{}".format, releases, st.sampled_from(["alpha", "rc", "x-y"]), numbers)


@given(subprojects.filter(GRAMMAR.is_subproject) | st.just(""), releases | pre_releases)
def test_every_version_is_under_the_first(subproject: str, version: str) -> None:
    assert hits(VersionTag(subproject=subproject, version=parse_version(version))) == [IMMUTABLE_NAME]


@given(subprojects.filter(GRAMMAR.is_subproject) | st.just(""), releases, st.sampled_from(VersionState))
def test_every_state_is_under_the_first(subproject: str, version: str, state: VersionState) -> None:
    tag = StateTag(subproject=subproject, version=parse_version(version), state=state)
    assert hits(tag) == [IMMUTABLE_NAME]


@given(
    subprojects.filter(GRAMMAR.is_subproject) | st.just(""),
    st.from_regex(r"[a-z][a-z0-9-]{0,9}|v[0-9][a-z0-9-]{0,9}", fullmatch=True),
)
def test_every_environment_is_under_the_second(subproject: str, environment: str) -> None:
    settings = Settings(tag_writer="deploy-key", environments=(environment,))
    assert hits(EnvironmentTag(subproject=subproject, environment=environment), settings) == [
        ENVIRONMENT_NAME
    ]


@pytest.mark.parametrize(
    "name",
    [
        *("v1", "v1.2", "api/v1", "latest", "nightly-2026-01-05", "version-1.2.3", "1.2.3", "xv1.2.3"),
        *("production-2", "my-production", "Production", "production/x", "api/production.old", "v.1.2.3"),
    ],
)
def test_foreign_tags_are_free(name: str) -> None:
    assert GRAMMAR.read(name) is None
    assert hits(name) == []


@pytest.mark.parametrize(
    ("writer", "actor"),
    [
        ("app:12345", {"actor_id": 12345, "actor_type": "Integration", "bypass_mode": "always"}),
        ("deploy-key", {"actor_id": None, "actor_type": "DeployKey", "bypass_mode": "always"}),
    ],
)
def test_the_documents_are_those_of_the_api(writer: str, actor: dict[str, Any]) -> None:
    first, second = (
        to_builtins(each) for each in rulesets(Settings(tag_writer=writer, environments=("prod",)))
    )
    assert first == {
        "name": IMMUTABLE_NAME,
        "target": "tag",
        "enforcement": "active",
        "bypass_actors": (),
        "conditions": {
            "ref_name": {
                "include": ("refs/tags/v[0-9]*.[0-9]*.[0-9]*", "refs/tags/**/v[0-9]*.[0-9]*.[0-9]*"),
                "exclude": (),
            }
        },
        "rules": ({"type": "update"}, {"type": "deletion"}),
    }
    assert second == {
        "name": ENVIRONMENT_NAME,
        "target": "tag",
        "enforcement": "active",
        "bypass_actors": (actor,),
        "conditions": {"ref_name": {"include": ("refs/tags/prod", "refs/tags/**/prod"), "exclude": ()}},
        "rules": ({"type": "creation"}, {"type": "update"}, {"type": "deletion"}),
    }


def test_without_the_setting_nothing_is_printed() -> None:
    with pytest.raises(UsageError, match="tagWriter") as caught:
        rulesets(Settings())
    assert caught.value.next_step is not None
    assert all(word in caught.value.next_step for word in ("tagWriter: app:ID", "tagWriter: deploy-key"))


def test_the_page_shows_the_patterns_and_the_names() -> None:
    page = (ROOT / "docs/how-to/protect-tags.md").read_text(encoding="utf-8")
    first, second = (each.conditions.ref_name.include for each in rulesets(APP))
    assert "    ".join(first) + "\n" in page
    assert "    ".join(second[:2]) + "\n" in page
    assert all(f"**{name}**" in page for name in BOTH)


# Which repository -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "environ", "host", "name"),
    [
        ("https://github.com/acme/shop.git", {}, "github.com", "acme/shop"),
        ("https://someone:secret@github.com/acme/shop/", {}, "github.com", "acme/shop"),
        ("https://GitHub.com:443/Acme/Shop", {}, "github.com", "Acme/Shop"),
        ("ssh://git@github.com/acme/shop.git", {}, "github.com", "acme/shop"),
        ("ssh://git@ssh.github.com:443/acme/shop.git", {}, "github.com", "acme/shop"),
        ("git@github.com:acme/shop.git", {}, "github.com", "acme/shop"),
        ("github.com:acme/my.shop", {}, "github.com", "acme/my.shop"),
        ("git@code.example:acme/shop.git", {"GH_HOST": "code.example"}, "code.example", "acme/shop"),
        ("https://github.com/acme/shop", {"GITHUB_REPOSITORY": "other/thing"}, "github.com", "acme/shop"),
        ("/srv/shop.git", {"GITHUB_REPOSITORY": "acme/shop"}, "github.com", "acme/shop"),
        ("/srv/x", {"GITHUB_REPOSITORY": "a/b", "GH_HOST": "code.example"}, "code.example", "a/b"),
    ],
)
def test_the_repository_is_in_the_address(
    address: str, environ: dict[str, str], host: str, name: str
) -> None:
    found = repository_of(address, environ)
    assert (found.host, str(found)) == (host, name)


@pytest.mark.parametrize(
    ("address", "environ"),
    [
        ("https://gitlab.com/acme/shop.git", {}),
        ("git@gitlab.com:acme/shop.git", {"GITHUB_REPOSITORY": "acme/shop"}),
        ("https://gitlab.com/acme/shop.git", {"GITHUB_REPOSITORY": "acme/shop"}),
        ("https://github.com.evil.example/acme/shop", {}),
        ("https://github.com/acme/shop/../../other", {}),
        ("https://github.com/acme/..", {}),
        ("https://github.com/acme", {}),
        ("https://github.com/acme/shop?x=/a/b", {}),
        ("https://github.com/acme/sh%6fp", {}),
        ("/srv/shop.git", {}),
        ("/srv/shop.git", {"GITHUB_REPOSITORY": "acme/shop/../x"}),
        ("/srv/shop.git", {"GITHUB_REPOSITORY": "acme/.."}),
        ("/srv/shop.git", {"GITHUB_REPOSITORY": "-x/shop"}),
    ],
)
def test_another_address_is_no_repository(address: str, environ: dict[str, str]) -> None:
    with (
        speaking(Line(mount="ci.")),
        pytest.raises(RefusedError, match="not a repository on GitHub") as caught,
    ):
        repository_of(address, environ)
    assert "`inv ci.hook.install --server PATH`" in caught.value.details[1]


# What is done on GitHub -----------------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHubServer]:
    """GitHub, with gh on the PATH and logged in."""
    running = GitHubServer()
    folder = gh_folder(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("http_proxy", running.address)
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("GH_TOKEN", TOKEN)
    monkeypatch.setenv("GH_HOST", HOST)
    monkeypatch.setenv("GH_CONFIG_DIR", str(tmp_path / "gh-config"))
    monkeypatch.setenv("CI_TASKS_TAG_WRITER", "app:12345")
    yield running
    running.close()


@pytest.fixture
def checkout(monorepo: Monorepo, server: GitHubServer) -> Checkout:
    assert server
    monorepo.git("remote", "set-url", "origin", f"https://{HOST}/acme/shop.git")
    return Checkout.open(monorepo.clone)


def document(ruleset: Ruleset) -> dict[str, Any]:
    """The ruleset as it is sent."""
    return json.loads(json.dumps(to_builtins(ruleset)))  # type: ignore[no-any-return]  # a map, by its type


def refused(checkout: Checkout, kind: type[CiTasksError]) -> CiTasksError:
    """The error of an attempt; of exactly this class, and without the token."""
    with pytest.raises(CiTasksError) as caught:
        apply(checkout, yes=True)
    assert type(caught.value) is kind, caught.value.what
    shown = "\n".join([caught.value.what, *caught.value.details, caught.value.unchanged or ""])
    assert TOKEN not in shown
    return caught.value


def test_missing_ones_are_created_and_the_same_again_changes_nothing(
    checkout: Checkout, server: GitHubServer
) -> None:
    answer = apply(checkout, yes=True)
    assert answer.changed
    assert [(each.name, each.action.value, each.ruleset_id) for each in answer.changes] == [
        (IMMUTABLE_NAME, "create", 41),
        (ENVIRONMENT_NAME, "create", 42),
    ]
    assert [seen.body for seen in server.seen if seen.method == "POST"] == [
        document(r) for r in rulesets(APP)
    ]
    assert {seen.authorization for seen in server.seen} == {f"token {TOKEN}"}
    before = len(server.writes)
    again = apply(checkout, yes=False)
    assert (again.changed, {each.action.value for each in again.changes}) == (False, {"keep"})
    assert len(server.writes) == before


def test_what_differs_is_changed_and_nothing_else(checkout: Checkout, server: GitHubServer) -> None:
    first, second = (document(each) for each in rulesets(APP))
    server.put({**first, "name": "somebody else's", "enforcement": "disabled"})
    server.put(first)
    everybody = {"actor_id": 5, "actor_type": "RepositoryRole", "bypass_mode": "always"}
    server.put(
        {**second, "enforcement": "disabled", "bypass_actors": [everybody], "rules": second["rules"][:2]}
    )
    others = json.dumps([server.rulesets[41], server.rulesets[42]])
    answer = apply(checkout, yes=True)
    assert server.writes == [("PUT", f"{PATH}/43")]
    assert [each.action.value for each in answer.changes] == ["keep", "update"]
    assert answer.changes[1].differences == (
        "- enforcement: disabled",
        "- bypass: RepositoryRole 5 (always)",
        "+ enforcement: active",
        "+ bypass: Integration 12345 (always)",
        "+ rule: deletion",
    )
    assert json.dumps([server.rulesets[41], server.rulesets[42]]) == others
    assert not apply(checkout, yes=False).changed


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"target": "branch"}, "- target: branch"),
        ({"rules": [{"type": "update"}, {"type": "deletion"}, {"type": "creation"}]}, "- rule: creation"),
        (
            {"rules": [{"type": "update", "parameters": {"x": 1}}, {"type": "deletion"}]},
            '- rule: update {"x":1}',
        ),
        ({"conditions": {"ref_name": {"include": ["~ALL"], "exclude": []}}}, "- include: ~ALL"),
        ({"conditions": None}, "+ include: refs/tags/v[0-9]*.[0-9]*.[0-9]*"),
        ({"bypass_actors": [{"actor_type": "DeployKey"}]}, "- bypass: DeployKey (always)"),
    ],
)
def test_every_difference_counts(change: dict[str, Any], line: str) -> None:
    import msgspec  # noqa: PLC0415 - for this one conversion

    standing = {**document(rulesets(APP)[0]), "id": 1}
    same = msgspec.convert(standing, StandingRuleset)
    other = msgspec.convert({**standing, **change}, StandingRuleset)
    first = rulesets(APP)[:1]
    assert plan(first, [same])[0].differences == ()
    assert line in plan(first, [other])[0].differences


@pytest.mark.parametrize("number", [None, 0])
def test_a_deploy_key_has_no_number(checkout: Checkout, server: GitHubServer, number: int | None) -> None:
    settings = Settings(tag_writer="deploy-key")
    first, second = (document(each) for each in rulesets(settings))
    server.put(first)
    server.put({**second, "bypass_actors": [{**second["bypass_actors"][0], "actor_id": number}]})
    keyed = Checkout(checkout.repository, settings, checkout.folder)
    assert not apply(keyed, yes=False).changed


def test_the_list_is_read_to_its_end(checkout: Checkout, server: GitHubServer) -> None:
    first, second = (document(each) for each in rulesets(APP))
    for number in range(150):
        server.put({**first, "name": f"other {number}"})
    server.put(first)
    server.put(second)
    assert not apply(checkout, yes=False).changed
    pages = [seen.path for seen in server.seen if "per_page" in seen.path]
    assert [path.rpartition("=")[2] for path in pages] == ["1", "2"]


def test_a_ruleset_of_the_organization_is_not_ours(checkout: Checkout, server: GitHubServer) -> None:
    server.put({**document(rulesets(APP)[0]), "enforcement": "disabled"}, source_type="Organization")
    server.fault = lambda seen: Reply(200, b"[]") if seen.method == "POST" else None
    refused(checkout, FailedError)
    assert [method for method, _ in server.writes] == ["POST", "POST"]


def test_half_done_is_told(checkout: Checkout, server: GitHubServer) -> None:
    says = (
        b'{"message": "Validation Failed", "errors": ["Actor GitHub App must be part of the ruleset source"]}'
    )
    server.fault = lambda seen: Reply(422, says) if seen.body and seen.body["bypass_actors"] else None
    error = refused(checkout, PartialError)
    assert error.what.startswith(f"{IMMUTABLE_NAME} stands now, {ENVIRONMENT_NAME} does not.")
    assert "Actor GitHub App must be part of the ruleset source" in error.details
    assert [each["name"] for each in server.rulesets.values()] == [IMMUTABLE_NAME]


@pytest.mark.parametrize(
    ("reply", "kind", "says"),
    [
        pytest.param(
            Reply(401, b'{"message": "Bad credentials"}'), UnavailableError, "login was refused", id="F83-401"
        ),
        pytest.param(
            Reply(403, b'{"message": "Must have admin rights"}'), UnavailableError, "may not do", id="F83-403"
        ),
        pytest.param(
            Reply(404, b'{"message": "Not Found"}'), UnavailableError, "it is not there", id="F83-404"
        ),
        pytest.param(
            Reply(403, b'{"message": "API rate limit exceeded"}'),
            UnavailableError,
            "too many",
            id="limit-by-words",
        ),
        pytest.param(
            Reply(403, b'{"message": "x"}', {"X-RateLimit-Remaining": "0"}),
            UnavailableError,
            "too many",
            id="limit-by-header",
        ),
        pytest.param(Reply(429, b"{}", {"Retry-After": "60"}), UnavailableError, "too many", id="429"),
        pytest.param(Reply(500, b"<html>oops</html>"), UnavailableError, "status 500", id="500"),
        pytest.param(
            Reply(422, b'{"message": "x", "errors": [{"message": "y"}]}'), RefusedError, "refuses", id="422"
        ),
    ],
)
@pytest.mark.parametrize("when", ["read", "write"])
def test_a_refusal_is_explained(
    checkout: Checkout, server: GitHubServer, *, reply: Reply, kind: type[CiTasksError], says: str, when: str
) -> None:
    server.fault = lambda seen: reply if (seen.method == "GET") == (when == "read") else None
    expected = UnknownOutcomeError if reply.status == 500 and when == "write" else kind
    error = refused(checkout, expected)
    assert says in error.what
    assert server.rulesets == {}
    assert len(server.writes) == (when == "write"), "after a refusal nothing more is tried"
    if reply.status in {401, 404} or says == "may not do":
        assert any("Administration: write" in line for line in error.details)


def test_f83_who_may_not_see_the_actors_is_told_so(checkout: Checkout, server: GitHubServer) -> None:
    number = server.put(document(rulesets(APP)[0]))
    del server.rulesets[number]["bypass_actors"]
    error = refused(checkout, UnavailableError)
    assert "Administration: write" in error.details[0]
    assert server.writes == []


def test_a_lost_answer_is_looked_after(checkout: Checkout, server: GitHubServer) -> None:
    def fault(seen: Seen) -> Reply | None:
        if seen.method == "POST":
            server.put(seen.body)
            return Reply(502, b"bad gateway")
        return None

    server.fault = fault
    error = refused(checkout, PartialError)
    assert error.what.startswith(f"{IMMUTABLE_NAME} stands now")
    assert apply(checkout, yes=True).changed, "the last one stands, so all is well"
    assert not apply(checkout, yes=True).changed


@pytest.mark.parametrize("written", [0, 1, 2])
def test_what_cannot_be_read_again_is_unknown_or_partial(
    checkout: Checkout, server: GitHubServer, written: int
) -> None:
    def fault(seen: Seen) -> Reply | None:
        broken = len(server.writes) > written if seen.method == "POST" else bool(server.writes)
        return Reply(503, b"down") if broken else None

    server.fault = fault
    error = refused(checkout, UnknownOutcomeError if written != 1 else PartialError)
    assert error.next_step == "inv tag.ruleset --apply"
    assert len(server.rulesets) == written


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html>", id="html"),
        pytest.param(b'{"message": "a map"}', id="map"),
        pytest.param(b'[{"id": "41", "name": "x"}]', id="text-for-an-id"),
        pytest.param(b'[{"id": -1, "name": "x"}]', id="negative-id"),
        pytest.param(b'[{"id": 41}]', id="no-name"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(
            b'[{"id": 41, "name": "x", "z": ' + b"[" * 50_000 + b"]" * 50_000 + b"}]",
            id="deep-in-a-field-of-no-interest",
        ),
        pytest.param(b'[{"id": 41, "name": "\xff"}]', id="not-utf-8"),
        pytest.param(b'["' + TOKEN.encode() + b'"]', id="token"),
    ],
)
def test_hostile_answers_are_refused(checkout: Checkout, server: GitHubServer, content: bytes) -> None:
    server.fault = lambda seen: Reply(200, content) if seen.method == "GET" else None
    error = refused(checkout, UnavailableError)
    assert "can't be read" in error.what
    assert server.writes == []


def test_a_list_without_an_end_is_refused(checkout: Checkout, server: GitHubServer) -> None:
    page = json.dumps([{"id": number, "name": "x"} for number in range(1, 101)]).encode()
    server.fault = lambda seen: Reply(200, page) if "per_page" in seen.path else None
    assert "more than 1000 rulesets" in refused(checkout, UnavailableError).what


def test_two_of_a_name_are_a_conflict(checkout: Checkout, server: GitHubServer) -> None:
    for _ in range(2):
        server.put(document(rulesets(APP)[0]))
    assert "41, 42" in refused(checkout, ConflictError).what


def test_another_ruleset_than_asked_for_is_refused(checkout: Checkout, server: GitHubServer) -> None:
    server.put(document(rulesets(APP)[0]))
    server.fault = lambda seen: (
        Reply(200, json.dumps({**server.rulesets[41], "id": 7}).encode())
        if seen.path.startswith(f"{PATH}/41")
        else None
    )
    assert "another ruleset" in refused(checkout, UnavailableError).what


def test_the_token_is_in_no_error(checkout: Checkout, server: GitHubServer) -> None:
    says = json.dumps({"message": f"Bad {TOKEN}", "errors": [TOKEN, {"message": TOKEN}]}).encode()
    server.fault = lambda _: Reply(401, says)
    assert "Bad ***" in refused(checkout, UnavailableError).details


def test_f83_no_login(checkout: Checkout, server: GitHubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GH_TOKEN")
    monkeypatch.delenv("GH_HOST")
    subprocess.run(
        ["git", "remote", "set-url", "origin", "git@github.com:acme/shop.git"], cwd=checkout.root, check=True
    )
    error = refused(Checkout.open(checkout.root), UnavailableError)
    assert "gh is not logged in" in error.what
    assert error.next_step == "gh auth login --hostname github.com"
    assert server.seen == []


def test_no_gh(checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "only-git").mkdir()
    (tmp_path / "only-git/git").symlink_to(str(shutil.which("git")))
    monkeypatch.setenv("PATH", str(tmp_path / "only-git"))
    error = refused(checkout, UnavailableError)
    assert "is not installed" in error.what
    assert error.next_step in {"sudo apt install gh", "brew install gh"}


def test_no_network(checkout: Checkout, server: GitHubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert "GitHub gave no answer" in refused(checkout, UnavailableError).what
    assert server.seen == []


@pytest.mark.parametrize(
    ("only", "kind"), [("GET", UnavailableError), ("POST", UnknownOutcomeError)], ids=["read", "write"]
)
def test_a_gh_that_hangs_is_ended(
    checkout: Checkout,
    server: GitHubServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    only: str,
    kind: type[CiTasksError],
) -> None:
    hanging = f'#!/bin/sh\ncase "$*" in *" {only} "*) sleep 600;; esac\nexec "{tmp_path}/bin/gh" "$@"\n'
    write(tmp_path / "hanging/gh", hanging, executable=True)
    monkeypatch.setenv("PATH", f"{tmp_path}/hanging{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(
        ruleset_github.GitHub.__init__, "__kwdefaults__", {"environ": os.environ, "timeout": 3.0}
    )
    assert "no answer within 3 seconds" in refused(checkout, kind).what
    assert server.rulesets == {}


def test_gh_gets_its_own_variables_and_no_others(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spying = f'#!/bin/sh\nenv | sed "s/=.*//" > {tmp_path}/names\nexec "{tmp_path}/bin/gh" "$@"\n'
    write(tmp_path / "spying/gh", spying, executable=True)
    monkeypatch.setenv("PATH", f"{tmp_path}/spying{os.pathsep}{os.environ['PATH']}")
    for name in ("GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "GH_DEBUG", "CI_TASKS_REASON", "GIT_DIR"):
        monkeypatch.setenv(name, "1")
    apply(checkout, yes=True)
    names = set((tmp_path / "names").read_text().split())
    assert {"GH_TOKEN", "GH_HOST", "GH_CONFIG_DIR", "HOME", "PATH"} <= names
    assert not {"GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "GH_DEBUG", "CI_TASKS_REASON", "GIT_DIR"} & names


# The command line -----------------------------------------------------------------------------------------


def test_the_line_prints_two_documents_offline(inv: Inv, monorepo: Monorepo) -> None:
    monorepo.write("ci_tasks.yaml", "tagWriter: app:12345\n")
    done = inv("tag.ruleset", cwd=monorepo.clone, env={"PATH": os.environ["PATH"]})
    assert (done.returncode, done.stderr) == (0, "")
    decoder, rest, found = json.JSONDecoder(), done.stdout, []
    while rest.strip():
        value, end = decoder.raw_decode(rest.lstrip())
        found.append(value)
        rest = rest.lstrip()[end:]
    assert found == [document(each) for each in rulesets(APP)]
    as_json = inv("tag.ruleset", "--json", cwd=monorepo.clone)
    whole = json.loads(as_json.stdout)
    Draft202012Validator(json_schema(RulesetAnswer)).validate(whole)
    assert whole["rulesets"] == found
    assert (whole["repository"], whole["changed"], whole["changes"]) == (None, False, [])


def test_the_line_wants_the_setting(inv: Inv, monorepo: Monorepo) -> None:
    done = inv("tag.ruleset", cwd=monorepo.clone)
    assert (done.returncode, done.stdout) == (2, "")
    assert "The setting tagWriter is missing" in done.stderr


def test_yes_alone_is_no_line(inv: Inv, monorepo: Monorepo) -> None:
    done = inv("tag.ruleset", "--yes", cwd=monorepo.clone, env={"CI_TASKS_TAG_WRITER": "deploy-key"})
    assert done.returncode == 2
    assert "next: inv tag.ruleset --apply --yes" in done.stderr


def test_without_a_terminal_yes_has_to_be_typed(inv: Inv, checkout: Checkout, server: GitHubServer) -> None:
    done = inv("tag.ruleset", "--apply", cwd=checkout.root)
    assert done.returncode == 3
    assert f"create {IMMUTABLE_NAME} of acme/shop\n  + target: tag\n" in done.stderr
    assert "next: inv tag.ruleset --apply --yes" in done.stderr
    assert server.writes == []
    told = inv("tag.ruleset", "--apply", "--yes", cwd=checkout.root)
    assert told.returncode == 0
    assert told.stdout == (
        f"Created {IMMUTABLE_NAME} of acme/shop (id 41).\nCreated {ENVIRONMENT_NAME} of acme/shop (id 42).\n"
    )
    again = inv("tag.ruleset", "--apply", cwd=checkout.root)
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout == "Nothing to do: the rulesets of acme/shop are as they should be.\n"


@pytest.mark.parametrize(("reply", "code"), [("y\n", 0), ("\n", 3)])
def test_on_a_terminal_it_asks(checkout: Checkout, server: GitHubServer, reply: str, code: int) -> None:
    master, slave = pty.openpty()
    os.write(master, reply.encode())
    process = subprocess.Popen(
        [program("inv"), "tag.ruleset", "--apply", "--json"],
        cwd=checkout.root,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "TERM": "xterm"},
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=slave,
    )
    os.close(slave)
    printed, _ = process.communicate(timeout=60)
    shown = os.read(master, 65536).decode()
    os.close(master)
    assert process.returncode == code
    assert "Change the rulesets of acme/shop? [y/N]" in shown
    assert len(server.rulesets) == (2 if code == 0 else 0)
    if code == 0:
        Draft202012Validator(json_schema(RulesetAnswer)).validate(json.loads(printed))


def test_an_interrupt_says_what_was_written(
    inv: Inv, checkout: Checkout, server: GitHubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = f'case "$*" in *POST*) if test -e {tmp_path}/once; then kill -INT $PPID; sleep 60; fi;; esac'
    interrupting = f'#!/bin/sh\n{second}\ncase "$*" in *POST*) : > {tmp_path}/once;; esac\n'
    write(tmp_path / "cut/gh", f'{interrupting}exec "{tmp_path}/bin/gh" "$@"\n', executable=True)
    monkeypatch.setenv("PATH", f"{tmp_path}/cut{os.pathsep}{os.environ['PATH']}")
    done = inv("tag.ruleset", "--apply", "--yes", cwd=checkout.root)
    assert done.returncode == 130
    assert f"Written before: {IMMUTABLE_NAME}." in done.stderr
    assert "next: inv tag.ruleset --apply" in done.stderr
    assert len(server.rulesets) == 1


def test_another_host_is_refused(inv: Inv, monorepo: Monorepo) -> None:
    monorepo.git("remote", "set-url", "origin", "https://gitlab.example/acme/shop.git")
    env = {"CI_TASKS_TAG_WRITER": "app:1", "GITHUB_REPOSITORY": "acme/shop"}
    done = inv("tag.ruleset", "--apply", "--yes", cwd=monorepo.clone, env=env)
    assert done.returncode == 3
    assert "The remote is not a repository on GitHub" in done.stderr
