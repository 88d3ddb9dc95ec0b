"""Secrets and control characters never leave the redactor, however the output is cut into reads."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import urllib.parse
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_tasks.core.process.shown_lines import ShownLines
from ci_tasks.core.redact import Redactor

PHRASE = 's3/cr+et <&> "quo\'ted" \u00fcber%'
LETTERS = st.text('abAB01+/%=_-\n"\\ \u00e9<', min_size=1, max_size=14)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    borders = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in pairwise(borders)]


def streamed(redactor: Redactor, chunks: list[bytes]) -> bytes:
    stream = redactor.stream()
    return b"".join([stream.feed(chunk) for chunk in chunks] + [stream.close()])


def shown(output: list[bytes], *secrets: str, limit: int = 10**8) -> tuple[list[str], ShownLines]:
    seen: list[str] = []
    lines = ShownLines(seen.append, Redactor(secrets), limit)
    for chunk in output:
        lines.feed(chunk)
    lines.close()
    return seen, lines


def spellings(secret: str) -> list[str]:
    data = secret.encode()
    return [
        secret,
        base64.b64encode(data).decode(),
        base64.urlsafe_b64encode(data).decode(),
        urllib.parse.quote(secret),
        urllib.parse.quote(secret, safe=""),
        urllib.parse.quote_plus(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
    ]


@pytest.mark.parametrize(
    "spelling",
    [
        pytest.param(text, id=f"F107-{name}")
        for name, text in zip(
            ("plain", "base64", "base64url", "path", "parameter", "form", "json-ascii", "json"),
            spellings(PHRASE),
            strict=True,
        )
    ],
)
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_every_spelling_is_hidden_wherever_reads_end(spelling: str, size: int) -> None:
    data = f"before {spelling}, after".encode()
    chunks = [data[start : start + size] for start in range(0, len(data), size)]
    assert streamed(Redactor([PHRASE]), chunks) == b"before ***, after"


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("before", range(7))
@pytest.mark.parametrize("after", range(4))
def test_f107_base64_of_a_text_that_holds_the_secret(encode: object, before: int, after: int) -> None:
    assert callable(encode)
    phrase = "\u00ff\u00ffp4ssw\u00f6rd>>>?"
    encoded = encode(b"u" * before + phrase.encode() + b"x" * after).decode()
    hidden = Redactor([phrase]).text(encoded)
    left = hidden.replace("***", "")
    assert hidden.count("***") == 1
    # All that depends on the secret alone is gone; a character on each side depends on a neighbour too.
    assert len(encoded) - len(left) >= len(phrase.encode()) * 8 // 6 - 1


def test_f107_wrapped_base64_as_the_base64_program_prints_it() -> None:
    phrase = "".join(chr(33 + (7 * place) % 90) for place in range(200))
    printed = subprocess.run(["base64"], input=f"{phrase}\n".encode(), check=True, capture_output=True).stdout
    assert printed.count(b"\n") > 2
    assert (
        max(len(line.replace("***", "")) for line in Redactor([phrase]).text(printed.decode()).split("\n"))
        < 5
    )


def test_f107_shell_trace() -> None:
    phrase = "it's a $ecret"
    trace = subprocess.run(
        ["bash", "-xc", 'true "$1"', "bash", phrase], check=True, capture_output=True, text=True
    ).stderr
    assert "ecret" in trace
    assert "ecret" not in Redactor([phrase]).text(trace)


def test_a_secret_of_several_lines_is_hidden_line_by_line() -> None:
    redactor = Redactor(["-----BEGIN\r\n  abcdef\nx\n-----END\n"])
    assert redactor.text("1: -----BEGIN\n2: abcdef\n3: x\n") == "1: ***\n2: ***\n3: x\n"


def test_the_longest_secret_wins_and_overlapping_ones_leave_nothing() -> None:
    assert Redactor(["pass", "password"]).text("my password, my pass") == "my ***, my ***"
    assert Redactor(["abcd", "cdefghijkl"]).text("-abcdefghijkl-") == "-***-"
    assert streamed(Redactor(["abcd", "cdefghijkl"]), [b"-abcd", b"efg", b"hijkl-"]) == b"-***-"


@pytest.mark.parametrize("secret", ["", "abc", "    ", "\n\n\n\n\n"])
def test_short_and_blank_secrets_are_ignored(secret: str) -> None:
    assert Redactor([secret]).text("abc    \n\n\n\n\n") == "abc    \n\n\n\n\n"


def test_a_secret_added_later_is_hidden_in_open_streams() -> None:
    redactor = Redactor()
    stream = redactor.stream()
    first = stream.feed(b"hunter22 ")
    redactor.add("hunter22")
    assert first + stream.feed(b"hunter22 ") == b"hunter22 *** "


def test_only_a_possible_beginning_is_held_back() -> None:
    stream = Redactor(["hunter22"]).stream()
    assert stream.feed(b"a whole line\n") == b"a whole line\n"
    assert stream.feed(b"hunt") == b""
    assert stream.feed(b"ing\n") == b"hunting\n"


@given(
    secrets=st.lists(LETTERS, min_size=1, max_size=4),
    parts=st.lists(st.one_of(LETTERS, st.integers(0, 31)), max_size=12),
    places=st.lists(st.integers(0, 400), max_size=12),
)
def test_f107_stream_is_text_of_the_whole(
    secrets: list[str], parts: list[str | int], places: list[int]
) -> None:
    forms = [form for secret in secrets for form in spellings(secret)]
    whole = "".join(part if isinstance(part, str) else forms[part % len(forms)] for part in parts)
    redactor = Redactor(secrets)
    result = redactor.text(whole)
    assert streamed(redactor, cut(whole.encode(), places)).decode() == result
    for secret in secrets:
        if len(secret) >= 4 and not secret.isspace():
            assert not [form for form in spellings(secret) if form in result]


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        pytest.param(b"a\tb\n", ["a\tb"], id="tab-stays"),
        pytest.param(b"\x1b[1;31mred\x1b[0m\n", ["\x1b[1;31mred\x1b[0m"], id="colour-stays"),
        pytest.param(b"\x1b[2J\x1b[3;4Hx\x1b[K\x1b7\x1bc\n", ["x"], id="cursor"),
        pytest.param(b"\x1b[>4;1m\x1b[?25lx\n", ["x"], id="private-modes"),
        pytest.param(b"\x1b]0;title\x07x\x1b]8;;http://a\x1b\\link\n", ["xlink"], id="osc"),
        pytest.param(b"\x1b]0;never ended\nnext\n", ["", "next"], id="osc-never-ended"),
        pytest.param(b"\x1bPq#0\x1b\\x\x9bJ\xc2\x9b2Jy\n", ["x\ufffdJ2Jy"], id="dcs-and-c1"),
        pytest.param(b"\xc2\x00\x9b2J\n", ["\ufffd\ufffd2J"], id="c1-put-together"),
        pytest.param(b"10%\r20%\r\n30%", ["10%", "20%", "30%"], id="progress-bar"),
        pytest.param(b"\x00\x08\x7f\x1b\n\n", ["", ""], id="lone-controls"),
        pytest.param(b"\xff\xe2\x82", ["\ufffd\ufffd"], id="not-utf-8"),
        pytest.param("\u20ac\n".encode(), ["\u20ac"], id="utf-8"),
    ],
)
def test_control_characters(output: bytes, expected: list[str]) -> None:
    assert shown([output])[0] == expected
    assert shown([bytes([byte]) for byte in output])[0] == expected


@given(
    text=st.lists(
        st.sampled_from([*"\x1b[]?31;m KP\x07\\\r\n\ta\u00e9\u009b\x00", "\x1b[31m", "\x1b]0;", "secret"]),
        max_size=40,
    ),
    places=st.lists(st.integers(0, 200), max_size=12),
)
def test_lines_are_the_same_however_the_output_is_cut(text: list[str], places: list[int]) -> None:
    data = "".join(text).encode()
    whole, lines = shown([data], "secret")
    assert shown(cut(data, places), "secret")[0] == whole
    for line in whole:
        assert re.fullmatch(r"(?:\x1b\[[0-9;:]*m|[^\x00-\x08\n-\x1f\x7f-\x9f])*", line)
        assert "secret" not in line
    assert not [line for line in lines.tail if "\x1b" in line or "secret" in line]


@pytest.mark.parametrize("between", ["\x00", "\x1b[K", "\x1b]0;t\x07", "\x1b[1m", "\x08"])
def test_f107_control_characters_do_not_keep_a_secret_apart(between: str) -> None:
    seen, lines = shown([f"a hunt{between}er22 b\n".encode()], "hunter22")
    assert seen == ["a *** b"]
    assert lines.tail == ("a *** b",)


def test_f100_a_line_without_end_comes_in_pieces() -> None:
    text = "x" + "\u20ac" * 100_000
    seen, _ = shown([text.encode()])
    assert "".join(seen) == text
    assert max(len(piece.encode()) for piece in seen) <= 64 * 1024
    assert len(seen) == 5


def test_f100_pieces_are_not_cut_in_a_colour() -> None:
    seen, _ = shown([b"x" * (64 * 1024 - 3) + b"\x1b[31mred"])
    assert seen == ["x" * (64 * 1024 - 3), "\x1b[31mred"]


def test_the_tail_is_twenty_short_plain_lines() -> None:
    output = "".join(f"\x1b[32m{number} {'y' * 3000}\x1b[0m\n" for number in range(30))
    _, lines = shown([output.encode()])
    assert [line.split()[0] for line in lines.tail] == [str(number) for number in range(10, 30)]
    assert {len(line) for line in lines.tail} == {2000}


@pytest.mark.parametrize("size", [1, 100, 10**7])
def test_f100_above_the_limit_one_notice_and_still_the_tail(size: int) -> None:
    data = "".join(f"line {number}\n" for number in range(1000)).encode()
    seen, lines = shown([data[at : at + size] for at in range(0, len(data), size)], limit=20)
    assert seen == [
        "line 0",
        "line 1",
        "line 2"[: 20 - 14],
        "[more than 20 bytes of output: the rest is not shown]",
    ]
    assert lines.truncated
    assert lines.tail == tuple(f"line {number}" for number in range(980, 1000))


def test_f100_the_tail_of_a_long_output_without_line_ends() -> None:
    _, lines = shown([b"x" * 1_000_000, b"y" * 1_000_000, b"the end"], limit=10)
    assert lines.tail == ("y" * 1993 + "the end",)


@pytest.mark.parametrize("limit", range(1, 40))
def test_f107_a_secret_across_the_limit_is_not_half_shown(limit: int) -> None:
    seen, lines = shown([b"a line\nhunter22-hunter22 more\n"], "hunter22-hunter22", limit=limit)
    assert not [line for line in (*seen, *lines.tail) if "hunt" in line]


@pytest.mark.parametrize("shift", range(0, 40, 3))
def test_f107_a_secret_across_the_start_of_the_tail_window(shift: int) -> None:
    phrase = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ01234"
    first, second = phrase[:shift].encode(), phrase[shift:].encode()
    _, lines = shown([first, second + b" more" * 40 + b"\n" + (b"z" * 60_000 + b"\n") * 10], phrase, limit=1)
    assert len(lines.tail) == 11
    assert not [line for line in lines.tail if re.search("[0-9A-Z]", line)]


def test_the_notice_names_round_sizes_in_mib() -> None:
    seen, _ = shown([b"x\n" * (1024 * 1024)], limit=1024 * 1024)
    assert seen[-1] == "[more than 1 MiB of output: the rest is not shown]"
