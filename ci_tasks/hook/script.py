"""The hooks' files: small scripts for any POSIX shell, which start Python only where they have to."""

from __future__ import annotations

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

_PURPOSE = {
    HookName.PRE_PUSH: "refuses a push that moves tags by hand; Python starts only where one might.",
    HookName.COMMIT_MSG: "holds the first line of a message to Conventional Commits.",
    HookName.PRE_COMMIT: "refuses plaintext where an encrypted file belongs.",
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

_CHECK = """\
status=127
if [ -x "$python" ] && [ -f "$program" ]; then
  {feed}"$python" "$program" hook.run {name} --typed-as {typed_as} -- "$@"
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


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """How the hooks start us: Python, the program's file, and what somebody types here before a task."""

    python: Path
    program: Path
    typed_as: str


def build(name: HookName, *, by: Interpreter, environments: Sequence[str], kept: bytes | None) -> bytes:
    """The text of a hook's file; `kept` is the content of the hook that was there before, if any."""
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


def _call(kept: bytes | None, name: str) -> str:
    """How the hook that was there before is called.

    Its file has another name now. A shell script that looks at its own name (husky's do) is read by its shell
    under the old one.
    """
    first, _, rest = (kept or b"").partition(b"\n")
    words = first.removeprefix(b"#!").decode("utf-8", "replace").split(maxsplit=1)
    shell = words[-1].split()[0] if len(words) > 1 and words[0].endswith("/env") else "".join(words[:1])
    is_shell = first.startswith(b"#!") and shell.rpartition("/")[2] in {"sh", "bash", "dash", "ksh", "zsh"}
    if not is_shell or not (b"$0" in rest or b"${0" in rest):
        return '"$kept"'
    source = f'. "${{0%/*}}/{name}{SUFFIX}"'
    return f'{shlex.join(words)} -c {shlex.quote(source)} "$0"'
