"""The hooks' files: small scripts for any POSIX shell, which start Python only where they have to."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci_tasks.hook.names import HookName

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MARK = b"# ci-tasks hook: "
"""How the second line of every file of ours begins."""
SUFFIX = ".before-ci-tasks"
"""What is put behind the name of a hook that was there before."""
UNDER_ITS_NAME = "before-ci-tasks"
"""The folder in which such a hook has its own name too: a link to it."""

_PURPOSE = {
    HookName.PRE_PUSH: "refuses a push that moves tags by hand; Python starts only where one might.",
    HookName.COMMIT_MSG: "holds the first line of a message to Conventional Commits.",
    HookName.PRE_COMMIT: "refuses plaintext where an encrypted file belongs.",
    HookName.PRE_MERGE_COMMIT: "refuses plaintext where an encrypted file belongs, in a merge.",
    HookName.UPDATE: "keeps the tags of this repository; what is no tag passes without Python.",
}

_HEAD = """\
#!/bin/sh
{mark}{name}
# It {purpose}
# `inv hook.install` wrote it, and `inv hook.install --uninstall` puts back what was there before.
python={python}
program={program}
here=${{0%/*}}
kept=$here/{name}{suffix}
case $0 in *{suffix}) kept= ;; esac
"""

_KEPT = """\
if [ -f "$kept" ] && [ -x "$kept" ]; then
  {feed}{kept} "$@" || exit
fi
"""

# -I: no variable of whoever commits or pushes says which modules Python loads.
_CHECK = """\
status=127
if [ -x "$python" ] && [ -f "$program" ]; then
  {feed}"$python" -I "$program" hook.run {name} --typed-as {typed_as} -- "$@"
  status=$?
fi
"""

# 1, 126 and 127: Python did not get as far as our own exit codes.
# A new tag with a dot in its last part is a version, a state or foreign: environments have no dots.
_PRE_PUSH = """\
case $pushed in *' refs/tags/'*) ;; *) exit 0 ;; esac
asked=
while IFS=' ' read -r _ _ ref old; do
  case $ref in refs/tags/*) ;; *) continue ;; esac
  case ${{ref##*/}} in *.*) ;; *) asked=1 ;; esac
  case $old in *[!0]*) asked=1 ;; esac
done <<END
$pushed
END
[ "$asked" ] || exit 0
{check}case $status in 1 | 126 | 127) ;; *) exit "$status" ;; esac
feed | while IFS= read -r line; do
  line=${{line% *}}
  case ${{line##* }} in
    {environments})
      echo "ci-tasks: refused: ${{line##* }} is an environment tag, and $python can't check it." >&2
      exit 1 ;;
  esac
done || {{
  echo "ci-tasks: nothing was pushed. Where ci-tasks is installed, type: {typed_as_text}hook.install" >&2
  exit 1
}}
echo "ci-tasks: warning: tags are not checked: $python does not work. Type: {typed_as_text}hook.install" >&2
"""

_COMMIT = """\
{check}case $status in 1 | 126 | 127) ;; *) exit "$status" ;; esac
echo "ci-tasks: warning: {what} not checked: $python does not work. Type: {typed_as_text}hook.install" >&2
"""

_UPDATE = """\
case $1 in refs/tags/*) ;; *) exit 0 ;; esac
{check}case $status in
  0) exit 0 ;;
  1 | 126 | 127) echo "ci-tasks: $1 is refused: the server's hook does not work ($python)." >&2 ;;
esac
exit 1
"""

_SHELLS = ("sh", "bash", "dash", "ksh", "zsh")
# How a script asks under which name it was started; of other programs nobody knows.
_ASKS_SHELL = re.compile(rb"\$\{?0")
_ASKS = re.compile(rb"\$0|argv.{0,3}\[0\]|PROGRAM_NAME|basename|__file__\)\.(?:name|stem)")
_FOLLOWS = re.compile(rb"readlink|realpath|pwd -P")


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """How the hooks start us: Python, the program's file, and what somebody types here before a task."""

    python: Path
    program: Path
    typed_as: str


@dataclass(frozen=True, kw_only=True)
class KeptHook:
    """The hook that was there before."""

    content: bytes
    is_link: bool


def build(name: HookName, *, by: Interpreter, environments: Sequence[str], kept: KeptHook | None) -> bytes:
    """The text of a hook's file; `kept` is the hook that was there before, if any."""
    reads = name is HookName.PRE_PUSH
    feed = "feed | " if reads else ""
    values = {
        "mark": MARK.decode(),
        "name": name.value,
        "purpose": _PURPOSE[name],
        "python": shlex.quote(str(by.python)),
        "program": shlex.quote(str(by.program)),
        "typed_as": shlex.quote(by.typed_as),
        "typed_as_text": by.typed_as.replace("\\", "").replace('"', "").replace("$", "").replace("`", ""),
        "suffix": SUFFIX,
        "feed": feed,
        "environments": " | ".join(
            f"refs/tags/{environment} | refs/tags/*/{environment}" for environment in environments
        ),
        "what": "the message is" if name is HookName.COMMIT_MSG else "encrypted files are",
    }
    values["check"] = _CHECK.format(**values)
    values["kept"] = _call(kept, values["name"])
    parts = [_HEAD]
    if reads:
        parts.append('pushed=$(cat)\nfeed() {{ [ -z "$pushed" ] || printf \'%s\\n\' "$pushed"; }}\n')
    parts.append(_KEPT)
    parts.append({HookName.PRE_PUSH: _PRE_PUSH, HookName.UPDATE: _UPDATE}.get(name, _COMMIT))
    return "".join(part.format(**values) for part in parts).encode("utf-8", "surrogateescape")


def is_called_by_link(kept: KeptHook | None) -> bool:
    """Whether a kept hook needs a link of its old name: a program that may ask for it, a script that follows.

    Other shell scripts that ask are read by their shell under that name, in the old place.
    """
    if kept is None or not kept.content:
        return False
    shell, rest = _shell(kept)
    if shell:
        return kept.is_link and _ASKS_SHELL.search(rest) is not None and _FOLLOWS.search(rest) is not None
    return not kept.content.startswith(b"#!") or _ASKS.search(rest) is not None


def _call(kept: KeptHook | None, name: str) -> str:
    """How the hook that was there before is called; its file has another name now."""
    if is_called_by_link(kept):
        return f'"$here/{UNDER_ITS_NAME}/{name}"'
    shell, rest = _shell(kept) if kept else ([], b"")
    if not shell or not _ASKS_SHELL.search(rest):
        return '"$kept"'
    source = f'. "${{0%/*}}/{name}{SUFFIX}"'
    return f'{shlex.join(shell)} -c {shlex.quote(source)} "$0"'


def _shell(kept: KeptHook) -> tuple[list[str], bytes]:
    """The words that start a script's shell, none for another program, and the script."""
    first, _, rest = kept.content.partition(b"\n")
    words = first.removeprefix(b"#!").decode("utf-8", "replace").split(maxsplit=1)
    shell = words[-1].split()[0] if len(words) > 1 and words[0].endswith("/env") else "".join(words[:1])
    is_shell = first.startswith(b"#!") and shell.rpartition("/")[2] in _SHELLS
    return (words if is_shell else []), rest
