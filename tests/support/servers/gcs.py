"""Google Cloud Storage for tests: the routes that google-cloud-storage lists and reads with."""

from __future__ import annotations

import base64
import hashlib
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote

from tests.support.servers.web import Answer, Request, Web, web

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BUCKET = "models"
LIST = f"/storage/v1/b/{BUCKET}/o"
READ = f"/download/storage/v1/b/{BUCKET}/o/"


def environment(url: str) -> dict[str, str]:
    return {"STORAGE_EMULATOR_HOST": url, "NO_PROXY": "127.0.0.1"}


def generation(content: bytes) -> str:
    """The generation of an object, which differs with its content."""
    return str(int(hashlib.sha256(content).hexdigest()[:12], 16))


@contextmanager
def gcs_stub(objects: Mapping[str, bytes]) -> Iterator[Web]:
    """One bucket with these objects, by their names; ``Web.files`` has them below ``READ``."""
    with web({READ + name: content for name, content in objects.items()}) as server:

        def answer(request: Request) -> Answer | None:
            asked = parse_qs(request.query)
            if request.path == LIST:
                return _listing(server, unquote(asked.get("prefix", [""])[0]))
            content = server.files.get(request.path)
            if content is not None and asked.get("generation") != [generation(content)]:
                return Answer(404)
            return None

        server.answer = answer
        yield server


def _listing(server: Web, prefix: str) -> Answer:
    items = [
        {
            "name": path.removeprefix(READ),
            "size": str(len(content)),
            "generation": generation(content),
            "md5Hash": base64.b64encode(
                hashlib.md5(content, usedforsecurity=False).digest()
            ).decode(),
        }
        for path, content in sorted(server.files.items())
        if path.startswith(READ + prefix)
    ]
    content = json.dumps({"kind": "storage#objects", "items": items}).encode()
    return Answer(200, {"Content-Type": "application/json"}, content)
