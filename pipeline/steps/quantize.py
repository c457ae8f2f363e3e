"""quantize: dynamic int8, made from the fused graph and optimised once more."""

from __future__ import annotations

import logging
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from pipeline import graphs
from pipeline.workspace import GRAPH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.recipe import Recipe
    from pipeline.workspace import Workspace

# Matrix products, and the embedding tables, which are most of a small model's size.
QUANTIZED_OPS = ["MatMul", "Gemm", "Attention", "EmbedLayerNormalization", "Gather"]


def quantize(workspace: Workspace, recipe: Recipe) -> str:
    """Write the ``int8`` variant's graph: U8 activations, S8 weights.

    Source: ONNX Runtime, "Quantize ONNX models", dynamic quantization.
    """
    if "int8" not in recipe.variants:
        return "not in the recipe"
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _quiet(), tempfile.TemporaryDirectory(dir=workspace.root, prefix="int8-") as scratch:
        quantized = Path(scratch) / GRAPH
        quantize_dynamic(
            str(workspace.fused / GRAPH),
            str(quantized),
            op_types_to_quantize=QUANTIZED_OPS,
            per_channel=recipe.int8.per_channel,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=list(recipe.int8.exclude),
            use_external_data_format=True,
            extra_options={
                "MatMulConstBOnly": True,
                # Shape inference does not know the fused operators; all of them are FP32 here.
                "DefaultTensorType": onnx.TensorProto.FLOAT,
            },
        )
        graphs.finalize(quantized, workspace.graph("int8"))
    return "dynamic, per channel" if recipe.int8.per_channel else "dynamic, per tensor"


@contextmanager
def _quiet() -> Iterator[None]:
    """Without its advice to preprocess, which the optimize step has already done, and more."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
