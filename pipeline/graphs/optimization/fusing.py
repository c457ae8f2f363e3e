"""ONNX Runtime's encoder fusions, with less memory, and the rewrites that they leave undone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.onnx_model_bert import BertOnnxModel

from pipeline.graphs.editing import attributes
from pipeline.graphs.optimization.attention_facts import AttentionFacts
from pipeline.graphs.optimization.sdpa import name_attention

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.graphs.editing import GraphEditor

# Constants that make up shapes are far smaller.
MIN_WEIGHT_BYTES = 64 << 10


class FusedModel(BertOnnxModel):
    """Infers shapes on a graph without the values of its weights.

    Each of several inferences copies the graph twice and keeps the copies: with the weights, they
    would take seven times the model's size.
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
    """Fuse the attention, layer norms and GELUs of an exported graph.

    The patterns of model type "bert" also match later encoders; where one does not match, that part
    of the graph stays as exported. Sizes come from the facts beside the graph, else from the graph.
    Attention is fused only where masks do no more than hide padding: its pattern also matches a
    window over the neighbours, and drops it.
    """
    facts = AttentionFacts.load(graph.parent)
    options = _options(facts)
    exported = onnx.load(str(graph))
    if facts.plain_masks and facts.heads:
        name_attention(exported, facts.width // facts.heads)
    model = FusedModel(exported, num_heads=facts.heads, hidden_size=facts.width)
    model.optimize(options)
    model.topological_sort()
    if facts.lowest_mask:
        _mask_with_the_lowest(model.model)
    return model


def _options(facts: AttentionFacts) -> FusionOptions:
    """Choose the fusions that pay on a CPU.

    ONNX Runtime 1.32 computes ``SkipLayerNormalization``, also the one in
    ``EmbedLayerNormalization``, one number at a time: sums and a ``LayerNormalization`` take a
    third of its time. A bias apart from its GELU costs nothing.
    """
    options = FusionOptions("bert")
    options.enable_attention = facts.plain_masks
    options.enable_skip_layer_norm = options.enable_bias_skip_layer_norm = False
    options.enable_embed_layer_norm = options.enable_bias_gelu = False
    # The default replaces a mask by its number of tokens: right for texts padded on the right only.
    options.use_raw_attention_mask()
    return options


def _mask_with_the_lowest(model: onnx.ModelProto) -> None:
    """State what masked scores become where the fusion did not find it: the default is -10000."""
    for node in model.graph.node:
        if node.op_type == "Attention" and "mask_filter_value" not in attributes(node):
            lowest = float(np.finfo(np.float32).min)
            node.attribute.append(onnx.helper.make_attribute("mask_filter_value", lowest))


def _without_values(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose large initializers are inputs: their shapes are known, their values are not."""
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


def take_shapes_from_ids(editor: GraphEditor) -> None:
    """Take shapes from the token ids where an export looks up all embeddings for their shape."""
    lookups = {node.output[0]: node for node in editor.nodes("Gather")}
    for node in editor.nodes("Shape"):
        lookup = lookups.get(node.input[0])
        if (
            lookup is not None
            and editor.weight(lookup.input[0], rank=2) is not None
            and attributes(lookup).get("axis", 0) == 0
            and all(
                _reads_leading(editor, reader, node.output[0])
                for reader in editor.readers(node.output[0])
            )
        ):
            node.input[0] = lookup.input[1]


def _reads_leading(editor: GraphEditor, reader: onnx.NodeProto, shape: str) -> bool:
    """Whether a node reads only the first two numbers of a shape, which the ids' shape has, too."""
    if reader.op_type != "Gather" or reader.input[0] != shape:
        return False
    index = editor.integers(reader.input[1])
    return index is not None and all(0 <= number < 2 for number in index)
