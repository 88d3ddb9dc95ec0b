"""Markdown for summary pages, read by a parser that is not ours."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from ci_tasks.core.entity import from_json
from ci_tasks.core.errors import ExitCode
from ci_tasks.report.markdown import as_markdown, escaped, fence, web_address
from ci_tasks.report.model import PipelineReport
from ci_tasks.report.names import RegionStatus
from ci_tasks.report.render import as_json
from tests.examples import examples
from tests.report.samples import PROMOTE, SAMPLES, region, report

if TYPE_CHECKING:
    from markdown_it.token import Token

GOLDEN = Path(__file__).parent / "golden"
GFM = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
OURS = {"heading", "paragraph", "table", "thead", "tbody", "tr", "th", "td", "bullet_list", "list_item"}

NASTY = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "<!-- hidden",
    "](javascript:alert(1))",
    "[click](javascript:alert(1))",
    "![pixel](https://evil.example/p.png)",
    "<https://evil.example>",
    "[ref]: https://evil.example",
    "a | b | c",
    "`code` ``` fence",
    "```\n<b>out</b>",
    "~~~\n<b>out</b>",
    "**bold** __bold__ *em* _em_ ~~gone~~",
    "# heading",
    "> quote",
    "- item",
    "1. item",
    "---",
    "===",
    "    indented",
    "&lt;b&gt; &#60;b&#62;",
    "back\\",
    "\\<b>",
    "@everyone and @acme/owners",
    "$\\color{red}x$",
    "::set-output name=version::v6.6.6",
    "##[set-output name=version]v6.6.6",
    "\x1b]0;title\x07\x1b[2J\x1b[31mred\x1b[0m",
    "\u202egnp.exe",
    "line\r\nline\x00\x85\u2028line",
    "\udcff\ud800",
]


def filled(text: str) -> PipelineReport:
    """A report with the text in every place where text from outside can stand."""
    link = msgspec.structs.replace(
        PROMOTE, title=text, description=text, command=text, parameters={text: text}
    )
    line = msgspec.structs.replace(
        region("x", RegionStatus.FAILED).scripts[0], name=text, mode=text, decided_by=text, status=text
    )
    result = msgspec.structs.replace(
        region("x", RegionStatus.FAILED),
        region=text, version=text, previous_version=text, deployment_id=text, scripts=(line,),
    )  # fmt: skip
    return report(
        ExitCode.FAILED,
        pipeline_run_id=text, version=text, subproject=text, environment=text, summary=text, notices=(text,),
        logs=(text, text), regions=(result,), recorded_in=text, claim_id=text, next_steps=(text,),
        action_links=(link, msgspec.structs.replace(link, url=text)),
    )  # fmt: skip


def outside_fences(markdown: str) -> list[str]:
    """The lines outside code blocks; a block ends at a line that is its opening marks and nothing else."""
    kept, marks = [], ""
    for line in markdown.split("\n"):
        opened = re.match("`{3,}", line)
        if marks:
            marks = "" if line == marks else marks
        elif opened:
            marks = opened[0]
        else:
            kept.append(line)
    assert not marks, "a code block stays open"
    return kept


def tokens(markdown: str) -> list[Token]:
    """All tokens, those inside lines too."""
    top = GFM.parse(markdown)
    return [*top, *(inner for token in top for inner in token.children or ())]


def assert_nothing_got_in(text: str) -> None:
    markdown = as_markdown(filled(text))
    assert not [line for line in outside_fences(markdown) if "<" in line]
    found = tokens(markdown)
    kinds = {re.sub("_(open|close)$", "", token.type) for token in found}
    assert kinds <= OURS | {"inline", "fence", "text", "text_special", "link", "strong", "softbreak"}
    links = [token for token in found if token.type == "link_open"]
    assert {token.attrs["href"] for token in links} <= {PROMOTE.url, web_address(text)}
    strong = [token for token in found if token.type == "strong_open"]
    assert len(strong) == 1  # our own word "Warning:"
    assert len([token for token in found if token.type == "heading_open"]) == 1
    assert len([token for token in found if token.type == "tr_open"]) == 4
    assert len([token for token in found if token.type == "td_open"]) == 5 + 6 - (0 if text else 2)
    assert len([token for token in found if token.type == "list_item_open"]) == 3
    assert len([token for token in found if token.type == "fence"]) == 2


@pytest.mark.parametrize("name", SAMPLES)
def test_golden_markdown(name: str) -> None:
    assert as_markdown(SAMPLES[name]) == (GOLDEN / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", [pytest.param(text, id=f"F110-{n}") for n, text in enumerate(NASTY)])
def test_what_comes_from_outside_stays_text(text: str) -> None:
    assert_nothing_got_in(text)


@examples(300)
@given(
    st.one_of(
        st.text(alphabet=st.characters(), max_size=60),
        st.text(alphabet="<>&`*_[](){}#|~$\\!@:-+=.1 \n\ta", max_size=60),
        st.lists(st.sampled_from(NASTY), max_size=3).map("".join),
    )
)
def test_f110_no_text_at_all_gets_in(text: str) -> None:
    assert_nothing_got_in(text)
    odd = filled(text)
    assert from_json(as_json(odd), PipelineReport, what="it") == odd


def test_f110_a_mention_notifies_nobody() -> None:
    assert not re.search(r"@\w", "\n".join(outside_fences(as_markdown(filled("cc @acme")))))


def test_f110_no_line_is_a_workflow_command() -> None:
    for text in ("::set-output name=version::v6.6.6", "ok\n  ::add-mask::x", "x ##[error]boo"):
        markdown = as_markdown(filled(text))
        assert not [line for line in markdown.splitlines() if line.lstrip().startswith("::") or "##[" in line]


def test_a_fence_is_longer_than_the_backticks_inside() -> None:
    assert fence(["a ````` b"]).splitlines()[0] == "``````text"
    assert fence(["a"]).splitlines() == ["```text", "a", "```"]


def test_escaped_text_reads_as_it_was() -> None:
    shown = GFM.renderInline(escaped("*a* <b> `c` [d](e) | f\\ & #1 _g_"))
    assert shown == "*a* &lt;b&gt; `c` [d](e) | f\\ &amp; #1 _g_"


def test_a_pipe_does_not_end_a_cell() -> None:
    results = (msgspec.structs.replace(region("a | b", RegionStatus.SUCCESS, script=None), version="1 | 2"),)
    cells = [
        token.content for token in tokens(as_markdown(report(regions=results))) if token.type == "inline"
    ]
    assert [cell.replace("\\|", "|") for cell in cells if "|" in cell][-2:] == ["a | b", "1 | 2"]


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://git.example/a(b)?c=1&d=%20#e", "https://git.example/a%28b%29?c=1&amp;d=%20#e"),
        ("https://git.example/<x> y", "https://git.example/%3Cx%3E%20y"),
        ("javascript:alert(1)", None),
        ("JAVASCRIPT:alert(1)", None),
        ("data:text/html,x", None),
        ("//git.example/x", None),
        ("https://user:word@git.example/", None),
        ("https://[broken", None),
        ("", None),
    ],
)
def test_only_web_addresses_become_links(url: str, target: str | None) -> None:
    assert web_address(url) == target


def test_f89_a_link_whose_server_is_down_says_so() -> None:
    down = msgspec.structs.replace(PROMOTE, is_available=False)
    markdown = as_markdown(report(action_links=(down,)))
    assert "Promote v1.2.3 to production (link unavailable)" in markdown
    assert PROMOTE.url not in markdown
    assert PROMOTE.command
    assert PROMOTE.command in markdown
