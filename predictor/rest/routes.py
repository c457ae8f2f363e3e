"""The table of routes: every path of the REST interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

from predictor.engine.tasks.text_embedding import TextEmbeddingTask
from predictor.engine.tasks.text_ranking import TextRankingTask
from predictor.rest import repository, server_info
from predictor.rest.http.response import json_reply
from predictor.rest.inference import openai, rerank, v2
from predictor.rest.router import Route
from predictor.telemetry.requests import REST_OPENAI, REST_RERANK, REST_V1, REST_V2

if TYPE_CHECKING:
    from predictor.rest.http.request import Client
    from predictor.rest.http.response import Reply
    from predictor.serving.server_state import ServerState


async def openapi(state: ServerState, _: Client) -> Reply:
    """The OpenAPI document, for the models of this moment."""
    from predictor.rest.openapi.document import document

    return json_reply(document(state.models, routes(docs=state.settings.enable_docs_url)))


def routes(*, docs: bool) -> list[Route]:
    """The routes of a server; ``docs``: whether it has Swagger UI."""
    return [*_SERVER, *(_DOCS if docs else []), *_REPOSITORY, *_CLIENTS, *_MODELS]


_SERVER = [
    Route("GET", "/", server_info.live_v1),
    Route("GET", "/v1/models", server_info.names),
    Route("GET", "/v2", server_info.metadata),
    Route("GET", "/v2/", server_info.metadata),
    Route("GET", "/v2/models", server_info.names),
    Route("GET", "/v2/health/live", server_info.live),
    Route("GET", "/v2/health/ready", server_info.ready),
    Route("GET", "/status", server_info.status),
    Route("GET", "/metrics", server_info.metrics),
    Route("GET", "/openapi.json", openapi),
]
_DOCS = [
    Route("GET", "/docs", server_info.docs),
    Route("GET", "/docs/{file:swagger-ui.css|swagger-ui-bundle.js}", server_info.swagger_file),
]
_REPOSITORY = [
    Route("POST", "/v2/repository/index", repository.index),
    Route("POST", "/v2/repository/models/{name}/load", repository.load),
    Route("POST", "/v2/repository/models/{name}/unload", repository.unload),
]
_CLIENTS = [
    Route("GET", "/openai/v1/models", openai.list_models),
    # Clients may ask for names with slashes.
    Route("GET", "/openai/v1/models/{name:(?s:.*)}", openai.describe_model),
    Route("POST", "/openai/v1/embeddings", openai.embeddings, REST_OPENAI, TextEmbeddingTask),
    *(
        Route("POST", path, rerank.rerank, REST_RERANK, TextRankingTask)
        for path in ("/openai/v1/rerank", "/v1/rerank", "/v2/rerank", "/rerank")
    ),
]
_MODELS = [
    Route("GET", "/v2/models/{name}/ready", v2.model_ready),
    Route("GET", "/v1/models/{name:[^/:]+}", v2.model_ready_v1),
    Route("GET", "/v2/models/{name}", v2.model_metadata),
    Route("POST", "/v2/models/{name}/infer", v2.infer, REST_V2),
    Route("GET", "/v2/models/{name}/versions/{version}", v2.model_metadata),
    Route("GET", "/v2/models/{name}/versions/{version}/ready", v2.model_ready),
    Route("POST", "/v2/models/{name}/versions/{version}/infer", v2.infer, REST_V2),
    Route("POST", "/v1/models/{name:[^/:]+}:predict", v2.predict, REST_V1),
    Route("POST", "/v1/models/{name:[^/:]+}:explain", v2.explain),
]
