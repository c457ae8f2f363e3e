"""What is done to a graph after its fusions, and that its answers stay the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

from pipeline.graphs.attention import is_encoders, open_attention
from pipeline.graphs.editing import GraphEditor
from pipeline.graphs.optimization.rewrites import take_shapes_from_ids
from storage_init.running.runtime import input_names, open_session, run_answer
from tests.support.models.models import VOCABULARY

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.workspace.workspace import Workspace

WIDTH, HEADS = 16, 4


def test_padding_on_the_left_is_masked_as_well_as_on_the_right(quantized: Workspace) -> None:
    tokens = np.random.default_rng(1).integers(5, len(VOCABULARY), size=6)
    for variant in ("fp32", "int8"):
        session = open_session(quantized.graph(variant))
        feeds = {name: np.zeros((2, 9), dtype=np.int64) for name in input_names(session)}
        feeds["input_ids"][0, :6] = tokens
        feeds["attention_mask"][0, :6] = 1
        # The same six tokens at the same places, with three of them hidden at the front.
        feeds["input_ids"][1, :6] = tokens
        feeds["attention_mask"][1, 3:6] = 1
        both = run_answer(session, feeds)
        # What is hidden does not matter.
        feeds["input_ids"][1, 1:3] = 5
        np.testing.assert_allclose(run_answer(session, feeds)[1], both[1], atol=1e-5)
        assert np.abs(both[0] - both[1]).max() > 1e-2


SHAPES = """
    <ir_version: 8, opset_import: ["" : 18]>
    shapes (int64[N, L] ids) => (int64 y) {{
        index = Constant <value = int64 {{{index}}}> ()
        embedded = Gather (table, ids)
        shape = Shape (embedded)
        y = Gather (shape, index)
    }}
"""


@pytest.mark.parametrize(("index", "operators"), [(0, 3), (1, 3), (2, 4), (-1, 4)])
def test_a_length_is_taken_from_the_ids_where_they_have_it(
    index: int, operators: int, tmp_path: Path
) -> None:
    model = onnx.parser.parse_model(SHAPES.format(index=index))
    table = np.zeros((5, WIDTH), dtype=np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(table, "table"))
    editor = GraphEditor(model)
    take_shapes_from_ids(editor)
    editor.finish()
    assert len(model.graph.node) == operators
    onnx.save(model, str(tmp_path / "model.onnx"))
    session = open_session(tmp_path / "model.onnx")
    (size,) = session.run(None, {"ids": np.zeros((2, 3), dtype=np.int64)})
    assert size == [2, 3, WIDTH][index]


ATTENTION = """
    <ir_version: 8, opset_import: ["" : 18, "com.microsoft" : 1]>
    attention (float[N, L, 16] x, int32[N, L] mask) => (float[N, L, 16] y) {{
        y = com.microsoft.Attention <num_heads = 4 {attributes}> (x, w, b, {mask})
    }}
"""


def attention(mask: str = "mask", attributes: str = "") -> onnx.ModelProto:
    model = onnx.parser.parse_model(ATTENTION.format(mask=mask, attributes=attributes))
    random = np.random.default_rng(2)
    for name, shape in {"w": (WIDTH, 3 * WIDTH), "b": (3 * WIDTH,)}.items():
        values = random.normal(size=shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    model.graph.node[0].name = "first"
    return model


@pytest.mark.parametrize("attributes", ["", ", mask_filter_value = -10000.0", ", scale = 0.3"])
def test_an_opened_attention_answers_the_same(attributes: str, tmp_path: Path) -> None:
    x = np.random.default_rng(3).normal(size=(2, 5, WIDTH)).astype(np.float32)
    mask = np.array([[1] * 5, [1, 1, 1, 0, 0]], dtype=np.int32)
    model, answers = attention(attributes=attributes), []
    for name in ("fused", "opened"):
        onnx.save(model, str(tmp_path / name))
        answers.append(open_session(tmp_path / name).run(None, {"x": x, "mask": mask})[0])
        if name == "fused":
            editor = GraphEditor(model)
            (node,) = model.graph.node
            assert is_encoders(editor, node)
            opened = open_attention(editor, node)
            editor.remove(node)
            editor.node("Identity", [opened], "y")
            editor.finish()
    assert [node.op_type for node in model.graph.node][-2:] == ["MultiHeadAttention", "Identity"]
    np.testing.assert_allclose(answers[1], answers[0], atol=1e-5)


@pytest.mark.parametrize(
    ("mask", "attributes"), [("mask", ", unidirectional = 1"), ("mask, , x", "")]
)
def test_an_attention_of_a_decoder_is_told_from_an_encoders(mask: str, attributes: str) -> None:
    model = attention(mask, attributes)
    assert not is_encoders(GraphEditor(model), model.graph.node[0])
