"""Which processes belong to a program, and which are somebody else's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ci_tasks.core.process import table as process_table
from ci_tasks.core.process.running import forget, run, spawning

ENV = {"PATH": os.environ["PATH"]}
ROOT = Path(__file__).parents[2]


def run_beside(cwd: Path, *, register: bool, own_session: bool) -> tuple[int | None, tuple[str, ...]]:
    """Start a child of ours while a script runs; its status after the script's end, and the leftovers."""
    others: list[subprocess.Popen[bytes]] = []

    def start(_line: str) -> None:
        with spawning() as registered:
            other = subprocess.Popen(["sleep", "1000"], start_new_session=own_session)
            if register:
                registered(other.pid)
        others.append(other)
        (cwd / "started").touch()

    script = "echo ready; until [ -e started ]; do sleep 0.01; done"
    end = run(["bash", "-c", script], cwd=cwd, env=ENV, timeout=60, on_line=start)
    (other,) = others
    status = other.poll()
    other.kill()
    other.wait()
    forget(other.pid)
    return status, end.leftovers


@pytest.mark.parametrize("own_session", [True, False])
def test_a_registered_child_is_left_alone(own_session: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter
    assert run_beside(tmp_path, register=True, own_session=own_session) == (None, ())


def test_a_child_in_our_own_session_is_no_script_s(tmp_path: Path) -> None:
    assert run_beside(tmp_path, register=False, own_session=False) == (None, ())


def test_a_child_that_nobody_registered_is_taken_for_an_orphan(tmp_path: Path) -> None:
    _, leftovers = run_beside(tmp_path, register=False, own_session=True)
    assert leftovers == ("sleep",)


def test_a_daemon_that_was_there_before_the_run_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as older:
        # The table counts in hundredths of a second.
        subprocess.run(["sleep", "0.05"], check=True)
        end = run(["true"], cwd=tmp_path, env=ENV, timeout=60, on_line=print)
        assert older.poll() is None
        older.kill()
    assert end.leftovers == ()


def test_a_process_is_read_whatever_its_name(tmp_path: Path) -> None:
    program = tmp_path / "a) S 1 (b"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "1000"], start_new_session=True) as child:
        row = process_table.look(child.pid)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        after = process_table.look(child.pid)
    us = process_table.look(os.getpid())
    assert row
    assert after
    assert us
    assert (row.name, row.parent, row.session, row.group) == ("a) S 1 (b", os.getpid(), child.pid, child.pid)
    assert row.alive
    assert not after.alive
    assert row.started == after.started >= us.started
    assert process_table.look(child.pid) is None


def test_a_dead_leader_with_living_threads_is_alive() -> None:
    code = (
        "import ctypes, threading, time; threading.Thread(target=time.sleep, args=(1000,)).start();"
        "print('ready', flush=True); ctypes.CDLL(None).pthread_exit(None)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stdout.readline() == b"ready\n"
        state = b"R"
        while state not in {b"Z", b"X"}:
            state = Path(f"/proc/{child.pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
        row = process_table.look(child.pid)
        child.kill()
    assert row
    assert row.alive


ELSEWHERE = """
import json, os
from pathlib import Path
from ci_tasks.core.process import table as process_table
from ci_tasks.core.errors import UnavailableError
from ci_tasks.core.process.running import capture, run
process_table.PROC = Path("/no/such/folder")
if hasattr(os, "pidfd_open"):
    del os.pidfd_open
ends = []
env = dict(os.environ)
for script in ("echo a; exit 3", "sleep 1000 & echo b; exit 0", "trap '' TERM; echo c; sleep 999; sleep 999"):
    end = run(["bash", "-c", script], cwd=Path.cwd(), env=env, timeout=2, grace=0.2, on_line=print)
    ends.append([end.status, end.timed_out, end.tail, len(end.leftovers)])
try:
    capture(["no-such-program"], cwd=Path.cwd(), env=env, timeout=2)
except UnavailableError:
    ends.append("not started")
Path("ends").write_text(json.dumps(ends))
"""


# Where /proc is missing, process 1 reaps the orphans; in the test this does.
INIT = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
child = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, *sys.argv[1:]])
ended = 0
while ended != child:
    ended, status = os.wait()
sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_without_proc_and_pidfd_the_process_group_is_ended(tmp_path: Path) -> None:
    env: dict[str, Any] = {**ENV, "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, "-c", INIT, "-c", ELSEWHERE],
        cwd=tmp_path,
        env=env,
        check=True,
        start_new_session=True,
    )
    assert json.loads((tmp_path / "ends").read_text()) == [
        [3, False, ["a"], 0],
        [0, False, ["b"], 1],
        [-9, True, ["c"], 0],
        "not started",
    ]
    assert [entry.name for entry in Path("/proc").iterdir() if _folder(entry.name) == tmp_path] == []


# The parent is process 1, reaps what it is given, and looks at what is left.
FORK = """
import os, sys
child = os.fork()
if child:
    ended = 0
    while ended != child:
        ended, status = os.wait()
    left = [pid for pid in os.listdir("/proc") if pid.isdigit() and pid != "1"]
    alive = [pid for pid in left if open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] != "Z"]
    sys.exit(os.waitstatus_to_exitcode(status) or len(alive))
"""
NO_SUBREAPER = """
import os
from pathlib import Path
from ci_tasks.core.process import subreaper
from ci_tasks.core.process.running import run
subreaper._PR_SET_CHILD_SUBREAPER = 9999
script = "(setsid sleep 1000 &); echo ready; sleep 1000"
end = run(["bash", "-c", script], cwd=Path.cwd(), env=dict(os.environ), timeout=1, grace=0.2, on_line=print)
assert end.timed_out
"""


def test_where_a_sandbox_forbids_to_adopt_orphans_they_are_known_by_their_mark(tmp_path: Path) -> None:
    # Process 1 of a namespace of its own, so that the orphans go to a process 1.
    argv = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", f"{FORK}{NO_SUBREAPER}"]
    env = {**ENV, "PYTHONPATH": str(ROOT)}
    probe = subprocess.run([*argv[:4], "true"], check=False, capture_output=True)
    if probe.returncode:
        pytest.skip("this machine does not let us make a process namespace")
    subprocess.run(argv, cwd=tmp_path, env=env, check=True)


def _folder(pid: str) -> Path | None:
    try:
        return Path(f"/proc/{pid}/cwd").readlink()
    except OSError:
        return None
