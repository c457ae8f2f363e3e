"""The response cache of a real server: equal answers for every task, and its metrics."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.harness.process import Predictor, predictor
from tests.support.clients.v2 import request, text_request
from tests.support.clients.waiting import wait_until_ready
from tests.support.models.tasks import TASKS, TEXTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

ROOM = 4_000_000
LONG = "the film was good , and a bad book . " * 20


@pytest.fixture(scope="module")
def caching(every_task: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    log = tmp_path_factory.mktemp("log") / "predictor.log"
    flags = (f"--models_dir={every_task}", "--variant=fp32", f"--response_cache_bytes={ROOM}")
    with predictor(every_task, log, *flags, name="classifier") as running:
        wait_until_ready(running)
        yield running


def outputs(server: Predictor, name: str, inputs: Any, parameters: Any) -> Any:
    response = replace(server, name=name).infer(request(inputs, **parameters))
    assert response.status_code == 200, response.text
    return response.json()["outputs"]


def figure(server: Predictor, name: str, model: str) -> float:
    series = re.escape(f'warmstart_response_cache_{name}{{model_name="{model}"}}')
    found = re.search(rf"^{series} (\S+)$", server.metrics(), re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.mark.parametrize("name", TASKS)
def test_known_texts_get_the_same_answer_without_an_inference(
    caching: Predictor, every_server: Predictor, name: str
) -> None:
    task = TASKS[name]
    fresh = outputs(caching, name, task.inputs, task.parameters)
    misses, hits = figure(caching, "misses_total", name), figure(caching, "hits_total", name)
    assert outputs(caching, name, task.inputs, task.parameters) == fresh
    assert figure(caching, "misses_total", name) == misses
    assert figure(caching, "hits_total", name) > hits
    assert 0 < figure(caching, "bytes", name) <= ROOM
    without = outputs(every_server, name, task.inputs, task.parameters)
    for got, wanted in zip(fresh, without, strict=True):
        assert got == wanted or got["data"] == pytest.approx(wanted["data"], abs=1e-6)


@pytest.mark.parametrize(
    ("name", "inputs", "parameters"),
    [
        ("tagger", {"text": [LONG, "good"]}, {"stride": 4, "aggregation_strategy": "simple"}),
        ("reader", {"question": ["who"] * 2, "context": [LONG, "good"]}, {"doc_stride": 8}),
    ],
)
def test_windows_of_a_known_text_fit_another_place_of_another_request(
    caching: Predictor, name: str, inputs: dict[str, list[str]], parameters: dict[str, Any]
) -> None:
    answers = outputs(caching, name, inputs, parameters)
    turned = {key: texts[::-1] for key, texts in inputs.items()}
    for one, other in zip(answers, outputs(caching, name, turned, parameters), strict=True):
        assert one["data"] == other["data"][::-1]


def test_parameters_of_the_task_share_the_texts_rows(caching: Predictor) -> None:
    server = replace(caching, name="classifier")
    server.infer(text_request(TEXTS))
    misses = figure(caching, "misses_total", "classifier")
    best = server.infer(text_request(TEXTS, top_k=1, function_to_apply="sigmoid")).json()
    assert best["outputs"][1]["shape"] == [len(TEXTS), 1]
    assert figure(caching, "misses_total", "classifier") == misses


def test_tokens_of_known_texts_count_in_the_usage(caching: Predictor) -> None:
    body = {"model": "embedder", "input": ["good", "a bad book"]}
    first, second = (caching.http.post("/openai/v1/embeddings", json=body).json() for _ in range(2))
    assert first == second
    assert second["usage"]["total_tokens"] > 0


def test_a_text_that_may_not_be_cut_is_refused_though_its_beginning_is_known(
    caching: Predictor,
) -> None:
    server = replace(caching, name="classifier")
    assert server.infer(text_request(["good", LONG])).status_code == 200
    refused = server.infer(text_request(["good", LONG], truncation=False))
    assert refused.status_code == 400
    assert "text 1 has more than" in json.loads(refused.content)["error"]
