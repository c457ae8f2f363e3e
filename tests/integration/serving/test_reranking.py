"""A cross-encoder beside sentence-transformers' CrossEncoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pipeline.recipe.recipe import Recipe
from predictor.loading.load import load
from predictor.protocol.parameters import Parameters
from predictor.protocol.types import Texts
from predictor.settings import Settings
from storage_init.format.reading import read_package
from storage_init.format.selftest import SelfTest
from storage_init.format.tasks import TextRanking
from tests.support.clients.v2 import answered, request
from tests.support.models.engines import rows_of
from tests.support.models.models import make_reranker, source
from tests.support.models.originals import original_scores
from tests.support.models.prepare import prepared
from tests.support.models.sentences import sentences

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.harness.process import Predictor

pytestmark = pytest.mark.integration

MODEL = "reranker"
QUERY = "would a film never deliver ?"
# With the query, some have more tokens than the model accepts.
DOCUMENTS = ["", "good", *sentences(58, longest=70)]


def scores(model: Predictor, queries: list[str], **parameters: Any) -> Any:
    body = request({"query": queries, "document": DOCUMENTS}, **parameters)
    return answered(model.infer(body))["score"]


@pytest.fixture(scope="module")
def expected(reranker: Path) -> NDArray[np.float32]:
    return original_scores(reranker, QUERY, DOCUMENTS)


def test_agrees_with_sentence_transformers_on_scores_and_order(
    model: Predictor, expected: NDArray[np.float32]
) -> None:
    got = scores(model, [QUERY])
    assert len(got) >= 50
    np.testing.assert_allclose(got, expected, atol=1e-4)
    assert np.argsort(-got).tolist() == np.argsort(-expected).tolist()
    assert np.std(expected) > 0.01, "the documents' scores must differ"
    np.testing.assert_allclose(scores(model, [QUERY] * len(DOCUMENTS)), got, atol=1e-6)


def test_raw_scores_are_logits(model: Predictor, expected: NDArray[np.float32]) -> None:
    got = scores(model, [QUERY], raw_scores=True)
    np.testing.assert_allclose(1 / (1 + np.exp(-got)), expected, atol=1e-4)


def test_v1_answers_as_v2_does(model: Predictor, expected: NDArray[np.float32]) -> None:
    instances = [{"query": QUERY, "document": document} for document in DOCUMENTS]
    v1 = model.predict({"instances": instances}).json()["predictions"]
    np.testing.assert_allclose([row["score"] for row in v1], expected, atol=1e-4)


def test_the_package_holds_pairs_and_their_rank_agreement(prepared_reranker: Path) -> None:
    package, _ = read_package(prepared_reranker)
    assert package.task == TextRanking(activation="sigmoid")
    assert SelfTest.load(prepared_reranker / "selftest.npz").pairs
    int8, fp32 = package.variants
    assert fp32.closeness.label_agreement == 1
    assert int8.closeness.label_agreement is not None
    assert 0.85 <= int8.closeness.label_agreement <= 1


def test_an_activation_that_the_model_names_is_applied() -> None:
    folder = source(make_reranker, activation="torch.nn.modules.linear.Identity")
    package = prepared(folder, "m", Recipe(variants=("fp32",)))
    engine = load(Settings("m", package)).engine
    texts = Texts([QUERY] * len(DOCUMENTS), DOCUMENTS)
    got = engine.task.postprocess(texts, rows_of(engine, texts), Parameters())["score"]
    wanted = original_scores(folder, QUERY, DOCUMENTS)
    np.testing.assert_allclose(got, wanted, atol=1e-4)
    assert wanted.min() < 0 or wanted.max() > 1, "the scores must differ from a sigmoid's"
