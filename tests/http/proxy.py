"""An HTTP proxy on the loopback that loses, cuts, delays and refuses what goes through it when told to.

It stands between git and a server with `git http-backend`: as the address that the remote has, or as the
proxy of `http_proxy`.
"""

from __future__ import annotations

import base64
import http.client
import re
import socket
import struct
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from tests.core.places import serving
from tests.http.faults import NONE, Fault, Kind, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_UNTIL = 60.0
"""Seconds after which a request that is held goes on by itself."""
_HOP_BY_HOP = {"connection", "proxy-connection", "proxy-authorization", "transfer-encoding", "content-length"}
_COMMAND = re.compile(rb"[0-9a-f]{4}[0-9a-f]{40} (?P<new>[0-9a-f]{40}) refs/")
_ABSOLUTE = re.compile(r"http://[^/]+")


def _no_faults(_request: Request) -> Fault:
    return NONE


@dataclass
class _Tally:
    """How often something was asked for."""

    kinds: dict[Kind, int] = field(default_factory=dict)
    objects: dict[bytes, int] = field(default_factory=dict)

    def count(self, kind: Kind, new: bytes | None) -> Request:
        number = self.kinds[kind] = self.kinds.get(kind, 0) + 1
        if new is None:
            return Request(kind=kind, number=number)
        nth_try = self.objects[new] = self.objects.get(new, 0) + 1
        return Request(
            kind=kind, number=number, nth_object=list(self.objects).index(new) + 1, nth_try=nth_try
        )


class Proxy(ThreadingHTTPServer):
    """`faults` says what happens to each request; `login` and `proxy_login` are "name:password"."""

    daemon_threads = True

    def __init__(self, server: str, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.server = server
        self.folder = folder
        self.login: str | None = None
        self.proxy_login: str | None = None
        self.strips_protocol = False
        self.redirects: tuple[str, str] | None = None
        self.seen: list[Request] = []
        self.lock = threading.Lock()
        self.broken: set[socket.socket] = set()
        self.start_over()

    def start_over(self, faults: Callable[[Request], Fault] = _no_faults) -> None:
        """From now on these faults; what was counted is forgotten."""
        with self.lock:
            self.faults = faults
            self.tally = _Tally()
            self.seen = []

    @property
    def site(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.server_address[1]}"

    @property
    def url(self) -> str:
        """The address of the repository."""
        return f"http://{self.site}/remote.git"

    def times(self, kind: Kind) -> int:
        """How often it was asked for."""
        return sum(request.kind is kind for request in self.seen)

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        """A connection that breaks says no goodbye."""
        if request in self.broken:
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def handle_error(self, *_arguments: object) -> None:
        """Clients that are killed and servers that hang up are what this is for."""


@contextmanager
def proxying(folder: Path) -> Iterator[Proxy]:
    """Serve the bare repositories in a folder through a proxy."""
    with ExitStack() as stack:
        backend = stack.enter_context(serving(folder))
        proxy = stack.enter_context(Proxy(backend.site, folder))
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Proxy
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._pass_on(b"")

    def do_POST(self) -> None:
        self._pass_on(self._body())

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""

    def _pass_on(self, body: bytes) -> None:
        if not self._may_pass():
            return
        proxy = self.server
        path = _ABSOLUTE.sub("", self.path)
        if proxy.redirects and path.startswith(proxy.redirects[0]):
            self._refuse(301, {"Location": f"http://{proxy.site}{path.replace(*proxy.redirects, 1)}"})
            return
        kind = _kind(self.command, path)
        with proxy.lock:
            request = proxy.tally.count(kind, _pushed(body) if kind is Kind.PUSH else None)
            proxy.seen.append(request)
            fault = proxy.faults(request)
        if fault.gate is not None:
            fault.gate.wait(_UNTIL)
        time.sleep(fault.delay)
        answer = _forwarded(proxy, self, path, body, fault) if fault.forwarded else None
        kept = fault.kept(answer.content) if answer is not None else b""
        if fault.status is not None:
            self._refuse(fault.status)
        elif answer is None or not kept:
            self._hang_up(reset=fault.reset)
        else:
            self._answer(answer, kept, fault)

    def _may_pass(self) -> bool:
        for login, name, status, challenge in (
            (self.server.proxy_login, "Proxy-Authorization", 407, "Proxy-Authenticate"),
            (self.server.login, "Authorization", 401, "WWW-Authenticate"),
        ):
            if login is not None and self.headers.get(name) != basic(login):
                self._refuse(status, {challenge: 'Basic realm="git"'})
                return False
        return True

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _refuse(self, status: int, fields: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (fields or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _answer(self, answer: _Answer, kept: bytes, fault: Fault) -> None:
        self.send_response(answer.status)
        for name, value in answer.fields:
            self.send_header(name, value)
        if fault.delimited:
            self.send_header("Content-Length", str(len(answer.content)))
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(kept)
        if len(kept) < len(answer.content) or not fault.delimited:
            self._hang_up(reset=fault.reset)

    def _hang_up(self, *, reset: bool) -> None:
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.server.broken.add(self.connection)


@dataclass(frozen=True, kw_only=True)
class _Answer:
    status: int
    fields: list[tuple[str, str]]
    content: bytes


def basic(login: str) -> str:
    """The header's value for "name:password"."""
    return f"Basic {base64.b64encode(login.encode()).decode()}"


def _kind(method: str, path: str) -> Kind:
    for kind in Kind:
        verb, _, tail = kind.value.partition(" ")
        if method == verb and path.endswith(tail):
            return kind
    raise AssertionError(f"git never asks for {method} {path}")


def _pushed(body: bytes) -> bytes | None:
    """The id that the first command of a push brings."""
    found = _COMMAND.match(body)
    return found["new"] if found else None


def _forwarded(proxy: Proxy, handler: _Handler, path: str, body: bytes, fault: Fault) -> _Answer:
    """What the server answers to this share of the request."""
    connection = http.client.HTTPConnection(proxy.server, timeout=_UNTIL)
    try:
        connection.putrequest(handler.command, path, skip_host=True, skip_accept_encoding=True)
        for name, value in handler.headers.items():
            if name.lower() in _HOP_BY_HOP or (proxy.strips_protocol and name.lower() == "git-protocol"):
                continue
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        connection.send(body[: int(len(body) * fault.forwarded)])
        if fault.forwarded < 1:
            connection.sock.shutdown(socket.SHUT_WR)
        response = connection.getresponse()
        fields = [(name, value) for name, value in response.getheaders() if name.lower() not in _HOP_BY_HOP]
        return _Answer(status=response.status, fields=fields, content=response.read())
    finally:
        connection.close()
