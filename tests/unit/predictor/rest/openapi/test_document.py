"""The OpenAPI document describes the models of the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import ValidationError

from predictor.engine.tasks.text_classification import TextClassificationTask
from predictor.rest.inference.hugging_face import FeaturesRequest
from predictor.rest.openapi import document as openapi
from predictor.rest.openapi.clients import KINDS
from predictor.rest.routes import routes
from predictor.serving.model import Model
from predictor.settings import Settings
from tests.support.clients.openapi import body_validator
from tests.support.clients.v2 import text_request

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = Settings(enable_docs_url=True)
IDS = [
    {"name": name, "datatype": "INT64", "shape": [1, 2], "data": [1, 1]}
    for name in ("input_ids", "attention_mask")
]


def document(**models: Model) -> dict[str, Any]:
    return openapi.document(models, routes(SETTINGS))


def test_v2_requests_are_described_with_the_models_own_inputs(served: Model) -> None:
    body = body_validator(document(m=served), "/v2/models/m/infer")
    body.validate(text_request(["good"], top_k=2))
    body.validate({"inputs": IDS, "outputs": [{"name": "logits"}]})
    for wrong in ({"name": "other"}, {"datatype": "FP32"}, {"data": ["no number"]}):
        with pytest.raises(ValidationError):
            body.validate({"inputs": [IDS[0] | wrong, IDS[1]]})
    for few in ([], IDS[:1]):
        with pytest.raises(ValidationError):
            body.validate({"inputs": few})
    with pytest.raises(ValidationError):
        body.validate(text_request(["good"], top_k=0))


def test_v1_requests_are_described_with_the_models_own_inputs(served: Model) -> None:
    body = body_validator(document(m=served), "/v1/models/m:predict")
    body.validate({"instances": ["good", {"text": "good", "text_pair": "bad"}]})
    with pytest.raises(ValidationError):
        body.validate({"instances": [{"text_pair": "bad"}]})


def test_a_model_that_is_not_loaded_has_only_readiness_and_load(tmp_path: Path) -> None:
    described = document(m=Model(Settings("m", tmp_path)))
    assert {path for path in described["paths"] if "models/m" in path} == {
        "/v2/models/m/ready",
        "/v1/models/m",
        "/v2/repository/models/m/load",
        "/v2/repository/models/m/unload",
    }


def test_routes_of_a_task_are_described_only_with_a_model_of_the_task(served: Model) -> None:
    paths = document(m=served)["paths"]
    assert "/openai/v1/models/m" in paths
    assert not {"/openai/v1/embeddings", "/rerank"} & set(paths)


def test_every_route_is_described(served: Model) -> None:
    paths = document(m=served)["paths"]
    version = served.loaded.version
    missing = {
        route.request or route.handler.__name__
        for route in routes(SETTINGS)
        if route.path(name="m", version=version, file="") not in paths
    }
    # Files of Swagger UI, and requests for tasks that the model does not have.
    assert missing == {
        "swagger_file",
        *(kind for kind in KINDS if not issubclass(TextClassificationTask, kind.task)),
    } - {FeaturesRequest}
