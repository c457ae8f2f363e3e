"""Answers about the server itself: health, names of models, metrics, status and Swagger UI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY, exposition

from predictor.protocol.metadata import server_metadata
from predictor.rest.http.response import Reply, json_reply

if TYPE_CHECKING:
    from predictor.rest.http.request import Client
    from predictor.serving.server_state import ServerState

# A package with Swagger UI's files, and their folder; it is never imported.
SWAGGER_PACKAGE, SWAGGER_FOLDER = "fastapi-offline", "fastapi_offline/static"
# FastAPI's page, for our own document.
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


async def live_v1(state: ServerState, _: Client) -> Reply:
    if state.models.live:
        return json_reply({"status": "alive"})
    return json_reply({"status": "stuck"}, 503)


async def live(state: ServerState, _: Client) -> Reply:
    live = state.models.live
    return json_reply({"live": live}, 200 if live else 503)


async def ready(state: ServerState, _: Client) -> Reply:
    ready = state.models.ready
    return json_reply({"ready": ready}, 200 if ready else 503)


async def metadata(_: ServerState, __: Client) -> Reply:
    return json_reply(server_metadata())


async def names(state: ServerState, _: Client) -> Reply:
    return json_reply({"models": list(state.models)})


async def metrics(_: ServerState, client: Client) -> Reply:
    accepted = client.headers.get(b"accept", b"").decode("latin-1")
    encode, content_type = exposition.choose_encoder(accepted)
    return Reply(encode(REGISTRY), headers=[(b"content-type", content_type.encode())])


async def status(state: ServerState, _: Client) -> Reply:
    from predictor.rest.status import status

    return json_reply(status(state.models, state.settings, state.start))


async def docs(_: ServerState, __: Client) -> Reply:
    return Reply(SWAGGER, headers=[(b"content-type", b"text/html; charset=utf-8")])


async def swagger_file(_: ServerState, __: Client, file: str) -> Reply:
    from importlib.metadata import distribution

    path = Path(str(distribution(SWAGGER_PACKAGE).locate_file(f"{SWAGGER_FOLDER}/{file}")))
    kind = b"text/css" if path.suffix == ".css" else b"text/javascript"
    return Reply(path.read_bytes(), headers=[(b"content-type", kind)])
