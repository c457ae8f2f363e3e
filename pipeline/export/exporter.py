"""Exports a PyTorch model as an ONNX graph; optimum knows each architecture's inputs and outputs.

optimum's own ``main_export`` needs too much memory: see :mod:`pipeline.export.lifting`.
"""

from __future__ import annotations

import gc
from importlib import metadata
from typing import TYPE_CHECKING

import torch
import transformers
from optimum.exporters.onnx import model_configs
from optimum.exporters.tasks import TasksManager
from optimum.exporters.utils import DisableCompileContextManager
from optimum.utils import DEFAULT_DUMMY_SHAPES
from optimum.utils.save_utils import maybe_save_preprocessors

from pipeline.export.lifting import MIN_BYTES, Lifted
from pipeline.graphs.files import GraphError
from pipeline.workspace.workspace import GRAPH
from storage_init.running.tokenizer import TOKENIZER_INPUTS

if TYPE_CHECKING:
    from pathlib import Path

    from optimum.exporters.onnx import OnnxConfig

# Without it, a sentence-transformers folder would need that library, too.
LIBRARY = "transformers"
# Encoders that optimum does not know, and the known one that takes the same inputs.
_LIKE = {
    "ernie": model_configs.BertOnnxConfig,
    "modernbert": model_configs.ModernBertOnnxConfig,
    "roberta-prelayernorm": model_configs.RobertaOnnxConfig,
    "xlm-roberta-xl": model_configs.RobertaOnnxConfig,
}


def check(source: Path, model_type: str, task: str) -> None:
    """Refuse a model that cannot be exported, before the export loads anything large.

    Args:
        source: a Hugging Face folder.
        model_type: as its configuration states it.
        task: as optimum calls it.

    Raises:
        GraphError: says what is missing.
    """
    if model_type not in transformers.CONFIG_MAPPING:
        raise GraphError(
            f"transformers {transformers.__version__} does not know it, and code that comes with a "
            "model is not run"
        )
    if model_type in _LIKE:
        # This does not replace a configuration that optimum has by now.
        register = TasksManager.create_register("onnx")
        register(model_type, *model_configs.COMMON_TEXT_TASKS)(_LIKE[model_type])
    exporter = f"optimum-onnx {metadata.version('optimum-onnx')}"
    try:
        known = TasksManager.get_supported_tasks_for_model_type(
            model_type, "onnx", library_name=LIBRARY
        )
    except KeyError as error:
        raise GraphError(f"{exporter} does not export this architecture") from error
    if task not in known:
        raise GraphError(f"{exporter} does not export it for {task}, only for {', '.join(known)}")
    config = known[task](transformers.AutoConfig.from_pretrained(source, trust_remote_code=False))
    if more := [name for name in config.inputs if name not in TOKENIZER_INPUTS]:
        raise GraphError(f"it takes {', '.join(more)}, which a tokenizer does not make")


def export(source: Path, target: Path, task: str, opset: int) -> None:
    """Write the graph, its weights beside it, and the tokenizer into ``target``.

    Args:
        source: a Hugging Face folder.
        target: the folder to create.
        task: as optimum calls it.
        opset: the graph's ONNX opset.

    Raises:
        ValueError, KeyError, RuntimeError, OSError, ImportError: the model cannot be exported.
    """
    target.mkdir(parents=True, exist_ok=True)
    maybe_save_preprocessors(source, target)
    config = _trace(source, target / GRAPH, task, opset)
    # The model is part of a reference cycle, and ONNX Runtime is about to load the weights, too.
    gc.collect()
    # Sizes that the exporter left free although the architecture fixes them.
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
