"""pre-commit, also of merges: no plaintext where an encrypted file belongs, and no secret key anywhere."""

from __future__ import annotations

import os
import re
import shlex
from typing import TYPE_CHECKING

from ci_tasks.core.encrypted import FOLDER, belongs_encrypted
from ci_tasks.core.errors import RefusedError
from ci_tasks.hook import sops, staged
from ci_tasks.hook.place import here

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ci_tasks.hook.place import Place
    from ci_tasks.hook.staged import StagedFile

_TWIN = re.compile(r"secrets\.(?:ya?ml|json|env)|\.env", re.IGNORECASE)
# Bech32 has no `1`, `b`, `i` and `o` behind its separator; age writes its keys in capitals.
_KEY = re.compile(rb"AGE-SECRET-KEY-(?:PQ-)?1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{20,}")
_MOST_NAMED = 20  # files in the line that is proposed: what is left is told the next time
_OVERLAP = 128  # bytes that are looked at again, so that no key hides between two pieces


def check() -> int:
    """How many files were looked at. Raises RefusedError with the paths and never with what is in them."""
    place = here()
    files = staged.files(place)
    faults = [(file.path, fault) for file in files if (fault := _fault_of_name(file))]
    for file, data in staged.contents(place, files):
        faults += ((file.path, fault) for fault in _faults_of_content(file, data))
    for file in files:
        if staged.is_large(file) and has_key(staged.pieces(place, file)):
            faults.append((file.path, _with_key(file)))
    if faults:
        faults.sort(key=lambda fault: fault[0])
        raise RefusedError(
            "This commit has plaintext where an encrypted file belongs, or a secret key.",
            details=[fault for _, fault in faults],
            unchanged="Nothing was committed.",
            next_step=_take_out(place, [path for path, _ in faults]),
        )
    return len(files)


def _take_out(place: Place, paths: Sequence[str]) -> str:
    """The line that takes files out of the commit, and leaves them in the folder."""
    # Before the first commit there is nothing that git could restore from.
    is_first = place.database.git("rev-parse", "--verify", "--quiet", "HEAD").status != 0
    typed_in = os.environ.get("GIT_PREFIX") or "."
    named = [os.path.relpath(path, typed_in) for path in list(dict.fromkeys(paths))[:_MOST_NAMED]]
    return shlex.join(["git", *(("rm", "--cached") if is_first else ("restore", "--staged")), "--", *named])


def is_twin(path: str) -> bool:
    """True for the name that a secrets file has before it is encrypted."""
    *folders, name = path.split("/")
    return FOLDER in folders and _TWIN.fullmatch(name) is not None


def _fault_of_name(file: StagedFile) -> str | None:
    """What is wrong with a file that is not even looked into."""
    if not (belongs_encrypted(file.path) or is_twin(file.path)):
        return None
    if file.is_link:
        return f"{file.path}: it is a symbolic link; an encrypted file belongs here"
    if staged.is_large(file):
        return f"{file.path}: it is too large for an encrypted file"
    return None


def _faults_of_content(file: StagedFile, data: bytes) -> Iterable[str]:
    name = file.path.rpartition("/")[2]
    if not file.is_link and (belongs_encrypted(file.path) or is_twin(file.path)):
        fault = sops.fault_of(data, name)
        if fault and is_twin(file.path):
            yield f"{file.path}: plaintext secrets; encrypt them with sops as {_encrypted(name)}"
        elif fault:
            yield f"{file.path}: {fault}"
    if _KEY.search(data):
        yield _with_key(file)


def _encrypted(name: str) -> str:
    return f"secrets.enc.{name.rpartition('.')[2].lower()}"


def _with_key(file: StagedFile) -> str:
    return f"{file.path}: an age secret key (AGE-SECRET-KEY-...) is in it"


def has_key(pieces: Iterable[bytes]) -> bool:
    """Whether a secret key of age stands in what comes piece by piece."""
    end = b""
    for piece in pieces:
        window = end + piece
        if _KEY.search(window):
            return True
        end = window[-_OVERLAP:]
    return False
