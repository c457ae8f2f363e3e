"""A PyTorch model as an ONNX graph: optimum knows what each architecture takes and gives.

optimum's own ``main_export`` would do, but for its memory: see :mod:`pipeline.export.lifting`.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import optimum.exporters.onnx.model_configs  # noqa: F401  # TasksManager knows none without
import torch
import transformers
from optimum.exporters.tasks import TasksManager
from optimum.exporters.utils import DisableCompileContextManager
from optimum.utils import DEFAULT_DUMMY_SHAPES
from optimum.utils.save_utils import maybe_save_preprocessors

from pipeline.export.lifting import MIN_BYTES, Lifted
from pipeline.workspace.workspace import GRAPH

if TYPE_CHECKING:
    from pathlib import Path

    from optimum.exporters.onnx import OnnxConfig

# Without it a sentence-transformers folder needs that library, too.
LIBRARY = "transformers"


def export(source: Path, target: Path, task: str, opset: int) -> None:
    """Write ``GRAPH``, its weights beside it, and the tokenizer into ``target``.

    Args:
        source: a Hugging Face folder.
        target: is created.
        task: as optimum calls it.
        opset: of the graph.

    Raises:
        ValueError, KeyError, RuntimeError, OSError, ImportError: it cannot be exported.
    """
    target.mkdir(parents=True, exist_ok=True)
    maybe_save_preprocessors(source, target)
    config = _trace(source, target / GRAPH, task, opset)
    # The model refers to itself, and ONNX Runtime is about to load the weights, too.
    gc.collect()
    # Sizes that the exporter took for free though the architecture says that they are fixed.
    config.fix_dynamic_axes(target / GRAPH, input_shapes=DEFAULT_DUMMY_SHAPES)


def _trace(source: Path, graph: Path, task: str, opset: int) -> OnnxConfig:
    stated = transformers.AutoConfig.from_pretrained(source, trust_remote_code=False)
    make_config = TasksManager.get_exporter_config_constructor(
        exporter="onnx", model_type=stated.model_type, task=task, library_name=LIBRARY
    )
    with DisableCompileContextManager():
        model = TasksManager.get_model_from_task(
            task, source, framework="pt", library_name=LIBRARY, trust_remote_code=False
        )
    model.eval()
    model.config.return_dict = True
    config: OnnxConfig = make_config(model.config)
    for name, value in (config.values_override or {}).items():
        setattr(model.config, name, value)
    dummies = config.rename_ambiguous_inputs(
        config.generate_dummy_inputs(framework="pt", **DEFAULT_DUMMY_SHAPES)
    )
    with config.patch_model_for_export(model), torch.no_grad():
        inputs = config.ordered_inputs(model)
        lifted = Lifted.out_of(model, MIN_BYTES)
        model.forward = lifted.taking(model.forward, [*inputs])
        torch.onnx.export(
            model,
            (*(dummies[name] for name in inputs), *lifted.weights.values()),
            str(graph),
            input_names=[*inputs, *lifted.weights],
            output_names=[*config.outputs],
            dynamic_axes={**inputs, **config.outputs},
            opset_version=opset,
            dynamo=False,
        )
    lifted.put_back(graph)
    return config
