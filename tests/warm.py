"""A process that has imported all of ours and forks the real `inv` off itself: tests start it quickly so.

What it forks is a process like any other: it runs the console script's own lines with the arguments, the
folder, the environment and the three pipes that a test gave it, and ends as a Python process ends. It has
only spared the imports, and with coverage the tracing of them, which take four fifths of a start.
`pytest --cold` starts each `inv` from nothing instead; so do the tests that look at the start itself.
"""

from __future__ import annotations

import atexit
import gc
import json
import marshal
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from coverage import Coverage

_STEERING = ("PATH", "PYTHON", "LD_", "LC_", "LANG", "TZ")
"""Variables that Python, its loader or GitPython read before the first line of ours runs."""
_LONGEST = 1 << 20


@dataclass(frozen=True)
class Job:
    """What a test asks for."""

    arguments: list[str]
    cwd: str
    env: dict[str, str]


# --- the side of the tests


class Warm:
    """Starts the process above, and asks it for forks."""

    def __init__(self, folder: Path) -> None:
        self._address = str(folder / "warm")
        self._steering = _steering(os.environ)
        self._process = subprocess.Popen([sys.executable, __file__, self._address], stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def suits(self, env: Mapping[str, str]) -> bool:
        """False where these variables change what happens before the fork."""
        return _steering(env) == self._steering

    def close(self) -> None:
        """End it in peace, so that its coverage is kept."""
        self._process.terminate()
        self._process.communicate(timeout=60)

    def run(self, job: Job, stdin: bytes, timeout: float) -> tuple[int, bytes, bytes]:
        """Exit status (negative: the signal), stdout and stderr of one `inv`; AssertionError if it hangs."""
        with ExitStack() as stack:
            connection = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            connection.settimeout(timeout)
            connection.connect(self._address)
            pipes = [os.pipe() for _ in range(3)]
            theirs = [pipes[0][0], pipes[1][1], pipes[2][1]]
            text = json.dumps([job.arguments, job.cwd, job.env]).encode("utf-8", "surrogateescape")
            descriptor = os.memfd_create("job")
            os.write(descriptor, text)
            socket.send_fds(connection, [b"job"], [descriptor, *theirs])
            for number in (descriptor, *theirs):
                os.close(number)
            writer = threading.Thread(target=_feed, args=(pipes[0][1], stdin))
            output = [_Reader(pipes[1][0]), _Reader(pipes[2][0])]
            for thread in (writer, *output):
                thread.start()
            for thread in (writer, *output):
                thread.join(timeout)
                assert not thread.is_alive(), f"inv {job.arguments} hangs"
            status = int(connection.recv(64))
            return status, output[0].data, output[1].data


def _steering(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(_STEERING)}


class _Reader(threading.Thread):
    def __init__(self, descriptor: int) -> None:
        super().__init__(daemon=True)
        self._descriptor = descriptor
        self.data = b""

    def run(self) -> None:
        with open(self._descriptor, "rb") as pipe:  # noqa: PTH123 - a descriptor
            self.data = pipe.read()


def _feed(descriptor: int, data: bytes) -> None:
    with suppress(BrokenPipeError), open(descriptor, "wb") as pipe:
        pipe.write(data)


# --- the side of the process


def _serve(address: str) -> Job:
    """Fork for each request; the answer is the job, in the child. The parent leaves by SystemExit."""
    ended, wake = socket.socketpair()
    for each in (ended, wake):
        each.settimeout(0)
    before = signal.set_wakeup_fd(wake.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    children: dict[int, socket.socket] = {}
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening,
        selectors.DefaultSelector() as wait,
    ):
        listening.bind(address)
        listening.listen(64)
        for each in (listening, ended):
            wait.register(each, selectors.EVENT_READ)
        print("ready", flush=True)  # noqa: T201 - the tests wait for it
        while True:
            for key, _ in wait.select():
                if key.fileobj is ended:
                    with suppress(BlockingIOError):
                        ended.recv(4096)
                    _report(children)
                    continue
                connection = listening.accept()[0]
                descriptors = socket.recv_fds(connection, 16, 4)[1]
                pid = os.fork()
                if pid:
                    children[pid] = connection
                    for number in descriptors:
                        os.close(number)
                    continue
                signal.set_wakeup_fd(before)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                for each in (listening, ended, wake, connection, *children.values()):
                    each.close()
                return _taken(descriptors)


def _report(children: dict[int, socket.socket]) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with children.pop(pid) as connection, suppress(OSError):
            connection.send(str(os.waitstatus_to_exitcode(status)).encode())


def _taken(descriptors: list[int]) -> Job:
    os.lseek(descriptors[0], 0, os.SEEK_SET)
    text = b"".join(iter(lambda: os.read(descriptors[0], _LONGEST), b""))
    for place, number in enumerate(descriptors[1:]):
        os.dup2(number, place)
    for number in descriptors:
        os.close(number)
    return Job(*json.loads(text.decode("utf-8", "surrogateescape")))


def _import_all() -> None:
    import pkgutil  # noqa: PLC0415 - nobody else needs it

    import invoke.main  # noqa: F401, PLC0415 - what the console script imports

    import ci_tasks  # noqa: PLC0415 - is to be measured, so after the coverage has begun

    for module in pkgutil.walk_packages(ci_tasks.__path__, "ci_tasks."):
        if not module.name.endswith("__main__"):
            __import__(module.name)
    _ = ci_tasks.ns
    from ci_tasks.core.git.process import _gitpython  # noqa: PLC0415 - its import is what takes long

    _gitpython()


def _measured() -> Coverage | None:
    with suppress(ImportError):
        import coverage  # noqa: PLC0415 - only where the suite is measured

        return coverage.Coverage.current()
    return None


def _pause() -> None:
    """Measure nothing until Invoke has read the line: that is none of ours, and makes most of the calls."""
    from invoke.executor import Executor  # noqa: PLC0415 - as in `main`

    tracer, execute = sys.gettrace(), Executor.execute

    def resumed(self: Executor, *tasks: Any) -> Any:
        sys.settrace(tracer)
        return execute(self, *tasks)

    Executor.execute = resumed  # type: ignore[method-assign]
    sys.settrace(None)


@dataclass(frozen=True)
class _Kept:
    """Takes what a coverage file takes; that is a database, and takes as long to write as an `inv` to run."""

    path: Path

    def add_arcs(self, arcs: Mapping[str, Collection[tuple[int, int]]]) -> None:
        self.path.write_bytes(marshal.dumps({name: list(pairs) for name, pairs in arcs.items()}))

    def add_file_tracers(self, tracers: Mapping[str, str]) -> None:
        assert not tracers


def _keep(measured: Coverage, path: Path) -> None:
    """Leave what a child measured to the process that it was forked from, no file of its own."""
    measured.stop()
    collector: Any = measured._collector  # no public way leads past the database
    collector.covdata = _Kept(path)
    collector.flush_data()


def _collect(measured: Coverage, kept: Path) -> None:
    """Write down what the children left."""
    whole: dict[str, set[tuple[int, int]]] = {}
    for path in kept.iterdir():
        for name, pairs in marshal.loads(path.read_bytes()).items():  # noqa: S302 - it is our own
            whole.setdefault(name, set()).update(pairs)
    measured.get_data().add_arcs(whole)


def main() -> None:
    """Serve until SIGTERM; in a child: run `inv`, and never return."""
    sys.path[0] = str(Path(sys.executable).parent)
    sys.dont_write_bytecode = False
    _import_all()
    measured = _measured()
    if measured is not None:
        measured.save()  # else each child would write down again what the imports ran
    kept = Path(f"{sys.argv[1]}.measured")
    kept.mkdir()
    gc.freeze()
    try:
        job = _serve(sys.argv[1])
    except SystemExit:
        if measured is not None:
            _collect(measured, kept)
        raise
    os.chdir(job.cwd)
    os.environ.clear()
    os.environ.update(job.env)
    sys.argv = [str(Path(sys.executable).parent / "inv"), *job.arguments]
    from invoke.main import program  # noqa: PLC0415 - as in the console script

    if measured is not None:
        _pause()
    code = 0
    try:
        program.run()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    if measured is not None:
        atexit.unregister(measured._atexit)
    # Python's own end, but for taking every imported module apart: that would copy the whole of the memory.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    if measured is not None:
        _keep(measured, kept / str(os.getpid()))
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
