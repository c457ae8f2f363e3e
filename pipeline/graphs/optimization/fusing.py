"""ONNX Runtime's encoder fusions, without its copies of all weights at every step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.onnx_model_bert import BertOnnxModel

if TYPE_CHECKING:
    from pathlib import Path

# What shapes are made of is far smaller.
MIN_WEIGHT_BYTES = 64 << 10


class FusedModel(BertOnnxModel):
    """Infers shapes, which it does several times, on a graph without the weights' values.

    Each inference copies the graph twice, and keeps it: with the weights in it, seven times the
    model's size would be in memory.
    """

    model: onnx.ModelProto

    def infer_runtime_shape(self, *args: Any, **kwargs: Any) -> Any:
        whole = self.model
        self.model = _without_values(whole)
        try:
            return super().infer_runtime_shape(*args, **kwargs)
        finally:
            self.model = whole


def fuse(graph: Path) -> FusedModel:
    """Fuse an exported graph's attention, layer norms, embeddings and GELUs.

    The patterns of model type "bert" are those of every encoder that came after it; where one
    does not match, that part of the graph stays as it was exported. Nothing is known of heads and
    sizes but what the graph says.
    """
    model = FusedModel(onnx.load(str(graph)), num_heads=0, hidden_size=0)
    model.optimize(FusionOptions("bert"))
    model.topological_sort()
    return model


def _without_values(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which large initializers are inputs: of known shape, and without a value."""
    graph = model.graph
    thin = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    thin.graph.name = graph.name
    for part in ("node", "input", "output", "value_info"):
        getattr(thin.graph, part).extend(getattr(graph, part))
    for tensor in graph.initializer:
        if tensor.ByteSize() < MIN_WEIGHT_BYTES:
            thin.graph.initializer.append(tensor)
        else:
            thin.graph.input.append(
                onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            )
    return thin
