"""What a deployment would change, before there is one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ci_tasks.core.checkout import Checkout
from ci_tasks.core.errors import ExitCode
from ci_tasks.core.git.difference import joint
from ci_tasks.deploy.diff import pipeline_files
from ci_tasks.deploy.diff.changed_values import changed_names, changed_values, secret_names
from ci_tasks.deploy.diff.model import Difference
from ci_tasks.deploy.diff.pipeline_files import WHOLE
from ci_tasks.environment.model import Resolved
from ci_tasks.tag.grammar import EnvironmentTag
from tests.conftest import ROOT
from tests.deploy.test_deploy_json import valid

if TYPE_CHECKING:
    from tests.deploy.conftest import Site

DIFF = ("deploy.diff", "--env", "staging", "--subproject", "api")
VECTORS = ROOT / "tests/hook/vectors"


def resolved(values: dict[str, Any], env: dict[str, str] | None = None) -> Resolved:
    """The configuration of a region."""
    return Resolved(
        environment="staging",
        region=None,
        subproject="api",
        values=values,
        origins={},
        env=env or {},
        providers={},
    )


def test_values_that_differ_are_shown_and_secrets_are_not() -> None:
    before = resolved(
        {"replicas": 2, "hosts": ["a", "b"], "database": {"name": "x", "password": "old-one"}, "gone": True},
        {"API_TOKEN": "t0k3n-old", "URL": "https://t0k3n-old@host", "SAME": "1"},
    )
    after = resolved(
        {"replicas": 3, "hosts": ["a"], "database": {"name": "x", "password": "new-one"}},
        {"API_TOKEN": "t0k3n-new", "URL": "https://t0k3n-new@host", "SAME": "1", "NEW": ""},
    )
    found = changed_values(before, after)
    assert [(each.key, each.before, each.after) for each in found] == [
        ("database.password", "***", "***"),
        ("env.API_TOKEN", "***", "***"),
        ("env.NEW", None, ""),
        ("env.URL", "https://***@host", "https://***@host"),
        ("gone", "true", None),
        ("hosts", '["a", "b"]', '["a"]'),
        ("replicas", "2", "3"),
    ]
    assert [each.key for each in changed_values(None, resolved({"a": 1}, {"B": "2"}))] == ["a", "env.B"]
    assert changed_values(before, before) == ()


SECRET = "SEKRIT-" + "x7" * 4
"""Stands for a secret: it must not be shown, wherever it is."""

IN_THE_CLEAR: dict[str, Any] = {
    "a-key-in-a-list": {"databases": [{"name": "main", "password": SECRET}]},
    "deep-in-lists": {"a": [[{"b": [{"apiKey": {"value": [SECRET]}}]}]]},
    "beside-its-name": {"vars": [{"name": "DB_PASSWORD", "value": SECRET}]},
    "beside-its-name-in-a-map": {"vars": {"one": {"name": "DB_PASSWORD", "value": SECRET}}},
    "an-option": {"command": ["run", "--db-password", SECRET]},
    "an-option-in-a-text": {"command": f"run --db-password {SECRET}"},
    **{
        f"key-{name}": {name: SECRET}
        for name in (
            *("api-key", "access-key", "privateKey", "accessKey", "signingKey", "secretkey", "APIkey"),
            *("passphrase", "pwd", "db_pass", "userPwd", "auth", "basicAuth", "authorization", "keys"),
        )
    },
    **{f"env-{name}": {"env": {name: SECRET}} for name in ("PGPASS", "PASSPHRASE", "DB_PASS")},
    "named-elsewhere": {"password": SECRET, "address": f"https://host/{SECRET}/x"},
    "address": {"url": f"postgres://admin:{SECRET}@db/x"},
    "address-with-odd-letters": {"url": f"postgres://admin:a/b?{SECRET}@db/x"},
    "address-without-a-user": {"url": f"redis://:{SECRET}@db"},
    "token-in-an-address": {"url": f"https://{SECRET * 2}@host/x"},
    "query": {"url": f"https://host/?a=1&access_token={SECRET}&b=2"},
    "connection": {"database": f"Server=db;User Id=me;Password=a b {SECRET};Timeout=3"},
    "bearer": {"header": f"Bearer {SECRET}"},
    "basic": {"header": f"Basic {SECRET}"},
    "text-in-yaml": {"file": f"user: me\npassword: '{SECRET}'\nport: 1"},
    "block-in-yaml": {"file": f"user: me\npassword: |-\n  one\n  {SECRET}"},
    "text-in-json": {"file": json.dumps({"user": "me", "password": {"old": SECRET}})},
    "private-key": {"x": f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----"},
    "private-key-that-is-cut": {"x": f"-----BEGIN PRIVATE KEY-----\n{SECRET}"},
    "web-token": {"x": f"eyJhbGciOi.eyJzdWIiOi.{SECRET}"},
}


@pytest.mark.parametrize("values", [pytest.param(tree, id=name) for name, tree in IN_THE_CLEAR.items()])
def test_no_secret_is_shown(values: dict[str, Any]) -> None:
    env = values.get("env", {})
    tree = {key: value for key, value in values.items() if key != "env"}
    for found in (
        changed_values(None, resolved(tree, env)),
        changed_values(resolved(tree, env), resolved({})),
    ):
        assert found
        assert "SEKRIT" not in repr(found)
        assert "***" in repr(found)


@pytest.mark.parametrize(
    "begin", ["ghp_", "github_pat_", "glpat-", "AKIA", "ASIA", "xoxb-", "AIza", "sk_live_", "npm_", "hvs."]
)
def test_what_has_the_form_of_a_token_is_not_shown(begin: str) -> None:
    token = begin + "A1B2C3D4E5" * 4  # made up here: no file is to hold anything that looks like one
    (found,) = changed_values(None, resolved({"x": f"it is {token}, really"}))
    assert found.after == "it is ***, really"


@pytest.mark.parametrize(
    "text",
    [
        "ssh://git@host/x.git",
        "https://host:8080/a?b=c",
        "basic settings for the bearer of it",
        "monkey: bars",
        "run --name value",
        "a token of love",
    ],
)
def test_what_is_no_secret_is_shown(text: str) -> None:
    (found,) = changed_values(None, resolved({"x": text}))
    assert found.after == text


def test_a_secret_that_changes_is_a_change_all_the_same() -> None:
    before, after = ({"list": [{"password": word}]} for word in ("one", "two"))
    (found,) = changed_values(resolved(before), resolved(after))
    assert (found.before, found.after) == ('[{"password": "***"}]',) * 2


@pytest.mark.parametrize(
    ("name", "some"),
    [
        pytest.param("nested.sops-3.13.2.yaml", "", id="yaml"),
        pytest.param("basic.sops-3.13.2.json", "", id="json"),
        pytest.param("basic.sops-3.13.2.env", "", id="dotenv"),
        pytest.param("blob.sops-3.13.2.enc", "data", id="binary"),
    ],
)
def test_the_keys_of_an_encrypted_file(name: str, some: str) -> None:
    data = (VECTORS / name).read_bytes()
    found = secret_names(data, f"environments/secrets.enc.{name.rpartition('.')[2]}")
    assert found
    assert not any(key.startswith("sops") for key in found)
    assert some in found or not some


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.enc.yaml", "password: plain"),
        ("a.enc.yaml", "[unreadable"),
        ("a.enc.json", "{}"),
        ("a.enc.json", "[1]"),
        ("a.enc.env", "PASSWORD=plain"),
        ("a.enc.env", "A=ENC[x]\nsops_mac=ENC[x]\nSEKRIT=="),
        ("a.enc.env", "A=ENC[x]\nsops_mac=ENC[x]\nSEKRIT"),
        ("a.enc.env", "A=ENC[x]\nsops_version=3"),
        ("a.enc.yaml", "password: plain\nsops: {}"),
        ("a.enc.yaml", "password: plain\nsops: mac"),
        ("a.enc.yaml", "password: plain\nsops: {mac: x}"),
        ("a.enc.env", "SEKRIT=\nsops_mac=x"),
        ("a.enc", "\x00"),
    ],
)
def test_of_a_file_that_is_not_encrypted_not_even_names_are_shown(name: str, text: str) -> None:
    assert secret_names(text.encode(), name) is None


def test_names_that_differ() -> None:
    before = {("a", "one"): "1", ("a", "two"): "2", ("b", WHOLE): "3"}
    after = {("a", "one"): "1", ("a", "two"): "9", ("c", "x"): "4"}
    assert [(each.path, each.key, each.change.value) for each in changed_names(before, after)] == [
        ("a", "two", "changed"),
        ("b", None, "removed"),
        ("c", "x", "added"),
    ]


def encrypted(**values: str) -> str:
    """A secrets file as SOPS writes it; what stands in it is not read by anybody."""
    return json.dumps({**values, "sops": {"mac": "ENC[x]", "version": "3.9.4"}})


def test_what_a_deployment_would_change(site: Site) -> None:
    secrets = "environments/staging/secrets.enc.json"
    site.repository.write(secrets, encrypted(user="one", host="same"))
    site.commit("chore: begin")
    site.ok("deploy", "--env", "staging", "--subproject", "api", "--region", "us-east")
    site.repository.write("api/main.txt", "new\n")
    site.commit("feat: a new page")
    site.repository.write("web/main.txt", "new\n")
    site.commit("feat: not ours")
    site.repository.write(
        "environments/staging/us-east/config.yml", "replicas: 3\nenv:\n  GREETING: hello again\n"
    )
    site.commit("chore: more of them")
    site.version("api/v1.1.0")
    site.ok("deploy", "--env", "production", "--subproject", "api")
    site.repository.write(secrets, encrypted(user="two", host="same", extra="new"))
    site.script("true", name="30-ci-more")
    before = site.remote_state()

    answer = valid(site.answer(*DIFF, "--to", "v1.1.0"), Difference)
    eu, us = answer["regions"]
    assert (eu["liveVersion"], us["liveVersion"]) == (None, "v1.0.0")
    assert [(line["side"], line["description"]) for line in us["commits"]] == [("+", "feat: a new page")]
    assert us["values"] == [
        {"key": "env.GREETING", "before": "hello us-east", "after": "hello again"},
        {"key": "replicas", "before": None, "after": "3"},
    ]
    assert answer["secrets"] == [
        {"path": secrets, "key": "extra", "change": "added"},
        {"path": secrets, "key": "user", "change": "changed"},
    ]
    assert answer["scripts"] == [{"path": "scripts/deployment/30-ci-more.sh", "key": None, "change": "added"}]
    assert answer["notices"] == ["eu-west: nothing runs there yet, so all of api/v1.1.0 is new."]

    with_production = site.answer(*DIFF, "--with", "production")
    assert {**with_production, "source": None} == answer
    text = site.ok(*DIFF, "--with", "production")
    assert "+ " in text
    assert "two" not in text
    back = site.answer("deploy.diff", "--env", "production", "--subproject", "api", "--to", "v1.0.0")
    (region,) = back["regions"]
    assert [(line["side"], line["description"]) for line in region["commits"]] == [("-", "feat: a new page")]
    assert site.remote_state() == before


def test_a_file_that_is_too_large_to_look_into_is_compared_as_a_whole(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    large, small = "environments/staging/large.enc", "environments/staging/small.enc.json"
    site.repository.write(large, encrypted(x="y" * 300))
    site.repository.write(small, encrypted(a="1"))
    site.commit()
    monkeypatch.setattr(pipeline_files, "_LARGEST", 200)
    checkout = Checkout.open(site.clone)
    tag = EnvironmentTag(subproject="api", environment="staging")
    here = pipeline_files.on_disk(checkout, tag, None)
    there = pipeline_files.of_commit(
        joint(checkout.repository, checkout.origin), site.repository.git("rev-parse", "HEAD"), tag, None
    )
    assert here == there
    assert here.secrets.keys() == {(large, WHOLE), (small, "a")}


def test_lines_that_mean_nothing(shared_site: Site) -> None:
    for line, code, words in (
        ((), ExitCode.USAGE, "Say either --to, a version, or --with, another environment."),
        (("--to", "v1.0.0", "--with", "production"), ExitCode.USAGE, "Say either"),
        (("--to", "v7.0.0"), ExitCode.REFUSED, "There is no version api/v7.0.0 on the remote."),
        (
            ("--with", "production"),
            ExitCode.REFUSED,
            "api/production has no version to take: nothing runs there.",
        ),
        (("--with", "prod"), ExitCode.USAGE, "Did you mean production?"),
        (("--with", "staging"), ExitCode.USAGE, "--env and --with are both staging"),
    ):
        done = shared_site.run(*DIFF, *line)
        assert (done.returncode, words in " ".join(done.stderr.split())) == (code, True), done.stderr
    nothing = shared_site.ok(*DIFF, "--to", "v1.0.0")
    assert "nothing runs there yet" in nothing
