"""Folders that nobody prepared: which graph is served, and what is missing."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from predictor.errors import UnsupportedModelError
from predictor.loading.plain_folder import check_answer, read_plain_folder
from storage_init.base.errors import SourceError
from storage_init.format.package import TextClassification
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


def test_several_graphs_of_which_none_is_usual_are_refused_by_name(folder: Path) -> None:
    add(folder, "b.onnx", "a.onnx")
    with pytest.raises(UnsupportedModelError, match=r"several graphs \(a\.onnx, b\.onnx\)"):
        read_plain_folder(folder)


def test_a_folder_without_a_graph_is_refused_with_what_to_do(folder: Path) -> None:
    with pytest.raises(UnsupportedModelError, match=r"neither a prepared model .* pipeline run"):
        read_plain_folder(folder)


def test_a_folder_that_is_not_there_is_named_with_its_flag(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match=r"no folder .*absent \(--model_dir\)"):
        read_plain_folder(tmp_path / "absent")


def test_a_graph_without_a_fast_tokenizer_is_refused(folder: Path) -> None:
    add(folder, "model.onnx")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UnsupportedModelError, match=r"no fast tokenizer \(tokenizer\.json\)"):
        read_plain_folder(folder)


def test_a_graph_without_a_configuration_is_refused(folder: Path) -> None:
    add(folder, "model.onnx")
    (folder / "config.json").unlink()
    with pytest.raises(SourceError, match=r"no config\.json"):
        read_plain_folder(folder)


def test_token_states_that_a_models_layer_must_go_over_are_refused(tmp_path: Path) -> None:
    facts = read_facts(make_embedder(tmp_path, dense=[(16, "Tanh")]))
    check_answer(tmp_path / "model.onnx", facts, rank=2)
    with pytest.raises(UnsupportedModelError, match=r"layer over .*\(2_Dense\): prepare it"):
        check_answer(tmp_path / "model.onnx", facts, rank=3)
