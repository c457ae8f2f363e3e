"""The fusions are ONNX Runtime's own, and the rewrites after them keep the answers."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnxruntime.transformers import optimizer

from pipeline.export import exporter
from pipeline.graphs.editing import GraphEditor
from pipeline.graphs.optimization import fusing
from pipeline.graphs.optimization.attention_facts import UNKNOWN
from pipeline.graphs.optimization.fusing import fuse, take_shapes_from_ids
from pipeline.original.heads import head_of
from pipeline.workspace.workspace import GRAPH
from storage_init.raw.hf_config import read_facts
from storage_init.running.session import input_names, open_session, run_answer
from tests.support.models.models import VOCABULARY
from tests.unit.pipeline.encoders import parse, run, write

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.workspace.workspace import Workspace


def nodes(model: onnx.ModelProto) -> Counter[tuple[str, ...]]:
    return Counter((node.op_type, *node.input, *node.output) for node in model.graph.node)


def weights(model: onnx.ModelProto) -> dict[str, bytes]:
    return {
        tensor.name: onnx.numpy_helper.to_array(tensor).tobytes()
        for tensor in model.graph.initializer
    }


def test_fusing_gives_the_graph_of_onnx_runtimes_optimizer(
    quantized: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = quantized.exported / GRAPH
    # No weight of a model this small is above the usual limit.
    monkeypatch.setattr(fusing, "MIN_WEIGHT_BYTES", 512)
    ours = fuse(graph).model
    options = fusing._options(UNKNOWN)
    theirs = optimizer.optimize_model(
        str(graph), "bert", num_heads=4, hidden_size=32, optimization_options=options, opt_level=0
    ).model
    # The default is -10000, which a masked token's score is only near.
    fusing._mask_with_the_lowest(theirs)
    assert nodes(ours) == nodes(theirs)
    assert weights(ours) == weights(theirs)
    kinds = {node.op_type for node in ours.graph.node}
    assert {"Attention", "Gelu", "LayerNormalization"} <= kinds
    assert "ReduceSum" not in kinds, "the mask is the input, no number of tokens"


def test_a_mask_fillers_large_bias_does_not_keep_attention_from_being_fused(
    masked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The bias of a whole vocabulary is large, and shape inference reads the values of vectors.
    monkeypatch.setattr(fusing, "MIN_WEIGHT_BYTES", 128)
    head = head_of(masked, read_facts(masked).task)
    exporter.export(masked, tmp_path, head, ["input_ids", "attention_mask", "token_type_ids"], 18)
    fused = fuse(tmp_path / GRAPH).get_fused_operator_statistics()
    assert fused["Attention"] == 2
    assert fused["LayerNormalization"] == 2 * 2 + 2, "with the embeddings' and the head's"


def test_padding_on_the_left_is_masked_like_padding_on_the_right(quantized: Workspace) -> None:
    tokens = np.random.default_rng(1).integers(5, len(VOCABULARY), size=6)
    for variant in ("fp32", "int8"):
        session = open_session(quantized.graph(variant))
        feeds = {name: np.zeros((2, 9), dtype=np.int64) for name in input_names(session)}
        feeds["input_ids"][:, :6] = tokens
        feeds["attention_mask"][0, :6] = 1
        # The second text is the same with its first three tokens hidden.
        feeds["attention_mask"][1, 3:6] = 1
        both = run_answer(session, feeds)
        # Changing hidden tokens changes nothing.
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


@pytest.mark.parametrize(("index", "nodes"), [(0, 3), (1, 3), (2, 4), (-1, 4)])
def test_a_length_comes_from_the_ids_where_they_have_it(
    index: int, nodes: int, tmp_path: Path
) -> None:
    model = parse(SHAPES.format(index=index), {"table": np.zeros((5, 16), dtype=np.float32)})
    editor = GraphEditor(model)
    take_shapes_from_ids(editor)
    editor.finish()
    assert len(model.graph.node) == nodes
    size = run(write(tmp_path, model), {"ids": np.zeros((2, 3), dtype=np.int64)})
    assert size == [2, 3, 16][index]
