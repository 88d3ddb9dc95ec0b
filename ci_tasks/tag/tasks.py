"""The collection `tag`: versions and what stands beside them."""

from invoke.context import Context

from ci_tasks.core.task import Answer, flag, option, task
from ci_tasks.tag.names import TagType, TagTypeFilter


@task(changes=True)
def create(
    c: Context,
    version: str = option("version to create: v1.2.3 or v1.2.3-beta.1", required=True),
    subproject: str | None = option("subproject it belongs to", metavar="PATH"),
    commit: str | None = option("commit to tag; HEAD if not given", metavar="REV"),
    message: str | None = option("text of the tag", metavar="TEXT", env="CI_TASKS_REASON"),
    unpublished: bool = flag("tag a commit that is on no branch of the remote"),
) -> Answer:
    """Create a version: an annotated, immutable tag.

    It is pushed to the remote and to nowhere else: your local tags stay as they
    are. The same version on the same commit is no error and changes nothing; on
    another commit it is a conflict.

    inv tag.create --subproject api --version v1.2.3
    """
    from ci_tasks.core.checkout import Checkout
    from ci_tasks.tag.create import NewVersion
    from ci_tasks.tag.create import create as create_version

    wanted = NewVersion(
        version=version,
        subproject=subproject,
        commit=commit or "HEAD",
        message=message,
        unpublished=unpublished,
    )
    answer = create_version(Checkout.open(), wanted)
    verb = "Created" if answer.created else "Nothing to do: there is already"
    text = f"{verb} {answer.tag.tag_name} on commit {answer.tag.commit_sha[:12]}."
    return Answer(answer, text)


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
