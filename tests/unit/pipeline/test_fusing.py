"""The fusions are ONNX Runtime's own; only what they keep in memory is not."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import onnx
from onnxruntime.transformers import optimizer

from pipeline import fusing
from pipeline.fusing import fuse
from pipeline.workspace import GRAPH

if TYPE_CHECKING:
    import pytest

    from pipeline.workspace import Workspace


def nodes(model: onnx.ModelProto) -> Counter[tuple[str, ...]]:
    return Counter((node.op_type, *node.input, *node.output) for node in model.graph.node)


def weights(model: onnx.ModelProto) -> dict[str, bytes]:
    return {
        tensor.name: onnx.numpy_helper.to_array(tensor).tobytes()
        for tensor in model.graph.initializer
    }


def test_a_graph_is_fused_as_onnx_runtimes_optimizer_does_it(
    quantized: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = quantized.exported / GRAPH
    # In a model this small nothing is large.
    monkeypatch.setattr(fusing, "MIN_WEIGHT_BYTES", 512)
    ours = fuse(graph).model
    theirs = optimizer.optimize_model(str(graph), model_type="bert", opt_level=0).model
    assert nodes(ours) == nodes(theirs)
    assert weights(ours) == weights(theirs)
    assert {"Attention", "EmbedLayerNormalization"} <= {node.op_type for node in ours.graph.node}


def test_shapes_are_inferred_without_the_values_of_weights(quantized: Workspace) -> None:
    whole = onnx.load(str(quantized.exported / GRAPH))
    thin = fusing._without_values(whole)
    assert [tensor.name for tensor in thin.graph.initializer] == [
        tensor.name for tensor in whole.graph.initializer
    ]
    assert thin.graph.node == whole.graph.node
    assert max(tensor.ByteSize() for tensor in thin.graph.initializer) <= fusing.MIN_WEIGHT_BYTES
