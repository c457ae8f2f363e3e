"""An opened attention answers the same as the fused one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.graphs.attention import (
    ONNX_ATTENTION_OPSET,
    is_encoder_attention,
    open_attention,
    use_onnx_attention,
)
from pipeline.graphs.editing import GraphEditor
from tests.unit.pipeline.encoders import operators, parse, run, write

if TYPE_CHECKING:
    from pathlib import Path

    import onnx

WIDTH = 16
ATTENTION = """
    <ir_version: 8, opset_import: ["" : 18, "com.microsoft" : 1]>
    attention (float[N, L, 16] x, int32[N, L] mask) => (float[N, L, 16] y) {{
        y = com.microsoft.Attention <num_heads = 4 {attributes}> (x, w, b, {mask})
    }}
"""


def attention(mask: str = "mask", attributes: str = "") -> onnx.ModelProto:
    random = np.random.default_rng(2)
    shapes = {"w": (WIDTH, 3 * WIDTH), "b": (3 * WIDTH,)}
    weights = {name: random.normal(size=size).astype(np.float32) for name, size in shapes.items()}
    return parse(ATTENTION.format(mask=mask, attributes=attributes), weights)


@pytest.mark.parametrize("attributes", ["", ", mask_filter_value = -10000.0", ", scale = 0.3"])
def test_an_opened_attention_answers_the_same(attributes: str, tmp_path: Path) -> None:
    x = np.random.default_rng(3).normal(size=(2, 5, WIDTH)).astype(np.float32)
    mask = np.array([[1] * 5, [1, 1, 1, 0, 0]], dtype=np.int32)
    model = attention(attributes=attributes)
    wanted = run(write(tmp_path, model), {"x": x, "mask": mask})
    editor = GraphEditor(model)
    (node,) = model.graph.node
    assert is_encoder_attention(editor, node)
    opened = open_attention(editor, node)
    editor.remove(node)
    editor.node("Identity", [opened], "y")
    editor.finish()
    assert operators(model)[-2:] == ["MultiHeadAttention", "Identity"]
    answer = run(write(tmp_path, model), {"x": x, "mask": mask})
    np.testing.assert_allclose(answer, wanted, atol=1e-5)

    editor = GraphEditor(model)
    use_onnx_attention(editor)
    assert "MultiHeadAttention" in operators(model), "this opset has no other"
    editor.raise_opset(ONNX_ATTENTION_OPSET)
    use_onnx_attention(editor)
    editor.finish()
    assert "MultiHeadAttention" not in operators(model)
    answer = run(write(tmp_path, model), {"x": x, "mask": mask})
    np.testing.assert_allclose(answer, wanted, atol=1e-5)


FIRST = """
    <ir_version: 8, opset_import: ["" : 23, "com.microsoft" : 1]>
    attention (float[N, L, 16] x, {mask}) => (float[N, M, 16] y) {{
        zero = Constant <value = int64[1] {{0}}> ()
        m = Cast <to = 6> (mask)
        q = MatMul (x, w)
        k = MatMul (x, w)
        f = Gather <axis = 1> (x, zero)
        p = MatMul (f, w)
        a = com.microsoft.MultiHeadAttention <num_heads = 4> ({queries}, k, k, b, m)
        y = Identity (a)
    }}
"""


@pytest.mark.parametrize("queries", ["q", "p"])
@pytest.mark.parametrize(
    ("mask", "rewritten"), [("int64[N, L] mask", True), ("int64[N] mask", False)]
)
def test_onnx_attention_masks_tokens_for_all_queries_and_for_one(
    queries: str, mask: str, rewritten: bool, tmp_path: Path
) -> None:
    random = np.random.default_rng(4)
    shapes = {"w": (WIDTH, WIDTH), "b": (3 * WIDTH,)}
    weights = {name: random.normal(size=size).astype(np.float32) for name, size in shapes.items()}
    model = parse(FIRST.format(mask=mask, queries=queries), weights)
    lengths = np.array([5, 3])
    feeds = {
        "x": random.normal(size=(2, 5, WIDTH)).astype(np.float32),
        "mask": (np.arange(5) < lengths[:, None]).astype(np.int64) if rewritten else lengths,
    }
    wanted = run(write(tmp_path, model), feeds)
    editor = GraphEditor(model)
    use_onnx_attention(editor)
    editor.finish()
    assert ("MultiHeadAttention" not in operators(model)) == rewritten
    np.testing.assert_allclose(run(write(tmp_path, model), feeds), wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("mask", "attributes"), [("mask", ", unidirectional = 1"), ("mask, , x", "")]
)
def test_a_decoders_attention_is_not_an_encoders(mask: str, attributes: str) -> None:
    model = attention(mask, attributes)
    assert not is_encoder_attention(GraphEditor(model), model.graph.node[0])
