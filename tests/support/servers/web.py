"""A web server for tests: ranges, ETags, and every way in which a download goes wrong."""

from __future__ import annotations

import hashlib
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

from tests.support.servers.serving import Answer, Call, file_answer, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from ssl import SSLContext

__all__ = ["Answer", "Request", "Web", "md5", "web"]


@dataclass(frozen=True)
class Request:
    """A request that came; ``path`` is decoded, names in ``headers`` are in Title-Case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@dataclass
class Web:
    """A running server of ``files``, by their paths.

    Attributes:
        requests: every request so far.
        sent: bytes of each file that were sent.
        answer: may give an answer to a request instead of a file, None if it does not.
        cut_short: for a file, the bytes after which each of its next answers breaks off.
        etag: makes a file's ETag; an empty one is not sent.
        ranges: whether parts of files can be asked for.
        headers: further headers of every file.
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
        """The requests for a path."""
        return [request for request in self.requests if request.path == path]

    def respond(self, call: Call) -> Answer:
        """Answer as ``answer`` says, else with a file."""
        request = Request(call.method, unquote(call.path), call.query, call.headers)
        self.requests.append(request)
        if answer := self.answer(request):
            return answer
        if request.path not in self.files:
            return Answer(404)
        content = self.files[request.path]
        etag = self.etag(content)
        if request.headers.get("If-Match", etag) != etag:
            return Answer(412)
        wanted = request.headers.get("Range")
        if request.headers.get("If-Range", etag) != etag or not self.ranges:
            wanted = None
        headers = {**self.headers, **({"ETag": etag} if etag else {})}
        answer = file_answer(content, headers, wanted)
        cuts = self.cut_short.get(request.path)
        # A request for one byte only asks whether there is a file.
        if cuts and len(answer.content) > 1:
            answer = replace(answer, cut=cuts.pop(0))
        if request.method != "HEAD":
            # Before a byte is out: the client may look at once.
            self.sent[request.path] += len(answer.content[: answer.cut])
        return answer


@contextmanager
def web(files: Mapping[str, bytes], tls: SSLContext | None = None) -> Iterator[Web]:
    """Serve files on this machine, over TLS if there is a context for it."""
    with serve(lambda url: Web(url, dict(files)), tls) as running:
        yield running
