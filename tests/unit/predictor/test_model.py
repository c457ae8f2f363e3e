"""The KServe model: when it is ready, and that it leaves the event loop alone."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from kserve import InferInput, InferRequest, InferResponse
from kserve.errors import InvalidInput, ModelNotReady

from predictor.engine import Engine, Texts
from predictor.model import PreparedModel
from predictor.settings import Settings
from storage_init.errors import WarmstartError
from tests.models import DIMENSION, LABELS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from predictor.loading import LoadedModel

SLOW_SECONDS = 0.3


class Slow(Engine):
    """Takes its time, as a long batch does."""

    def run_texts(self, request: Texts) -> NDArray[Any]:
        time.sleep(SLOW_SECONDS)
        return super().run_texts(request)


@pytest.fixture
def model(prepared_classifier: Path) -> Iterator[PreparedModel]:
    model = PreparedModel(Settings("m", prepared_classifier, variant="fp32", lanes=2))
    model.load()
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


def outputs(answer: InferResponse) -> dict[str, NDArray[Any]]:
    return {output.name: output.as_numpy() for output in answer.outputs}


def test_only_a_load_makes_it_ready(prepared_classifier: Path) -> None:
    model = PreparedModel(Settings("m", prepared_classifier))
    model.start()
    assert not asyncio.run(model.healthy())
    assert model.load()
    assert asyncio.run(model.healthy())
    model.stop()
    assert not asyncio.run(model.healthy())


def test_a_load_that_fails_leaves_it_not_ready(tmp_path: Path) -> None:
    model = PreparedModel(Settings("m", tmp_path))
    with pytest.raises(WarmstartError):
        model.load()
    model.start()
    assert not asyncio.run(model.healthy())


@pytest.mark.parametrize("payload", [texts("good"), {"instances": ["good"]}], ids=["V2", "V1"])
def test_before_it_is_ready_a_request_is_told_so(
    prepared_classifier: Path, payload: InferRequest | dict[str, Any]
) -> None:
    model = PreparedModel(Settings("m", prepared_classifier))
    with pytest.raises(ModelNotReady, match="m is not ready"):
        ask(model, payload)


def test_after_it_was_stopped_a_request_is_told_so(prepared_classifier: Path) -> None:
    model = PreparedModel(Settings("m", prepared_classifier, variant="fp32"))
    model.load()
    model.stop()
    with pytest.raises(ModelNotReady, match="m is not ready"):
        ask(model, texts("good"))


def test_the_event_loop_keeps_turning_during_an_inference(
    model: PreparedModel, loaded: LoadedModel
) -> None:
    engine = loaded.engine
    slow = Slow(engine.session, engine.tokenizer, engine.task, engine.max_batch_tokens)
    model._loaded = replace(loaded, engine=slow)

    async def count_turns() -> int:
        answer = asyncio.create_task(model.predict(texts("good")))
        turns = 0
        while not answer.done():
            await asyncio.sleep(0.01)
            turns += 1
        await answer
        return turns

    # An inference on the loop would leave it one turn; a busy machine leaves it fewer than thirty.
    assert asyncio.run(count_turns()) >= 5


def test_two_lanes_run_two_requests_side_by_side(model: PreparedModel, loaded: LoadedModel) -> None:
    both = threading.Barrier(2, timeout=10)

    class Meeting(Engine):
        def run_texts(self, request: Texts) -> NDArray[Any]:
            both.wait()  # one after the other they would never meet
            return super().run_texts(request)

    engine = loaded.engine
    meeting = Meeting(engine.session, engine.tokenizer, engine.task, engine.max_batch_tokens)
    model._loaded = replace(loaded, engine=meeting)

    async def ask_twice() -> int:
        return len(await asyncio.gather(model.predict(texts("good")), model.predict(texts("bad"))))

    assert asyncio.run(ask_twice()) == 2


def test_texts_are_answered_by_the_task_and_tensors_by_the_graph(model: PreparedModel) -> None:
    answer = ask(model, texts("the film was good", "a bad book", top_k=2))
    assert (answer.id, answer.model_name) == ("7", "m")
    got = outputs(answer)
    assert {name: array.shape for name, array in got.items()} == {
        "label": (2, 2),
        "score": (2, 2),
        "probabilities": (2, len(LABELS)),
    }
    encoding = model._model.engine.tokenizer.encode(["a bad book"])[0]
    logits = outputs(ask(model, tensors(encoding.ids)))["logits"]
    exponentials = np.exp(logits)
    np.testing.assert_allclose(
        got["probabilities"][1:], exponentials / exponentials.sum(), rtol=1e-4
    )


def test_v1_and_v2_answer_alike(model: PreparedModel) -> None:
    v2 = outputs(ask(model, texts("the film was good", "a bad book")))
    (first, second) = ask(model, {"instances": ["the film was good", {"text": "a bad book"}]})[
        "predictions"
    ]
    assert [first["label"].encode(), second["label"].encode()] == v2["label"].tolist()
    np.testing.assert_allclose([first["score"], second["score"]], v2["score"], rtol=1e-5)


@pytest.mark.parametrize(
    "payload",
    [
        texts("good", "good " * 100, truncation=False),
        {"instances": ["good", "good " * 100], "parameters": {"truncation": False}},
    ],
    ids=["V2", "V1"],
)
def test_a_text_that_is_too_long_is_the_clients_error(
    model: PreparedModel, payload: InferRequest | dict[str, Any]
) -> None:
    with pytest.raises(InvalidInput, match="text 1 has more than 64 tokens, and truncation is"):
        ask(model, payload)


def test_tensors_that_the_graph_refuses_are_the_clients_error(model: PreparedModel) -> None:
    # The model knows two token types.
    with pytest.raises(InvalidInput):
        ask(model, tensors([2, 9, 3], token_type_ids=[0, 7, 0]))


def test_a_half_precision_export_is_answered_in_the_fp32_that_metadata_promises(
    embedder: Path, tmp_path: Path
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
    model = PreparedModel(Settings("m", tmp_path))
    model.load()
    body, _ = ask(model, texts("good")).to_rest()
    model.stop()
    (output,) = body["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("embedding", "FP32", [1, 1])


def test_metadata_names_texts_and_tensors(model: PreparedModel, prepared_embedder: Path) -> None:
    inputs = [(t["name"], t["datatype"], t["shape"]) for t in model.get_input_types()]
    names = ("input_ids", "attention_mask", "token_type_ids")
    assert inputs[:2] == [("text", "BYTES", [-1]), ("text_pair", "BYTES", [-1])]
    assert inputs[2:] == [(name, "INT64", [-1, -1]) for name in names]
    embedder = PreparedModel(Settings("e", prepared_embedder))
    embedder.load()
    assert [t["name"] for t in embedder.get_input_types()] == ["text", *names]
    assert embedder.get_output_types() == [
        {"name": "embedding", "datatype": "FP32", "shape": [-1, DIMENSION]}
    ]
    embedder.stop()
