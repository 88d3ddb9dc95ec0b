"""Names and values of tags, made by hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from ci_tasks.core.errors import UsageError
from ci_tasks.tag.grammar import EnvironmentTag, Grammar, StateTag, Tag, Version, VersionTag, parse_version
from ci_tasks.tag.names import VersionState

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
subprojects = st.one_of(
    st.just(""), st.lists(_component, min_size=1, max_size=3).map("/".join).filter(GRAMMAR.is_subproject)
)
tags: st.SearchStrategy[Tag] = st.one_of(
    st.builds(lambda path, version: VersionTag(subproject=path, version=version), subprojects, versions),
    st.builds(
        lambda path, version, state: StateTag(subproject=path, version=version, state=state),
        subprojects,
        releases,
        st.sampled_from(VersionState),
    ),
    st.builds(
        lambda path, environment: EnvironmentTag(subproject=path, environment=environment),
        subprojects,
        st.sampled_from(ENVIRONMENTS),
    ),
).filter(lambda tag: len(str(tag)) <= LONGEST)
