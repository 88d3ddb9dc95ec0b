"""A deployment whose one script does nothing against the git commands that it can't do without.

Raw: find the repository, list the remote's tags, read the version tag, list and read the files of its commit,
write the claim's tag object and push it with a lease, write the result's and push that. Once with a remote
that has one tag, where everything but start-up is small, and once with the 10,000 tags of a monorepo.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from bench.timing import INV, in_turn, run, say

ROUNDS = 15
MANY = 10_000

RAW = r"""
set -eu
url=$(git remote get-url origin)
git rev-parse --show-toplevel --git-common-dir HEAD >/dev/null
git status --porcelain -- scripts environments >/dev/null
git ls-remote --tags "$url" >refs.txt
old=$(sed -n 's,\trefs/tags/staging$,,p' refs.txt)
version=$(sed -n 's,\trefs/tags/v1.0.0$,,p' refs.txt)
git cat-file tag "$version" >tag.txt
commit=$(sed -n 's/^object //p' tag.txt)
git ls-tree -r -z "$commit" >tree.txt
git ls-tree -r "$commit" | cut -d' ' -f3 | cut -f1 | git cat-file --batch >blobs.txt
for step in claim result; do
  printf 'object %s\ntype commit\ntag staging\ntagger B <b@example.invalid> %s +0000\n\n%s %s\n' \
    "$commit" "$(date +%s)" "$step" "$$" >object.txt
  new=$(git mktag <object.txt)
  git push --quiet --atomic --porcelain --no-verify "--force-with-lease=refs/tags/staging:$old" \
    "$url" "$new:refs/tags/staging"
  old=$new
done
"""


def build(folder: Path) -> Path:
    """A bare remote with one version, and a clone ready to deploy it."""
    remote, clone = folder / "remote.git", folder / "clone"

    def git(*arguments: str, cwd: Path = clone) -> None:
        subprocess.run(["git", *arguments], cwd=cwd, check=True, capture_output=True)

    git("init", "--quiet", "--bare", "--initial-branch=main", str(remote), cwd=folder)
    git("init", "--quiet", "--initial-branch=main", str(clone), cwd=folder)
    git("config", "user.name", "B")
    git("config", "user.email", "b@example.invalid")
    files = {
        "tasks.py": "from ci_tasks import ns\n",
        ".gitignore": "*.txt\nbuild/\n__pycache__/\n",
        "environments/staging/config.yml": "",
        "scripts/deployment/10-ci-nothing.sh": "#!/bin/sh\n# Description: Does nothing\n",
    }
    for name, text in files.items():
        path = clone / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    git("add", "--all")
    git("commit", "--quiet", "--message", "Begin")
    git("remote", "add", "origin", str(remote))
    git("push", "--quiet", "origin", "main")
    run([INV, "tag.create", "--version", "v1.0.0"], cwd=clone)
    git("fetch", "--quiet", "origin", "refs/tags/v1.0.0")
    return clone


def add_versions(remote: Path, number: int) -> None:
    """Annotated version tags of other subprojects, as years of releases leave them."""
    tags = "".join(
        f"tag p{index // 50}/v0.{index % 50}.0\nfrom refs/heads/main\n"
        f"tagger B <b@example.invalid> {1_700_000_000 + index} +0000\ndata 8\nrelease\n\n"
        for index in range(number)
    )
    subprocess.run(["git", "fast-import", "--quiet"], cwd=remote, input=tags.encode(), check=True)
    subprocess.run(["git", "pack-refs", "--all"], cwd=remote, check=True)


def main() -> None:
    """Print the ratios, whole and without the start of `inv`."""
    for others in (0, MANY):
        measure(others)


def measure(others: int) -> None:
    """One of the two remotes."""
    with tempfile.TemporaryDirectory() as name:
        clone = build(Path(name))
        add_versions(Path(name) / "remote.git", others)

        def ours() -> float:
            return run([INV, "deploy", "--env", "staging", "--again"], cwd=clone)

        def raw() -> float:
            return run(["sh", "-c", RAW], cwd=clone)

        def raw_then_begin_anew() -> float:
            # The raw commands leave a tag without a ledger, which nobody may write over: take it away.
            seconds = raw()
            run(["git", "push", "--quiet", "origin", ":refs/tags/staging"], cwd=clone)
            return seconds

        what = f"deploy / the raw git commands, {others + 1} tags on the remote"
        say(what, *in_turn(ours, raw_then_begin_anew, rounds=ROUNDS))
        start = run([INV, "--list"], cwd=clone)
        print(f"of ours, inv --list alone takes {start * 1000:.0f} ms")


if __name__ == "__main__":
    main()
