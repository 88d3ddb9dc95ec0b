"""How the answer of `script.check` reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_tasks.script.check import check
from ci_tasks.script.render import check_text

if TYPE_CHECKING:
    from pathlib import Path

    from tests.script.samples import WriteScript

GOOD = "#!/bin/sh\n# Description: x\necho\n"


def text_of(root: Path) -> list[str]:
    return check_text(check(root, [None, "api"])).splitlines()


def test_a_folder_has_no_line_number(root: Path, write: WriteScript) -> None:
    write("scripts/deploymnt/10-ci-a.sh", GOOD)
    write("api/scripts/zzz/10-ci-a.sh", GOOD)
    api, ours, total = text_of(root)
    assert api.startswith("api/scripts/zzz/: holds scripts but is no category; categories are ")
    assert ours == "scripts/deploymnt/: holds scripts but is no category; did you mean deployment?"
    assert total == "0 scripts checked, 2 problems"


def test_a_file_has_one(root: Path, write: WriteScript) -> None:
    write("scripts/10-ci-a.sh", GOOD)
    write("scripts/build/deploy.sh", GOOD)
    stray, odd, total = text_of(root)
    assert stray.startswith("scripts/10-ci-a.sh:1: is in no category")
    assert odd.startswith("scripts/build/deploy.sh:1: looks like a script")
    assert total == "0 scripts checked, 2 problems"


def test_a_good_end_and_a_warning(root: Path, write: WriteScript) -> None:
    write("scripts/build/10-ci-a.sh", GOOD)
    assert text_of(root) == ["1 script checked, no problems"]
    write("scripts/build/10-ci-b.sh", GOOD)
    warning, total = text_of(root)
    assert warning.startswith("scripts/build/10-ci-b.sh:1: warning: has the same number as")
    assert total == "2 scripts checked, no problems, 1 warning"
