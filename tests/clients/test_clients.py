"""Every row of the table of clients: the client's answer is V2's to the same."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.clients.rows import CANDIDATES, CONTEXT, MASKED, QUERY, QUESTION, TEXTS
from tests.clients.table import ROWS
from tests.support.clients.v2 import answered, request

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.harness.process import Predictor

pytestmark = [pytest.mark.clients, pytest.mark.timeout(600)]


@pytest.fixture(scope="session")
def wanted(server: Predictor) -> dict[str, Any]:
    """What V2 answers, by the names that the rows give."""

    def v2(model: str, inputs: dict[str, Any], **parameters: Any) -> dict[str, Any]:
        return answered(replace(server, name=model).infer(request(inputs, **parameters)))

    def best(scores: Any, names: Any) -> list[Any]:
        return [[names[place], scores[place]] for place in np.argsort(-scores, kind="stable")]

    texts, one = {"text": TEXTS}, {"text": TEXTS[:1]}
    vectors = v2("embedder", texts)["embedding"]
    query = v2("embedder", {"text": [QUERY]})["embedding"][0]
    scores = v2("reranker", {"query": [QUERY], "document": TEXTS})["score"]
    labels = v2("classifier", one, top_k=3)
    entities = v2("tagger", one, aggregation_strategy="max")["entities"][0]
    fills = v2("masked", {"text": [MASKED]}, top_k=3)
    answer = v2("reader", {"question": [QUESTION], "context": [CONTEXT]})
    nli = v2("nli", one, candidate_labels=CANDIDATES, multi_label=True)["probabilities"][0]
    return {
        "vectors": vectors,
        "many vectors": np.repeat(vectors[:1], 2048, axis=0),
        "queries": v2("prompted", texts, prompt_name="query")["embedding"],
        "passages": v2("prompted", texts, prompt_name="passage")["embedding"],
        "similarities": vectors @ query,
        "ranking": best(scores, range(len(TEXTS)))[:2],
        "best labels": v2("classifier", texts)["label"].tolist(),
        "labels": [list(each) for each in zip(labels["label"][0], labels["score"][0], strict=True)],
        "zero-shot": best(nli, CANDIDATES),
        "entities": [
            [each[name] for name in ("entity_group", "score", "start", "end")]
            for each in json.loads(entities)
        ],
        "fills": [
            [fills[name][0, 0, place] for name in ("token_str", "score", "sequence")]
            for place in range(3)
        ],
        "answer": [answer[name][0] for name in ("answer", "score", "start", "end")],
        "requests": 8,
    }


@pytest.mark.parametrize("name", ROWS)
def test_a_client_gets_v2s_answer(
    ask: Callable[[str], Any], wanted: dict[str, Any], name: str
) -> None:
    got, expected = ask(name), ROWS[name].wanted
    if expected in wanted:
        _compare(got, wanted[expected])
    else:
        # The sentence of a refusal.
        assert expected in got


def _compare(got: Any, wanted: Any) -> None:
    if isinstance(wanted, list | np.ndarray):
        assert len(got) == len(wanted)
        for pair in zip(got, wanted, strict=True):
            _compare(*pair)
    elif isinstance(wanted, str):
        assert got == wanted
    else:
        assert got == pytest.approx(wanted, abs=1e-5)
