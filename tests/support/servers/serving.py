"""An HTTP server in a thread of the test process, and what it sends."""

from __future__ import annotations

import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from ssl import SSLContext


@dataclass(frozen=True)
class Call:
    """A request as it came: ``path`` is not decoded, names of headers are in Title-Case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """A response.

    ``cut``: bytes of the content after which the connection breaks off. ``stream``: content of
    unknown length, sent in the place of ``content`` as it comes.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    cut: int | None = None
    stream: Iterable[bytes] | None = None


def json_answer(document: Any, status: int = 200) -> Answer:
    """A JSON document."""
    return Answer(status, {"Content-Type": "application/json"}, json.dumps(document).encode())


def file_answer(content: bytes, headers: Mapping[str, str], wanted: str | None) -> Answer:
    """A file, or the part of it that a ``Range`` header wants."""
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted or "")
    if not asked:
        return Answer(200, headers, content)
    size = len(content)
    first, last = int(asked[1]), min(int(asked[2] or size), size - 1)
    if first >= size:
        return Answer(416, {"Content-Range": f"bytes */{size}"})
    part = {"Content-Range": f"bytes {first}-{last}/{size}"}
    return Answer(206, {**headers, **part}, content[first : last + 1])


class Service(Protocol):
    """Something that answers requests; requests may come from several threads at once."""

    def respond(self, call: Call) -> Answer:
        """Return the answer to a request."""


S = TypeVar("S", bound=Service)


@contextmanager
def serve(
    make: Callable[[str], S], tls: SSLContext | None = None, at: tuple[str, int] = ("127.0.0.1", 0)
) -> Iterator[S]:
    """Serve on a free port, over TLS if there is a context for it, until the block ends.

    Args:
        make: returns the service, given its URL.
        tls: the server's certificate.
        at: another address and port.
    """
    server = ThreadingHTTPServer(at, _Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    service = make(f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}")
    server.service = service  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        headers = {name.title(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("Content-Length") or 0))
        service: Service = self.server.service  # type: ignore[attr-defined]
        self._send(service.respond(Call(self.command, url.path, url.query, headers, body)))

    do_HEAD = do_POST = do_DELETE = do_GET  # noqa: N815 - http.server's names

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.stream is None:
            self.send_header("Content-Length", str(len(answer.content)))
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "HEAD":
            return
        try:
            for chunk in answer.stream or [answer.content[: answer.cut]]:
                self.wfile.write(chunk)
                self.wfile.flush()
        except ConnectionError:  # the client has read enough
            self.close_connection = True
        self.close_connection = self.close_connection or answer.cut is not None
