"""Every entity and every --json has a JSON Schema."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import jsonschema
import pytest

import ci_tasks
from ci_tasks.core.entity import json_schema
from ci_tasks.core.error_document import Error
from ci_tasks.core.errors import ExitCode
from ci_tasks.schema import DOCUMENTS, NAMES

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Inv
    from tests.repositories import Monorepo

WITHOUT_ENTITY = {"overview", "report.schema"}
"""Tasks whose JSON is no entity: a table of lines, and the schemas themselves."""


def test_every_task_says_what_its_json_is() -> None:
    assert set(ci_tasks.ns.task_names) == set(DOCUMENTS) | WITHOUT_ENTITY


@pytest.mark.parametrize("how", [["--json"], []], ids=["json", "text"])
def test_every_schema_is_one(inv: Inv, tmp_path: Path, how: list[str]) -> None:
    (tmp_path / "tasks.py").write_text("from ci_tasks import ns\n")
    done = inv("report.schema", *how, cwd=tmp_path)
    schemas = json.loads(done.stdout)
    assert set(schemas) == set(NAMES)
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (("tag.notes", "--version", "v1.0.0", "--subproject", "api"), ExitCode.REFUSED),
        (("tag.create", "--version", "v1"), ExitCode.USAGE),
        (("tag.state", "--version", "v1.0.0-rc.1", "--state", "stable"), ExitCode.REFUSED),
        (("tag.list", "--region", "x"), None),
    ],
)
def test_an_error_fits_its_schema(
    inv: Inv, monorepo: Monorepo, line: tuple[str, ...], code: ExitCode | None
) -> None:
    done = inv(*line, "--json", cwd=monorepo.clone)
    if code is None:  # refused by Invoke's own parser, before there is a task that could answer
        assert (done.returncode, done.stdout) == (1, "")
        return
    document = json.loads(done.stdout)
    jsonschema.Draft202012Validator(json_schema(Error)).validate(document)
    assert (document["error"]["code"], document["error"]["name"]) == (done.returncode, code.outcome)
    assert done.returncode == code


def test_one_schema(inv: Inv, tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text("from ci_tasks import ns\n")
    done = inv("report.schema", "--name", "Deployment", cwd=tmp_path)
    assert done.returncode == 0
    properties = json.loads(done.stdout)["$defs"]["Deployment"]["properties"]
    assert {"deploymentId", "environment", "leaseEnd"} <= set(properties)
