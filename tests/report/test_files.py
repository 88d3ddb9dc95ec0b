"""Saving: whole files or none, whatever happens meanwhile."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ci_tasks.core.errors import UnavailableError, UsageError
from ci_tasks.report.files import LAST, save
from ci_tasks.report.read import last
from ci_tasks.report.render import as_json, as_markdown
from tests.report.samples import SAMPLES, region, report

if TYPE_CHECKING:
    from ci_tasks.report.model import PipelineReport

ROOT = Path(__file__).parent.parent.parent
# Saves two reports of 2 MB in turn, for ever; says when the first one is there.
WRITER = """
import sys
from pathlib import Path
from ci_tasks.report.files import save
from tests.report.samples import report
folder, ids = Path(sys.argv[1]), sys.argv[2].split(",")
reports = [report(report_id=name, logs=tuple(name * 50 for _ in range(20_000))) for name in ids]
save(reports[0], folder)
print("ready", flush=True)
while True:
    for one in reports:
        save(one, folder)
"""
# Saves a report in a process that may not write more than 4 KiB into a file: what a full disk looks like.
FULL = """
import resource, sys
from pathlib import Path
from ci_tasks.core.errors import UnavailableError
from ci_tasks.report.files import save
from tests.report.samples import report
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    save(report(report_id="new", logs=("x" * 100_000,)), Path(sys.argv[1]))
except UnavailableError as error:
    sys.exit(error.what)
"""


def python(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def big_reports(*names: str) -> list[PipelineReport]:
    return [report(report_id=name, logs=tuple(name * 50 for _ in range(20_000))) for name in names]


def test_three_files_and_nothing_else(tmp_path: Path) -> None:
    success = SAMPLES["success"]
    folder = tmp_path / "build" / "reports"
    saved = save(success, folder, root=tmp_path)
    name = success.report_id
    assert saved == folder / f"{name}.json"
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [f"{name}.json", f"{name}.md", "last.json"]
    )
    assert saved.read_bytes() == (folder / "last.json").read_bytes() == as_json(success)
    assert (folder / f"{name}.md").read_text(encoding="utf-8") == as_markdown(success)


def kill_while_last_is_half_written(writer: subprocess.Popen[str], folder: Path, whole: set[int]) -> None:
    """Watch the sizes of last.json and of what will become it; SIGKILL at one that no whole report has."""
    while writer.poll() is None:
        for path in folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # renamed since it was listed
                if LAST in path.name and path.lstat().st_size not in whole:
                    os.kill(writer.pid, signal.SIGKILL)
                    return


def test_f110_killed_while_writing_leaves_a_whole_report(tmp_path: Path) -> None:
    whole = {as_json(one) for one in big_reports("old", "other")}
    for _ in range(6):
        with python(WRITER, str(tmp_path), "old,other") as writer:
            assert writer.stdout
            assert writer.stdout.readline() == "ready\n"
            kill_while_last_is_half_written(writer, tmp_path, {len(data) for data in whole})
        assert writer.returncode == -signal.SIGKILL
        assert (tmp_path / LAST).read_bytes() in whole


def test_f110_two_writers_at_once_leave_whole_reports(tmp_path: Path) -> None:
    whole = {as_json(one) for one in big_reports("one", "two", "six", "ten")}
    with (
        python(WRITER, str(tmp_path), "one,two") as first,
        python(WRITER, str(tmp_path), "six,ten") as second,
    ):
        for writer in (first, second):
            assert writer.stdout
            assert writer.stdout.readline() == "ready\n"
        seen = {(tmp_path / "last.json").read_bytes() for _ in range(200)}
        for writer in (first, second):
            assert writer.poll() is None, "one has failed at the other's file"
            writer.kill()
    assert seen <= whole


def test_f110_a_full_disk_keeps_the_old_report(tmp_path: Path) -> None:
    old = SAMPLES["success"]
    save(old, tmp_path)
    before = sorted(tmp_path.iterdir())
    with python(FULL, str(tmp_path)) as writer:
        _, message = writer.communicate(timeout=60)
    assert writer.returncode == 1
    assert "can't be written" in message
    assert last(tmp_path) == old
    assert sorted(tmp_path.iterdir()) == before


def test_f110_a_folder_that_cannot_be_made_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "build").write_text("a file stands here", encoding="utf-8")
    with pytest.raises(UnavailableError):
        save(SAMPLES["success"], tmp_path / "build" / "reports", root=tmp_path)


@pytest.mark.parametrize("place", ["build", "build/reports"])
def test_f110_a_linked_folder_is_not_followed(tmp_path: Path, place: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "checkout" / place
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnavailableError, match="symbolic link"):
        save(SAMPLES["success"], tmp_path / "checkout/build/reports", root=tmp_path / "checkout")
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("name", ["last.json", f"{SAMPLES['success'].report_id}.md"])
@pytest.mark.parametrize("exists", [True, False])
def test_f110_a_linked_file_is_not_followed(tmp_path: Path, name: str, exists: bool) -> None:  # noqa: FBT001 - pytest's parameter
    victim = tmp_path / "victim"
    if exists:
        victim.write_text("precious", encoding="utf-8")
    folder = tmp_path / "reports"
    folder.mkdir()
    (folder / name).symlink_to(victim)
    with pytest.raises(UnavailableError, match="symbolic link"):
        save(SAMPLES["success"], folder)
    assert [path.name for path in folder.iterdir()] == [name]
    assert victim.read_text(encoding="utf-8") == "precious" if exists else not victim.exists()


def test_last_reads_the_newest_back(tmp_path: Path) -> None:
    for name in ("success", "partial"):
        save(SAMPLES[name], tmp_path)
    assert last(tmp_path) == SAMPLES["partial"]


def test_last_without_a_report_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no report") as caught:
        last(tmp_path / "build")
    assert caught.value.next_step == "inv deploy --env ENV"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"reportId": "a"}', "\udcff"])
def test_last_refuses_what_is_no_report(tmp_path: Path, content: str) -> None:
    (tmp_path / "last.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(UsageError, match="not what it should be"):
        last(tmp_path)


def test_last_follows_no_link_and_waits_for_no_fifo(tmp_path: Path) -> None:
    save(SAMPLES["success"], tmp_path / "real")
    (tmp_path / "last.json").symlink_to(tmp_path / "real" / "last.json")
    with pytest.raises(UsageError, match="symbolic link"):
        last(tmp_path)
    (tmp_path / "last.json").unlink()
    os.mkfifo(tmp_path / "last.json")
    with pytest.raises(UsageError, match="FIFO"):
        last(tmp_path)


def test_f110_a_report_of_megabytes_reads_back(tmp_path: Path) -> None:
    regions = tuple(region(f"r{n}", SAMPLES["success"].regions[0].status) for n in range(500))
    huge = report(logs=("\x1b[0m\x00<`|" * 250_000,), regions=regions)
    save(huge, tmp_path)
    assert last(tmp_path) == huge
