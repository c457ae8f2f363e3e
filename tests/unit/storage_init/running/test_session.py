"""Tests of sessions over real graphs with their weights beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from storage_init.base.errors import PackageError
from storage_init.running.session import input_names, open_session, run_answer

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """Save a graph that adds two inputs and multiplies by weights in a file beside it."""
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]> graph (
            int64[batch, length] input_ids, int64[batch, length] attention_mask
        ) => (int64[batch, length] product, int64[batch, length] sum) {
            sum = Add (input_ids, attention_mask)
            product = Mul (sum, weights)
        }"""
    )
    model.graph.initializer.append(numpy_helper.from_array(np.array([3]), "weights"))
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
def test_the_error_names_a_graph_that_cannot_be_loaded(graph: Path, damage: str) -> None:
    if damage == "garbage":
        graph.write_bytes(b"not a graph")
    else:
        (graph if damage == "missing" else graph.with_name("model.onnx.data")).unlink()
    with pytest.raises(PackageError, match=f"ONNX Runtime cannot load {graph}: "):
        open_session(graph)
