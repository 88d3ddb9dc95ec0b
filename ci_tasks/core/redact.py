"""Secrets in a program's output: each is found in every spelling and replaced by `***`."""

from __future__ import annotations

import re
import threading
from itertools import groupby
from typing import TYPE_CHECKING

from ci_tasks.core.secret_forms import SHORTEST, forms_of
from ci_tasks.core.secret_looks import is_secret_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

STARS = b"***"


def secrets_in(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The values that have to be hidden, as far as the names of their variables tell."""
    return tuple(value for name, value in environment.items() if is_secret_name(name))


class Redactor:
    """Knows secrets, and puts `***` in the place of each in whatever is shown. Thread-safe.

    A secret is found as it is, line by line if it has several, in base64 (standard, URL-safe, wherever it
    begins), percent-encoded, JSON-escaped and quoted for a shell. The longest form wins. Secrets of less
    than 4 characters and blank ones are ignored.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._known: set[bytes] = set()
        self._ready: _Finder | None = None
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Hide this one too from now on, in streams that are open as well."""
        forms = forms_of(secret)
        with self._lock:
            self._known |= forms
            self._ready = None

    def finder(self) -> _Finder:
        """The forms as they are known now, made ready once."""
        with self._lock:
            if self._ready is None:
                self._ready = _Finder(self._known)
            return self._ready

    def text(self, value: str) -> str:
        """The value without secrets."""
        data = value.encode("utf-8", "surrogatepass")
        return self.finder().hide(data, 0, final=True)[0].decode("utf-8", "surrogatepass")

    def stream(self) -> RedactingStream:
        """A filter for text that comes in pieces (UTF-8)."""
        return RedactingStream(self)


class RedactingStream:
    """Redacts bytes as they come; holds back no more than what may be the beginning of a secret."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = b""
        self._hidden = 0

    def feed(self, data: bytes) -> bytes:
        """What can be shown after these bytes."""
        data = self._held + data
        shown, end, self._hidden = self._redactor.finder().hide(data, self._hidden, final=False)
        self._held = data[end:]
        return shown

    def close(self) -> bytes:
        """The rest. The stream is empty afterwards."""
        shown, _, _ = self._redactor.finder().hide(self._held, self._hidden, final=True)
        self._held, self._hidden = b"", 0
        return shown


class _Finder:
    """An unchangeable set of forms, made ready to be found in bytes."""

    def __init__(self, forms: set[bytes]) -> None:
        by_length = sorted(forms, key=len, reverse=True)
        self._by_head: dict[bytes, list[bytes]] = {}
        for form in by_length:
            self._by_head.setdefault(form[:SHORTEST], []).append(form)
        self._starts = {form[:size] for form in forms for size in range(1, SHORTEST)}
        self.longest = len(by_length[0]) if by_length else 0
        # Grouped by the first byte, so that most bytes of the output cost one look into a small set.
        groups = groupby(sorted(self._by_head), key=lambda head: head[:1])
        self._heads = re.compile(
            b"|".join(
                re.escape(first) + b"(?:" + b"|".join(re.escape(head[1:]) for head in heads) + b")"
                for first, heads in groups
            )
        )

    def _at(self, data: bytes, start: int, *, final: bool) -> int | None:
        """Length of the longest form at `start`; 0 for none; None if more data must decide."""
        for form in self._by_head[data[start : start + SHORTEST]]:
            if data.startswith(form, start):
                return len(form)
            if not final and len(form) > len(data) - start and form.startswith(data[start:]):
                return None
        return 0

    def hide(self, data: bytes, hidden: int, *, final: bool) -> tuple[bytes, int, int]:
        """Put stars in place of every form; overlapping forms share their stars.

        The first `hidden` bytes have their stars already. Returns what may be shown, the number of bytes
        that are dealt with, and how many of those that follow have their stars already. `final`: no data
        will follow, so nothing is held back.
        """
        if not self._by_head:
            return data, len(data), 0
        shown: list[bytes] = []
        done, end = hidden, len(data)
        hit = self._heads.search(data)
        while hit:
            start = hit.start()
            length = self._at(data, start, final=final)
            if length is None:
                end = start
                break
            if length:
                if start >= done:
                    shown += (data[done:start], STARS)
                done = max(done, start + length)
            hit = self._heads.search(data, start + 1)
        else:
            if not final:
                last = range(max(0, end - SHORTEST + 1), end)
                end = next((start for start in last if data[start:] in self._starts), end)
        shown.append(data[done:end])
        return b"".join(shown), end, max(0, done - end)
