"""The table of routes: which handler answers a path."""

from __future__ import annotations

import pytest

from predictor.rest.router import Router
from predictor.rest.routes import routes
from predictor.settings import APIS, Settings

ROUTER = Router(routes(Settings(enable_docs_url=True)))


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
        ("/models/m/info", "info", {"name": "m"}),
        ("/v2/models/m/versions/1/config", "config", {"name": "m", "version": "1"}),
        ("/v2/models/stats", "all_statistics", {}),
        ("/docs/swagger-ui.css", "swagger_file", {"file": "swagger-ui.css"}),
    ],
)
def test_a_path_has_a_handler(path: str, handler: str, fields: dict[str, str]) -> None:
    match = ROUTER.find(path, "GET")
    assert match is not None
    assert (match.route.handler.__name__, match.fields) == (handler, fields)


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/v2/models/",
        "/v2/models/m/versions",
        "/v2/repository/models/m/config",
        "/v1/models/m:classify",
        "/v1/models/a:b:predict",
        "/docs/other.css",
    ],
)
def test_other_paths_have_none(path: str) -> None:
    assert ROUTER.find(path, "GET") is None


def test_a_path_may_answer_two_methods() -> None:
    for method, handler in (("GET", "live_v1"), ("HEAD", "live_v1"), ("POST", "by_task")):
        match = ROUTER.find("/", method)
        assert match is not None
        assert match.route.handler.__name__ == handler
    assert ROUTER.allowed("/") == "GET, HEAD, POST"
    assert ROUTER.allowed("/v1/embed") == "POST"


@pytest.mark.parametrize(
    ("api", "path"),
    [
        ("cohere", "/v2/embed"),
        ("openai", "/v1/embeddings"),
        ("repository", "/v2/repository/index"),
        ("rerank", "/v1/rerank"),
        ("tei", "/embed"),
        ("triton", "/v2/models/stats"),
        ("v1", "/v1/models/m:predict"),
    ],
)
def test_an_interface_can_be_left_out(api: str, path: str) -> None:
    others = Router(routes(Settings(apis=APIS - {api})))
    match = others.find(path, "POST")
    # Without Triton's extensions the path is that of a model named stats.
    assert match is None or match.route.handler.__name__ == "model_metadata"
    assert others.find("/v2/models/m/infer", "POST") is not None
    assert Router(routes(Settings(apis=frozenset({api})))).find(path, "POST") is not None
