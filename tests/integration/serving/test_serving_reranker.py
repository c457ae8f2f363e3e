"""A cross-encoder in a real process, beside sentence-transformers' CrossEncoder."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from kserve import InferenceGRPCClient, InferInput, InferRequest

from benchmarks.harness.process import Predictor, predictor
from pipeline.recipe.recipe import Recipe
from predictor.loading.load import load
from predictor.protocol.parameters import Parameters
from predictor.protocol.types import Texts
from predictor.settings import Settings
from storage_init.format.package import TextRanking, read_package
from storage_init.format.selftest import SelfTest
from tests.support.clients.v2 import outputs_of
from tests.support.models.engines import rows_of
from tests.support.models.models import make_reranker
from tests.support.models.originals import original_scores
from tests.support.models.prepare import prepare
from tests.support.models.sentences import sentences

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = pytest.mark.integration

QUERY = "would a film never deliver ?"
# Some have, with the query, more tokens than the model takes.
DOCUMENTS = ["", "good", *sentences(58, longest=70)]


def request(queries: list[str], documents: list[str], **parameters: Any) -> dict[str, Any]:
    tensors = [("query", queries), ("document", documents)]
    inputs = [
        {"name": name, "datatype": "BYTES", "shape": [len(data)], "data": data}
        for name, data in tensors
    ]
    return {"inputs": inputs, "parameters": parameters}


@pytest.fixture(scope="module")
def server(
    prepared_reranker: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Predictor]:
    log = tmp_path_factory.mktemp("log") / "predictor.log"
    with predictor(prepared_reranker, log, "--variant=fp32") as running:
        yield running


@pytest.fixture(scope="module")
def expected(reranker: Path) -> NDArray[np.float32]:
    return original_scores(reranker, QUERY, DOCUMENTS)


def test_agrees_with_sentence_transformers_on_scores_and_order(
    server: Predictor, expected: NDArray[np.float32]
) -> None:
    response = server.infer(request([QUERY], DOCUMENTS))
    assert response.status_code == 200, response.text
    got = outputs_of(response.json())["score"]
    assert len(got) >= 50
    np.testing.assert_allclose(got, expected, atol=1e-4)
    assert np.argsort(-got).tolist() == np.argsort(-expected).tolist()
    assert np.std(expected) > 0.01, "the documents' scores must differ"
    each = outputs_of(server.infer(request([QUERY] * len(DOCUMENTS), DOCUMENTS)).json())["score"]
    np.testing.assert_allclose(each, got, atol=1e-6)


def test_raw_scores_are_logits(server: Predictor, expected: NDArray[np.float32]) -> None:
    got = outputs_of(server.infer(request([QUERY], DOCUMENTS, raw_scores=True)).json())["score"]
    np.testing.assert_allclose(1 / (1 + np.exp(-got)), expected, atol=1e-4)


def test_v1_and_grpc_answer_as_rest_does(server: Predictor, expected: NDArray[np.float32]) -> None:
    instances = [{"query": QUERY, "document": document} for document in DOCUMENTS]
    v1 = server.predict({"instances": instances}).json()["predictions"]
    np.testing.assert_allclose([row["score"] for row in v1], expected, atol=1e-4)
    tensors = []
    for name, data in (("query", [QUERY]), ("document", DOCUMENTS)):
        tensor = InferInput(name, [len(data)], "BYTES")
        tensor.set_data_from_numpy(np.array(data, dtype=np.object_), binary_data=True)
        tensor.parameters = None
        tensors.append(tensor)

    async def ask() -> Any:
        client = InferenceGRPCClient(server.grpc_target)
        answer = await client.infer(InferRequest(server.name, tensors))
        await client.close()
        return answer.outputs[0].as_numpy()

    np.testing.assert_allclose(asyncio.run(ask()), expected, atol=1e-4)


def test_a_query_without_documents_is_refused(server: Predictor) -> None:
    body = request([QUERY], DOCUMENTS)
    del body["inputs"][1]
    refused = server.infer(body)
    assert refused.status_code == 400
    assert "two BYTES inputs with the second named document" in refused.json()["error"]
    refused = server.predict({"instances": ["alone"]})
    assert refused.status_code == 400
    assert '{"query": "…", "document": "…"}' in refused.json()["error"]


def test_the_package_holds_pairs_and_how_near_their_order_came(prepared_reranker: Path) -> None:
    package, _ = read_package(prepared_reranker)
    assert package.task == TextRanking(activation="sigmoid")
    assert SelfTest.load(prepared_reranker / "selftest.npz").pairs
    fp32, int8 = package.variants
    assert fp32.closeness.label_agreement == 1
    assert int8.closeness.label_agreement is not None
    assert 0.85 <= int8.closeness.label_agreement <= 1


def test_an_activation_that_the_model_names_is_applied(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    model = make_reranker(tmp_path / "model", "torch.nn.modules.linear.Identity")
    folder = prepare(model, "m", tmp_path / "store", Recipe(variants=("fp32",)))
    engine = load(Settings("m", folder)).engine
    texts = Texts([QUERY] * len(DOCUMENTS), DOCUMENTS)
    got = engine.task.answer(texts, rows_of(engine, texts), Parameters())["score"]
    wanted = original_scores(model, QUERY, DOCUMENTS)
    np.testing.assert_allclose(got, wanted, atol=1e-4)
    assert wanted.min() < 0 or wanted.max() > 1, "a sigmoid's scores would pass, too"
