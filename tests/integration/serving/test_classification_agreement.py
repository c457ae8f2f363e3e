"""Classifiers of one label a text and of several, beside transformers' own pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest

from benchmarks.harness.process import predictor
from pipeline.recipe.recipe import Recipe
from tests.support.clients.v2 import outputs_of, text_request
from tests.support.models.models import LABELS, make_classifier
from tests.support.models.originals import original
from tests.support.models.prepare import prepare
from tests.support.models.sentences import sentences

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

# Some have more tokens than the model takes.
TEXTS = ["", "good", *sentences(58, longest=70)]


@pytest.mark.parametrize("kind", ["single", "multi"])
def test_agrees_with_transformers_on_labels_their_order_and_scores(
    kind: Literal["single", "multi"], tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    model = make_classifier(tmp_path / "model", f"{kind}_label_classification")
    folder = prepare(model, "m", tmp_path / "store", Recipe(variants=("fp32",)))
    with predictor(folder, tmp_path / "log") as running:
        outputs = outputs_of(running.infer(text_request(TEXTS, top_k=len(LABELS))).json())
        v1 = running.predict({"instances": TEXTS}).json()["predictions"]
    answers = original("text-classification", model, top_k=None)(TEXTS, truncation=True)
    assert len(answers) >= 50
    assert outputs["label"].tolist() == [[item["label"] for item in each] for each in answers]
    wanted = np.array([[item["score"] for item in each] for each in answers])
    np.testing.assert_allclose(outputs["score"], wanted, atol=1e-4)
    assert [row["label"] for row in v1] == [each[0]["label"] for each in answers]
    assert len({row["label"] for row in v1}) > 1, "the model must not give one label to all"
    # What a text's labels share, or do not.
    assert np.allclose(wanted.sum(axis=1), 1) == (kind == "single")
