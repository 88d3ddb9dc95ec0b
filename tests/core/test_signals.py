"""Signals, sent for real."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from ci_tasks.core import signals
from ci_tasks.core.errors import CancelledError, ExitCode, TerminatedError
from tests.conftest import ROOT


def send(number: int) -> None:
    """Send a signal to this process and give Python the time to see it."""
    os.kill(os.getpid(), number)
    time.sleep(0)


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        (signal.SIGINT, CancelledError, ExitCode.CANCELLED),
        (signal.SIGTERM, TerminatedError, ExitCode.TERMINATED),
        (signal.SIGHUP, TerminatedError, ExitCode.TERMINATED),
    ],
)
def test_raising(number: int, kind: type[CancelledError], code: ExitCode) -> None:
    before = [signal.getsignal(one) for one in signals.SIGNALS]
    with pytest.raises(CancelledError) as raised, signals.raising():  # noqa: PT012 - send() raises or nobody does
        send(number)
        raise AssertionError("the signal is seen at once")
    assert type(raised.value) is kind
    assert raised.value.exit_code is code
    assert [signal.getsignal(one) for one in signals.SIGNALS] == before


def test_f94_deferred_signals_are_counted_and_told() -> None:
    counts: list[int] = []
    told = threading.Event()

    def listen(count: int) -> None:
        counts.append(count)
        if count == 2:
            told.set()

    before = [signal.getsignal(one) for one in signals.SIGNALS]
    with signals.deferred(listen) as interruption:
        send(signal.SIGTERM)
        send(signal.SIGINT)
        assert told.wait(30)
    assert counts == [1, 2]
    assert (interruption.signal, interruption.count) == (signal.SIGTERM, 2)
    assert isinstance(interruption.error, TerminatedError)
    assert [signal.getsignal(one) for one in signals.SIGNALS] == before


def test_callbacks_may_take_a_lock_that_the_main_thread_holds() -> None:
    lock = threading.Lock()
    told = threading.Event()

    def listen(_count: int) -> None:
        with lock:
            told.set()

    with signals.deferred(listen):
        with lock:
            send(signal.SIGINT)
        assert told.wait(30)


def test_who_listens_late_is_told_what_was_before() -> None:
    first = threading.Event()
    counts: list[int] = []
    with signals.deferred(lambda _count: first.set()) as interruption:
        send(signal.SIGINT)
        assert first.wait(30)
        interruption.listen(counts.append)
        assert counts == [1]


def test_deferred_inside_raising() -> None:
    with pytest.raises(TerminatedError), signals.raising():  # noqa: PT012 - the last line raises
        with signals.deferred() as interruption:
            assert interruption.error is None
            send(signal.SIGTERM)
        assert interruption.signal == signal.SIGTERM
        send(signal.SIGTERM)


def test_outside_of_the_main_thread_nothing_happens() -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with signals.raising(), signals.deferred() as interruption:
                assert interruption.signal is None
        except BaseException as error:  # noqa: BLE001 - what it was is what the test asks
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert failures == []


@pytest.mark.parametrize("how", ["raising", "deferred"])
def test_ignored_signals_stay_ignored(how: str) -> None:
    code = f"""
import os, signal
from ci_tasks.core import signals
signal.signal(signal.SIGHUP, signal.SIG_IGN)
with signals.{how}() as interruption:
    os.kill(os.getpid(), signal.SIGHUP)
assert interruption is None or interruption.signal is None
assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
print("went on")
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=False, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("went on\n", "")
