"""The interface as a document that others read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from jsonschema import ValidationError

from predictor.rest.openapi.document import document
from predictor.rest.pages import pages
from predictor.serving.model import Model
from predictor.settings import Settings
from predictor.telemetry.startup import Start
from tests.support.clients.openapi import body_validator, examples
from tests.support.clients.v2 import text_request

if TYPE_CHECKING:
    from pathlib import Path

IDS = [
    {"name": name, "datatype": "INT64", "shape": [1, 2], "data": [1, 1]}
    for name in ("input_ids", "attention_mask")
]


def test_a_models_own_inputs_are_described(served: Model) -> None:
    body = body_validator(document({"m": served}), "/v2/models/m/infer")
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


def test_v1_is_described_too(served: Model) -> None:
    body = body_validator(document({"m": served}), "/v1/models/m:predict")
    body.validate({"instances": ["good", {"text": "good", "text_pair": "bad"}]})
    with pytest.raises(ValidationError):
        body.validate({"instances": [{"text_pair": "bad"}]})


def test_the_examples_are_of_the_described_form(served: Model) -> None:
    described = document({"m": served})
    shown = [example for example in examples(described) if example.body is not None]
    assert {example.path for example in shown} >= {"/v2/models/m/infer", "/v1/models/m:predict"}
    for example in shown:
        body_validator(described, example.path).validate(example.body)


def test_the_version_has_paths_of_its_own(served: Model) -> None:
    root = f"/v2/models/m/versions/{served.loaded.version}"
    assert {root, f"{root}/ready", f"{root}/infer"} <= set(document({"m": served})["paths"])


def test_a_model_that_is_not_ready_tells_that_alone_and_can_be_loaded(tmp_path: Path) -> None:
    described = document({"m": Model(Settings("m", tmp_path))})
    assert {path for path in described["paths"] if "models/m" in path} == {
        "/v2/models/m/ready",
        "/v1/models/m",
        "/v2/repository/models/m/load",
        "/v2/repository/models/m/unload",
    }


def test_routes_of_a_task_are_described_where_a_model_has_it(served: Model) -> None:
    paths = document({"m": served})["paths"]
    assert "/openai/v1/models/m" in paths
    assert not {"/openai/v1/embeddings", "/rerank"} & set(paths)


def test_swagger_ui_is_a_page_only_where_it_is_wanted(served: Model) -> None:
    models = {"m": served}
    assert set(pages(models, Settings(), Start())) == {"/status", "/openapi.json"}
    shown = pages(models, Settings(enable_docs_url=True), Start())
    body, content_type = shown["/docs"]()
    assert content_type.startswith(b"text/html")
    assert b"openapi.json" in body
    loaded = re.findall(r'(?:src|href)="(?!data:)([^"]+)"', body.decode())
    assert len(loaded) == 2, "a style sheet and a script"
    for path in loaded:
        content, _ = shown[f"/{path}"]()
        assert len(content) > 100_000
    assert "/docs" in document(models, docs=True)["paths"]
    assert "/docs" not in document(models)["paths"]
