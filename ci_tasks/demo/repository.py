"""Makes the demo's repository: a monorepo of three services, and a bare remote beside it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ci_tasks.demo.terminal import Terminal

SERVICES = {"api": "v1.0.0", "web": "v2.3.0", "services/auth": "v0.4.0"}
"""Each service, with the version that the story gives it first."""

REGIONS = ("us-east", "eu-west")
DEPLOYED = "build/deployed"
GREETING = "api/greeting.txt"

_FILES = {
    ".gitignore": "build/\n__pycache__/\n",
    "tasks.py": "from ci_tasks import ns  # noqa: F401\n",
    "ci_tasks.yaml": 'subprojects: [api, web, "services/*"]\n',
    "environments/config.yml": f"env:\n  DEPLOY_TARGET: {DEPLOYED}\n",
    "environments/staging/config.yml": f"regions: [{', '.join(REGIONS)}]\n",
    "environments/production/config.yml": "branches: [main]\n",
    GREETING: "hello\n",
    "web/index.html": "<title>hello</title>\n",
    "services/auth/users.txt": "alice\nbob\n",
}
# Real files, equal to those with which the repository of ci_tasks deploys itself.
_SCRIPTS = Path(__file__).parent / "monorepo" / "scripts"

UNFINISHED = "<" * 7 + " HEAD\nhello\n" + "=" * 7 + "\ngood morning\n" + ">" * 7 + " morning\n"
"""What git leaves in a file where a merge needs a decision."""


def make(terminal: Terminal) -> None:
    """Make the remote, and a clone of it with one pushed commit."""
    remote, clone = str(terminal.folder / "remote.git"), terminal.clone
    clone.mkdir()
    terminal.ask("git", "init", "--quiet", "--bare", remote)
    terminal.ask("git", "init", "--quiet")
    terminal.ask("git", "remote", "add", "origin", remote)
    for path, text in _FILES.items():
        write(terminal, path, text)
    shutil.copytree(_SCRIPTS, clone / "scripts")
    for script in (clone / "scripts").rglob("*.sh"):
        script.chmod(0o755)  # not everything that unpacks a wheel keeps it
    terminal.ask("git", "add", "--all")
    terminal.ask("git", "commit", "--quiet", "--message", "Begin")
    terminal.ask("git", "push", "--quiet", "origin", "main")


def write(terminal: Terminal, path: str, text: str) -> None:
    """Write a file of the clone."""
    file = terminal.clone / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
