"""A web server for tests: ranges, ETags, and every way in which a download goes wrong."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from tests.support.servers.serving import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from ssl import SSLContext


@dataclass(frozen=True)
class Request:
    """What a client asked for.

    ``path`` is decoded, ``query`` is as it was sent, names in ``headers`` are in Title-Case.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """What it gets instead of a file."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@dataclass
class Web:
    """A running server of ``files``, by their paths.

    ``requests`` grows with every request and ``sent`` counts the bytes of each file. An
    ``answer`` that is not None is given instead of a file. ``cut_short`` holds how many bytes of a
    file each of the next answers sends before it breaks off. ``etag`` makes a file's ETag, none if
    that is empty.
    """

    url: str
    files: dict[str, bytes]
    requests: list[Request] = field(default_factory=list)
    sent: Counter[str] = field(default_factory=Counter)
    answer: Callable[[Request], Answer | None] = lambda _: None
    cut_short: dict[str, list[int]] = field(default_factory=dict)
    etag: Callable[[bytes], str] = lambda content: f'"{md5(content)}"'
    ranges: bool = True
    headers: dict[str, str] = field(default_factory=dict)

    def gets(self, path: str) -> list[Request]:
        return [request for request in self.requests if request.path == path]


@contextmanager
def web(files: Mapping[str, bytes], tls: SSLContext | None = None) -> Iterator[Web]:
    """Serve some files on this machine, over TLS if there is a context for it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "https" if tls else "http"
    running = Web(f"{scheme}://127.0.0.1:{server.server_port}", dict(files))
    server.web = running  # type: ignore[attr-defined]
    with serving(server):
        yield running


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Nothing: ``Web.requests`` is the log."""

    @property
    def web(self) -> Web:
        running: Web = self.server.web  # type: ignore[attr-defined]
        return running

    def _answer(self) -> None:
        url = urlsplit(self.path)
        path = unquote(url.path)
        headers = {name.title(): value for name, value in self.headers.items()}
        request = Request(self.command, path, url.query, headers)
        self.web.requests.append(request)
        if answer := self.web.answer(request):
            self._send(answer)
        elif path in self.web.files:
            self._send_file(request, self.web.files[path])
        else:
            self._send(Answer(404))

    def _send_file(self, request: Request, content: bytes) -> None:
        etag = self.web.etag(content)
        headers = {**self.web.headers, **({"ETag": etag} if etag else {})}
        if request.headers.get("If-Match", etag) != etag:
            self._send(Answer(412))
            return
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
        if request.headers.get("If-Range", etag) != etag or not self.web.ranges:
            wanted = None
        status, part = 200, content
        if wanted:
            first, last = int(wanted[1]), min(int(wanted[2] or len(content)), len(content) - 1)
            if first >= len(content):
                self._send(Answer(416, {"Content-Range": f"bytes */{len(content)}"}))
                return
            status, part = 206, content[first : last + 1]
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        cuts = self.web.cut_short.get(request.path)
        # What asks for one byte only wants to know what there is.
        cut = cuts.pop(0) if cuts and len(part) > 1 else None
        self._send(Answer(status, headers, part), request.path, cut)

    def _send(self, answer: Answer, path: str = "", cut: int | None = None) -> None:
        # Before a byte is out: whoever has the answer may look.
        self.web.sent[path] += len(answer.content[:cut]) if self.command != "HEAD" else 0
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        if self.command != "HEAD":
            try:
                self.wfile.write(answer.content[:cut])
            except ConnectionError:  # the client has seen enough
                cut = 0
            self.close_connection = self.close_connection or cut is not None
