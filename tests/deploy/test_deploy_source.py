"""The source tree: the exact blobs of the version's commit in a private folder, and nothing else."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ci_tasks.core.checkout import Checkout
from ci_tasks.core.errors import ExitCode, RefusedError, UnavailableError
from ci_tasks.deploy.source import lay_out, private_folder
from tests.conftest import ROOT
from tests.repositories import git

if TYPE_CHECKING:
    from tests.deploy.conftest import Site

STAGING = ("--env", "staging", "--subproject", "api")
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"


def raw(site: Site, content: bytes) -> str:
    """Write a blob, byte for byte; its id."""
    done = subprocess.run(
        ["git", "hash-object", "-w", "--stdin", "--no-filters"],
        cwd=site.clone,
        input=content,
        check=True,
        capture_output=True,
    )
    return done.stdout.decode().strip()


def commit_of(site: Site, entries: list[tuple[str, str, bytes]], *, base: str = "HEAD") -> str:
    """A commit with these files above those of `base`: mode, path, content (of a submodule: its id)."""
    index = {"GIT_INDEX_FILE": str(site.temporary / "index"), "LC_ALL": "C"}
    lines = b""
    for mode, path, content in entries:
        object_id = content.decode() if mode == "160000" else raw(site, content)
        lines += f"{mode} {object_id}\t".encode() + os.fsencode(path) + b"\0"

    def run(*arguments: str, stdin: bytes = b"") -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=site.clone,
            env={**os.environ, **index},
            input=stdin,
            check=True,
            capture_output=True,
        )
        return done.stdout.decode().strip()

    run("read-tree", base)
    run("update-index", "-z", "--index-info", stdin=lines)
    return run("commit-tree", run("write-tree"), "-p", base, "-m", "Made by hand")


def released(site: Site, commit: str, version: str) -> None:
    site.version(f"api/{version}", commit=commit)


STRANGE = [
    "a b",
    "ümläut-ñ",
    "new\nline",
    "-dash",
    "tab\there",
    "quo'te\"",
    "\udcff\udcfe-not-utf-8",
    "nest/ed/x",
]


def test_f123_exact_blobs_whatever_attributes_filters_and_names_say(site: Site) -> None:
    files = {f"files/{name}": name.encode(errors="surrogateescape") + b"\r\n\n\x00\xff" for name in STRANGE}
    files |= {
        "files/empty": b"",
        "files/lf.txt": b"one\ntwo\n",
        "files/id.c": b"$Id$\n",
        "files/big": b"x" * 300_000,
    }
    attributes = (
        b"* text eol=crlf ident filter=evil working-tree-encoding=UTF-16\n"
        b"files/empty export-ignore\nfiles/lf.txt export-subst export-ignore\n"
    )
    canary = site.temporary / "canary"
    for key in ("smudge", "clean", "process"):
        site.repository.git("config", f"filter.evil.{key}", f"sh -c 'touch {canary}; cat'")
    site.repository.git("config", "core.autocrlf", "true")
    entries = [("100644", path, content) for path, content in files.items()]
    entries += [
        ("100644", ".gitattributes", attributes),
        ("100755", "files/run.sh", b"#!/bin/sh\necho ran\n"),
        ("120000", "files/link", b"../files/lf.txt"),
        ("120000", "files/chained", b"link"),
        ("120000", "files/dangling", b"nowhere"),
        ("100644", "files/almost-lfs", b"x" + POINTER),
    ]
    commit = commit_of(site, entries)
    released(site, commit, "v1.1.0")
    copy = Path(f"{site.repository.record}.copy")
    site.script(
        f'umask 077\ncp -a "$DEPLOYMENT_SOURCE" \'{copy}\'\n"$DEPLOYMENT_SOURCE/files/run.sh"\n'
        'cd "$DEPLOYMENT_SOURCE"; rm -r files/nest; mkdir closed; chmod 0 closed'
    )
    done = site.run("deploy", *STAGING, "--region", "us-east")
    assert done.returncode == 0, done.stderr
    assert "us-east | record | ran\n" in done.stderr
    assert not canary.exists()
    listed = subprocess.run(
        ["git", "ls-tree", "-r", "-z", commit], cwd=site.clone, check=True, capture_output=True
    ).stdout
    expected = {}
    for line in listed.split(b"\0")[:-1]:
        head, _, name = line.partition(b"\t")
        mode, _, object_id = head.decode().split(" ")
        expected[os.fsdecode(name)] = (mode, object_id)
    found = {}
    for path in copy.rglob("*"):
        if path.is_symlink():
            found[str(path.relative_to(copy))] = ("120000", raw(site, os.fsencode(path.readlink())))
        elif path.is_file():
            mode = f"100{stat.S_IMODE(path.stat().st_mode):o}"
            found[str(path.relative_to(copy))] = (mode, raw(site, path.read_bytes()))
    assert found == expected
    assert not list(site.temporary.rglob("run-*"))


SUBMODULE = b"1234567890123456789012345678901234567890"
REFUSED = {
    "F123-link-out": ([("120000", "x/link", b"../../secret")], "x/link is a link to '../../secret', outside"),
    "F123-absolute": ([("120000", "link", b"/etc/passwd")], "link is a link to '/etc/passwd', outside"),
    "F123-chain": (
        [("120000", "a", b"b/c"), ("120000", "b", b"x"), ("120000", "x/c", b"../../outside")],
        "a is a link to 'b/c', outside of the source tree",
    ),
    "F123-by-a-folder": (
        [("120000", "up", b".."), ("120000", "y", b"up/secret")],
        "up is a link to '..', outside of the source tree",
    ),
    "F123-submodule": ([("160000", "vendor/lib", SUBMODULE)], "'vendor/lib' is a submodule"),
    "F39-submodule-with-cr": ([("160000", "vendor/lib\r", SUBMODULE)], r"'vendor/lib\r' is a submodule"),
    "F38-lfs-pointer": ([("100644", "data/model.bin", POINTER)], "data/model.bin is a Git LFS pointer"),
}


@pytest.mark.parametrize(
    ("entries", "says"), [pytest.param(*case, id=name) for name, case in REFUSED.items()]
)
def test_f123_refused(
    shared_site: Site,
    request: pytest.FixtureRequest,
    entries: list[tuple[str, str, bytes]],
    says: str,
) -> None:
    version = f"v2.{list(REFUSED).index(request.node.callspec.id)}.0"
    released(shared_site, commit_of(shared_site, entries), version)
    before = shared_site.remote_state()
    done = shared_site.run("deploy", *STAGING, "--version", version)
    assert done.returncode == 3
    assert f"error: The version can't be laid out: {says}" in done.stderr
    assert "\nNothing was changed." in done.stderr
    assert shared_site.remote_state() == before
    assert shared_site.repository.recorded() == []
    assert not list(shared_site.temporary.rglob("run-*"))


def hand_made(site: Site, *entries: tuple[str, str, str]) -> str:
    """A commit of a tree that git itself would never write: (mode, name, id of a blob or tree) each."""
    tree = b"".join(
        f"{mode} {name}".encode() + b"\0" + bytes.fromhex(object_id) for mode, name, object_id in entries
    )
    done = subprocess.run(
        ["git", "hash-object", "-t", "tree", "-w", "--literally", "--stdin"],
        cwd=site.clone,
        input=tree,
        check=True,
        capture_output=True,
    )
    return git("commit-tree", done.stdout.decode().strip(), "-m", "By hand", cwd=site.clone)


@pytest.mark.parametrize(
    "kind", ["link-and-folder", "file-and-folder", "twins", "git-folder", "dots", "long"]
)
def test_f123_impossible_trees_are_refused_and_write_nothing_elsewhere(
    shared_site: Site, tmp_path: Path, kind: str
) -> None:
    site = shared_site
    outside = tmp_path / "outside"
    outside.mkdir()
    blob, link = raw(site, b"content\n"), raw(site, os.fsencode(outside))
    inner = bytes.fromhex(blob)
    done = subprocess.run(
        ["git", "hash-object", "-t", "tree", "-w", "--literally", "--stdin"],
        cwd=site.clone,
        input=b"100644 file\0" + inner,
        check=True,
        capture_output=True,
    )
    folder = done.stdout.decode().strip()
    commit = hand_made(
        site,
        *{
            "link-and-folder": [("120000", "a", link), ("40000", "a", folder)],
            "file-and-folder": [("100644", "a", blob), ("40000", "a", folder)],
            "twins": [("100644", "a", blob), ("100644", "a", blob)],
            "git-folder": [("40000", ".git", folder)],
            "dots": [("40000", "..", folder)],
            "long": [("100644", "n" * 300, blob)],
        }[kind],
    )
    origin = Checkout.open(site.clone, {}).origin
    tree = tmp_path / "source"
    with pytest.raises(RefusedError, match="The version can't be laid out"):
        lay_out(origin, origin.commit_files(commit), tree)
    assert list(outside.iterdir()) == []
    assert not (tmp_path / "file").exists()


def test_a_disk_that_can_not_be_written_is_no_bug_of_ours(site: Site, tmp_path: Path) -> None:
    origin = Checkout.open(site.clone, {}).origin
    origin.ensure_commit(origin.refs("refs/tags/api/v1.0.0")[0])
    missing = tmp_path / "not/there"
    with pytest.raises(UnavailableError) as raised:
        lay_out(origin, origin.commit_files(site.repository.git("rev-parse", "HEAD")), missing)
    assert raised.value.exit_code is ExitCode.UNAVAILABLE


HOLD = """\
import sys, time
from ci_tasks.deploy.source import private_folder
with private_folder() as folder:
    (folder / "source").mkdir()
    (folder / "source" / "file").write_text("x")
    (folder / "source").chmod(0o500)
    print(folder, flush=True)
    time.sleep(600)
"""


def test_f44_a_folder_left_by_a_kill_is_removed_and_one_in_use_is_not(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(site.temporary)}
    holders = [
        subprocess.Popen([sys.executable, "-c", HOLD], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        folders = [Path((holder.stdout and holder.stdout.readline().strip()) or "") for holder in holders]
        killed, used = folders
        assert killed.is_dir()
        assert stat.S_IMODE(killed.stat().st_mode) == 0o700
        assert stat.S_IMODE(killed.parent.stat().st_mode) == 0o700
        holders[0].send_signal(signal.SIGKILL)
        holders[0].wait()
        assert killed.exists()
        site.ok("deploy", *STAGING)
        assert not killed.exists()
        assert (used / "source/file").read_text() == "x"
    finally:
        for holder in holders:
            holder.kill()
            holder.wait()
            if holder.stdout:
                holder.stdout.close()
    monkeypatch.setattr("tempfile.tempdir", str(site.temporary))
    with private_folder() as mine:
        assert mine.parent == used.parent
        assert [path.name for path in mine.parent.glob("run-*")] == [mine.name]
    assert not mine.exists()


@pytest.mark.parametrize("kind", ["link", "open", "file"])
def test_a_private_folder_that_is_not_ours_is_refused(shared_site: Site, kind: str, tmp_path: Path) -> None:
    home = tmp_path / f"ci-tasks-{os.getuid()}"
    if kind == "link":
        home.symlink_to(shared_site.clone)
    elif kind == "file":
        home.write_text("")
    else:
        home.mkdir()
        home.chmod(0o755)
    before = shared_site.remote_state()
    done = shared_site.run("deploy", *STAGING, "--version", "v1.0.0", env={"TMPDIR": str(tmp_path)})
    assert done.returncode == 5
    assert "is not a private folder of ours" in done.stderr
    assert shared_site.remote_state() == before
