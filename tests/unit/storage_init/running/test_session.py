"""Tests of sessions over real graphs with their weights beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from storage_init.base.errors import PackageError
from storage_init.running.session import input_names, open_session, run_answer

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """Adds two inputs and multiplies by weights that lie in a file of their own."""
    shape = ["batch", "length"]
    weights = numpy_helper.from_array(np.array([3], dtype=np.int64), "weights")
    made = helper.make_graph(
        [
            helper.make_node("Add", ["input_ids", "attention_mask"], ["sum"]),
            helper.make_node("Mul", ["sum", "weights"], ["product"]),
        ],
        "graph",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, shape)
            for name in ("input_ids", "attention_mask")
        ],
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, shape)
            for name in ("product", "sum")
        ],
        [weights],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "model.onnx"
    onnx.save_model(
        model, path, save_as_external_data=True, location="model.onnx.data", size_threshold=0
    )
    return path


@pytest.mark.parametrize("optimized", [True, False])
def test_a_session_runs_a_graph_over_its_external_weights(graph: Path, optimized: bool) -> None:
    session = open_session(graph, optimized=optimized)
    assert input_names(session) == ["input_ids", "attention_mask"]
    feeds = {
        "input_ids": np.array([[0, 4, 1, 2], [0, 4, 5, 1]]),
        "attention_mask": np.array([[1, 1, 1, 0], [1, 1, 1, 1]]),
    }
    expected = (feeds["input_ids"] + feeds["attention_mask"]) * 3
    np.testing.assert_array_equal(run_answer(session, feeds), expected)


@pytest.mark.parametrize("damage", ["missing", "garbage", "no weights"])
def test_a_graph_that_cannot_be_loaded_is_named(graph: Path, damage: str) -> None:
    if damage == "garbage":
        graph.write_bytes(b"not a graph")
    else:
        (graph if damage == "missing" else graph.with_name("model.onnx.data")).unlink()
    with pytest.raises(PackageError, match=f"ONNX Runtime cannot load {graph}: "):
        open_session(graph)
