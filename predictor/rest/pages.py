"""What the server says of itself and of how to ask it: ``/status``, ``/openapi.json``, and
``/docs`` with Swagger UI, whose files are read when somebody looks."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from predictor.serving.model import Model
    from predictor.settings import Settings
    from predictor.telemetry.startup import Start

    # A page's content and its type.
    Pages = Mapping[str, Callable[[], tuple[bytes, bytes]]]

JSON = b"application/json"
# A package that has Swagger UI's files, and where in it; it is never imported.
SWAGGER_PACKAGE, SWAGGER_FOLDER = "fastapi-offline", "fastapi_offline/static"
SWAGGER_FILES = {"swagger-ui.css": b"text/css", "swagger-ui-bundle.js": b"text/javascript"}
# The page that FastAPI has, for a document of our own.
SWAGGER = b"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Warmstart</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script>SwaggerUIBundle({url: "openapi.json", dom_id: "#swagger-ui"})</script>
</body>
</html>
"""


def pages(models: Mapping[str, Model], settings: Settings, start: Start) -> Pages:
    """Each page by its path, made when it is asked for."""

    def status() -> tuple[bytes, bytes]:
        from predictor.rest.status import status

        return orjson.dumps(status(models, settings, start)), JSON

    def openapi() -> tuple[bytes, bytes]:
        from predictor.rest.openapi.document import document

        return orjson.dumps(document(models, docs=settings.enable_docs_url)), JSON

    def docs() -> tuple[bytes, bytes]:
        return SWAGGER, b"text/html; charset=utf-8"

    always = {"/status": status, "/openapi.json": openapi}
    if not settings.enable_docs_url:
        return always
    files = {f"/docs/{name}": partial(_swagger_file, name) for name in SWAGGER_FILES}
    return {**always, "/docs": docs, **files}


def _swagger_file(name: str) -> tuple[bytes, bytes]:
    from importlib.metadata import distribution

    path = Path(str(distribution(SWAGGER_PACKAGE).locate_file(f"{SWAGGER_FOLDER}/{name}")))
    return path.read_bytes(), SWAGGER_FILES[name]
