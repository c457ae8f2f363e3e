"""Convolutions over tokens do not read a text's padding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.graphs.editing import GraphEditor
from pipeline.graphs.optimization.convolutions import zero_padding
from tests.unit.pipeline.encoders import parse, run, table, write

if TYPE_CHECKING:
    from pathlib import Path

    import onnx
    from numpy.typing import NDArray

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
# Of rank 4: it slides over the values of heads.
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
KERNEL = np.random.default_rng(1).normal(size=(3, 1, 3)).astype(np.float32)
WEIGHTS = {
    "table": table(),
    "kernel": KERNEL,
    "kernel4": KERNEL[..., None],
    "point": KERNEL[:, :, :1].copy(),
}


def answer(model: onnx.ModelProto, folder: Path, padding: int) -> NDArray[np.float32]:
    """The answer to three tokens that are followed by ``padding``."""
    ids, mask = np.array([[1, 2, 3, *[4] * padding]]), np.array([[1, 1, 1, *[0] * padding]])
    return run(write(folder, model), {"input_ids": ids, "attention_mask": mask})[:, :, :3]


@pytest.mark.parametrize("body", [CONV, HEADS, UNFOLDED], ids=["Conv1d", "Conv2d", "unfold"])
def test_padding_does_not_change_a_texts_answer(body: str, tmp_path: Path) -> None:
    model = parse(GRAPH % body, WEIGHTS)
    alone = answer(model, tmp_path, 0)
    assert np.abs(answer(model, tmp_path, 2) - alone).max() > 0.1
    editor = GraphEditor(model)
    assert zero_padding(editor) == 1
    editor.finish()
    for padding in (0, 2):
        np.testing.assert_allclose(answer(model, tmp_path, padding), alone)


@pytest.mark.parametrize("body", [SHORTER, POINTWISE], ids=["of another length", "of one token"])
def test_other_convolutions_are_left_alone(body: str) -> None:
    assert zero_padding(GraphEditor(parse(GRAPH % body, WEIGHTS))) == 0
