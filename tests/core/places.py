"""Real places to read tags from and to push them to, and looks at what git did there."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from ci_tasks.core.git.repository import Repository
from tests.repositories import git, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ci_tasks.core.git.origin import Origin, RemoteRef

TAG = "refs/tags/api/production"
TAGGER = "Test <test@example.invalid> 1700000000 +0000"


def origin_of(clone: Path, *, timeout: float = 60.0) -> Origin:
    """The remote `origin` of a clone."""
    return Repository.discover(clone).origin("origin", timeout=timeout)


def tag_content(commit: str, text: str = "one", *, name: str = "api/production") -> bytes:
    """An annotated tag as git stores it."""
    header = f"object {commit}\ntype commit\ntag {name}\ntagger {TAGGER}\n"
    return f"{header}\n{text}\n".encode()


def the_ref(origin: Origin, name: str) -> RemoteRef:
    """The one ref of this full name."""
    (found,) = origin.refs(name)
    return found


def hook(repository: Path, name: str, text: str) -> Path:
    """Install a shell hook into a bare repository or a `.git` folder."""
    return write(repository / "hooks" / name, f"#!/bin/sh\n{text}\n", executable=True)


def picture(folder: Path) -> dict[str, bytes]:
    """Every file of a clone, its `.git` included, with its bytes; our own folder in `.git` left out."""
    ours = folder / ".git" / "ci-tasks"
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ours not in path.parents
    }


def counting_git(folder: Path) -> tuple[str, Path]:
    """A PATH on which `git` writes down its arguments, one line a process, and the file it writes to."""
    log = folder / "git-log.txt"
    log.touch()
    script = f'#!/bin/sh\nprintf "%s\\n" "$*" >> {log}\nexec {shutil.which("git")} "$@"\n'
    write(folder / "counting" / "git", script, executable=True)
    return f"{folder / 'counting'}{os.pathsep}{os.environ['PATH']}", log


def fill_with_tags(remote: Path, names: list[str], target: str) -> None:
    """Make annotated tags in a bare repository, by one process for all of them."""
    stream = "".join(
        f"tag {name}\nfrom {target}\ntagger {TAGGER}\ndata 4\n{number:04}\n"
        for number, name in enumerate(names)
    )
    git("fast-import", "--quiet", cwd=remote, stdin=stream)


class GitServer(ThreadingHTTPServer):
    """Git over HTTP on the loopback; answers with `get_status` or `post_status` where they are set."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _GitRequest)
        self.folder = folder
        self.get_status: int | None = None
        self.post_status: int | None = None
        self.login: str | None = None
        self.seen: list[tuple[str, str, dict[str, str]]] = []

    @property
    def site(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


@contextmanager
def serving(folder: Path) -> Iterator[GitServer]:
    """Serve the bare repositories in a folder."""
    with GitServer(folder) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _GitRequest(BaseHTTPRequestHandler):
    server: GitServer

    def do_GET(self) -> None:
        self._answer(self.server.get_status)

    def do_POST(self) -> None:
        self._answer(self.server.post_status)

    def do_CONNECT(self) -> None:
        self._answer(self.server.get_status)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""

    def _answer(self, status: int | None) -> None:
        self.server.seen.append((self.command, self.path, dict(self.headers)))
        body = self._body()
        if self.server.login and self.headers.get("Authorization") != self.server.login:
            status = 401
        if status is not None:
            self.send_response(status)
            if status == 401:
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
            if status == 407:
                self.send_header("Proxy-Authenticate", 'Basic realm="proxy"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self._backend(body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _backend(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        environment = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(self.server.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REMOTE_USER": "test",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(
            ["git", "http-backend"], input=body, env=environment, capture_output=True, check=False
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
