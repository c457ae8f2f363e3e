"""The table of routes: every path of the REST interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

from predictor.engine.tasks.base import Task
from predictor.rest import repository, server_info, triton
from predictor.rest.http.response import json_reply
from predictor.rest.inference import errors, hugging_face, openai, tei, tokens, v2
from predictor.rest.inference.cohere import CohereEmbedRequest, CohereEmbedV2Request
from predictor.rest.inference.openai import EmbeddingsRequest
from predictor.rest.inference.rerank import InfinityRerankRequest, RerankRequest
from predictor.rest.inference.task_requests import asking
from predictor.rest.router import Route
from predictor.telemetry.requests import REST_TEI, REST_V1, REST_V2

if TYPE_CHECKING:
    from predictor.rest.http.request import Client
    from predictor.rest.http.response import Reply
    from predictor.rest.inference.task_requests import TaskRequest
    from predictor.rest.router import ErrorForm, Handler
    from predictor.serving.server_state import ServerState
    from predictor.settings import Settings


async def openapi(state: ServerState, _: Client) -> Reply:
    """The OpenAPI document, for the models of this moment."""
    from predictor.rest.openapi.document import document

    return json_reply(document(state.models, routes(state.settings)))


def routes(settings: Settings) -> list[Route]:
    """The routes of a server."""
    chosen = [route for name, group in _APIS.items() if name in settings.apis for route in group]
    return [*_SERVER, *(_DOCS if settings.enable_docs_url else []), *chosen, *_MODELS]


def _task(template: str, kind: type[TaskRequest], error_form: ErrorForm | None) -> Route:
    """A route whose body's type says all about it."""
    handler = asking(kind)
    return Route("POST", template, handler, kind.protocol, kind.task, error_form, kind)


def _tei(prefix: str) -> list[Route]:
    """text-embeddings-inference's routes, for the only model or for the one in the path."""
    form = errors.tei

    def post(path: str, handler: Handler) -> Route:
        return Route("POST", prefix + path, handler, REST_TEI, Task, form)

    return [
        Route("GET", f"{prefix}/health", tei.health, error_form=form),
        Route("GET", f"{prefix}/info", tei.info, error_form=form),
        post("" if prefix else "/", hugging_face.by_task),
        post("/tokenize", tokens.tokenize),
        post("/decode", tokens.decode),
        post("/embed_all", tei.embed_all),
        post("/embed_sparse", tei.embed_sparse),
        _task(f"{prefix}/embed", tei.EmbedRequest, form),
        _task(f"{prefix}/similarity", tei.SimilarityRequest, form),
        _task(f"{prefix}/predict", tei.PredictRequest, form),
    ]


_SERVER = [
    Route("GET", "/", server_info.live_v1),
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
_MODELS = [
    Route("GET", "/v2/models/{name}/ready", v2.model_ready),
    Route("GET", "/v2/models/{name}", v2.model_metadata),
    Route("POST", "/v2/models/{name}/infer", v2.infer, REST_V2),
    Route("GET", "/v2/models/{name}/versions/{version}", v2.model_metadata),
    Route("GET", "/v2/models/{name}/versions/{version}/ready", v2.model_ready),
    Route("POST", "/v2/models/{name}/versions/{version}/infer", v2.infer, REST_V2),
]
_APIS = {
    "v1": [
        Route("GET", "/v1/models", openai.list_models),
        Route("GET", "/v1/models/{name:[^/:]+}", v2.model_ready_v1),
        Route("POST", "/v1/models/{name:[^/:]+}:predict", v2.predict, REST_V1),
        Route("POST", "/v1/models/{name:[^/:]+}:explain", v2.explain),
    ],
    "repository": [
        Route("POST", "/v2/repository/index", repository.index),
        Route("POST", "/v2/repository/models/{name}/load", repository.load),
        Route("POST", "/v2/repository/models/{name}/unload", repository.unload),
    ],
    "triton": [
        Route("GET", "/v2/models/stats", triton.all_statistics),
        *(
            Route("GET", f"/v2/models/{{name}}{version}/{what}", handler)
            for version in ("", "/versions/{version}")
            for what, handler in (("config", triton.config), ("stats", triton.statistics))
        ),
    ],
    "openai": [
        Route("GET", "/openai/v1/models", openai.list_models),
        Route("GET", "/v1/models", openai.list_models),
        # Clients may ask for names with slashes.
        Route(
            "GET",
            "/openai/v1/models/{name:(?s:.*)}",
            openai.describe_model,
            error_form=errors.openai,
        ),
        *(
            _task(f"{prefix}/embeddings", EmbeddingsRequest, errors.openai)
            for prefix in ("/openai/v1", "/v1", "/infinity", "")
        ),
    ],
    "rerank": [
        _task("/openai/v1/rerank", RerankRequest, errors.openai),
        _task("/v1/rerank", RerankRequest, None),
        _task("/v2/rerank", RerankRequest, None),
        _task("/infinity/rerank", InfinityRerankRequest, None),
        _task("/rerank", RerankRequest, errors.tei),
    ],
    "cohere": [
        _task("/v1/embed", CohereEmbedRequest, errors.cohere),
        _task("/v2/embed", CohereEmbedV2Request, errors.cohere),
    ],
    "tei": [*_tei(""), *_tei("/models/{name}")],
}
