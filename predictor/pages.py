"""What the server says of itself and of how to ask it: ``/status``, ``/openapi.json``,
``/docs``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from predictor.served import ServedModel
    from predictor.settings import Settings
    from predictor.start import Start

    # A page's content and its type.
    Pages = Mapping[str, Callable[[], tuple[bytes, bytes]]]

JSON = b"application/json"
# The page that FastAPI has, for a document of our own; the browser loads Swagger UI itself.
SWAGGER = b"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Warmstart</title>
<link rel="stylesheet" href="https://cdn.jsdelivr.net/npm/swagger-ui-dist@5/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="https://cdn.jsdelivr.net/npm/swagger-ui-dist@5/swagger-ui-bundle.js"></script>
<script>SwaggerUIBundle({url: "openapi.json", dom_id: "#swagger-ui"})</script>
</body>
</html>
"""


def pages(models: Mapping[str, ServedModel], settings: Settings, start: Start) -> Pages:
    """Each page by its path, made when it is asked for."""

    def status() -> tuple[bytes, bytes]:
        from predictor.status import status

        return orjson.dumps(status(models, settings, start)), JSON

    def openapi() -> tuple[bytes, bytes]:
        from predictor.openapi import document

        return orjson.dumps(document(models, docs=settings.enable_docs_url)), JSON

    def docs() -> tuple[bytes, bytes]:
        return SWAGGER, b"text/html; charset=utf-8"

    always = {"/status": status, "/openapi.json": openapi}
    return {**always, "/docs": docs} if settings.enable_docs_url else always
