"""What people see, with and without a terminal."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_tasks.core import console
from ci_tasks.core.errors import RefusedError
from tests.conftest import MEASURING, ROOT


def on_terminal(
    code: str, *, columns: int = 80, stdin: bytes = b"", more: dict[str, str] | None = None
) -> str:
    """What a program shows on a terminal of its own."""
    leader, follower = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={
            **os.environ,
            **MEASURING,
            "PYTHONPATH": str(ROOT),
            "TERM": "xterm-256color",
            "COLUMNS": str(columns),
            **(more or {}),
        },
    )
    os.close(follower)
    os.write(leader, stdin)
    shown = b""
    try:
        while part := os.read(leader, 4096):
            shown += part
    except OSError:  # Linux says so when the other end is closed
        pass
    os.close(leader)
    assert running.wait(60) == 0, shown
    return shown.decode().replace("\r\n", "\n")


TABLE = """
from ci_tasks.core.console import printable, table
print(printable(table(("name", "what it is"), [("api", "x" * 100), ("[red]web[/red]", "\\x1b[8mhidden")])))
"""
CLAIM = "20260101T120000Z-1a2b3c"
LEDGER = f"""
from ci_tasks.core.console import printable, table
rows = [
    ("{CLAIM}", "2026-01-01 12:00", "Test Person", "not started: eu-west did not succeed"),
    ("{CLAIM}", "2026-01-01 12:00", "Test", ""),
]
print(printable(table(("Deployment", "When (UTC)", "By", "Why"), rows)))
"""
UNWRAPPED = [
    "Deployment               When (UTC)        By           Why",
    f"{CLAIM}  2026-01-01 12:00  Test Person  not started: eu-west did not succeed",
    f"{CLAIM}  2026-01-01 12:00  Test",
]


def test_a_table_without_a_terminal_is_one_line_per_row() -> None:
    rows = [("api", "1.2.0", "xyz " * 50 + "."), ("services/auth", "", "ok"), ("日本", "é", "line\nbreak")]
    assert console.table(("name", "version", "note"), rows).splitlines() == [
        "name           version  note",
        f"api            1.2.0    {'xyz ' * 50}.",
        "services/auth           ok",
        "日本           é        line break",
    ]


def test_an_empty_table_has_its_head() -> None:
    assert console.table(("a", "b"), []) == "a  b"


def test_a_table_on_a_terminal_breaks_no_word() -> None:
    assert on_terminal(TABLE, columns=80).splitlines() == [
        "\x1b[1mname            what it is\x1b[0m",
        f"api             {'x' * 100}",
        "[red]web[/red]  hidden",
    ]


@pytest.mark.parametrize(
    ("columns", "lines"),
    [
        pytest.param(92, UNWRAPPED, id="a-window-wide-enough"),
        pytest.param(
            72,
            [
                "Deployment               When (UTC)        By           Why",
                f"{CLAIM}  2026-01-01 12:00  Test Person  not started:",
                "                                                        eu-west did not",
                "                                                        succeed",
                f"{CLAIM}  2026-01-01 12:00  Test",
            ],
            id="prose-wraps-at-its-spaces",
        ),
        pytest.param(
            55,
            [
                "Deployment               When (UTC)  By        Why",
                f"{CLAIM}  2026-01-01  Test      not",
                "                         12:00       Person    started:",
                "                                               eu-west",
                "                                               did not",
                "                                               succeed",
                f"{CLAIM}  2026-01-01  Test",
                "                         12:00",
            ],
            id="then-dates-do",
        ),
        pytest.param(52, UNWRAPPED, id="then-lines-are-longer-than-the-window"),
    ],
)
def test_what_wraps_on_a_terminal(columns: int, lines: list[str]) -> None:
    assert on_terminal(LEDGER, columns=columns, more={"NO_COLOR": "1"}).splitlines() == lines


def test_text_on_a_terminal_keeps_its_bold_and_nothing_else() -> None:
    text = r"\x1b[1mhead\x1b[0m \x1b[2J\x1b[8mhidden\x07"
    shown = on_terminal(f'from ci_tasks.core.console import printable; print(printable("{text}"))')
    assert shown == "\x1b[1mhead\x1b[0m hidden\\x07\n"


@pytest.mark.parametrize("setting", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colours_where_they_are_not_wanted(setting: dict[str, str]) -> None:
    shown = on_terminal(TABLE, more=setting)
    assert "\x1b" not in shown
    assert shown.count("x") == 100


def test_marks_are_coloured_on_a_terminal_only() -> None:
    code = "from ci_tasks.core import console; console.warn('look [bold]out[/bold]')"
    assert on_terminal(code) == "\x1b[1;33mwarning:\x1b[0m look [bold]out[/bold]\n"
    assert on_terminal(code, more={"NO_COLOR": "1"}) == "warning: look [bold]out[/bold]\n"


def on_narrow_terminal(code: str, columns: int = 40) -> list[str]:
    """The lines that a program shows on a terminal without colours."""
    code = f"from ci_tasks.core import console, errors\n{code}"
    return on_terminal(code, columns=columns, more={"NO_COLOR": "1"}).splitlines()


ERROR = """
console.error(errors.RefusedError(
    "The version is marked deprecated, and nothing deploys it.",
    details=[
        "The newest are: v1.0.0, v1.0.0, v1.0.0, v1.0.0, v1.0.0",
        "Type: inv deploy --env staging --version v1.1.0",
    ],
    unchanged="Nothing was changed, neither here nor on the remote.",
    next_step="inv deploy --env staging --subproject api --again",
))
"""
WRAPPED_ERROR = [
    "error: The version is marked",
    "  deprecated, and nothing deploys it.",
    "  The newest are: v1.0.0, v1.0.0,",
    "    v1.0.0, v1.0.0, v1.0.0",
    "  Type:",
    "    inv deploy --env staging --version v1.1.0",
    "Nothing was changed, neither here nor",
    "  on the remote.",
    "next: inv deploy --env staging --subproject api --again",
]


def test_an_error_wraps_on_a_terminal_and_its_lines_to_type_do_not() -> None:
    assert on_narrow_terminal(ERROR) == WRAPPED_ERROR


def test_a_coloured_error_wraps_likewise() -> None:
    shown = on_terminal(f"from ci_tasks.core import console, errors\n{ERROR}", columns=40)
    assert shown.startswith("\x1b[1;31merror:\x1b[0m ")
    assert shown.replace("\x1b[1;31m", "").replace("\x1b[0m", "").splitlines() == WRAPPED_ERROR


def test_notes_and_warnings_wrap_on_a_terminal() -> None:
    assert on_narrow_terminal("console.warn('word ' * 9); console.note('word ' * 9)") == [
        "warning: word word word word word word",
        "  word word word",
        "note: word word word word word word",
        "  word word word",
    ]
    assert on_narrow_terminal("console.progress('word ' * 9)") == ["word " * 9], "output of scripts"


SENTENCE = "The tag was moved by hand, so nothing is sure"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param("word " * 7 + "12345", ["word " * 7 + "12345"], id="as-wide-as-the-window"),
        pytest.param(
            f"DRIFT: {SENTENCE}.\nshort",
            ["DRIFT: The tag was moved by hand, so", "  nothing is sure.", "short"],
            id="each-line-for-itself",
        ),
        pytest.param("a " + "x" * 50, ["a", "  " + "x" * 50], id="no-word-is-broken"),
        pytest.param(
            f"  next: inv tag.show {'x' * 40} y", [f"  next: inv tag.show {'x' * 40} y"], id="a-line-to-type"
        ),
        pytest.param(
            "To see it with git: git fetch origin refs/tags/api/v1.0.0 && git show FETCH_HEAD",
            ["To see it with git:", "  git fetch origin refs/tags/api/v1.0.0 && git show FETCH_HEAD"],
            id="a-line-to-type-in-a-sentence",
        ),
        pytest.param(
            f"  {SENTENCE}. When you know it: inv deploy.review --deployment ID",
            [
                "  The tag was moved by hand, so",
                "    nothing is sure. When you know it:",
                "    inv deploy.review --deployment ID",
            ],
            id="indented",
        ),
        pytest.param("See it: inv deploy.status", ["See it: inv deploy.status"], id="a-sentence-that-fits"),
        pytest.param(
            "The remote said: git could not find the object there",
            ["The remote said: git could not find", "  the object there"],
            id="git-as-a-word",
        ),
        pytest.param("日本語 " * 7, ["日本語 日本語 日本語 日本語 日本語", "  日本語 日本語"], id="wide"),
        pytest.param(" " * 50, [""], id="nothing"),
    ],
)
def test_prose_on_a_terminal(text: str, lines: list[str]) -> None:
    shown = on_narrow_terminal(f"print(console.prose({text!r}))")
    assert [line.rstrip() for line in shown] == [line.rstrip() for line in lines]


def test_a_column_on_a_terminal() -> None:
    code = "print(console.column('one two three four\\nfive', indent=30))"
    assert on_narrow_terminal(code) == ["['one two', 'three four', 'five']"]


@pytest.mark.parametrize("setting", [{"COLUMNS": ""}, {"COLUMNS": "0"}])
def test_the_width_of_the_terminal_itself(setting: dict[str, str]) -> None:
    code = """
import fcntl, struct, sys, termios
from ci_tasks.core import console
for columns in (30, 0):
    fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    console.note("word " * 6)
"""
    assert on_terminal(code, more=setting).splitlines() == [
        "note: word word word word",
        "  word word",
        f"note: {'word ' * 6}",
    ]


def test_nothing_wraps_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    long = "word " * 50 + "To see it: inv deploy.status"
    assert console.prose(long) == long
    assert console.column(f"{long}\nx", indent=10) == [long, "x"]
    console.note(long)
    console.warn(long)
    console.error(RefusedError(long, details=[long], unchanged=long, next_step="inv deploy"))
    assert capsys.readouterr().err.splitlines() == [
        f"note: {long}",
        f"warning: {long}",
        f"error: {long}",
        f"  {long}",
        long,
        "next: inv deploy",
    ]


def test_rich_is_for_terminals_only() -> None:
    code = """
import sys
from ci_tasks.core import console
console.warn("x"); console.table(("a",), [("b",)])
print("rich" in sys.modules)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("False\n", "warning: x\n")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("::error::x", ": :error::x"),
        ("  ::set-output name=a::b", "  : :set-output name=a::b"),
        ("std::vector", "std::vector"),
        ("x ##[group]y", "x # #[group]y"),
        ("a\x1b[31mb\x1b[0m\x1b]0;title\x07c\x1b(B", "abc\\x1b(B"),
        ("a\x00b\x7fc\x9bd", "a\\x00b\\x7fc\\x9bd"),
        ("one\ntwo\tthree", "one two three"),
        ("over\rwritten", "over written"),
        ("right\u202eleft", "right\\x202eleft"),
        ("grün 日本", "grün 日本"),
    ],
)
def test_progress_is_harmless(text: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    console.progress(text)
    assert capsys.readouterr() == ("", f"{shown}\n")


@given(st.text())
def test_plain_text_holds_nothing_that_is_obeyed(text: str) -> None:
    shown = console.plain(text)
    assert not any((ord(one) < 32 and one not in "\n\t") or 127 <= ord(one) < 160 for one in shown)
    assert "##[" not in shown
    assert not any(line.lstrip().startswith("::") for line in shown.split("\n"))
    assert "\n" not in console.one_line(text)


def test_an_error_says_what_happened_and_what_to_type(capsys: pytest.CaptureFixture[str]) -> None:
    error = RefusedError(
        "No.\n::error::x", details=["one\ntwo"], unchanged="Nothing was changed.", next_step="inv deploy"
    )
    console.error(error)
    assert capsys.readouterr().err.splitlines() == [
        "error: No.",
        ": :error::x",
        "  one",
        "  two",
        "Nothing was changed.",
        "next: inv deploy",
    ]


def test_output_in_a_poor_encoding() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    console.put(stream, "grün → \udcff")
    stream.seek(0)
    assert stream.read() == "gr\\xfcn \\u2192 \\udcff\n"


def test_progress_to_nobody_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as broken:
        monkeypatch.setattr(sys, "stderr", broken)
        console.progress("x")
        monkeypatch.setattr(sys, "stderr", None)
        console.progress("x")
        os.dup2(os.open(os.devnull, os.O_WRONLY), writer)  # so that closing it can write what is left


@pytest.mark.parametrize(
    ("answer", "meant"), [(b"y\n", True), (b"YES\n", True), (b"\n", False), (b"n\n", False)]
)
def test_ask(answer: bytes, *, meant: bool) -> None:
    code = "from ci_tasks.core import console; a = console.ask('Sure?'); print('answer', a)"
    shown = on_terminal(code, stdin=answer)
    assert "Sure? [y/N] " in shown
    assert f"answer {meant}\n" in shown


def test_a_line_that_is_refreshed() -> None:
    shown = on_narrow_terminal(
        "console.refresh('one'); console.refresh('two ' * 20); console.progress('done')"
    )
    assert shown == ["", "\x1b[Kone", f"\x1b[K{('two ' * 20)[:38]}…", "\x1b[Kdone"]


def test_a_line_that_would_be_refreshed_is_for_terminals_only(capsys: pytest.CaptureFixture[str]) -> None:
    console.refresh("one")
    console.refresh("")
    assert capsys.readouterr().err == ""


def test_ask_without_a_terminal_is_no(capsys: pytest.CaptureFixture[str]) -> None:
    assert console.ask("Sure?") is False
    assert console.is_terminal() is False
    assert capsys.readouterr() == ("", "")


def test_end_of_input_is_no() -> None:
    code = "from ci_tasks.core import console; print('answer', console.ask('Sure?'), console.is_terminal())"
    assert "answer False True" in on_terminal(code, stdin=b"\x04")
