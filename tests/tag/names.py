"""Names and values of tags, made by hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from ci_tasks.core.errors import UsageError
from ci_tasks.tag.grammar import EnvironmentTag, Grammar, StateTag, Tag, Version, VersionTag, parse_version
from ci_tasks.tag.names import TagType, VersionState

ENVIRONMENTS = ("production", "staging", "canary", "sandbox", "performance")
GRAMMAR = Grammar(ENVIRONMENTS)
LONGEST = 120

_number = st.one_of(st.integers(0, 12), st.integers(0, 999_999_999))
_identifier = st.from_regex(r"(?:0|[1-9][0-9]{0,8}|[0-9]{0,3}[a-z-][0-9a-z-]{0,8})", fullmatch=True)
_pre = st.one_of(
    st.none(),
    st.lists(_identifier, min_size=1, max_size=4).map(".".join),
    st.sampled_from(["rc.1", "stable.1", "stablex", "lock", "0", "-", "x-unstable-1"]),
)
_component = st.one_of(
    st.sampled_from(["api", "web", "auth", "_", "a-b", "a.b", "lock", "connect", "head1", "x1.2", "v"]),
    st.from_regex(r"[a-z0-9_][a-z0-9._-]{0,20}", fullmatch=True),
)


def custom_environments() -> st.SearchStrategy[tuple[str, ...]]:
    """Sets of environment names as the settings allow them, the awkward ones too."""
    name = st.one_of(
        st.sampled_from(["prod", "qa", "v1", "stable", "deprecated", "a", "api", "x-lock", "e" * 40]),
        st.from_regex(r"[a-z][a-z0-9-]{0,12}", fullmatch=True),
    )
    return st.lists(name, min_size=1, max_size=6, unique=True).map(tuple)


def _is_version(version: Version) -> bool:
    """True where the grammar takes it; the strategies also make what it reserves."""
    try:
        return parse_version(str(version)) == version
    except UsageError:
        return False


versions = st.builds(
    lambda major, minor, patch, pre: Version(major=major, minor=minor, patch=patch, pre=pre),
    _number,
    _number,
    _number,
    _pre,
).filter(_is_version)
releases = versions.map(
    lambda version: Version(major=version.major, minor=version.minor, patch=version.patch)
)


def subprojects_of(grammar: Grammar) -> st.SearchStrategy[str]:
    """Paths of subprojects that a grammar takes, and the root project's empty one."""
    paths = st.lists(_component, min_size=1, max_size=3).map("/".join)
    return st.one_of(st.just(""), paths.filter(grammar.is_subproject))


def tags_of(grammar: Grammar) -> st.SearchStrategy[Tag]:
    """Tags of all three kinds, as a grammar's environments are named."""
    paths = subprojects_of(grammar)
    kinds: st.SearchStrategy[Tag] = st.one_of(
        st.builds(lambda path, version: VersionTag(subproject=path, version=version), paths, versions),
        st.builds(
            lambda path, version, state: StateTag(subproject=path, version=version, state=state),
            paths,
            releases,
            st.sampled_from(VersionState),
        ),
        st.builds(
            lambda path, environment: EnvironmentTag(subproject=path, environment=environment),
            paths,
            st.sampled_from(grammar.environments),
        ),
    )
    return kinds.filter(lambda tag: len(str(tag)) <= LONGEST)


def listed(name: str) -> str:
    r"""The name as `tag.list` shows it: a byte that is not UTF-8 is written as `\xff`."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


subprojects = subprojects_of(GRAMMAR)
tags = tags_of(GRAMMAR)

# Names of tags that are out there, by the schemes of many projects and ecosystems; git keeps all of them,
# side by side. A lone surrogate stands for a byte that is not UTF-8.
FOREIGN = (
    "1.2.3",
    "2.0",
    "10",
    "v1.2",
    "v3",
    "v1.2.3.4",
    "v01.2.3",
    "v1.02.3",
    "v1.2.3+build.5",
    "v1.0.0-rc.1+exp.sha.5114f85",
    "v1.2.3-RC1",
    "v1.2.3-SNAPSHOT",
    "v1.2.3_1",
    "v1.2.3-rc_1",
    "v1.2.3-01",
    "V1.2.3",
    "v.1.2.3",
    "v1,2,3",
    "v1.2.3-beta.1-stable",
    "v1.2.3-rc.unstable",
    "v2024.01.03",
    "2024.01.3",
    "2024-05-17",
    "20240517.1",
    "24.04",
    "1.2.3.RELEASE",
    "1.2.3.Final",
    "1.2.3-GA",
    "release-1.2",
    "release/2024/05",
    "Release_1_0",
    "RELEASE.2024-05-10T01-41-38Z",
    "REL_15_2",
    "REL15_STABLE_BRANCH",
    "rel-1-2-3",
    "r1234",
    "r2.3.0.12",
    "build-4711",
    "jenkins-foo-12",
    "ci-main-20240517-103412-abc1234",
    "hudson/job-7/42",
    "nightly",
    "nightly-2024-05-17",
    "latest",
    "stable",
    "deprecated",
    "edge",
    "prod",
    "Production",
    "production-2024",
    "deploy/production/17",
    "staging.3",
    "@scope/pkg@1.2.3",
    "@babel/core@7.24.0-beta.2",
    "pkg@1.2.3",
    "pkg-v1.2.3",
    "pkg/1.2.3",
    "pkg_1.2.3-1ubuntu2",
    "debian/1%2.36-1",
    "upstream/2.36",
    "nested/path/to/1.0",
    "nested/path/to2/v1",
    "sdk/go/v1.2.3-alpha.1+incompatible",
    "Api/v1.0.0",
    "my_lib/V2.0.0",
    "libs/ünï/v1.0.0",
    "v1/v1.2.3",
    "canary/v9.9.9",
    "con/v1.0.0",
    "go1.22.3",
    "jdk-17+35",
    "swift-5.10-RELEASE",
    "llvmorg-18.1.6",
    "openssl-3.3.0",
    "OpenSSL_1_1_1w",
    "curl-8_7_1",
    "n7.0",
    "weekly.2012-03-27",
    "emacs-29.3-rc1",
    "GIT-VERSION-2",
    "sprint#42",
    "fix!",
    "$(id)",
    "`id`",
    ";id",
    "a|b",
    "it's",
    '"quoted"',
    "-x",
    "--force",
    "+x",
    "=1",
    "%s%n",
    "{a,b}",
    "<tag>",
    "HEAD",
    "FETCH_HEAD",
    "refs/tags/twice",
    "heads/main",
    "main",
    "🚀",
    "🚀🚀/v1.0.0",
    "发布-1.0",
    "релиз",
    "versión-1",
    "e\u0301",
    "\u202egnp",
    "\u200binvisible",
    "a\u00a0b",
    "not-utf-8-\udcff",
    "not-utf-8-\udcfe",
    "caf\udce9/v1.0.0",
    "x" * 200,
    "/".join(["d" * 60] * 3) + "/v1.0.0",
)

# Names of the same world that are ours by the grammar, whatever somebody meant by them.
LEGAL = {
    "v1.2.3": TagType.VERSION,
    "v0.0.0": TagType.VERSION,
    "v1.2.3-beta.1": TagType.VERSION,
    "v1.0.0-rc1": TagType.VERSION,
    "v1.0.0-0.3.7": TagType.VERSION,
    "v1.0.0-20240517103412-abcdef012345": TagType.VERSION,
    "v2024.5.17": TagType.VERSION,
    "cmd/v0.1.0": TagType.VERSION,
    "api/2/v1.0.0": TagType.VERSION,
    "v1.2.3-stable": TagType.STATE,
    "cmd/v0.1.0-deprecated": TagType.STATE,
    "production": TagType.ENVIRONMENT,
    "cmd/staging": TagType.ENVIRONMENT,
}

# Nothing of this is a ref for git; a tool that is asked about it has to answer all the same.
IMPOSSIBLE = (
    "",
    "/",
    "a b",
    "a..b",
    "a//b",
    ".hidden",
    "x.lock",
    "x.lock/v1.0.0",
    "v1.0.0.lock",
    "v1.0.0-rc.lock",
    "a~1",
    "a^{}",
    "a:b",
    "a?",
    "a*",
    "a[b",
    "back\\slash",
    "@{1}",
    "dot.",
    "tab\there",
    "line\nend",
    "\x1b[31mred",
    "nul\0",
    "x" * 10_000,
    "a/" * 5_000,
    "v1.2.3-" + "a." * 5_000,
)
