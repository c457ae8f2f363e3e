"""Saves ONNX graphs: optimised once, with weights in a page-aligned file beside the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import onnxruntime as ort

from pipeline.workspace.workspace import PACKED_GRAPH
from storage_init.base.errors import WarmstartError

if TYPE_CHECKING:
    from pathlib import Path

    from onnxruntime.transformers.onnx_model import OnnxModel

# Smaller initializers stay in the graph: mapping them costs more than copying.
MIN_EXTERNAL_BYTES = 1024
MICROSOFT = "com.microsoft"
UNWANTED_FUSIONS = [
    # FusedGemm saves next to nothing. CUDA has no kernel for it, and OpenVINO reads every
    # activation in it as Relu, also a pooler's Tanh (openvino, onnx frontend, fusedgemm.cpp).
    "GemmActivationFusion",
    # Slower than what they replace: pipeline.graphs.optimization.fusing.
    *("SkipLayerNormFusion", "BiasSkipLayerNormFusion", "EmbedLayerNormFusion", "BiasGeluFusion"),
]


class GraphError(WarmstartError):
    """A graph cannot be read, exported, fused, quantised or run."""


def finalize(graph: Path, target: Path, *, packed: bool = False) -> None:
    """Save ``graph`` in its optimised form, so that loading it optimises nothing.

    Level EXTENDED includes the encoder fusions; the next level rewrites for the CPU it runs on.
    Weights go to ``<target>.data``. Those of 1 MiB and more begin on a page there, so that they are
    mapped and not copied.

    ``packed``: that file also holds the weights in the layout of this CPU's kernels. A second graph
    beside ``target``, ``PACKED_GRAPH``, refers to them, and ONNX Runtime maps them instead of
    keeping a packed copy on the heap of each process.

    Source: ONNX Runtime, "Graph optimizations", offline mode; pull request 23069, pre-packed
    weights on disk.

    Raises:
        GraphError: ONNX Runtime cannot load the graph.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    # An earlier run may have left one, which refers to other weights.
    target.with_name(PACKED_GRAPH).unlink(missing_ok=True)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 3
    for key, value in {
        "optimized_model_external_initializers_file_name": f"{target.name}.data",
        "optimized_model_external_initializers_min_size_in_bytes": str(MIN_EXTERNAL_BYTES),
        "save_external_prepacked_constant_initializers": str(int(packed)),
    }.items():
        options.add_session_config_entry(f"session.{key}", value)
    try:
        ort.InferenceSession(
            str(graph),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=UNWANTED_FUSIONS,
        )
    except Exception as error:  # onnxruntime's exceptions share no base class
        raise GraphError(f"ONNX Runtime cannot optimise {graph}: {error}") from error
    if packed:
        _split_off_packed(target)


def _split_off_packed(target: Path) -> None:
    """Move the graph to ``PACKED_GRAPH`` and write ``target`` without packed weights."""
    target.replace(target.with_name(PACKED_GRAPH))
    model = onnx.load(str(target.with_name(PACKED_GRAPH)), load_external_data=False)
    for tensor in model.graph.initializer:
        portable = [e for e in tensor.external_data if not e.key.startswith("prepacked")]
        del tensor.external_data[:]
        tensor.external_data.extend(portable)
    target.write_bytes(model.SerializeToString(deterministic=True))


def save(model: onnx.ModelProto, target: Path) -> None:
    """Save an intermediate graph of any size, with its weights in a file beside it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # onnx appends to an existing file.
    target.with_name(f"{target.name}.data").unlink(missing_ok=True)
    # ONNX's shape inference insists on the domain of fused operators.
    if all(opset.domain != MICROSOFT for opset in model.opset_import):
        model.opset_import.append(onnx.helper.make_opsetid(MICROSOFT, 1))
    onnx.save_model(
        model,
        str(target),
        save_as_external_data=True,
        location=f"{target.name}.data",
        size_threshold=MIN_EXTERNAL_BYTES,
    )


def fusions(model: OnnxModel) -> dict[str, int]:
    """The number of nodes of each fused operator that occurs."""
    return {name: n for name, n in model.get_fused_operator_statistics().items() if n}
