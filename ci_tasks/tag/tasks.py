"""The collection `tag`: versions and what stands beside them."""

from invoke.context import Context

from ci_tasks.core.task import Answer, argument, flag, option, rest, task
from ci_tasks.tag.names import TagType, TagTypeFilter, VersionState

SUBPROJECT = "subproject, . for the root; else the one whose folder you stand in"
BUMPS = ("major", "minor", "patch", "auto")
"""The words of `--bump`."""


@task(changes=True)
def create(
    c: Context,
    version: str | None = option("version to create: v1.2.3 or v1.2.3-beta.1"),
    bump: str | None = option("part of the last release that grows", choices=BUMPS),
    pre: str | None = option("with --bump: a pre-release of this label, such as beta", metavar="LABEL"),
    subproject: str | None = option(SUBPROJECT, metavar="PATH"),
    commit: str | None = option("commit to tag; HEAD if not given", metavar="REV"),
    message: str | None = option("text of the tag", metavar="TEXT", env="CI_TASKS_REASON"),
    unpublished: bool = flag("tag a commit that is on no branch of the remote"),
    sign: bool = flag("sign the tag, whatever the settings say"),
    dry_run: bool = flag("show what would be created, and why"),
) -> Answer:
    """Create a version: an annotated, immutable tag.

    Either of a version that you give, or of the one after the last release in
    the commit's history: with --bump auto the Conventional Commits since then
    decide, those that touch the subproject. Nothing to release is no error. It
    is pushed to the remote and to nowhere else. The same version on the same
    commit changes nothing; on another commit it is a conflict.

    inv tag.create --subproject api --version v1.2.3
    """
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.core.console import prose
    from ci_tasks.tag.version.create import NewVersion
    from ci_tasks.tag.version.create import create as create_version
    from ci_tasks.tag.version.created import created_text

    wanted = NewVersion(
        version=version,
        bump=bump,
        pre=pre,
        subproject=subproject,
        commit=commit or "HEAD",
        message=message,
        unpublished=unpublished,
        sign=sign,
        dry_run=dry_run,
    )
    answer = create_version(Checkout.open(), wanted)
    return Answer(answer, lambda: prose(created_text(answer, is_bump=bump is not None)))


@task
def notes(
    c: Context,
    version: str = option("version to write about", required=True),
    subproject: str | None = option(SUBPROJECT, metavar="PATH"),
    from_: str | None = option("version to begin after; else the one before", metavar="VERSION"),
) -> Answer:
    """Write the release notes of a version.

    Markdown, from the commits that touch the subproject since the version
    before: breaking changes first, then features, fixes, performance and the
    rest. A release is compared with the release before it, a pre-release with
    whatever version came before. Reads the remote; changes nothing.

    inv tag.notes --subproject api --version v1.2.3
    """
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.tag.version.notes import notes as notes_of
    from ci_tasks.tag.version.notes_markdown import as_markdown

    answer = notes_of(Checkout.open(), version=version, subproject=subproject, since=from_)
    return Answer(answer, lambda: as_markdown(answer))


@task(name="list")
def list_tags(
    c: Context,
    subproject: str | None = option("only this subproject's", metavar="PATH"),
    type: TagTypeFilter | None = option(  # noqa: A002 - the name of the option
        "only tags of this type", choices=TagTypeFilter
    ),
) -> Answer:
    """Show the tags on the remote.

    Environments first, then versions, newest first in SemVer's order, each with
    its states. Tags that are none of ours are named, and left alone. Reads the
    remote; changes nothing.

    inv tag.list --subproject api --type version
    """
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.tag.catalogue import current
    from ci_tasks.tag.grammar import Grammar
    from ci_tasks.tag.render import tag_table
    from ci_tasks.tag.store import TagStore
    from ci_tasks.tag.subproject import checked

    checkout = Checkout.open()
    grammar = Grammar(checkout.settings.environments)
    store = TagStore(checkout.origin, grammar)
    wanted = grammar.subproject(subproject) if subproject else None
    kind = TagType[type.name] if type else None
    found = current(store, subproject=wanted, tag_type=kind)
    if wanted and not (found.tags or found.foreign):
        checked(wanted, checkout=checkout, grammar=grammar, listing=store.listing())
    return Answer(found, lambda: tag_table(found, subproject=wanted, tag_type=kind))


@task(changes=True)
def ruleset(
    c: Context,
    apply: bool = flag("bring GitHub's rulesets to this, after a question"),
    yes: bool = flag("with --apply: without the question"),
) -> Answer:
    """Show or apply GitHub rulesets for the tags.

    Two JSON documents, as GitHub's API takes them: versions and states are moved
    and deleted by nobody; environment tags are written by the GitHub App or the
    deploy keys of the setting tagWriter alone. Nothing is changed without
    --apply, which asks GitHub through gh, shows what differs, and asks you.

    inv tag.ruleset --apply
    """
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.core.errors import UsageError
    from ci_tasks.tag.ruleset.apply import apply as apply_rulesets
    from ci_tasks.tag.ruleset.apply import printed, told
    from ci_tasks.tag.ruleset.documents import documents

    if yes and not apply:
        raise UsageError("--yes goes with --apply.", next_step="inv tag.ruleset --apply --yes")
    checkout = Checkout.open()
    if not apply:
        answer = printed(checkout)
        return Answer(answer, lambda: documents(answer.rulesets))
    answer = apply_rulesets(checkout, yes=yes)
    return Answer(answer, lambda: told(answer))


@task(changes=True)
def state(
    c: Context,
    version: str = option("version that it is about: v1.2.3", required=True),
    state: VersionState = option("what the version is worth", required=True, choices=VersionState),
    subproject: str | None = option(SUBPROJECT, metavar="PATH"),
    reason: str | None = option("why; the text of the tag", metavar="TEXT", env="CI_TASKS_REASON"),
) -> Answer:
    """Mark a version stable, unstable or deprecated.

    An immutable tag on the version's own commit. The same state again changes
    nothing. The strongest state counts: deprecated, then unstable, then stable.
    A version that was marked bad stays bad: cut a patch. Pre-releases have no
    state.

    inv tag.state --subproject api --version v1.2.3 --state stable
    """
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.core.console import prose
    from ci_tasks.tag.show.text import marked_text
    from ci_tasks.tag.state import NewState, mark

    wanted = NewState(version=version, state=state, subproject=subproject, reason=reason)
    answer = mark(Checkout.open(), wanted)
    return Answer(answer, lambda: prose(marked_text(answer)))


@task
def show(c: Context, name: str = argument("tag of the remote, as tag.list shows it")) -> Answer:
    """Show all that is known of one tag.

    What it is, who made it, how it was verified. For a version: its state, why,
    and where it runs now. For an environment: what is live, and its last
    records. Exits with 3 for a tag that can't be trusted, with 4 for a ledger
    that can't be read. Reads the remote; changes nothing.

    inv tag.show api/v1.2.3
    """
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.tag.show.show import exit_code
    from ci_tasks.tag.show.show import show as show_tag
    from ci_tasks.tag.show.text import shown_text

    shown = show_tag(Checkout.open(), name)
    return Answer(shown, lambda: shown_text(shown), exit_code(shown))


@task
def validate(c: Context, names: list[str] = rest("names of tags")) -> Answer:
    """Check names of tags, without a network.

    Says for each name what it means, or why it is none of ours; exits with 2
    where one is bad. No repository is needed; in one, its environments count.
    The names follow after `--`: without it, inv takes a name for a task. Reads
    the settings; changes nothing.

    inv tag.validate -- api/v1.2.3 api/production
    """
    from pathlib import Path

    from ci_tasks.core.errors import ExitCode
    from ci_tasks.tag.validate import grammar_of, validation_text
    from ci_tasks.tag.validate import validate as checked

    answer = checked(names, grammar_of(Path.cwd()))
    code = ExitCode.OK if answer.is_valid else ExitCode.USAGE
    return Answer(answer, lambda: validation_text(answer), code)
