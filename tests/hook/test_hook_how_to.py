"""The how-to about hooks does what it says: its blocks are taken out and run."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from ci_tasks.hook import configuration
from ci_tasks.hook.header import EXAMPLE
from ci_tasks.hook.names import CLIENT
from tests.conftest import ROOT

if TYPE_CHECKING:
    from tests.hook.conftest import Hooked

TEXT = (ROOT / "docs/how-to/install-hooks.md").read_text(encoding="utf-8")


def test_every_line_can_be_typed(hooked: Hooked) -> None:
    lines = re.findall(r"(?m)^```sh\n(.*)\n```$", TEXT)
    assert len(lines) == 4
    before = sorted(path.name for path in hooked.folder.iterdir())
    for line in lines:
        program, *words = shlex.split(line.replace("PATH", str(hooked.repository.remote)))
        assert program == "inv"
        done = hooked.inv(*words, cwd=hooked.clone)
        assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in hooked.folder.iterdir()) == before


def test_what_is_named_is_there() -> None:
    assert re.findall(r"(?m)^\| `([a-z-]+)` \|", TEXT) == [name.value for name in CLIENT]
    offered = (ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8")
    for identifier in re.findall(r"- id: (\S+)", TEXT):
        assert f"- id: {identifier}\n" in offered
    assert EXAMPLE in TEXT
    keys = set(re.findall(r"`(ci-tasks\.\w+)`", TEXT))
    assert keys == {"ci-tasks.environments", "ci-tasks.sign", "ci-tasks.allowedSigners", "ci-tasks.admins"}
    assert configuration.SIGNERS == "ci-tasks/allowed_signers"
