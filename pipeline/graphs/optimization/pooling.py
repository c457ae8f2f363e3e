"""Pooling as part of the graph, so that ONNX Runtime returns one vector per text.

The formulas are those of sentence-transformers (``models/Pooling.py``, ``models/Normalize.py``), in
ONNX's textual syntax.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx

from pipeline.graphs.files import GraphError
from pipeline.graphs.optimization.dense import add_layers
from pipeline.graphs.outputs import EMBEDDING, HIDDEN

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.graphs.optimization.dense import Layer
    from storage_init.format.tasks import TextEmbedding

_AXES = """
        pooling_zero_axis = Constant <value = int64[1] {1}> ()
        pooling_last_axis = Constant <value = int64[1] {2}> ()
"""
_FLOOR = """
        pooling_floor = Constant <value = float {1e-9}> ()
"""
# `pooling_places` [L]: 0, 1, 2, …
_PLACES = f"""
        {_AXES}
        pooling_zero = Constant <value = int64 {{0}}> ()
        pooling_one = Constant <value = int64 {{1}}> ()
        pooling_shape = Shape (attention_mask)
        pooling_width = Gather <axis = 0> (pooling_shape, pooling_one)
        pooling_places = Range (pooling_zero, pooling_width, pooling_one)
"""
# `pooling_sum` [N, D] over a text's tokens and their number, `pooling_count` [N, 1].
_SUM = f"""
        {_AXES} {_FLOOR}
        pooling_mask = Cast <to = 1> (attention_mask)
        pooling_mask_3d = Unsqueeze (pooling_mask, pooling_last_axis)
        pooling_masked = Mul (last_hidden_state, pooling_mask_3d)
        pooling_sum = ReduceSum <keepdims = 0> (pooling_masked, pooling_zero_axis)
        pooling_count = ReduceSum <keepdims = 1> (pooling_mask, pooling_zero_axis)
"""
# Each makes `pooled` [N, D] of `last_hidden_state` [N, L, D] and `attention_mask` [N, L].
_POOL = {
    "mean": f"""
        {_SUM}
        pooling_divisor = Max (pooling_count, pooling_floor)
        pooled = Div (pooling_sum, pooling_divisor)
    """,
    "mean_sqrt_len_tokens": f"""
        {_SUM}
        pooling_length = Max (pooling_count, pooling_floor)
        pooling_divisor = Sqrt (pooling_length)
        pooled = Div (pooling_sum, pooling_divisor)
    """,
    "cls": """
        pooling_first = Constant <value = int64 {0}> ()
        pooled = Gather <axis = 1> (last_hidden_state, pooling_first)
    """,
    "weightedmean": f"""
        {_PLACES}
        pooling_one_more = Add (pooling_places, pooling_one)
        pooling_weighted = Mul (attention_mask, pooling_one_more)
        {_FLOOR}
        pooling_weights = Cast <to = 1> (pooling_weighted)
        pooling_weights_3d = Unsqueeze (pooling_weights, pooling_last_axis)
        pooling_masked = Mul (last_hidden_state, pooling_weights_3d)
        pooling_sum = ReduceSum <keepdims = 0> (pooling_masked, pooling_zero_axis)
        pooling_total = ReduceSum <keepdims = 1> (pooling_weights, pooling_zero_axis)
        pooling_divisor = Max (pooling_total, pooling_floor)
        pooled = Div (pooling_sum, pooling_divisor)
    """,
    # A product with a row that is 1 at the last token of the mask and 0 elsewhere.
    "lasttoken": f"""
        {_PLACES}
        pooling_marked = Mul (attention_mask, pooling_places)
        pooling_last = ReduceMax <keepdims = 1> (pooling_marked, pooling_zero_axis)
        pooling_is_last = Equal (pooling_places, pooling_last)
        pooling_chosen = Cast <to = 1> (pooling_is_last)
        pooling_row = Unsqueeze (pooling_chosen, pooling_zero_axis)
        pooling_product = MatMul (pooling_row, last_hidden_state)
        pooled = ReduceSum <keepdims = 0> (pooling_product, pooling_zero_axis)
    """,
    "max": f"""
        {_AXES}
        pooling_lowest = Constant <value = float {{-1e9}}> ()
        pooling_keep = Cast <to = 9> (attention_mask)
        pooling_keep_3d = Unsqueeze (pooling_keep, pooling_last_axis)
        pooling_masked = Where (pooling_keep_3d, last_hidden_state, pooling_lowest)
        pooled = ReduceMax <keepdims = 0> (pooling_masked, pooling_zero_axis)
    """,
}
_NORMALIZE = """
        normalize_axis = Constant <value = int64[1] {1}> ()
        normalize_floor = Constant <value = float {1e-12}> ()
        normalize_norm = ReduceL2 <keepdims = 1> (vectors, normalize_axis)
        normalize_divisor = Max (normalize_norm, normalize_floor)
        embedding = Div (vectors, normalize_divisor)
"""
_KEEP = "embedding = Identity (vectors)"

# The opset from which an operator's axes are an input; in older opsets they are an attribute.
_AXES_ARE_INPUT = {"ReduceSum": 13, "Unsqueeze": 13, "ReduceL2": 18, "ReduceMax": 18}


def is_pooled(model: onnx.ModelProto) -> bool:
    """Whether a graph already returns vectors [N, D]."""
    return [output.name for output in model.graph.output] == [EMBEDDING]


def add_pooling(model: onnx.ModelProto, task: TextEmbedding, layers: Sequence[Layer] = ()) -> None:
    """Replace the graph's output by ``embedding`` FP32 [N, D].

    Args:
        model: changed in place; opset 11 or later.
        task: states the pooling, and whether to normalise.
        layers: applied to the pooled vector before it is normalised.

    Raises:
        GraphError: the graph has no ``last_hidden_state``.
    """
    graph = model.graph
    if HIDDEN not in (outputs := [output.name for output in graph.output]):
        raise GraphError(f"pooling needs an output {HIDDEN}, but the export has {outputs}")
    pool = onnx.parser.parse_graph(
        f"pooling (float[N, L, D] {HIDDEN}, int64[N, L] attention_mask) "
        f"=> (float[N, D] pooled) {{ {_POOL[task.pooling]} }}"
    )
    _append(pool.node, model)
    vectors = add_layers(graph, "pooled", layers)
    scale = (_NORMALIZE if task.normalize else _KEEP).replace("(vectors", f"({vectors}")
    end = onnx.parser.parse_graph(
        f"scaling (float[N, D] {vectors}) => (float[N, D] {EMBEDDING}) {{ {scale} }}"
    )
    _append(end.node, model)
    del graph.output[:]
    graph.output.append(
        onnx.helper.make_tensor_value_info(
            EMBEDDING, onnx.TensorProto.FLOAT, ["batch_size", task.dimension]
        )
    )


def _append(nodes: Iterable[onnx.NodeProto], model: onnx.ModelProto) -> None:
    """Add nodes to ``model``; their constant axes become attributes where its opset requires it."""
    opset = next(entry.version for entry in model.opset_import if entry.domain == "")
    constants = {node.output[0]: node.attribute[0] for node in nodes if node.op_type == "Constant"}
    for node in nodes:
        if opset < _AXES_ARE_INPUT.get(node.op_type, 0):
            axes = onnx.numpy_helper.to_array(constants[node.input.pop()].t)
            node.attribute.append(onnx.helper.make_attribute("axes", axes.tolist()))
    model.graph.node.extend(nodes)
