"""Plain ONNX exports: the graph that is served, and what is missing."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from predictor.errors import UnsupportedModelError
from predictor.loading.plain_folder import check_graph, read_plain_folder
from storage_init.base.errors import SourceError
from storage_init.format.tasks import TextClassification
from storage_init.raw.hf_config import read_facts
from tests.support.models.models import LABELS, make_embedder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(classifier: Path, tmp_path: Path) -> Path:
    """Everything but a graph."""
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(classifier / name, tmp_path / name)
    return tmp_path


def add(folder: Path, *graphs: str) -> None:
    for graph in graphs:
        (folder / graph).parent.mkdir(exist_ok=True)
        (folder / graph).touch()


@pytest.mark.parametrize(
    ("graphs", "served"),
    [
        (["model.onnx"], "model.onnx"),
        (["onnx/model.onnx"], "onnx/model.onnx"),
        (["model_optimized.onnx"], "model_optimized.onnx"),
        (["bert.onnx"], "bert.onnx"),
        (["model.onnx", "model_quantized.onnx"], "model.onnx"),
        (["onnx/model.onnx", "onnx/model_fp16.onnx", "onnx/model_int8.onnx"], "onnx/model.onnx"),
    ],
)
def test_the_graph_is_found_in_the_usual_places(
    folder: Path, graphs: list[str], served: str
) -> None:
    add(folder, *graphs)
    graph, facts = read_plain_folder(folder)
    assert graph == folder / served
    assert facts.task == TextClassification(labels=LABELS, activation="softmax")
    assert facts.limits.max_length == 64


@pytest.mark.parametrize(
    ("graphs", "missing", "error", "message"),
    [
        (["b.onnx", "a.onnx"], "", UnsupportedModelError, r"several graphs \(a\.onnx, b\.onnx\)"),
        ([], "", UnsupportedModelError, r"neither a prepared model .* pipeline run"),
        (
            ["model.onnx"],
            "tokenizer.json",
            UnsupportedModelError,
            r"no fast tokenizer \(tokenizer\.json\)",
        ),
        (["model.onnx"], "config.json", SourceError, r"no config\.json"),
    ],
)
def test_a_folder_that_cannot_be_served_is_refused_with_the_reason(
    folder: Path, graphs: list[str], missing: str, error: type[Exception], message: str
) -> None:
    add(folder, *graphs)
    if missing:
        (folder / missing).unlink()
    with pytest.raises(error, match=message):
        read_plain_folder(folder)


def test_a_missing_folder_is_named_with_its_flag(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match=r"no folder .*absent \(--model_dir\)"):
        read_plain_folder(tmp_path / "absent")


def test_token_states_of_a_model_with_a_dense_layer_are_refused(tmp_path: Path) -> None:
    facts = read_facts(make_embedder(tmp_path, dense=[(16, "Tanh")]))
    check_graph(tmp_path / "model.onnx", facts, ["input_ids"], rank=2)
    with pytest.raises(UnsupportedModelError, match=r"layer over .*\(2_Dense\): prepare it"):
        check_graph(tmp_path / "model.onnx", facts, ["input_ids"], rank=3)
