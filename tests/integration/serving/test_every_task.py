"""Models of all tasks: metadata, token tensors, refusals, and plain exports."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from benchmarks.harness.process import Predictor, predictor
from tests.support.clients.v2 import answered, request, tensor_request
from tests.support.models.exports import exported
from tests.support.models.models import MAX_POSITIONS
from tests.support.models.originals import original, original_vectors
from tests.support.models.tasks import TASKS, TEXTS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

WITH_LOGITS = [name for name, task in TASKS.items() if task.raw]


@pytest.mark.parametrize("name", TASKS)
def test_metadata_names_the_inputs_and_outputs(every_server: Predictor, name: str) -> None:
    described = every_server.http.get(f"/v2/models/{name}").json()
    inputs = {t["name"]: (t["datatype"], t["shape"]) for t in described["inputs"]}
    outputs = {t["name"]: (t["datatype"], t["shape"]) for t in described["outputs"]}
    task = TASKS[name]
    texts = dict.fromkeys(task.inputs, ("BYTES", [-1]))
    assert list(inputs)[: len(texts)] == list(texts)
    assert inputs == inputs | texts | {"input_ids": ("INT64", [-1, -1])}
    assert outputs == {**task.outputs, **task.raw}


@pytest.mark.parametrize("name", WITH_LOGITS)
def test_token_tensors_are_answered_with_the_models_own_logits(
    every_server: Predictor, name: str, request: pytest.FixtureRequest
) -> None:
    import torch
    import transformers

    folder = request.getfixturevalue(name)
    texts = ["a [MASK] book", "good"]
    encoded = transformers.AutoTokenizer.from_pretrained(folder)(
        texts, texts[::-1], padding="max_length", max_length=12, return_tensors="pt"
    )
    architecture = getattr(transformers, f"AutoModelFor{TASKS[name].architecture}")
    with torch.inference_mode():
        wanted = architecture.from_pretrained(folder)(**encoded)
    got = answered(replace(every_server, name=name).infer(tensor_request(encoded)))
    assert list(got) == list(TASKS[name].raw)
    mask = encoded["attention_mask"].numpy() == 1
    for output, values in got.items():
        expected = wanted[output].numpy()
        if TASKS[name].raw[output][1][:2] == [-1, -1]:
            # A row for each token; padding has none.
            assert (values[~mask] == 0).all()
            values, expected = values[mask], expected[mask]  # noqa: PLW2901
        np.testing.assert_allclose(values, expected, atol=1e-4)


LONG = "good " * 100
TAGGED, FILLED, ASKED = {"text": [LONG]}, {"text": ["a [MASK]"]}, {"question": ["who"]}


@pytest.mark.parametrize(
    ("model", "inputs", "parameters", "complaint"),
    [
        ("tagger", TAGGED, {"aggregation_strategy": "best"}, "one of simple, first, average, max,"),
        ("tagger", TAGGED, {"stride": MAX_POSITIONS}, "a whole number from 0 to 32, not 64"),
        (
            "tagger",
            TAGGED,
            {"stride": 4, "aggregation_strategy": "none"},
            "stride needs an aggregation_strategy",
        ),
        ("tagger", TAGGED, {"ignore_labels": [7]}, "ignore_labels must hold strings"),
        ("tagger", TAGGED, {"truncation": False}, "text 0 has more than 64 tokens, and truncation"),
        ("masked", {"text": ["a [MASK]", "good"]}, {}, "text 1 has no [MASK] to fill"),
        ("masked", {"text": [LONG + "[MASK]"]}, {}, "the [MASK] of text 0 was cut off"),
        (
            "masked",
            {"text": ["[MASK] " * 50]},
            {"top_k": 50},
            "text 0 has 50 masks; with top_k 50 these are more",
        ),
        ("masked", FILLED, {"targets": []}, "targets must hold strings"),
        ("masked", FILLED, {"targets": [""]}, "targets holds no token of the vocabulary"),
        ("reader", {"question": [LONG]}, {}, "a question leaves no room for its context in 64"),
        ("reader", ASKED, {"max_answer_len": 0}, "max_answer_len must be a whole number from 1 up"),
        ("reader", ASKED, {"handle_impossible_answer": "yes"}, "must be true or false"),
        ("reader", ASKED, {"doc_stride": 60}, "doc_stride must be a whole number from 0 to 48"),
        ("embedder", {"text": ["a"]}, {"dimensions": 33}, "from 1 to 32, not 33"),
    ],
)
def test_wrong_parameters_and_texts_are_refused_with_the_reason(
    every_server: Predictor,
    model: str,
    inputs: dict[str, list[str]],
    parameters: dict[str, Any],
    complaint: str,
) -> None:
    context = {"context": ["good book"]} if model == "reader" else {}
    body = request({**inputs, **context}, **parameters)
    response = replace(every_server, name=model).infer(body)
    assert response.status_code == 400
    assert complaint in response.json()["error"]


@pytest.mark.parametrize(
    ("model", "first", "second"),
    [("reader", "question", "context"), ("reranker", "query", "document")],
)
def test_the_first_text_of_a_pair_alone_is_refused(
    every_server: Predictor, model: str, first: str, second: str
) -> None:
    running = replace(every_server, name=model)
    refused = running.infer(request({first: ["who"]}))
    assert refused.status_code == 400
    assert refused.json()["error"] == (
        f"expected two BYTES inputs with the second named {second}, but got {first}"
    )
    refused = running.predict({"instances": ["alone"]})
    assert refused.status_code == 400
    assert f'{{"{first}": "…", "{second}": "…"}}' in refused.json()["error"]


@pytest.mark.parametrize("kind", ["classifier", "embedder"])
def test_a_plain_export_is_served_with_a_warning(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder: Path = request.getfixturevalue(kind)
    with predictor(exported(folder), tmp_path / "log") as running:
        answer = running.predict({"instances": TEXTS}).json()["predictions"]
        log = (tmp_path / "log").read_text()
    assert "is not a prepared model" in log
    assert "WARNING" in log
    if kind == "embedder":
        wanted = original_vectors(folder, TEXTS)
        np.testing.assert_allclose([row["embedding"] for row in answer], wanted, atol=1e-4)
        return
    classify = original("text-classification", folder, top_k=None)
    order = classify.model.config.label2id
    for row, scores in zip(answer, classify(TEXTS), strict=True):
        scores.sort(key=lambda item: order[item["label"]])
        np.testing.assert_allclose(row["probabilities"], [s["score"] for s in scores], atol=1e-4)
