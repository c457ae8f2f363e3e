"""The interface as a document that others read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft7Validator, ValidationError

from predictor.openapi import document
from predictor.pages import pages
from predictor.served import ServedModel
from predictor.settings import Settings
from predictor.start import Start
from tests.v2 import text_request

if TYPE_CHECKING:
    from pathlib import Path


def body_of(described: dict[str, Any], path: str) -> Draft7Validator:
    content = described["paths"][path]["post"]["requestBody"]["content"]
    return Draft7Validator({**described, **content["application/json"]["schema"]})


def test_a_models_own_inputs_are_described(served: ServedModel) -> None:
    body = body_of(document({"m": served}), "/v2/models/m/infer")
    body.validate(text_request(["good"], top_k=2))
    ids = {"name": "input_ids", "datatype": "INT64", "shape": [1, 2], "data": [1, 2]}
    body.validate({"inputs": [ids], "outputs": [{"name": "logits"}]})
    for wrong in ({"name": "other"}, {"datatype": "FP32"}, {"data": ["no number"]}):
        with pytest.raises(ValidationError):
            body.validate({"inputs": [ids | wrong]})
    with pytest.raises(ValidationError):
        body.validate({"inputs": []})


def test_v1_is_described_too(served: ServedModel) -> None:
    body = body_of(document({"m": served}), "/v1/models/m:predict")
    body.validate({"instances": ["good", {"text": "good", "text_pair": "bad"}]})
    with pytest.raises(ValidationError):
        body.validate({"instances": [{"text_pair": "bad"}]})


@pytest.mark.parametrize("path", ["/v2/models/m/infer", "/v1/models/m:predict"])
def test_the_examples_are_of_the_described_form(served: ServedModel, path: str) -> None:
    described = document({"m": served})
    schema = described["paths"][path]["post"]["requestBody"]["content"]["application/json"][
        "schema"
    ]
    body_of(described, path).validate(schema["example"])


def test_the_version_has_a_path_of_its_own(served: ServedModel) -> None:
    assert (
        f"/v2/models/m/versions/{served.loaded.version}/infer" in document({"m": served})["paths"]
    )


def test_a_model_that_is_not_ready_tells_its_readiness_alone(tmp_path: Path) -> None:
    described = document({"m": ServedModel(Settings("m", tmp_path))})
    assert [path for path in described["paths"] if "models/" in path] == ["/v2/models/m/ready"]


def test_swagger_ui_is_a_page_only_where_it_is_wanted(served: ServedModel) -> None:
    models = {"m": served}
    assert set(pages(models, Settings(), Start())) == {"/status", "/openapi.json"}
    body, content_type = pages(models, Settings(enable_docs_url=True), Start())["/docs"]()
    assert content_type.startswith(b"text/html")
    assert b"openapi.json" in body
