"""Where a run takes place: a bare remote that keeps a journal and goes wrong on request, and clones of it."""

from __future__ import annotations

import os
import shlex
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.repositories import git, lay_out, write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SUBPROJECT = "api"
ENVIRONMENTS: dict[str, tuple[str, ...]] = {
    "staging": ("eu-west", "us-east"),
    "canary": ("ap-south", "eu-west", "us-east"),
    "production": (),
}
VERSIONS = ("v1.0.0", "v1.1.0", "v1.2.0")

RULES = {
    "staging": "onFailure: rollback\n",
    "canary": "onFailure: keep-going\nstrategy: parallel\n",
    "production": "",
}
FAULTS = ("declined", "delayed", "lost", "late", "dropped", "away")
"""What can become of a push: a hook says no, it takes a while, it is committed and its answer is lost, the
client is cut off and it is committed a second later, the connection ends before anything is committed, there
is no connection at all. Two more wait for somebody: `held` before it begins, until there is a file `go`;
`later` as `late`, until there is a file `land`."""

# The order of the lines is the order of the events: each is appended with one write.
_SCRIPT = """\
#!/bin/sh
# Description: Says when it begins and ends; some take longer, some fail
place="$DEPLOYMENT_SUBPROJECT/$DEPLOYMENT_ENVIRONMENT ${DEPLOYMENT_REGION:--}"
echo "script-start $DEPLOYMENT_ID $place $DEPLOYMENT_VERSION" >> "$JOURNAL"
claim=${DEPLOYMENT_ID%%.*}
number=$((0x${claim##*-}))
hold="$JOURNAL.hold.$DEPLOYMENT_ENVIRONMENT"
outcome=done
if test -e "$hold"; then
  for _ in $(seq 1200); do test ! -e "$hold.over" || break; sleep 0.05; done
else
  sleep 0.$((number % 5))
  case $((number % 10))$DEPLOYMENT_REGION in 0* | 1us-east) outcome=failed ;; esac
fi
echo "script-end $DEPLOYMENT_ID $outcome" >> "$JOURNAL"
test $outcome = done
"""
_PRE_RECEIVE = """\
#!/bin/sh
while read -r old new ref; do
  case $ref in
  refs/tags/*/v[0-9]*) ;;
  refs/tags/*) echo "offer $STRESS_OPERATION $STRESS_FAULT $ref $old $new" >> JOURNAL ;;
  esac
done
case $STRESS_FAULT in
declined) echo "GH013: not now" >&2; exit 1 ;;
delayed) sleep 0.4 ;;
late) kill -9 "$STRESS_CLIENT"; sleep 1 ;;
later)
  kill -9 "$STRESS_CLIENT"
  for _ in $(seq 1200); do test ! -e "$STRESS_FOLDER/land" || break; sleep 0.05; done
  ;;
esac
exit 0
"""
_REFERENCE_TRANSACTION = """\
#!/bin/sh
case $1 in prepared | committed) ;; *) exit 0 ;; esac
while read -r old new ref; do
  case $ref in
  refs/tags/*/v[0-9]*) ;;
  refs/tags/*) echo "$1 $(date +%s.%N) $ref $old $new" >> JOURNAL ;;
  esac
done
test "$1 $STRESS_FAULT" != "committed lost" || kill -9 $PPID
"""
# `$PPID` of the shell that runs the server's side is git itself. Without a stderr of its own the server's
# side would keep the client waiting after the cut.
_GIT = """\
#!/bin/sh
fault=ok
case " $* " in
*" push "*)
  test ! -s FOLDER/faults || { read -r fault < FOLDER/faults; sed -i 1d FOLDER/faults; }
  ;;
esac
export STRESS_OPERATION=OPERATION STRESS_FOLDER=FOLDER STRESS_FAULT=$fault
case $fault in
held)
  touch FOLDER/held
  for _ in $(seq 1200); do test ! -e FOLDER/go || break; sleep 0.05; done
  ;;
esac
before=
case $fault in
away) server=false ;;
dropped) server="</dev/null git-receive-pack" ;;
late | later) before='exec 2>/dev/null;' server='STRESS_CLIENT=$PPID git-receive-pack' ;;
*) server=git-receive-pack ;;
esac
for word do
  shift
  set -- "$@" "$word"
  test "$word" != push ||
    set -- "$@" "--receive-pack=$before $server"
done
exec GIT "$@"
"""


@dataclass(frozen=True)
class Arena:
    """The folder of a run."""

    folder: Path
    clones: tuple[Path, ...]

    @property
    def remote(self) -> Path:
        """The bare repository."""
        return self.folder / "remote.git"

    @property
    def journal(self) -> Path:
        """One line for each event, in their order."""
        return self.folder / "journal"

    def note(self, *words: str) -> None:
        """Write a line of the journal."""
        descriptor = os.open(self.journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, f"{' '.join(words)}\n".encode())
        os.close(descriptor)

    def hold(self, environment: str) -> Path:
        """Let the scripts of an environment wait until there is the file that this names."""
        file = write(self.folder / f"journal.hold.{environment}", "")
        return file.with_name(f"{file.name}.over")

    def started(self, environment: str) -> list[str]:
        """The deployments to an environment whose scripts have started, in their order."""
        lines = [line.split(" ") for line in self.journal.read_text(encoding="utf-8").splitlines()]
        tag = f"{SUBPROJECT}/{environment}"
        return [line[1] for line in lines if line[0] == "script-start" and line[2] == tag]

    def folder_of(self, operation: str) -> Path:
        """Where an operation keeps what is its own."""
        return self.folder / "operations" / operation

    def path_for(self, operation: str, faults: Sequence[str]) -> str:
        """A PATH for an operation whose pushes meet these faults, one after the other, and then none."""
        real_git = shutil.which("git")
        assert real_git is not None
        folder = self.folder_of(operation)
        write(folder / "faults", "".join(f"{fault}\n" for fault in faults))
        text = _GIT.replace("FOLDER/", f"{folder}/").replace("=FOLDER", f"={folder}")
        text = text.replace("=OPERATION", f"={operation}").replace("GIT", real_git)
        write(folder / "git", text, executable=True)
        return f"{folder}{os.pathsep}{os.environ['PATH']}"


def build(folder: Path, clones: int) -> Arena:
    """Lay out the remote and so many clones of it."""
    arena = Arena(folder, tuple(folder / f"clone-{number}" for number in range(clones)))
    git("init", "--quiet", "--bare", "--initial-branch=main", str(arena.remote), cwd=folder)
    first = arena.clones[0]
    git("clone", "--quiet", str(arena.remote), str(first), cwd=folder)
    lay_out(first, folder / "unused")
    _lay_out_environments(first, arena.journal)
    for version in VERSIONS:
        write(first / SUBPROJECT / "main.txt", f"{version}\n")
        git("add", "--all", cwd=first)
        git("commit", "--quiet", "--message", version, cwd=first)
        git("tag", "--annotate", f"{SUBPROJECT}/{version}", "--message", version, cwd=first)
    git("push", "--quiet", "origin", "main", "--tags", cwd=first)
    git("tag", "--delete", *(f"{SUBPROJECT}/{version}" for version in VERSIONS), cwd=first)
    for clone in arena.clones[1:]:
        git("clone", "--quiet", "--no-tags", str(arena.remote), str(clone), cwd=folder)
    for name, text in (("pre-receive", _PRE_RECEIVE), ("reference-transaction", _REFERENCE_TRANSACTION)):
        hook = text.replace("JOURNAL", shlex.quote(str(arena.journal)))
        write(arena.remote / "hooks" / name, hook, executable=True)
    return arena


def _lay_out_environments(root: Path, journal: Path) -> None:
    environments = root / "environments"
    write(environments / "config.yml", f"env:\n  JOURNAL: {journal}\n")
    for environment, regions in ENVIRONMENTS.items():
        write(environments / environment / "config.yml", f"env: {{}}\n{RULES[environment]}")
        for region in regions:
            write(environments / environment / region / "config.yml", "env: {}\n")
    (root / "scripts/deployment/20-ci-smoke.sh").unlink()
    write(root / "scripts/deployment/10-ci-record.sh", _SCRIPT, executable=True)
