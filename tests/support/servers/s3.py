"""A stub of S3 that can be hostile; the real server is in ``tests.support.servers.seaweed``."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote
from xml.sax.saxutils import escape

from tests.support.servers.seaweed import BUCKET
from tests.support.servers.web import Answer, Request, Web, web

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@contextmanager
def s3_stub(objects: Mapping[str, bytes]) -> Iterator[Web]:
    """Serve one bucket with objects by their keys; ``Web.files`` has them below ``/models/``.

    It lists any key, checks no credentials, and otherwise behaves as a :class:`Web` does.
    """
    with web({f"/{BUCKET}/{key}": content for key, content in objects.items()}) as server:

        def answer(request: Request) -> Answer | None:
            if request.path.strip("/") == BUCKET and "list-type=2" in request.query:
                return _listing(server, request)
            return None

        server.answer = answer
        yield server


def _listing(server: Web, request: Request) -> Answer:
    (prefix,) = parse_qs(request.query, keep_blank_values=True)["prefix"]
    start = f"/{BUCKET}/"
    keys = (path.removeprefix(start) for path in sorted(server.files) if path.startswith(start))
    contents = "".join(
        f"<Contents><Key>{escape(quote(key, safe='/'))}</Key>"
        f"<ETag>{escape(server.etag(server.files[start + key]))}</ETag>"
        f"<Size>{len(server.files[start + key])}</Size></Contents>"
        for key in keys
        if key.startswith(prefix)
    )
    document = f"<ListBucketResult><EncodingType>url</EncodingType>{contents}</ListBucketResult>"
    return Answer(200, {"Content-Type": "application/xml"}, document.encode())
