"""The fusions are ONNX Runtime's own; only what they keep in memory is not."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import onnx
from onnxruntime.transformers import optimizer

from pipeline.export import exporter as torch_export
from pipeline.graphs.optimization import fusing
from pipeline.graphs.optimization.fusing import fuse
from pipeline.workspace.workspace import GRAPH

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from pipeline.workspace.workspace import Workspace


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
    assert thin.graph.node == whole.graph.node
    inside = {tensor.name for tensor in thin.graph.initializer}
    stated = {value.name for value in thin.graph.input} - {
        value.name for value in whole.graph.input
    }
    assert inside | stated == {tensor.name for tensor in whole.graph.initializer}
    assert max(tensor.ByteSize() for tensor in thin.graph.initializer) <= fusing.MIN_WEIGHT_BYTES


def test_a_mask_fillers_large_bias_does_not_keep_attention_from_being_fused(
    masked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As the bias of a whole vocabulary is: shape inference asks for the values of vectors.
    monkeypatch.setattr(fusing, "MIN_WEIGHT_BYTES", 128)
    torch_export.export(masked, tmp_path, "fill-mask", 18)
    fused = fuse(tmp_path / GRAPH).get_fused_operator_statistics()
    assert fused["Attention"] == 2
    assert fused["EmbedLayerNormalization"] == 1
