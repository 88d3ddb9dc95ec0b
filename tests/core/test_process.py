"""Programs are run to their end, shown, stopped and cleaned up after: with real processes."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ci_tasks.core.errors import UnavailableError, UsageError
from ci_tasks.core.process.running import (
    Captured,
    Finished,
    StopRequest,
    capture,
    child_environment,
    run,
)
from ci_tasks.core.redact import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO

ENV = {"PATH": os.environ["PATH"]}
ROOT = Path(__file__).parents[2]


def bash(script: str, cwd: Path, **options: Any) -> tuple[Finished, list[str]]:
    """Run a bash script; its end and its lines. The callback `seen` is called with each line as it comes."""
    lines: list[str] = []
    seen: Callable[[str], None] = options.pop("seen", lambda _line: None)

    def on_line(line: str) -> None:
        lines.append(line)
        seen(line)

    options = {"timeout": 60, "env": ENV, **options}
    return run(["bash", "-c", script], cwd=cwd, on_line=on_line, **options), lines


def living(folder: Path) -> list[str]:
    """What the kernel knows of processes that live in this folder (each test has its own)."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cwd").readlink() == folder:
                found.append((entry / "cmdline").read_text().replace("\0", " "))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it has ended
    return found


def dead_children() -> list[str]:
    """Children of ours that nobody has reaped since the test began."""
    return sorted(_dead() - _dead_before)


@pytest.fixture(autouse=True)
def _earlier_orphans() -> None:
    """Orphans of other tests that came to us, because one of them has made us adopt orphans."""
    _dead_before.clear()
    _dead_before.update(_dead())


_dead_before: set[str] = set()


def _dead() -> set[str]:
    rows = subprocess.run(
        ["ps", "-A", "-o", "ppid=,pid=,stat=,comm="], check=True, capture_output=True, text=True
    )
    split = [row.split() for row in rows.stdout.splitlines()]
    return {" ".join(row[1:]) for row in split if row[0] == str(os.getpid()) and row[2].startswith("Z")}


def test_an_ordinary_end(tmp_path: Path) -> None:
    end, lines = bash("echo one; echo two >&2; echo three; exit 3", tmp_path)
    assert lines == ["one", "two", "three"]
    assert end == Finished(
        status=3,
        seconds=end.seconds,
        timed_out=False,
        stopped=None,
        tail=("one", "two", "three"),
        truncated=False,
        leftovers=(),
    )
    assert end.seconds > 0


def test_a_signal_is_a_negative_status(tmp_path: Path) -> None:
    assert bash("kill -SEGV $$", tmp_path)[0].status == -signal.SIGSEGV


def test_f91_the_tail_is_the_last_twenty_redacted_lines(tmp_path: Path) -> None:
    end, _ = bash(
        "for n in {1..50}; do echo $n hunter22; done; exit 3", tmp_path, redactor=Redactor(["hunter22"])
    )
    assert end.tail == tuple(f"{number} ***" for number in range(31, 51))


def test_arguments_are_not_read_by_a_shell(tmp_path: Path) -> None:
    lines: list[str] = []
    run(["printf", "%s\n", "$(id)", "a b;*"], cwd=tmp_path, env=ENV, timeout=60, on_line=lines.append)
    assert lines == ["$(id)", "a b;*"]


def test_the_environment_is_as_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "1")
    monkeypatch.delenv("CI_TASKS_RUN", raising=False)
    lines: list[str] = []
    run(["/usr/bin/env"], cwd=tmp_path, env={"A": "b c"}, timeout=60, on_line=lines.append)
    assert lines[0] == "A=b c"
    assert [line.partition("=")[0] for line in lines] == ["A", "CI_TASKS_RUN"]


def test_a_run_inside_a_run_belongs_to_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI_TASKS_RUN", "outer")
    _, (mark,) = bash('echo "$CI_TASKS_RUN"', tmp_path)
    assert mark.startswith("outer:")


def test_the_child_leads_a_session_of_its_own(tmp_path: Path) -> None:
    code = "import os; print(os.getsid(0) == os.getpid() == os.getpgid(0))"
    assert capture([sys.executable, "-c", code], cwd=tmp_path, env=ENV, timeout=60).stdout == b"True\n"


def test_without_input_stdin_is_at_its_end(tmp_path: Path) -> None:
    assert bash("cat; echo end", tmp_path)[1] == ["end"]


def test_input_larger_than_a_pipe(tmp_path: Path) -> None:
    assert bash("wc -c", tmp_path, stdin=b"x" * 3_000_000)[1] == ["3000000"]


def test_input_that_is_not_read(tmp_path: Path) -> None:
    assert bash("exec 0<&-; echo done", tmp_path, stdin=b"x" * 3_000_000)[1] == ["done"]


def test_lines_come_while_the_program_runs(tmp_path: Path) -> None:
    def answer(line: str) -> None:
        (tmp_path / f"seen-{line}").touch()

    end, lines = bash("echo a; until [ -e seen-a ]; do sleep 0.01; done; echo b", tmp_path, seen=answer)
    assert (end.status, lines) == (0, ["a", "b"])


def test_a_program_that_closes_its_output_is_waited_for(tmp_path: Path) -> None:
    end, _ = bash("exec >&- 2>&-; sleep 0.2; exit 5", tmp_path)
    assert end.status == 5


TREES = [
    pytest.param("sleep 1000", id="F92-one"),
    pytest.param("trap '' TERM; sleep 1000 & sleep 1000; sleep 1000", id="F92-ignores-TERM"),
    pytest.param("sleep 1000 | sleep 1000 | cat", id="F92-pipeline"),
    pytest.param(
        "(sleep 1000; true) & (trap '' TERM; sleep 1000; sleep 1000) & wait", id="F92-grandchildren"
    ),
    pytest.param("setsid bash -c 'sleep 1000; sleep 1000' & wait", id="F92-own-session"),
    pytest.param("(setsid sleep 1000 &); sleep 1000", id="F92-orphan"),
    pytest.param("(setsid env -i sleep 1000 &) ; sleep 0.2; sleep 1000", id="F92-orphan-without-environment"),
    pytest.param(
        "(setsid env -i bash -c \"trap '' TERM; (setsid sleep 1000 &); sleep 999; sleep 9\" &); sleep 1000",
        id="F92-orphans-of-an-orphan",
    ),
    pytest.param("kill -STOP $$", id="F92-stopped"),
    pytest.param("exec >&- 2>&-; sleep 1000", id="F92-no-output"),
    pytest.param("yes & yes", id="F92-prints-all-the-time"),
]


@pytest.mark.parametrize("script", TREES)
def test_at_the_time_out_the_whole_tree_is_ended(script: str, tmp_path: Path) -> None:
    end, _ = bash(script, tmp_path, timeout=0.6, grace=0.2)
    assert end.timed_out
    assert end.stopped is None
    assert end.status in {-signal.SIGTERM, -signal.SIGKILL}
    assert living(tmp_path) == []
    assert dead_children() == []


BOMB = """
import fcntl, os, signal, time
lock = open("lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)  # every process of the tree holds it
signal.signal(signal.SIGTERM, signal.SIG_IGN)
def grow(depth):
    if depth % 2:
        os.setsid()
    for _ in range(6 if depth < 2 else 5):
        if os.fork() == 0:
            if depth < 2:
                grow(depth + 1)
            for _ in range(200):  # lives for a moment, and has a successor in a session of its own
                time.sleep(PAUSE)
                if os.fork():
                    os._exit(0)
                os.setsid()
            os._exit(0)
    time.sleep(60)
    os._exit(0)
grow(0)
"""


def let_it_die_out(lock: IO[str]) -> None:
    """Reap a bomb that went on: each later test would have ten thousand dead processes to look through."""
    has_ended = False
    while not has_ended:
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            has_ended = True
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.01)


def test_f103_a_fork_bomb_is_ended(tmp_path: Path) -> None:
    code = BOMB.replace("PAUSE", "0.1")
    end = run([sys.executable, "-c", code], cwd=tmp_path, env=ENV, timeout=1.5, grace=0.3, on_line=print)
    with (tmp_path / "lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            let_it_die_out(lock)
            raise
    assert end.timed_out
    assert end.status == -signal.SIGKILL
    assert dead_children() == []


def test_f94_a_stop_lets_the_program_clean_up(tmp_path: Path) -> None:
    stop = StopRequest()
    end, _ = bash(
        "trap 'echo cleaned; exit 7' TERM; echo ready; while :; do sleep 0.02; done",
        tmp_path,
        stop=stop,
        seen=lambda line: stop.request("Ctrl-C") if line == "ready" else None,
        grace=1000,
    )
    assert (end.status, end.stopped, end.timed_out) == (7, "Ctrl-C", False)
    assert end.tail[-1] == "cleaned"


def test_f94_a_second_stop_skips_the_grace(tmp_path: Path) -> None:
    stop = StopRequest()

    def seen(line: str) -> None:
        stop.request(f"stop at {line}", now=line == "cleaning")

    script = "trap 'echo cleaning' TERM; echo ready; while :; do sleep 0.02; done"
    end, _ = bash(script, tmp_path, stop=stop, seen=seen, grace=1000)
    assert (end.status, end.stopped) == (-signal.SIGKILL, "stop at ready")
    assert living(tmp_path) == []


def test_f95_a_stop_from_a_signal_handler_and_a_run_in_another_thread(tmp_path: Path) -> None:
    stop = StopRequest()
    ends: list[Finished] = []
    before = signal.signal(signal.SIGUSR1, lambda *_: stop.request("SIGTERM"))
    try:
        thread = threading.Thread(
            target=lambda: ends.append(
                bash(
                    "(setsid sleep 1000 &); echo ready; sleep 1000",
                    tmp_path,
                    stop=stop,
                    seen=lambda _: os.kill(os.getpid(), signal.SIGUSR1),
                )[0]
            )
        )
        thread.start()
        thread.join(60)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert [end.stopped for end in ends] == ["SIGTERM"]
    assert living(tmp_path) == []


def test_after_a_stop_nothing_is_started(tmp_path: Path) -> None:
    stop = StopRequest()
    stop.request("first")
    stop.request("second", now=True)
    end, _ = bash("touch started", tmp_path, stop=stop)
    assert (end.stopped, end.status, stop.now) == ("first", -signal.SIGTERM, True)
    assert list(tmp_path.iterdir()) == []


def test_an_end_before_the_stop_is_an_ordinary_end(tmp_path: Path) -> None:
    stop = StopRequest()
    end, _ = bash("echo last", tmp_path, stop=stop)
    stop.request("too late")
    assert (end.status, end.stopped) == (0, None)


@pytest.mark.parametrize(
    ("script", "names"),
    [
        pytest.param("sleep 1000 & exit 4", ["sleep"], id="F92-holds-our-pipe"),
        pytest.param("sleep 1000 >/dev/null 2>&1 & exit 4", ["sleep"], id="F92-in-the-background"),
        pytest.param("(setsid sleep 1000 &); exit 4", ["sleep"], id="F92-daemon"),
        pytest.param("(setsid env -i sleep 1000 &); sleep 0.2; exit 4", ["sleep"], id="F92-bare-daemon"),
        pytest.param("(trap '' TERM; yes) & exit 4", ["bash", "yes"], id="F92-prints-on"),
    ],
)
def test_what_is_left_behind_is_ended_and_named(script: str, names: list[str], tmp_path: Path) -> None:
    end, _ = bash(script, tmp_path, grace=0.2)
    assert end.status == 4
    assert not end.timed_out
    assert set(end.leftovers) <= set(names)
    assert end.leftovers
    assert living(tmp_path) == []
    assert dead_children() == []


def test_names_of_leftovers_are_redacted(tmp_path: Path) -> None:
    program = tmp_path / "hunter22"
    program.symlink_to("/bin/sleep")
    end, _ = bash(f"{program} 1000 & exit 0", tmp_path, redactor=Redactor(["hunter22"]))
    assert end.leftovers == ("***",)


def test_output_that_is_still_on_its_way_is_not_lost(tmp_path: Path) -> None:
    end, lines = bash("exec > >(cat); for n in {1..200}; do echo $n; done", tmp_path)
    assert lines == [str(number) for number in range(1, 201)]
    assert end.leftovers == ()


def test_two_runs_at_once_leave_each_other_alone(tmp_path: Path) -> None:
    """One is stopped while the other has an orphan of each kind; that one's orphans live until its end."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    orphans = "(setsid sleep 1000 &); (setsid env -i sleep 1001 &); sleep 1002 & sleep 0.2; echo ready; "
    stop = StopRequest()
    ready = threading.Event()
    ends: dict[str, tuple[Finished, list[str]]] = {}

    def run_second() -> None:
        script = orphans + "until [ -e first-is-over ]; do sleep 0.01; done"
        ends["second"] = bash(script, second, seen=lambda _: ready.set())

    thread = threading.Thread(target=run_second)
    thread.start()
    assert ready.wait(60)
    ends["first"] = bash(
        orphans + "sleep 1000", first, stop=stop, seen=lambda _: stop.request("enough"), grace=0.2
    )
    sleeping = [line for line in living(second) if line.startswith("sleep 100")]
    (second / "first-is-over").touch()
    thread.join(60)
    assert sorted(sleeping) == ["sleep 1000 ", "sleep 1001 ", "sleep 1002 "]
    assert ends["first"][0].stopped == "enough"
    assert ends["second"][0].status == 0
    assert living(first) == living(second) == []
    assert dead_children() == []


def test_a_run_does_not_cut_the_grace_of_another_run_s_orphan(tmp_path: Path) -> None:
    stop = StopRequest()
    cleaning = threading.Event()
    ends: list[Finished] = []

    def seen(line: str) -> None:
        if line == "ready":
            stop.request("enough")
        else:
            cleaning.set()

    def run_other() -> None:
        orphan = "trap 'echo cleaning' TERM; echo ready; while :; do sleep 0.02; done"
        script = f"(setsid bash -c {shlex.quote(orphan)} &); sleep 1000"
        ends.append(bash(script, tmp_path, stop=stop, seen=seen, grace=1000)[0])

    thread = threading.Thread(target=run_other)
    thread.start()
    assert cleaning.wait(60)
    beside, _ = bash("exit 0", tmp_path)
    still_there = living(tmp_path)
    stop.request("now", now=True)
    thread.join(60)
    assert beside.leftovers == ()
    assert still_there
    assert ends[0].stopped == "enough"
    assert living(tmp_path) == []


def test_a_run_inside_a_script_of_another_run(tmp_path: Path) -> None:
    inner = (
        "import os, sys; from pathlib import Path; from ci_tasks.core.process.running import run\n"
        "script = '(setsid env -i sleep 1000 &); (setsid sleep 1000 &); echo ready; sleep 1000'\n"
        "run(['bash', '-c', script], cwd=Path.cwd(), env={'PATH': os.environ['PATH']}, timeout=None,\n"
        "    on_line=lambda line: print(line, flush=True))\n"
    )
    stop = StopRequest()
    end = run(
        [sys.executable, "-c", inner],
        cwd=tmp_path,
        env={**ENV, "PYTHONPATH": str(ROOT)},
        timeout=60,
        on_line=lambda _: stop.request("enough"),
        stop=stop,
        grace=0.2,
    )
    assert end.stopped == "enough"
    assert living(tmp_path) == []
    assert dead_children() == []


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt])
def test_an_exception_leaves_nothing_behind(kind: type[BaseException], tmp_path: Path) -> None:
    def fail(_line: str) -> None:
        raise kind

    with pytest.raises(kind):
        bash("trap '' TERM; (setsid sleep 1000 &); echo ready; sleep 1000", tmp_path, seen=fail)
    assert living(tmp_path) == []
    assert dead_children() == []


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_file_descriptor_stays_open(tmp_path: Path) -> None:
    bash("true", tmp_path)
    before = open_files()
    bash("cat", tmp_path, stdin=b"x")
    bash("sleep 1000", tmp_path, timeout=0.1)
    capture(["cat"], cwd=tmp_path, env=ENV, timeout=60, input=b"x")
    with pytest.raises(UnavailableError):
        capture(["no-such-program"], cwd=tmp_path, env=ENV, timeout=60)
    assert open_files() == before


def test_f107_a_secret_in_two_writes(tmp_path: Path) -> None:
    _, lines = bash("printf 'a hunt'; sleep 0.2; echo 'er22 b'", tmp_path, redactor=Redactor(["hunter22"]))
    assert lines == ["a *** b"]


MEASURED = """
import json, os
from pathlib import Path
from ci_tasks.core.process.running import run
seen = []
end = run(["bash", "-c", {script!r}], cwd=Path.cwd(), env=dict(os.environ), timeout=100,
          on_line=lambda line: seen.append(len(line)))
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
peak = int(status["VmHWM"].split()[0]) // 1024  # of this program alone; rusage counts what forked it
print(json.dumps([end.status, end.truncated, sum(seen), max(seen), peak, end.tail]))
"""


@pytest.mark.parametrize(
    ("script", "last"),
    [
        pytest.param("yes | head -c 250M; echo; echo the end; exit 1", "the end", id="F100-lines"),
        pytest.param("tr '\\0' x </dev/zero | head -c 250M; exit 1", "x" * 2000, id="F100-no-line-end"),
    ],
)
def test_endless_output_needs_little_memory(script: str, last: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURED.format(script=script)],
        cwd=tmp_path,
        env={**ENV, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
    )
    status, truncated, shown, longest, peak, tail = json.loads(done.stdout)
    assert (status, truncated, tail[-1]) == (1, True, last)
    assert shown <= 16 * 1024 * 1024 + 100
    assert longest <= 64 * 1024
    assert peak < 200  # MiB, most of them the lengths in `seen`


def make(path: Path, content: bytes, mode: int = 0o755) -> str:
    path.write_bytes(content)
    path.chmod(mode)
    return f"./{path.name}"


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        pytest.param(b"#!/bin/sh\n", 0o644, "not executable", id="F97-not-executable"),
        pytest.param(b"", 0o755, "is empty", id="F97-empty"),
        pytest.param(b"echo hello\n", 0o755, "no '#!' line", id="F97-no-shebang"),
        pytest.param(b"#!\n", 0o755, "no program after '#!'", id="F97-bare-shebang"),
        pytest.param(b"\x7fELF\0\0\0\0rubbish", 0o755, "exec format error", id="F97-broken-program"),
        pytest.param(b"\xef\xbb\xbf#!/bin/sh\n", 0o755, "byte order mark", id="F97-byte-order-mark"),
        pytest.param(
            b"#!/no/such/sh -e\n", 0o755, "'/no/such/sh', which does not exist", id="F97-interpreter"
        ),
        pytest.param(
            b"#!/etc/passwd\n", 0o755, "'/etc/passwd', which can't be started", id="F97-bad-interpreter"
        ),
        pytest.param(b"#!/usr/bin/env no-such-sh\n", 0o755, "'no-such-sh', which is not on", id="F97-env"),
        pytest.param(b"#!/bin/sh\r\necho\r\n", 0o755, "ends in CR LF (Windows line ends)", id="F97-crlf"),
        pytest.param(
            b"#!/usr/bin/env bash\r\n", 0o755, "ends in CR LF (Windows line ends)", id="F97-env-crlf"
        ),
    ],
)
def test_scripts_that_cannot_be_started(content: bytes, mode: int, words: str, tmp_path: Path) -> None:
    script = make(tmp_path / "script.sh", content, mode)
    with pytest.raises(UsageError, match=r"script\.sh") as caught:
        run([script], cwd=tmp_path, env=ENV, timeout=60, on_line=print)
    assert words in caught.value.what
    assert caught.value.unchanged == "Nothing was run."
    assert caught.value.next_step
    with pytest.raises(UsageError) as again:
        bash_file(script, tmp_path)
    assert again.value.what == caught.value.what
    assert dead_children() == []


def test_f97_the_line_that_repairs_crlf(tmp_path: Path) -> None:
    script = make(tmp_path / "a script.sh", b"#!/usr/bin/env -S bash -e\r\necho repaired\r\n")
    with pytest.raises(UsageError) as caught:
        bash_file(script, tmp_path)
    assert caught.value.next_step == "sed -i 's/\\r$//' './a script.sh'"
    subprocess.run(["bash", "-c", caught.value.next_step], cwd=tmp_path, check=True)
    assert bash_file(script, tmp_path) == Captured(
        status=0, stdout=b"repaired\n", stderr=b"", timed_out=False
    )


def bash_file(script: str, cwd: Path) -> Captured:
    return capture([script], cwd=cwd, env=ENV, timeout=60)


@pytest.mark.parametrize(
    "first_line",
    [
        "#!/bin/sh",
        "#! /bin/sh -e",
        "#!/usr/bin/env sh",
        "#!/usr/bin/env -S A=b sh",
        "#!/usr/bin/env -S -u A sh",
    ],
)
def test_good_first_lines(first_line: str, tmp_path: Path) -> None:
    script = make(tmp_path / "script.sh", f"{first_line}\necho good\n".encode())
    assert bash_file(script, tmp_path).stdout == b"good\n"


def test_f97_the_program_of_env_is_looked_for_on_the_path_of_the_child(tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    make(folder / "own-sh", b'#!/bin/sh\nexec /bin/sh "$@"\n')
    script = make(tmp_path / "script.sh", b"#!/usr/bin/env own-sh\necho good\n")
    env = {"PATH": f"{folder}:{ENV['PATH']}"}
    assert capture([script], cwd=tmp_path, env=env, timeout=60).stdout == b"good\n"
    with pytest.raises(UsageError, match="own-sh"):
        bash_file(script, tmp_path)


def test_programs_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="no-such-program is not installed") as caught:
        capture(["no-such-program"], cwd=tmp_path, env=ENV, timeout=60)
    assert caught.value.next_step == "command -v no-such-program"
    with pytest.raises(UsageError, match="does not exist"):
        capture(["./no-such-script"], cwd=tmp_path, env=ENV, timeout=60)
    with pytest.raises(UsageError, match="is a folder"):
        capture(["/usr"], cwd=tmp_path, env=ENV, timeout=60)
    with pytest.raises(UsageError, match="no folder"):
        capture(["true"], cwd=tmp_path / "gone", env=ENV, timeout=60)
    make(tmp_path / "not-a-program", b"")
    with pytest.raises(UnavailableError, match="not-a-program can't be started"):
        capture(["not-a-program"], cwd=tmp_path, env={"PATH": str(tmp_path)}, timeout=60)


@pytest.mark.parametrize(
    ("argv", "env", "words"),
    [
        (["true", "a\0b"], {}, "NUL byte"),
        (["true"], {"A": "hunter22\0"}, "NUL byte"),
        (["true"], {"A=B": "hunter22"}, "name is not one"),
        (["true", "x" * 10_000_000], {}, "larger than"),
    ],
)
def test_arguments_that_cannot_be_passed(
    argv: list[str], env: dict[str, str], words: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        capture(argv, cwd=tmp_path, env={**ENV, **env}, timeout=60)
    assert "hunter22" not in str(caught.value)


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o755)
    with pytest.raises(UsageError, match="fifo"):
        bash_file("./fifo", tmp_path)


def test_capture_keeps_both_pipes_apart(tmp_path: Path) -> None:
    script = "cat; echo oops >&2; exit 2"
    end = capture(["bash", "-c", script], cwd=tmp_path, env=ENV, timeout=60, input=b"\0\xff\n")
    assert end == Captured(status=2, stdout=b"\0\xff\n", stderr=b"oops\n", timed_out=False)


def test_capture_at_the_time_out(tmp_path: Path) -> None:
    end = capture(
        ["bash", "-c", "echo a; (setsid sleep 1000 &); sleep 1000"], cwd=tmp_path, env=ENV, timeout=0.5
    )
    assert (end.timed_out, end.stdout, end.status) == (True, b"a\n", -signal.SIGTERM)
    assert living(tmp_path) == []


def test_capture_is_bounded(tmp_path: Path) -> None:
    end = capture(["head", "-c", "20M", "/dev/zero"], cwd=tmp_path, env=ENV, timeout=60)
    assert (len(end.stdout), end.truncated, end.status) == (16 * 1024 * 1024, True, 0)


def test_the_environment_of_a_child_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "PATH": "/bin",
        "LC_TIME": "C",
        "CI": "true",
        "GITHUB_SHA": "1",
        "GITHUB_TOKEN": "2",
        "RUNNER_OS": "Linux",
        "ACTIONS_RUNTIME_TOKEN": "3",
        "https_proxy": "p",
        "SSL_CERT_FILE": "s",
        "GIT_DIR": "g",
        "LD_PRELOAD": "l",
        "CI_TASKS_RUN": "r",
        "DOCKER_HOST": "d",
        "NPM_TOKEN": "n",
    }
    for name in os.environ:
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    usual = {"PATH", "LC_TIME", "CI", "GITHUB_SHA", "RUNNER_OS", "https_proxy", "SSL_CERT_FILE"}
    assert set(child_environment({})) == usual
    more = child_environment({"CI": "mine", "NEW": "x"}, pass_patterns=["DOCKER_*", "NPM_TOKEN"])
    assert set(more) == usual | {"DOCKER_HOST", "NPM_TOKEN", "NEW"}
    assert more["CI"] == "mine"
    monkeypatch.delenv("PATH")
    assert child_environment({})["PATH"] == os.defpath
