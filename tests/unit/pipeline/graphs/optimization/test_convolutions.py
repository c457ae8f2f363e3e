"""Convolutions over tokens: a text's padding is nothing to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

from pipeline.graphs.editing import GraphEditor
from pipeline.graphs.optimization.convolutions import zero_padding
from storage_init.running.runtime import open_session
from tests.unit.pipeline.encoders import table, write

if TYPE_CHECKING:
    from pathlib import Path

GRAPH = """
<ir_version: 8, opset_import: ["" : 18]>
encoder (int64[N, L] input_ids, int64[N, L] attention_mask) => (float[N, 3, M] y)
{
    embedded = Gather <axis = 0> (table, input_ids)
    states = Transpose <perm = [0, 2, 1]> (embedded)
    %s
}
"""
CONV = "y = Conv <kernel_shape = [3], pads = [1, 1], group = 3> (states, kernel)"
# Of rank 4, as it slides over the values of heads.
HEADS = """
    four = Constant <value = int64[1] {3}> ()
    deep = Unsqueeze (states, four)
    whole = Conv <kernel_shape = [3, 1], pads = [1, 0, 1, 0], group = 3> (deep, kernel4)
    y = Squeeze (whole, four)
"""
UNFOLDED = """
    pads = Constant <value = int64[6] {0, 0, 1, 0, 0, 1}> ()
    padded = Pad (states, pads)
    y = Conv <kernel_shape = [3], group = 3> (padded, kernel)
"""
SHORTER = "y = Conv <kernel_shape = [3], pads = [0, 0], group = 3> (states, kernel)"
POINTWISE = "y = Conv <kernel_shape = [1], group = 3> (states, point)"


def made(body: str) -> onnx.ModelProto:
    model = onnx.parser.parse_model(GRAPH % body)
    kernel = np.random.default_rng(1).normal(size=(3, 1, 3)).astype(np.float32)
    weights = {"table": table(), "kernel": kernel, "kernel4": kernel[..., None]}
    weights["point"] = kernel[:, :, :1].copy()
    for name, values in weights.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    return model


def answers(model: onnx.ModelProto, folder: Path, padding: int) -> Any:
    """Of three tokens, with so many of padding behind them."""
    ids = np.array([[1, 2, 3, *[4] * padding]])
    mask = np.array([[1, 1, 1, *[0] * padding]])
    session = open_session(write(folder, model))
    return session.run(["y"], {"input_ids": ids, "attention_mask": mask})[0][:, :, :3]


@pytest.mark.parametrize("body", [CONV, HEADS, UNFOLDED], ids=["Conv1d", "Conv2d", "unfold"])
def test_a_text_is_answered_as_if_it_were_alone(body: str, tmp_path: Path) -> None:
    alone = answers(made(body), tmp_path / "alone", 0)
    assert np.abs(answers(made(body), tmp_path / "padded", 2) - alone).max() > 0.1
    editor = GraphEditor(made(body))
    assert zero_padding(editor) == 1
    editor.finish()
    for padding in (0, 2):
        np.testing.assert_allclose(answers(editor.model, tmp_path / str(padding), padding), alone)


@pytest.mark.parametrize("body", [SHORTER, POINTWISE], ids=["of another length", "of one token"])
def test_what_is_no_convolution_over_tokens_stays(body: str) -> None:
    assert zero_padding(GraphEditor(made(body))) == 0
