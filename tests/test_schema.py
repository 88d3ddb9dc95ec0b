"""Every entity and every --json has a JSON Schema."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import jsonschema
import pytest

import ci_tasks
from ci_tasks.schema import DOCUMENTS, NAMES

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Inv

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


def test_one_schema(inv: Inv, tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text("from ci_tasks import ns\n")
    done = inv("report.schema", "--name", "Deployment", cwd=tmp_path)
    assert done.returncode == 0
    properties = json.loads(done.stdout)["$defs"]["Deployment"]["properties"]
    assert {"deploymentId", "environment", "leaseEnd"} <= set(properties)
