"""The served model as KServe knows models: readiness, encodings and errors."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from kserve import InferInput, InferRequest, InferResponse
from kserve.errors import InvalidInput, ModelNotReady

from predictor.kserve_model.model import PreparedModel
from predictor.settings import Settings
from storage_init.base.errors import WarmstartError
from tests.support.models.models import LABELS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from predictor.serving.model import Model


@pytest.fixture
def model(served: Model, prepared_classifier: Path) -> PreparedModel:
    return PreparedModel(Settings("m", prepared_classifier), served)


@pytest.fixture
def own(prepared_classifier: Path) -> Iterator[PreparedModel]:
    """One that is not loaded yet and that a test may stop."""
    model = PreparedModel(Settings("m", prepared_classifier, variant="fp32"))
    yield model
    model.stop()


def texts(*values: str, **parameters: Any) -> InferRequest:
    tensor = InferInput("text", [len(values)], "BYTES", list(values))
    return InferRequest("m", [tensor], request_id="7", parameters=parameters)


def tensors(ids: list[int], **others: list[int]) -> InferRequest:
    named = {"input_ids": ids, "attention_mask": [1] * len(ids), **others}
    inputs = [InferInput(n, [1, len(row)], "INT64", row) for n, row in named.items()]
    return InferRequest("m", inputs)


def ask(model: PreparedModel, payload: InferRequest | dict[str, Any]) -> Any:
    return asyncio.run(model.predict(payload))


def outputs(answer: InferResponse) -> dict[str, Any]:
    return {output.name: output.as_numpy() for output in answer.outputs}


def test_only_a_load_makes_it_ready(own: PreparedModel) -> None:
    own.start()
    assert not asyncio.run(own.healthy())
    assert own.load()
    assert asyncio.run(own.healthy())
    assert own.ready
    own.stop()
    assert not asyncio.run(own.healthy())
    assert not own.ready


def test_a_load_that_fails_leaves_it_not_ready(tmp_path: Path) -> None:
    model = PreparedModel(Settings("m", tmp_path))
    with pytest.raises(WarmstartError):
        model.load()
    model.start()
    assert not asyncio.run(model.healthy())


def test_a_model_that_is_served_already_is_as_ready_as_it(
    served: Model, model: PreparedModel
) -> None:
    assert served.ready
    assert model.ready
    assert asyncio.run(model.healthy())


@pytest.mark.parametrize("payload", [texts("good"), {"instances": ["good"]}], ids=["V2", "V1"])
def test_before_it_is_ready_a_request_is_told_so(
    own: PreparedModel, payload: InferRequest | dict[str, Any]
) -> None:
    with pytest.raises(ModelNotReady, match="m is not ready"):
        ask(own, payload)
    with pytest.raises(ModelNotReady, match="m is not ready"):
        own.get_input_types()
    with pytest.raises(ModelNotReady, match="m is not ready"):
        own.get_output_types()


def test_after_it_was_stopped_a_request_is_told_so(own: PreparedModel) -> None:
    own.load()
    own.stop()
    with pytest.raises(ModelNotReady, match="m is not ready"):
        ask(own, texts("good"))


def test_texts_and_tensors_are_answered_in_kserves_objects(model: PreparedModel) -> None:
    answer = ask(model, texts("the film was good", "a bad book", top_k=2))
    assert isinstance(answer, InferResponse)
    assert (answer.id, answer.model_name) == ("7", "m")
    assert {name: array.shape for name, array in outputs(answer).items()} == {
        "label": (2, 2),
        "score": (2, 2),
        "probabilities": (2, len(LABELS)),
    }
    assert outputs(ask(model, tensors([2, 9, 3])))["logits"].shape == (1, len(LABELS))


def test_grpc_is_answered_as_rest_is(model: PreparedModel) -> None:
    sent = InferRequest.from_grpc(texts("the film was good", "a bad book").to_grpc())
    over_grpc = InferResponse.from_grpc(ask(model, sent).to_grpc())
    rest = outputs(ask(model, texts("the film was good", "a bad book")))
    np.testing.assert_allclose(
        outputs(over_grpc)["probabilities"], rest["probabilities"], rtol=1e-5
    )


def test_v1_is_answered_with_predictions(model: PreparedModel) -> None:
    v2 = outputs(ask(model, texts("the film was good", "a bad book")))
    body = {"instances": ["the film was good", {"text": "a bad book"}]}
    first, second = ask(model, body)["predictions"]
    labels = [label.encode() if isinstance(label, str) else label for label in v2["label"]]
    assert [first["label"].encode(), second["label"].encode()] == labels
    np.testing.assert_allclose([first["score"], second["score"]], v2["score"], rtol=1e-5)


@pytest.mark.parametrize(
    ("payload", "complaint"),
    [
        (texts("good", "good " * 100, truncation=False), "text 1 has more than 64 tokens"),
        (
            {"instances": ["good", "good " * 100], "parameters": {"truncation": False}},
            "text 1 has more than 64 tokens",
        ),
        # The model knows two token types.
        (tensors([2, 9, 3], token_type_ids=[0, 7, 0]), "the model refuses these tensors"),
        (texts("good", top_k=0), "top_k must be a whole number"),
        ({"instances": []}, "at least one instance"),
    ],
)
def test_what_the_client_can_mend_is_kserves_error_for_that(
    model: PreparedModel, payload: InferRequest | dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        ask(model, payload)


def test_metadata_is_the_served_models_own(served: Model, model: PreparedModel) -> None:
    assert model.get_input_types() == served.current.input_types()
    assert model.get_output_types() == served.current.output_types()
