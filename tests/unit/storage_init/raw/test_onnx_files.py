"""The graph of a raw repository that is the model, by name and place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from storage_init.base.errors import SourceError
from storage_init.raw.onnx_files import graphs, ready_graph

if TYPE_CHECKING:
    from pathlib import Path


def add(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["model.onnx"], "model.onnx"),
        (["onnx/model.onnx"], "onnx/model.onnx"),
        (["model_optimized.onnx"], "model_optimized.onnx"),
        (["model.onnx", "onnx/model.onnx", "other.onnx"], "model.onnx"),
        (["onnx/model.onnx", "onnx/model_quantized.onnx"], "onnx/model.onnx"),
        (["bert.onnx"], "bert.onnx"),
        (["bert.onnx", "bert_int8.onnx", "bert-fp16.onnx"], "bert.onnx"),
        (["quantiser-study.onnx"], "quantiser-study.onnx"),
    ],
)
def test_the_graph_at_full_precision_is_the_model(
    tmp_path: Path, names: list[str], chosen: str
) -> None:
    add(tmp_path, *names)
    assert ready_graph(tmp_path) == tmp_path / chosen


@pytest.mark.parametrize(
    "name",
    [
        *("model_quantized.onnx", "model_int8.onnx", "model_uint8.onnx", "model_q4.onnx"),
        *("model_q4f16.onnx", "model_fp16.onnx", "model_bnb4.onnx", "model-quantized.onnx"),
        *("model_qint8_avx512_vnni.onnx", "model_quint8_avx2.onnx", "model_O4.onnx"),
        *("int8.onnx", "bert.int8.onnx", "model_dynamic_quantized.onnx", "model_bf16.onnx"),
    ],
)
def test_a_quantised_graph_is_not_the_model(tmp_path: Path, name: str) -> None:
    add(tmp_path, name)
    with pytest.raises(SourceError, match=f"at full precision .*, only {name}"):
        ready_graph(tmp_path)
    assert graphs(tmp_path) == [tmp_path / name], "the predictor may serve it"


def test_pytorch_weights_come_before_a_graph(tmp_path: Path) -> None:
    add(tmp_path, "model.onnx", "model.safetensors")
    assert ready_graph(tmp_path) is None


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (["b.onnx", "a.onnx"], r"several graphs \(a\.onnx, b\.onnx\)"),
        ([], "neither safetensors weights nor an ONNX graph"),
    ],
)
def test_no_graph_and_several_graphs_are_refused(
    tmp_path: Path, names: list[str], complaint: str
) -> None:
    add(tmp_path, *names)
    with pytest.raises(SourceError, match=complaint):
        ready_graph(tmp_path)
