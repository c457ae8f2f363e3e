"""A source's weights are compared with its configuration before anything is computed."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest
from safetensors.numpy import load_file, save_file

from pipeline.original.heads import head_of
from pipeline.original.weights import check_weights
from pipeline.recipe.recipe import Recipe
from pipeline.steps.export import export
from pipeline.workspace.workspace import Workspace
from storage_init.base.errors import SourceError
from storage_init.format.tasks import FillMask, TextClassification, TextEmbedding
from storage_init.raw.hf_config import read_facts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from storage_init.format.tasks import Task

    Weights = dict[str, NDArray[np.float32]]

WEIGHTS = "model.safetensors"
OUTPUT = "bert.encoder.layer.1.output.dense.weight"
LABELS = TextClassification(labels=["a", "b"], activation="softmax")
EMBEDDING = TextEmbedding(dimension=32, pooling="mean", normalize=False)
# The first BERT's names of a norm's weights.
NORMS = {"weight": "gamma", "bias": "beta"}
MASKS = FillMask(mask_token="[MASK]")


def check(folder: Path, task: Task | None = None) -> None:
    asked = task or read_facts(folder).task
    check_weights(folder, head_of(folder, asked), asked)


def refused(folder: Path, task: Task | None = None) -> str:
    with pytest.raises(SourceError) as caught:
        check(folder, task)
    return str(caught.value)


@pytest.fixture
def changed(classifier: Path, tmp_path: Path) -> Callable[[Callable[[Weights], Weights]], Path]:
    """Change the weights of a copy of the classifier."""

    def change(how: Callable[[Weights], Weights]) -> Path:
        folder = shutil.copytree(classifier, tmp_path / "model")
        save_file(how(load_file(folder / WEIGHTS)), folder / WEIGHTS, {"format": "pt"})
        return folder

    return change


def without(*names: str) -> Callable[[Weights], Weights]:
    return lambda weights: {name: each for name, each in weights.items() if name not in names}


def test_a_missing_weight_is_named_with_its_file_and_what_to_do(
    changed: Callable[[Callable[[Weights], Weights]], Path],
) -> None:
    folder = changed(without(OUTPUT))
    assert refused(folder) == (
        f"{folder}/{WEIGHTS} has no {OUTPUT}, which {folder}/config.json asks for: copy or "
        "download the whole source again, or correct its config.json"
    )


def test_of_many_missing_weights_three_are_named(
    changed: Callable[[Callable[[Weights], Weights]], Path],
) -> None:
    def without_a_layer(weights: Weights) -> Weights:
        return {name: each for name, each in weights.items() if ".layer.1." not in name}

    assert re.search(
        r"has no bert\.encoder\.layer\.1\.\S+, \S+, \S+ and 13 more, which",
        refused(changed(without_a_layer)),
    )


def test_a_weight_that_is_not_in_its_shard_is_missing_there(
    classifier: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForSequenceClassification

    from storage_init.raw.weights import file_of

    folder = shutil.copytree(classifier, tmp_path / "model")
    (folder / WEIGHTS).unlink()
    model = AutoModelForSequenceClassification.from_pretrained(classifier)
    model.save_pretrained(folder, max_shard_size="40KB")
    check(folder)
    shard = file_of(folder, OUTPUT)
    save_file(without(OUTPUT)(load_file(shard)), shard, {"format": "pt"})
    assert refused(folder).startswith(f"{folder}/model-00")
    assert refused(folder).startswith(f"{shard} has no {OUTPUT}, which ")


def test_a_weight_of_another_shape_is_named_with_both(
    changed: Callable[[Callable[[Weights], Weights]], Path],
) -> None:
    folder = changed(lambda weights: weights | {OUTPUT: weights[OUTPUT].T.copy()})
    assert refused(folder) == (
        f"the weights do not fit {folder}/config.json: {OUTPUT} is [64, 32] in the file, and "
        "[32, 64] by the configuration"
    )


@pytest.mark.parametrize(
    ("task", "name"),
    [
        (TextClassification(labels=["a", "b"], activation="softmax"), "text-classification"),
        (MASKS, "fill-mask"),
    ],
)
def test_an_encoder_without_the_tasks_last_layer_says_so(
    task: Task, name: str, embedder: Path
) -> None:
    assert f"has no weights for {name}, whose answers would be random" in refused(embedder, task)


@pytest.mark.parametrize("stored", ["float16", "float32"])
def test_what_an_answer_does_not_need_may_be_missing_or_have_other_names(
    stored: str, changed: Callable[[Callable[[Weights], Weights]], Path]
) -> None:
    def older(weights: Weights) -> Weights:
        """Name norms as the first BERT did, keep positions, and leave the pooler out."""
        renamed = {
            re.sub(r"(?<=LayerNorm\.)(weight|bias)$", lambda m: NORMS[m[0]], name): each
            for name, each in weights.items()
            if "pooler" not in name
        }
        assert renamed.keys() != weights.keys()
        return {name: each.astype(stored) for name, each in renamed.items()}

    check(changed(older), EMBEDDING)


def test_nothing_is_computed_before_the_weights_are_compared(
    changed: Callable[[Callable[[Weights], Weights]], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from pipeline.original import library

    monkeypatch.delattr(library._Model, "__init__")
    workspace = Workspace(tmp_path / "work")
    shutil.copytree(changed(without(OUTPUT)), workspace.source)
    with pytest.raises(SourceError, match=f"has no {OUTPUT}"):
        export(workspace, Recipe())
    assert not workspace.exported.exists()
