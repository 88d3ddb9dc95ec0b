"""What looks like a secret: a name that says so, or a text that has the form of one."""

from __future__ import annotations

import re

HIDDEN = "***"

_NO_LETTER = re.compile(r"[^A-Za-z0-9]+")
_BORDER = re.compile(rf"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|{_NO_LETTER.pattern}")
"""Where a word of a name ends: `access-key`, `accessKey`, `ACCESS_KEY`."""

_SECRET = re.compile(
    r"TOKEN|SECRET|PASSW|PASS_?(?:PHRASE|CODE)|CREDENTIAL"
    r"|(?:API|ACCESS|PRIVATE|SIGNING|ENCRYPTION)_?KEY|(?:^|_)KEYS?(?:$|_)|(?:^|_)(?:PG)?PASS(?:$|_)"
)
_MAYBE = re.compile(r"(?:^|_)(?:O?AUTH|PWD|JWT|BEARER|COOKIES?|PIN|SALT)(?:$|_)|AUTHORI[SZ]ATION")
"""Words whose values are now and then no secrets: hidden where they stand, but looked for nowhere else."""

_FORMS = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"  # to its end, or to that of the text
    r"(?s:.*?)(?:-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|\Z)"
    r"|\beyJ[\w-]{6,}\.[\w-]{6,}(?:\.[\w-]*)*"  # a JSON Web Token
    r"|\b(?:gh[a-z]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|npm_[A-Za-z0-9]{16,})"
    r"|\b(?:A3T[A-Z0-9]|A[BCGIKNPRS][A-Z]A)[A-Z0-9]{12,}"  # ids of AWS: they come with their keys
    r"|\b(?:AIza[\w-]{30,}|ya29\.[\w-]{16,}|xox[a-z]-[\w-]{10,}|pypi-[\w-]{16,}|dop_v1_[0-9a-f]{16,})"
    r"|\b(?:[spr]k_(?:live|test)_\w{10,}|sk-[\w-]{20,}|hv[sbr]\.[\w-]{16,})"
    r"|\bSG\.[\w-]{16,}\.[\w-]{16,}|\bAGE-SECRET-KEY-1[A-Z0-9]{16,}"
    r"|(?<=://)[^\s/?#@:]{16,}(?=@)"  # a token in an address
)
_IN_ADDRESS = re.compile(r"(?<=://)([^\s/?#@:]*):\S*@")
_SCHEME = re.compile(
    r"\b(bearer\s+(?=(?-i:\S*[A-Z0-9=_.-]))|basic\s+(?=(?-i:\S*[A-Z0-9=])))[\w.~+/=:-]{6,}", re.IGNORECASE
)
_NAME = re.compile(r"""(?<!\w)(?P<name>[A-Za-z][\w.-]{0,99})(?:["']?\s*[=:]\s*|\s+)""")
_VALUE = re.compile(
    r"""(?:"(?:[^"\\]|\\.)*"|'[^']*')[^\s;,&)\]}]*"""  # in quotes
    r"""|(?:["'{\[]|(?:[|>][-+\d]*|-)(?=\s))(?s:.*)"""  # a map, a list, a block: with all that follows
    r"|[^\n;]+"
)
_WORD = re.compile(r"\S+")


def is_secret_name(name: str) -> bool:
    """True where a variable's or a key's name says that its value is a secret."""
    return any(_SECRET.search(words) for words in _words(name))


def may_be_secret_name(name: str) -> bool:
    """True also for names whose values are secrets more often than not."""
    return any(_SECRET.search(words) or _MAYBE.search(words) for words in _words(name))


def without_secrets(text: str) -> str:
    """The text with stars for all that has the form of a secret: better one too many than one too few."""
    text = _IN_ADDRESS.sub(rf"\1:{HIDDEN}@", _FORMS.sub(HIDDEN, text))
    return _without_assigned(_SCHEME.sub(rf"\1{HIDDEN}", text))


def _words(name: str) -> set[str]:
    """A name in capitals, its words joined by `_`; once as it is, and once with its humps as words."""
    return {pattern.sub("_", name).upper() for pattern in (_NO_LETTER, _BORDER)}


def _without_assigned(text: str) -> str:
    """Without the values that stand behind names: `password=…`, `"api-key": …`, `--token …`."""
    shown, done = [], 0
    for match in _NAME.finditer(text):
        if match.start() < done or not may_be_secret_name(match["name"]):
            continue
        is_assigned = bool(set(text[match.end("name") : match.end()]) & {"=", ":"})
        if not (is_assigned or text[max(0, match.start() - 2) : match.start()] == "--"):
            continue
        pattern = _VALUE if is_assigned else _WORD
        value = pattern.match(text, match.end())
        if value is None:
            continue
        shown += [text[done : match.end()], HIDDEN]
        done = value.end()
    return "".join([*shown, text[done:]])
