"""Everything that is wrong is told at once."""

from __future__ import annotations

from ci_tasks.environment.check import check
from ci_tasks.environment.configuration import parse_layers

KNOWN = ("production", "staging")


def problems(files: dict[str, str]) -> list[str]:
    found = parse_layers(
        {f"{path}/config.yml": text.encode() for path, text in files.items()}, environments=KNOWN
    )
    return [str(problem) for problem in check(found)]


def test_nothing_is_wrong() -> None:
    assert not problems(
        {
            "environments": "providers: {us: {aws: us-east-1}, eu: {aws: eu-west-1}}",
            "environments/staging": "regions: [us]",
            "environments/staging/us": "a: 1",
            "environments/production/eu": "providers: {eu: {azure: northeurope}}",
        }
    )


def test_all_that_is_wrong_in_one_list() -> None:
    found = problems(
        {
            "environments": "a: NO",
            "environments/staging": "protected: 1\n\ntimeout: 10",
            "environments/stagging": "",
            "api/environments/production": "a: 1\na: 2",
            "api/environments/production/US": "",
        }
    )
    assert [line.partition(": ")[0] for line in found] == [
        "api/environments/production/US/config.yml",
        "api/environments/production/config.yml:2:1",
        "environments/config.yml:1:4",
        "environments/stagging/",
        "environments/staging/config.yml:1:1",
        "environments/staging/config.yml:3:1",
    ]


def test_a_region_that_nobody_lists() -> None:
    [line] = problems({"environments/staging": "regions: [us]", "environments/staging/eu": ""})
    assert line == "environments/staging/eu/config.yml: eu is no region of staging: `regions:` lists us"


def test_a_region_that_a_subproject_lists_may_stand_in_the_root() -> None:
    files = {"environments/staging": "regions: [us]", "environments/staging/eu": ""}
    assert not problems({**files, "api/environments/staging": "regions: [us, eu]"})
    assert len(problems({**files, "api/environments/staging": "regions: [us]"})) == 1


def test_f25_a_provider_of_an_unknown_region() -> None:
    [line] = problems(
        {
            "environments": "\nproviders:\n  us-esat: {aws: x}",
            "environments/staging": "regions: [us-east]",
            "environments/production": "",
        }
    )
    assert line == (
        "environments/config.yml:3: providers: 'us-esat' is no region here; did you mean us-east?"
    )


def test_what_depends_on_a_broken_file_is_not_told_as_well() -> None:
    found = problems({"environments/staging": "{", "environments/staging/eu": "providers: {us: {aws: x}}"})
    assert len(found) == 1
