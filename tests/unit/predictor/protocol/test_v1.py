"""The V1 protocol: bodies to texts, and outputs to predictions."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from predictor.engine.tasks.base import objects
from predictor.errors import InvalidRequestError
from predictor.protocol import v1
from predictor.protocol.messages import TextInputs
from predictor.protocol.parameters import Parameters
from predictor.protocol.types import Texts

PAIRS = TextInputs(second="text_pair")


def decode(body: Any, names: TextInputs = PAIRS) -> Texts:
    return v1.decode(body, v1.parameters_of(body), names)


def test_instances_are_texts_or_objects_beside_optional_parameters() -> None:
    assert decode({"instances": ["a", {"text": "b"}]}) == Texts(["a", "b"])
    pairs = [{"text": "a", "text_pair": "b"}, {"text": "c", "text_pair": ""}]
    assert decode({"instances": pairs}) == Texts(["a", "c"], ["b", ""])
    body = {"instances": ["a"], "parameters": {"truncation": False, "top_k": 2}}
    assert v1.parameters_of(body) == Parameters(top_k=2, truncation=False)
    assert decode(body).truncate is False


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({}, "at least one instance"),
        ({"instances": []}, "at least one instance"),
        ({"instances": "a"}, "at least one instance"),
        (["a"], "at least one instance"),
        ({"instances": ["a", 7]}, "instance 1 must be a string or"),
        ({"instances": [{"txt": "a"}]}, "instance 0 must be a string or"),
        ({"instances": [{"text": "a", "text_pair": 7}]}, "instance 0 must be a string or"),
        ({"instances": [{"text": "a", "text_pair": "b"}, "c"]}, "instance 1 has no text_pair"),
        ({"instances": ["a"], "parameters": [1]}, '"parameters" must be an object'),
        ({"instances": ["a"], "parameters": {"top_k": 0}}, "top_k must be a whole number"),
    ],
)
def test_a_wrong_body_is_refused_with_what_was_expected(body: Any, complaint: str) -> None:
    with pytest.raises(InvalidRequestError, match=complaint):
        decode(body)


def test_a_model_of_single_texts_refuses_pairs() -> None:
    with pytest.raises(InvalidRequestError, match="single texts, no text_pair"):
        decode({"instances": [{"text": "a", "text_pair": "b"}]}, TextInputs())


def test_instances_use_the_names_of_the_tasks_inputs() -> None:
    names = TextInputs("question", "context", both=True)
    body = {"instances": [{"question": "a", "context": "b"}]}
    assert decode(body, names) == Texts(["a"], ["b"])
    for instance in ("a", {"text": "a", "context": "b"}):
        with pytest.raises(
            InvalidRequestError, match=r'must be \{"question": "…", "context": "…"\}'
        ):
            decode({"instances": [instance]}, names)
    with pytest.raises(InvalidRequestError, match=r"^instance 1 has no context$"):
        decode({"instances": [body["instances"][0], {"question": "a"}]}, names)


def test_predictions_are_one_json_object_per_row() -> None:
    outputs = {
        "label": np.array([[b"no", "ça".encode()], [b"no", b"no"]], dtype=np.object_),
        "score": np.array([0.25, 0.5], dtype=np.float32),
    }
    assert json.loads(json.dumps(objects(outputs))) == [
        {"label": ["no", "ça"], "score": 0.25},
        {"label": ["no", "no"], "score": 0.5},
    ]
