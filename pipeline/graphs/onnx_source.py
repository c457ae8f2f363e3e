"""Checks the graph of an ONNX source and brings it into the form of an export."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto

from pipeline.graphs.editing import remove_inputs
from pipeline.graphs.files import GraphError, save
from pipeline.graphs.outputs import Answer, choose
from storage_init.running.session import SPAN_OUTPUTS
from storage_init.running.tokenizer import TOKENIZER_INPUTS

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.format.tasks import Task

# Quantised operators of ONNX and of ONNX Runtime.
QUANTIZED = re.compile(r"^Q[A-Z]|[Qq]uantize|Integer|NBits|Bnb4")
HALF = (TensorProto.FLOAT16, TensorProto.BFLOAT16)
# Older versions list initializers as inputs, which keeps them from being folded.
MIN_IR_VERSION = 4
MIN_OPSET = 11


def import_onnx(graph: Path, target: Path, task: Task, *, pooling_is_stated: bool) -> int:
    """Write ``graph`` to ``target`` with only its answer, named as an export names it.

    Returns:
        The graph's opset.

    Raises:
        GraphError: the graph cannot be read, is quantised, or is not an encoder of tokens.
    """
    try:
        model = onnx.load(str(graph))
    except Exception as error:
        raise GraphError(f"{graph} cannot be read: {error}") from error
    opset = next((entry.version for entry in model.opset_import if entry.domain == ""), 0)
    try:
        if opset < MIN_OPSET:
            raise GraphError(f"opset {opset} is older than {MIN_OPSET}: export the model again")
        _check_precision(model)
        remove_inputs(model.graph, {tensor.name for tensor in model.graph.initializer})
        model.ir_version = max(model.ir_version, MIN_IR_VERSION)
        _check_inputs(model)
        shapes = {value.name: value.type.tensor_type.shape.dim for value in model.graph.output}
        ranks = {name: len(shape) or None for name, shape in shapes.items()}
        answer = choose(ranks, task, pooling_is_stated=pooling_is_stated)
    except GraphError as error:
        raise GraphError(f"{graph}: {error}") from error
    _keep_only(model, answer)
    save(model, target)
    return int(opset)


def _check_precision(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        if QUANTIZED.search(node.op_type):
            raise GraphError(
                f"it is quantised already ({node.op_type}); needed is the graph at full precision"
            )
    for tensor in model.graph.initializer:
        if tensor.data_type in HALF:
            raise GraphError(f"weight {tensor.name} has 16 bits; needed is the graph in 32")


def _check_inputs(model: onnx.ModelProto) -> None:
    names = [value.name for value in model.graph.input]
    unknown = [name for name in names if name not in TOKENIZER_INPUTS]
    missing = [name for name in TOKENIZER_INPUTS[:2] if name not in names]
    if unknown or missing:
        raise GraphError(
            f"it takes {', '.join(names)}; needed are {' and '.join(TOKENIZER_INPUTS[:2])}, "
            f"and {TOKENIZER_INPUTS[2]} if it must be"
        )
    for value in model.graph.input:
        tensor = value.type.tensor_type
        fixed = [dim.dim_value for dim in tensor.shape.dim if dim.dim_value]
        if tensor.elem_type != TensorProto.INT64 or fixed or len(tensor.shape.dim) != 2:
            raise GraphError(
                f"its input {value.name} is not INT64 [N, L] with both dimensions free"
            )


def _keep_only(model: onnx.ModelProto, answer: Answer) -> None:
    """Drop the other outputs and the nodes that only they need; name the answer by its kind."""
    from onnxruntime.transformers.onnx_model import OnnxModel

    wanted = list(SPAN_OUTPUTS) if answer.kind == "spans" else [answer.name]
    OnnxModel(model).prune_graph(wanted, allow_remove_graph_inputs=False)
    if answer.kind == "spans":
        return
    (output,) = model.graph.output
    if answer.name != answer.kind:
        model.graph.node.append(
            onnx.helper.make_node("Identity", [answer.name], [answer.kind], name="answer")
        )
        output.name = answer.kind
