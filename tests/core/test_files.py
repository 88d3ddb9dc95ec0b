"""Reading only regular files inside a root, writing whole or not at all."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ci_tasks.core.errors import ExitCode, UnavailableError, UsageError
from ci_tasks.core.files import LARGEST, read_file, write_atomically

ROOT = Path(__file__).parents[2]


def refusal(path: Path, root: Path) -> str:
    with pytest.raises(UsageError) as caught:
        read_file(path, root=root)
    assert caught.value.exit_code is ExitCode.USAGE
    assert caught.value.unchanged == "Nothing was changed."
    return caught.value.what


def test_a_regular_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c").write_bytes(b"x\0y")
    assert read_file(tmp_path / "a/b/c", root=tmp_path) == b"x\0y"
    assert read_file(tmp_path / "a/b/c", root=tmp_path / "a") == b"x\0y"


def test_f27_a_file_of_the_limit_is_read_and_one_byte_more_is_not(tmp_path: Path) -> None:
    file = tmp_path / "big"
    file.write_bytes(b"x" * LARGEST)
    assert len(read_file(file, root=tmp_path)) == LARGEST
    file.write_bytes(b"x" * (LARGEST + 1))
    assert "too large" in refusal(file, tmp_path)


def test_f27_200_megabytes_are_not_read(tmp_path: Path) -> None:
    file = tmp_path / "big"
    with file.open("wb") as opened:
        opened.truncate(200 * 1024 * 1024)
    assert "too large" in refusal(file, tmp_path)


def test_f27_a_fifo_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "is a FIFO" in refusal(tmp_path / "pipe", tmp_path)


@pytest.mark.parametrize("device", ["zero", "null"], ids=["F27-zero", "F27-null"])
def test_a_device_is_refused(device: str) -> None:
    assert "is a device" in refusal(Path("/dev") / device, Path("/dev"))


def test_f27_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket may not be long
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind("socket")
        assert "is a socket" in refusal(tmp_path / "socket", tmp_path)


@pytest.mark.parametrize(
    "target", ["/dev/zero", "real", "nowhere"], ids=["F27-zero", "F27-file", "F27-nothing"]
)
def test_a_link_is_refused_wherever_it_leads(tmp_path: Path, target: str) -> None:
    (tmp_path / "real").write_bytes(b"x")
    (tmp_path / "link").symlink_to(target)
    assert "link is a symbolic link" in refusal(tmp_path / "link", tmp_path)


def test_f6_a_linked_folder_on_the_way_is_refused(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    (outside / "inner").mkdir(parents=True)
    (outside / "inner/file").write_bytes(b"x")
    (root / "api").symlink_to(outside)
    what = refusal(root / "api/inner/file", root)
    assert "'api', on the way to api/inner/file, is a symbolic link" in what


def test_a_root_that_is_reached_by_a_link_is_fine(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("real")
    assert read_file(tmp_path / "link/file", root=tmp_path / "link") == b"x"


@pytest.mark.parametrize(
    "path", ["../x", "a/../../x", "/etc/passwd", "."], ids=["F5-up", "F5-up-later", "F5-abs", "F5-root"]
)
def test_a_path_that_leaves_the_root_is_refused(tmp_path: Path, path: str) -> None:
    assert "is not a file inside" in refusal(tmp_path / path, tmp_path)


def test_what_is_not_there_or_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    assert "folder is a folder" in refusal(tmp_path / "folder", tmp_path)
    assert "can't be read: No such file" in refusal(tmp_path / "nothing", tmp_path)
    assert "is a file" in refusal(tmp_path / "file/inner", tmp_path)
    assert "can't be read" in refusal(tmp_path / "gone/file", tmp_path / "gone")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "file").chmod(0)
    assert "Permission denied" in refusal(tmp_path / "file", tmp_path)


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/file").write_bytes(b"x")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count is all that is wanted
    for _ in range(20):
        read_file(tmp_path / "a/file", root=tmp_path)
        refusal(tmp_path / "a/other", tmp_path)
        write_atomically(tmp_path / "b", b"")
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - likewise


def test_written_whole_with_the_folders_above(tmp_path: Path) -> None:
    path = tmp_path / "a/b/report.json"
    write_atomically(path, b"one")
    assert path.read_bytes() == b"one"
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert [entry.name for entry in path.parent.iterdir()] == ["report.json"]


def test_the_mode_of_a_file_is_kept_and_the_umask_decides_for_a_new_one(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "new", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
    (tmp_path / "new").chmod(0o755)
    write_atomically(tmp_path / "new", b"x")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o755


def test_a_link_is_replaced_and_its_target_left_alone(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to("target")
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "target").read_bytes() == b"old"
    assert not (tmp_path / "link").is_symlink()


def test_what_can_not_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(UnavailableError, match="can't be written") as caught:
        write_atomically(tmp_path / "there", b"x")
    assert caught.value.unchanged == "The file is as it was."
    assert [entry.name for entry in tmp_path.iterdir()] == ["there"]


WRITE = """
import resource, sys
from pathlib import Path
from ci_tasks.core.errors import UnavailableError
from ci_tasks.core.files import write_atomically
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_atomically(Path(sys.argv[1]), b"x" * 100_000)
except UnavailableError as error:
    print(error.what)
"""


def test_f110_a_disk_with_no_room_left_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(b"old")
    said = subprocess.run(
        [sys.executable, "-c", WRITE, str(path)], check=True, capture_output=True, text=True, cwd=ROOT
    )
    assert "can't be written" in said.stdout
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.json"]


def test_f110_many_writers_and_readers_see_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "report"
    contents = [bytes([65 + number]) * 100_000 for number in range(4)]
    write_atomically(path, contents[0])

    def write(content: bytes) -> None:
        for _ in range(10):
            write_atomically(path, content)

    with ThreadPoolExecutor() as pool:
        writers = [pool.submit(write, content) for content in contents]
        seen = {path.read_bytes() for _ in range(100)}
        for writer in writers:
            writer.result()
    assert seen | {path.read_bytes()} <= set(contents)
    assert [entry.name for entry in tmp_path.iterdir()] == ["report"]
