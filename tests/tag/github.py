"""A server on loopback that speaks GitHub's API of rulesets, and a `gh` to talk to it.

Where the real gh is installed, it is the one that runs: it takes `github.localhost` for a host without TLS,
and goes there through the proxy that the environment names, which is the server. Where it is not, a stand-in
takes its place that does the same with the few options in use: gh is a program of the system that a test run
can't install, and what has to be seen here is what happens between gh and us.
"""

from __future__ import annotations

import json
import shutil
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from tests.repositories import write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOST = "github.localhost"
TOKEN = "not-a-real-token-0123456789"  # noqa: S105 - a word for the tests to look for
PATH = "/repos/acme/shop/rulesets"

STAND_IN = """\
#!{python}
import os, sys, urllib.error, urllib.request
if not os.environ.get("GH_TOKEN"):
    print("To get started with GitHub CLI, please run:  gh auth login", file=sys.stderr)
    sys.exit(4)
words = sys.argv[1:]
assert words[0] == "api", words
given, headers, path, rest = {{}}, {{}}, None, iter(words[1:])
for word in rest:
    if word == "--include":
        continue
    if word == "--header":
        name, _, value = next(rest).partition(": ")
        headers[name] = value
    elif word.startswith("--"):
        given[word] = next(rest)
    else:
        path = word
body = sys.stdin.buffer.read() if given.get("--input") == "-" else None
headers["Authorization"] = "token " + os.environ["GH_TOKEN"]
address = "http://api." + given["--hostname"] + "/" + path
request = urllib.request.Request(address, data=body, headers=headers, method=given["--method"])
try:
    answer = urllib.request.urlopen(request)
except urllib.error.HTTPError as error:
    answer = error
except OSError as error:
    print("error connecting to api." + given["--hostname"], error, file=sys.stderr)
    sys.exit(1)
content = answer.read()
out = sys.stdout.buffer
out.write(("HTTP/1.1 %d %s\\n" % (answer.status, answer.reason)).encode())
for name, value in answer.headers.items():
    out.write((name + ": " + value + "\\r\\n").encode())
out.write(b"\\r\\n" + content)
if answer.status > 299:
    print("gh: HTTP", answer.status, file=sys.stderr)
    sys.exit(1)
"""


def gh_folder(folder: Path) -> Path:
    """A folder with a `gh` in it: the real one if there is one, else the stand-in."""
    folder.mkdir()
    real = shutil.which("gh")
    if real:
        (folder / "gh").symlink_to(real)
    else:
        write(folder / "gh", STAND_IN.format(python=sys.executable), executable=True)
    return folder


@dataclass(frozen=True)
class Reply:
    """An answer that a test wants."""

    status: int
    content: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """A request as it came."""

    method: str
    path: str
    body: Any
    authorization: str | None


class GitHubServer:
    """Keeps rulesets as GitHub does; `fault` may answer in its place."""

    def __init__(self) -> None:
        self.rulesets: dict[int, dict[str, Any]] = {}
        self.seen: list[Seen] = []
        self.fault: Callable[[Seen], Reply | None] = lambda _: None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """What to name as the proxy."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def writes(self) -> list[tuple[str, str]]:
        """Method and path of every request that wanted to change something."""
        return [(each.method, each.path) for each in self.seen if each.method != "GET"]

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def put(self, ruleset: dict[str, Any], *, source_type: str = "Repository") -> int:
        """Add a ruleset behind everybody's back; gives its id."""
        number = max(self.rulesets, default=40) + 1
        self.rulesets[number] = {
            **_as_github_keeps_it(ruleset),
            "id": number,
            "source_type": source_type,
            "source": "acme/shop",
            "current_user_can_bypass": "never",
            "_links": {"self": {"href": f"http://api.{HOST}{PATH}/{number}"}},
        }
        return number

    def answer(self, seen: Seen) -> Reply:
        """What GitHub would say."""
        self.seen.append(seen)
        reply = self.fault(seen)
        if reply is None:
            reply = self._answer(seen)
        return reply

    def _answer(self, seen: Seen) -> Reply:
        parts = urlsplit(seen.path)
        number = parts.path[len(PATH) + 1 :]
        if not parts.path.startswith(PATH) or (number and int(number) not in self.rulesets):
            return _refusal(404, "Not Found")
        if seen.method == "GET":
            return _ok(self.rulesets[int(number)] if number else self._page(parts.query))
        taken = {each["name"] for each in self.rulesets.values() if str(each["id"]) != number}
        if seen.body["name"] in taken:
            return _refusal(422, "Validation Failed", ["Name must be unique"])
        if seen.method == "PUT":
            self.rulesets[int(number)].update(_as_github_keeps_it(seen.body))
            return _ok(self.rulesets[int(number)])
        return Reply(201, json.dumps(self.rulesets[self.put(seen.body)]).encode())

    def _page(self, text: str) -> list[dict[str, Any]]:
        """A page of the list, which has less to say of each than GitHub says of one."""
        query = {name: int(values[0]) for name, values in parse_qs(text).items() if "page" in name}
        begin = (query["page"] - 1) * query["per_page"]
        keys = ("id", "name", "target", "source_type", "enforcement")
        whole = [{key: each[key] for key in keys} for each in self.rulesets.values()]
        return whole[begin : begin + query["per_page"]]

    def _handler(server: GitHubServer) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - the handler has the self
        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self._body()
                path = "/" + self.path.partition("://")[2].partition("/")[2]
                authorization = self.headers.get("Authorization")
                reply = server.answer(
                    Seen(self.command, path, json.loads(body) if body else None, authorization)
                )
                self.send_response(reply.status)
                for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.content)))
                self.end_headers()
                self.wfile.write(reply.content)

            def _body(self) -> bytes:
                if self.headers.get("Transfer-Encoding") != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length") or 0))
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def log_message(self, *_: object) -> None:
                """Say nothing."""

            do_GET = do_POST = do_PUT = answer  # noqa: N815 - the names of http.server

        return Handler


def _as_github_keeps_it(ruleset: dict[str, Any]) -> dict[str, Any]:
    """GitHub gives the rule `update` a parameter of its own."""
    rules = [
        {**rule, "parameters": rule.get("parameters", {"update_allows_fetch_and_merge": False})}
        if rule["type"] == "update"
        else rule
        for rule in ruleset["rules"]
    ]
    return {**ruleset, "rules": rules}


def _ok(value: object) -> Reply:
    return Reply(200, json.dumps(value).encode())


def _refusal(status: int, message: str, errors: list[str] | None = None) -> Reply:
    return Reply(status, json.dumps({"message": message, "errors": errors or []}).encode())
