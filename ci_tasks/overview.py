"""What the bare program shows: what this is, the everyday lines, and where the rest is."""

from invoke.context import Context

from ci_tasks.core.command_line import typed
from ci_tasks.core.task import Answer, task

ABOUT = "Builds, releases and deploys this repository. Git tags say what runs where."
EVERYDAY = (
    ("demo", "see all of it in a throw-away monorepo"),
    ("tag.create --bump minor", "create the next version"),
    ("deploy --env staging", "deploy the newest version"),
    ("deploy.status", "see what runs where"),
    ("deploy.rollback --env staging", "go back to what ran before"),
    ("env.show --env staging", "look at the configuration"),
    ("tag.verify", "look whether all tags are as they should be"),
)

COLLECTIONS = {
    "deploy": "bringing versions into environments",
    "tag": "versions, and what stands beside them",
    "env": "what is configured where",
    "project": "subprojects, and what has changed",
    "report": "what the last pipeline did",
    "script": "the scripts that pipelines run",
    "hook": "hooks of git that keep tags and secrets safe",
}
"""What each collection is about, in the order of the overview."""


@task(default=True)
def overview(c: Context) -> Answer:
    """Show the everyday lines and what there is.

    Reads and changes nothing. The bare program shows the same.

    inv overview
    """
    from ci_tasks.core.console import table

    everyday = [(typed(line), does) for line, does in EVERYDAY]
    collections = list(COLLECTIONS.items())
    document = {
        "about": ABOUT,
        "everyday": [{"line": line, "does": does} for line, does in everyday],
        "collections": [{"name": name, "about": about} for name, about in collections],
    }
    parts = [ABOUT, "", table(("Every day", ""), everyday), "", table(("Collections", ""), collections), ""]
    hint = f"All tasks: {typed('inv')} --list    One of them: {typed('inv')} --help deploy"
    return Answer(document, "\n".join([*parts, hint]))
