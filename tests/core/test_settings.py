"""The settings: defaults, the file, the variables above it, and what is refused."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ci_tasks.core.errors import ExitCode, UsageError
from ci_tasks.core.settings import Settings, load

if TYPE_CHECKING:
    from pathlib import Path


def settings(folder: Path, text: str | None = None, **environ: str) -> Settings:
    if text is not None:
        (folder / "ci_tasks.yaml").write_text(text, encoding="utf-8")
    return load(folder, environ)


def refusal(folder: Path, text: str | None = None, **environ: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        settings(folder, text, **environ)
    assert caught.value.exit_code is ExitCode.USAGE
    return caught.value


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    found = settings(tmp_path)
    assert found == Settings()
    assert found.remote == "origin"
    assert found.environments == ("production", "staging", "canary", "sandbox", "performance")
    assert found.lease == 600.0
    assert found.reports == "build/reports"
    assert found.subprojects == found.pass_environment == ()


def test_every_setting_of_the_file(tmp_path: Path) -> None:
    text = """
remote: upstream
environments: [live, test-1]
subprojects: [api, "services/*"]
lease: 90s
reports: out/reports
passEnvironment: [KUBECONFIG, "AWS_*"]
dependsOn: {"services/*": [api, libs/Common], .: [go.work]}
"""
    assert settings(tmp_path, text) == Settings(
        remote="upstream",
        environments=("live", "test-1"),
        subprojects=("api", "services/*"),
        lease=90.0,
        reports="out/reports",
        pass_environment=("KUBECONFIG", "AWS_*"),
        depends_on={"services/*": ("api", "libs/Common"), ".": ("go.work",)},
    )


def test_variables_stand_above_the_file(tmp_path: Path) -> None:
    found = settings(
        tmp_path,
        "remote: upstream\nlease: 90s\n",
        CI_TASKS_LEASE="1h",
        CI_TASKS_ENVIRONMENTS='["live"]',
        CI_TASKS_PASS_ENVIRONMENT='["A"]',  # noqa: S106 - it is not that kind of pass
        CI_TASKS_REPORTS="",
        CI_TASKS_DEPENDS_ON='{"web": ["api"]}',
        OTHER="x",
    )
    assert found == Settings(
        remote="upstream",
        lease=3600.0,
        environments=("live",),
        pass_environment=("A",),
        depends_on={"web": ("api",)},
    )


def test_variables_that_belong_to_others_are_left_alone(tmp_path: Path) -> None:
    others = {f"CI_TASKS_{name}": "x" for name in ("REASON", "TESTING", "FAILPOINT", "RUN")}
    assert settings(tmp_path, **others) == Settings()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        pytest.param("enviroments: [a]", ["ci_tasks.yaml:1:", "did you mean environments?"], id="F25-typo"),
        pytest.param(
            "\nstagging: {}", ["ci_tasks.yaml:2:", "not known", "environments, subprojects"], id="F25-unknown"
        ),
        pytest.param("remote: 1.20", ["ci_tasks.yaml:1:9: remote:", "quote it"], id="F24-number"),
        pytest.param(
            "remote: 12", ["ci_tasks.yaml:1: remote:", "text is expected", "quote it"], id="F24-whole"
        ),
        pytest.param("environments: [NO]", ["ci_tasks.yaml:1:16: environments.0:", "quote it"], id="F24-no"),
        pytest.param(
            "environments: [12]", ["environments: entry 1: text is expected", "quote it"], id="F24-entry"
        ),
        pytest.param("environments: [live, live]", ["'live' stands twice"], id="F29-same"),
        pytest.param(
            "environments: [live, Live]", ["'Live'", "differs from live only by case"], id="F29-case"
        ),
        pytest.param(
            "environments: [live]\nsubprojects: [api, live]",
            ["ci_tasks.yaml:2", "each other's way"],
            id="F29-path",
        ),
        pytest.param("subprojects: [services/staging]", ["each other's way"], id="F29-deep-path"),
        pytest.param("environments: [head]", ["a use for that name"], id="F11-head"),
        pytest.param("environments: [con]", ["a use for that name"], id="F11-con"),
        pytest.param("environments: [lpt1]", ["a use for that name"], id="F11-lpt1"),
        pytest.param('environments: ["@"]', ["can't be an environment"], id="F11-at"),
        pytest.param("environments: [x.lock]", ["can't be an environment"], id="F11-lock"),
        pytest.param("environments: [a..b]", ["can't be an environment"], id="F11-dots"),
        pytest.param("environments: [-x]", ["can't be an environment"], id="F3-dash"),
        pytest.param("environments: [a/b]", ["can't be an environment"], id="F5-slash"),
        pytest.param('environments: ["live\\n"]', ["can't be an environment"], id="F1-newline"),
        pytest.param('environments: ["$(id)"]', ["can't be an environment"], id="F2-command"),
        pytest.param(f"environments: [{'a' * 41}]", ["40 at most"], id="F11-long"),
        pytest.param("subprojects: [../api]", ["no subproject's path"], id="F5-up"),
        pytest.param("subprojects: [/api]", ["no subproject's path"], id="F5-absolute"),
        pytest.param("subprojects: [api/]", ["no subproject's path"], id="F5-empty-part"),
        pytest.param('subprojects: ["**"]', ["no subproject's path"], id="F5-any-depth"),
        pytest.param("subprojects: [Api]", ["no subproject's path"], id="F10-case"),
        pytest.param("reports: ../out", ["inside the repository"], id="F5-reports-up"),
        pytest.param("reports: /tmp", ["inside the repository"], id="F5-reports-absolute"),
        pytest.param("reports: a/../../b", ["inside the repository"], id="F5-reports-later"),
        pytest.param("reports: .git/x", ["inside the repository"], id="F5-reports-git"),
        pytest.param("remote: --upload-pack=x", ["name of a git remote"], id="F3-remote"),
        pytest.param("remote: https://example.invalid/x", ["name of a git remote"], id="F3-address"),
        pytest.param("dependsOn: {web: [../x]}", ["'web': '../x' is no path"], id="F5-dependency-up"),
        pytest.param("dependsOn: {web: [/etc]}", ["'web': '/etc' is no path"], id="F5-dependency-absolute"),
        pytest.param("dependsOn: {web: [.git/x]}", ["'web': '.git/x' is no path"], id="F5-dependency-git"),
        pytest.param("dependsOn: {-x: [api]}", ["'-x' is no path"], id="F3-dependent"),
        pytest.param("\ndependsOn: [api]", ["ci_tasks.yaml:2: dependsOn: a map is expected"], id="F24-map"),
        ("dependsOn: {web: api}", ["'web': a list of texts is expected, not text"]),
        ("dependsOn: {web: [api, api]}", ["'web': 'api' stands twice"]),
        ("dependsOn: {web: ['libs/*']}", ["'web': 'libs/*' has a *, and each dependency has to be named"]),
        ("environments: []", ["at least one"]),
        ("environments: staging", ["a list of texts is expected, not text"]),
        ("remote:", ["text is expected, not nothing"]),
        ("remote: ''", ["is empty"]),
        ("remote: [a]", ["text is expected, not a list"]),
        ("remote: {a: b}", ["text is expected, not a map"]),
        ("remote: true", ["text is expected, not true or false: quote it"]),
        ("lease: 600", ["needs a unit", "10m"]),
        ("lease: true", ["a duration such as 10m is expected"]),
        ("lease: soon", ["'soon' is not a duration"]),
        ("lease: 9s", ["at least 10s and at most 24h"]),
        ("lease: 25h", ["at least 10s and at most 24h"]),
        ("passEnvironment: [A-B]", ["not the name of a variable"]),
        ("passEnvironment: ['*']", ["not the name of a variable"]),
    ],
)
def test_what_the_file_may_not_say(tmp_path: Path, text: str, parts: list[str]) -> None:
    error = refusal(tmp_path, text)
    for part in parts:
        assert part in error.what
    assert error.unchanged == "Nothing was changed."


@pytest.mark.parametrize(
    ("variable", "value", "part"),
    [
        pytest.param("CI_TASKS_LEESE", "10m", "did you mean CI_TASKS_LEASE?", id="F25-typo"),
        pytest.param("CI_TASKS_", "x", "this variable is not known", id="F25-nothing"),
        pytest.param("CI_TASKS_LEESE", "", "did you mean CI_TASKS_LEASE?", id="F25-empty"),
        ("CI_TASKS_ENVIRONMENTS", "live,test", "a list in JSON is expected"),
        ("CI_TASKS_ENVIRONMENTS", "[" * 20_000, "a list in JSON is expected"),
        ("CI_TASKS_ENVIRONMENTS", "[1]", "a list in JSON is expected"),
        ("CI_TASKS_ENVIRONMENTS", '["live", "live"]', "'live' stands twice"),
        ("CI_TASKS_DEPENDS_ON", "web: [api]", "a map of lists in JSON is expected"),
        ("CI_TASKS_DEPENDS_ON", '{"web": "api"}', "a map of lists in JSON is expected"),
        ("CI_TASKS_DEPENDS_ON", '{"web": ["/"]}', "'/' is no path"),
        ("CI_TASKS_LEASE", "600", "'600' is not a duration"),
        ("CI_TASKS_REMOTE", "-x", "name of a git remote"),
    ],
)
def test_what_a_variable_may_not_say(tmp_path: Path, variable: str, value: str, part: str) -> None:
    error = refusal(tmp_path, **{variable: value})
    assert error.what.startswith(f"{variable}: ")
    assert part in error.what


def test_a_list_that_is_no_json_comes_with_the_line_to_type(tmp_path: Path) -> None:
    error = refusal(tmp_path, CI_TASKS_SUBPROJECTS="api")
    assert error.next_step == """export CI_TASKS_SUBPROJECTS='["one", "two"]'"""


@pytest.mark.parametrize("name", ["ci_tasks.yml", "ci_tasks.json"])
def test_a_file_of_another_name_is_not_passed_over(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}", encoding="utf-8")
    assert refusal(tmp_path).next_step == f"git mv {name} ci_tasks.yaml"


def test_f27_the_file_is_a_regular_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ci_tasks.yaml")
    assert "is a FIFO" in refusal(tmp_path).what


def test_f27_a_link_that_leads_nowhere_is_not_the_same_as_no_file(tmp_path: Path) -> None:
    (tmp_path / "ci_tasks.yaml").symlink_to("nowhere")
    assert "symbolic link" in refusal(tmp_path).what


@pytest.mark.parametrize("text", ["", "reports: out\n"])
def test_f5_reports_do_not_leave_the_repository_by_a_link(tmp_path: Path, text: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / ("out" if text else "build")).symlink_to(tmp_path)
    assert "leaves the repository" in refusal(root, text).what


def test_a_folder_for_reports_that_does_not_exist_yet_is_fine(tmp_path: Path) -> None:
    assert settings(tmp_path, "reports: .ci/reports").reports == ".ci/reports"
