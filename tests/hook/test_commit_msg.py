"""commit-msg: the form of Conventional Commits, and which lines of a message count."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ci_tasks.core.errors import RefusedError, UsageError
from ci_tasks.hook import commit_msg
from ci_tasks.hook.header import EXAMPLE, TYPES, fault_of, footer_fault, is_of_git
from ci_tasks.hook.message import Cleanup, kept_lines
from tests.conftest import program
from tests.repositories import git

if TYPE_CHECKING:
    from pathlib import Path

    from tests.hook.conftest import Hooked

CUT = "# ------------------------ >8 ------------------------"

GOOD = [
    EXAMPLE,
    "feat: a",
    "feat!: a",
    "feat(api)!: a",
    "fix(services/auth): a: b (c)",
    "chore(api,web): ä",
    "docs(README.md): a",
    "ci(@scope/pkg): a",
    "revert: feat: a",
]
OF_GIT = [
    "Merge branch 'main' into x",
    "Merge remote-tracking branch 'origin/main'",
    "Merge branches 'a', 'b' and 'c'",
    "Merge tag 'v1.0.0'",
    "Merge commit 'abc1234'",
    "Merge pull request #12 from a/b",
    'Revert "feat: a"',
    'Reapply "feat: a"',
    "fixup! feat: a",
    "squash! whatever",
    "amend! feat: a",
]


@pytest.mark.parametrize("line", GOOD)
def test_good_headers(line: str) -> None:
    assert fault_of(line) is None
    assert not is_of_git(line)


@pytest.mark.parametrize("line", OF_GIT)
def test_what_git_writes_itself(line: str) -> None:
    assert is_of_git(line)


@pytest.mark.parametrize("line", ["Merge the queue", "Revert it", "fixup!", "fixup", "Merged branch 'x'"])
def test_what_only_looks_so(line: str) -> None:
    assert not is_of_git(line)
    assert fault_of(line) is not None


@pytest.mark.parametrize(
    ("line", "column", "reason"),
    [
        ("Fix the queue", 0, "the line begins with no type"),
        ("fxi: a", 0, "did you mean fix?"),
        ("feature: a", 0, "did you mean feat?"),
        ("feature(api): a", 0, "did you mean feat?"),
        ("Feat: a", 0, "lower case: feat"),
        ("zzzz: a", 0, "this is no type"),
        ("two words: a", 0, "this is no type"),
        ("feat a", 4, "a colon and a blank"),
        ("feat", 4, "a colon and a blank"),
        ("feat : a", 4, "no blank stands"),
        ("feat (api): a", 4, "no blank stands"),
        ("feat(): a", 5, "a scope is"),
        ("feat(api: a", 4, "never closed"),
        ("feat( api): a", 5, "a scope is"),
        ("feat(api ): a", 8, "a scope is"),
        ("feat(a(b)): a", 6, "a scope is"),
        ("feat(api) : a", 9, "a colon"),
        ("feat(api)a: a", 9, "a colon"),
        ("feat!!: a", 5, "a colon"),
        ("feat:a", 5, "a blank"),
        ("feat:", 5, "a description"),
        ("feat(api):   ", 10, "a description"),
        ("feat:  a", 6, "one blank"),
        ("feat:\ta", 5, "a blank"),
        (" feat: a", 0, "a type"),
        ("[API] feat: a", 0, "a type"),
        ("\u2728 feat: a", 0, "a type"),
        ("", 0, "a type"),
    ],
)
def test_the_fault_is_shown_where_it_is(line: str, column: int, reason: str) -> None:
    fault = fault_of(line)
    assert fault is not None
    assert (fault.column, reason in fault.reason) == (column, True), fault


@given(st.text(max_size=60))
def test_every_line_has_an_answer(line: str) -> None:
    fault = fault_of(line)
    assert fault is None or 0 <= fault.column <= len(line)


TEMPLATE = f"feat: a\n\nwhy\n# Please enter\n#\n# On branch main\n{CUT}\n# Do not\ndiff --git a b\n"


@pytest.mark.parametrize(
    ("text", "cleanup", "lines"),
    [
        (TEMPLATE, Cleanup(), ["feat: a", "", "why"]),
        (TEMPLATE, Cleanup(mode="strip", is_edited=False), ["feat: a", "", "why"]),
        (
            TEMPLATE,
            Cleanup(mode="scissors"),
            ["feat: a", "", "why", "# Please enter", "#", "# On branch main"],
        ),
        ("#12 a\nb", Cleanup(is_edited=False), ["#12 a", "b"]),
        ("#12 a\nb", Cleanup(), ["b"]),
        ("#12 a\nb", Cleanup(mode="whitespace"), ["#12 a", "b"]),
        ("#12 a\nb", Cleanup(mode="verbatim"), ["#12 a", "b"]),
        ("; x\n#12\nfeat: a", Cleanup(comment=";"), ["#12", "feat: a"]),
        ("// x\nfeat: a", Cleanup(comment="//"), ["feat: a"]),
        ("#12 is fixed\n\n; Please enter\n;\n", Cleanup(comment="auto"), ["#12 is fixed"]),
        (TEMPLATE.replace("#", "@"), Cleanup(comment="auto"), ["feat: a", "", "why"]),
        ("feat: a", Cleanup(comment="auto"), ["feat: a"]),
        ("", Cleanup(comment="auto"), []),
        ("\n\n  \nfeat: a  \n\n\n", Cleanup(), ["feat: a"]),
        ("feat: a\r\n\r\nwhy\r\n", Cleanup(), ["feat: a", "", "why"]),
        ("# only\n# comments\n", Cleanup(), []),
    ],
)
def test_the_lines_that_git_keeps(text: str, cleanup: Cleanup, lines: list[str]) -> None:
    assert kept_lines(text.encode(), cleanup) == lines


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        ("feat: für".encode(), "utf-8"),
        ("feat: für".encode(), "no such encoding"),
        (b"\xef\xbb\xbffeat: f\xc3\xbcr", "utf-8"),
        ("feat: für".encode("latin-1"), "ISO-8859-1"),
    ],
)
def test_encodings(data: bytes, encoding: str) -> None:
    assert kept_lines(data, Cleanup(encoding=encoding)) == ["feat: für"]


@given(st.binary(max_size=200), st.sampled_from(["utf-8", "latin-1", "utf-16", "idna", "hex", "x"]))
def test_no_bytes_are_too_strange(data: bytes, encoding: str) -> None:
    for cleanup in (Cleanup(encoding=encoding), Cleanup(encoding=encoding, comment="auto")):
        assert all("\n" not in line for line in kept_lines(data, cleanup))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10, deadline=None)
@given(data=st.binary(min_size=1, max_size=60))
def test_no_message_is_a_bug(
    installed: Hooked, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: bytes
) -> None:
    monkeypatch.chdir(installed.clone)
    (tmp_path / "message").write_bytes(data)
    refused = None
    try:
        commit_msg.check(str(tmp_path / "message"))
    except RefusedError as error:
        refused = error
    assert refused is None or refused.details[1].lstrip().startswith("^ ")


def check(hooked: Hooked, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Look at a message in this process, in the clone."""
    monkeypatch.chdir(hooked.clone)
    (hooked.clone / ".git/message").write_text(text, encoding="utf-8")
    commit_msg.check(".git/message")


def test_the_body_is_separate(installed: Hooked, monkeypatch: pytest.MonkeyPatch) -> None:
    check(installed, monkeypatch, "feat: a\n\nwhy\n# comment\nBREAKING CHANGE: b\n")
    check(installed, monkeypatch, "feat: a\n# comment\n")
    with pytest.raises(RefusedError) as refused:
        check(installed, monkeypatch, "feat: a\nwhy\n")
    assert refused.value.details[:2] == (
        "why",
        "^ a blank line is expected here, between the first line and the rest",
    )


def test_the_caret_stands_below_wide_letters(installed: Hooked, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RefusedError) as refused:
        check(installed, monkeypatch, "feat(\u5de5\u4f5c!): a\n")
    assert refused.value.details[:2] == (
        "feat(\u5de5\u4f5c!): a",
        "         ^ a scope is the name of a part, such as api or services/auth",
    )


def test_a_file_that_is_missing_is_usage(installed: Hooked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(installed.clone)
    with pytest.raises(UsageError, match="can't be read"):
        commit_msg.check("nowhere")


def commits(hooked: Hooked, *words: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Type `git commit --allow-empty`; exit status, and what was said."""
    done = hooked.git("commit", "--allow-empty", *words, env=env)
    return done.returncode, done.stderr


@pytest.mark.usefixtures("measured")
def test_real_commits(hooked: Hooked) -> None:
    hooked.install()
    status, said = commits(hooked, "--message", "feat(api: a thing")
    assert status == 1
    assert "\n  feat(api: a thing\n      ^ this bracket is never closed\n" in said
    assert EXAMPLE in said
    assert all(one in said for one in TYPES)
    (line,) = (one for one in said.splitlines() if one.startswith("next: git commit"))
    mend = {"GIT_EDITOR": "sed -i -e 's/api:/api):/'"}
    done = subprocess.run(  # noqa: S602 - it is to be typed
        f"{line.removeprefix('next: ')} --allow-empty",
        shell=True,
        cwd=hooked.clone,
        env={**os.environ, **mend},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert hooked.repository.git("log", "-1", "--format=%s") == "feat(api): a thing"


def test_an_edited_message(hooked: Hooked) -> None:
    hooked.install()
    editor = {"GIT_EDITOR": "sed -i -e '1s/^/#12 no header\\nfeat: it\\n/'"}
    assert commits(hooked, env=editor) == (0, "")
    assert hooked.repository.git("log", "-1", "--format=%B") == "feat: it\n"
    assert commits(hooked, "--verbose", env=editor)[0] == 0
    assert commits(hooked, "--message", "#12 no header\n\nfeat: it")[0] == 1, "git would keep the first line"
    for comment in (";", "auto"):
        hooked.git("config", "core.commentChar", comment)
        mark = comment if comment == ";" else "[#;]"
        edit = f"sed -i -e '1s/^/feat: it\\n/' -e 's/^{mark} On branch/& x/'"
        assert commits(hooked, env={"GIT_EDITOR": edit})[0] == 0


def test_a_breaking_change_has_to_be_told(hooked: Hooked) -> None:
    hooked.install()
    status, said = commits(hooked, "--message", "feat: it\n\nBREAKING CHANGE: ")
    assert status == 1
    assert "what breaks is expected here" in said
    assert "a value is expected here" in commits(hooked, "--message", "feat: it\n\nSteps:")[1]
    assert commits(hooked, "--message", "feat: it\n\nSteps:\n- one")[0] == 0
    assert commits(hooked, "--message", "feat: it\n\nBREAKING CHANGE: the port")[0] == 0


def test_merges_reverts_and_fixups(hooked: Hooked) -> None:
    hooked.install()
    commits(hooked, "--message", "feat: a")
    assert hooked.git("revert", "--no-edit", "HEAD").returncode in {0, 1}
    hooked.git("reset", "--hard", "HEAD")
    hooked.git("checkout", "--quiet", "-b", "other", "HEAD~1")
    commits(hooked, "--message", "feat: b")
    assert hooked.git("merge", "--no-edit", "main").returncode == 0
    hooked.git("reset", "--quiet", "--hard", "HEAD~1")
    done = hooked.git("merge", "--message", "Whatever we call a merge", "main")
    assert done.returncode == 0, done.stderr
    assert commits(hooked, "--fixup", "HEAD")[0] == 0
    assert commits(hooked, "--message", "Whatever")[0] == 1


WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=30)
HEADERS = st.builds(
    "{}{}{}: {}".format,
    st.sampled_from(TYPES),
    st.one_of(st.just(""), st.builds("({})".format, st.text("aZ09_./,@*-\u00e9", min_size=1, max_size=12))),
    st.sampled_from(["", "!"]),
    WORDS,
)
BODIES = st.one_of(
    st.just(""),
    st.builds("\n\n{}".format, WORDS),
    st.builds("\n\n{}\n\nBREAKING CHANGE: {}".format, WORDS, WORDS),
)


@settings(max_examples=3, deadline=None)
@given(st.lists(st.tuples(HEADERS, BODIES).map("".join), min_size=60, max_size=60))
def test_git_cliff_reads_what_the_hook_accepts(
    tmp_path_factory: pytest.TempPathFactory, messages: list[str]
) -> None:
    """An independent reader, the one that makes our release notes."""
    if not program("git-cliff").exists():
        pytest.skip("git-cliff is not installed")
    folder = tmp_path_factory.mktemp("cliff")
    accepted = [message for message in (clean(each) for each in messages) if is_accepted(message)]
    accepted.append("Fix the queue")  # so that the reader is seen to say no
    git("init", "--quiet", cwd=folder)
    stream = "".join(
        f"commit refs/heads/main\ncommitter T <t@example.invalid> {number} +0000\n"
        f"data {len(message.encode())}\n{message}\n"
        for number, message in enumerate(accepted)
    )
    git("fast-import", "--quiet", cwd=folder, stdin=stream)
    git("symbolic-ref", "HEAD", "refs/heads/main", cwd=folder)
    (folder / "cliff.toml").write_text("[git]\nfilter_unconventional = false\n", encoding="utf-8")
    words = ["--config", "cliff.toml", "--context", "--offline"]
    done = subprocess.run(
        [program("git-cliff"), *words], cwd=folder, check=True, capture_output=True, text=True
    )
    seen = [commit for release in json.loads(done.stdout) for commit in release["commits"]]
    assert len(seen) == len(accepted)
    assert [commit["message"] for commit in seen if not commit["conventional"]] == ["Fix the queue"]


def clean(message: str) -> str:
    """The message as git keeps it."""
    return "\n".join(kept_lines(message.encode(), Cleanup(mode="whitespace")))


def is_accepted(message: str) -> bool:
    """Whether the hook lets the message pass."""
    lines = message.split("\n")
    if not lines[0] or fault_of(lines[0]) is not None or any(lines[1:2]):
        return False
    return all(
        footer_fault(line, is_last=number == len(lines)) is None
        for number, line in enumerate(lines[2:], start=3)
    )


def test_most_headers_of_the_agreement_are_accepted() -> None:
    accepted = []

    @given(HEADERS)
    def collect(header: str) -> None:
        accepted.append(is_accepted(clean(header)))

    collect()
    assert sum(accepted) > len(accepted) / 2
