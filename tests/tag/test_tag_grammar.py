"""The grammar of tag names: what is ours, what is foreign, what is refused."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ci_tasks.core.errors import UsageError
from ci_tasks.core.git.origin import RemoteRef
from ci_tasks.tag.grammar import (
    EnvironmentTag,
    Grammar,
    StateTag,
    Tag,
    Version,
    VersionTag,
    parse_version,
    ref_of,
)
from ci_tasks.tag.listing import Listing
from ci_tasks.tag.names import TagType
from tests.conftest import ROOT
from tests.examples import examples
from tests.repositories import git
from tests.tag.names import (
    ENVIRONMENTS,
    FOREIGN,
    GRAMMAR,
    IMPOSSIBLE,
    LEGAL,
    LONGEST,
    custom_environments,
    subprojects,
    tags,
    tags_of,
    versions,
)

# The data model's own expressions: whatever we accept, they accept.
MODEL = {
    TagType.VERSION: re.compile(r"^(.+/)?v\d+\.\d+\.\d+(-[\w.-]+)?$"),
    TagType.ENVIRONMENT: re.compile(r"^(.+/)?(production|staging|canary|sandbox|performance)$"),
    TagType.STATE: re.compile(r"^(.+/)?v\d+\.\d+\.\d+-(stable|unstable|deprecated)$"),
}


@examples(300)
@given(tags)
def test_what_is_written_is_read_again(tag: Tag) -> None:
    name = str(tag)
    assert GRAMMAR.parse(name) == tag
    assert GRAMMAR.read(name) == tag
    assert MODEL[tag.tag_type].match(name)
    assert ref_of(tag) == f"refs/tags/{name}"


def _is_legal(ref: str) -> bool:
    return subprocess.run(["git", "check-ref-format", ref], check=False).returncode == 0


@examples(300)
@given(st.data())
def test_what_is_written_is_read_again_with_other_environments(data: st.DataObject) -> None:
    grammar = Grammar(data.draw(custom_environments()))
    tag = data.draw(tags_of(grammar))
    assert grammar.parse(str(tag)) == tag
    assert grammar.read(str(tag)) == tag
    assert grammar.reason(str(tag)) is None
    assert tag.tag_type is _only_kind(str(tag), grammar)


_NUMBER = "(?:0|[1-9][0-9]{0,8})"
_PLAIN = rf"v{_NUMBER}\.{_NUMBER}\.{_NUMBER}"
_PART = "(?:0|[1-9][0-9]{0,8}|(?=[0-9-]*[a-z-])[0-9a-z-]+)"
_PATH = "(?:[a-z0-9_][a-z0-9._-]*/)*"


def _only_kind(name: str, grammar: Grammar) -> TagType | None:
    """The kind whose rule alone takes a name, each rule written as the reference has it; None for none."""
    states = "stable|unstable|deprecated"
    no_state = rf"(?!(?:.*[.-])?(?:{states})$)(?!.*\.lock$)"
    rules = {
        TagType.STATE: rf"{_PATH}{_PLAIN}-(?:{states})",
        TagType.VERSION: rf"{_PATH}{_PLAIN}(?:-{no_state}{_PART}(?:\.{_PART})*)?",
        TagType.ENVIRONMENT: rf"{_PATH}(?:{'|'.join(map(re.escape, grammar.environments))})",
    }
    found = [kind for kind, rule in rules.items() if re.fullmatch(rule, name)]
    assert len(found) <= 1, f"{name!r} has two meanings: {found}"
    return found[0] if found else None


_WORDS = (
    *("v1.2.3", "v0.0.0", "v1.2", "-", ".", "stable", "unstable", "deprecated", "rc", "beta.1", "x.lock"),
    *("01", "0", "1234567890", "api/", "production", "staging", "v1/", "Api/", "_", "+b"),
)


@examples(1000)
@given(st.lists(st.sampled_from(_WORDS), min_size=1, max_size=5).map("".join))
@example("v1.0.0-stable")
@example("v1.0.0-rc-stable")
@example("v1.0.0-rc.stable")
@example("v1.0.0-stable.1")
@example("v1.0.0-unstable")
@example("v1.0.0-xstable")
@example("api/v1.0.0-deprecated")
def test_no_two_kinds_take_the_same_name(name: str) -> None:
    tag = GRAMMAR.read(name)
    if tag is not None:
        assert tag.tag_type is _only_kind(name, GRAMMAR)
    elif not name.endswith("/") and not any(GRAMMAR.is_subproject(path) is False for path in _paths(name)):
        assert _only_kind(name, GRAMMAR) is None


def _paths(name: str) -> list[str]:
    path = name.rpartition("/")[0]
    return [path] if path else []


@examples(300)
@given(st.data())
def test_no_name_of_ours_is_a_folder_of_another(data: st.DataObject) -> None:
    grammar = Grammar(data.draw(st.one_of(st.just(ENVIRONMENTS), custom_environments())))
    name = str(data.draw(tags_of(grammar)))
    parts = name.split("/")
    assert [grammar.read("/".join(parts[:length])) for length in range(1, len(parts))] == [None] * (
        len(parts) - 1
    )
    for below in ("v1.0.0", "v1.0.0-stable", grammar.environments[0], f"api/{grammar.environments[0]}"):
        assert grammar.read(f"{name}/{below}") is None


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(tags, min_size=80, max_size=120, unique_by=str))
def test_git_keeps_every_name_of_ours_beside_all_others(some: list[Tag]) -> None:
    names = [str(tag) for tag in some]
    check = 'while read -r name; do git check-ref-format "refs/tags/$name" || echo "$name"; done'
    checked = subprocess.run(
        ["sh", "-c", check], input="\n".join([*names, ""]), check=True, capture_output=True, text=True
    )
    assert checked.stdout == ""
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder)
        git("init", "--quiet", "--bare", cwd=repository)
        empty = git("hash-object", "-t", "tree", "-w", "--stdin", cwd=repository, stdin="")
        lines = "".join(f"create refs/tags/{name} {empty}\n" for name in names)
        git("update-ref", "--stdin", cwd=repository, stdin=lines)
        kept = git("for-each-ref", "--format=%(refname)", cwd=repository).splitlines()
        assert kept == sorted(f"refs/tags/{name}" for name in names)
    listing = Listing((RemoteRef(f"refs/tags/{name}", empty) for name in names), GRAMMAR)
    assert [listing.clash(tag) for tag in some] == [None] * len(some)


@examples(60)
@given(st.one_of(st.text(max_size=30), st.from_regex(r"v1\.0\.0-[a-z.]{1,8}", fullmatch=True)))
@example("v1.0.0-rc.lock")
@example("v1.0.0-x.lock")
@example("a.lock/v1.0.0")
@example("a..b/v1.0.0")
@example("/production")
@example("api//production")
def test_f11_what_git_would_not_keep_is_not_ours(name: str) -> None:
    tag = GRAMMAR.read(name)
    if tag is not None:
        assert str(tag) == name
        assert _is_legal(ref_of(name))


@examples(300)
@given(subprojects, st.sampled_from(["", "v1.2.3", "1.2.3"]), st.text("v0123456789.-abelnpst", max_size=14))
def test_a_name_has_one_meaning(subproject: str, start: str, rest: str) -> None:
    leaf = start + rest
    name = f"{subproject}/{leaf}" if subproject else leaf
    tag = GRAMMAR.read(name)
    kinds = [kind for kind, model in MODEL.items() if tag is not None and model.match(name)]
    if tag is not None:
        assert str(tag) == name
        assert tag.tag_type is (TagType.STATE if TagType.STATE in kinds else kinds[0])


def test_the_three_kinds() -> None:
    v123 = Version(major=1, minor=2, patch=3)
    assert GRAMMAR.parse("api/v1.2.3") == VersionTag(subproject="api", version=v123)
    state = GRAMMAR.parse("v1.2.3-stable")
    assert isinstance(state, StateTag)
    assert (state.state.value, state.version_tag) == ("stable", VersionTag(subproject="", version=v123))
    assert GRAMMAR.parse("services/auth/canary") == EnvironmentTag(
        subproject="services/auth", environment="canary"
    )
    assert parse_version("1.2.3") == parse_version("v1.2.3") == v123


@pytest.mark.parametrize(
    "component",
    [
        pytest.param("-x", id="F3-option"),
        pytest.param("--upload-pack=x", id="F3-long-option"),
        pytest.param("$(id)", id="F2-substitution"),
        pytest.param(";id", id="F1-semicolon"),
        pytest.param("`id`", id="F2-backticks"),
        pytest.param("a|b", id="F2-pipe"),
        pytest.param("a b", id="F2-space"),
        pytest.param("a'b", id="F2-quote"),
        pytest.param("Api", id="F10-case"),
        pytest.param("..", id="F5-parent"),
        pytest.param("../../etc", id="F5-out-of-the-tree"),
        pytest.param("api/../web", id="F5-in-the-middle"),
        pytest.param("/etc", id="F5-absolute"),
        pytest.param("a//b", id="F5-empty-part"),
        pytest.param("api//", id="F5-ends-in-slashes"),
        pytest.param("././api", id="F5-here-twice"),
        pytest.param("./..", id="F5-parent-from-here"),
        pytest.param("./staging", id="F14-an-environment-from-here"),
        pytest.param(".hidden", id="F11-dot-first"),
        pytest.param("x.lock", id="F11-lock"),
        pytest.param("a..b", id="F11-two-dots"),
        pytest.param("a.", id="F11-dot-last"),
        pytest.param("con", id="F11-con"),
        pytest.param("aux", id="F11-aux"),
        pytest.param("nul.txt", id="F11-device-with-extension"),
        pytest.param("com1", id="F11-port"),
        pytest.param("HEAD", id="F11-head"),
        pytest.param("head", id="F11-head-lower-case"),
        pytest.param("@", id="F11-at"),
        pytest.param("a@{1}", id="F11-reflog"),
        pytest.param("refs", id="F11-refs"),
        pytest.param("refs/tags/api", id="F11-full-name"),
        pytest.param("v1", id="F13-like-a-version"),
        pytest.param("v1.2.3", id="F13-a-version"),
        pytest.param("1.2", id="F13-two-numbers"),
        pytest.param("1.2.3-rc", id="F13-pre-release"),
        pytest.param("staging", id="F14-an-environment"),
        pytest.param("api/production/x", id="F14-environment-inside"),
        pytest.param("ünï", id="F10-not-ascii"),
        pytest.param("\u0661", id="F13-arabic-digit"),
        pytest.param("a\n", id="F11-line-end"),
        pytest.param("a\0", id="F11-nul-character"),
        pytest.param("a" * 121, id="F11-too-long"),
        pytest.param("a" * 110, id="F11-no-room-for-an-environment"),
    ],
)
def test_refused_subprojects(component: str) -> None:
    with pytest.raises(UsageError) as caught:
        GRAMMAR.subproject(component)
    assert caught.value.what
    if len(component) <= 100:
        assert GRAMMAR.read(f"{component}/v1.0.0") is None
        assert GRAMMAR.read(f"{component}/production") is None
        with pytest.raises(UsageError):
            GRAMMAR.parse(f"{component}/v1.0.0")


@pytest.mark.parametrize("text", ["", ".", "./"])
def test_the_root_project_is_named_by_a_dot(text: str) -> None:
    assert GRAMMAR.subproject(text) == ""


@pytest.mark.parametrize("text", ["services/auth", "services/auth/", "./services/auth", "./services/auth/"])
def test_a_subproject_as_a_shell_completes_it(text: str) -> None:
    assert GRAMMAR.subproject(text) == "services/auth"
    assert (GRAMMAR.read(f"{text}/v1.0.0") is not None) is (text == "services/auth")


@pytest.mark.parametrize("text", ["/etc", "/"])
def test_f5_an_absolute_path_is_told_what_it_is(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        GRAMMAR.subproject(text)
    assert caught.value.what == (
        f"{text!r} is not a subproject: a path that starts with / is not inside the repository."
    )


def test_f10_the_lower_case_name_is_suggested() -> None:
    with pytest.raises(UsageError, match=r"Did you mean services/api\?"):
        GRAMMAR.subproject("Services/API")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("1.2", id="F13-two-numbers"),
        pytest.param("v1.2", id="F13-two-numbers-v"),
        pytest.param("1", id="F13-one-number"),
        pytest.param("1.2.3.4", id="F13-four-numbers"),
        pytest.param("01.2.3", id="F13-leading-zero"),
        pytest.param("1.02.3", id="F13-leading-zero-minor"),
        pytest.param("1.2.3-01", id="F13-leading-zero-pre"),
        pytest.param("1.2.3-", id="F13-empty-pre"),
        pytest.param("1.2.3-a..b", id="F13-empty-identifier"),
        pytest.param("1.2.3-.a", id="F13-empty-first-identifier"),
        pytest.param("1.2.3-a.", id="F13-empty-last-identifier"),
        pytest.param("v1.2.3+b d", id="F13-build-with-space"),
        pytest.param("v1.2.3+build", id="F13-build"),
        pytest.param("v1.2.3-rc+build", id="F13-pre-and-build"),
        pytest.param("99999999999999999999.0.0", id="F13-twenty-digits"),
        pytest.param("1234567890.0.0", id="F13-ten-digits"),
        pytest.param("0.0.1234567890", id="F13-ten-digits-patch"),
        pytest.param("1.2.3-1234567890", id="F13-ten-digits-pre"),
        pytest.param("vv1.2.3", id="F13-two-v"),
        pytest.param("V1.2.3", id="F13-upper-case-v"),
        pytest.param("1.2.3-RC1", id="F13-upper-case-pre"),
        pytest.param("1.2.3-rc_1", id="F13-underscore"),
        pytest.param(" 1.2.3", id="F13-space-before"),
        pytest.param("1.2.3\n", id="F13-line-end"),
        pytest.param("\u0661.2.3", id="F13-arabic-digit"),
        pytest.param("-1.2.3", id="F3-minus"),
        pytest.param("$(id)", id="F2-substitution"),
        pytest.param(";id", id="F1-semicolon"),
        pytest.param("", id="F8-empty"),
        pytest.param("v", id="F8-only-v"),
        pytest.param("1.2.3-" + "a" * 115, id="F13-121-characters"),
        pytest.param("1.2.3-x.lock", id="F11-lock"),
        pytest.param("1.2.3-stable", id="F13-state"),
        pytest.param("1.2.3-rc.unstable", id="F13-ends-in-a-state"),
        pytest.param("1.2.3-rc-deprecated", id="F13-ends-in-a-state-word"),
    ],
)
def test_refused_versions(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_version(text)
    assert "version" in caught.value.what
    tag = GRAMMAR.read(text if text.startswith("v") else f"v{text}")
    assert tag is None or (tag.tag_type, text) == (TagType.STATE, "1.2.3-stable")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        pytest.param("stagng", "staging", id="F14-typo"),
        pytest.param("Production", "production", id="F10-case"),
        pytest.param("prod;rm -rf .", "", id="F1-semicolon"),
        pytest.param("$(id)", "", id="F2-substitution"),
        pytest.param("--upload-pack=x", "", id="F3-option"),
        pytest.param("staging:", "staging", id="F8-colon"),
        pytest.param(":us-east", "", id="F8-colon-first"),
        pytest.param("", "", id="F8-empty"),
    ],
)
def test_refused_environments(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        GRAMMAR.environment(text)
    assert repr(text) in caught.value.what
    assert ", ".join(ENVIRONMENTS) in caught.value.details[0]
    assert (f"Did you mean {hint}?" in caught.value.what) is bool(hint)


@pytest.mark.parametrize(
    "name",
    [
        "release-1.2",
        "v1.2",
        "1.2.3",
        "2024.01.3",
        "@scope/pkg@1.2.3",
        "pkg-v1.2.3",
        "nested/paths/of/some/tag",
        "api/v1",
        "v1.2.3-RC1",
        "V1.2.3",
        "v1.2.3+build.5",
        "v01.2.3",
        "v2024.01.03",
        "v1.2.3.Final",
        "jdk-17+35",
        "release/production-1",
        "production2",
        "weekly.2012-03-27",
        "🚀/v1.0.0",
        "🚀",
        "api/🚀",
        "v1.0.0-rc-stable",
        "REL_15_2",
        "production/v1.0.0",
        "api/staging/v1.0.0",
        "$(id)/v1.0.0",
        "-x/v1.0.0",
        "\udcff",
        "",
        "/",
        "v",
    ],
)
def test_foreign_names_are_read_as_such(name: str) -> None:
    assert GRAMMAR.read(name) is None
    with pytest.raises(UsageError):
        GRAMMAR.parse(name)


@pytest.mark.parametrize("name", [*FOREIGN, *IMPOSSIBLE], ids=lambda name: ascii(name[:60]))
def test_names_of_other_schemes_are_foreign_for_a_reason(name: str) -> None:
    assert GRAMMAR.read(name) is None
    reason = GRAMMAR.reason(name)
    assert reason is not None
    assert reason.endswith((".", "?"))
    assert len(reason) < 450
    assert reason.isprintable()
    with pytest.raises(UsageError) as caught:
        GRAMMAR.parse(name)
    assert caught.value.what == reason


@pytest.mark.parametrize(("name", "kind"), LEGAL.items())
def test_names_of_other_schemes_that_are_ours(name: str, kind: TagType) -> None:
    assert GRAMMAR.parse(name).tag_type is kind
    assert GRAMMAR.reason(name) is None


@pytest.mark.parametrize(
    ("name", "says"),
    [
        pytest.param("v1.2", "a version has three numbers", id="F13-two-numbers"),
        pytest.param("1.2.3", "a version's begins with v, as in v1.2.3", id="F13-without-v"),
        pytest.param("api/1.2.3-stable", "begins with v, as in v1.2.3-stable", id="F13-state-without-v"),
        pytest.param("v01.2.3", "01 begins with a zero", id="F13-zero"),
        pytest.param("v1.2.3-01", "01 begins with a zero", id="F13-zero-in-the-pre-release"),
        pytest.param("v1.2.3-", "a part of its pre-release is empty", id="F13-empty"),
        pytest.param("v1.2.3+b d", "no place in a tag for build metadata", id="F13-build"),
        pytest.param("v99999999999999999999.0.0", "a number has 9 digits at most", id="F13-digits"),
        pytest.param("v1.2.3-1234567890", "a number has 9 digits at most", id="F13-digits-of-pre"),
        pytest.param("v1.2.3-RC1", "all its letters have to be lower case", id="F13-upper-case"),
        pytest.param("v1.2.3-rc_1", "'rc_1' has more in it than a-z, 0-9 and -", id="F13-underscore"),
        pytest.param("v1.2.x", "'x' is no number", id="F13-x"),
        pytest.param("v1.2.3-rc.stable", "a pre-release must not end in stable", id="F13-state-word"),
        pytest.param("v1.0.0-x.lock", "git has no names that end in .lock", id="F11-lock"),
        pytest.param("con/v1.0.0", "con is a reserved name", id="F11-con"),
        pytest.param("a..b/v1.0.0", "git has no names with '..'", id="F11-dots"),
        pytest.param("Api/production", "Did you mean api?", id="F10-subproject"),
        pytest.param("api/Production", "Did you mean production?", id="F10-environment"),
        pytest.param("api/staging/v1.0.0", "staging is the name of an environment", id="F14-inside"),
        pytest.param("prduction", "Did you mean production?", id="near-an-environment"),
        pytest.param("api/prod", "no environment is called 'prod'. Did you mean", id="near-in-a-subproject"),
        pytest.param("$(id)", "a part is of a-z, 0-9, '.', '_' and '-'", id="F2-letters"),
        pytest.param("/v1.0.0", "a part of it is empty", id="F5-absolute"),
        pytest.param("api//v1.0.0", "a part of it is empty", id="F5-empty-part"),
        pytest.param("api/", "a part of it is empty", id="F5-last-slash"),
        pytest.param("", "it is empty", id="F13-nothing"),
        pytest.param("api", "neither a version (api/v1.2.3) nor an environment (api/prod", id="a-subproject"),
    ],
)
def test_the_reason_says_what_to_change(name: str, says: str) -> None:
    assert says in (GRAMMAR.reason(name) or "")


@pytest.mark.parametrize("length", [LONGEST, LONGEST + 1])
def test_f11_a_name_has_at_most_120_characters(length: int) -> None:
    name = "a" * (length - len("/v1.0.0")) + "/v1.0.0"
    assert len(name) == length
    assert (GRAMMAR.read(name) is not None) is (length == LONGEST)
    if length > LONGEST:
        with pytest.raises(UsageError, match="120 characters; this one has 121"):
            GRAMMAR.parse(name)


@pytest.mark.parametrize(
    "text",
    ["a" * 10_000, "a/" * 5_000, "v1." * 3_333, "1." * 5_000, "v1.2.3-" + "a." * 5_000, "-" * 10_000],
)
def test_ten_thousand_characters_are_refused_in_few_words(text: str) -> None:
    for read in (GRAMMAR.parse, GRAMMAR.subproject, GRAMMAR.environment, parse_version):
        with pytest.raises(UsageError) as caught:
            read(text)
        assert len(caught.value.what) < 400
    assert GRAMMAR.read(text) is None


def _rows(title: str) -> list[list[str]]:
    """The cells of a table of the reference, without their marks of code."""
    lines = (ROOT / "docs/reference/tags.md").read_text(encoding="utf-8").splitlines()
    begin = lines.index(title) + 2
    table = itertools.takewhile(lambda line: line.startswith("|"), lines[begin:])
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in table]


def test_the_reference_says_what_the_grammar_does() -> None:
    ours = [(name, kind) for name, kind, _ in _rows("| name | kind | says |")]
    assert len(ours) == 5
    for name, kind in ours:
        assert GRAMMAR.parse(name).tag_type.value.lower() == kind
    foreign = [(name, why) for name, why in _rows("| name | why |")]
    assert len(foreign) == 12
    for name, why in foreign:
        assert why in (GRAMMAR.reason(name) or "")


AWKWARD = """
import signal, sys
signal.alarm(60)  # a reader that goes back again and again needs longer than the sun will shine
from ci_tasks.core.errors import UsageError
from ci_tasks.tag.grammar import Grammar, parse_version
grammar = Grammar(("production", "staging"))
pieces = ("0", "1", "9", "a", "-", "0a", "a0", "0-", ".", "0.", ".0", "a.", "-.", "0.0-", "v", "v1.",
          "1.1.1-0", "stable", "-stable", "x.lock", ".lock", "/", "a/", "A")
starts = ("", "v", "v1.2.3-", "v1.", "api/v1.2.3-", "a/", "1.2.3-")
ends = ("", "!", ".", "-stable", "/v1.0.0", "/production", "A", chr(10))
count = 0
for length in (90, 115, 10_000):
    for piece in pieces:
        for start in starts:
            for end in ends:
                name = start + (piece * length)[: length] + end
                for read in (grammar.read, grammar.reason, grammar.subproject, parse_version):
                    count += 1
                    try:
                        read(name)
                    except UsageError:
                        pass
print(count)
"""


def test_no_name_makes_the_parser_go_back_and_forth() -> None:
    done = subprocess.run(
        [sys.executable, "-c", AWKWARD], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, f"{3 * 24 * 7 * 8 * 4}\n"), done.stderr


def test_other_environments_are_those_of_the_settings() -> None:
    other = Grammar(("prod", "v1"))
    assert other.parse("api/prod") == EnvironmentTag(subproject="api", environment="prod")
    assert other.parse("v1") == EnvironmentTag(subproject="", environment="v1")
    assert other.read("api/production") is None
    assert other.read("production/v1.0.0") is not None
    assert other.read("prod/v1.0.0") is None


# https://semver.org/spec/v2.0.0.html, section 11
SEMVER_CHAIN = (
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "2.0.0",
    "2.1.0",
    "2.1.1",
    "2.10.0",
)


def test_order_of_semver() -> None:
    chain = [parse_version(text).precedence for text in SEMVER_CHAIN]
    for older, newer in itertools.combinations(chain, 2):
        assert older < newer
        assert not newer < older


@examples(100)
@given(versions, versions)
def test_a_pre_release_comes_before_its_release(one: Version, other: Version) -> None:
    release = Version(major=one.major, minor=one.minor, patch=one.patch)
    assert one.is_release is (one.pre is None)
    assert (one.precedence < release.precedence) is not one.is_release
    assert (one.precedence == other.precedence) is (one == other)
