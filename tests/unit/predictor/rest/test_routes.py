"""The table of routes: which handler answers a path."""

from __future__ import annotations

import pytest

from predictor.rest.router import Router
from predictor.rest.routes import routes

ROUTER = Router(routes(docs=True))


@pytest.mark.parametrize(
    ("path", "handler", "fields"),
    [
        ("/v2/", "metadata", {}),
        ("/v2/models/a:b", "model_metadata", {"name": "a:b"}),
        ("/v2/models/m/infer", "infer", {"name": "m"}),
        ("/v2/models/m/versions/1", "model_metadata", {"name": "m", "version": "1"}),
        ("/v2/models/m/versions/1/infer", "infer", {"name": "m", "version": "1"}),
        ("/v2/models/m/versions/1/ready", "model_ready", {"name": "m", "version": "1"}),
        ("/v1/models/m", "model_ready_v1", {"name": "m"}),
        ("/v1/models/m:predict", "predict", {"name": "m"}),
        ("/v2/repository/models/m/load", "load", {"name": "m"}),
        ("/openai/v1/models/a/b", "describe_model", {"name": "a/b"}),
        ("/rerank", "rerank", {}),
        ("/docs/swagger-ui.css", "swagger_file", {"file": "swagger-ui.css"}),
    ],
)
def test_a_path_has_a_handler(path: str, handler: str, fields: dict[str, str]) -> None:
    match = ROUTER.find(path)
    assert match is not None
    assert (match.route.handler.__name__, match.fields) == (handler, fields)


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/v2/models/",
        "/v2/models/m/versions",
        "/v2/models/m/stats",
        "/v2/repository/models/m/config",
        "/v1/models/m:classify",
        "/v1/models/a:b:predict",
        "/docs/other.css",
    ],
)
def test_other_paths_have_none(path: str) -> None:
    assert ROUTER.find(path) is None
