"""quantize: the int8 variant, and what it leaves alone."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

from pipeline.graphs.files import MICROSOFT
from pipeline.graphs.quantization.int8 import open_attentions
from pipeline.recipe.reading import RecipeError
from pipeline.recipe.recipe import Int8, Recipe
from pipeline.steps.quantize import quantize
from pipeline.workspace.workspace import GRAPH
from storage_init.running.session import open_session, run_answer

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.workspace.workspace import Workspace


def operators(graph: Path) -> list[str]:
    loaded = onnx.load(str(graph), load_external_data=False)
    return [node.op_type for node in loaded.graph.node]


def test_every_product_is_quantised_but_for_the_classifiers_last(quantized: Workspace) -> None:
    names = operators(quantized.graph("int8"))
    # Two layers: query, key, value, output, and two of the feed-forward part; and the pooler.
    assert names.count("MatMulIntegerToFloat") == 2 * 6 + 1
    # Queries, keys and values share one 8-bit input, but for the last layer's one query.
    assert names.count("QuantizeLinear") == 2 * 4 + 1 + 1
    assert {"Attention", "Gelu", "LayerNormalization"} <= set(names)
    assert not {"MultiHeadAttention", "Div", "MatMul", "DynamicQuantizeMatMul"} & set(names)
    assert names.count("Gemm") == 1
    # Other providers have no kernel for a fused pooler, or run it wrongly.
    assert b"FusedGemm" not in quantized.graph("fp32").read_bytes()


def test_the_packed_graph_is_the_portable_one_with_packed_weights(quantized: Workspace) -> None:
    paths = quantized.graph("int8"), quantized.packed_graph("int8")
    portable, packed = (onnx.load(str(path), load_external_data=False) for path in paths)

    def keys(model: onnx.ModelProto) -> set[str]:
        return {e.key for tensor in model.graph.initializer for e in tensor.external_data}

    assert keys(portable) == {"location", "offset", "length"}
    assert keys(portable) < keys(packed)
    assert all(key.startswith("prepacked") for key in keys(packed) - keys(portable))
    assert portable.graph.node == packed.graph.node

    ids = np.array([[2, 7, 9, 3]])
    feeds = {
        "input_ids": ids,
        "attention_mask": np.ones_like(ids),
        "token_type_ids": np.zeros_like(ids),
    }
    answers = [run_answer(open_session(path), feeds) for path in paths]
    np.testing.assert_array_equal(answers[1], answers[0])


def test_excluded_nodes_stay_as_they_were(quantized: Workspace) -> None:
    before = quantized.graph("int8").read_bytes()
    fused = onnx.load(str(quantized.graph("fp32")), load_external_data=False)
    attention = next(node.name for node in fused.graph.node if node.op_type == "Attention")
    exclude = (attention, "*0/output/dense*")
    try:
        said = quantize(quantized, Recipe(int8=Int8(weight_bits=8, packed=False, exclude=exclude)))
        model = onnx.load(str(quantized.graph("int8")), load_external_data=False)
        left_over = quantized.packed_graph("int8").exists()
    finally:
        quantize(quantized, Recipe())
    assert said == "9 products, 0 embedding tables, 8-bit weights"
    names = Counter((node.domain, node.op_type) for node in model.graph.node)
    assert (names[MICROSOFT, "Attention"], names["", "MatMul"]) == (1, 1)
    assert not left_over, "a packed graph of an earlier run does not fit these weights"
    assert quantized.graph("int8").read_bytes() == before, "the same recipe gives the same bytes"


def test_what_is_to_be_excluded_must_be_there(quantized: Workspace) -> None:
    before = quantized.graph("int8").read_bytes()
    with pytest.raises(RecipeError, match=r"no node of the graph is called \*lookup\*; its pr"):
        quantize(quantized, Recipe(int8=Int8(exclude=("*lookup*",))))
    assert quantized.graph("int8").read_bytes() == before


def test_nodes_without_a_name_get_one(quantized: Workspace, tmp_path: Path) -> None:
    model = onnx.load(str(quantized.fused / GRAPH))
    for node in model.graph.node:
        node.name = ""
    onnx.save(model, str(tmp_path / GRAPH))
    editor, left_out = open_attentions(tmp_path / GRAPH, ["Gemm_unnamed_*"])
    names = [node.name for node in editor.model.graph.node]
    assert "" not in names
    assert len(names) == len(set(names))
    assert left_out == {name for name in names if name.startswith("Gemm_unnamed_")} != set()
