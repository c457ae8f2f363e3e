"""A plain ONNX export, as KServe's default initializer leaves it, served with a warning."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from benchmarks.harness.process import predictor

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

TEXTS = ["the film was good", "a bad book", "i would never watch this again"]


@pytest.mark.parametrize("kind", ["classifier", "embedder"])
def test_a_plain_export_is_served_with_a_warning(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    model: Path = request.getfixturevalue(kind)
    folder = _plain_export(model, tmp_path, "feature-extraction" if kind == "embedder" else None)
    with predictor(folder, tmp_path / "log") as running:
        answer = running.predict({"instances": TEXTS}).json()["predictions"]
        log = (tmp_path / "log").read_text()
    assert "is not a prepared model" in log
    assert "WARNING" in log
    wanted = _by_transformers(model) if kind == "classifier" else _by_sentence_transformers(model)
    key = "probabilities" if kind == "classifier" else "embedding"
    np.testing.assert_allclose([row[key] for row in answer], wanted, atol=1e-4)


def _plain_export(model: Path, tmp_path: Path, task: str | None) -> Path:
    from optimum.exporters.onnx import main_export

    folder = tmp_path / "plain"
    main_export(
        str(model),
        output=folder,
        task=task or "text-classification",
        library_name="transformers",
        do_validation=False,
    )
    for name in ("modules.json", "sentence_bert_config.json", "1_Pooling"):
        if (model / name).is_dir():
            shutil.copytree(model / name, folder / name)
        elif (model / name).exists():
            shutil.copyfile(model / name, folder / name)
    return folder


def _by_transformers(model: Path) -> list[list[float]]:
    from transformers import pipeline

    original = pipeline("text-classification", model=str(model), top_k=None)
    order = original.model.config.label2id
    return [
        [item["score"] for item in sorted(scores, key=lambda item: order[item["label"]])]
        for scores in original(TEXTS)
    ]


def _by_sentence_transformers(model: Path) -> list[list[float]]:
    from sentence_transformers import SentenceTransformer

    vectors: list[list[float]] = SentenceTransformer(str(model)).encode(TEXTS).tolist()
    return vectors
