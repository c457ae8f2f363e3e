"""A version of a model: its answers and its metadata."""

from __future__ import annotations

import asyncio
import gc
import shutil
import tracemalloc
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from prometheus_client import REGISTRY

from predictor.errors import InvalidRequestError, TooLargeError
from predictor.protocol.messages import InputTensor, Request
from predictor.protocol.parameters import Parameters
from predictor.protocol.types import Texts
from tests.support.clients.requests import ask, tensors, texts
from tests.support.models.engines import rows_of
from tests.support.models.models import DIMENSION, LABELS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from predictor.loading.load import LoadedModel
    from predictor.serving.model import Model

TEXTS = ["the film was good", "a bad book", "i would never watch this again"]


def test_texts_are_answered_with_the_tasks_outputs(served: Model, loaded: LoadedModel) -> None:
    answer = ask(served, texts(*TEXTS, top_k=2))
    assert (answer.id, answer.model_name) == ("7", "m")
    assert answer.model_version == loaded.version
    assert {name: array.shape for name, array in answer.outputs.items()} == {
        "label": (3, 2),
        "score": (3, 2),
        "probabilities": (3, len(LABELS)),
    }
    exponentials = np.exp(rows_of(loaded.engine, Texts(TEXTS)))
    wanted = exponentials / exponentials.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(answer.outputs["probabilities"], wanted, atol=1e-4)


def test_a_request_without_an_id_is_given_one(served: Model) -> None:
    request = Request(texts("good").inputs, Parameters())
    first, second = (ask(served, request).id for _ in range(2))
    assert first != second
    for each in (first, second):
        parsed = uuid.UUID(each)
        assert (parsed.version, parsed.variant, str(parsed)) == (4, uuid.RFC_4122, each)


def test_tensors_are_answered_with_the_graphs_output(served: Model, loaded: LoadedModel) -> None:
    encoding = loaded.engine.tokenizer.encode(["a bad book"])[0]
    answer = ask(served, tensors(encoding.ids))
    assert list(answer.outputs) == ["logits"]
    wanted = rows_of(loaded.engine, Texts(["a bad book"]))
    np.testing.assert_allclose(answer.outputs["logits"], wanted, atol=1e-5)


def test_a_request_receives_the_outputs_that_it_names(served: Model) -> None:
    answer = ask(served, texts("good", outputs=("probabilities", "label")))
    assert list(answer.outputs) == ["probabilities", "label"]
    with pytest.raises(InvalidRequestError, match="unknown output logits"):
        ask(served, texts("good", outputs=("logits",)))


def test_v1_and_v2_answer_alike(served: Model) -> None:
    v2 = ask(served, texts("the film was good", "a bad book")).outputs
    body = {"instances": ["the film was good", {"text": "a bad book"}]}
    first, second = asyncio.run(served.current.predict(body))["predictions"]
    assert [first["label"].encode(), second["label"].encode()] == v2["label"].tolist()
    np.testing.assert_allclose([first["score"], second["score"]], v2["score"], rtol=1e-5)


def test_a_text_that_is_too_long_is_an_invalid_request(served: Model) -> None:
    complaint = "text 1 has more than 64 tokens, and truncation is false"
    with pytest.raises(InvalidRequestError, match=complaint):
        ask(served, texts("good", "good " * 100, truncation=False))
    body = {"instances": ["good", "good " * 100], "parameters": {"truncation": False}}
    with pytest.raises(InvalidRequestError, match=complaint):
        asyncio.run(served.current.predict(body))


def test_a_text_that_must_be_read_to_a_distant_end_is_too_large(served: Model) -> None:
    with pytest.raises(TooLargeError, match="600000 characters and must be read to its end"):
        ask(served, texts("good", "x" * 600_000))
    with pytest.raises(TooLargeError, match="600000 characters"):
        asyncio.run(served.current.answer(Texts(["x" * 600_000]), Parameters()))
    assert ask(served, texts("good", "x " * 300_000)).outputs


def test_tensors_that_the_graph_refuses_are_an_invalid_request(served: Model) -> None:
    # The model knows two token types.
    with pytest.raises(InvalidRequestError, match="the model refuses these tensors"):
        ask(served, tensors([2, 9, 3], token_type_ids=[0, 7, 0]))
    assert ask(served, texts("good")).outputs, "and the next is answered"


@pytest.fixture
def figure_of(make: Callable[..., Model]) -> Callable[..., float]:
    """Serves texts under some settings and returns by how much a metric grew."""

    def figure(name: str, values: list[str], **settings: Any) -> float:
        def value() -> float:
            return REGISTRY.get_sample_value(f"warmstart_{name}", {"model_name": "m"}) or 0

        model = make(variant="fp32", lanes=1, **settings)
        model.load()
        before = value()
        ask(model, texts(*values))
        model.stop()
        return value() - before

    return figure


@pytest.mark.parametrize(
    ("settings", "inferences"),
    [
        ({}, 1),
        # Each text has three tokens.
        ({"max_batch_tokens": 6}, 4),
        ({"max_batch_tokens": 1}, 8),
        # No variant moves by less than 0.
        ({"max_batch_move": -1.0}, 8),
    ],
)
def test_settings_limit_the_texts_of_an_inference(
    figure_of: Callable[..., float], settings: dict[str, Any], inferences: int
) -> None:
    assert figure_of("inference_seconds_count", ["good"] * 8, **settings) == inferences


def test_settings_limit_the_padding_of_an_inference(figure_of: Callable[..., float]) -> None:
    values = ["good", "good film"] * 8
    assert figure_of("padding_tokens_total", values, max_padding=0) == 0
    assert figure_of("padding_tokens_total", values, max_padding=16) > 0


def test_a_half_precision_export_answers_in_fp32(
    embedder: Path, tmp_path: Path, make: Callable[..., Model]
) -> None:
    for name in ("config.json", "tokenizer.json"):
        shutil.copyfile(embedder / name, tmp_path / name)
    graph = onnx.parser.parse_model(
        """
        <ir_version: 8, opset_import: ["" : 18]>
        model (int64[N, L] input_ids, int64[N, L] attention_mask)
            => (float16[N, L, D] last_hidden_state) {
            last_axis = Constant <value = int64[1] {2}> ()
            column = Unsqueeze (input_ids, last_axis)
            last_hidden_state = Cast <to = 10> (column)
        }
        """
    )
    onnx.save(graph, tmp_path / "model.onnx")
    model = make(tmp_path)
    model.load()
    embedding = ask(model, texts("good")).outputs["embedding"]
    assert embedding.dtype == np.float32
    assert embedding.shape == (1, 1)


def test_metadata_names_texts_and_tensors(
    served: Model, prepared_embedder: Path, make: Callable[..., Model]
) -> None:
    metadata = served.current.metadata()
    assert (metadata["name"], metadata["platform"]) == ("m", "onnx_onnxv1")
    assert metadata["versions"] == [served.loaded.version]
    inputs = [(t["name"], t["datatype"], t["shape"]) for t in metadata["inputs"]]
    names = ("input_ids", "attention_mask", "token_type_ids")
    assert inputs[:2] == [("text", "BYTES", [-1]), ("text_pair", "BYTES", [-1])]
    assert inputs[2:] == [(name, "INT64", [-1, -1]) for name in names]
    embedder = make(prepared_embedder)
    embedder.load()
    assert [t["name"] for t in embedder.current.input_types()] == ["text", *names]
    assert embedder.current.output_types() == [
        {"name": "embedding", "datatype": "FP32", "shape": [-1, DIMENSION]}
    ]


@pytest.mark.parametrize(
    ("task", "inputs"),
    [("embedder", ("text",)), ("tagger", ("text",)), ("reader", ("question", "context"))],
)
def test_the_response_cache_takes_no_more_than_its_bytes(
    task: str, inputs: tuple[str, ...], make: Callable[..., Model], request: pytest.FixtureRequest
) -> None:
    most = 1_000_000
    model = make(request.getfixturevalue(f"prepared_{task}"), response_cache_bytes=most, lanes=1)
    model.load()

    def ask_for(first: int) -> None:
        values = [f"the film was good {number}" for number in range(first, first + 100)]
        tensors = [InputTensor(name, "BYTES", [100], list(values)) for name in inputs]
        ask(model, Request(tensors, Parameters()))

    ask_for(0)
    gc.collect()
    tracemalloc.start()
    try:
        before, held = tracemalloc.get_traced_memory()[0], model.cached_bytes
        for first in range(100, 3000, 100):
            ask_for(first)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert most * 0.9 < model.cached_bytes <= most
    # What was evicted had been made before the count began.
    assert (model.cached_bytes - held) / 2 < grown <= model.cached_bytes
