"""PreparedModel for KServe's server: readiness, answers and errors."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from fastapi import HTTPException
from grpc_interceptor.exceptions import GrpcException
from kserve import InferInput, InferRequest, InferResponse
from kserve.errors import InvalidInput, ModelNotReady

from predictor.errors import (
    DeadlineError,
    LaneError,
    OverloadedError,
    StoppingError,
    TooLargeError,
)
from predictor.kserve_model.model import PreparedModel
from predictor.settings import Settings
from storage_init.base.errors import WarmstartError
from tests.support.models.models import LABELS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from predictor.errors import RequestError
    from predictor.serving.model import Model


@pytest.fixture
def model(served: Model, prepared_classifier: Path) -> PreparedModel:
    return PreparedModel(Settings("m", prepared_classifier), served)


@pytest.fixture
def own(prepared_classifier: Path) -> Iterator[PreparedModel]:
    """A model that is not loaded yet and that a test may stop."""
    model = PreparedModel(Settings("m", prepared_classifier, variant="fp32"))
    yield model
    model.stop()


ERRORS = [
    (TooLargeError("too many"), 413, "INVALID_ARGUMENT", None),
    (OverloadedError("full", 7), 429, "RESOURCE_EXHAUSTED", "7"),
    (DeadlineError(), 429, "DEADLINE_EXCEEDED", "1"),
    (StoppingError(), 503, "UNAVAILABLE", "1"),
    (LaneError(ValueError("x")), 500, "INTERNAL", None),
]


@pytest.mark.parametrize(("error", "status", "code", "after"), ERRORS)
def test_an_error_has_the_status_of_our_own_routes(
    error: RequestError, status: int, code: str, after: str | None
) -> None:
    async def infer(_: Any) -> Any:
        raise error

    served = SimpleNamespace(ready=True, current=SimpleNamespace(infer=infer))
    model = PreparedModel(Settings("m"), cast("Model", served))
    with pytest.raises(HTTPException, match=str(error)) as told:
        ask(model, texts("good"))
    assert (told.value.status_code, (told.value.headers or {}).get("Retry-After")) == (
        status,
        after,
    )
    over_grpc = texts("good")
    over_grpc.from_grpc = True
    with pytest.raises(GrpcException) as called:
        ask(model, over_grpc)
    assert (called.value.status_code.name, called.value.details) == (code, str(error))


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


def test_only_a_load_makes_a_model_ready(own: PreparedModel) -> None:
    own.start()
    assert not asyncio.run(own.healthy())
    assert own.load()
    assert asyncio.run(own.healthy())
    assert own.ready
    own.stop()
    assert not asyncio.run(own.healthy())
    assert not own.ready


def test_a_failed_load_leaves_a_model_not_ready(tmp_path: Path) -> None:
    model = PreparedModel(Settings("m", tmp_path))
    with pytest.raises(WarmstartError):
        model.load()
    model.start()
    assert not asyncio.run(model.healthy())


@pytest.mark.parametrize("payload", [texts("good"), {"instances": ["good"]}], ids=["V2", "V1"])
def test_a_model_that_is_not_ready_refuses_requests(
    own: PreparedModel, payload: InferRequest | dict[str, Any]
) -> None:
    with pytest.raises(ModelNotReady, match="m is not ready"):
        ask(own, payload)
    with pytest.raises(ModelNotReady, match="m is not ready"):
        own.get_input_types()
    with pytest.raises(ModelNotReady, match="m is not ready"):
        own.get_output_types()


def test_texts_and_tensors_get_kserves_response_objects(model: PreparedModel) -> None:
    answer = ask(model, texts("the film was good", "a bad book", top_k=2))
    assert isinstance(answer, InferResponse)
    assert (answer.id, answer.model_name) == ("7", "m")
    assert {name: array.shape for name, array in outputs(answer).items()} == {
        "label": (2, 2),
        "score": (2, 2),
        "probabilities": (2, len(LABELS)),
    }
    assert outputs(ask(model, tensors([2, 9, 3])))["logits"].shape == (1, len(LABELS))


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
def test_a_wrong_request_raises_kserves_error(
    model: PreparedModel, payload: InferRequest | dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        ask(model, payload)
