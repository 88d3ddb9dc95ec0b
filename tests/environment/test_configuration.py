"""Layers: which file counts where, what is reserved, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ci_tasks.core.errors import ExitCode, UsageError
from ci_tasks.environment.configuration import Layers, parse_layers
from ci_tasks.environment.model import Rules
from ci_tasks.environment.names import ConfigType
from ci_tasks.environment.tree import gather

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KNOWN = ("production", "staging", "canary")


def layers(**files: str) -> Layers:
    """Layers of files whose names are written with __ for / and without config.yml."""
    return parse(
        {f"{name.replace('__', '/').replace('_', '-')}/config.yml": text for name, text in files.items()}
    )


def parse(files: dict[str, str]) -> Layers:
    return parse_layers({path: text.encode() for path, text in files.items()}, environments=KNOWN)


def refusal(call: Callable[[], Any]) -> UsageError:
    with pytest.raises(UsageError) as caught:
        call()
    assert caught.value.exit_code is ExitCode.USAGE
    return caught.value


def test_the_order_of_the_layers() -> None:
    found = layers(
        environments="a: 1\nb: 1\nc: 1\nd: 1\ne: 1\nf: 1",
        api__environments="b: 2\nc: 2\nd: 2\ne: 2\nf: 2",
        environments__staging="c: 3\nd: 3\ne: 3\nf: 3",
        api__environments__staging="d: 4\ne: 4\nf: 4",
        environments__staging__us="e: 5\nf: 5",
        api__environments__staging__us="f: 6",
        web__environments="a: 7",
        environments__production="a: 8",
        environments__staging__eu="a: 9",
    )
    resolved = found.resolve("staging", "us", "api")
    assert resolved.values == {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6}
    assert resolved.origins == {
        "a": "environments/config.yml",
        "b": "api/environments/config.yml",
        "c": "environments/staging/config.yml",
        "d": "api/environments/staging/config.yml",
        "e": "environments/staging/us/config.yml",
        "f": "api/environments/staging/us/config.yml",
    }
    assert found.resolve("staging", None, "api").values["e"] == 4
    assert found.resolve("staging", "us").values == {"a": 1, "b": 1, "c": 3, "d": 3, "e": 5, "f": 5}
    assert found.resolve("staging", "eu", "api").values["a"] == 9
    assert found.resolve("production", None, "web").values["a"] == 8


def test_a_deeper_subproject_is_not_part_of_the_one_above() -> None:
    found = layers(
        environments__staging="", services__environments="a: 1", services__auth__environments__staging="b: 2"
    )
    assert found.subprojects() == ("", "services", "services/auth")
    assert found.resolve("staging", None, "services/auth").values == {"b": 2}
    assert found.resolve("staging", None, "services").values == {"a": 1}


def test_regions_come_from_the_list_else_from_the_folders() -> None:
    found = layers(
        environments="",
        environments__staging__us_east="",
        api__environments__staging__eu="",
        environments__production="regions: [us, eu]",
        api__environments__production="regions: [eu]",
        environments__canary="regions: []",
        environments__canary__eu="",
    )
    assert found.regions("staging") == ("us-east",)
    assert found.regions("staging", "api") == ("eu", "us-east")
    assert found.regions("production") == ("us", "eu")
    assert found.regions("production", "api") == ("eu",)
    assert found.regions("canary") == ()


def test_environments_in_the_order_of_the_settings() -> None:
    found = parse({"environments/staging/notes.txt": "", "api/environments/production/": ""})
    assert found.environments() == ("staging",)
    assert found.environments("api") == ("production", "staging")
    assert found.regions("staging") == ()


def test_rules_are_merged_and_not_among_the_values() -> None:
    found = layers(
        environments="timeout: 10m\nbranches: [main]",
        environments__production='protected: true\nbranches: [main, "release/*"]\nregions: [us]\nreplicas: 2',
        api__environments__production="timeout: 90s",
    )
    assert found.rules("production", "api") == Rules(
        protected=True,
        branches=("main", "release/*"),
        timeout=90.0,
        regions=("us",),
        sources={
            "protected": "environments/production/config.yml:1",
            "branches": "environments/production/config.yml:2",
            "regions": "environments/production/config.yml:3",
            "timeout": "api/environments/production/config.yml:1",
        },
    )
    assert found.rules("production").timeout == 600.0
    assert found.rule_origins("production", "api") == {
        "branches": "environments/production/config.yml",
        "protected": "environments/production/config.yml",
        "regions": "environments/production/config.yml",
        "timeout": "api/environments/production/config.yml",
    }
    resolved = found.resolve("production", None, "api")
    assert resolved.values == {"replicas": 2}
    assert resolved.origins == {"replicas": "environments/production/config.yml"}


def test_without_rules_nothing_is_demanded() -> None:
    assert layers(environments__staging="").rules("staging") == Rules(
        protected=False, branches=(), timeout=None, regions=()
    )


def test_variables_and_providers_stand_beside_the_values() -> None:
    found = layers(
        environments=(
            "env: {A: text, B: 12, C: 1.5, D: true, E: '', F: '1.20'}\nproviders: {us: {aws: us-east-1}}"
        ),
        environments__staging=(
            "env: {A: other, G_1: 'a b'}\nproviders: {us: {azure: eastus}, eu: {aws: eu-west-1}}"
        ),
        environments__staging__us="",
        environments__staging__eu="",
    )
    resolved = found.resolve("staging", "us")
    assert resolved.env == {
        "A": "other",
        "B": "12",
        "C": "1.5",
        "D": "true",
        "E": "",
        "F": "1.20",
        "G_1": "a b",
    }
    assert resolved.providers == {
        "us": {"aws": "us-east-1", "azure": "eastus"},
        "eu": {"aws": "eu-west-1"},
    }
    assert resolved.values == {}
    assert resolved.origins["env.A"] == "environments/staging/config.yml"
    assert resolved.origins["providers.us.aws"] == "environments/config.yml"


@pytest.mark.parametrize(
    ("text", "line", "parts"),
    [
        pytest.param("a: 1\nstaging: 012", 2, ["quote it"], id="F24-number"),
        pytest.param("version: 1.20", 1, ["quote it"], id="F24-version"),
        pytest.param(
            "branches: [main, 12]",
            1,
            ["branches: entry 2: text is expected, not a number: quote it"],
            id="F24-branch",
        ),
        pytest.param("regions: [no]", 1, ["regions.0", "quote it"], id="F24-region"),
        pytest.param("env: {PORT: 22:22}", 1, ["env.PORT", "quote it"], id="F24-variable"),
        pytest.param("a: 1\na: 2", 2, ["lines 1 and 2"], id="F22-duplicate"),
        pytest.param("\nprotectd: true", 2, ["did you mean protected?"], id="F25-protectd"),
        pytest.param("Protected: true", 1, ["did you mean protected?"], id="F25-case"),
        pytest.param("branchs: [main]", 1, ["did you mean branches?"], id="F25-branchs"),
        pytest.param("regions: [../secrets]", 1, ["can't be a region"], id="F7-up"),
        pytest.param("regions: [us/east]", 1, ["can't be a region"], id="F7-slash"),
        pytest.param("regions: [-x]", 1, ["can't be a region"], id="F3-region"),
        pytest.param("providers: {../x: {aws: z}}", 1, ["can't be a region"], id="F7-provider"),
        ("regions: us", 1, ["a list of texts is expected, not text"]),
        ("regions: [us, us]", 1, ["'us' stands twice"]),
        ("deploy: {}", 1, ["nothing is done with it yet"]),
        ("freeze: true", 1, ["a list of maps is expected"]),
        ("protected: 'true'", 1, ["true or false is expected, not text"]),
        ("protected:", 1, ["true or false is expected, not nothing"]),
        ("branches: [-x]", 1, ["'-x' is no branch"]),
        ("branches: ['a b']", 1, ["is no branch"]),
        ("branches: [a..b]", 1, ["is no branch"]),
        ("timeout: 600", 1, ["needs a unit"]),
        ("timeout: 7h", 1, ["at most 6h"]),
        ("timeout: 0s", 1, ["at least 1s"]),
        ("env: [a]", 1, ["a map is expected, not a list"]),
        ("env:", 1, ["a map is expected, not nothing"]),
        ("env:\n  a-b: x", 2, ["env.a-b", "A-Z"]),
        ("env: {lower: x}", 1, ["A-Z"]),
        ("env: {1A: x}", 1, ["no digit first"]),
        ("env: {A: }", 1, ["text, a number, true or false is expected"]),
        ("env: {A: [x]}", 1, ["text, a number, true or false is expected"]),
        ('env: {A: "x\\0y"}', 1, ["U+0000"]),
        *(
            (f"env: {{{name}: x}}", 1, ["not yours to set"])
            for name in ("PATH", "HOME", "SHELL", "IFS", "BASH_ENV", "ENV", "DEPLOYMENT_X", "CI_TASKS_RUN")
        ),
        *((f"env: {{{name}: x}}", 1, ["not yours to set"]) for name in ("GIT_DIR", "LD_PRELOAD", "DYLD_X")),
        ("providers: [x]", 1, ["a map is expected, not a list"]),
        ("providers: {us: x}", 1, ["{aws: us-east-1}"]),
        ("providers: {us: {AWS: x}}", 1, ["can't be a provider"]),
        ("providers: {us: {aws: 12}}", 1, ["providers.us.aws: text is expected", "quote it"]),
        ('providers: {us: {aws: "a\\nb"}}', 1, ["one line"]),
    ],
)
def test_what_a_file_may_not_say(text: str, line: int, parts: list[str]) -> None:
    found = layers(environments__staging=text, environments__production="", environments__staging__us="")
    asked: list[Callable[[], object]] = [lambda: found.rules("staging"), lambda: found.regions("staging")]
    if text.startswith(("env", "providers")) or "quote it" in parts:
        asked += [lambda: found.resolve("staging"), lambda: found.resolve("staging", "us")]
    for call in asked:
        error = refusal(call)
        assert error.what.startswith(f"environments/staging/config.yml:{line}:")
        assert error.next_step == "inv env.check"
        for part in parts:
            assert part in error.what
    assert found.rules("production") == Rules()


def test_a_broken_file_is_in_the_way_of_its_region_alone() -> None:
    found = layers(environments__staging="", environments__staging__us="{", environments__staging__eu="a: 1")
    assert found.regions("staging") == ("eu", "us")
    assert found.resolve("staging", "eu").values == {"a": 1}
    assert found.resolve("staging").values == {}
    assert refusal(lambda: found.resolve("staging", "us")).what.startswith(
        "environments/staging/us/config.yml:"
    )


@pytest.mark.parametrize("text", ["protected: true", "branches: [main]", "timeout: 10m", "regions: [us]"])
def test_a_rule_does_not_stand_in_a_region(text: str) -> None:
    found = layers(environments__staging__us=text, environments__production="")
    for call in (lambda: found.rules("staging"), lambda: found.regions("staging")):
        error = refusal(call)
        assert error.what.startswith("environments/staging/us/config.yml:1:1: ")
        assert "whole environment" in error.what
    assert found.rules("production") == Rules()


@pytest.mark.parametrize("text", ["protected: 1", "freeze: true", "protectd: true", "regions: us"])
def test_f118_rules_of_an_old_version_are_in_nobodys_way(text: str) -> None:
    found = layers(environments__staging=f"{text}\nkey: 1", environments__staging__us="timeout: 1m")
    assert found.resolve("staging", "us").env == {}


def test_every_problem_of_the_files_that_count_is_told() -> None:
    found = layers(
        environments="env: {lower: x}",
        environments__staging="env: {PATH: x}\nproviders: [x]",
        web__environments="{",
        environments__production="{",
    )
    error = refusal(lambda: found.resolve("staging", None, "api"))
    assert "environments/config.yml:1:7: env.lower" in error.what
    assert [line.partition(": ")[0] for line in error.details] == [
        "environments/staging/config.yml:1:7",
        "environments/staging/config.yml:2:1",
    ]
    assert len(found.problems) == 5


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("environments/staging/config.yaml", "its name must be config.yml"),
        ("environments/staging/config.json", "its name must be config.yml"),
        ("environments/config.yaml", "its name must be config.yml"),
        ("environments/staging/us/deep/config.yml", "too deep"),
        pytest.param("environments/staging/US/config.yml", "can't be a region", id="F7-case"),
        pytest.param("environments/staging/-x/config.yml", "can't be a region", id="F3-region"),
    ],
)
def test_a_file_where_it_is_not_read(path: str, part: str) -> None:
    found = parse({"environments/staging/config.yml": "", path: ""})
    error = refusal(lambda: found.resolve("staging"))
    assert error.what.startswith(f"{path}: ")
    assert part in error.what


def test_other_files_are_nobodys_business() -> None:
    found = parse(
        {
            "environments/README.md": "{",
            "environments/staging/secrets.yml": "{",
            "environments/staging/us/values.json": "{",
            "environments/.cache/x": "",
            "api/config.yml": "{",
        }
    )
    assert found.problems == ()
    assert found.configurations() == ()
    assert found.environments() == ("staging",)


def test_f25_a_folder_that_is_no_environment_is_refused() -> None:
    found = layers(environments__production="", environments__stagging="a: 1", web__environments__x="")
    for call in (
        found.environments,
        lambda: found.rules("production"),
        lambda: found.rules("production", "api"),
    ):
        error = refusal(call)
        assert error.what.startswith("environments/stagging/: ")
        assert "did you mean staging?" in error.what
        assert "production, staging, canary" in error.what
    assert "web/environments/x/" in " ".join(refusal(lambda: found.rules("production", "web")).details)
    # The values of an old version may have a folder that the settings no longer know.
    assert found.resolve("production").values == {}


def test_f29_a_folder_that_differs_by_case_is_refused() -> None:
    error = refusal(layers(environments__staging="", environments__Staging="").environments)
    assert error.what.startswith("environments/Staging/: ")
    assert "did you mean staging?" in error.what


def test_f14_an_unknown_environment_comes_with_the_nearest() -> None:
    error = refusal(lambda: layers(environments__staging="").resolve("stagng"))
    assert "Did you mean staging?" in error.what


def test_a_missing_environment_comes_with_those_that_exist() -> None:
    found = layers(environments__staging="", environments__canary="")
    error = refusal(lambda: found.resolve("production"))
    assert "environments/production/" in error.what
    assert error.details == ("Environments that have a folder: staging, canary.",)
    assert error.next_step == "mkdir -p environments/production && touch environments/production/config.yml"


def test_f25_a_missing_environment_whose_folder_has_a_typing_error() -> None:
    error = refusal(lambda: layers(environments__stagging="").resolve("staging"))
    assert error.details == ("There is a folder environments/stagging/: is that a typing error?",)


@pytest.mark.parametrize(
    "files", [{}, {"environments/": ""}, {"environments/config.yml": ""}], ids=["F30-1", "F30-2", "F30-3"]
)
def test_the_first_run(files: dict[str, str]) -> None:
    error = refusal(lambda: parse(files).resolve("staging"))
    assert "There are no environments yet" in error.what
    assert error.next_step == "mkdir -p environments/staging && touch environments/staging/config.yml"


@pytest.mark.parametrize(
    "region",
    [
        pytest.param("us-east/../../secrets", id="F7-path"),
        pytest.param("..", id="F7-up"),
        pytest.param("/etc", id="F7-absolute"),
        pytest.param("", id="F8-empty"),
        pytest.param("a:b", id="F8-colon"),
        pytest.param("--upload-pack=x", id="F3-dash"),
        pytest.param("prod;rm -rf .", id="F1-semicolon"),
        pytest.param("$(id)", id="F2-command"),
        pytest.param("us\n", id="F2-newline"),
        pytest.param("é", id="F2-other-letters"),
        pytest.param("a" * 41, id="F11-long"),
    ],
)
def test_what_is_no_region(region: str) -> None:
    error = refusal(lambda: layers(environments__staging="").resolve("staging", region))
    assert "can't be a region" in error.what


def test_configurations_in_order() -> None:
    found = layers(
        environments="",
        environments__staging="{",
        environments__staging__us="",
        environments__production="",
        api__environments__staging__eu="",
    )
    assert [
        (one.config_id, one.environment, one.region, one.subproject, one.config_type)
        for one in found.configurations()
    ] == [
        ("environments/config.yml", "*", None, None, ConfigType.GLOBAL),
        ("environments/production/config.yml", "production", None, None, ConfigType.ENVIRONMENT),
        ("environments/staging/config.yml", "staging", None, None, ConfigType.ENVIRONMENT),
        ("environments/staging/us/config.yml", "staging", "us", None, ConfigType.REGION),
        ("api/environments/staging/eu/config.yml", "staging", "eu", "api", ConfigType.REGION),
    ]
    assert all(one.path == one.config_id and not one.is_encrypted for one in found.configurations())


def test_f28_a_file_that_changes_later_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "environments/staging/config.yml"
    file.parent.mkdir(parents=True)
    file.write_text("protected: true\nkey: [old]", encoding="utf-8")
    found = parse_layers(gather(tmp_path), environments=KNOWN)
    file.write_text("{", encoding="utf-8")
    resolved = found.resolve("staging")
    resolved.values["key"].append("new")
    assert found.resolve("staging").values == {"key": ["old"]}
    assert found.rules("staging").protected
